//! `imperator why`: each cause that it knows is made to happen under a real emperor, and the first
//! line names it; the evidence and the way out stand below, and programs get the cause's name.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand at the edge: they read clocks and wait"
)]

#[path = "../support/mod.rs"]
mod support;

mod limits;
mod loading;
mod running;
mod states;
mod surroundings;

use serde_json::Value;

use support::{Empire, Folder, uwsgi_get};

/// An app without a fault. `/slow` stays for five minutes.
const APP: &str = r#"
import os
import time


def stuck_in_here():
    time.sleep(300)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        stuck_in_here()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"#;

/// A vassal of this name with its own code in `NAME.py`.
fn ini(name: &str, lines: &str) -> String {
    format!("[uwsgi]\nsocket = {{dir}}/{name}.s\nwsgi-file = {{dir}}/{name}.py\n{lines}\n")
}

/// An emperor with the app `app`, and beside it `other`, which always serves.
fn empire(code: &str, lines: &str) -> Empire {
    empire_in(Folder::new(), code, &ini("app", lines), &[])
}

fn empire_in(folder: Folder, code: &str, text: &str, args: &[&str]) -> Empire {
    folder.write("app.py", code);
    folder.write("other.py", APP);
    let args = [&["{dir}/vassals"], args].concat();
    Empire::start_with(
        folder,
        &[("app.ini", text), ("other.ini", &ini("other", ""))],
        &args,
    )
}

fn text_of(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The causes that `why --json` names, the first one first.
fn json(empire: &Empire, app: &str) -> Value {
    let output = empire.command(&["why", app, "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    value["apps"][0].clone()
}

/// Waits until `why` names this cause first, in words and for programs, with all of `texts` in what
/// it says; tells what it said.
#[track_caller]
fn names(empire: &Empire, cause: &str, title: &str, texts: &[&str]) -> String {
    let opening = format!("app: {title}: ");
    let texts: Vec<String> = texts.iter().map(|text| empire.folder.fill(text)).collect();
    let mut last = (String::new(), Value::Null);
    let deadline = std::time::Instant::now() + support::PATIENCE;
    loop {
        let said = text_of(&empire.command(&["why", "app"]));
        let whole = said.starts_with(&opening) && texts.iter().all(|text| said.contains(text));
        if whole {
            let value = json(empire, "app");
            if value["cause"] == cause {
                let ways = value["way_out"].as_array().map_or(0, Vec::len);
                assert!(ways > 0 && said.contains("  way out: "), "{value:#}");
                return said;
            }
            last.1 = value;
        }
        last.0 = said;
        assert!(
            std::time::Instant::now() < deadline,
            "waited for \"{opening}\" with {texts:?}\nit said: {}\n{:#}\n{}",
            last.0,
            last.1,
            empire.report()
        );
        support::dawdle(std::time::Duration::from_millis(50));
    }
}

/// The neighbour answers, whatever happens to the app.
#[track_caller]
fn other_serves(empire: &Empire) {
    empire.wait_for("the neighbour's answer", |empire| answers(empire, "other"));
}

#[track_caller]
fn app_serves(empire: &Empire) {
    empire.wait_for("the app's answer", |empire| answers(empire, "app"));
}

fn answers(empire: &Empire, name: &str) -> Option<()> {
    let reply = uwsgi_get(empire.path(&format!("{name}.s")), "/").ok()?;
    (reply.status == 200).then_some(())
}

/// Runs the command of the first way out, as the operator would.
#[track_caller]
fn run_the_way_out(said: &str) {
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("way out: "));
    let command = line.unwrap_or_else(|| panic!("no way out in {said}"));
    let status = std::process::Command::new("sh")
        .args(["-c", command])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}
