//! What bad apps and bad surroundings get: one line with cause, place and way out; and the app is
//! tried again.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::apps::{APP, folder, ini, serving, start, start_in, wait_log};
use crate::support::{Process, Signal, is_alive, skips_without, wait_for};

/// A first generation with this code fails with these texts, and serves once it is mended.
fn fails(code: &str, lines: &str, texts: &[&str]) {
    let app = start_in(folder(code), lines);
    for text in texts {
        wait_log(&app, text);
    }
    app.folder.write("app.py", APP);
    app.folder.write("app.ini", &ini("processes = 2"));
    app.send(Signal::HUP);
    serving(&app);
}

#[test]
fn a_module_that_does_not_exist() {
    fails(
        APP,
        "module = no_such_module",
        &["No module named 'no_such_module'", "hint: "],
    );
}

#[test]
fn a_module_that_raises() {
    fails(
        "1 / 0\n",
        "processes = 2",
        &[
            "app.ini:3: cannot load module = app: ",
            "ZeroDivisionError",
            "Traceback (most recent call last)",
        ],
    );
}

#[test]
fn a_module_that_calls_exit() {
    fails(
        "import sys\nsys.exit(7)\n",
        "",
        &["generation 1 failed: ", "app.ini:3:"],
    );
    fails(
        "import os\nos._exit(7)\n",
        "",
        &["ended with exit code 7 before it was ready", "app.ini:3:"],
    );
}

#[test]
fn a_failed_load_is_told_once() {
    let code = "
import os, time
open('pids', 'a').write('%d ' % os.getpid())
try:
    os.mkdir('first')
except FileExistsError:
    time.sleep(100)
while len(open('pids').read().split()) < 2:
    time.sleep(0.01)
raise ValueError('bad')
";
    let app = start_in(folder(code), "processes = 2\nlazy-apps = true");
    wait_log(&app, "generation 1 failed: ");
    // The worker that still loads is killed, and that is nobody's news.
    let pids = app.folder.read("pids");
    let pids = pids.split_whitespace().take(2);
    let pids: Vec<i32> = pids.map(|pid| pid.parse().unwrap()).collect();
    app.wait_for("the end of both workers", |_| {
        (!pids.iter().any(|&pid| is_alive(pid))).then_some(())
    });
    let log = app.log();
    let place = format!("{}:3: ", app.path("app.ini").display());
    assert_eq!(log.matches(&place).count(), 1, "{log}");
    assert_eq!(log.matches(" failed: ").count(), 1, "{log}");
    for noise in ["SIGKILL", "exit code", "died", "ended"] {
        assert!(!log.contains(noise), "{noise}: {log}");
    }
}

#[test]
fn a_module_that_segfaults() {
    let crash = "import os, signal\nprint('last words', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n";
    fails(
        crash,
        "processes = 2",
        &[
            "last words",
            "app.ini:3: the app was killed by SIGSEGV before it was ready",
        ],
    );
}

#[test]
fn a_module_that_hangs() {
    fails(
        "import time\ntime.sleep(1000)\n",
        "ready-timeout = 1",
        &["app.ini:3: the app was not ready within 1 s"],
    );
}

#[test]
fn a_module_that_forks_at_import() {
    let forks =
        format!("import os, time\nif os.fork() == 0:\n    time.sleep(0.2)\n    os._exit(0)\n{APP}");
    let app = start_in(folder(&forks), "processes = 2");
    serving(&app);
    crate::support::stays(std::time::Duration::from_millis(600), "it serves", || {
        crate::apps::ask(&app, "/").is_some()
    });
}

#[test]
fn a_module_that_prints_a_megabyte() {
    let prints = format!("print('x' * 1000000)\nfor i in range(20000): print('line', i)\n{APP}");
    let app = start_in(folder(&prints), "processes = 2");
    serving(&app);
    wait_log(&app, "line 19999");
}

#[test]
fn a_missing_interpreter() {
    fails(
        APP,
        "python = {dir}/bin/python9",
        &[
            "app.ini:6: interpreter ",
            "bin/python9 does not exist",
            "hint: ",
        ],
    );
}

