//! What `imperator status` and its like say, and with which exit codes.

use super::support::Signal;
use super::{ask, empire, generation, ini, settled, wait_greeting};

#[test]
fn status_is_a_table_with_the_way_out_and_its_exit_code_tells() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    let output = empire.command(&["status"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{table}");
    for part in ["Emperor", "blog", "serving", "REQ/S", "LAST TROUBLE"] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
    let output = empire.command(&["status", "blog"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["blog.s", "python", "worker", "blog.ini"] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
    empire.write("bad.ini", &ini("bad", "x").replace("app.py", "missing.py"));
    empire.wait_state("bad", "failing");
    let output = empire.command(&["status"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(
        table.contains("cannot load") && table.contains("imperator why"),
        "{table}"
    );
    let output = empire.command(&["why", "bad"]);
    let why = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(
        why.starts_with("bad: missing file or directory: ") && why.contains("bad.ini"),
        "{why}"
    );
    assert_eq!(empire.command(&["why", "blog"]).status.code(), Some(0));
    assert_eq!(empire.command(&["why", "nobody"]).status.code(), Some(2));

    empire.send(Signal::TERM);
    empire.wait_for_end();
    let output = empire.command(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no emperor runs"), "{said}");
}

#[test]
fn requests_are_counted_when_one_asks() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    for _ in 0..5 {
        wait_greeting(&empire, "blog", "one");
    }
    let requests = empire.app("blog")["requests"].as_u64();
    assert!(requests >= Some(5), "{requests:?}");
}

#[test]
fn reload_retry_and_stop_name_apps() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let before = settled(&empire, "blog");
    assert!(empire.command(&["reload", "blog"]).status.success());
    empire.wait_for("a new generation", |empire| {
        (generation(&empire.app("blog")) == generation(&before) + 1).then_some(())
    });
    settled(&empire, "blog");
    assert!(!empire.command(&["reload", "nobody"]).status.success());
    assert!(empire.command(&["stop", "blog"]).status.success());
    empire.wait_state("blog", "stopped");
    assert!(ask(&empire, "blog").is_none());
    assert!(empire.command(&["retry", "blog"]).status.success());
    wait_greeting(&empire, "blog", "one");
}

#[test]
fn what_was_stopped_by_hand_stays_so_under_the_next_emperor() {
    let mut empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("shop.ini", &ini("shop", "x")),
    ]);
    settled(&empire, "blog");
    settled(&empire, "shop");
    assert!(empire.command(&["stop", "blog"]).status.success());
    empire.wait_state("blog", "stopped");
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.start_again();
    settled(&empire, "shop");
    empire.wait_state("blog", "stopped");
    let why = empire.command(&["why", "blog"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("who: "), "who it was is known still: {why}");
    // Its file changed: somebody wants it.
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
}
