//! What runs beside an app: hooks that fail or hang, users and rights, daemons, and the emperor's
//! words as hooks hear them.

use std::time::{Duration, Instant};

use crate::apps::{APP, ask, folder, ini, pid_of, serving, start, start_in, wait_log};
use crate::support::{
    Empire, Load, Signal, is_alive, require, send, set_mode, skips_without, uwsgi_get,
};

/// The lines that commands wrote into this file.
fn lines(app: &crate::support::Alone, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(app.path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_lines(app: &crate::support::Alone, name: &str, count: usize) -> Vec<String> {
    app.wait_for(&format!("{count} lines in {name}"), |app| {
        Some(lines(app, name)).filter(|lines| lines.len() >= count)
    })
}

#[test]
fn a_failing_command_fails_its_generation_and_the_old_one_serves_on() {
    let app = start("exec-pre-app = ! [ -e {dir}/broken ]");
    let before = pid_of(&serving(&app));
    app.folder.write("broken", "");
    let load = Load::uwsgi(app.path("app.sock"), 4, "/");
    app.send(Signal::HUP);
    wait_log(&app, "generation 2 failed");
    wait_log(&app, "app.ini:6: \"exec:! [ -e ");
    wait_log(&app, "(pre app) failed: it ended with exit code 1");
    wait_log(&app, "generation 1 serves on");
    load.wait_for_more(50);
    load.stop().must_be_clean(50, || app.report());
    assert!(is_alive(before));
    app.folder.remove("broken");
    app.send(Signal::HUP);
    app.wait_for("the next generation", |app| {
        ask(app, "/").filter(|facts| pid_of(facts) != before)
    });
}

#[test]
fn a_hook_that_hangs_fails_its_generation_and_the_old_one_serves_on() {
    let app = start("hook-timeout = 1\nexec-as-user = if [ -e {dir}/hang ]; then sleep 1000; fi");
    let before = pid_of(&serving(&app));
    app.folder.write("hang", "");
    app.send(Signal::HUP);
    wait_log(&app, "generation 2 failed: hooks did not end within 1 s");
    assert_eq!(pid_of(&serving(&app)), before);
    let left = app.family();
    let sleeps = |pid: &&i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.starts_with(b"sleep")
    };
    app.wait_for("the end of what hung", |app| {
        app.family().iter().find(sleeps).is_none().then_some(())
    });
    assert!(left.contains(&before));
}

#[test]
fn a_hook_of_a_worker_that_fails_is_the_failure_of_its_start() {
    let app = start("hook-accepting1 = exec:! [ -e {dir}/broken ]");
    let before = pid_of(&serving(&app));
    app.folder.write("broken", "");
    app.send(Signal::HUP);
    wait_log(&app, "(accepting1) failed: it ended with exit code 1");
    wait_log(&app, "generation 1 serves on");
    assert_eq!(pid_of(&serving(&app)), before);
}

#[test]
fn each_phase_runs_as_its_user() {
    if skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = folder(APP);
    set_mode(folder.path(), 0o777);
    let who = |phase: &str| format!("echo {phase} `id -u` `id -g` >> {{dir}}/{phase}");
    let daemon = |name: &str| format!("echo `id -u` `id -g` >> {{dir}}/{name}; exec sleep 1000");
    let phases = [
        "exec-asap",
        "exec-as-root",
        "exec-as-user",
        "exec-pre-app",
        "exec-post-app",
    ];
    let mut text: Vec<String> = phases.map(|it| format!("{it} = {}", who(it))).to_vec();
    text.push("uid = www-data\npython = /usr/bin/python3\npidfile2 = {dir}/two".to_owned());
    text.push(format!("attach-daemon = {}", daemon("daemon")));
    text.push(format!(
        "attach-daemon2 = uid=1,gid=1,cmd={}",
        daemon("other")
    ));
    text.push("cron = -1 -1 -1 -1 -1 id -u >> {dir}/cron".to_owned());
    text.push("master-fifo = {dir}/fifo".to_owned());
    let app = start_in(folder, &text.join("\n"));
    serving(&app);
    for (name, ids) in [
        ("exec-asap", "exec-asap 0 0"),
        ("exec-as-root", "exec-as-root 0 0"),
        ("exec-as-user", "exec-as-user 33 33"),
        ("exec-pre-app", "exec-pre-app 33 33"),
        ("exec-post-app", "exec-post-app 33 33"),
        ("daemon", "33 33"),
        ("other", "1 1"),
    ] {
        assert_eq!(wait_lines(&app, name, 1), [ids], "{}", app.report());
    }
    // It runs again with the next minute.
    assert_eq!(wait_lines(&app, "cron", 1)[0], "33", "{}", app.report());
    use std::os::unix::fs::MetadataExt;
    for name in ["two", "fifo"] {
        let owner = app.path(name).symlink_metadata().unwrap().uid();
        assert_eq!(owner, 33, "{name}");
    }
}

#[test]
fn a_daemon_ends_after_the_last_request_and_dies_with_its_master() {
    let mut app = start("attach-daemon = echo $$ >> {dir}/daemon; exec sleep 1000");
    serving(&app);
    let pid: i32 = wait_lines(&app, "daemon", 1)[0].parse().unwrap();
    let socket = app.path("app.sock");
    let slow = std::thread::spawn(move || uwsgi_get(socket, "/held"));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    app.send(Signal::TERM);
    wait_log(&app, "SIGTERM: stop");
    assert!(is_alive(pid), "the request may need it");
    app.folder.write("let-go", "");
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
    assert_eq!(app.wait_for_end(), 0, "{}", app.report());
    app.wait_for("the daemon's end", |_| (!is_alive(pid)).then_some(()));

    let app = start("attach-daemon = echo $$ >> {dir}/daemon; exec sleep 1000");
    serving(&app);
    let pid: i32 = wait_lines(&app, "daemon", 1)[0].parse().unwrap();
    app.send(Signal::KILL);
    app.wait_for("the daemon's end", |_| (!is_alive(pid)).then_some(()));
}

#[test]
fn a_broken_deploy_restarts_no_daemon() {
    let app = start("attach-daemon = echo $$ >> {dir}/daemon; exec sleep 1000");
    serving(&app);
    let pid: i32 = wait_lines(&app, "daemon", 1)[0].parse().unwrap();
    app.folder.write("app.py", "import nothing_of_this_name\n");
    app.send(Signal::HUP);
    wait_log(&app, "generation 2 failed");
    assert!(is_alive(pid));
    assert_eq!(lines(&app, "daemon").len(), 1);
    app.folder.write("app.py", APP);
    app.send(Signal::HUP);
    wait_lines(&app, "daemon", 2);
    app.wait_for("the old one's end", |_| (!is_alive(pid)).then_some(()));
}

#[test]
fn an_app_that_sleeps_and_wakes_keeps_its_daemon() {
    let app = start("idle = 1\nattach-daemon = echo $$ >> {dir}/daemon; exec sleep 1000");
    let before = pid_of(&serving(&app));
    let pid: i32 = wait_lines(&app, "daemon", 1)[0].parse().unwrap();
    wait_log(&app, "the app sleeps");
    app.wait_for("the worker's end", |_| (!is_alive(before)).then_some(()));
    let facts = app.wait_for("an answer", |app| ask(app, "/"));
    assert_ne!(pid_of(&facts), before);
    wait_log(&app, "generation 2 serves");
    assert!(is_alive(pid));
    assert_eq!(lines(&app, "daemon").len(), 1, "{}", app.report());
}

#[test]
fn a_daemon_that_ends_at_once_is_started_later_each_time_and_told() {
    let before = Instant::now();
    let app = start("attach-daemon = echo $$ >> {dir}/daemon; exit 3");
    wait_lines(&app, "daemon", 3);
    assert!(
        before.elapsed() > Duration::from_millis(1500),
        "{}",
        app.report()
    );
    wait_log(&app, "ended: exit code 3; it is started again in 2 s");
    app.wait_for("the status to tell", |app| {
        // It runs for a moment each time, and the status of that moment says so.
        app.send(Signal::USR1);
        let log = app.log();
        log.contains("ended early, waits to be started again")
            .then_some(())
    });
}

#[test]
fn a_smart_daemon_whose_process_is_gone_is_started_again() {
    let app = start("smart-attach-daemon2 = {dir}/pid,2 exec sleep 1000");
    serving(&app);
    let pid = |app: &crate::support::Alone| {
        let text = std::fs::read_to_string(app.path("pid")).ok()?;
        text.trim().parse::<i32>().ok().filter(|&pid| is_alive(pid))
    };
    let first = app.wait_for("its pidfile", pid);
    send(first, Signal::KILL);
    let second = app.wait_for("the next one", |app| pid(app).filter(|&it| it != first));
    send(second, Signal::KILL);
}

#[test]
fn a_daemon_gets_the_masters_standard_input_when_it_asks() {
    // The input of a test is /dev/null, which both show; the one that asks shows the same file.
    let app = start(
        "daemons-honour-stdin = true\nattach-daemon = readlink /proc/$$/fd/0 >> {dir}/stdin; exec sleep 1000",
    );
    serving(&app);
    assert_eq!(wait_lines(&app, "stdin", 1), ["/dev/null"]);
}

#[test]
fn a_shell_of_the_config_runs_the_commands_of_hooks() {
    if skips_without("bash", require("bash").is_some()) {
        return;
    }
    let shell = require("bash").unwrap();
    let app = start(&format!(
        "binsh = /no/shell\nbinsh = {}\nexec-asap = echo bash ${{BASH_VERSION:+yes}} >> {{dir}}/shell",
        shell.display()
    ));
    serving(&app);
    assert_eq!(wait_lines(&app, "shell", 1), ["bash yes"]);
}

#[test]
fn file_systems_are_mounted_and_unmounted_by_root() {
    let can = std::process::Command::new("unshare")
        .args(["--mount", "true"])
        .status();
    if skips_without("unshare (root)", can.is_ok_and(|it| it.success())) {
        return;
    }
    let folder = folder(APP);
    folder.write("there/file", "");
    folder.write("here/empty", "");
    let text = "mount-asap = none {dir}/there {dir}/here bind\n\
                exec-asap = ls {dir}/here >> {dir}/mounted\n\
                umount-as-root = {dir}/here\n\
                exec-as-root = ls {dir}/here >> {dir}/unmounted";
    folder.write("app.ini", &ini(text));
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "exec \"$0\" app.ini"])
        .arg(env!("CARGO_BIN_EXE_imperator"))
        .current_dir(folder.path());
    let process = crate::support::Process::start(command, &folder.join("imperator.log"));
    crate::support::wait_for(
        "the app",
        || process.report(),
        || uwsgi_get(folder.join("app.sock"), "/").ok(),
    );
    assert_eq!(folder.read("mounted"), "file\n");
    assert_eq!(folder.read("unmounted"), "empty\n");
}

