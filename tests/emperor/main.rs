//! The emperor with real masters and real interpreters: files come, change and go; emperors and
//! masters are killed; signals; status.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand at the edge: they read clocks and wait"
)]

#[path = "../support/mod.rs"]
mod support;

mod adoption;
mod bad_deploys;
mod commands;
mod control;
mod files;
mod hanging;
mod history;
mod on_demand;
mod own_log;
mod reloads;
mod service;
mod signals;
mod stanzas;
mod start;
mod status;
mod storms;
mod upgrade;

use support::{Empire, Folder, uwsgi_get};

/// Says its greeting and its process. `/slow` takes a second.
const APP: &str = r#"
import os
import time

GREETING = os.environ.get("GREETING", "ave")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open(os.path.join(os.path.dirname(__file__), "slow-started"), "w").close()
        time.sleep(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{GREETING} {os.getpid()}".encode()]
"#;

/// A folder with the app in it.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("app.py", APP);
    folder
}

fn empire(vassals: &[(&str, &str)]) -> Empire {
    Empire::start_with(folder(), vassals, &["{dir}/vassals"])
}

/// A vassal that listens at `{dir}/NAME.s` and says `greeting`.
fn ini(name: &str, greeting: &str) -> String {
    format!("[uwsgi]\n{}", body(name, greeting))
}

fn body(name: &str, greeting: &str) -> String {
    format!("socket = {{dir}}/{name}.s\nwsgi-file = {{dir}}/app.py\nenv = GREETING={greeting}\n")
}

/// What the app at `NAME.s` says: its greeting and its pid.
fn ask(empire: &Empire, name: &str) -> Option<(String, i32)> {
    let reply = uwsgi_get(empire.path(&format!("{name}.s")), "/").ok()?;
    let text = (reply.status == 200).then(|| reply.text())?;
    let (greeting, pid) = text.split_once(' ')?;
    Some((greeting.to_owned(), pid.parse().ok()?))
}

/// Waits until the app is inside a slow request.
#[track_caller]
fn wait_slow(empire: &Empire) {
    empire.wait_for("the slow request", |empire| {
        empire.path("slow-started").exists().then_some(())
    });
}

#[track_caller]
fn wait_greeting(empire: &Empire, name: &str, greeting: &str) -> i32 {
    empire.wait_for(&format!("{name} to say {greeting}"), |empire| {
        ask(empire, name)
            .filter(|(said, _)| said == greeting)
            .map(|(_, pid)| pid)
    })
}

fn generation(app: &serde_json::Value) -> u64 {
    app["status"]["generation"].as_u64().unwrap_or(0)
}

fn master(app: &serde_json::Value) -> i32 {
    app["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok())
        .unwrap_or(0)
}

/// The app's status once it serves and nothing of it is on its way.
#[track_caller]
fn settled(empire: &Empire, name: &str) -> serde_json::Value {
    empire.wait_for(&format!("{name} to be settled"), |empire| {
        let app = empire.app(name);
        (app["condition"] == "serving").then_some(app)
    })
}

/// The same, once an emperor that did not start its master looks after it: without one the status
/// comes from the master.
#[track_caller]
fn adopted(empire: &Empire, name: &str) -> serde_json::Value {
    empire.wait_for(&format!("{name} to be adopted"), |empire| {
        let app = empire.app(name);
        (app["condition"] == "serving" && app["adopted"] == true).then_some(app)
    })
}

/// The names of all apps.
fn names(empire: &Empire) -> Vec<String> {
    let status = empire.status();
    let apps = status["apps"].as_array().cloned().unwrap_or_default();
    apps.iter()
        .filter_map(|app| app["name"].as_str().map(str::to_owned))
        .collect()
}