#[test]
fn a_virtualenv_without_python() {
    let folder = folder(APP);
    std::fs::create_dir_all(folder.join("venv/bin")).unwrap();
    let app = start_in(folder, "virtualenv = {dir}/venv");
    wait_log(&app, "app.ini:6: virtualenv");
    wait_log(&app, "has no bin/python3");
    wait_log(&app, "hint: make it anew: python3 -m venv --clear");
}

#[test]
fn a_missing_virtualenv_beside_an_interpreter_that_works() {
    fails(
        APP,
        "virtualenv = {dir}/venv\npython = python3",
        &[
            "app.ini:6: virtualenv ",
            "/venv does not exist",
            "hint: make it: python3 -m venv",
        ],
    );
}

#[test]
fn an_interpreter_that_cannot_be_executed() {
    let folder = folder(APP);
    folder.write("venv/bin/python3", "no program");
    let app = start_in(folder, "virtualenv = {dir}/venv");
    wait_log(&app, "is not executable");
}

#[test]
fn an_interpreter_that_is_no_python() {
    let folder = folder(APP);
    let path = folder.write("python", "#!/bin/sh\nexit 0\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).unwrap();
    let app = start_in(folder, "python = {dir}/python");
    wait_log(&app, "ended with exit code 0 before it was ready");
}

#[test]
fn a_user_that_does_not_exist() {
    fails(
        APP,
        "uid = no-such-user",
        &[
            "app.ini:6: user \"no-such-user\" does not exist",
            "hint: make the user",
        ],
    );
    fails(
        APP,
        "gid = no-such-group",
        &["app.ini:6: group \"no-such-group\" does not exist"],
    );
}

#[test]
fn a_directory_to_change_to_that_does_not_exist() {
    fails(
        APP,
        "chdir = {dir}/nowhere",
        &[
            "cannot change into directory",
            "nowhere: No such file or directory",
        ],
    );
}

#[test]
fn a_failing_start_is_tried_again_by_itself() {
    let app = start_in(folder("import later\n"), "");
    wait_log(&app, "generation 1 failed");
    wait_log(&app, "generation 2 failed");
    app.folder.write("app.py", APP);
    serving(&app);
}

#[test]
fn a_config_that_cannot_be_run_ends_the_start_and_never_a_serving_app() {
    let mut app = start("socket = nonsense:port");
    assert_eq!(app.wait_for_end(), 1);
    wait_log(&app, "app.ini:6: error: ");
    let app = start("");
    serving(&app);
    app.folder.write("app.ini", &ini("socket = nonsense:port"));
    app.send(Signal::HUP);
    wait_log(&app, "generation 2 failed: ");
    wait_log(&app, "app.ini:6: ");
    wait_log(&app, "generation 1 serves on");
    serving(&app);
}

#[test]
fn a_low_port_or_another_user_without_rights() {
    let root = rustix::process::geteuid().is_root();
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first_free = first_free.ok().and_then(|text| text.trim().parse().ok());
    if skips_without(
        "root, and privileged ports",
        root && first_free.unwrap_or(1024) > 81,
    ) {
        return;
    }
    // The build directory may be closed to others.
    let folder = folder(APP);
    let built = Path::new(env!("CARGO_BIN_EXE_imperator"));
    for name in ["imperator", "libimperator_python.so"] {
        std::fs::copy(built.with_file_name(name), folder.join(name)).unwrap();
    }
    let cases = [
        (
            "http-socket = 127.0.0.1:81",
            "app.ini:2: cannot listen on 127.0.0.1:81: ports below 1024 need root",
        ),
        (
            "http-socket = 127.0.0.1:0\nuid = root",
            "app.ini:3: cannot become user \"root\": this process is no root",
        ),
    ];
    for (index, (lines, text)) in cases.into_iter().enumerate() {
        folder.write(
            "app.ini",
            &format!("[uwsgi]\n{lines}\nmodule = app\npython = /usr/bin/python3\n"),
        );
        let mut command = Command::new(folder.join("imperator"));
        command
            .arg(folder.join("app.ini"))
            .current_dir(folder.path());
        command.uid(65534).gid(65534);
        let process = Process::start(command, &folder.join(&format!("{index}.log")));
        wait_for(
            text,
            || process.report(),
            || process.log().contains(text).then_some(()),
        );
    }
}
