//! Options that act outside of requests: hooks, daemons, cron, files that are watched or written.
//! What each command found of itself it writes into a file of the server's folder.

mod steering;

use std::path::Path;
use std::time::Duration;

use super::pair::Server;
use super::support::{Signal, is_alive, send, stays};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("binsh", "a_shell_of_the_config_runs_the_commands_of_hooks"),
    ("call-as-root", CALLS),
    ("call-as-user", CALLS),
    ("call-as-user-atexit", CALLS),
    ("call-asap", CALLS),
    ("call-in-jail", CALLS),
    ("call-post-app", CALLS),
    ("call-post-jail", CALLS),
    ("call-pre-app", CALLS),
    ("call-pre-jail", CALLS),
    (
        "daemons-honour-stdin",
        "a_daemon_gets_the_masters_standard_input_when_it_asks",
    ),
    ("hook-emperor-lost", "hooks_hear_what_the_emperor_says"),
    ("hook-emperor-reload", "hooks_hear_what_the_emperor_says"),
    ("hook-emperor-stop", "hooks_hear_what_the_emperor_says"),
    (
        "hook-timeout",
        "a_hook_that_hangs_fails_its_generation_and_the_old_one_serves_on",
    ),
    ("mount-as-root", MOUNTS),
    ("mount-asap", MOUNTS),
    ("mount-in-jail", MOUNTS),
    ("mount-post-jail", MOUNTS),
    ("mount-pre-jail", MOUNTS),
    ("umount-as-root", MOUNTS),
    ("umount-asap", MOUNTS),
    ("umount-in-jail", MOUNTS),
    ("umount-post-jail", MOUNTS),
    ("umount-pre-jail", MOUNTS),
    (
        "wait-for-fs-timeout",
        "the_first_failure_ends_a_start_and_safeexec_never_does",
    ),
    (
        "wait-for-mountpoint",
        "the_first_failure_ends_a_start_and_safeexec_never_does",
    ),
    (
        "wait-for-socket-timeout",
        "the_first_failure_ends_a_start_and_safeexec_never_does",
    ),
];

const CALLS: &str = "functions_of_the_original_are_known_by_what_they_do";
const MOUNTS: &str = "file_systems_are_mounted_and_unmounted_by_root";

#[test]
fn hooks_run_in_the_originals_order_and_places() {
    run(HOOKS);
}

#[test]
fn actions_of_hooks_do_what_they_do_in_the_original() {
    run(ACTIONS);
}

#[test]
fn attached_daemons_live_and_end_with_the_app() {
    run(DAEMONS);
}

#[test]
fn crons_run_in_their_minute() {
    run(CRONS);
}

#[test]
fn letters_and_touched_files_steer_the_master() {
    run(steering::STEERING);
}

#[test]
fn pidfiles_hold_the_masters_pid() {
    run(steering::PIDFILES);
}

