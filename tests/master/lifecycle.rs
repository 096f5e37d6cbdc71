//! Start, death of workers, stop, and what an app finds of its surroundings.

use std::time::{Duration, Instant};

use crate::apps::{APP, ask, folder, ini, pid_of, serving, start, start_in, wait_log};
use crate::support::{Alone, Load, Signal, is_alive, send, uwsgi_get};

#[test]
fn an_app_serves_and_says_where() {
    let app = start("processes = 2");
    let facts = serving(&app);
    assert_eq!(
        facts["pid"], facts["pgid"],
        "a worker leads its own process group"
    );
    assert_eq!(
        facts["parent"].as_i64(),
        Some(i64::from(app.pid())),
        "{}",
        app.report()
    );
    wait_log(&app, "app: generation 1 serves on uwsgi:");
    wait_log(&app, "2 workers, Python 3.");
}

#[test]
fn two_workers_share_one_import_and_lazy_ones_do_not() {
    let app = start("processes = 2");
    let facts = serving(&app);
    assert_ne!(facts["loaded"], facts["pid"], "a mold imported it");
    let app = start("processes = 2\nlazy-apps = true");
    let facts = serving(&app);
    assert_eq!(facts["loaded"], facts["pid"], "the worker imported it");
}

#[test]
fn an_app_with_threads_at_import_is_loaded_by_each_worker() {
    let threaded = format!(
        "import threading\nthreading.Thread(target=lambda: threading.Event().wait(), daemon=True, name='pump').start()\n{APP}"
    );
    let app = start_in(folder(&threaded), "processes = 2");
    let facts = serving(&app);
    assert_eq!(facts["loaded"], facts["pid"], "{}", app.report());
    wait_log(&app, "starts threads while it loads (pump)");
}

#[test]
fn a_killed_worker_is_replaced() {
    let app = start("processes = 2");
    let first = pid_of(&serving(&app));
    send(first, Signal::KILL);
    app.wait_for("another worker", |app| {
        ask(app, "/").filter(|facts| pid_of(facts) != first)
    });
    wait_log(&app, &format!("(pid {first}) died: SIGKILL"));
    let again = pid_of(&serving(&app));
    send(again, Signal::KILL);
    app.wait_for("yet another worker", |app| {
        ask(app, "/").filter(|facts| pid_of(facts) != again)
    });
}

#[test]
fn a_worker_that_exits_in_a_request_costs_that_request_only() {
    let app = start("");
    let first = pid_of(&serving(&app));
    assert!(uwsgi_get(app.path("app.sock"), "/exit?3").map_or(true, |reply| reply.status != 200));
    let facts = app.wait_for("the next worker", |app| ask(app, "/"));
    assert_ne!(pid_of(&facts), first);
}

#[test]
fn term_answers_what_runs_and_ends_with_0() {
    let mut app = start("");
    serving(&app);
    let socket = app.path("app.sock");
    let slow = std::thread::spawn(move || uwsgi_get(socket, "/slow?1"));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    app.send(Signal::TERM);
    app.wait_for("the socket to go", |app| {
        (!app.path("app.sock").exists()).then_some(())
    });
    let reply = slow.join().unwrap().expect("an answer");
    assert_eq!((reply.status, reply.text().as_str()), (200, "\"slept\""));
    assert_eq!(app.wait_for_end(), 0, "{}", app.report());
    assert_eq!(app.family(), Vec::<i32>::new());
}

#[test]
fn a_stop_under_load_answers_every_connection_that_was_made() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut app = start("processes = 2");
        serving(&app);
        let load = Load::uwsgi(app.path("app.sock"), 8, "/");
        load.wait_for_more(100);
        app.send(signal);
        assert_eq!(app.wait_for_end(), 0, "{}", app.report());
        let tally = load.stop();
        assert_eq!(
            tally.failures(),
            0,
            "{signal:?}: {tally:#?}\n{}",
            app.report()
        );
    }
}

#[test]
fn a_second_stop_signal_stops_now() {
    let mut app = start("");
    let worker = pid_of(&serving(&app));
    let socket = app.path("app.sock");
    crate::support::background(move || drop(uwsgi_get(socket, "/slow?60")));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    app.send(Signal::TERM);
    wait_log(&app, "SIGTERM: stop");
    assert!(is_alive(worker));
    let start = Instant::now();
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{}", app.report());
    assert!(!is_alive(worker));
}

#[test]
fn a_request_past_the_mercy_is_killed_at_a_stop() {
    let mut app = start("worker-reload-mercy = 1");
    serving(&app);
    let socket = app.path("app.sock");
    crate::support::background(move || drop(uwsgi_get(socket, "/slow?60")));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    let start = Instant::now();
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
    assert!(start.elapsed() < Duration::from_secs(8), "{}", app.report());
}

#[test]
fn signals_to_all_workers_at_once_lose_no_request() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let app = start("processes = 2");
        serving(&app);
        let load = Load::uwsgi(app.path("app.sock"), 8, "/");
        load.wait_for_more(50);
        let workers = app.wait_for("two workers", |app| {
            let all = app.family().into_iter();
            let workers: Vec<_> = all.filter(|&pid| is_worker(pid)).collect();
            (workers.len() == 2).then_some(workers)
        });
        workers.iter().for_each(|&pid| send(pid, signal));
        app.wait_for("all of them to be replaced", |app| {
            let left = app.family();
            (!workers.iter().any(|pid| left.contains(pid))).then_some(())
        });
        load.wait_for_more(50);
        let tally = load.stop();
        tally.must_be_clean(100, || format!("{signal:?}\n{}", app.report()));
    }
}

