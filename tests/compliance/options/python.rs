//! Options of the interpreter and of what it loads.

use super::pair::{self, Facts, Server, compare_runs};
use super::support::{Address, Exchange, Vars, skips_without, test_env};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("paste", "a_paste_app_is_loaded_with_its_logging"),
    ("paste-logger", "a_paste_app_is_loaded_with_its_logging"),
    ("ini-paste", "a_paste_app_is_loaded_with_its_logging"),
    ("ini-paste-logged", "a_paste_app_is_loaded_with_its_logging"),
    (
        "gevent",
        "greenlets_of_one_worker_overlap_up_to_their_number",
    ),
    (
        "gevent-early-monkey-patch",
        "the_standard_library_is_patched_early_late_or_not",
    ),
    (
        "gevent-monkey-patch",
        "the_standard_library_is_patched_early_late_or_not",
    ),
    (
        "gevent-wait-for-hub",
        "gevent_wait_for_hub_gives_every_greenlet_its_turn",
    ),
    (
        "py-autoreload",
        "an_edit_of_a_loaded_module_serves_and_a_broken_one_changes_nothing",
    ),
    (
        "py-auto-reload-ignore",
        "an_edit_of_a_loaded_module_serves_and_a_broken_one_changes_nothing",
    ),
    (
        "py-tracebacker",
        "the_tracebacker_tells_the_stacks_of_a_worker_that_hangs",
    ),
];

/// Notes what the first line of an answer's body says.
fn note_body(server: &Server, facts: &mut Facts, uri: &str) {
    let reply = server.get(uri);
    let line = reply.text().lines().next().unwrap_or_default().to_owned();
    facts.note(uri, format!("{} {line}", pair::outcome(&reply)));
}

/// Tells what it finds, as text; and notes what was imported before it.
const TELLS: &str = "\
import sys
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    told = {
        '/name': __name__,
        '/argv': sys.argv,
        '/optimize': (sys.flags.optimize, __debug__, __doc__),
        '/site': 'site' in sys.modules,
        '/executable': sys.executable,
        '/early': sorted(name for name in sys.modules if name.endswith(('early', 'alias'))),
        '/order': getattr(sys, 'imported', None),
    }
    return [repr(told[environ['PATH_INFO']]).encode()]
def other(environ, start_response):
    start_response('200 OK', [])
    return [b'other']
def create_app():
    return other
";
const NOTES_ITSELF: &str = "\
import sys
sys.imported = getattr(sys, 'imported', []) + [__name__]
";

