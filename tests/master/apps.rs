//! The app of these tests, and short ways to run and ask it.

use serde_json::Value;

use crate::support::{Alone, Folder, uwsgi_get};

pub(crate) const APP: &str = r#"
import json, os, resource, sys, threading, time

VERSION = "one"
LOADED = os.getpid()

def slow(environ):
    open("slow-started", "w").close()
    time.sleep(float(environ.get("QUERY_STRING") or 1))
    return "slept"

def held(environ):
    open("slow-started", "w").close()
    while not os.path.exists("let-go"):
        time.sleep(0.01)
    return "held"

def facts(environ):
    return {
        "version": VERSION, "pid": os.getpid(), "loaded": LOADED, "parent": os.getppid(),
        "pgid": os.getpgid(0), "uid": os.getuid(), "gid": os.getgid(),
        "groups": sorted(os.getgroups()), "cwd": os.getcwd(), "env": dict(os.environ),
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "executable": sys.executable,
        "thread": threading.current_thread().name, "prefix": sys.prefix,
        "worker": environ.get("uwsgi.core"),
    }

def fail(environ):
    os._exit(int(environ["QUERY_STRING"]))

def grow(environ):
    globals()["fat"] = bytearray(150 * 1024 * 1024)
    return "fat"

def spin(environ):
    while True:
        time.sleep(0.01)

def say(environ):
    print(environ["QUERY_STRING"], flush=True)
    return "said"

VIEWS = {"/slow": slow, "/held": held, "/exit": fail, "/grow": grow, "/spin": spin, "/say": say}

def application(environ, start_response):
    answer = VIEWS.get(environ["PATH_INFO"], facts)(environ)
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"#;

/// `app.py` and an ini that serves it on `app.sock`, with these lines on top.
pub(crate) fn start(lines: &str) -> Alone {
    start_in(folder(APP), lines)
}

pub(crate) fn folder(app: &str) -> Folder {
    let folder = Folder::new();
    folder.write("app.py", app);
    folder
}

pub(crate) fn start_in(folder: Folder, lines: &str) -> Alone {
    Alone::start_in(folder, &ini(lines))
}

pub(crate) fn ini(lines: &str) -> String {
    // Python trusts a .pyc of the same second and size, and these tests change code faster.
    let fixed =
        "socket = {dir}/app.sock\nmodule = app\nchdir = {dir}\nenv = PYTHONDONTWRITEBYTECODE=1";
    format!("[uwsgi]\n{fixed}\n{lines}\n")
}

/// What the app tells; `None` while nobody answers.
pub(crate) fn ask(app: &Alone, uri: &str) -> Option<Value> {
    let reply = uwsgi_get(app.path("app.sock"), uri).ok()?;
    (reply.status == 200).then(|| reply.json())
}

/// The first answer, once the generation is ready: its first worker may answer before that.
#[track_caller]
pub(crate) fn serving(app: &Alone) -> Value {
    let answer = app.wait_for("the app to serve", |app| ask(app, "/"));
    // Where the log goes elsewhere, the answer has to do.
    let ini = app.folder.read("app.ini");
    let elsewhere = ["logto", "logger", "daemonize"];
    if !elsewhere.iter().any(|option| ini.contains(option)) {
        wait_log(app, " serves on ");
    }
    answer
}

#[track_caller]
pub(crate) fn wait_log(app: &Alone, text: &str) {
    app.wait_for(&format!("\"{text}\" in the log"), |app| {
        app.log().contains(text).then_some(())
    });
}

/// Waits until the app answers with this version of its code.
#[track_caller]
pub(crate) fn wait_version(app: &Alone, version: &str) -> Value {
    app.wait_for(&format!("version {version}"), |app| {
        ask(app, "/").filter(|facts| facts["version"] == version)
    })
}

pub(crate) fn pid_of(facts: &Value) -> i32 {
    i32::try_from(facts["pid"].as_i64().expect("a pid")).expect("a pid")
}
