//! Nothing hangs on the emperor, and nothing on a master but its app's next decisions.

use super::support::{Empire, Load, Signal, background, is_alive, send, uwsgi_get};
use super::{ask, empire, generation, ini, master, settled, wait_greeting};

fn pids_below(empire: &Empire) -> Vec<i32> {
    let mut pids = empire.family();
    pids.retain(|pid| *pid != empire.pid());
    pids.sort_unstable();
    pids
}

#[test]
fn a_killed_emperor_loses_no_request_and_the_next_one_adopts() {
    let two = format!("{}processes = 2\n", ini("shop", "shop"));
    let mut empire = empire(&[("blog.ini", &ini("blog", "one")), ("shop.ini", &two)]);
    wait_greeting(&empire, "blog", "one");
    wait_greeting(&empire, "shop", "shop");
    let blog = settled(&empire, "blog");
    settled(&empire, "shop");
    let load = [
        Load::uwsgi(empire.path("blog.s"), 2, "/"),
        Load::uwsgi(empire.path("shop.s"), 2, "/"),
    ];
    load.iter().for_each(|load| load.wait_for_more(50));
    let before = pids_below(&empire);

    empire.send(Signal::KILL);
    empire.wait_for_end();
    load.iter().for_each(|load| load.wait_for_more(200));
    assert_eq!(pids_below(&empire), before, "{}", empire.report());

    empire.start_again();
    let adopted = super::adopted(&empire, "blog");
    assert_eq!(master(&adopted), master(&blog));
    settled(&empire, "shop");
    load.iter().for_each(|load| load.wait_for_more(50));
    assert_eq!(pids_below(&empire), before, "{}", empire.report());

    // It governs what it adopted.
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    load.iter().for_each(|load| load.wait_for_more(50));
    for load in load {
        load.stop().must_be_clean(300, || empire.report());
    }
    empire.remove("shop.ini");
    empire.wait_for("shop to end", |empire| {
        ask(empire, "shop").is_none().then_some(())
    });
    empire.send(Signal::TERM);
    assert_eq!(empire.wait_for_end(), 0);
    assert!(empire.family().is_empty(), "{}", empire.report());
}

#[test]
fn what_is_no_longer_wanted_is_stopped_by_the_next_emperor() {
    let mut empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("shop.ini", &ini("shop", "x")),
    ]);
    let blog = master(&settled(&empire, "blog"));
    let shop = master(&settled(&empire, "shop"));
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.remove("shop.ini");
    empire.write("blog.ini", &ini("blog", "two"));
    empire.start_again();
    wait_greeting(&empire, "blog", "two");
    assert_eq!(master(&settled(&empire, "blog")), blog);
    empire.wait_for("shop's master to end", |_| (!is_alive(shop)).then_some(()));
}

#[test]
fn what_happens_to_files_while_no_emperor_runs_is_done_by_the_next_one() {
    let app = |name: &str| (format!("{name}.ini"), ini(name, "one"));
    let apps: Vec<_> = ["blog", "shop", "wiki", "halted"].map(app).into();
    let apps: Vec<_> = apps
        .iter()
        .map(|(file, text)| (file.as_str(), text.as_str()))
        .collect();
    let mut empire = empire(&apps);
    let before = ["blog", "shop"].map(|name| settled(&empire, name));
    for name in ["wiki", "halted"] {
        settled(&empire, name);
        assert!(empire.command(&["stop", name]).status.success());
        empire.wait_state(name, "stopped");
    }
    empire.send(Signal::KILL);
    empire.wait_for_end();
    // A deploy script touches, somebody edits; the code of the first may be new.
    empire.touch("blog.ini");
    empire.write("wiki.ini", &ini("wiki", "two"));
    empire.start_again();
    empire.wait_for("a new generation of blog", |empire| {
        (generation(&empire.app("blog")) > generation(&before[0])).then_some(())
    });
    wait_greeting(&empire, "wiki", "two");
    assert_eq!(
        generation(&settled(&empire, "shop")),
        generation(&before[1])
    );
    empire.wait_state("halted", "stopped");
    // Once is enough.
    let blog = settled(&empire, "blog");
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.start_again();
    let adopted = super::adopted(&empire, "blog");
    assert_eq!(generation(&adopted), generation(&blog));
    settled(&empire, "wiki");
    let log = empire.log();
    let reloads = log.matches("reload the uwsgi instance").count();
    assert_eq!(reloads, 1, "{log}");
}