const LOADING: &[Case] = &[
    Case {
        options: &["eval"],
        ini: "[uwsgi]\nsocket = {dir}/s\ncallable = app\n\
              eval = def app(e, s): s('200 OK', []); return [__name__.encode()]\n",
        see: |server, facts| note_body(server, facts, "/"),
        ..Case::PLAIN
    },
    Case {
        options: &["import", "shared-import"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = tells\n\
              import = early\nimport = missing_module\nimport = other_early.py\n\
              shared-import = third_early\nneed-app = true\n",
        files: &[
            ("tells.py", TELLS),
            ("early.py", NOTES_ITSELF),
            ("other_early.py", NOTES_ITSELF),
            ("third_early.py", NOTES_ITSELF),
        ],
        differs: &[],
        see: |server, facts| {
            for uri in ["/early", "/name"] {
                note_body(server, facts, uri);
            }
            server.wait_for("the missing module in the log", |server| {
                server.log().contains("missing_module").then_some(())
            });
        },
    },
    Case {
        options: &["import"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = tells\n\
              import = early\nimport = other_early.py\n",
        files: &[
            ("tells.py", TELLS),
            ("early.py", NOTES_ITSELF),
            ("other_early.py", NOTES_ITSELF),
        ],
        see: |server, facts| note_body(server, facts, "/order"),
        ..Case::PLAIN
    },
    Case {
        options: &["pyargv", "optimize", "py-executable"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nwsgi = tells\n\
              pyargv = --config  /etc/app.yaml 'two words'\noptimize = 2\n\
              py-executable = /opt/python\n",
        files: &[("tells.py", TELLS)],
        see: |server, facts| {
            for uri in ["/argv", "/optimize", "/executable"] {
                note_body(server, facts, uri);
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["no-site"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = tells\nno-site = true\n",
        files: &[("tells.py", TELLS)],
        see: |server, facts| note_body(server, facts, "/site"),
        ..Case::PLAIN
    },
    Case {
        options: &["pymodule-alias"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = alias\n\
              pymodule-alias = alias=tells\npymodule-alias = other_alias={dir}/early.py\n",
        files: &[("tells.py", TELLS), ("early.py", NOTES_ITSELF)],
        see: |server, facts| {
            for uri in ["/name", "/order", "/early"] {
                note_body(server, facts, uri);
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["wsgi-file", "callable"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nfile = odd-name.v2.wsgi\n",
        files: &[("odd-name.v2.wsgi", TELLS)],
        see: |server, facts| note_body(server, facts, "/name"),
        ..Case::PLAIN
    },
    Case {
        options: &["module", "callable"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = tells:create_app()\n",
        files: &[("tells.py", TELLS)],
        see: |server, facts| note_body(server, facts, "/"),
        ..Case::PLAIN
    },
    Case {
        options: &["module", "callable"],
        ini: "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = tells\ncallable = other\n",
        files: &[("tells.py", TELLS)],
        see: |server, facts| note_body(server, facts, "/"),
        ..Case::PLAIN
    },
    Case {
        options: &["pythonpath"],
        ini: "[uwsgi]\nsocket = {dir}/s\nmodule = tells\npythonpath = {dir}/pack*\n",
        files: &[("packages/tells.py", TELLS)],
        see: |server, facts| note_body(server, facts, "/name"),
        ..Case::PLAIN
    },
];

#[test]
fn what_is_loaded_and_how() {
    run(LOADING);
}

/// Answers in the odd ways that `wsgi-*` options are about.
const ANSWERS: &str = "\
import os, time
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/boom':
        raise ValueError('no luck today')
    head = start_response('200 OK', [('Content-Type', 'text/plain')])
    if path == '/bytes':
        return b'bytes'
    if path == '/array':
        return bytearray(b'array')
    if path == '/views':
        return [memoryview(b'a view'), bytearray(b' and an array')]
    if path == '/wrapper':
        return [str('wsgi.file_wrapper' in environ).encode()]
    if path == '/slow':
        for _ in range(2000):
            time.sleep(0.01)
            if os.path.exists(os.path.join(os.path.dirname(__file__), 'head-is-here')):
                return [b'after the head']
        return [b'nobody saw the head']
    if path == '/stack':
        import threading
        return [repr(threading.stack_size()).encode()]
";

const ANSWERING: &[Case] = &[
    Case {
        options: &["wsgi-accept-buffer"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/odd.py\nwsgi-accept-buffers = true\n",
        files: &[("odd.py", ANSWERS)],
        see: |server, facts| {
            for uri in ["/array", "/views", "/bytes"] {
                note_body(server, facts, uri);
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["wsgi-disable-file-wrapper"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/odd.py\n\
              wsgi-disable-file-wrapper = true\n",
        files: &[("odd.py", ANSWERS)],
        see: |server, facts| note_body(server, facts, "/wrapper"),
        ..Case::PLAIN
    },
    Case {
        options: &["wsgi-strict"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/odd.py\nwsgi-strict = true\n",
        files: &[("odd.py", ANSWERS)],
        differs: &[("/bytes", "`wsgi-strict` and a plain bytes object")],
        see: |server, facts| {
            for uri in ["/bytes", "/wrapper"] {
                note_body(server, facts, uri);
            }
        },
    },
    Case {
        options: &["catch-exceptions"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/odd.py\ncatch-exceptions = true\n",
        files: &[("odd.py", ANSWERS)],
        see: |server, facts| {
            let vars = Vars::request("GET", "/boom").with("HTTP_X_ASKED", "for it");
            let reply = server.ask(&vars, b"");
            facts.note("the answer", pair::outcome(&reply));
            facts.note(
                "a plain text",
                reply
                    .header("content-type")
                    .is_some_and(|it| it.starts_with("text/plain")),
            );
            for part in [
                "ValueError: no luck today",
                "HTTP_X_ASKED = for it",
                "REQUEST_METHOD = GET",
            ] {
                facts.note(part, reply.text().contains(part));
            }
            note_body(server, facts, "/wrapper");
        },
        ..Case::PLAIN
    },
    Case {
        options: &["start_response-nodelay"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/odd.py\n\
              start_response-nodelay = true\n",
        files: &[("odd.py", ANSWERS)],
        see: |server, facts| {
            use std::io::{Read, Write};
            note_body(server, facts, "/wrapper");
            let address = Address::Unix(server.socket());
            let mut exchange = Exchange::connect(&address).expect("a connection");
            let packet = Vars::request("GET", "/slow").packet(0, 0);
            exchange.write_all(&packet).expect("a request");
            let mut head = [0; 12];
            exchange.read_exact(&mut head).expect("a head");
            facts.note("the head", String::from_utf8_lossy(&head));
            server.folder().write("head-is-here", "");
            let rest = exchange.read_all().expect("a body");
            facts.note("the body came later", rest.ends_with(b"after the head"));
        },
        ..Case::PLAIN
    },
];

#[test]
fn how_the_app_is_answered_for() {
    run(ANSWERING);
}

/// An app of PasteDeploy that logs with its own format.
#[test]
fn a_paste_app_is_loaded_with_its_logging() {
    const INI: &str = "\
[app:main]
paste.app_factory = pasted:factory
greeting = hello from %(here)s
[uwsgi]
threads = 2
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = PASTED %(levelname)s %(message)s
";
    const APP: &str = "\
import logging
def factory(defaults, greeting):
    def app(environ, start_response):
        logging.getLogger().info('in the app')
        start_response('200 OK', [])
        return [(greeting + (' uwsgi.core' if 'uwsgi.core' in environ else '')).encode()]
    return app
";
    let environment = test_env();
    let pasted = environment.join("lib/python3.11/site-packages/paste/deploy");
    if skips_without(
        "PasteDeploy in the virtualenv of the tests",
        pasted.is_dir(),
    ) {
        return;
    }
    for (lines, is_logged) in [
        ("ini-paste-logged = deploy.ini\n", true),
        ("ini-paste = deploy.ini\n", false),
        (
            "paste = config:{dir}/deploy.ini\npaste-logger = true\n",
            true,
        ),
    ] {
        compare_runs(&[], |which| {
            let folder = pair::folder();
            folder.write("deploy.ini", INI);
            folder.write("pasted.py", APP);
            let ini = format!(
                "[uwsgi]\nsocket = {{dir}}/s\npythonpath = {{dir}}\nvirtualenv = {}\n{lines}",
                environment.display()
            );
            let server = Server::start_in(which, folder, &ini);
            let mut facts = Facts::default();
            let text = server.get("/").text();
            let here = server.folder().path().display().to_string();
            facts.note("the answer", text.replace(&here, "DIR"));
            if is_logged {
                server.wait_for("a line of the app's logging", |server| {
                    server
                        .log()
                        .contains("PASTED INFO in the app")
                        .then_some(())
                });
            }
            facts
        });
    }
}
