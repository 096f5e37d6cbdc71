//! Processes of one place: found by a mark in their environment, ended by pid. Nobody else's process
//! is ever touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::Serialize;

use crate::clock::wait_for;

/// Not `IMPERATOR_…`: those never reach an app.
pub const MARK: &str = "LIFECYCLE_OF";
const BURIAL: Duration = Duration::from_secs(20);

/// Masters that lose their emperor become children of this process, which reaps them in the end.
pub fn adopt_orphans() {
    // It can fail only on a kernel before 3.4.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

pub fn send(pid: i32, signal: Signal) {
    if pid > 1 {
        // Fails only because it has ended already.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Living processes with the mark of this directory, but `except` and those below it.
pub fn marked(directory: &Path, except: Option<u32>) -> Vec<i32> {
    let spared: BTreeSet<i32> = except
        .and_then(|pid| i32::try_from(pid).ok())
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
    let mut found: Vec<i32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| !spared.contains(pid) && is_alive(*pid) && carries(pid))
        .collect();
    found.sort_unstable();
    found
}

pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|rest| !rest.starts_with(['Z', 'X']))
}

/// Kills and reaps what carries the mark, until nothing is left.
pub fn bury(directory: &Path, except: Option<u32>) {
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
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        // Orphans are below us, too.
        let _ = wait_for(BURIAL, || {
            let below = crate::cpu::pids_of_trees(&[own]);
            let left: Vec<i32> = below
                .into_iter()
                .filter(|pid| *pid != own && is_alive(*pid))
                .collect();
            left.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
            left.is_empty().then_some(())
        });
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
