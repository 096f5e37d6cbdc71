//! Limits of the machine: the app concerned is shown so, nothing else suffers, and it recovers by
//! itself.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use super::support::{Folder, background, dawdle, free_port, skips_without, uwsgi_get};
use super::{APP, app_serves, empire, empire_in, ini, names, other_serves, text_of};

#[test]
fn a_listen_above_what_the_kernel_allows_is_named_with_the_command() {
    let empire = empire(APP, "listen = 1000000");
    app_serves(&empire);
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    names(
        &empire,
        "listen-limit",
        "listen limit",
        &[
            &format!("listen = 1000000 is cut to {}", limit.trim()),
            "way out: sysctl -w net.core.somaxconn=1000000",
        ],
    );
}

#[test]
fn a_queue_that_is_full_is_named_beside_what_fills_it() {
    let empire = empire(APP, "listen = 2");
    empire.wait_serving("app");
    let socket = empire.path("app.s");
    let slow = socket.clone();
    background(move || {
        let _ = uwsgi_get(slow, "/slow");
    });
    empire.wait_for("the worker to be busy", |empire| {
        (empire.app("app")["status"]["busy"] == 1).then_some(())
    });
    let waiting: Vec<_> = (0..2)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    names(
        &empire,
        "every-worker-busy",
        "every worker is busy",
        &[
            "2 connections wait",
            "also: listen limit: 2 connections wait, and listen allows 2",
            "raise listen above 2",
        ],
    );
    drop(waiting);
    other_serves(&empire);
}

/// Unix and TCP: a queue that grows long is told before it is full.
#[test]
fn a_queue_that_is_nearly_full_is_told_in_the_log_in_status_and_by_why() {
    let empire = empire(APP, "listen = 8");
    let port = free_port();
    let tcp = ini("app", "listen = 8").replace("{dir}/app.s", &format!("127.0.0.1:{port}"));
    empire.write("tcp.ini", &tcp);
    empire.wait_serving("app");
    empire.wait_serving("tcp");
    let socket = empire.path("app.s");
    let unix = socket.clone();
    background(move || drop(uwsgi_get(unix, "/slow")));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    background(move || drop(uwsgi_get(address, "/slow")));
    for name in ["app", "tcp"] {
        empire.wait_for("the worker to be busy", |empire| {
            (empire.app(name)["status"]["busy"] == 1).then_some(())
        });
    }
    let at_unix: Vec<_> = (0..6)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let at_tcp: Vec<_> = (0..6)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for (name, place) in [
        ("app", socket.display().to_string()),
        ("tcp", address.to_string()),
    ] {
        let told = "6 of at most 8 connections wait to be accepted at ";
        empire.wait_for("a word in the log", |empire| {
            let log = empire.log();
            let lines: Vec<_> = log.lines().filter(|line| line.contains(told)).collect();
            let of_name = |line: &&&str| line.contains(&format!("[{name}] "));
            let line = lines.iter().find(of_name)?;
            assert!(line.ends_with(&place), "{line}");
            Some(())
        });
        let table = text_of(&empire.command(&["status", name]));
        assert!(table.contains(" 6/8 "), "{table}");
    }
    names(
        &empire,
        "every-worker-busy",
        "every worker is busy",
        &[
            "also: listen limit: 6 connections wait, and listen allows 8: the queue is nearly full",
            "raise listen above 8",
        ],
    );
    drop((at_unix, at_tcp));
    other_serves(&empire);
}

#[test]
fn a_log_reader_that_sleeps_blocks_nobody_and_what_it_misses_is_counted() {
    let folder = Folder::new();
    let fifo = folder.join("log");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|it| it.success()), "mkfifo");
    // It is there, and takes nothing.
    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    let code = format!(
        "{APP}\nplain = application\n\ndef application(environ, start_response):\n    \
         if environ['PATH_INFO'] == '/talk':\n        print('x' * 8000, flush=True)\n    \
         return plain(environ, start_response)\n"
    );
    let empire = empire_in(folder, &code, &ini("app", "logto = {dir}/log"), &[]);
    empire.wait_serving("app");
    // More than the pipes and the master hold.
    let dropped = empire.wait_for("lines to be dropped", |empire| {
        for _ in 0..20 {
            let reply = uwsgi_get(empire.path("app.s"), "/talk").expect("an answer");
            assert_eq!(reply.status, 200);
        }
        empire.app("app")["status"]["dropped"]
            .as_u64()
            .filter(|&it| it > 0)
    });
    let table = text_of(&empire.command(&["status"]));
    assert!(table.contains(" log lines were dropped"), "{table}");
    names(
        &empire,
        "nothing-wrong",
        "nothing is wrong",
        &[
            "note: ",
            " log lines were dropped: nobody read them in time",
        ],
    );
    other_serves(&empire);
    // It wakes, and is told how much it missed.
    let mut lines = BufReader::new(reader).lines();
    let told = lines.find_map(|line| {
        let line = line.expect("a line");
        let count = line.strip_suffix(" log lines were dropped: nobody read them in time")?;
        count.parse::<u64>().ok()
    });
    assert!(told >= Some(dropped), "{told:?} of {dropped}");
    app_serves(&empire);
}

