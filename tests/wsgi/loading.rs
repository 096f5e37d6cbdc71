//! Apps that cannot be loaded: one line that names cause and place, a master that lives, and
//! service as soon as the cause is gone.

use std::time::Duration;

use super::harness::{interpreters, old_interpreters};
use super::support::{Address, Alone, Folder, Vars, stays, uwsgi, uwsgi_get};

const GOOD: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'good']
";

/// Serves `app.py` with this text; each of `expected` must stand in one line of the log.
#[track_caller]
fn fails(app: &str, lines: &str, expected: &[&str]) -> Alone {
    let folder = Folder::new();
    folder.write("code.py", app);
    fails_in(folder, lines, expected)
}

#[track_caller]
fn fails_in(folder: Folder, lines: &str, expected: &[&str]) -> Alone {
    let expected: Vec<String> = expected.iter().map(|part| folder.fill(part)).collect();
    let alone = Alone::start_in(
        folder,
        &format!("[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\n{lines}"),
    );
    alone.wait_for(&format!("one line with {expected:?}"), |alone| {
        let log = alone.log();
        log.lines()
            .any(|line| expected.iter().all(|part| line.contains(part)))
            .then_some(())
    });
    alone
}

/// The cause is gone: the app serves, at once or after a touch.
#[track_caller]
fn serves_after(mut alone: Alone, repair: impl Fn(&Folder)) {
    assert!(alone.process().ended().is_none(), "{}", alone.report());
    repair(&alone.folder);
    alone.folder.touch("app.ini");
    alone.send(super::support::Signal::HUP);
    let socket = alone.path("s");
    alone.wait_for("the repaired app to answer", |_| {
        let reply = uwsgi_get(socket.as_path(), "/").ok()?;
        (reply.text() == "good").then_some(())
    });
}

const MODULE: &str = "module = code\n";

#[test]
fn without_need_app_the_rest_is_served() {
    let folder = Folder::new();
    folder.write("code.py", "raise RuntimeError('not today')\n");
    folder.write("other.py", GOOD);
    let lines = "module = code\nmount = /other=other.py\nneed-app = false\n";
    let alone = fails_in(folder, lines, &["RuntimeError: not today", "app.ini:4"]);
    let socket = alone.path("s");
    let ask = |script_name: &str| {
        let vars = Vars::request("GET", "/x").with("SCRIPT_NAME", script_name);
        uwsgi(&Address::Unix(socket.clone()), &vars, b"").ok()
    };
    alone.wait_for("the app that could be loaded", |_| {
        ask("/other").filter(|reply| reply.text() == "good")
    });
    assert_eq!(ask("").map(|reply| reply.status), Some(404));
}

#[test]
fn a_module_that_does_not_exist() {
    for python in interpreters() {
        let lines = format!("python = {}\nmodule = blgo.wsgi\n", python.display());
        let expected = [
            "ModuleNotFoundError: No module named 'blgo'",
            "app.ini:5: ",
            "module = blgo.wsgi",
        ];
        let alone = fails(GOOD, &lines, &expected);
        serves_after(alone, |folder| {
            std::fs::create_dir(folder.join("blgo")).unwrap();
            folder.write("blgo/wsgi.py", GOOD);
        });
    }
}

