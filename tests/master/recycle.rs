//! Workers that are replaced: harakiri, max-requests, memory.

use std::time::{Duration, Instant};

use crate::apps::{APP, ask, folder, pid_of, serving, start, start_in, wait_log};
use crate::support::{Load, Signal, is_alive, send, stays, uwsgi_get};

#[test]
fn a_request_past_harakiri_costs_its_worker() {
    let app = start("harakiri = 1");
    let worker = pid_of(&serving(&app));
    let start = Instant::now();
    let reply = uwsgi_get(app.path("app.sock"), "/spin?secret").expect("an answer");
    assert_eq!(reply.status, 504, "{}", app.report());
    assert!(start.elapsed() < Duration::from_secs(10));
    wait_log(
        &app,
        &format!("*** HARAKIRI ON WORKER 1 (pid: {worker}, try: 1, graceful: no) ***"),
    );
    wait_log(&app, "GET /spin");
    wait_log(&app, "in spin");
    // What was raised in it ended the request; the next worker takes its place.
    wait_log(&app, "imperator.RequestOverdue");
    app.wait_for("the next worker", |app| {
        ask(app, "/").filter(|facts| pid_of(facts) != worker)
    });
}

#[test]
fn harakiri_leaves_quick_requests_alone() {
    let app = start("harakiri = 3\nthreads = 2");
    let worker = pid_of(&serving(&app));
    for _ in 0..4 {
        assert_eq!(ask(&app, "/slow?1").unwrap(), "slept");
    }
    assert_eq!(pid_of(&serving(&app)), worker);
}

#[test]
fn max_requests_replaces_workers_without_a_lost_request() {
    let app = start("processes = 2\nmax-requests = 50\nmin-worker-lifetime = 0");
    let first = pid_of(&serving(&app));
    let load = Load::uwsgi(app.path("app.sock"), 4, "/");
    app.wait_for("the first worker to go", |_| {
        (!is_alive(first)).then_some(())
    });
    load.wait_for_more(300);
    load.stop().must_be_clean(300, || app.report());
}

#[test]
fn the_only_worker_serves_until_its_slow_replacement_accepts() {
    let slow =
        format!("import os, time\nwhile os.path.exists('slow-load'):\n    time.sleep(0.01)\n{APP}");
    let app = start_in(folder(&slow), "");
    let first = pid_of(&serving(&app));
    app.folder.write("slow-load", "");
    let load = Load::uwsgi(app.path("app.sock"), 2, "/");
    load.wait_for_more(10);
    send(first, Signal::TERM);
    wait_log(&app, "is to be replaced: SIGTERM");
    // Longer than a worker waits for a master that says nothing.
    stays(Duration::from_secs(2), "it accepts", || {
        ask(&app, "/").is_some_and(|facts| pid_of(&facts) == first)
    });
    app.folder.remove("slow-load");
    app.wait_for("the first worker to go", |_| {
        (!is_alive(first)).then_some(())
    });
    load.wait_for_more(10);
    load.stop().must_be_clean(20, || app.report());
    assert!(!app.log().contains("died"), "{}", app.report());
}

#[test]
fn a_fat_worker_is_replaced() {
    let app = start("reload-on-rss = 100\nmin-worker-lifetime = 0");
    let first = pid_of(&serving(&app));
    ask(&app, "/grow").unwrap();
    app.wait_for("a slim worker", |app| {
        ask(app, "/").filter(|facts| pid_of(facts) != first)
    });
}

#[test]
fn a_graceful_harakiri_sends_its_signal_first() {
    let gentle = format!(
        "{APP}\nimport signal\n\ndef enough(*_):\n    raise TimeoutError('enough')\n\n\
         signal.signal(signal.SIGUSR1, enough)\n"
    );
    let lines = "harakiri = 1\nharakiri-graceful-timeout = 20\nharakiri-graceful-signal = 10";
    let app = start_in(folder(&gentle), lines);
    let worker = pid_of(&serving(&app));
    let reply = uwsgi_get(app.path("app.sock"), "/spin").expect("an answer");
    assert_eq!(reply.status, 500, "{}", app.report());
    let line = format!("*** HARAKIRI ON WORKER 1 (pid: {worker}, try: 1, graceful: yes) ***");
    wait_log(&app, &line);
    wait_log(&app, "TimeoutError: enough");
    assert_eq!(pid_of(&serving(&app)), worker, "{}", app.report());
}

#[test]
fn a_graceful_harakiri_kills_who_does_not_listen() {
    let app = start("harakiri = 1\nharakiri-graceful-timeout = 1\nharakiri-graceful-signal = 28");
    let worker = pid_of(&serving(&app));
    let reply = uwsgi_get(app.path("app.sock"), "/spin");
    assert!(reply.map_or(true, |reply| reply.status != 200));
    app.wait_for("its end", |_| (!is_alive(worker)).then_some(()));
    serving(&app);
}

#[test]
fn nobody_is_killed_while_few_connections_wait() {
    let app = start("harakiri = 1\nharakiri-queue-threshold = 2");
    let worker = pid_of(&serving(&app));
    // Nobody else waits: it may take its time.
    assert_eq!(ask(&app, "/slow?3").unwrap(), "slept");
    assert_eq!(pid_of(&serving(&app)), worker);
    assert!(!app.log().contains("HARAKIRI"), "{}", app.report());
    // Others wait behind it.
    std::fs::remove_file(app.path("slow-started")).expect("a file of the first slow request");
    let ask_behind = |uri: &'static str| {
        let socket = app.path("app.sock");
        crate::support::background(move || {
            let _ = uwsgi_get(socket, uri);
        });
    };
    let socket = app.path("app.sock");
    let slow = std::thread::spawn(move || uwsgi_get(socket, "/slow?20"));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    for uri in ["/", "/", "/"] {
        ask_behind(uri);
    }
    wait_log(&app, "HARAKIRI ON WORKER 1");
    let reply = slow.join().expect("no panic").expect("an answer");
    assert_eq!(reply.status, 504, "{}", app.report());
    app.wait_for("its end", |_| (!is_alive(worker)).then_some(()));
    serving(&app);
}