fn is_worker(pid: i32) -> bool {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&title).contains("app worker")
}

#[test]
fn harmless_signals_harm_nobody() {
    let app = start("");
    let worker = pid_of(&serving(&app));
    for signal in [
        Signal::USR1,
        Signal::USR2,
        Signal::WINCH,
        Signal::URG,
        Signal::PIPE,
        Signal::ALARM,
        Signal::CHILD,
        Signal::CONT,
    ] {
        app.send(signal);
    }
    wait_log(&app, "status of app: serving, generation 1");
    assert_eq!(pid_of(&serving(&app)), worker);
}

#[test]
fn tstp_pauses_and_goes_on() {
    let app = start("processes = 2\nstats = {dir}/stats.sock");
    serving(&app);
    wait_log(&app, "generation 1 serves");
    app.send(Signal::TSTP);
    wait_log(&app, "SIGTSTP: pause");
    app.wait_for("workers that do not accept", |app| {
        let stats = crate::stats::stats(app)?;
        let mut workers = stats["workers"].as_array()?.iter();
        workers.all(|it| it["accepting"] == 0).then_some(())
    });
    app.send(Signal::USR1);
    wait_log(&app, "status of app: paused");
    let socket = app.path("app.sock");
    let waiting = std::thread::spawn(move || uwsgi_get(socket, "/"));
    crate::support::stays(Duration::from_millis(500), "the request waits", || {
        !waiting.is_finished()
    });
    app.send(Signal::TSTP);
    assert_eq!(waiting.join().unwrap().expect("an answer").status, 200);
}

#[test]
fn an_app_finds_a_clean_environment_and_its_own_limits() {
    let folder = folder(APP);
    folder.write(
        "app.ini",
        &ini("env = GREETING=hello\nenv = GREETING=servus\nprocesses = 2"),
    );
    let notify = ("NOTIFY_SOCKET", "{dir}/notify");
    let watchdog = ("WATCHDOG_USEC", "30000000");
    let listen = ("LISTEN_FDS", "0");
    let ours = ("IMPERATOR_WHATEVER", "1");
    let option = ("UWSGI_PROCNAME_PREFIX", "x");
    let kept = ("KEPT", "yes");
    let env = [notify, watchdog, listen, ours, option, kept];
    // What the master itself raises its limit from.
    let (_, hard) = nofile();
    let before = rustix::process::Rlimit {
        current: Some(hard.min(4096) - 1),
        maximum: Some(hard),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
    let app = Alone::start_with(folder, &["{dir}/app.ini"], &env);
    let facts = serving(&app);
    let env = facts["env"].as_object().unwrap();
    for name in [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "LISTEN_FDS",
        "IMPERATOR_WHATEVER",
        "UWSGI_PROCNAME_PREFIX",
    ] {
        assert!(!env.contains_key(name), "{name}: {env:#?}");
    }
    assert!(
        !env.keys().any(|key| key.starts_with("IMPERATOR_")),
        "{env:#?}"
    );
    assert_eq!(
        (&env["GREETING"], &env["KEPT"]),
        (&"servus".into(), &"yes".into())
    );
    assert_eq!(
        facts["nofile"],
        serde_json::json!([hard.min(4096) - 1, hard]),
        "the app has the limits that we were started with"
    );
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut words = line.expect("a limit").split_whitespace().skip(3);
    assert_eq!(words.next(), words.next(), "the master has all it may have");
}

fn nofile() -> (u64, u64) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    )
}

#[test]
fn threads_of_one_worker_run_at_once() {
    let app = start("threads = 4");
    serving(&app);
    let start = Instant::now();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let socket = app.path("app.sock");
            std::thread::spawn(move || uwsgi_get(socket, "/slow?2").unwrap().status)
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 200);
    }
    // One after another they take 8 seconds.
    assert!(
        start.elapsed() < Duration::from_millis(7900),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_pidfile_is_there_while_the_master_is() {
    let mut app = start("pidfile = {dir}/app.pid");
    serving(&app);
    assert_eq!(app.folder.read("app.pid").trim(), app.pid().to_string());
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
    assert!(!app.path("app.pid").exists());
}

#[test]
fn a_daemon_serves_from_a_session_of_its_own_and_logs_to_its_file() {
    let mut app = start("daemonize = {dir}/daemon.log\npidfile = {dir}/app.pid");
    assert_eq!(app.wait_for_end(), 0, "{}", app.report());
    serving(&app);
    let pid: i32 = app.folder.read("app.pid").trim().parse().unwrap();
    assert_ne!(pid, app.pid());
    app.wait_for("a line in the log", |app| {
        app.folder
            .read("daemon.log")
            .contains("generation 1 serves")
            .then_some(())
    });
    let session = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = session
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    assert_eq!(fields[3], pid.to_string(), "it leads its session");
    send(pid, Signal::TERM);
    app.wait_for("the daemon's end", |_| (!is_alive(pid)).then_some(()));
    assert!(!app.path("app.sock").exists());
}
