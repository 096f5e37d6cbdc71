//! Reloads: the next generation beside the old one, on the same sockets.

use crate::apps::{APP, ask, folder, pid_of, serving, start, start_in, wait_log, wait_version};
use crate::support::{Load, Signal, is_alive, uwsgi_get};

fn version(new: &str) -> String {
    APP.replace("\"one\"", &format!("\"{new}\""))
}

fn reloads_under_load(lines: &str) {
    let app = start(lines);
    serving(&app);
    let load = Load::uwsgi(app.path("app.sock"), 8, "/");
    load.wait_for_more(50);
    for round in 0..5 {
        let name = format!("v{round}");
        app.folder.write("app.py", &version(&name));
        app.send(Signal::HUP);
        wait_version(&app, &name);
        load.wait_for_more(50);
    }
    load.stop().must_be_clean(250, || app.report());
}

#[test]
fn hup_under_load_loses_no_request_with_two_workers() {
    reloads_under_load("processes = 2");
}

#[test]
fn hup_under_load_loses_no_request_with_one_worker() {
    reloads_under_load("");
}

#[test]
fn hup_under_load_loses_no_request_with_four_threads() {
    reloads_under_load("threads = 4");
}

#[test]
fn a_generation_that_cannot_load_leaves_the_old_one_alone() {
    let app = start("processes = 2");
    let before = pid_of(&serving(&app));
    app.folder.write("app.py", "import nothing_of_this_name\n");
    let load = Load::uwsgi(app.path("app.sock"), 4, "/");
    app.send(Signal::HUP);
    wait_log(&app, "generation 2 failed");
    wait_log(&app, "No module named 'nothing_of_this_name'");
    wait_log(&app, "generation 1 serves on");
    load.wait_for_more(100);
    load.stop().must_be_clean(100, || app.report());
    assert!(is_alive(before), "{}", app.report());
    app.folder.write("app.py", &version("mended"));
    app.send(Signal::HUP);
    wait_version(&app, "mended");
}

#[test]
fn a_request_in_flight_outlives_the_reload() {
    let app = start("");
    let before = pid_of(&serving(&app));
    let socket = app.path("app.sock");
    let slow = std::thread::spawn(move || uwsgi_get(socket, "/held"));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    app.folder.write("app.py", &version("two"));
    app.send(Signal::HUP);
    wait_version(&app, "two");
    assert!(
        is_alive(before),
        "the old worker still works\n{}",
        app.report()
    );
    app.folder.write("let-go", "");
    let reply = slow.join().unwrap().expect("an answer");
    assert_eq!(reply.text(), "\"held\"");
    app.wait_for("the old worker's end", |_| {
        (!is_alive(before)).then_some(())
    });
}

#[test]
fn a_touched_file_reloads() {
    let folder = folder(APP);
    folder.write("flag", "");
    let app = start_in(folder, "touch-reload = {dir}/flag");
    serving(&app);
    app.folder.write("app.py", &version("touched"));
    app.folder.touch("flag");
    wait_version(&app, "touched");
}

#[test]
fn a_reload_may_change_the_sockets() {
    let app = start("");
    serving(&app);
    app.folder.write(
        "app.ini",
        "[uwsgi]\nsocket = {dir}/other.sock\nsocket = @{dir}/abstract\nmodule = app\nchdir = {dir}\n",
    );
    app.send(Signal::HUP);
    app.wait_for("the new socket", |app| {
        uwsgi_get(app.path("other.sock"), "/").ok()
    });
    app.wait_for("the old socket to go", |app| {
        (!app.path("app.sock").exists()).then_some(())
    });
    assert!(ask(&app, "/").is_none());
}

#[test]
fn a_reload_during_a_reload_ends_with_the_last_code() {
    let app = start("processes = 2");
    serving(&app);
    for round in 0..10 {
        app.folder.write("app.py", &version(&format!("v{round}")));
        app.send(Signal::HUP);
        crate::support::dawdle(std::time::Duration::from_millis(30));
    }
    wait_version(&app, "v9");
}
