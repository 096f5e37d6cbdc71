//! Finds the masters that an earlier emperor left, by their sockets in the runtime directory.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use imperator_core::message::Config;
use imperator_process::channel::Channel;
use tracing::{info, warn};

use crate::control;
use crate::runtime::{self, AppRecord, Runtime};
use crate::supervisor::{Name, Pid};

/// A master that took our connection. Whether it answers is seen later.
pub struct Orphan {
    pub name: Name,
    pub pid: Pid,
    /// As the earlier emperor noted it.
    pub config: Config,
    pub channel: Channel,
    pub pidfd: Option<OwnedFd>,
    /// It was told to stop by hand, and may be about to.
    pub stopped: Option<AppRecord>,
}

/// What an earlier emperor left.
#[derive(Default)]
pub struct Left {
    /// Masters that live.
    pub orphans: Vec<Orphan>,
    /// Apps that were stopped by hand.
    pub halted: Vec<AppRecord>,
    /// Apps without a master of which more is known than that.
    pub known: Vec<AppRecord>,
}

/// Looks for all of it. Directories of masters that are dead and left nothing are cleaned away.
pub fn find(runtime: &Runtime) -> Left {
    let mut left = Left::default();
    for directory in runtime.app_directories() {
        let record = runtime::record_in(&directory);
        match control::connect(&directory.join(runtime::MASTER_SOCKET)) {
            Ok((channel, pid)) => match record {
                Some(record) if control::is_friend(channel.as_fd()) => left.orphans.push(Orphan {
                    name: record.name.clone(),
                    pid,
                    config: record.config.clone(),
                    stopped: Some(record).filter(|record| record.halted),
                    pidfd: pidfd(pid),
                    channel,
                }),
                Some(record) => warn!(
                    "[emperor] the master of {} (pid {pid}) belongs to another user: left alone",
                    record.name
                ),
                None => warn!(
                    "[emperor] {}: a master (pid {pid}) of an unknown app: left alone",
                    directory.display()
                ),
            },
            Err(error) if control::is_nobody(&error) => match record {
                Some(record) if record.halted => left.halted.push(record),
                Some(record) if !record.stored.is_empty() || record.deaths > 0 => {
                    left.known.push(record);
                }
                Some(_) | None => clean(directory),
            },
            Err(error) => warn!(
                "[emperor] {}: cannot reach the master there: {error}",
                directory.display()
            ),
        }
    }
    left
}

fn clean(directory: PathBuf) {
    match std::fs::remove_dir_all(&directory) {
        Ok(()) => info!(
            "[emperor] {}: left by a dead master, removed",
            directory.display()
        ),
        Err(error) => warn!("[emperor] cannot remove {}: {error}", directory.display()),
    }
}

fn pidfd(pid: Pid) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}
