//! `import uwsgi` and `uwsgidecorators` in workers: what works, and what says that it is not here.

use std::path::Path;

use super::harness::{interpreters, text, web};
use super::support::{Alone, stays, uwsgi_get};

const APP: &str = "\
import os
import sys
import threading
import time

import uwsgi
from uwsgidecorators import harakiri, lock, postfork, thread, timer

forked = []


@postfork
def after_fork():
    forked.append(uwsgi.worker_id())


@postfork
@thread
def background():
    forked.append('thread')


def hook():
    forked.append('hook')


uwsgi.post_fork_hook = hook


@lock
def alone(seconds):
    with open('inside', 'x'):
        pass
    time.sleep(seconds)
    os.unlink('inside')
    return 'alone'


@harakiri(1)
def stuck():
    time.sleep(20)


def late_timer():
    try:
        timer(3)(print)
    except NotImplementedError as error:
        return str(error)


def missing():
    try:
        return repr(uwsgi.cache_get('x'))
    except NotImplementedError as error:
        return str(error)


def logvar():
    uwsgi.set_logvar('colour', 'green')
    return repr((uwsgi.get_logvar('colour'), uwsgi.get_logvar('none')))


def unknown():
    try:
        return uwsgi.no_such_thing
    except AttributeError as error:
        return str(error)


VIEWS = {
    '/ids': lambda: repr((uwsgi.worker_id(), uwsgi.mule_id(), uwsgi.masterpid() == os.getppid())),
    '/forked': lambda: repr(sorted(map(str, forked))),
    '/opt': lambda: repr((uwsgi.opt['module'], uwsgi.opt.get('foo'), uwsgi.opt.get('none'))),
    '/always': lambda: repr((uwsgi.opt['enable-threads'], type(uwsgi.version), uwsgi.numproc)),
    '/numbers': lambda: repr((uwsgi.total_requests() > 0, len(uwsgi.mem()), uwsgi.logsize())),
    '/worker': lambda: repr(uwsgi.workers()[0]['pid'] == os.getpid()),
    '/alone': lambda: alone(0.1),
    '/locked': lambda: repr((uwsgi.lock(5), uwsgi.is_locked(5), uwsgi.unlock(5), uwsgi.is_locked(5))),
    '/missing': missing,
    '/timer': late_timer,
    '/unknown': unknown,
    '/logvar': logvar,
    '/log': lambda: repr(uwsgi.log('a line by uwsgi.log')),
    '/stuck': stuck,
    '/reload': lambda: repr(uwsgi.reload()),
    '/pid': lambda: str(os.getpid()),
}


def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/disconnect':
        return leave(environ)
    return [VIEWS[environ['PATH_INFO']]().encode()]


def leave(environ):
    yield b'bye'
    uwsgi.disconnect()
    time.sleep(0.3)
    uwsgi.log('went on after the disconnect')
";

fn start(python: &Path, lines: &str) -> Alone {
    web(
        APP,
        &format!("python = {}\nfoo = bar\n{lines}", python.display()),
    )
}

#[test]
fn the_module_tells_and_does_what_apps_ask_of_it() {
    for python in interpreters() {
        let app = start(python, "log-format = %(uri) is %(colour)\n");
        app.wait_for("the thread that each fork starts", |app| {
            text(app, "/forked").contains("thread").then_some(())
        });
        for (uri, expected) in [
            ("/ids", "(1, 0, True)"),
            ("/forked", "['1', 'hook', 'thread']"),
            ("/opt", "(b'web', b'bar', None)"),
            ("/always", "(b'true', <class 'bytes'>, 1)"),
            ("/numbers", "(True, 2, 0)"),
            ("/worker", "True"),
            ("/locked", "(None, True, None, False)"),
            ("/logvar", "(b'green', None)"),
            ("/log", "True"),
            (
                "/unknown",
                "module 'uwsgi' has no attribute 'no_such_thing'",
            ),
        ] {
            assert_eq!(text(&app, uri), expected, "{uri} on {}", python.display());
        }
        for (uri, instead) in [("/missing", "Redis"), ("/timer", "option cron")] {
            let told = text(&app, uri);
            assert!(told.contains(instead), "{uri}: {told}");
        }
        assert_eq!(text(&app, "/disconnect"), "bye");
        for line in [
            "a line by uwsgi.log",
            "/logvar is green",
            "went on after the disconnect",
        ] {
            app.wait_for(line, |app| app.log().contains(line).then_some(()));
        }
    }
}

#[test]
fn the_lock_is_one_for_all_workers_forked_or_not() {
    for lines in [
        "processes = 3\nthreads = 2\n",
        "processes = 3\nthreads = 2\nlazy-apps = true\n",
    ] {
        let app = start(&interpreters()[0], lines);
        let socket = app.path("s");
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let socket = socket.clone();
                std::thread::spawn(move || uwsgi_get(socket.as_path(), "/alone"))
            })
            .collect();
        for request in asking {
            let reply = request.join().unwrap().expect("an answer");
            // Two at once would have found the file of the other.
            assert_eq!(reply.text(), "alone", "{}", app.report());
        }
    }
}

#[test]
fn a_reload_by_the_app_starts_the_next_generation() {
    let app = start(&interpreters()[0], "");
    let before = text(&app, "/pid");
    assert_eq!(text(&app, "/reload"), "True");
    app.wait_for("the next generation", |app| {
        let now = uwsgi_get(app.path("s").as_path(), "/pid").ok()?.text();
        (now != before).then_some(())
    });
}

#[test]
fn a_user_harakiri_ends_the_worker_with_its_stacks_and_only_when_it_is_due() {
    let app = start(&interpreters()[0], "harakiri-grace = 1");
    let before = text(&app, "/pid");
    let stuck = uwsgi_get(app.path("s").as_path(), "/stuck").expect("an answer");
    assert_eq!(stuck.status, 504, "{}", app.report());
    app.wait_for("the stacks", |app| {
        let log = app.log();
        (log.contains("ran past set_user_harakiri") && log.contains("in stuck")).then_some(())
    });
    app.wait_for("another worker", |app| {
        let now = uwsgi_get(app.path("s").as_path(), "/pid").ok()?;
        (now.status == 200 && now.text() != before).then_some(())
    });
    let now = text(&app, "/pid");
    let span = std::time::Duration::from_millis(1200);
    stays(span, "nothing else ends", || text(&app, "/pid") == now);
}
