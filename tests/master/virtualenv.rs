//! `virtualenv` and the interpreter that runs: together, or told.

use std::os::unix::fs::symlink;

use crate::apps::{APP, ask, folder, ini, pid_of, serving, start_in, wait_log, wait_version};
use crate::support::{Alone, Folder, Signal};

/// A virtualenv with packages for these versions of Python 3, and a module `beside` in each.
fn venv(folder: &Folder, minors: &[u32], config: &str) {
    folder.write("venv/pyvenv.cfg", config);
    for minor in minors {
        let path = format!("venv/lib/python3.{minor}/site-packages/beside.py");
        folder.write(&path, "NAME = 'beside'\n");
    }
    std::fs::create_dir_all(folder.join("venv/bin")).expect("a directory");
    symlink("/usr/bin/python3", folder.join("venv/bin/python3")).expect("a link");
}

const OLD: &str = "home = /usr/bin\nversion = 3.1.4\n";

fn reload_with(app: &Alone, lines: &str) {
    app.folder.write("app.ini", &ini(lines));
    app.send(Signal::HUP);
}

#[test]
fn a_virtualenv_of_another_python_fails_its_generation_and_names_both() {
    let app = start_in(folder(APP), "");
    let before = pid_of(&serving(&app));
    venv(&app.folder, &[1], OLD);
    // As after an upgrade of the distribution: its own python is another one now.
    reload_with(&app, "virtualenv = {dir}/venv");
    let home = app.folder.fill("{dir}/venv");
    let told = format!(
        "virtualenv {home} has packages of Python 3.1, and {home}/bin/python3 is Python 3."
    );
    wait_log(&app, &told);
    wait_log(
        &app,
        &format!("make it anew: python3 -m venv --clear {home}"),
    );
    // The same by the interpreter's own path alone.
    reload_with(&app, "python = {dir}/venv/bin/python3");
    app.wait_for("the third generation to fail", |app| {
        (app.log().matches(&told).count() > 1).then_some(())
    });
    // Another one beside it.
    reload_with(&app, "python = /usr/bin/python3\nvirtualenv = {dir}/venv");
    let told =
        format!("virtualenv {home} has packages of Python 3.1, and /usr/bin/python3 is Python 3.");
    wait_log(&app, &told);
    wait_log(
        &app,
        "set python to one of its version, or remove one of the two lines",
    );
    let after = app.wait_for("an answer", |app| ask(app, "/"));
    assert_eq!(pid_of(&after), before, "{}", app.report());
}

#[test]
fn packages_of_a_virtualenv_are_found_whichever_python_of_its_version_runs() {
    let folder = folder(&format!("import beside\n{APP}"));
    venv(&folder, &[9, 10, 11, 12, 13, 14, 15], OLD);
    let app = start_in(folder, "python = /usr/bin/python3\nvirtualenv = {dir}/venv");
    let facts = serving(&app);
    assert_eq!(facts["prefix"], "/usr");
    // And one that sees the system's packages may have none of its own.
    app.folder
        .write("app.py", &APP.replace("\"one\"", "\"two\""));
    std::fs::remove_dir_all(app.path("venv")).expect("to remove it");
    let sees = format!("{OLD}include-system-site-packages = true\n");
    venv(&app.folder, &[1], &sees);
    reload_with(&app, "virtualenv = {dir}/venv");
    wait_version(&app, "two");
}
