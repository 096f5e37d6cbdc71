//! What `imperator history` tells of an app's life, and who it was.

use serde_json::Value;

use super::support::{Load, Signal, background, send, uwsgi_get};
use super::{Empire, folder, ini, settled, wait_greeting};

const APP: &str = r#"
import os
import time
import uwsgi


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(1)
    if path == "/endless":
        open("endless", "w").close()
        time.sleep(600)
    if path == "/reload":
        uwsgi.reload()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.environ['GREETING']} {os.getpid()}".encode()]
"#;

fn events(empire: &Empire) -> Vec<Value> {
    let output = empire.command(&["history", "blog", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    document["events"].as_array().cloned().unwrap_or_default()
}

/// Waits for an event of this kind behind those that were there before; tells how many there are.
#[track_caller]
fn wait_event(empire: &Empire, before: usize, what: &str, text: &str, by: Option<&str>) -> usize {
    empire.wait_for(&format!("{what}: {text} by {by:?}"), |empire| {
        let events = events(empire);
        let is_it = |event: &&Value| {
            let said = event["text"].as_str().unwrap_or_default();
            event["what"] == what && said.contains(text) && event["by"].as_str() == by
        };
        events.iter().skip(before).find(is_it)?;
        Some(events.len())
    })
}

#[test]
fn the_history_tells_each_kind_of_event_and_who_it_was() {
    let folder = folder();
    folder.write("app.py", APP);
    folder.write("flag", "");
    let lines = "processes = 2\ncheaper = 1\nworker-reload-mercy = 2\ntouch-reload = {dir}/flag\n\
                 chdir = {dir}\nenv = PYTHONDONTWRITEBYTECODE=1\n";
    let text = format!("{}{lines}", ini("blog", "one"));
    let empire = Empire::start_with(folder, &[("blog.ini", &text)], &["{dir}/vassals"]);
    wait_greeting(&empire, "blog", "one");
    wait_event(&empire, 0, "found", "blog.ini", None);
    wait_event(&empire, 0, "started", "generation 1", None);
    let seen = wait_event(&empire, 0, "ready", "generation 1 serves", None);

    // Reloads, by everybody who can ask for one.
    empire.touch("blog.ini");
    wait_event(
        &empire,
        seen,
        "reload-asked",
        "",
        Some("a touch of its file"),
    );
    let seen = wait_event(&empire, seen, "reloaded", " serves", None);
    empire.send(Signal::HUP);
    wait_event(&empire, seen, "reload-asked", "", Some("SIGHUP"));
    let seen = wait_event(&empire, seen, "reloaded", " serves", None);
    empire.write("blog.ini", &text.replace("GREETING=one", "GREETING=two"));
    wait_event(&empire, seen, "started", ": its config changed", None);
    let seen = wait_event(&empire, seen, "reloaded", " serves", None);
    empire.folder.touch("flag");
    let flag = format!("{} was touched", empire.path("flag").display());
    wait_event(&empire, seen, "reload-asked", "", Some(&flag));
    let seen = wait_event(&empire, seen, "reloaded", " serves", None);
    let socket = empire.path("blog.s");
    uwsgi_get(socket.clone(), "/reload").expect("an answer");
    wait_event(&empire, seen, "reload-asked", "", Some("the app itself"));
    let seen = wait_event(&empire, seen, "reloaded", " serves", None);

    empire.folder.write("app.py", "1 / 0\n");
    empire.command(&["reload", "blog"]);
    let me = super::control::who();
    wait_event(&empire, seen, "reload-asked", "", Some(&me));
    let seen = wait_event(&empire, seen, "failed", "ZeroDivisionError", None);
    empire.folder.write("app.py", APP);
    empire.command(&["reload", "blog"]);
    let seen = wait_event(&empire, seen, "reloaded", " serves", None);

    let load = Load::uwsgi(socket.clone(), 3, "/slow");
    let seen = wait_event(&empire, seen, "scaled", "from 1 to 2 workers", None);
    load.stop();
    let app = settled(&empire, "blog");
    let worker = app["status"]["workers"][0]["pid"].as_i64().expect("a pid");
    send(i32::try_from(worker).expect("a pid"), Signal::SEGV);
    let seen = wait_event(&empire, seen, "died", "SIGSEGV", None);
    wait_greeting(&empire, "blog", "two");
    background(move || drop(uwsgi_get(socket, "/endless")));
    empire.wait_for("the endless request", |empire| {
        empire.path("endless").exists().then_some(())
    });
    empire.command(&["restart", "blog"]);
    wait_event(&empire, seen, "restart-asked", "", Some(&me));
    wait_event(
        &empire,
        seen,
        "killed",
        "it had not finished its requests in time",
        None,
    );
}
