//! A helper of `tests/fork.rs`: a subreaper, a mold below it, and the worker that the mold forks.
//! Each is a process with one thread, which a test function is not.
#![expect(
    clippy::zombie_processes,
    reason = "everybody is reaped by the loop under test"
)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use imperator_process::fork::{ForkHooks, Forked, fork_worker};
use imperator_process::reap;

static BEFORE: AtomicU32 = AtomicU32::new(0);
static CHILD: AtomicU32 = AtomicU32::new(0);
static PARENT: AtomicU32 = AtomicU32::new(0);

struct Counting;

impl ForkHooks for Counting {
    fn before_fork(&self) {
        BEFORE.fetch_add(1, Ordering::Relaxed);
    }

    fn after_fork_child(&self) {
        CHILD.fetch_add(1, Ordering::Relaxed);
    }

    fn after_fork_parent(&self) {
        PARENT.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("mold") => mold(),
        Some("signals") => signals(),
        _ => subreaper(),
    }
}

/// Prints who the worker's parent is, and how both ended.
fn subreaper() {
    reap::become_subreaper().expect("PR_SET_CHILD_SUBREAPER");
    let me = std::process::id();
    let mold = Command::new(std::env::current_exe().expect("a path"))
        .arg("mold")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a mold");
    let mold_pid = i32::try_from(mold.id()).expect("a pid");
    let output = std::io::read_to_string(mold.stdout.expect("a pipe")).expect("text");
    // Its end of the pipe is closed by mold and worker: both have said all.
    print!(
        "{}",
        output.replace(&format!("parent {me}"), "parent subreaper")
    );
    let mut ends = Vec::new();
    while ends.len() < 2 {
        if let Some(reaped) = reap::next() {
            let who = if reaped.pid == mold_pid {
                "mold"
            } else {
                "worker"
            };
            ends.push(format!("{who}: {}", reaped.end));
        }
    }
    ends.sort();
    println!("{}", ends.join("\n"));
}

fn mold() {
    // SAFETY: this process has one thread.
    let forked = unsafe { fork_worker(&Counting) }.expect("a worker");
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    let hooks = (count(&BEFORE), count(&CHILD), count(&PARENT));
    match forked {
        Forked::Parent { worker } => {
            assert!(worker > 1);
            println!("mold: hooks {hooks:?}");
            // No child is left to it: the intermediate was reaped.
            let left = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
            println!("mold: {left:?}");
        }
        Forked::Child => {
            let parent = rustix::process::getppid().expect("a parent");
            let leads = rustix::process::getpgrp() == rustix::process::getpid();
            let text = format!(
                "worker: hooks {hooks:?}, parent {}, leads its group: {leads}\n",
                parent.as_raw_nonzero()
            );
            // One write, so that the lines of both processes stay whole.
            let _ = std::io::stdout().write_all(text.as_bytes());
            let _ = std::io::stdout().flush();
            // SAFETY: ends the worker without the mold's destructors.
            unsafe { libc::_exit(7) };
        }
    }
}

/// Children that die of ordinary and of real-time signals, all of them reaped with their numbers.
fn signals() {
    let numbers = [libc::SIGSEGV, libc::SIGKILL, libc::SIGRTMIN() + 3];
    for number in numbers {
        let script = format!("kill -{number} $$");
        Command::new("/bin/sh")
            .args(["-c", &script])
            .spawn()
            .expect("a shell");
    }
    let mut ends = Vec::new();
    while ends.len() < numbers.len() {
        if let Some(reaped) = reap::next() {
            ends.push(reaped.end.to_string());
        }
    }
    ends.sort();
    println!("{}", ends.join("\n"));
}
