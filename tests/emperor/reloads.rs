//! All ways to a reload are one: each brings a new generation and loses nobody, and after an upgrade a
//! master of the new version.

use std::time::Duration;

use serde_json::Value;

use super::support::{
    Address, Empire, Folder, Load, Signal, Vars, app, dawdle, is_alive, send, uwsgi, uwsgi_get,
};
use super::upgrade::{empire_in, file_of, install, next_version, on_disk};
use super::{generation, master};

const APP: &str = r#"
import uwsgi


def application(environ, start_response):
    if environ["PATH_INFO"] == "/reload":
        uwsgi.reload()
    start_response("200 OK", [])
    return [b"ave"]
"#;

/// A way to reload the app of this name, whose master has this pid.
type Way = fn(&Empire, &str, i32);

const WAYS: [(&str, Way); 7] = [
    ("touch", |empire, name, _| {
        empire.touch(&format!("{name}.ini"))
    }),
    ("edit", |empire, name, master| {
        let text = format!("{}env = EDITED=beside-{master}\n", ini(name));
        empire.write(&format!("{name}.ini"), &text);
    }),
    ("hup", |_, _, master| send(master, Signal::HUP)),
    ("fifo", |empire, name, _| {
        std::fs::write(empire.path(&format!("{name}.fifo")), "r").expect("the FIFO");
    }),
    ("flag", |empire, name, _| {
        empire.folder.touch(&format!("{name}.flag"))
    }),
    ("itself", |empire, name, _| {
        uwsgi_get(empire.path(&format!("{name}.s")), "/reload").expect("an answer");
    }),
    ("command", |empire, name, _| {
        assert!(empire.command(&["reload", name]).status.success());
    }),
];

fn ini(name: &str) -> String {
    format!(
        "[uwsgi]\nsocket = {{dir}}/{name}.s\nwsgi-file = {{dir}}/app.py\n\
         master-fifo = {{dir}}/{name}.fifo\ntouch-reload = {{dir}}/{name}.flag\n"
    )
}

/// The status of each way's app, once this holds for all of them.
#[track_caller]
fn wait_for_all(empire: &Empire, what: &str, holds: impl Fn(usize, &Value) -> bool) -> Vec<Value> {
    let what = format!("{what} every app");
    empire.wait_for(&what, |empire| {
        let status = empire.status();
        let found = WAYS.iter().enumerate().map(|(index, (name, _))| {
            let app = app(&status, name);
            (app["pid"].is_number() && holds(index, &app)).then_some(app)
        });
        found.collect()
    })
}

#[test]
fn each_way_to_reload_brings_a_generation_and_after_an_upgrade_a_new_master() {
    let folder = Folder::new();
    folder.write("app.py", APP);
    let vassals = WAYS.map(|(name, _)| {
        folder.write(&format!("{name}.flag"), "");
        (format!("{name}.ini"), ini(name))
    });
    let vassals: Vec<(&str, &str)> = vassals
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let empire = empire_in(folder, &vassals);
    let first = wait_for_all(&empire, "the start of", |_, app| {
        app["condition"] == "serving"
    });
    let loads = WAYS.map(|(name, _)| {
        let to = Address::from(empire.path(&format!("{name}.s")));
        let vars = Vars::request("GET", "/");
        Load::start(1, move || {
            dawdle(Duration::from_millis(20));
            uwsgi(&to, &vars, b"")
        })
    });
    for ((name, reload), before) in WAYS.iter().zip(&first) {
        reload(&empire, name, master(before));
    }
    let second = wait_for_all(&empire, "a new generation by", |index, app| {
        generation(app) > generation(&first[index]) && app["condition"] == "serving"
    });
    install(&empire, &next_version());
    let output = empire.command(&["upgrade"]);
    assert!(output.status.success(), "{output:?}\n{}", empire.report());
    wait_for_all(&empire, "an older version to be noted of", |index, app| {
        assert_eq!(master(app), master(&second[index]), "{app:#}");
        let notes = app["status"]["notes"].as_array().into_iter().flatten();
        let mut notes = notes.filter_map(Value::as_str);
        notes.any(|note| note.contains("of an earlier version"))
    });
    for ((name, reload), before) in WAYS.iter().zip(&second) {
        reload(&empire, name, master(before));
    }
    wait_for_all(&empire, "a new master by", |index, app| {
        let before = &second[index];
        let is_new = master(app) != master(before) && file_of(master(app)) == on_disk(&empire);
        let serves = generation(app) > generation(before) && app["condition"] == "serving";
        is_new && serves && !is_alive(master(before))
    });
    for load in loads {
        load.wait_for_more(5);
        load.stop().must_be_clean(20, || empire.report());
    }
}
