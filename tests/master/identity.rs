//! uid and gid: the app drops them, with its supplementary groups, and the master keeps its own.

use std::process::Command;

use crate::apps::{APP, folder, ini, serving, start, wait_log};
use crate::support::{Process, skips_without, uwsgi_get, wait_for};

#[test]
fn the_app_runs_as_user_and_group_with_its_supplementary_groups() {
    let app = start("uid = www-data\nprocesses = 2\npython = /usr/bin/python3");
    let facts = serving(&app);
    assert_eq!(
        (&facts["uid"], &facts["gid"]),
        (&33.into(), &33.into()),
        "{}",
        app.report()
    );
    assert_eq!(
        facts["groups"],
        serde_json::json!([33]),
        "no group of root is left"
    );
}

#[test]
fn the_users_other_groups_are_the_apps_too() {
    if skips_without("unshare (root)", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = folder(APP);
    folder.write(
        "app.ini",
        &ini("uid = www-data\ngid = 54322\npython = /usr/bin/python3"),
    );
    let groups = std::fs::read_to_string("/etc/group").unwrap();
    folder.write("group", &format!("{groups}shared-data:x:54321:www-data\n"));
    let script = "mount --bind group /etc/group && exec \"$0\" app.ini";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_imperator"))
        .current_dir(folder.path());
    let process = Process::start(command, &folder.join("imperator.log"));
    let facts = wait_for(
        "the app",
        || process.report(),
        || uwsgi_get(folder.join("app.sock"), "/").ok(),
    );
    let facts = facts.json();
    assert_eq!(
        (&facts["gid"], &facts["groups"]),
        (&54322.into(), &serde_json::json!([54321, 54322])),
        "{}",
        process.report()
    );
}

#[test]
fn a_number_without_an_entry_is_a_user_too() {
    let app = start("uid = 54321\ngid = 54322\npython = /usr/bin/python3");
    let facts = serving(&app);
    assert_eq!(
        (&facts["uid"], &facts["gid"]),
        (&54321.into(), &54322.into())
    );
    assert_eq!(facts["groups"], serde_json::json!([54322]));
}

#[test]
fn a_group_alone_leaves_the_user() {
    let app = start("gid = 12");
    let facts = serving(&app);
    assert_eq!((&facts["uid"], &facts["gid"]), (&0.into(), &12.into()));
}

#[test]
fn the_app_of_another_user_can_still_reload() {
    let app = start("uid = nobody\npython = /usr/bin/python3");
    serving(&app);
    app.send(crate::support::Signal::HUP);
    wait_log(&app, "generation 2 serves");
}

#[test]
fn immediate_ids_are_the_apps() {
    let app = start("immediate-uid = 54321\nimmediate-gid = 54322\npython = /usr/bin/python3");
    let facts = serving(&app);
    assert_eq!(
        (&facts["uid"], &facts["gid"]),
        (&54321.into(), &54322.into())
    );
}

#[test]
fn more_groups_are_added_and_the_users_own_left_out() {
    let app = start(
        "uid = 54321\ngid = 54322\nadd-gid = 12\nno-initgroups = true\npython = /usr/bin/python3",
    );
    assert_eq!(serving(&app)["groups"], serde_json::json!([12]));
}

#[test]
fn a_group_that_nobody_has_is_named() {
    let app = start("uid = 54321\nadd-gid = no-such-group-here");
    wait_log(&app, "group \"no-such-group-here\" does not exist");
}
