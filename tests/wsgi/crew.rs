//! `import uwsgi` across workers: what it tells of the others, the hooks that it calls, its typing
//! stub, and what the operator is told of an app that cannot be forked.

use std::path::Path;

use super::harness::{interpreters, text, web};
use super::support::{Alone, Folder, Signal, repository, uwsgi_get};

const APP: &str = "\
import os
import uwsgi


def ended():
    with open('ended', 'a') as ends:
        ends.write('%d\\n' % uwsgi.worker_id())


def after():
    with open('after', 'a') as afters:
        afters.write('%r\\n' % uwsgi.get_logvar('what'))


uwsgi.atexit = ended
uwsgi.after_req_hook = after
at_import = uwsgi.workers()


def application(environ, start_response):
    start_response('200 OK', [])
    uwsgi.set_logvar('what', environ['PATH_INFO'])
    if environ['PATH_INFO'] == '/workers':
        told = uwsgi.workers()
        pids = [worker['pid'] for worker in told]
        requests = sum(worker['requests'] for worker in told)
        types = sorted({'%s %s' % (key, type(value).__name__) for it in told for key, value in it.items()})
        mine = [worker['requests'] for worker in told if worker['pid'] == os.getpid()]
        return [repr((len(told), os.getpid() in pids, len(set(pids)), requests, types, mine)).encode()]
    if environ['PATH_INFO'] == '/total':
        return [b'%d' % uwsgi.total_requests()]
    return [b'%d' % os.getpid()]
";

fn start(python: &Path, lines: &str) -> Alone {
    web(APP, &format!("python = {}\n{lines}", python.display()))
}

#[test]
fn each_worker_knows_all_workers_and_all_requests() {
    const TYPES: &str = "['apps tuple', 'avg_rt int', 'delta_requests int', 'exceptions int', \
        'id int', 'last_spawn int', 'pid int', 'requests int', 'respawn_count int', 'rss int', \
        'running_time int', 'signals int', 'status bytes', 'tx int', 'vsz int']";
    for (python, lines) in interpreters().iter().zip(
        ["processes = 3\n", "processes = 3\nlazy-apps = true\n"]
            .iter()
            .cycle(),
    ) {
        let app = start(python, lines);
        // Which worker answers is the kernel's choice; whoever it is knows the others.
        app.wait_for("three workers with pids of their own", |app| {
            let told = text(app, "/workers");
            told.starts_with("(3, True, 3, ").then_some(())
        });
        assert!(
            text(&app, "/workers").contains(TYPES),
            "{}",
            text(&app, "/workers")
        );
        let before: u64 = text(&app, "/total").parse().expect("a number");
        for _ in 0..30 {
            text(&app, "/pid");
        }
        app.wait_for("the requests of all workers", |app| {
            let now: u64 = text(app, "/total").parse().expect("a number");
            (now >= before + 30).then_some(())
        });
    }
}

/// Threads of one worker share one interpreter, so an idle worker is woken before a second thread of
/// a busy one.
#[test]
fn requests_at_the_same_time_go_to_workers_that_are_idle() {
    const APP: &str = "\
import os
import time


def application(environ, start_response):
    start_response('200 OK', [])
    name = environ['QUERY_STRING']
    if name:
        with open('new', 'w') as told:
            told.write('%d' % os.getpid())
        os.rename('new', 'in-' + name)
        end = time.monotonic() + 60
        while not os.path.exists('go-' + name) and time.monotonic() < end:
            time.sleep(0.002)
    return [b'%d' % os.getpid()]
";
    const PAIRS: usize = 20;
    let app = web(APP, "processes = 2\nthreads = 4\n");
    let pairs = (0..PAIRS).map(|pair| {
        let (socket, uri) = (app.path("s"), format!("/?{pair}"));
        let first = std::thread::spawn(move || uwsgi_get(socket.as_path(), &uri));
        let inside = app.wait_for("the first of two requests", |app| {
            std::fs::read_to_string(app.path(&format!("in-{pair}"))).ok()
        });
        let second = text(&app, "/");
        app.folder.write(&format!("go-{pair}"), "");
        first.join().expect("no panic").expect("an answer");
        inside != second
    });
    let apart = pairs.filter(|is_apart| *is_apart).count();
    // Not all: a thread that has just answered takes what waits at once.
    assert!(apart >= PAIRS / 2, "{apart}: {}", app.report());
}

