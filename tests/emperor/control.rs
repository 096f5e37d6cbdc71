//! The commands that ask: waiting, history, logs, rights, and what works without an emperor.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::support::{Folder, Signal, require, set_mode, skips_without, uwsgi_get};
use super::{APP, Empire, empire, folder, generation, ini, settled, wait_greeting};

/// Prints what it is asked to.
const SAYS: &str = r#"
import sys


def application(environ, start_response):
    for _ in range(int(environ["PATH_INFO"].strip("/") or 0)):
        print(environ["QUERY_STRING"] * 99, flush=True)
    start_response("200 OK", [])
    return [b"said"]
"#;

pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The kinds of events of an app, in their order.
fn history(empire: &Empire, name: &str) -> Vec<(String, String)> {
    let document = json(&empire.command(&["history", name, "--json"]));
    let events = document["events"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let event = |event: &Value| (text(&event["what"]), text(&event["by"]));
    events.iter().map(event).collect()
}

fn says(empire: &Empire) -> String {
    let says = ini("says", "").replace("app.py", "says.py");
    empire.folder.write("says.py", SAYS);
    says
}

#[test]
fn a_waiting_reload_tells_which_generation_serves_or_why_none_does() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    assert!(empire.command(&["wait-ready", "blog"]).status.success());
    let before = generation(&empire.app("blog"));
    let output = empire.command(&["reload", "blog", "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // At once, without another look: that it serves is what it waited for.
    assert_eq!(generation(&empire.app("blog")), before + 1);
    let expected = format!("blog serves generation {}\n", before + 1);
    assert_eq!(said(&output), expected);

    empire
        .folder
        .write("app.py", "raise ValueError('it is broken')\n");
    let output = empire.command(&["reload", "blog", "--wait"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in ["Traceback", "it is broken", "app.py"] {
        assert!(said(&output).contains(part), "{part} in\n{}", said(&output));
    }
    // A second one has its own failure to tell, not the last one's success.
    let output = empire.command(&["reload", "blog", "--wait", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let app = &json(&output)["apps"][0];
    assert_eq!(
        (&app["ok"], &app["generation"]),
        (&false.into(), &(before + 1).into())
    );
    assert_eq!(
        empire.command(&["wait-ready", "blog"]).status.code(),
        Some(1)
    );
    wait_greeting(&empire, "blog", "one");

    empire.folder.write("app.py", APP);
    assert!(
        empire
            .command(&["reload", "blog", "--wait"])
            .status
            .success()
    );
    assert_eq!(empire.command(&["wait-ready"]).status.code(), Some(0));
}

#[test]
fn wait_ready_waits_for_an_app_that_is_not_there_yet_and_not_for_ever() {
    let empire = empire(&[]);
    empire.wait_for("the emperor", |empire| {
        empire.status().is_object().then_some(())
    });
    let output = empire.command(&["wait-ready", "late", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let waiter = waiting(&empire, &["wait-ready", "late", "--timeout", "20"]);
    empire.write("late.ini", &ini("late", "one"));
    let output = waiter.wait_with_output().expect("the command");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    wait_greeting(&empire, "late", "one");

    let hangs = "import time\ntime.sleep(1000)\n";
    empire.folder.write("hangs.py", hangs);
    empire.write("hangs.ini", &ini("hangs", "").replace("app.py", "hangs.py"));
    let output = empire.command(&["wait-ready", "hangs", "--timeout", "1"]);
    // Found before the time was over, or not: it is not ready in either case.
    let code = output.status.code();
    assert!(code == Some(5) || code == Some(2), "{}", said(&output));
}

fn waiting(empire: &Empire, args: &[&str]) -> Child {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "30", env!("CARGO_BIN_EXE_imperator")]);
    command
        .args(args)
        .env("RUNTIME_DIRECTORY", empire.runtime());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the command")
}

#[test]
fn stop_start_and_restart_wait_and_tell_who_it_was() {
    let empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("shop.ini", &ini("shop", "two")),
    ]);
    settled(&empire, "shop");
    let before = settled(&empire, "blog");
    assert!(
        empire
            .command(&["restart", "blog", "--wait"])
            .status
            .success()
    );
    let after = empire.app("blog");
    assert_ne!(before["pid"], after["pid"], "a new master");
    assert_eq!(after["condition"], "serving");
    wait_greeting(&empire, "blog", "one");

    assert_eq!(empire.command(&["stop"]).status.code(), Some(2));
    let output = empire.command(&["stop", "--all", "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for name in ["blog", "shop"] {
        let app = empire.app(name);
        assert_eq!(app["condition"], "stopped");
        assert_eq!(app["stopped"]["by"], format!("uid {}", my_uid()));
    }
    let table = said(&empire.command(&["status", "blog"]));
    assert!(table.contains("ago: stopped by "), "{table}");
    // Who stopped them all did not mean to have them back by this.
    assert!(empire.command(&["reload"]).status.success());
    assert_eq!(empire.app("blog")["condition"], "stopped");
    assert!(
        empire
            .command(&["start", "blog", "--wait"])
            .status
            .success()
    );
    wait_greeting(&empire, "blog", "one");
    assert_eq!(empire.app("blog")["stopped"], Value::Null);
    assert_eq!(empire.app("shop")["condition"], "stopped");

    let output = empire.command(&["stop", "blgo"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("did you mean blog?"),
        "{}",
        said(&output)
    );
}

fn my_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

#[test]
fn the_history_outlives_master_and_emperor_and_names_the_author() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    assert!(
        empire
            .command(&["reload", "blog", "--wait"])
            .status
            .success()
    );
    let me = who();
    let expected = [
        "found",
        "started",
        "started",
        "ready",
        "reload-asked",
        "started",
        "reloaded",
    ];
    let kinds = |events: &[(String, String)]| {
        events
            .iter()
            .map(|(what, _)| what.clone())
            .collect::<Vec<_>>()
    };
    // The master's words about what it did come to the emperor a moment later.
    empire.wait_for("the whole history", |empire| {
        (kinds(&history(empire, "blog")) == expected).then_some(())
    });
    let asked = history(&empire, "blog").remove(4);
    assert_eq!(asked, ("reload-asked".to_owned(), me.clone()));
    assert!(empire.command(&["stop", "blog", "--wait"]).status.success());
    empire.send(Signal::KILL);
    empire.wait_for_end();
    let stopped = ("stop-asked".to_owned(), me);
    // No emperor, no master: what was written down.
    assert!(history(&empire, "blog").contains(&stopped));
    empire.start_again();
    empire.wait_state("blog", "stopped");
    let after = history(&empire, "blog");
    assert!(after.contains(&stopped), "{after:?}");
    assert_eq!(kinds(&after)[..7], expected);
    assert_eq!(
        empire.app("blog")["stopped"]["by"],
        format!("uid {}", my_uid())
    );
    let output = said(&empire.command(&["history", "blog"]));
    assert!(output.contains("blog  stop      by "), "{output}");
}

pub(crate) fn who() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn status_why_logs_history_and_stop_all_work_without_an_emperor() {
    let mut empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("bad.ini", &ini("bad", "x").replace("app.py", "missing.py")),
    ]);
    settled(&empire, "blog");
    empire.wait_state("bad", "failing");
    empire.send(Signal::KILL);
    empire.wait_for_end();
    wait_greeting(&empire, "blog", "one");

    let output = empire.command(&["status"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["no emperor runs", "blog  serving", "bad   failing"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let text = said(&empire.command(&["why", "bad"]));
    assert!(text.contains("missing.py"), "{text}");
    let text = said(&empire.command(&["history", "blog"]));
    assert!(text.contains("generation 1 serves"), "{text}");
    let output = empire.command(&["logs", "bad"]);
    assert!(output.status.success() && said(&output).contains("missing.py"));
    assert_eq!(empire.command(&["reload", "blog"]).status.code(), Some(3));

    let output = empire.command(&["stop", "--all"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        super::ask(&empire, "blog").is_none(),
        "it has ended, as was said"
    );
    empire.start_again();
    empire.wait_state("blog", "stopped");
    empire.wait_state("bad", "stopped");
    assert!(
        empire
            .command(&["start", "blog", "--wait"])
            .status
            .success()
    );
    wait_greeting(&empire, "blog", "one");
}

#[test]
fn the_last_256_kb_of_output_are_kept_and_followed() {
    let empire = empire(&[]);
    let text = says(&empire) + "logto = /dev/null\n";
    empire.write("says.ini", &text);
    settled(&empire, "says");
    let say = |count: usize, what: &str| {
        let uri = format!("/{count}?{what}");
        let reply = uwsgi_get(empire.path("says.s"), &uri).expect("an answer");
        assert_eq!(reply.status, 200);
    };
    // Lines of 100 bytes.
    for letter in ["a", "b", "c"] {
        say(1000, letter);
    }
    let follower = waiting(&empire, &["logs", "says", "-f", "-n", "1"]);
    let mut follower = Ended(follower);
    let mut lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    assert_eq!(next(), "c".repeat(99));
    say(2, "d");
    assert_eq!((next(), next()), ("d".repeat(99), "d".repeat(99)));

    let output = empire.command(&["logs", "says"]);
    let kept = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(kept.len() <= 256 * 1024, "{}", kept.len());
    assert!(kept.len() > 255 * 1024, "{}", kept.len());
    let count = |letter: &str| {
        kept.lines()
            .filter(|line| *line == letter.repeat(99))
            .count()
    };
    assert_eq!((count("b"), count("c"), count("d")), (1000, 1000, 2));
    assert!((1..1000).contains(&count("a")), "the oldest are gone");
    let json = empire.command(&["logs", "says", "--json", "-n", "1"]);
    let line: Value = serde_json::from_slice(&json.stdout).expect("a document");
    assert_eq!(
        (&line["line"], &line["source"]),
        (&"d".repeat(99).into(), &"app".into())
    );
    // What is asked for about requests comes from the same place.
    let output = said(&empire.command(&["logs", "says", "--requests"]));
    assert!(output.contains("/2?d"), "requests are there, too");
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As that user, with that group, without others.
fn as_user(empire: &Empire, uid: u32, gid: u32, args: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "20", "setpriv", "--clear-groups"]);
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"));
    // The build's directory may be closed to others.
    command.arg(empire.path("imperator")).args(args);
    command
        .current_dir("/")
        .env("RUNTIME_DIRECTORY", empire.runtime())
        .env("NO_COLOR", "1");
    command.stdin(Stdio::null()).output().expect("setpriv")
}

fn skips() -> bool {
    let is_root = my_uid() == 0;
    skips_without("setpriv (root)", is_root && require("setpriv").is_some())
}

fn with_command(folder: Folder) -> Folder {
    std::fs::copy(env!("CARGO_BIN_EXE_imperator"), folder.join("imperator")).expect("a copy");
    set_mode(&folder.join("imperator"), 0o755);
    set_mode(&folder.join("app.py"), 0o644);
    folder
}

#[test]
fn an_owner_acts_on_his_own_apps_only_under_a_tyrant() {
    if skips() {
        return;
    }
    let folder = with_command(folder());
    std::fs::create_dir_all(folder.join("sockets")).unwrap();
    set_mode(&folder.join("sockets"), 0o777);
    for (name, uid) in [("blog", 4242), ("shop", 4243)] {
        let text = ini(name, name).replace("{dir}/blog.s", "{dir}/sockets/blog.s");
        let text = text.replace("{dir}/shop.s", "{dir}/sockets/shop.s");
        let path = folder.write(&format!("vassals/{name}.ini"), &text);
        std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
    }
    let args = ["--emperor", "{dir}/vassals", "--emperor-tyrant"];
    let empire = Empire::start_with(folder, &[], &args);
    settled(&empire, "blog");
    settled(&empire, "shop");
    let mine = |args: &[&str]| as_user(&empire, 4242, 4242, args);
    let output = mine(&["status"]);
    let text = said(&output);
    assert!(text.contains("blog") && !text.contains("shop"), "{text}");
    let output = mine(&["reload", "blog", "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(mine(&["logs", "blog"]).status.code(), Some(0));
    for args in [
        &["stop", "shop"][..],
        &["logs", "shop"],
        &["history", "shop"],
    ] {
        let output = mine(args);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {}", said(&output));
    }
    // As if it were not there.
    assert_eq!(mine(&["why", "shop"]).status.code(), Some(2));
    // All is all that is his.
    assert_eq!(mine(&["stop", "--all", "--wait"]).status.code(), Some(0));
    assert_eq!(empire.app("shop")["condition"], "serving");
    assert_eq!(empire.app("blog")["stopped"]["by"], "uid 4242");
}

#[test]
fn a_stranger_is_refused_and_a_member_of_the_control_group_is_not() {
    if skips() {
        return;
    }
    let folder = with_command(folder());
    folder.write(
        "empire.ini",
        "[uwsgi]\nemperor = {dir}/vassals\ncontrol-group = 4250\n",
    );
    let args = ["{dir}/empire.ini"];
    let empire = Empire::start_with(folder, &[("blog.ini", &ini("blog", "one"))], &args);
    settled(&empire, "blog");
    let output = as_user(&empire, 4242, 4242, &["stop", "blog"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let output = as_user(&empire, 4242, 4250, &["stop", "blog", "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(empire.app("blog")["stopped"]["by"], "uid 4242");
}

/// `docs/commands.md` shows each command's help as it is; `UPDATE=1` writes it.
#[test]
fn the_manual_shows_the_help_of_each_command() {
    let path = super::support::repository().join("docs/commands.md");
    let text = std::fs::read_to_string(&path).expect("docs/commands.md");
    let heading = "## The commands\n";
    let (manual, _) = text.split_once(heading).expect("the last heading");
    let mut wanted = format!("{manual}{heading}");
    let commands = [
        "status",
        "why",
        "reload",
        "stop",
        "start",
        "restart",
        "retry",
        "history",
        "logs",
        "wait-ready",
        "upgrade",
    ];
    for name in commands {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imperator"));
        let output = command
            .args([name, "--help"])
            .output()
            .expect("the command");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains("Examples:"), "{name}: {help}");
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        wanted.push_str(&format!(
            "\n### {name}\n\n```text\n{}\n```\n",
            lines.join("\n").trim_end()
        ));
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &wanted).expect("a written manual");
    } else if text != wanted {
        panic!("docs/commands.md is not what the help says: UPDATE=1 cargo test the_manual_shows");
    }
}
