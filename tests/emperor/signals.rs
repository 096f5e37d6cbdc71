//! The emperor's row of the table of signals.

use std::fs;
use std::time::Duration;

use super::support::{Load, Signal, background, stays, uwsgi_get};
use super::{ask, empire, generation, ini, master, names, settled, wait_greeting};

#[test]
fn hup_reloads_all_and_loses_nothing() {
    let empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("shop.ini", &ini("shop", "shop")),
    ]);
    let before = [settled(&empire, "blog"), settled(&empire, "shop")];
    let load = Load::uwsgi(empire.path("blog.s"), 2, "/");
    load.wait_for_more(20);
    empire.send(Signal::HUP);
    for (name, before) in ["blog", "shop"].into_iter().zip(&before) {
        empire.wait_for("a new generation", |empire| {
            let app = empire.app(name);
            (app["condition"] == "serving" && generation(&app) == generation(before) + 1)
                .then_some(())
        });
        assert_eq!(master(&empire.app(name)), master(before));
    }
    load.wait_for_more(20);
    load.stop().must_be_clean(40, || empire.report());
}

#[test]
fn term_int_and_quit_finish_what_runs_and_exit_0() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
        wait_greeting(&empire, "blog", "one");
        let (path, (slow, answer)) = (empire.path("blog.s"), std::sync::mpsc::channel());
        background(move || {
            // The test ended early when nobody listens.
            let _ = slow.send(uwsgi_get(path, "/slow").map(|reply| (reply.status, reply.complete)));
        });
        super::wait_slow(&empire);
        empire.send(signal);
        assert_eq!(empire.wait_for_end(), 0, "{}", empire.report());
        let answer = answer
            .recv_timeout(super::support::PATIENCE)
            .expect("an answer in time");
        assert_eq!(answer.expect("an answer"), (200, true), "{signal:?}");
        assert!(empire.family().is_empty(), "{}", empire.report());
        assert!(empire.log().contains("The Emperor is buried."));
        let left = fs::read_dir(empire.runtime().join("apps")).unwrap().count();
        assert_eq!(left, 0, "{}", empire.report());
    }
}

#[test]
fn a_second_stop_signal_stops_now() {
    let empire = empire(&[(
        "blog.ini",
        "[uwsgi]\nsocket = {dir}/blog.s\nwsgi-file = {dir}/stuck.py\n",
    )]);
    let stuck = "import time\ndef application(e, s):\n    open('{dir}/slow-started', 'w').close()\n    \
                 while True:\n        time.sleep(0.1)\n";
    empire.folder.write("stuck.py", stuck);
    empire.touch("blog.ini");
    settled(&empire, "blog");
    let path = empire.path("blog.s");
    background(move || drop(uwsgi_get(path, "/")));
    super::wait_slow(&empire);
    let mut empire = empire;
    empire.send(Signal::TERM);
    stays(Duration::from_secs(1), "it waits for the request", || {
        super::support::is_alive(empire.pid())
    });
    empire.send(Signal::TERM);
    assert_eq!(empire.wait_for_end(), 0);
    empire.wait_for("an empty house", |empire| {
        empire.family().is_empty().then_some(())
    });
}

#[test]
fn the_other_signals_do_what_the_table_says_and_kill_nobody() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    wait_greeting(&empire, "blog", "one");
    let logged = |what: &str| {
        empire.wait_for(&format!("the log to say {what}"), |empire| {
            empire.log().contains(what).then_some(())
        });
    };
    empire.send(Signal::USR1);
    logged("blog: serving");
    empire.send(Signal::USR2);
    logged("SIGUSR2: nothing to do");
    empire.send(Signal::WINCH);
    logged("SIGWINCH: looking at all files");
    empire.send(Signal::URG);
    logged("SIGURG: retrying");
    for signal in [Signal::ALARM, Signal::PIPE, Signal::CHILD] {
        empire.send(signal);
    }

    empire.send(Signal::TSTP);
    empire.wait_state("blog", "paused");
    empire.send(Signal::TSTP);
    settled(&empire, "blog");
    assert_eq!(
        ask(&empire, "blog").map(|(said, _)| said).as_deref(),
        Some("one")
    );
    assert_eq!(names(&empire), ["blog"]);
}

#[test]
fn urg_retries_what_waits_after_a_failure() {
    let empire = empire(&[(
        "blog.ini",
        &ini("blog", "one").replace("app.py", "later.py"),
    )]);
    // Failed often enough that the next try is seconds away.
    empire.wait_for("a wait of seconds", |empire| {
        (empire.app("blog")["status"]["failures"].as_u64()? >= 4).then_some(())
    });
    empire.folder.write("later.py", super::APP);
    empire.send(Signal::URG);
    wait_greeting(&empire, "blog", "one");
}