#[test]
fn a_glob_whose_directory_is_away_when_the_next_emperor_comes_stops_nothing() {
    let folder = super::folder();
    folder.write("sites/blog/uwsgi.ini", &ini("blog", "one"));
    folder.write("sites/shop/uwsgi.ini", &ini("shop", "x"));
    let args = ["--emperor", "{dir}/sites/*/uwsgi.ini"];
    let mut empire = Empire::start_with(folder, &[], &args);
    let blog = master(&settled(&empire, "blog/uwsgi"));
    let shop = master(&settled(&empire, "shop/uwsgi"));
    empire.send(Signal::KILL);
    empire.wait_for_end();
    std::fs::rename(empire.path("sites"), empire.path("away")).unwrap();
    empire.start_again();
    empire.wait_for("the next emperor", |empire| {
        empire.log().contains("its apps serve on").then_some(())
    });
    wait_greeting(&empire, "blog", "one");
    // Back, with one site less and the other one changed.
    std::fs::remove_dir_all(empire.path("away/shop")).unwrap();
    empire
        .folder
        .write("away/blog/uwsgi.ini", &ini("blog", "two"));
    std::fs::rename(empire.path("away"), empire.path("sites")).unwrap();
    wait_greeting(&empire, "blog", "two");
    assert_eq!(master(&settled(&empire, "blog/uwsgi")), blog);
    empire.wait_for("shop's master to end", |_| (!is_alive(shop)).then_some(()));
}

#[test]
fn a_killed_master_is_replaced_on_its_sockets_while_its_workers_finish() {
    let empire = empire(&[(
        "blog.ini",
        &format!("{}processes = 2\n", ini("blog", "one")),
    )]);
    let first = settled(&empire, "blog");
    let old = wait_greeting(&empire, "blog", "one");
    let (path, sender) = (empire.path("blog.s"), std::sync::mpsc::channel());
    let (slow, answer) = sender;
    background(move || {
        // The test ended early when nobody listens.
        let _ = slow.send(uwsgi_get(path, "/slow").map(|reply| (reply.status, reply.complete)));
    });
    let load = Load::uwsgi(empire.path("blog.s"), 1, "/");
    load.wait_for_more(20);

    send(master(&first), Signal::KILL);
    let second = empire.wait_for("a new master that serves", |empire| {
        let app = empire.app("blog");
        let new = master(&app) != 0 && master(&app) != master(&first);
        (new && app["condition"] == "serving").then_some(app)
    });
    load.wait_for_more(20);
    load.stop().must_be_clean(40, || empire.report());
    let answer = answer
        .recv_timeout(super::support::PATIENCE)
        .expect("an answer in time");
    assert_eq!(
        answer.expect("an answer"),
        (200, true),
        "the old worker finished"
    );
    empire.wait_for("the old worker to end", |_| (!is_alive(old)).then_some(()));
    assert!(generation(&second) > generation(&first));
}

#[test]
fn a_stuck_worker_of_a_killed_master_ends_at_its_mercy_and_tells_its_stack() {
    let folder = super::folder();
    let stuck = super::APP.replace("time.sleep(1)", "time.sleep(600)");
    folder.write("stuck.py", &stuck);
    let text = "[uwsgi]\nsocket = {dir}/blog.s\nwsgi-file = {dir}/stuck.py\nthreads = 2\n\
                worker-reload-mercy = 2\n";
    let empire = Empire::start_with(folder, &[("blog.ini", text)], &["{dir}/vassals"]);
    let first = settled(&empire, "blog");
    let old = wait_greeting(&empire, "blog", "ave");
    let (path, (slow, answer)) = (empire.path("blog.s"), std::sync::mpsc::channel());
    background(move || {
        // The test ended early when nobody listens.
        let _ = slow.send(uwsgi_get(path, "/slow").map(|reply| reply.complete));
    });
    super::wait_slow(&empire);
    send(master(&first), Signal::KILL);
    // The old one closes its listeners when it sees the end of its master.
    let next = empire.wait_for("a worker of the next master", |empire| {
        let (_, pid) = ask(empire, "blog")?;
        (pid != old).then_some(pid)
    });
    empire.wait_for("the old worker to end", |_| (!is_alive(old)).then_some(()));
    let answer = answer.recv_timeout(super::support::PATIENCE);
    let answer = answer.expect("an end in time");
    assert!(!answer.unwrap_or(false), "nobody has answered");
    empire.wait_for("the stack of what it did", |empire| {
        empire.log().contains("stuck.py\", line").then_some(())
    });
    assert_eq!(ask(&empire, "blog"), Some(("ave".to_owned(), next)));
}

