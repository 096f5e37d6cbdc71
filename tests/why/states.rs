//! States in which nothing, or nothing more, is wrong with the app itself.

use super::{APP, app_serves, empire, ini, json, names, other_serves, text_of};

#[test]
fn a_cause_that_is_mended_is_a_wait_for_the_next_try_and_retry_ends_it() {
    // It goes on failing after the file is there, so that the wait can be looked at.
    let code = format!(
        "import os\nif not (os.path.exists('data') and os.path.exists('go')):\n    \
         raise FileNotFoundError(2, 'No such file or directory', os.path.abspath('data'))\n{APP}"
    );
    let empire = empire(&code, "chdir = {dir}");
    names(
        &empire,
        "missing-file",
        "missing file or directory",
        &["path: {dir}/data", "also: backing off: the next try is at "],
    );
    empire.folder.write("data", "");
    names(
        &empire,
        "backing-off",
        "backing off",
        &[
            "the next try is at ",
            "since the last one {dir}/data is there",
            "next try: ",
            "failures in a row: ",
            "way out: imperator retry app",
            "also: missing file or directory: ",
        ],
    );
    empire.folder.write("go", "");
    assert!(empire.command(&["retry", "app"]).status.success());
    app_serves(&empire);
    other_serves(&empire);
}

#[test]
fn a_failed_reload_is_named_with_its_cause_while_the_old_generation_serves() {
    let empire = empire(APP, "");
    empire.wait_serving("app");
    empire.folder.write("app.py", "def broken(:\n");
    empire.touch("app.ini");
    let said = names(
        &empire,
        "reload-failed",
        "reload failed",
        &[
            "generation 1 serves on; generation 2 failed: syntax error: ",
            "serving: generation 1",
            "file: {dir}/app.py:1",
        ],
    );
    assert!(!said.contains("also: syntax error"), "told twice: {said}");
    let causes = json(&empire, "app")["causes"].clone();
    assert_eq!(causes[1]["cause"], "syntax-error", "{causes:#}");
    app_serves(&empire);
    other_serves(&empire);
}

#[test]
fn an_app_that_sleeps_is_named_so_and_the_first_request_wakes_it() {
    let empire = empire(APP, "cheap = true");
    names(
        &empire,
        "asleep",
        "asleep",
        &["the first request starts it", "socket: uwsgi:{dir}/app.s"],
    );
    assert_eq!(empire.command(&["why", "app"]).status.code(), Some(0));
    app_serves(&empire);
    names(&empire, "nothing-wrong", "nothing is wrong", &[]);
}

#[test]
fn an_app_that_somebody_stopped_is_named_with_who_and_when() {
    let empire = empire(APP, "");
    empire.wait_serving("app");
    assert!(empire.command(&["stop", "app"]).status.success());
    let me = std::process::Command::new("id").arg("-un").output();
    let me = text_of(&me.expect("id"));
    names(
        &empire,
        "stopped",
        "stopped by hand",
        &[
            &format!("stopped by {} at ", me.trim()),
            &format!("who: {}", me.trim()),
            "when: ",
            "way out: imperator start app",
        ],
    );
    assert!(empire.command(&["start", "app"]).status.success());
    app_serves(&empire);
}

#[test]
fn a_name_that_nobody_knows_is_answered_with_the_nearest_one() {
    let empire = empire(APP, "");
    empire.write("customer-portal.ini", &ini("other", ""));
    empire.wait_for("both apps", |empire| {
        (!empire.app("customer-portal").is_null()).then_some(())
    });
    let output = empire.command(&["why", "custmer-portal"]);
    let said = text_of(&output);
    let first = said.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        "custmer-portal: never heard of: no app is named custmer-portal; the nearest name is \
         customer-portal"
    );
    assert!(
        said.contains("way out: imperator why customer-portal"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(2));
    let value = json(&empire, "custmer-portal");
    assert_eq!(value["cause"], "never-heard-of");
    assert_eq!(value["nearest"], "customer-portal");
}
