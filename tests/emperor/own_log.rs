//! The emperor's own log, which its apps share.

use crate::support::{Empire, uwsgi_get};
use crate::{folder, ini};

#[test]
fn the_emperors_log_is_rotated_and_its_apps_follow() {
    let args = [
        "{dir}/vassals",
        "--logto",
        "{dir}/emperor.log",
        "--log-maxsize",
        "20000",
        "--log-backupname",
        "{dir}/old.log",
        "--logfile-chmod",
        "604",
    ];
    let empire = Empire::start_with(folder(), &[("a.ini", &ini("a", "ave"))], &args);
    let log = empire.path("emperor.log");
    empire.wait_for("the app in the log", |_| {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("generation 1 serves").then_some(())
    });
    assert_eq!(mode(&log), 0o604);
    let uri = format!("/{}", "x".repeat(1000));
    empire.wait_for("the rotated log", |empire| {
        uwsgi_get(empire.path("a.s"), &uri).ok()?;
        empire.path("old.log").exists().then_some(())
    });
    empire.wait_for("the app in the new log", |empire| {
        uwsgi_get(empire.path("a.s"), "/after").ok()?;
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("GET /after").then_some(())
    });
    let old = std::fs::read_to_string(empire.path("old.log")).unwrap();
    assert!(old.contains("generation 1 serves"), "{old}");
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}
