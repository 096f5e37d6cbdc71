//! Each command: its exit code and what it prints with `--json`, as `docs/commands.md` has them.

use serde_json::Value;

use super::support::{Empire, Signal, repository};
use super::{empire, ini, settled};

/// Runs a command with and without `--json`: both end with this code, and the document has these
/// keys.
#[track_caller]
fn check(empire: &Empire, args: &[&str], code: i32, keys: &[&str]) -> Value {
    let plain = empire.command(args);
    let args = [args, &["--json"]].concat();
    let output = empire.command(&args);
    for output in [&plain, &output] {
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    }
    if keys.is_empty() {
        return Value::Null;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    // Lines of a log are a document each.
    let value: Value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(first))
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"));
    let manual = std::fs::read_to_string(repository().join("docs/commands.md")).expect("it");
    for key in keys {
        assert!(value.get(key).is_some(), "{args:?}: no {key} in {value:#}");
        assert!(manual.contains(&format!("`{key}`")), "no `{key}` there");
    }
    value
}

#[test]
fn every_command_ends_with_the_code_of_the_manual_and_speaks_json() {
    let mut empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("bad.ini", &ini("bad", "x").replace("app.py", "missing.py")),
    ]);
    settled(&empire, "blog");
    empire.wait_state("bad", "failing");
    let order = &["done", "refused"][..];
    let waited = &["apps", "late"][..];
    check(&empire, &["status"], 1, &["emperor", "apps"]);
    check(&empire, &["status", "blog"], 0, &["emperor", "apps"]);
    check(&empire, &["status", "nobody"], 2, &["apps"]);
    check(&empire, &["why"], 1, &["apps"]);
    check(&empire, &["why", "blog"], 0, &["apps"]);
    check(&empire, &["why", "nobody"], 2, &["apps"]);
    check(&empire, &["reload", "blog"], 0, order);
    check(&empire, &["reload", "nobody"], 2, order);
    check(&empire, &["reload", "blog", "--wait"], 0, waited);
    check(&empire, &["reload", "bad", "--wait"], 1, waited);
    check(&empire, &["retry", "bad"], 0, order);
    check(&empire, &["stop", "blog"], 0, order);
    check(&empire, &["wait-ready", "blog"], 1, waited);
    check(&empire, &["start", "blog", "--wait"], 0, waited);
    check(&empire, &["restart", "blog", "--wait"], 0, waited);
    check(&empire, &["wait-ready", "blog"], 0, waited);
    check(&empire, &["wait-ready", "--timeout", "0"], 1, waited);
    let history = check(&empire, &["history", "blog"], 0, &["events"]);
    for key in ["app", "at", "time", "what", "text", "by"] {
        assert!(history["events"][0].get(key).is_some(), "{history:#}");
    }
    check(&empire, &["history", "nobody"], 2, &["events"]);
    check(&empire, &["logs", "blog"], 0, &["line", "source"]);
    check(&empire, &["logs", "nobody"], 2, &[]);
    check(&empire, &["upgrade"], 1, &["upgraded", "why"]);
    // What is typed wrongly.
    check(&empire, &["stop"], 2, &[]);
    check(&empire, &["status", "--nonsense"], 2, &[]);
    check(&empire, &["logs"], 2, &[]);
    // What takes too long.
    empire
        .folder
        .write("hangs.py", "import time\ntime.sleep(1000)\n");
    empire.write("hangs.ini", &ini("hangs", "").replace("app.py", "hangs.py"));
    empire.wait_state("hangs", "starting");
    check(
        &empire,
        &["wait-ready", "hangs", "--timeout", "0"],
        5,
        waited,
    );
    empire.remove("hangs.ini");

    // The emperor is away, and then everything.
    empire.send(Signal::KILL);
    empire.wait_for_end();
    check(&empire, &["status"], 1, &["emperor", "apps"]);
    check(&empire, &["status", "nobody"], 2, &["apps"]);
    check(&empire, &["why", "bad"], 1, &["apps"]);
    check(&empire, &["history", "blog"], 0, &["events"]);
    check(&empire, &["logs", "blog"], 0, &["line", "source"]);
    check(&empire, &["reload", "blog"], 3, &[]);
    check(&empire, &["stop", "--all"], 0, &["stopped", "late"]);
    let nowhere = empire.path("nowhere").display().to_string();
    for words in [
        &["status"][..],
        &["why"],
        &["reload"],
        &["stop", "--all"],
        &["start", "--all"],
        &["restart", "--all"],
        &["retry"],
        &["history"],
        &["logs", "blog"],
        &["wait-ready", "--timeout", "0"],
        &["upgrade"],
    ] {
        let args = [words, &["--runtime-dir", &nowhere]].concat();
        check(&empire, &args, 3, &[]);
    }
}