#[test]
fn a_worker_without_descriptors_is_named_and_serves_when_there_are_some() {
    // A thread of the app takes every descriptor as long as the file is there.
    let code = format!(
        "{APP}\nimport threading\n\ndef hoard():\n    kept = []\n    while True:\n        \
         if os.path.exists('hoard'):\n            try:\n                \
         kept.append(os.open('/dev/null', os.O_RDONLY))\n                continue\n            \
         except OSError:\n                pass\n        else:\n            \
         [os.close(fd) for fd in kept]\n            kept = []\n        time.sleep(0.01)\n\n\
         threading.Thread(target=hoard, daemon=True).start()\n"
    );
    let empire = empire(&code, "max-fd = 64\nchdir = {dir}");
    app_serves(&empire);
    empire.folder.write("hoard", "");
    let socket = empire.path("app.s");
    let waiting = std::thread::spawn(move || uwsgi_get(socket, "/").map(|reply| reply.status));
    names(
        &empire,
        "fd-limit",
        "limit of open files",
        &[
            "app.ini:4: worker 1 (pid ",
            "has 64 of 64 descriptors open",
            "expected: fewer than 64 descriptors",
            "found: 64 descriptors",
            "raise max-fd",
        ],
    );
    other_serves(&empire);
    empire.folder.remove("hoard");
    assert_eq!(
        waiting.join().unwrap().ok(),
        Some(200),
        "{}",
        empire.report()
    );
    app_serves(&empire);
}

/// Processes of one user, until the end of the test.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(uid: u32, count: usize) -> Self {
        let sleeper = |_| {
            let mut command = Command::new("sleep");
            command.arg("600").uid(uid).gid(uid).process_group(0);
            command.spawn().expect("sleep")
        };
        Self((0..count).map(sleeper).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_limit_of_processes_is_named_and_the_app_starts_when_there_is_room() {
    let is_root = rustix::process::geteuid().is_root();
    if skips_without("root", is_root) {
        return;
    }
    // A user of this run alone: the kernel counts all processes of one.
    let uid = 2_000_000 + std::process::id();
    let sleepers = Sleepers::start(uid, 8);
    let lines = format!(
        "uid = {uid}\ngid = {uid}\npython = /usr/bin/python3\nprocesses = 2\nlimit-nproc = 9"
    );
    let empire = empire_in(Folder::new(), APP, &ini("app", &lines), &[]);
    names(
        &empire,
        "fork-limit",
        "limit of processes",
        &[
            "app.ini:8: ",
            "Resource temporarily unavailable",
            "raise limit-nproc",
            "also: backing off: the next try is at ",
        ],
    );
    other_serves(&empire);
    drop(sleepers);
    // By itself: nobody touches anything.
    app_serves(&empire);
}

/// A small file system of its own.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&at);
        let done = command.output().is_ok_and(|it| it.status.success());
        done.then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_named_and_logging_goes_on_when_there_is_room() {
    let folder = Folder::new();
    let small = Small::mount(folder.join("small"));
    if skips_without("mount (root)", small.is_some()) {
        return;
    }
    let code = format!(
        "{APP}\nplain = application\n\ndef application(environ, start_response):\n    \
         print('said', environ['PATH_INFO'], flush=True)\n    return plain(environ, start_response)\n"
    );
    let empire = empire_in(
        folder,
        &code,
        &ini("app", "logto = {dir}/small/app.log"),
        &[],
    );
    app_serves(&empire);
    let filler = empire.path("small/filler");
    let _ = std::fs::write(&filler, vec![b'x'; 1 << 20]);
    // Its page may have room for some lines.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (socket, goes) = (empire.path("app.s"), std::sync::Arc::clone(&stop));
    let talk = std::thread::spawn(move || {
        while !goes.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = uwsgi_get(
                socket.clone(),
                "/a/long/path/that/fills/the/rest/of/the/last/page",
            );
            dawdle(std::time::Duration::from_millis(2));
        }
    });
    names(
        &empire,
        "disk-full",
        "disk full",
        &[
            "cannot write the log {dir}/small/app.log: No space left on device",
            "path: {dir}/small/app.log",
            "df -h {dir}/small/app.log",
        ],
    );
    app_serves(&empire);
    other_serves(&empire);
    // Else the talk would fill the room that is made.
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    talk.join().unwrap();
    std::fs::remove_file(&filler).unwrap();
    empire.wait_for("the log to go on", |empire| {
        uwsgi_get(empire.path("app.s"), "/afterwards").ok()?;
        let log = empire.folder.read("small/app.log");
        log.contains("said /afterwards").then_some(())
    });
    names(&empire, "nothing-wrong", "nothing is wrong", &[]);
}
