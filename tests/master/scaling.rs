//! As many workers as are needed: cheaper, idle, cheap. No request is lost when one goes.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::apps::{APP, ask, folder, ini, pid_of, serving, start, start_in, wait_log};
use crate::support::{
    Address, Alone, Empire, Exchange, Load, Signal, Vars, background, is_alive, stays, uwsgi_get,
};

/// What the stats server tells.
fn stats(app: &Alone) -> Option<Value> {
    let mut stream = UnixStream::connect(app.path("stats")).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn running(app: &Alone) -> Option<usize> {
    let stats = stats(app)?;
    let workers = stats["workers"].as_array()?.iter();
    Some(workers.filter(|it| it["status"] != "cheap").count())
}

#[track_caller]
fn wait_running(app: &Alone, wanted: usize) {
    app.wait_for(&format!("{wanted} workers"), |app| {
        (running(app) == Some(wanted)).then_some(())
    });
}

/// A request that is answered once [`let_go`] is called, asked by somebody else.
fn held(app: &Alone) {
    let socket = app.path("app.sock");
    background(move || {
        let _ = uwsgi_get(socket, "/held");
    });
}

fn let_go(app: &Alone) {
    app.folder.write("let-go", "");
}

#[test]
fn scaling_down_under_load_loses_no_request() {
    let app = start(
        "processes = 4\ncheaper = 1\ncheaper-initial = 4\ncheaper-overload = 0\nstats = {dir}/stats",
    );
    let load = Load::uwsgi(app.path("app.sock"), 1, "/");
    wait_log(&app, "scaled from 4 to 3 workers");
    wait_log(&app, "scaled from 3 to 2 workers");
    load.wait_for_more(50);
    let tally = load.stop();
    // Before the socket was bound, nobody listened.
    assert!(tally.failures() == 0, "{tally:#?}\n{}", app.report());
    assert!(!app.log().contains("died"), "{}", app.report());
}

#[test]
fn a_busy_app_gets_more_workers_and_gives_them_back() {
    let app = start("processes = 3\ncheaper = 1\ncheaper-overload = 1\nstats = {dir}/stats");
    serving(&app);
    assert_eq!(running(&app), Some(1));
    held(&app);
    held(&app);
    wait_running(&app, 3);
    let_go(&app);
    wait_running(&app, 1);
    let facts = serving(&app);
    assert!(is_alive(pid_of(&facts)));
}

#[test]
fn busyness_scales_a_real_app_by_the_time_in_requests() {
    let app = start(
        "processes = 2\ncheaper = 1\ncheaper-algo = busyness\ncheaper-overload = 1\n\
         cheaper-busyness-multiplier = 1\ncheaper-busyness-max = 40\ncheaper-busyness-min = 20\n\
         cheaper-busyness-verbose = true\nstats = {dir}/stats",
    );
    serving(&app);
    held(&app);
    wait_running(&app, 2);
    wait_log(&app, " % of their time");
    let_go(&app);
    wait_running(&app, 1);
}

#[test]
fn connections_that_wait_at_a_unix_socket_are_counted_and_bring_workers() {
    let app = start(
        "processes = 2\ncheaper = 1\ncheaper-algo = backlog\ncheaper-overload = 1\n\
         stats = {dir}/stats",
    );
    serving(&app);
    // The only worker is busy, so the next ones wait.
    for _ in 0..4 {
        held(&app);
    }
    app.wait_for("connections in the queue", |app| {
        let stats = stats(app)?;
        (stats["listen_queue"].as_u64()? >= 2).then_some(())
    });
    wait_running(&app, 2);
}

#[test]
fn an_idle_app_costs_no_process_and_its_first_request_is_answered() {
    let app = start("processes = 2\nidle = 1\nstats = {dir}/stats");
    let before = pid_of(&serving(&app));
    wait_log(&app, "the app sleeps, its sockets stay open");
    app.wait_for("the end of mold and workers", |app| {
        (app.family() == [app.pid()]).then_some(())
    });
    wait_running(&app, 0);
    // Several at once: one start serves them all.
    let load = Load::uwsgi(app.path("app.sock"), 4, "/");
    load.wait_for_more(20);
    load.stop().must_be_clean(20, || app.report());
    assert_ne!(pid_of(&serving(&app)), before);
    wait_log(&app, "generation 2 serves");
}

#[test]
fn a_sleeping_app_stops_at_once_and_reloads_without_waking() {
    let mut app = start("cheap = true\nstats = {dir}/stats");
    wait_log(&app, "the app sleeps: the first connection starts it");
    app.folder
        .write("app.py", &APP.replace("\"one\"", "\"two\""));
    app.send(Signal::HUP);
    app.wait_for("the config to be read again", |app| {
        let sleeps = "the app sleeps: the first connection starts it";
        (app.log().matches(sleeps).count() == 2).then_some(())
    });
    assert_eq!(running(&app), Some(0));
    assert_eq!(serving(&app)["version"], "two");
    app.send(Signal::TERM);
    let end = app.process().wait(Duration::from_secs(10));
    assert_eq!(end.code(), Some(0));
}

#[test]
fn an_app_that_cannot_be_loaded_when_it_is_called_is_tried_again_with_its_connection_waiting() {
    let folder = folder("import nothing_like_this\n");
    let app = start_in(folder, "cheap = true");
    wait_log(&app, "the app sleeps");
    let mut exchange = Exchange::connect(&Address::Unix(app.path("app.sock"))).expect("connect");
    let packet = Vars::request("GET", "/").packet(0, 0);
    std::io::Write::write_all(&mut exchange, &packet).expect("a request");
    wait_log(&app, "nothing_like_this");
    app.folder.write("app.py", APP);
    let answer = exchange.read_all().expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", app.report());
}

#[test]
fn a_vassal_with_die_on_idle_sleeps_and_its_socket_wakes_it() {
    let vassal = ini("idle = 1\ndie-on-idle = true").replace("app.sock", "shop.sock");
    let empire = Empire::start_with(
        folder(APP),
        &[("shop.ini", vassal.as_str())],
        &["{dir}/vassals"],
    );
    let socket = empire.folder.join("shop.sock");
    empire.wait_for("the app to sleep", |empire| {
        empire.log().contains("the app sleeps").then_some(())
    });
    stays(Duration::from_millis(300), "the emperor runs", || {
        is_alive(empire.pid())
    });
    let reply = uwsgi_get(socket, "/").expect("an answer");
    assert_eq!(reply.status, 200, "{}", empire.report());
}

#[test]
fn recycling_under_load_takes_one_worker_at_a_time_and_loses_nothing() {
    let app = start(
        "processes = 3\nmax-requests = 30\nmin-worker-lifetime = 0\nrecycle-jitter = 0\n\
         stats = {dir}/stats",
    );
    serving(&app);
    let load = Load::uwsgi(app.path("app.sock"), 4, "/");
    app.wait_for("nine replacements", |app| {
        let accepting = stats(app)?["workers"]
            .as_array()?
            .iter()
            .filter(|it| it["accepting"] == 1)
            .count();
        assert!(accepting >= 2, "{accepting} workers accept");
        (app.log().matches("is to be replaced: max-requests").count() >= 9).then_some(())
    });
    load.stop().must_be_clean(200, || app.report());
    assert!(!app.log().contains("died"), "{}", app.report());
}

#[test]
fn an_old_worker_is_replaced_without_a_lost_request() {
    let app = start("max-worker-lifetime = 1\nmin-worker-lifetime = 0\nrecycle-jitter = 0");
    let before = pid_of(&serving(&app));
    let load = Load::uwsgi(app.path("app.sock"), 2, "/");
    app.wait_for("the end of the first worker", |_| {
        (!is_alive(before)).then_some(())
    });
    load.wait_for_more(20);
    load.stop().must_be_clean(20, || app.report());
}

#[test]
fn a_directory_of_chdir2_that_is_not_there_fails_the_generation_and_the_old_one_serves_on() {
    let app = start("processes = 2");
    let before = pid_of(&serving(&app));
    app.folder.write(
        "app.ini",
        &ini("processes = 2\nchdir2 = /no/such/place")
            .replace("{dir}", app.folder.path().to_str().expect("UTF-8")),
    );
    app.send(Signal::HUP);
    wait_log(&app, "chdir2: cannot change into directory /no/such/place");
    assert!(is_alive(before), "{}", app.report());
    assert!(ask(&app, "/").is_some(), "{}", app.report());
}
