//! Processes of one place: found by a mark in their environment, ended by pid. Nobody else's process
//! is ever touched.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::Serialize;

use crate::clock::{pause, wait_for};

/// Not `IMPERATOR_…`: those never reach an app.
pub const MARK: &str = "LIFECYCLE_OF";
const BURIAL: Duration = Duration::from_secs(20);

/// From one look for dead orphans to the next.
const ROUND: Duration = Duration::from_millis(500);

/// What this process has started itself, and is to end.
#[derive(Debug, Default)]
struct Own {
    /// Each has somebody who waits for it.
    children: BTreeSet<i32>,
    directories: BTreeSet<PathBuf>,
    /// A signal told us to end: nothing may be started any more.
    ends: bool,
}

static OWN: Mutex<Own> = Mutex::new(Own {
    children: BTreeSet::new(),
    directories: BTreeSet::new(),
    ends: false,
});

fn own() -> MutexGuard<'static, Own> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that somebody here waits for: no orphan.
#[derive(Debug)]
pub struct Started(Child);

/// Starts a child, unless this process is told to end.
///
/// # Errors
/// When it cannot be started.
pub fn start(command: &mut Command) -> io::Result<Started> {
    // Held until the child is known: one that ends at once must not be taken for an orphan.
    let mut own = own();
    if own.ends {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let child = command.spawn()?;
    own.children.insert(pid_of(&child));
    Ok(Started(child))
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started, or read from.
pub fn output(command: &mut Command) -> io::Result<Output> {
    let started = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let pid = started.pid();
    let output = started.0.wait_with_output();
    own().children.remove(&pid);
    output
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or_default()
}

impl Started {
    pub fn pid(&self) -> i32 {
        pid_of(&self.0)
    }

    /// Whether it has ended; it is reaped then.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.0.try_wait().is_ok_and(|status| status.is_some());
        if ended {
            own().children.remove(&self.pid());
        }
        ended
    }

    pub fn kill(&mut self) {
        // Both may fail only because it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
        own().children.remove(&self.pid());
    }
}

/// A temporary directory that is also removed when this process is told to end.
///
/// # Errors
/// When it cannot be made, or this process ends already.
pub fn directory(prefix: &str) -> io::Result<tempfile::TempDir> {
    let mut own = own();
    if own.ends {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let directory = tempfile::Builder::new().prefix(prefix).tempdir()?;
    own.directories.insert(directory.path().to_owned());
    Ok(directory)
}

/// Whether a signal told this process to end.
pub fn is_ending() -> bool {
    own().ends
}

/// It is to stay.
pub fn keep(directory: &Path) {
    own().directories.remove(directory);
}

/// Masters that lose their emperor become children of this process, and a thread reaps them.
pub fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It can fail only on a kernel before 3.4.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        #[expect(
            clippy::disallowed_methods,
            reason = "it looks for dead orphans as long as this process lives"
        )]
        std::thread::spawn(|| {
            loop {
                pause(ROUND);
                reap_orphans();
            }
        });
    });
}

/// Dead children that nobody here has started. Whatever a place starts is in a process group of its
/// own; what is in ours was started by somebody else in this process, who waits for it.
fn reap_orphans() {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let group = nix::unistd::getpgrp().as_raw();
    // Nothing is started meanwhile.
    let own = own();
    for pid in all() {
        let is_orphan = Stat::of(pid)
            .is_some_and(|stat| stat.state == 'Z' && stat.parent == me && stat.group != group);
        if is_orphan && !own.children.contains(&pid) {
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What proc(5) has behind the name of a process.
struct Stat {
    state: char,
    parent: i32,
    group: i32,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        Some(Self {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

pub fn send(pid: i32, signal: Signal) {
    if pid > 1 {
        // Fails only because it has ended already.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Living processes with the mark of this directory, but `except` and those below it.
pub fn marked(directory: &Path, except: Option<i32>) -> Vec<i32> {
    let spared: BTreeSet<i32> = except
        .map(|pid| crate::cpu::pids_of_trees(&[pid]))
        .unwrap_or_default()
        .into_iter()
        .collect();
    let wanted = format!("{MARK}={}", directory.display());
    let carries = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ
                .split(|byte| *byte == 0)
                .any(|var| var == wanted.as_bytes())
        })
    };
    let mut found: Vec<i32> = all()
        .filter(|pid| !spared.contains(pid) && is_alive(*pid) && carries(pid))
        .collect();
    found.sort_unstable();
    found
}

pub fn is_alive(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Kills and reaps what carries the mark, until nothing is left.
pub fn bury(directory: &Path, except: Option<i32>) {
    let _ = wait_for(BURIAL, || {
        let left = marked(directory, except);
        for pid in &left {
            send(*pid, Signal::SIGKILL);
            // Orphans are children of this process by now; others are their parents' to reap.
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
        }
        left.is_empty().then_some(())
    });
}

/// Waits for the end of processes that were killed, and became children of this one.
pub fn reap(pids: &[i32]) {
    let _ = wait_for(BURIAL, || {
        for pid in pids {
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
        }
        pids.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
}

/// Ends all that was started when this process is asked to end: Ctrl-C leaves nothing behind.
///
/// # Errors
/// When there can be no signal handler.
pub fn end_with_us() -> Result<(), anyhow::Error> {
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it sleeps until a signal comes, and then ends the program"
    )]
    std::thread::spawn(move || {
        let Some(signal) = signals.forever().next() else {
            return;
        };
        let directories = {
            let mut own = own();
            own.ends = true;
            own.directories.clone()
        };
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        // Orphans are below us, too.
        let _ = wait_for(BURIAL, || {
            let below = crate::cpu::pids_of_trees(&[me]);
            let left: Vec<i32> = below
                .into_iter()
                .filter(|pid| *pid != me && is_alive(*pid))
                .collect();
            left.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
            left.is_empty().then_some(())
        });
        for directory in directories {
            // A row may still be writing there.
            let _ = wait_for(BURIAL, || {
                let _ = fs::remove_dir_all(&directory);
                (!directory.exists()).then_some(())
            });
        }
        std::process::exit(128 + signal);
    });
    Ok(())
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Holds {
    pub descriptors: usize,
    pub threads: usize,
    /// Of its own, in KiB: not that of files, which others may share or not.
    pub memory: u64,
}

pub fn holds(pid: i32) -> Holds {
    let count = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}")).map_or(0, Iterator::count);
    Holds {
        descriptors: count("fd"),
        threads: count("task"),
        memory: anonymous(pid),
    }
}

fn anonymous(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0)
}
