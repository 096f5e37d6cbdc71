//! uid and gid: the app drops them, with its supplementary groups, and the master keeps its own.

use crate::apps::{serving, start, wait_log};

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