/// The count goes on when workers end and the next generation serves.
#[test]
fn the_total_of_requests_outlives_a_reload() {
    let app = start(&interpreters()[0], "processes = 2\n");
    for _ in 0..20 {
        text(&app, "/pid");
    }
    app.send(Signal::HUP);
    app.wait_for("the next generation", |app| {
        app.log().contains("generation 2 serves").then_some(())
    });
    app.wait_for("the requests of both generations", |app| {
        let total: u64 = text(app, "/total").parse().expect("a number");
        (total >= 20).then_some(())
    });
}

#[test]
fn after_req_hook_and_atexit_are_called() {
    for python in interpreters() {
        let mut app = start(python, "");
        text(&app, "/one");
        // The hook runs when the answer is sent already.
        app.wait_for("the hook of the request", |app| {
            app.folder.read("after").contains("b'/one'").then_some(())
        });
        app.send(Signal::TERM);
        app.wait_for_end();
        assert_eq!(app.folder.read("ended"), "1\n", "{}", app.report());
        assert!(!app.log().contains("Traceback"), "{}", app.report());
    }
}

/// What the stub promises, the module has, and the other way round.
#[test]
fn the_typing_stubs_say_what_the_modules_have() {
    const CHECK: &str = "\
import ast
import uwsgi
import uwsgidecorators


def names(path):
    found = {}
    for node in ast.parse(open(path).read()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
    return found


def parameters(function):
    return [it.arg for it in function.args.args]


wrong = []
for module, path in ((uwsgi, UWSGI), (uwsgidecorators, DECORATORS)):
    getattr(module, 'lock')
    stub = names(path)
    for name, node in stub.items():
        it = getattr(module, name, stub)
        if it is stub:
            wrong.append('%s has no %s' % (module.__name__, name))
        elif isinstance(node, ast.FunctionDef) and type(it).__name__ == 'function' and it.__name__ == name:
            code = it.__code__
            mine = list(code.co_varnames[:code.co_argcount])
            if mine and mine != parameters(node):
                wrong.append('%s%r is %r' % (name, parameters(node), mine))
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) in ('bytes', 'int', 'bool', 'tuple', 'dict'):
            if type(it).__name__ != ast.unparse(node.annotation):
                wrong.append('%s is %s' % (name, type(it).__name__))
    ours = {name for name in vars(module) if not name.startswith('_')} - set(vars(module).get('_KEPT', ()))
    ours -= {name for name in ours if type(getattr(module, name)).__name__ == 'module'}
    wrong += ['the stub of %s lacks %s' % (module.__name__, name) for name in ours - set(stub)]


def application(environ, start_response):
    start_response('200 OK', [])
    return [repr(sorted(wrong)).encode()]
";
    for python in interpreters() {
        let stubs = repository().join("crates/cli/dist");
        let code = format!(
            "UWSGI = '{0}/uwsgi.pyi'\nDECORATORS = '{0}/uwsgidecorators.pyi'\n{CHECK}",
            stubs.display()
        );
        let app = web(&code, &format!("python = {}\n", python.display()));
        assert_eq!(text(&app, "/"), "[]", "{}", app.report());
    }
}

#[test]
fn connections_that_forks_would_share_are_pointed_out() {
    const HOLDS: &str = "\
import os, socket, sqlite3
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
client = socket.create_connection(listener.getsockname())
pair = socket.socketpair()
database = sqlite3.connect('shop.db')
database.execute('create table if not exists x (y)')
database.commit()
with open('port', 'w') as port:
    port.write(str(listener.getsockname()[1]))


def application(environ, start_response):
    start_response('200 OK', [])
    return [b'fine']
";
    for (lines, told) in [
        ("processes = 2\n", true),
        ("processes = 2\nlazy-apps = true\n", false),
    ] {
        let folder = Folder::new();
        folder.write("web.py", HOLDS);
        let ini = format!("[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\nmodule = web\n{lines}");
        let app = Alone::start_in(folder, &ini);
        app.wait_for("an answer", |app| {
            uwsgi_get(app.path("s").as_path(), "/").ok()
        });
        app.wait_for("the master to say that it serves", |app| {
            app.log().contains("generation 1 serves").then_some(())
        });
        let log = app.log();
        let line = log
            .lines()
            .find(|line| line.contains("after loading, and all"));
        let Some(line) = line else {
            assert!(!told, "{}", app.report());
            continue;
        };
        assert!(told, "{line}");
        let port = app.folder.read("port");
        for part in [
            format!("a connection to 127.0.0.1:{port}"),
            format!("the database {}", app.path("shop.db").display()),
            "@postfork".to_owned(),
        ] {
            assert!(line.contains(&part), "{part} is not in {line}");
        }
    }
}
