//! Requests that run past their deadline, on every interpreter found: answered, interrupted in their
//! own thread, told with their stacks; and their siblings, who notice nothing.

use std::path::Path;

use super::harness::{interpreters, web, with_gevent};
use super::support::{
    Address, Alone, Load, background, http, is_alive, skips_without, stays, uwsgi_get, wait_within,
};

const APP: &str = "\
import hashlib
import os
import re
import threading
import time

import uwsgi


def sleeps(environ):
    time.sleep(120)


def counts(environ):
    # One call of C that lets the others run, and hears no exception before its end.
    hashlib.pbkdf2_hmac('sha256', b'a' * 64, b'b' * 64, 400_000_000)


def spins(environ):
    open('spins', 'w').close()
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass


def holds(environ):
    # One call of C that lets nobody run.
    re.match('(a|a?)+$', 'a' * 36 + 'b')


def reads(environ):
    environ['wsgi.input'].read()


def owns(environ):
    uwsgi.set_user_harakiri(int(environ['QUERY_STRING']))
    time.sleep(0.2)
    uwsgi.set_user_harakiri(0)
    return 'in time'


def overdraws(environ):
    uwsgi.set_user_harakiri(1)
    while True:
        time.sleep(0.01)


def reports(environ):
    while not os.path.exists('report'):
        time.sleep(0.01)
    return 'reported'


def waits(environ):
    # Only where there is a hub.
    import gevent
    gevent.sleep(120)


def waits_twice(environ):
    import gevent
    while True:
        try:
            gevent.sleep(0.01)
        except Exception:
            pass


def nap(environ):
    time.sleep(0.2)
    return 'napped'


def stream(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    yield b'first '
    while True:
        time.sleep(0.01)


VIEWS = {'/sleeps': sleeps, '/counts': counts, '/spins': spins, '/holds': holds, '/reads': reads,
         '/reports': reports, '/waits': waits, '/waits-twice': waits_twice, '/owns': owns, '/overdraws': overdraws, '/nap': nap}


def application(environ, start_response):
    if environ['PATH_INFO'] == '/stream':
        return stream(environ, start_response)
    view = VIEWS.get(environ['PATH_INFO'])
    text = view(environ) if view else '%d' % os.getpid()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(text).encode()]
";

fn start(python: &Path, lines: &str) -> Alone {
    let python = python.display();
    web(
        APP,
        &format!("http-socket = {{dir}}/h\npython = {python}\n{lines}"),
    )
}

fn pid(app: &Alone) -> Option<i32> {
    let reply = uwsgi_get(app.path("s").as_path(), "/").ok()?;
    reply.text().parse().ok().filter(|_| reply.status == 200)
}

#[track_caller]
fn wait_log(app: &Alone, text: &str) {
    app.wait_for(&format!("\"{text}\" in the log"), |app| {
        app.log().contains(text).then_some(())
    });
}

/// What overruns is answered 504 and told with its stack; its three siblings are asked all the time
/// until the worker is gone, and each of their requests is answered.
fn siblings_are_not_hurt(python: &Path, uri: &'static str, frame: &str) {
    // A busy machine may hold a nap for a second.
    let app = start(python, "threads = 4\nharakiri = 3\nharakiri-grace = 1");
    let worker = pid(&app).expect("a pid");
    let load = Load::uwsgi(app.path("s"), 3, "/nap");
    load.wait_for_more(3);
    let reply = uwsgi_get(app.path("s").as_path(), uri).expect("an answer");
    assert_eq!(reply.status, 504, "{}", app.report());
    wait_log(&app, frame);
    wait_log(&app, &format!("GET {uri} since "));
    app.wait_for("the end of the worker", |_| {
        (!is_alive(worker)).then_some(())
    });
    load.wait_for_more(6);
    load.stop().must_be_clean(9, || app.report());
}

#[test]
fn siblings_of_a_request_that_sleeps_past_its_deadline_are_not_hurt() {
    for python in interpreters() {
        siblings_are_not_hurt(python, "/sleeps", "in sleeps");
    }
}

#[test]
fn siblings_of_a_request_in_a_call_of_c_are_not_hurt() {
    siblings_are_not_hurt(&interpreters()[0], "/counts", "in counts");
}

#[test]
fn siblings_of_a_request_that_ends_by_its_exception_are_not_hurt() {
    for python in interpreters() {
        siblings_are_not_hurt(python, "/spins", "in spins");
    }
}

#[test]
fn an_exception_ends_the_request_whatever_its_app_catches_and_its_worker_is_recycled() {
    for python in interpreters() {
        // No grace would be long enough if the exception did not end it.
        let app = start(python, "harakiri = 1\nharakiri-grace = 600");
        let worker = pid(&app).expect("a pid");
        let reply = uwsgi_get(app.path("s").as_path(), "/spins").expect("an answer");
        assert_eq!(reply.status, 504, "{}", app.report());
        wait_log(&app, "imperator.RequestOverdue: ");
        wait_log(
            &app,
            "is to be replaced: an exception was raised in a request",
        );
        app.wait_for("the next worker", |app| {
            pid(app).filter(|now| *now != worker)
        });
        app.wait_for("the end of the first", |_| {
            (!is_alive(worker)).then_some(())
        });
    }
}

