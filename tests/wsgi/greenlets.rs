//! `gevent = N` with the real gevent: requests of one worker overlap, and nothing that waits holds
//! the others.

use std::io::{Read, Write};
use std::thread;

use super::harness::{text, web, with_gevent};
use super::support::{
    Address, Alone, Exchange, Folder, Signal, Vars, skips_without, test_env, uwsgi_get,
};

const APP: &str = "\
import os
import time

import gevent
from gevent import monkey

now = peak = 0


def application(environ, start_response):
    global now, peak
    path = environ['PATH_INFO']
    if path in ('/gevent', '/time'):
        now += 1
        peak = max(peak, now)
        if path == '/time':
            time.sleep(0.2)
        # Until so many are here at once.
        end = time.time() + 20
        while path == '/gevent' and peak < int(environ['QUERY_STRING'] or 0) and time.time() < end:
            gevent.sleep(0.01)
        now -= 1
        text = 'slept on %d' % environ['uwsgi.core']
    elif path == '/long':
        gevent.sleep(1)
        text = 'long'
    elif path == '/later':
        seconds, mark = environ['QUERY_STRING'].split('&')
        gevent.spawn_later(float(seconds), lambda: open(mark, 'w').close())
        text = 'later'
    elif path == '/timeout':
        try:
            with gevent.Timeout(0.2):
                environ['wsgi.input'].read()
                text = 'read'
        except gevent.Timeout:
            text = 'timed out'
    elif path == '/stream':
        start_response('200 OK', [])
        return (b'x' * 65536 for _ in range(320))
    elif path == '/boom':
        raise ValueError('boom')
    else:
        text = '%d %s %d' % (peak, monkey.is_module_patched('time'), os.getpid())
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [text.encode()]
";

/// `None`: no gevent here.
fn start(lines: &str) -> Option<Alone> {
    let environment = test_env();
    let is_there = environment
        .join("lib/python3.11/site-packages/gevent")
        .is_dir();
    if skips_without("gevent in the virtualenv of the tests", is_there) {
        return None;
    }
    let python = format!("virtualenv = {}\n{lines}", environment.display());
    Some(web(APP, &python))
}

/// So many requests at once; their answers.
fn ask_many(app: &Alone, count: usize, uri: &'static str) -> Vec<String> {
    let socket = app.path("s");
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let socket = socket.clone();
            thread::spawn(move || uwsgi_get(socket.as_path(), uri).expect("an answer").text())
        })
        .collect();
    threads.into_iter().map(|it| it.join().unwrap()).collect()
}

fn peak(app: &Alone) -> String {
    text(app, "/")
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn greenlets_of_one_worker_overlap_up_to_their_number() {
    let Some(app) = start("gevent = 5\n") else {
        return;
    };
    let mut answers = ask_many(&app, 12, "/gevent?5");
    assert!(
        answers.iter().all(|answer| answer.starts_with("slept on ")),
        "{answers:?}"
    );
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 5, "one core for each greenlet: {answers:?}");
    assert_eq!(peak(&app), "5");
    let reply = uwsgi_get(app.path("s").as_path(), "/boom").expect("an answer");
    assert_eq!(reply.status, 500);
    assert!(text(&app, "/gevent").starts_with("slept on "));
}

/// Each Python with a gevent of its own, which `tests/run` puts beside the virtualenv.
#[test]
fn gevent_serves_on_every_python() {
    for (python, packages) in with_gevent() {
        let folder = Folder::new();
        folder.write("web.py", APP);
        let ini = format!(
            "[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\nmodule = web\npython = {}\n\
             pythonpath = {}\ngevent = 5\ngevent-monkey-patch = true\nprocesses = 1\n",
            python.display(),
            packages.display()
        );
        let app = Alone::start_in(folder, &ini);
        app.wait_for("the first answer", |app| {
            uwsgi_get(app.path("s").as_path(), "/").ok()
        });
        for uri in ["/gevent?5", "/time"] {
            let answers = ask_many(&app, 8, uri);
            assert!(
                answers.iter().all(|it| it.starts_with("slept on ")),
                "{answers:?}"
            );
        }
        assert_eq!(peak(&app), "5", "{}", app.report());
    }
}

