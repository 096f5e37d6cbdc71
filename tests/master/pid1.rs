//! As PID 1 of a container: reaps what is orphaned to it, drains on TERM, exits 0.

use std::process::Command;

use crate::apps::{APP, folder, ini};
use crate::support::{PATIENCE, Process, Signal, skips_without, uwsgi_get, wait_for};

#[test]
fn pid_1_reaps_everybody_drains_and_exits_0() {
    if skips_without("unshare (root)", rustix::process::geteuid().is_root()) {
        return;
    }
    let orphan = "
import subprocess
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.3)
        os._exit(0)
    os._exit(0)
os.wait()

def orphans(environ):
    for _ in range(20):
        subprocess.Popen([\"sh\", \"-c\", \"sleep 0.1 &\"]).wait()
    return 20

VIEWS[\"/orphans\"] = orphans
";
    let folder = folder(&format!("{APP}{orphan}"));
    folder.write("app.ini", &ini("processes = 2\npidfile = {dir}/app.pid"));
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(env!("CARGO_BIN_EXE_imperator"))
        .arg(folder.join("app.ini"))
        .current_dir(folder.path());
    let mut process = Process::start(command, &folder.join("imperator.log"));
    let socket = folder.join("app.sock");
    let report = |process: &Process| process.report();
    let facts = wait_for(
        "the app",
        || report(&process),
        || uwsgi_get(socket.clone(), "/").ok(),
    );
    assert_eq!(facts.json()["parent"], 1, "workers are children of PID 1");
    assert_eq!(folder.read("app.pid").trim(), "1");
    let master = child_of(process.pid()).expect("a child of unshare");
    // Who is below it, zombies included: the mold and two workers.
    let reaped = || (children_of(master).len() == 3).then_some(());
    wait_for("the orphans to be reaped", || report(&process), reaped);
    let orphans = uwsgi_get(socket.clone(), "/orphans").expect("an answer");
    assert_eq!(orphans.text(), "20");
    wait_for("these too", || report(&process), reaped);
    let slow = std::thread::spawn(move || uwsgi_get(socket, "/slow?1"));
    let started = folder.join("slow-started");
    wait_for(
        "the slow request",
        || report(&process),
        || started.exists().then_some(()),
    );
    crate::support::send(master, Signal::TERM);
    assert_eq!(slow.join().unwrap().expect("an answer").text(), "\"slept\"");
    assert_eq!(
        process.wait(PATIENCE).code(),
        Some(0),
        "{}",
        process.report()
    );
}

fn child_of(parent: i32) -> Option<i32> {
    children_of(parent).first().copied()
}

fn children_of(parent: i32) -> Vec<i32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pids = text.split_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}