const HOOKS: &[Case] = &[
    Case {
        options: &[
            "hook-asap",
            "exec-asap",
            "hook-pre-jail",
            "exec-pre-jail",
            "hook-in-jail",
            "exec-in-jail",
            "hook-as-root",
            "exec-as-root",
            "hook-as-user",
            "exec-as-user",
            "hook-pre-app",
            "exec-pre-app",
            "hook-post-app",
            "exec-post-app",
        ],
        // In the order of the alphabet: the order of the file does not count across phases.
        ini: "chdir = {dir}/sub\n\
              exec-as-root = echo exec-as-root `basename $PWD` >> {dir}/order\n\
              exec-as-user = echo exec-as-user `basename $PWD` >> {dir}/order\n\
              exec-asap = echo exec-asap `basename $PWD` >> {dir}/order\n\
              exec-in-jail = echo exec-in-jail >> {dir}/order\n\
              exec-post-app = echo exec-post-app `basename $PWD` >> {dir}/order\n\
              exec-pre-app = echo exec-pre-app `basename $PWD` >> {dir}/order\n\
              exec-pre-jail = echo exec-pre-jail >> {dir}/order\n\
              hook-as-root = exec:echo hook-as-root >> {dir}/order\n\
              hook-as-user = exec:echo hook-as-user >> {dir}/order\n\
              hook-asap = exec:echo hook-asap >> {dir}/order\n\
              hook-in-jail = exec:echo hook-in-jail >> {dir}/order\n\
              hook-post-app = exec:echo hook-post-app `basename $PWD` >> {dir}/order\n\
              hook-post-jail = exec:echo never without a jail >> {dir}/order\n\
              hook-pre-app = exec:echo hook-pre-app `basename $PWD` >> {dir}/order\n\
              hook-pre-jail = exec:echo hook-pre-jail >> {dir}/order\n",
        files: &[("sub/empty", "")],
        see: |server, facts| {
            server.get("/who");
            let text = told(server, "order");
            // The folder has another name on each server.
            let folder = server.folder().path().file_name().unwrap_or_default();
            let text = text.replace(&*folder.to_string_lossy(), "start");
            facts.note("order", first_of_each(&text));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["jailed", "hook-post-jail", "exec-post-jail"],
        ini: "jailed = true\nexec-post-jail = echo exec >> {dir}/order\nhook-post-jail = exec:echo hook >> {dir}/order\n",
        see: |server, facts| {
            server.get("/who");
            let text = told(server, "order");
            facts.note("order", first_of_each(&text));
            facts.note("times", text.lines().count() / 2);
        },
        differs: &[("times", ROOT_TWICE)],
        ..Case::PLAIN
    },
    Case {
        options: &[
            "hook-post-fork",
            "hook-accepting",
            "hook-accepting-once",
            "hook-accepting1",
            "hook-accepting1-once",
        ],
        ini: "processes = 2\nchdir = {dir}/sub\n\
              hook-post-fork = chdir:{dir}\n\
              hook-post-fork = exec:echo post-fork >> {dir}/forks\n\
              hook-accepting = exec:echo accepting >> {dir}/order\n\
              hook-accepting-once = exec:echo accepting-once >> {dir}/order\n\
              hook-accepting1 = exec:echo accepting1 >> {dir}/order\n\
              hook-accepting1-once = exec:echo accepting1-once >> {dir}/order\n",
        files: &[("sub/empty", "")],
        see: |server, facts| {
            let count = |name: &str| lines(server, name).len();
            server.wait_for("both workers", |_| (count("order") >= 6).then_some(()));
            let mut order = lines(server, "order");
            order.sort();
            facts.note("two workers", order.join(" "));
            facts.note("forks", count("forks"));
            let process = server.get("/process").json();
            let folder = server.folder().path();
            let cwd = process["cwd"].as_str().unwrap_or_default();
            facts.note("the worker's directory", Path::new(cwd) == folder);
            // Only "once" is once.
            let worker = process["pid"].as_i64().unwrap_or_default();
            send(i32::try_from(worker).unwrap(), Signal::KILL);
            server.wait_for("the next worker", |_| (count("order") >= 7).then_some(()));
            let mut order = lines(server, "order");
            order.retain(|line| line.ends_with("once"));
            facts.note("once", order.len());
        },
        ..Case::PLAIN
    },
    Case {
        options: &["hook-as-user-atexit", "exec-as-user-atexit"],
        ini: "exec-as-user-atexit = echo exec >> {dir}/order\nhook-as-user-atexit = exec:echo hook >> {dir}/order\n",
        see: |server, facts| {
            server.get("/who");
            server.send(Signal::INT);
            facts.note("end", end(server));
            facts.note("order", told(server, "order"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["hook-master-start"],
        ini: "hook-master-start = unix_signal:15 gracefully_kill_them_all\nhook-master-start = creat:{dir}/started\n",
        see: |server, facts| {
            server.get("/who");
            there(server, "started");
            server.send(Signal::TERM);
            facts.note("end", end(server));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["hook-touch", "touch-exec"],
        ini: "hook-touch = {dir}/flag exec:echo hook >> {dir}/hooked\ntouch-exec = {dir}/flag echo exec >> {dir}/ran\n",
        files: &[("flag", "")],
        see: |server, facts| {
            server.get("/who");
            later(server, "flag");
            facts.note("hook", told(server, "hooked"));
            facts.note("exec", told(server, "ran"));
        },
        ..Case::PLAIN
    },
];

const ACTIONS: &[Case] = &[
    Case {
        options: &["hook-asap", "file-write"],
        ini: "hook-asap = mkdir:{dir}/new\n\
              hook-asap = write:{dir}/new/a one two\n\
              hook-asap = append:{dir}/new/a  three\n\
              hook-asap = appendn:{dir}/new/a four\n\
              hook-asap = writen:{dir}/new/b line\n\
              hook-asap = creat:{dir}/new/c\n\
              hook-asap = create:{dir}/new/d\n\
              hook-asap = unlink:{dir}/new/d\n\
              hook-asap = chmod:{dir}/new/a 604\n\
              hook-asap = sticky:{dir}/new\n\
              hook-asap = putenv:COLOR=blue\n\
              hook-asap = exec:echo $COLOR > {dir}/new/color\n\
              hook-asap = safeexec:exit 3\n\
              hook-asap = cd:{dir}/new\n\
              hook-asap = creat:relative\n\
              hook-asap = print:a word\n\
              hook-asap = cd:{dir}\n\
              file-write = {dir}/new/written=some text\n",
        see: |server, facts| {
            facts.note("served", server.get("/who").status);
            for name in ["a", "b", "c", "color", "written"] {
                // Before the app was served: there is nothing to wait for.
                let path = server.folder().join("new").join(name);
                facts.note(name, std::fs::read_to_string(path).unwrap_or_default());
            }
            facts.note("unlinked", server.folder().join("new/d").exists());
            facts.note("relative", server.folder().join("new/relative").exists());
            facts.note("mode of a", mode(&server.folder().join("new/a")));
            facts.note("mode of new", mode(&server.folder().join("new")));
            let env = &server.get("/process").json()["env"]["COLOR"];
            facts.note("the app's environment", env);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["wait-for-fs", "wait-for-socket"],
        ini: "exec-asap = (sleep 1; touch {dir}/flag) >/dev/null 2>&1 &\n\
              exec-asap = (sleep 1; exec python3 {dir}/listen.py {dir}/other) >/dev/null 2>&1 &\n\
              wait-for-fs = {dir}/flag\nwait-for-file = {dir}/flag\nwait-for-dir = {dir}\n\
              wait-for-socket = {dir}/other\n",
        files: &[(
            "listen.py",
            "import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(9)\ntime.sleep(30)\n",
        )],
        see: |server, facts| {
            facts.note("served", server.get("/who").status);
            facts.note("flag", server.folder().join("flag").exists());
            facts.note("other", server.folder().join("other").exists());
        },
        ..Case::PLAIN
    },
];

const DAEMONS: &[Case] = &[
    Case {
        options: &["attach-daemon"],
        ini: "chdir = {dir}/sub\nenv = COLOR=red\nattach-daemon = echo $$ `basename $PWD` $COLOR `ps -o sid= -p $$` >> {dir}/daemon; exec sleep 1000\n",
        files: &[("sub/empty", "")],
        see: |server, facts| {
            server.get("/who");
            let first = daemon(server, 1);
            facts.note("directory and environment", first[1..3].join(" "));
            facts.note("leads its session", first[0] == first[3]);
            let pid: i32 = first[0].parse().unwrap();
            send(pid, Signal::KILL);
            let second = daemon(server, 2);
            facts.note("started again", second[0] != first[0]);
            // A reload starts it anew.
            server.send(Signal::HUP);
            let third = daemon(server, 3);
            let old: i32 = second[0].parse().unwrap();
            server.wait_for("the old one's end", |_| (!is_alive(old)).then_some(()));
            let last: i32 = third[0].parse().unwrap();
            facts.note("after a reload", is_alive(last));
            server.send(Signal::INT);
            facts.note("end", end(server));
            facts.note("left", is_alive(last));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["attach-daemon2"],
        ini: "attach-daemon2 = chdir={dir}/sub,stopsignal=2,reloadsignal=10,touch={dir}/flag,cmd=exec python3 {dir}/daemon.py {dir}/daemon\n",
        files: &[
            ("sub/empty", ""),
            ("flag", ""),
            (
                "daemon.py",
                "import os, signal, sys\ndef log(text):\n    with open(sys.argv[1], 'a') as out:\n        print(text, file=out)\n\
                 def end(number, frame):\n    log('signal %d' % number)\n    sys.exit(0)\n\
                 for number in (2, 10, 15):\n    signal.signal(number, end)\n\
                 log('at ' + os.path.basename(os.getcwd()))\nwhile True:\n    signal.pause()\n",
            ),
        ],
        see: |server, facts| {
            server.get("/who");
            told_lines(server, "daemon", 1);
            later(server, "flag");
            told_lines(server, "daemon", 3);
            server.send(Signal::HUP);
            told_lines(server, "daemon", 5);
            server.send(Signal::INT);
            facts.note("end", end(server));
            facts.note("heard", lines(server, "daemon").join(", "));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["attach-control-daemon"],
        ini: "attach-control-daemon = while ! [ -e {dir}/flag ]; do sleep 0.1; done\n",
        see: |server, facts| {
            facts.note("served", server.get("/who").status);
            server.folder().write("flag", "");
            facts.note("end", end(server));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["smart-attach-daemon"],
        ini: "smart-attach-daemon = {dir}/pid (sleep 1000 & echo $! > {dir}/pid)\n",
        see: |server, facts| {
            server.get("/who");
            let pid: i32 = told(server, "pid").trim().parse().unwrap();
            let before = worker(server);
            server.send(Signal::HUP);
            server.wait_for("the reload", |it| (worker(it) != before).then_some(()));
            facts.note(
                "the same after a reload",
                told(server, "pid") == format!("{pid}\n"),
            );
            facts.note("lives after a reload", is_alive(pid));
            server.send(Signal::INT);
            facts.note("end", end(server));
            facts.note("lives after the end", is_alive(pid));
            send(pid, Signal::KILL);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["smart-attach-daemon2"],
        ini: "smart-attach-daemon2 = {dir}/pid,2 exec sleep 1000\n",
        see: |server, facts| {
            server.get("/who");
            let pid = |it: &Server| {
                let text = std::fs::read_to_string(it.folder().join("pid")).ok()?;
                text.trim().parse::<i32>().ok().filter(|&pid| is_alive(pid))
            };
            let first = server.wait_for("its pidfile", pid);
            let before = worker(server);
            server.send(Signal::HUP);
            server.wait_for("the reload", |it| (worker(it) != before).then_some(()));
            facts.note("the same after a reload", pid(server) == Some(first));
            server.send(Signal::INT);
            facts.note("end", end(server));
            facts.note("lives after the end", is_alive(first));
            send(first, Signal::KILL);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["reload-mercy"],
        ini: "reload-mercy = 1\nattach-daemon = trap '' TERM; touch {dir}/ready; while :; do sleep 1; done\n",
        see: |server, facts| {
            server.get("/who");
            there(server, "ready");
            server.send(Signal::INT);
            facts.note("end", end(server));
            let lives = super::support::Folder::path(server.folder()).exists();
            facts.note("the folder", lives);
        },
        ..Case::PLAIN
    },
];

const CRONS: &[Case] = &[Case {
    options: &["cron", "cron2", "unique-cron", "cron-harakiri"],
    ini: "chdir = {dir}/sub\n\
              cron = -1 -1 -1 -1 -1 echo `basename $PWD` >> {dir}/cron\n\
              cron = -1 -1 31 2 -1 touch {dir}/never\n\
              cron2 = hour=-1,minute=-1 echo two >> {dir}/cron2\n\
              cron2 = echo plain >> {dir}/plain\n\
              unique-cron = -1 -1 -1 -1 7 echo sunday >> {dir}/sunday\n\
              unique-cron = -1 -1 -1 -1 -1 echo $$ >> {dir}/unique; exec sleep 1000\n\
              cron-harakiri = 1\n",
    files: &[("sub/empty", "")],
    see: |server, facts| {
        server.get("/who");
        facts.note("cron", told_lines(server, "cron", 1)[0].clone());
        facts.note("cron2", told_lines(server, "cron2", 1)[0].clone());
        facts.note("plain", told_lines(server, "plain", 1)[0].clone());
        facts.note("never", server.folder().join("never").exists());
        let pid: i32 = told_lines(server, "unique", 1)[0].parse().unwrap();
        server.wait_for("its harakiri", |_| (!is_alive(pid)).then_some(()));
    },
    ..Case::PLAIN
}];

/// Each line where it stands first. Without `uid` the original stays root, and reaches the hooks
/// of root and user again and again.
fn first_of_each(text: &str) -> String {
    let mut seen = Vec::new();
    for line in text.lines() {
        let of_root = line.starts_with("exec-as-");
        let line = if of_root {
            line.replace(" sub", " start")
        } else {
            line.to_owned()
        };
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    seen.join("\n")
}

const ROOT_TWICE: &str = "hooks and commands as root and as user, without `uid`";

/// Waits for the end; tells the exit code.
fn end(server: &mut Server) -> String {
    let status = server.process().wait(Duration::from_secs(30));
    let code = status.code();
    code.map_or_else(|| status.to_string(), |code| format!("exit {code}"))
}

fn lines(server: &Server, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(server.folder().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The file's text, once it is there.
#[track_caller]
fn told(server: &Server, name: &str) -> String {
    // A file is there before it is written.
    server.wait_for(&format!("text in the file {name}"), |it| {
        let text = std::fs::read_to_string(it.folder().join(name)).ok()?;
        (!text.is_empty()).then_some(text)
    })
}

#[track_caller]
fn told_lines(server: &Server, name: &str, count: usize) -> Vec<String> {
    let what = format!("{count} lines in {name}");
    server.wait_for(&what, |it| {
        Some(lines(it, name)).filter(|lines| lines.len() >= count)
    })
}

#[track_caller]
fn there(server: &Server, name: &str) {
    server.wait_for(&format!("the file {name}"), |it| {
        it.folder().join(name).exists().then_some(())
    });
}

/// Touches a file so that it is newer than before in whole seconds, as the original wants it.
#[track_caller]
fn later(server: &Server, name: &str) {
    let path = server.folder().join(name);
    let before = path.metadata().and_then(|it| it.modified()).unwrap();
    // The original looks once a second, and first when its master runs.
    let seconds = if server.is_original() { 3 } else { 1 };
    stays(Duration::from_secs(seconds), "the file", || path.exists());
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before + Duration::from_secs(10)).unwrap();
}

fn write(server: &Server, fifo: &str, letters: &str) {
    use std::io::Write;
    let path = server.folder().join(fifo);
    let opened = std::fs::File::options().write(true).open(path);
    opened.unwrap().write_all(letters.as_bytes()).unwrap();
    // The original makes the pipe anew after each writer.
    stays(Duration::from_millis(300), "a pause", || true);
}

/// What the n-th daemon wrote.
#[track_caller]
fn daemon(server: &Server, count: usize) -> Vec<String> {
    let line = told_lines(server, "daemon", count)[count - 1].clone();
    line.split_whitespace().map(str::to_owned).collect()
}

/// 0 when nobody answers.
fn worker(server: &Server) -> i64 {
    let reply = server.get("/process");
    match reply.status {
        200 => reply.json()["pid"].as_i64().unwrap_or_default(),
        _ => 0,
    }
}

/// Who answers a few requests that come together.
fn workers(server: &Server) -> Vec<i64> {
    let mut pids: Vec<i64> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(|| worker(server))).collect();
        asked.into_iter().filter_map(|it| it.join().ok()).collect()
    });
    pids.retain(|&pid| pid != 0);
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn mode(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let mode = path.symlink_metadata().map(|it| it.mode());
    format!("{:o}", mode.unwrap_or_default() & 0o7777)
}