#[test]
fn a_module_that_raises() {
    let code = "def start():\n    raise RuntimeError('no database')\nstart()\n";
    let expected = [
        "RuntimeError: no database ({dir}/code.py:2)",
        "app.ini:4: ",
        "module = code",
    ];
    let alone = fails(code, MODULE, &expected);
    alone.wait_for("the traceback", |alone| {
        alone.log().contains("in start").then_some(())
    });
    serves_after(alone, |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn a_module_with_a_syntax_error() {
    let expected = [
        "SyntaxError",
        "{dir}/code.py:2",
        "app.ini:4: ",
        "module = code",
    ];
    serves_after(fails("\ndef (:\n", MODULE, &expected), |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn a_module_that_calls_sys_exit() {
    let expected = [
        "the app called sys.exit(3) while it was loaded ({dir}/code.py:2)",
        "app.ini:4: ",
        "module = code",
    ];
    let alone = fails("import sys\nsys.exit(3)\n", MODULE, &expected);
    serves_after(alone, |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn a_module_without_the_callable() {
    let expected = [
        "code.py has no \"application\"; it has \"app\": set callable = app",
        "app.ini:4: ",
        "module = code",
    ];
    let alone = fails(&GOOD.replace("application", "app"), MODULE, &expected);
    serves_after(alone, |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn a_callable_that_is_none() {
    let expected = [
        "\"application\" is no WSGI app but of type dict",
        "app.ini:4",
    ];
    fails("application = {}\n", MODULE, &expected);
}

#[test]
fn a_wsgi_file_that_does_not_exist() {
    let expected = [
        "FileNotFoundError",
        "gone.wsgi",
        "app.ini:4: ",
        "wsgi-file = gone.wsgi",
    ];
    let alone = fails(GOOD, "wsgi-file = gone.wsgi\n", &expected);
    serves_after(alone, |folder| {
        folder.write("gone.wsgi", GOOD);
    });
}

#[test]
fn a_module_that_segfaults() {
    for processes in ["", "processes = 2\n"] {
        let code = "import ctypes\nctypes.string_at(0)\n";
        let alone = fails(code, &format!("{MODULE}{processes}"), &["SIGSEGV"]);
        serves_after(alone, |folder| {
            folder.write("code.py", GOOD);
        });
    }
}

#[test]
fn a_module_that_ends_the_process() {
    let code = "import os\nos._exit(9)\n";
    serves_after(fails(code, MODULE, &["9"]), |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn a_module_that_hangs() {
    let code = "import time\ntime.sleep(3600)\n";
    let lines = format!("{MODULE}ready-timeout = 5\n");
    serves_after(fails(code, &lines, &["not ready"]), |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn a_module_that_forks() {
    for processes in ["", "processes = 2\n"] {
        let code = format!("import os\nchild = os.fork()\n{GOOD}");
        let alone = fails(
            &code,
            &format!("{MODULE}{processes}"),
            &["a process that the app forked came back from the app's code; it ends"],
        );
        let socket = alone.path("s");
        alone.wait_for("the app to answer", |_| {
            uwsgi_get(socket.as_path(), "/").ok()
        });
        stays(Duration::from_millis(200), "the app answers", || {
            uwsgi_get(socket.as_path(), "/").is_ok_and(|reply| reply.text() == "good")
        });
    }
}

#[test]
fn a_module_that_prints_a_megabyte_and_raises_one() {
    let code = "print('x' * 1000000)\nraise RuntimeError('y' * 1000000)\n";
    let alone = fails(
        code,
        MODULE,
        &["RuntimeError: yyyy", "app.ini:4: ", "module = code"],
    );
    let log = alone.log();
    let summary = log
        .lines()
        .find(|line| line.contains("app.ini:4: "))
        .unwrap();
    assert!(summary.len() < 1000, "a summary is one readable line");
    serves_after(alone, |folder| {
        folder.write("code.py", GOOD);
    });
}

#[test]
fn an_interpreter_that_is_too_old() {
    for python in old_interpreters() {
        let lines = format!("{MODULE}python = {}\n", python.display());
        let path = format!("of {}", python.display());
        let expected = [&path, "is too old; Imperator needs CPython 3.9 or later"];
        let alone = fails(GOOD, &lines, &expected);
        let text = alone.folder.read("app.ini");
        let good = &interpreters()[0].display().to_string();
        let text = text.replace(&python.display().to_string(), good);
        serves_after(alone, |folder| {
            folder.write("app.ini", &text);
        });
    }
}

#[test]
fn an_interpreter_that_does_not_exist() {
    let lines = format!("{MODULE}python = /nowhere/python3\n");
    fails(GOOD, &lines, &["/nowhere/python3", "app.ini:5"]);
}

#[test]
fn a_virtualenv_without_python() {
    let folder = Folder::new();
    folder.write("code.py", GOOD);
    folder.write("env/pyvenv.cfg", "home = /usr/bin\n");
    let lines = format!("{MODULE}virtualenv = {{dir}}/env\n");
    fails_in(folder, &lines, &["{dir}/env", "app.ini:5"]);
}

#[test]
fn nothing_to_load() {
    fails(GOOD, "", &["the config names no app to run"]);
}
