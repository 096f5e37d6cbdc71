//! Which files and apps `check` finds: as the emperor finds them. And its JSON.

use serde_json::json;

use crate::say;
use crate::support::{Folder, repository};
use crate::texts::CLEAN;

/// The names of all apps, with an exclamation mark where something is wrong.
fn names(folder: &Folder, targets: &[&str]) -> String {
    let mut arguments = vec!["check", "--json"];
    arguments.extend(targets);
    let said = say(folder, &arguments).json();
    let apps = said["apps"].as_array().expect("apps");
    let name = |app: &serde_json::Value| {
        let name = app["name"].as_str().expect("a name").to_owned();
        if app["ok"] == true { name } else { name + "!" }
    };
    apps.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_directory_a_glob_a_section_and_an_emperors_own_file_are_understood() {
    let folder = Folder::new();
    let app = |name: &str| format!("socket = {{dir}}/{name}.sock\nmodule = app\n");
    folder.write("v/one.ini", &format!("[uwsgi]\n{}", app("one")));
    folder.write(
        "v/two.ini",
        &format!("[a]\n{}[b]\n{}[base]\nprocesses = 2\n", app("a"), app("b")),
    );
    folder.write("v/.hidden.ini", "[uwsgi]\n");
    folder.write("v/notes.txt", "[uwsgi]\n");
    folder.write("shops/x/uwsgi.ini", &format!("[uwsgi]\n{}", app("x")));
    folder.write("shops/y/uwsgi.ini", "[uwsgi]\nmodule = app\n");
    folder.write(
        "emperor.ini",
        "[uwsgi]\nemperor = {dir}/v\nemperor = shops/*/uwsgi.ini\n",
    );
    assert_eq!(names(&folder, &["v"]), "one two:a two:b");
    assert_eq!(names(&folder, &["v/two.ini:b"]), "two:b");
    assert_eq!(names(&folder, &["shops/*/uwsgi.ini"]), "x/uwsgi y/uwsgi!");
    assert_eq!(
        names(&folder, &["emperor.ini"]),
        "emperor one two:a two:b x/uwsgi y/uwsgi!"
    );
    let said = say(&folder, &["check", "emperor.ini"]);
    assert!(
        said.text
            .ends_with("5 files, 5 apps: 1 error, no warning\n"),
        "{}",
        said.text
    );
}

#[test]
fn an_emperor_whose_directory_is_missing_is_told_at_its_line() {
    let folder = Folder::new();
    folder.write("emperor.ini", "[uwsgi]\nemperor = {dir}/gone\n");
    say(&folder, &["check", "emperor.ini"]).is(
        &folder,
        0,
        "warning: cannot check \"{dir}/gone\": no such directory or file: {dir}/gone
 --> emperor.ini:2:1
  |
2 | emperor = {dir}/gone
  | ^^^^^^^
  = help: make the directory, or name another one

1 file, no app: no error, 1 warning
",
    );
}

#[test]
fn relative_paths_start_where_the_emperor_starts_the_apps() {
    let folder = Folder::new();
    folder.write("v/app.py", "");
    folder.write(
        "v/site.ini",
        "[uwsgi]\nsocket = site.sock\nwsgi-file = app.py\nini = more.inc\n",
    );
    folder.write("v/more.inc", "[uwsgi]\nprocesses = 2\n");
    let said = say(&folder, &["check", "v"]);
    said.is(&folder, 0, "1 file, 1 app: no error, no warning\n");
    let said = say(&folder, &["check", "v/site.ini"]);
    assert_eq!(said.code, Some(1), "more.inc is not here: {}", said.text);
}

#[test]
fn the_json_is_as_documented() {
    let folder = Folder::new();
    folder.write("clean.ini", CLEAN);
    folder.write(
        "typo.ini",
        "[uwsgi:x]\nsocket = {dir}/typo.sock\nmodule = app\nproceses = 4\n",
    );
    let said = say(&folder, &["check", "--json", "clean.ini", "typo.ini"]);
    assert_eq!(said.code, Some(0));
    let file = |name: &str| folder.join(name).display().to_string();
    assert_eq!(
        said.json(),
        json!({
            "version": 1,
            "files": [file("clean.ini"), file("typo.ini")],
            "apps": [
                {
                    "name": "clean", "file": file("clean.ini"), "section": null,
                    "kind": "app", "ok": true, "import": null,
                },
                {
                    "name": "typo:x", "file": file("typo.ini"), "section": "uwsgi:x",
                    "kind": "app", "ok": true, "import": null,
                },
            ],
            "findings": [{
                "severity": "warning",
                "text": "unknown option \"proceses\", and no %(proceses) uses it",
                "hint": "did you mean \"processes\"?",
                "file": file("typo.ini"), "line": 4, "column": 1, "width": 8,
                "apps": ["typo:x"],
            }],
            "errors": 0,
            "warnings": 1,
        })
    );
}

#[test]
fn the_examples_are_clean() {
    let folder = Folder::new();
    let vassals = repository().join("vassals");
    let said = say(&folder, &["check", "--strict", vassals.to_str().unwrap()]);
    // Somebody may run them on their ports right now.
    let others = said.text.lines().filter(|line| {
        (line.starts_with("warning") || line.starts_with("error")) && !line.contains("listens on")
    });
    assert_eq!(others.collect::<Vec<_>>(), [""; 0], "{}", said.text);
}

#[test]
fn json_and_yaml_are_marked_where_the_option_stands() {
    let folder = Folder::new();
    folder.write(
        "v/a.json",
        "{\"uwsgi\": {\"socket\": \"{dir}/a.sock\", \"module\": \"a\", \"proceses\": 4}}\n",
    );
    folder.write(
        "v/b.yaml",
        "uwsgi:\n  socket: {dir}/b.sock\n  module: b\n  harakiri: 30s\n  proceses: 4\n",
    );
    let said = say(&folder, &["check", "--json", "v"]).json();
    let column = folder
        .fill("{\"uwsgi\": {\"socket\": \"{dir}/a.sock\", \"module\": \"a\", \"x")
        .len();
    let places: Vec<_> = said["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|it| {
            (
                it["line"].as_u64(),
                it["column"].as_u64(),
                it["width"].as_u64(),
            )
        })
        .collect();
    let column = u64::try_from(column).ok();
    assert_eq!(
        places,
        [
            (Some(1), column, Some(8)),
            (Some(4), Some(13), Some(3)),
            (Some(5), Some(3), Some(8)),
        ],
        "{said}"
    );
}
