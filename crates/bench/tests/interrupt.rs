//! Ctrl-C or SIGTERM in the middle of what `imperator-bench` measures leaves no process and no directory,
//! and orphans of the servers do not stay as zombies until then.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use imperator_bench::clock::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that never answers, with a child, an orphan that stays, and one that ends at once.
const SERVER: &str = "#!/bin/sh
sleep 600 &
child=$!
orphan=$(setsid sleep 600 >/dev/null 2>&1 & echo $!)
gone=$(setsid true >/dev/null 2>&1 & echo $!)
echo $child $orphan $gone $$ > TOP/pids.new
mv TOP/pids.new TOP/pids
wait
";

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Starts the benchmark in a directory with programs that only wait, ends it by `signal` when its server
/// is up, and looks for what is left.
fn interrupted(signal: Signal, arguments: impl FnOnce(&Path, &mut Command)) {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path();
    let shown = top.display().to_string();
    script(&top.join("imperator"), &SERVER.replace("TOP", &shown));
    script(&top.join("nginx"), "#!/bin/sh\nexec sleep 600\n");
    fs::write(top.join("libimperator_python.so"), "").unwrap();
    let temporary = top.join("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imperator-bench"));
    arguments(top, &mut command);
    let mut bench = command
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let started = wait_for(PATIENCE, || {
        let text = fs::read_to_string(top.join("pids")).ok()?;
        let pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
        Some(pids.collect::<Vec<i32>>())
    });
    let pids = started.expect("the server is started");
    // Its parent is gone, so it is the benchmark's to reap, which goes on meanwhile.
    let reaped = wait_for(PATIENCE, || stat(pids[2]).is_none().then_some(()));
    assert!(reaped.is_some(), "still there: {:?}", stat(pids[2]));

    kill(Pid::from_raw(bench.id().try_into().unwrap()), signal).unwrap();
    let status = wait_for(PATIENCE, || bench.try_wait().unwrap());
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(128 + signal as i32)
    );
    for pid in pids {
        // Whoever reaps it now: a zombie runs no more.
        let stat = stat(pid).unwrap_or_default();
        let runs = !stat.is_empty() && !stat.contains(") Z ");
        assert!(!runs, "a process of the benchmark is left: {stat}");
    }
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_interrupt_ends_all_that_a_row_started() {
    interrupted(Signal::SIGINT, |top, bench| {
        bench
            .args(["lifecycle", "table", "--servers", "ours"])
            .args(["--only", "reloads", "--workers", "1", "--jobs", "1"])
            .arg("--imperator")
            .arg(top.join("imperator"))
            .arg("--nginx")
            .arg(top.join("nginx"))
            .args(["--python", "/bin/sh"]);
    });
}

#[test]
fn an_interrupt_ends_what_the_suite_started() {
    interrupted(Signal::SIGINT, |top, bench| {
        // An environment in which everything is installed already.
        let programs = top.join("environment/bin");
        fs::create_dir_all(&programs).unwrap();
        script(&programs.join("pip"), "#!/bin/sh\n");
        script(&programs.join("python"), "#!/bin/sh\necho 1000\n");
        bench
            .args(["suite", "--python", "/bin/true", "--ours"])
            .arg(top.join("imperator"))
            .arg("--environment")
            .arg(top.join("environment"));
    });
}

#[test]
fn an_interrupt_ends_what_a_comparison_started() {
    interrupted(Signal::SIGTERM, |top, bench| {
        bench
            .args(["compare", "--original", "-", "--ours"])
            .arg(top.join("imperator"));
    });
}

#[test]
fn an_interrupt_ends_what_a_long_run_started() {
    interrupted(Signal::SIGTERM, |top, bench| {
        bench
            .args(["soak", "--minutes", "1", "--ours"])
            .arg(top.join("imperator"));
    });
}
