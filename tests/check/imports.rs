//! `check --import`: real interpreters load the apps, as their users, and go again.

use std::time::{Duration, Instant};

use crate::say;
use crate::support::{Folder, skips_without};

const GOOD: &str = "import os, sys\nprint('a word', os.getcwd())\ndef application(e, s): pass\n";

fn ini(name: &str, more: &str) -> String {
    format!("[uwsgi]\nsocket = {{dir}}/{name}.sock\nchdir = {{dir}}\nmodule = {name}\n{more}")
}

#[test]
fn a_good_app_is_loaded_and_nothing_is_left_behind() {
    let folder = Folder::new();
    folder.write("good.py", GOOD);
    folder.write("good.ini", &ini("good", "processes = 4\nthreads = 2\n"));
    let before = folder.listing();
    let said = say(&folder, &["check", "--import", "good.ini"]);
    assert_eq!(said.code, Some(0), "{}{}", said.text, said.errors);
    let lines: Vec<&str> = said.text.lines().collect();
    let [first, "", "1 file, 1 app: no error, no warning"] = lines.as_slice() else {
        panic!("{}", said.text);
    };
    assert!(first.starts_with("good: imported in "), "{first}");
    assert!(first.contains(" MiB, Python 3."), "{first}");
    // No socket, no byte code, no log.
    assert_eq!(folder.listing(), before);
    let said = say(&folder, &["check", "--import", "--json", "good.ini"]).json();
    let import = &said["apps"][0]["import"];
    assert_eq!(import["result"], "loaded");
    assert!(import["memory"].as_u64() > Some(1 << 20), "{import}");
    assert!(import["seconds"].as_f64() > Some(0.0), "{import}");
}

#[test]
fn an_app_that_cannot_be_loaded_shows_its_traceback_and_its_line() {
    let folder = Folder::new();
    folder.write(
        "broken.py",
        "def start():\n    raise ValueError('no')\nstart()\n",
    );
    folder.write("broken.ini", &ini("broken", ""));
    say(&folder, &["check", "--import", "broken.ini"]).is(
        &folder,
        1,
        "error: cannot load module = broken: ValueError: no ({dir}/broken.py:2)
 --> broken.ini:4:1
  |
4 | module = broken
  | ^^^^^^
  = help: mend the app and touch its ini
    Traceback (most recent call last):
      File \"{dir}/broken.py\", line 3, in <module>
        start()
      File \"{dir}/broken.py\", line 2, in start
        raise ValueError('no')
    ValueError: no

broken: the import failed

1 file, 1 app: 1 error, no warning
",
    );
}

#[test]
fn a_slow_import_has_a_deadline_and_delays_nobody() {
    let folder = Folder::new();
    folder.write("slow.py", "import time\ntime.sleep(600)\n");
    folder.write("good.py", GOOD);
    folder.write("v/slow.ini", &ini("slow", ""));
    folder.write("v/good.ini", &ini("good", ""));
    let begun = Instant::now();
    let said = say(&folder, &["check", "--import", "--timeout=8", "v"]);
    assert!(begun.elapsed() < Duration::from_secs(45), "{}", said.text);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("good: imported in "), "{}", said.text);
    let late = "error: the app was not ready within 8 s\n --> v/slow.ini:4:1\n";
    assert!(said.text.contains(late), "{}", said.text);
}

#[test]
fn an_app_that_ends_its_interpreter_is_told_with_its_last_words() {
    let folder = Folder::new();
    folder.write(
        "ends.py",
        "import os, sys\nprint('so long', flush=True)\nos._exit(3)\n",
    );
    folder.write("ends.ini", &ini("ends", ""));
    let said = say(&folder, &["check", "--import", "ends.ini"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("exit code 3"), "{}", said.text);
    assert!(said.text.contains("    so long\n"), "{}", said.text);
}

#[test]
fn the_app_is_loaded_as_its_user_with_its_environment_and_its_path() {
    if skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = Folder::new();
    folder.write("lib/helper.py", "");
    folder.write(
        "who.py",
        "import os, helper\n\
         assert (os.getuid(), os.getgid(), os.getgroups()) == (33, 33, [33])\n\
         assert os.environ['COLOUR'] == 'blue'\n\
         def application(e, s): pass\n",
    );
    folder.write(
        "who.ini",
        &ini(
            "who",
            "uid = www-data\nenv = COLOUR=blue\npythonpath = {dir}/lib\npython = /usr/bin/python3\n",
        ),
    );
    let said = say(&folder, &["check", "--import", "who.ini"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.contains(", as www-data\n"), "{}", said.text);
}

#[test]
fn under_a_tyrant_the_owner_of_the_file_loads_it() {
    if skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = Folder::new();
    folder.write(
        "who.py",
        "import os\nassert (os.getuid(), os.getgid()) == (33, 33)\ndef application(e, s): pass\n",
    );
    let vassal = folder.write("v/who.ini", &ini("who", "python = /usr/bin/python3\n"));
    folder.write(
        "emperor.ini",
        "[uwsgi]\nemperor = {dir}/v\nemperor-tyrant = true\n",
    );
    let said = say(&folder, &["check", "emperor.ini"]);
    let root = "no vassal runs as root";
    assert!(said.text.contains(root), "{}", said.text);
    std::os::unix::fs::chown(&vassal, Some(33), Some(33)).unwrap();
    let said = say(&folder, &["check", "--import", "emperor.ini"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text
            .contains("emperor: not imported: an emperor loads no app\n"),
        "{}",
        said.text
    );
    assert!(said.text.contains(", as www-data\n"), "{}", said.text);
}

#[test]
fn what_the_user_may_not_read_is_told() {
    if skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = Folder::new();
    folder.write("private/app.py", GOOD);
    std::fs::set_permissions(
        folder.join("private"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    folder.write(
        "app.ini",
        "[uwsgi]\nsocket = {dir}/app.sock\nchdir = {dir}/private\nmodule = app\nuid = www-data\n\
         python = /usr/bin/python3\n",
    );
    let said = say(&folder, &["check", "app.ini"]);
    let expected = folder
        .fill("warning: user \"www-data\" cannot use {dir}/private: {dir}/private has mode 700\n");
    assert!(said.text.starts_with(&expected), "{}", said.text);
    let said = say(&folder, &["check", "--import", "app.ini"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let expected = folder.fill("error: cannot change into directory {dir}/private");
    assert!(said.text.contains(&expected), "{}", said.text);
}

#[test]
fn an_emperor_and_an_app_without_code_are_not_imported() {
    let folder = Folder::new();
    folder.write(
        "files.ini",
        "[uwsgi]\nhttp-socket = {dir}/x.sock\nstatic-map = /={dir}\nneed-app = false\n",
    );
    let said = say(&folder, &["check", "--import", "files.ini"]);
    assert!(
        said.text
            .starts_with("files: not imported: it names no app to load\n"),
        "{}",
        said.text
    );
    assert_eq!(said.code, Some(0));
}