#[test]
fn the_standard_library_is_patched_early_late_or_not() {
    for (lines, patched) in [
        ("gevent = 4\n", false),
        ("gevent = 4\ngevent-monkey-patch = true\n", true),
        (
            "gevent = 4\ngevent-early-monkey-patch = true\nprocesses = 2\n",
            true,
        ),
    ] {
        let Some(app) = start(lines) else {
            return;
        };
        ask_many(&app, 8, "/time");
        let told = text(&app, "/");
        let expected = if patched { " True " } else { " False " };
        assert!(told.contains(expected), "{lines}: {told}");
        assert_eq!(patched, peak(&app) != "1", "{lines}");
    }
}

#[test]
fn a_reload_answers_what_sleeps_and_both_molds_and_workers_have_hubs_of_their_own() {
    let Some(app) = start("gevent = 10\nprocesses = 2\n") else {
        return;
    };
    let socket = app.path("s");
    let before = text(&app, "/");
    let long: Vec<_> = (0..6)
        .map(|_| {
            let socket = socket.clone();
            thread::spawn(move || uwsgi_get(socket.as_path(), "/long"))
        })
        .collect();
    app.send(Signal::HUP);
    app.wait_for("the next generation", |app| {
        app.log().contains("generation 2 serves").then_some(())
    });
    let pid = |text: &str| text.rsplit(' ').next().map(str::to_owned);
    app.wait_for("an answer of the next generation", |app| {
        (pid(&text(app, "/")) != pid(&before)).then_some(())
    });
    for request in long {
        assert_eq!(request.join().unwrap().expect("an answer").text(), "long");
    }
}

#[test]
fn a_client_that_takes_nothing_holds_nobody_and_gets_all_of_it() {
    let Some(app) = start("gevent = 4\nsocket-timeout = 30\n") else {
        return;
    };
    let address = Address::Unix(app.path("s"));
    let packet = Vars::request("GET", "/stream").packet(0, 0);
    let mut stuck = Exchange::connect(&address).expect("a connection");
    stuck.write_all(&packet).expect("a request");
    let mut head = [0; 12];
    stuck.read_exact(&mut head).expect("a head");
    assert!(text(&app, "/gevent").starts_with("slept on "));
    let rest = stuck.read_all().expect("the rest");
    assert_eq!(
        rest.len() + head.len(),
        320 * 65536 + "HTTP/1.1 200 OK\r\n\r\n".len()
    );
}

/// A timeout of the app's own ends its wait for a body that does not come.
#[test]
fn a_timeout_of_the_apps_ends_a_wait_for_the_body() {
    let Some(app) = start("gevent = 4\n") else {
        return;
    };
    // Longer than what is waited for beside the app.
    let vars = Vars::request("POST", "/timeout").with("CONTENT_LENGTH", "1000000");
    let mut exchange = Exchange::connect(&Address::Unix(app.path("s"))).expect("a connection");
    exchange.write_all(&vars.packet(0, 0)).expect("a request");
    exchange
        .write_all(b"some of it")
        .expect("a part of the body");
    let mut answer = [0; 12];
    exchange.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn gevent_wait_for_hub_gives_every_greenlet_its_turn() {
    // Who does not wait has ended long before the longer one is over.
    for (lines, seconds, waits) in [
        ("gevent = 4\ngevent-wait-for-hub = true\n", 0.5, true),
        ("gevent = 4\n", 20.0, false),
    ] {
        let Some(mut app) = start(lines) else {
            return;
        };
        let mark = app.path("mark");
        let uri = format!("/later?{seconds}&{}", mark.display());
        assert_eq!(text(&app, &uri), "later");
        app.send(Signal::TERM);
        app.wait_for_end();
        assert_eq!(mark.exists(), waits, "{lines}");
    }
}

#[test]
fn a_python_without_gevent_is_told_what_to_install() {
    let folder = Folder::new();
    folder.write("web.py", APP);
    let ini = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\n\
               python = /usr/bin/python3\ngevent = 4\n";
    let app = Alone::start_in(folder, ini);
    app.wait_for("the reason", |app| {
        let log = app.log();
        let is_told =
            log.contains("No module named 'gevent'") && log.contains("pip install gevent");
        is_told.then_some(())
    });
}