#[test]
fn when_emperor_and_master_are_killed_the_next_emperor_starts_afresh() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let blog = master(&settled(&empire, "blog"));
    let worker = wait_greeting(&empire, "blog", "one");
    empire.send(Signal::KILL);
    send(blog, Signal::KILL);
    empire.wait_for_end();
    empire.start_again();
    let new = wait_greeting(&empire, "blog", "one");
    assert_ne!(new, worker);
    assert_ne!(master(&settled(&empire, "blog")), blog);
    empire.wait_for("the old worker to end", |_| {
        (!is_alive(worker)).then_some(())
    });
}

#[test]
fn a_master_that_does_not_answer_is_shown_and_left_alone() {
    let mut empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("shop.ini", &ini("shop", "x")),
    ]);
    let blog = master(&settled(&empire, "blog"));
    let worker = wait_greeting(&empire, "blog", "one");
    settled(&empire, "shop");
    send(blog, Signal::STOP);
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.start_again();
    settled(&empire, "shop");
    empire.wait_state("blog", "silent");
    empire.wait_for("the log to say so", |empire| {
        empire.log().contains("does not answer").then_some(())
    });
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), worker)));
    send(blog, Signal::CONT);
    assert_eq!(master(&settled(&empire, "blog")), blog);
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), worker)));
}

#[test]
fn a_file_that_is_broken_when_the_next_emperor_comes_stops_nothing() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let blog = master(&settled(&empire, "blog"));
    let worker = wait_greeting(&empire, "blog", "one");
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.folder.write("vassals/blog.ini", "");
    empire.start_again();
    let app = empire.wait_state("blog", "serving-old");
    assert_eq!(master(&app), blog);
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), worker)));
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    assert_eq!(master(&settled(&empire, "blog")), blog);
}

#[test]
fn an_app_on_demand_starts_at_its_first_request_whatever_becomes_of_the_emperor() {
    let text = format!("{}on-demand = true\n", ini("blog", "one"));
    let mut empire = empire(&[("blog.ini", &text)]);
    let asleep = empire.wait_state("blog", "asleep");
    assert_eq!(asleep["status"]["workers"], serde_json::json!([]));
    // Nobody keeps its sockets but its master, so that stays.
    assert!(is_alive(master(&asleep)), "{}", empire.report());
    empire.send(Signal::KILL);
    empire.wait_for_end();
    let worker = wait_greeting(&empire, "blog", "one");
    empire.start_again();
    let app = super::adopted(&empire, "blog");
    assert_eq!(master(&app), master(&asleep));
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), worker)));
}

#[test]
fn the_next_emperor_knows_back_off_and_history() {
    let bad = ini("bad", "x").replace("app.py", "missing.py");
    let mut empire = empire(&[("bad.ini", &bad)]);
    let failures = |app: &serde_json::Value| app["status"]["failures"].as_u64().unwrap_or(0);
    let before = empire.wait_for("three failures in a row", |empire| {
        let app = empire.app("bad");
        (failures(&app) >= 3).then_some(app)
    });
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.start_again();
    let app = empire.wait_for("the next emperor to adopt it", |empire| {
        let app = empire.app("bad");
        (app["adopted"] == true && app["condition"] == "failing").then_some(app)
    });
    assert_eq!(master(&app), master(&before), "{}", empire.report());
    assert!(failures(&app) >= 3, "{app:#}");
    // Its next try is one more of the same row.
    empire.wait_for("another failure", |empire| {
        (failures(&empire.app("bad")) > failures(&app)).then_some(())
    });
    let history = empire.command(&["history", "bad"]);
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    for what in ["  found  ", "  failed  ", "  adopted  "] {
        assert!(history.contains(what), "{what} in\n{history}");
    }
}
