//! What `check` prints about files, word for word.

use std::os::unix::fs::symlink;

use crate::support::Folder;
use crate::{run, say};

/// A config without anything to say about it.
pub(crate) const CLEAN: &str = "[uwsgi]\nsocket = {dir}/clean.sock\nmodule = app\n";

#[test]
fn a_clean_file_is_one_line() {
    let folder = Folder::new();
    folder.write("clean.ini", CLEAN);
    say(&folder, &["check", "clean.ini"]).is(&folder, 0, "1 file, 1 app: no error, no warning\n");
}

#[test]
fn every_finding_shows_its_line_its_word_and_the_way_out() {
    let folder = Folder::new();
    folder.write(
        "shop.ini",
        "[uwsgi]\n\
         socket = {dir}/shop.sock\n\
         module = shop.wsgi\n\
         proceses = 4\n\
         \tharakiri = 30s\n\
         chmod-socket = 0666\n\
         vacuum = true ; always\n\
         env = PASSWORD=se%40cret\n\
         virtualenv = {dir}/venv\n\
         uid = nobody-of-this-name\n",
    );
    say(&folder, &["check", "shop.ini"]).is(
        &folder,
        1,
        "warning: unknown option \"proceses\", and no %(proceses) uses it
 --> shop.ini:4:1
  |
4 | proceses = 4
  | ^^^^^^^^
  = help: did you mean \"processes\"?

warning: option \"harakiri\" reads only the leading number of \"30s\": 30
 --> shop.ini:5:16
  |
5 |     harakiri = 30s
  |                ^^^
  = help: write 30

error: option \"chmod-socket\": \"0666\" is no mode of three octal digits
 --> shop.ini:6:16
  |
6 | chmod-socket = 0666
  |                ^^^^
  = help: write 666

warning: option \"vacuum\" takes \"true ; always\" for true
 --> shop.ini:7:10
  |
7 | vacuum = true ; always
  |          ^^^^^^^^^^^^^
  = help: write true or false; a comment needs a line of its own

warning: \"%4\" is read as a magic variable and becomes \"\"
 --> shop.ini:8:18
  |
8 | env = PASSWORD=se%40cret
  |                  ^^
  = help: write %%4 for a plain percent sign

1 file, 1 app: 1 error, 4 warnings
",
    );
}

#[test]
fn what_this_machine_lacks_is_a_warning() {
    let folder = Folder::new();
    folder.write(
        "lacks.ini",
        "[uwsgi]\n\
         socket = /nonexistent/lacks.sock\n\
         wsgi-file = /nonexistent//%n.py\n\
         virtualenv = /nonexistent/venv\n\
         uid = nobody-of-this-name\n\
         logto = /nonexistent/lacks.log\n\
         static-map = /static=/nonexistent/static\n\
         https-socket = 127.0.0.1:0,{dir}/lacks.ini,key.pem\n",
    );
    let before = folder
        .fill("https-socket = 127.0.0.1:0,{dir}/lacks.ini,")
        .len();
    say(&folder, &["check", "lacks.ini"]).is(
        &folder,
        0,
        "warning: directory /nonexistent does not exist
 --> lacks.ini:2:10
  |
2 | socket = /nonexistent/lacks.sock
  |          ^^^^^^^^^^^^^^^^^^^^^^^
  = help: make it, or put the socket elsewhere
  = note: also in line 6

warning: file /nonexistent/lacks.py does not exist
 --> lacks.ini:3:13
  |
3 | wsgi-file = /nonexistent//%n.py
  |             ^^^^^^^^^^^^^^^^^^^
  = help: name the file that holds the app

warning: virtualenv /nonexistent/venv does not exist
 --> lacks.ini:4:1
  |
4 | virtualenv = /nonexistent/venv
  | ^^^^^^^^^^
  = help: make it: python3 -m venv /nonexistent/venv

warning: user \"nobody-of-this-name\" does not exist
 --> lacks.ini:5:7
  |
5 | uid = nobody-of-this-name
  |       ^^^^^^^^^^^^^^^^^^^
  = help: make the user (adduser --system nobody-of-this-name), or name another one

warning: directory /nonexistent/static does not exist
 --> lacks.ini:7:22
  |
7 | static-map = /static=/nonexistent/static
  |                      ^^^^^^^^^^^^^^^^^^^
  = help: requests for its files go on to the app

warning: file {dir}/key.pem does not exist
 --> lacks.ini:8:{column}
  |
8 | https-socket = 127.0.0.1:0,{dir}/lacks.ini,key.pem
  | {blank}^^^^^^^
  = help: https = address,certificate.pem,key.pem

1 file, 1 app: no error, 7 warnings
"
        .replace("{column}", &(before + 1).to_string())
        .replace("{blank}", &" ".repeat(before))
        .as_str(),
    );
}