#[test]
fn hooks_hear_what_the_emperor_says() {
    let folder = folder(APP);
    let vassal = ini("hook-emperor-reload = exec:echo reload >> {dir}/heard\n\
                      hook-emperor-stop = exec:echo stop >> {dir}/heard\n\
                      hook-emperor-lost = exec:echo lost >> {dir}/heard\n\
                      attach-daemon = exec sleep 1000\n\
                      cron = 0 0 31 2 -1 never");
    let mut empire = Empire::start_with(folder, &[("app.ini", &vassal)], &["{dir}/vassals"]);
    empire.wait_serving("app");
    empire.wait_for("daemon and cron to be told", |empire| {
        let why = empire.command(&["why", "app"]);
        let why = String::from_utf8_lossy(&why.stdout).into_owned();
        let told = why.contains("daemon \"exec sleep 1000\": pid ")
            && why.contains("cron \"never\" at 0 0 31 2 -1: waits");
        told.then_some(())
    });
    let heard = |empire: &Empire| std::fs::read_to_string(empire.path("heard")).unwrap_or_default();
    let wait = |empire: &Empire, text: &str| {
        empire.wait_for(&format!("{text:?} to be heard"), |empire| {
            (heard(empire) == text).then_some(())
        });
    };
    empire.touch("app.ini");
    wait(&empire, "reload\n");
    empire.send(Signal::KILL);
    wait(&empire, "reload\nlost\n");
    empire.start_again();
    empire.wait_serving("app");
    empire.remove("app.ini");
    wait(&empire, "reload\nlost\nstop\n");
    empire.send(Signal::TERM);
    assert_eq!(empire.wait_for_end(), 0);
}