#[test]
fn without_a_grace_nothing_is_raised() {
    let app = start(&interpreters()[0], "harakiri = 1\nharakiri-grace = 0");
    let worker = pid(&app).expect("a pid");
    let reply = uwsgi_get(app.path("s").as_path(), "/spins").expect("an answer");
    assert_eq!(reply.status, 504, "{}", app.report());
    app.wait_for("the end of the worker", |_| {
        (!is_alive(worker)).then_some(())
    });
    assert!(!app.log().contains("RequestOverdue"), "{}", app.report());
}

#[test]
fn an_answer_whose_head_is_out_is_cut_and_gets_no_other() {
    let app = start(&interpreters()[0], "harakiri = 1");
    let reply = http(&Address::Unix(app.path("h")), "GET", "/stream", &[], b"");
    let reply = reply.expect("the head");
    assert_eq!((reply.status, reply.complete), (200, false), "{reply:?}");
    assert_eq!(reply.text(), "first ");
    wait_log(&app, "imperator.RequestOverdue: ");
}

#[test]
fn an_app_that_waits_for_its_body_is_answered_for() {
    use std::io::{Read, Write};
    let lines = "harakiri = 1\nharakiri-grace = 1\npost-buffering = 0\nsocket-timeout = 60";
    let app = start(&interpreters()[0], lines);
    let mut client = std::os::unix::net::UnixStream::connect(app.path("h")).expect("connect");
    let head = b"POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n";
    client.write_all(head).expect("the head");
    client
        .write_all(&[b'x'; 100_000])
        .expect("a part of the body");
    let mut answer = vec![0; 64];
    client
        .set_read_timeout(Some(super::support::PATIENCE))
        .expect("a timeout");
    client.read_exact(&mut answer).expect("an answer");
    assert!(
        answer.starts_with(b"HTTP/1.1 504 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[test]
fn a_deadline_of_the_apps_own_ends_the_request_and_one_that_is_kept_ends_nothing() {
    for python in interpreters() {
        let app = start(python, "harakiri-grace = 600");
        let worker = pid(&app).expect("a pid");
        let reply = uwsgi_get(app.path("s").as_path(), "/owns?2").expect("an answer");
        assert_eq!(reply.text(), "in time", "{}", app.report());
        let span = std::time::Duration::from_millis(2200);
        stays(span, "nobody ends", || pid(&app) == Some(worker));
        let reply = uwsgi_get(app.path("s").as_path(), "/overdraws").expect("an answer");
        assert_eq!(reply.status, 504, "{}", app.report());
        wait_log(&app, "a request ran past set_user_harakiri");
        wait_log(&app, "in overdraws");
        app.wait_for("the next worker", |app| {
            pid(app).filter(|now| *now != worker)
        });
    }
}

#[test]
fn a_worker_whose_interpreter_nobody_gets_goes_where_stuck_timeout_says_so() {
    let lines = "threads = 2\nstuck-timeout = 1\nharakiri-grace = 1\nworker-reload-mercy = 5";
    let app = start(&interpreters()[0], lines);
    let worker = pid(&app).expect("a pid");
    let reply = uwsgi_get(app.path("s").as_path(), "/holds").expect("an answer");
    assert_eq!(reply.status, 504, "{}", app.report());
    wait_log(&app, "a request ran past stuck-timeout");
    wait_log(&app, "in holds");
    app.wait_for("the end of the worker", |_| {
        (!is_alive(worker)).then_some(())
    });
    app.wait_for("the next worker", |app| {
        pid(app).filter(|now| *now != worker)
    });
}

#[test]
fn threads_that_are_all_taken_go_where_stuck_timeout_says_so() {
    let lines = "threads = 2\nstuck-timeout = 2\nharakiri-grace = 1";
    let app = start(&interpreters()[0], lines);
    let worker = pid(&app).expect("a pid");
    let socket = app.path("s");
    background(move || {
        let _ = uwsgi_get(socket.as_path(), "/sleeps");
    });
    // With a thread that is free the other one may take its time.
    let span = std::time::Duration::from_secs(3);
    stays(span, "nobody ends", || pid(&app) == Some(worker));
    let reply = uwsgi_get(app.path("s").as_path(), "/sleeps").expect("an answer");
    assert_eq!(reply.status, 504, "{}", app.report());
    app.wait_for("the end of the worker", |_| {
        (!is_alive(worker)).then_some(())
    });
}

/// Holds one thread of a process as a debugger does, until it is killed.
const HOLDS: &str = "\
import ctypes
import os
import sys

tid = int(sys.argv[1])
ptrace = ctypes.CDLL(None).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
if ptrace(SEIZE, tid, None, None) or ptrace(INTERRUPT, tid, None, None):
    sys.exit('not allowed')
os.waitpid(tid, WALL)
print('held', flush=True)
# Its end is to be heard, or its process does not end.
os.waitpid(tid, WALL)
";

#[test]
fn a_worker_whose_io_thread_is_silent_is_replaced() {
    use std::io::{BufRead, BufReader};
    let app = start(&interpreters()[0], "threads = 2");
    let worker = pid(&app).expect("a pid");
    let tasks = std::fs::read_dir(format!("/proc/{worker}/task")).expect("its threads");
    let is_io = |path: &Path| {
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        name.trim() == "imperator-io"
    };
    let mut tasks = tasks.flatten().map(|entry| entry.path());
    let thread = tasks.find(|path| is_io(path)).expect("an I/O thread");
    let mut holder = std::process::Command::new(&interpreters()[0])
        .args(["-c", HOLDS])
        .arg(thread.file_name().expect("a number"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a debugger");
    let mut said = String::new();
    let output = holder.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut said).expect("a line");
    if skips_without("ptrace", said == "held\n") {
        let _ = holder.wait();
        return;
    }
    wait_log(
        &app,
        &format!(
            "worker 1 (pid {worker}) is to be replaced: its I/O thread has said nothing for 10 s"
        ),
    );
    app.wait_for("the next worker", |app| {
        pid(app).filter(|now| *now != worker)
    });
    app.wait_for("the end of the first", |_| {
        (!is_alive(worker)).then_some(())
    });
    let _ = holder.wait();
}

#[test]
fn a_long_report_is_told_by_its_stacks_and_survives() {
    let app = start(&interpreters()[0], "");
    let worker = pid(&app).expect("a pid");
    let socket = app.path("s");
    let report = std::thread::spawn(move || uwsgi_get(socket.as_path(), "/reports"));
    let patience = std::time::Duration::from_secs(90);
    let told = "can answer nobody: its one thread is in a request older than 30 s";
    let what = || app.report();
    wait_within(patience, told, what, || {
        app.log().contains(told).then_some(())
    });
    app.folder.write("report", "");
    let reply = report.join().expect("no panic").expect("an answer");
    assert_eq!((reply.status, reply.text().as_str()), (200, "reported"));
    assert_eq!(pid(&app), Some(worker), "{}", app.report());
}

/// What overruns where it waits for the hub is thrown out of there; the greenlets beside it are
/// asked all the time, by the worker that goes and by its next.
#[test]
fn siblings_of_a_greenlet_past_its_deadline_are_not_hurt() {
    for (python, packages) in with_gevent() {
        for (uri, frame) in [("/waits", "in waits"), ("/waits-twice", "in waits_twice")] {
            // A busy machine may hold a nap for a second.
            // No grace would be long enough if the exception did not end it.
            let lines = format!(
                "gevent = 4\ngevent-monkey-patch = true\npythonpath = {}\n\
                 harakiri = 3\nharakiri-grace = 600",
                packages.display()
            );
            let app = start(python, &lines);
            let worker = pid(&app).expect("a pid");
            let load = Load::uwsgi(app.path("s"), 3, "/nap");
            load.wait_for_more(3);
            let reply = uwsgi_get(app.path("s").as_path(), uri).expect("an answer");
            assert_eq!(reply.status, 504, "{}", app.report());
            wait_log(&app, "greenlet of core ");
            wait_log(&app, frame);
            wait_log(&app, &format!("GET {uri} raised"));
            wait_log(&app, "imperator.RequestOverdue: ");
            // Its end may be quicker than the master's look, which tells more.
            wait_log(&app, "a request ran past harakiri");
            app.wait_for("the end of the worker", |_| {
                (!is_alive(worker)).then_some(())
            });
            load.wait_for_more(6);
            load.stop().must_be_clean(9, || app.report());
        }
    }
}

#[test]
fn a_greenlet_that_holds_its_hub_goes_with_its_worker() {
    if let Some((python, packages)) = with_gevent().into_iter().next() {
        let lines = format!(
            "gevent = 4\npythonpath = {}\nharakiri = 1\nharakiri-grace = 1\nworker-reload-mercy = 5",
            packages.display()
        );
        let app = start(python, &lines);
        let worker = pid(&app).expect("a pid");
        let reply = uwsgi_get(app.path("s").as_path(), "/spins").expect("an answer");
        assert_eq!(reply.status, 504, "{}", app.report());
        wait_log(&app, "in spins");
        wait_log(
            &app,
            "is to be replaced: a request past its deadline does not end",
        );
        // Who came to the first worker before that waits as long as that lives.
        app.wait_for("the next worker", |app| {
            pid(app).filter(|now| *now != worker)
        });
        app.wait_for("the end of the first", |_| {
            (!is_alive(worker)).then_some(())
        });
    }
}