#[test]
fn strict_and_usage_have_their_own_exit_codes() {
    let folder = Folder::new();
    folder.write("clean.ini", CLEAN);
    folder.write(
        "typo.ini",
        "[uwsgi]\nsocket = {dir}/typo.sock\nmodule = app\nproceses = 4\n",
    );
    assert_eq!(say(&folder, &["check", "typo.ini"]).code, Some(0));
    assert_eq!(
        say(&folder, &["check", "--strict", "typo.ini"]).code,
        Some(1)
    );
    assert_eq!(
        say(&folder, &["check", "--strict", "clean.ini"]).code,
        Some(0)
    );
    for wrong in [
        &["check"] as &[&str],
        &["check", "--no-such-flag", "clean.ini"],
        &["check", "--timeout", "3", "clean.ini"],
        &["check", "no-such-file.ini"],
        &["check", "no-such-directory/"],
    ] {
        let said = say(&folder, wrong);
        assert_eq!(
            said.code,
            Some(2),
            "{wrong:?}: {}{}",
            said.text,
            said.errors
        );
        assert!(!said.errors.is_empty(), "{wrong:?}");
    }
    let said = say(&folder, &["check", "no-such-file.ini"]);
    assert_eq!(
        said.errors,
        folder.fill(
            "imperator check: cannot check \"no-such-file.ini\": no such directory or file: \
             {dir}/no-such-file.ini\n"
        )
    );
}

#[test]
fn a_finding_of_a_shared_file_is_told_once() {
    let folder = Folder::new();
    folder.write("base.inc", "[uwsgi]\nharakiri = 5 minutes\n");
    for name in ["a", "b", "c"] {
        folder.write(
            &format!("vassals/{name}.ini"),
            &format!(
                "[uwsgi]\nini = {{dir}}/base.inc\nsocket = {{dir}}/{name}.sock\nmodule = app\n"
            ),
        );
    }
    say(&folder, &["check", "vassals"]).is(
        &folder,
        0,
        "warning: option \"harakiri\" reads only the leading number of \"5 minutes\": 5
 --> base.inc:2:12
  |
2 | harakiri = 5 minutes
  |            ^^^^^^^^^
  = help: write 5
  = note: also of b, c

3 files, 3 apps: no error, 1 warning
",
    );
}

#[test]
fn two_apps_of_one_emperor_cannot_share_a_socket() {
    let folder = Folder::new();
    let app = "socket = {dir}/one.sock\nmodule = app\n";
    folder.write("vassals/a.ini", &format!("[uwsgi]\n{app}"));
    folder.write("vassals/b.ini", &format!("[uwsgi]\n{app}"));
    let said = say(&folder, &["check", "vassals"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let expected = folder.fill(
        "error: socket {dir}/one.sock belongs to app \"a\" already ({dir}/vassals/a.ini:2)\n \
         --> vassals/b.ini:2:10\n",
    );
    assert!(said.text.contains(&expected), "{}", said.text);
    // Named one by one they need not run together.
    let said = say(&folder, &["check", "vassals/a.ini", "vassals/b.ini"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.starts_with("warning: socket"), "{}", said.text);
}

#[test]
fn a_file_that_hangs_costs_its_own_deadline_only() {
    let folder = Folder::new();
    folder.write("clean.ini", CLEAN);
    folder.write("hangs.ini", "[uwsgi]\nini = {dir}/fifo\n");
    let fifo = std::process::Command::new("mkfifo")
        .arg(folder.join("fifo"))
        .status();
    assert!(fifo.expect("mkfifo").success());
    let said = say(&folder, &["check", "hangs.ini", "clean.ini"]);
    said.is(
        &folder,
        1,
        "error: the config was not read within 10 s
 --> hangs.ini
  = help: look for a FIFO, a command or a network file system in it

2 files, 1 app: 1 error, no warning
",
    );
}

#[test]
fn a_command_in_a_config_is_not_run() {
    let folder = Folder::new();
    folder.write(
        "runs.ini",
        "[uwsgi]\nsocket = {dir}/x.sock\nmodule = app\nprocesses = @(exec://touch {dir}/ran; echo 4)\n",
    );
    let said = say(&folder, &["check", "runs.ini"]);
    assert!(!folder.join("ran").exists());
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text.contains("its command is not run by check"),
        "{}",
        said.text
    );
}

#[test]
fn nothing_is_written_and_no_socket_made() {
    let folder = Folder::new();
    folder.write("vassals/clean.ini", CLEAN);
    folder.write("vassals/app.py", "def application(e, s): pass\n");
    symlink("clean.ini", folder.join("vassals/link.ini")).unwrap();
    let before = folder.listing();
    say(&folder, &["check", "vassals"]);
    assert_eq!(folder.listing(), before);
}

#[test]
fn colours_are_for_terminals_only() {
    let folder = Folder::new();
    folder.write(
        "typo.ini",
        "[uwsgi]\nsocket = {dir}/x.sock\nmodule = app\nproceses = 4\n",
    );
    let mut command = crate::support::command(&folder);
    command.env_remove("NO_COLOR").args(["check", "typo.ini"]);
    let said = run(&mut command);
    assert!(!said.text.contains('\u{1b}'), "{:?}", said.text);
}

#[test]
fn a_template_is_called_one_once() {
    let folder = Folder::new();
    folder.write(
        "app.ini",
        "[uwsgi]\nsocket = {dir}/x.sock\nmodule = app\n{% if processes %}\n\
         processes = {{ processes }}\n{% endif %}\n",
    );
    say(&folder, &["check", "app.ini"]).is(
        &folder,
        1,
        "error: this file is a template: \"{% if processes %}\" is not filled in
 --> app.ini:4:1
  |
4 | {% if processes %}
  | ^^^^^^^^^^^^^^^^^^
  = help: check what is made of it

1 file, 1 app: 1 error, no warning
",
    );
}
