//! Much at once: touches, signals, deaths. Nothing is lost, and nothing piles up.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::support::{Empire, Load, Signal, dawdle, send, stays};
use super::{ask, empire, generation, ini, master, settled, wait_greeting};

/// Open descriptors of a process.
fn descriptors(pid: i32) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    entries.map_or(0, Iterator::count)
}

/// Waits for a generation after `before` that serves alone.
#[track_caller]
fn wait_newer(empire: &Empire, name: &str, before: u64) -> serde_json::Value {
    empire.wait_for("a newer generation", |empire| {
        let app = empire.app(name);
        (app["condition"] == "serving" && generation(&app) > before).then_some(app)
    })
}

#[test]
fn fifty_touches_under_load_are_few_reloads_and_lose_nothing() {
    const TOUCHES: u64 = 50;
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let before = generation(&settled(&empire, "blog"));
    let load = Load::uwsgi(empire.path("blog.s"), 2, "/");
    load.wait_for_more(20);
    for _ in 0..TOUCHES {
        empire.touch("blog.ini");
        dawdle(Duration::from_millis(10));
    }
    // What is written last is what serves in the end.
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    let after = generation(&wait_newer(&empire, "blog", before));
    assert!(
        after <= before + TOUCHES / 2 + 2,
        "{before} became {after} by {TOUCHES} touches"
    );
    load.stop().must_be_clean(100, || empire.report());
}

#[test]
fn a_storm_of_hups_under_load_ends_with_the_last_code_and_loses_nothing() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let blog = settled(&empire, "blog");
    let load = Load::uwsgi(empire.path("blog.s"), 2, "/");
    load.wait_for_more(20);
    for _ in 0..30 {
        empire.send(Signal::HUP);
        send(master(&blog), Signal::HUP);
        dawdle(Duration::from_millis(5));
    }
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    let after = settled(&empire, "blog");
    assert_eq!(master(&after), master(&blog), "{}", empire.report());
    load.stop().must_be_clean(100, || empire.report());
}

#[test]
fn ten_killed_emperors_under_load_lose_nothing_and_miss_no_change() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "0"))]);
    let blog = master(&settled(&empire, "blog"));
    let load = Load::uwsgi(empire.path("blog.s"), 2, "/");
    load.wait_for_more(20);
    for round in 1..=10 {
        empire.send(Signal::KILL);
        empire.wait_for_end();
        // While nobody watches, or while the next one adopts.
        let text = ini("blog", &round.to_string());
        if round % 2 == 0 {
            empire.write("blog.ini", &text);
            empire.start_again();
        } else {
            empire.start_unseen();
            empire.write("blog.ini", &text);
        }
        wait_greeting(&empire, "blog", &round.to_string());
    }
    assert_eq!(master(&settled(&empire, "blog")), blog);
    load.stop().must_be_clean(100, || empire.report());
}

#[test]
fn reloads_deaths_and_removals_leak_no_descriptor() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let round = |number: u32| {
        let app = settled(&empire, "blog");
        empire.touch("blog.ini");
        let app = wait_newer(&empire, "blog", generation(&app));
        empire.write("shop.ini", &ini("shop", "x"));
        empire.write("broken.ini", "");
        settled(&empire, "shop");
        if number % 5 == 4 {
            send(master(&app), Signal::KILL);
            wait_newer(&empire, "blog", generation(&app));
        }
        empire.remove("shop.ini");
        empire.remove("broken.ini");
        empire.wait_for("blog alone", |empire| {
            (super::names(empire) == ["blog"]).then_some(())
        });
    };
    // The first rounds open what stays open.
    (0..5).for_each(round);
    let open = || {
        let app = settled(&empire, "blog");
        (descriptors(empire.pid()), descriptors(master(&app)))
    };
    let before = open();
    (5..25).for_each(round);
    // The last generation's worker may still be draining.
    empire.wait_for(&format!("no more than {before:?} descriptors"), |_| {
        let now = open();
        (now.0 <= before.0 && now.1 <= before.1).then_some(())
    });
}

#[test]
fn an_emperor_without_descriptors_says_so_rests_and_goes_on_when_there_are_some() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let worker = wait_greeting(&empire, "blog", "one");
    settled(&empire, "blog");
    let pid = Pid::from_raw(empire.pid());
    let numbers = format!("/proc/{}/fd", empire.pid());
    let free = (0..)
        .find(|number| !Path::new(&numbers).join(number.to_string()).exists())
        .expect("a number");
    let limit = |current| Rlimit {
        current,
        // The emperor has ours, and has raised its own limit to it.
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(pid, Resource::Nofile, limit(Some(free))).expect("a limit");
    empire.write("shop.ini", &ini("shop", "x"));
    empire.wait_for("the log and the status to speak", |empire| {
        let said = empire.log().contains("Too many open files");
        (said && empire.app("blog")["condition"] == "serving").then_some(())
    });
    let start = cpu_ticks(empire.pid());
    stays(Duration::from_secs(1), "blog serves on", || {
        ask(&empire, "blog").is_some_and(|(_, now)| now == worker)
    });
    // A hundred are a second: a loop that waits for nothing takes all of them.
    let ticks = cpu_ticks(empire.pid()) - start;
    assert!(ticks < 50, "{ticks} ticks in a second");
    prlimit(pid, Resource::Nofile, limit(before.current)).expect("the limit of before");
    wait_greeting(&empire, "shop", "x");
}

/// User and system time of a process, in hundredths of a second (proc_pid_stat(5)).
fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|time| time.parse::<u64>().expect("ticks")).sum()
}
