//! The masters of a runtime directory, asked by a client itself: for commands while no emperor is
//! there.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imperator_core::history::{Entry, History};
use imperator_core::message::{AppStatus, FromMaster, ToMaster};
use imperator_process::channel::{Channel, Received};
use imperator_process::poll::{Interest, PollSet};

use crate::control::{self, AppLine, Condition};
use crate::runtime::{self, AppRecord, Stopped};
use crate::status;

/// So long masters may take to answer, all together.
const PATIENCE: Duration = Duration::from_secs(3);

/// An app of this directory: its master lives, or somebody stopped it.
pub struct Orphan {
    pub record: AppRecord,
    /// `None`: there is no master.
    pub master: Option<(i32, Channel)>,
    directory: PathBuf,
}

/// What is left in this runtime directory, by name.
///
/// # Errors
/// It cannot be read: `NotFound` when there never was an emperor, `PermissionDenied` for who is
/// neither root nor the emperor's user.
pub fn find(runtime: &Path) -> io::Result<Vec<Orphan>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(runtime.join("apps"))? {
        let directory = entry?.path();
        let Some(record) = runtime::record_in(&directory) else {
            continue;
        };
        let master = control::connect(&directory.join(runtime::MASTER_SOCKET)).ok();
        let master = master.map(|(channel, pid)| (pid, channel));
        if master.is_some() || record.halted {
            found.push(Orphan {
                record,
                master,
                directory,
            });
        }
    }
    found.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    Ok(found)
}

/// How they are, as far as they say in time. `stacks`: workers of which no thread is free begin to
/// tell what they do, for a question a moment later.
pub fn lines(orphans: &[Orphan], stacks: bool) -> Vec<AppLine> {
    let mut statuses: Vec<Option<AppStatus>> = vec![None; orphans.len()];
    let report = ToMaster::Report { stacks };
    ask(orphans, &report, |index, message| {
        let FromMaster::Report(status) = message else {
            return false;
        };
        statuses[index] = Some(*status);
        true
    });
    let line = |(orphan, status): (&Orphan, Option<AppStatus>)| {
        let record = &orphan.record;
        let config = &record.config;
        let condition = match (&status, &orphan.master) {
            (Some(status), _) => status::condition(status),
            (None, Some(_)) => Condition::Silent,
            (None, None) => Condition::Stopped,
        };
        AppLine {
            name: record.name.clone(),
            id: config.id(),
            condition,
            config: Some(config.clone()),
            pid: orphan.master.as_ref().map(|(pid, _)| *pid),
            adopted: false,
            failure: status.as_ref().and_then(|it| it.failure.clone()),
            retry_in_ms: status.as_ref().and_then(|it| it.retry_in_ms),
            trouble: status.as_ref().and_then(|it| it.trouble.clone()),
            stopped: record.stopped.clone(),
            status,
        }
    };
    orphans.iter().zip(statuses).map(line).collect()
}

/// What their masters know, beside what the emperor wrote down.
pub fn histories(orphans: &[Orphan], written: impl Fn(&str) -> History) -> Vec<(String, History)> {
    let mut told: Vec<Vec<Entry>> = vec![Vec::new(); orphans.len()];
    ask(orphans, &ToMaster::History, |index, message| {
        let FromMaster::Happened { entries } = message else {
            return false;
        };
        told[index] = entries;
        true
    });
    let merged = |(orphan, told): (&Orphan, Vec<Entry>)| {
        let name = orphan.record.name.clone();
        let mut history = written(&name);
        for entry in told {
            history.add(entry);
        }
        (name, history)
    };
    orphans.iter().zip(told).map(merged).collect()
}

/// Tells masters to stop, and the next emperor that they are to stay so. Returns when they have
/// ended; the names of those that have not in time.
pub fn stop(orphans: Vec<Orphan>, by: &Stopped, patience: Duration) -> Vec<String> {
    let mut left = Vec::new();
    for orphan in orphans {
        let Some((_, channel)) = orphan.master else {
            continue;
        };
        let record = AppRecord {
            halted: true,
            stopped: Some(by.clone()),
            ..orphan.record
        };
        // What cannot be noted is stopped all the same, and starts with the next emperor.
        let _ = runtime::write_record(&orphan.directory, &record);
        let _ = channel.send(&ToMaster::Stop, &[]);
        left.push((record.name, channel));
    }
    let deadline = now() + patience;
    while !left.is_empty() {
        let mut poll = PollSet::new();
        for (_, channel) in &left {
            poll.add(channel.as_fd(), Interest::Read);
        }
        let wait = deadline.saturating_duration_since(now());
        if wait.is_zero() || poll.wait(Some(wait)).is_err() {
            break;
        }
        left.retain(|(_, channel)| lives(channel));
    }
    left.into_iter().map(|(name, _)| name).collect()
}

fn lives(channel: &Channel) -> bool {
    loop {
        match channel.receive::<FromMaster>() {
            Ok(Received::Message(_, _)) => (),
            Ok(Received::Empty) => return true,
            Ok(Received::Closed) => return false,
            // Of another version: it lives.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => (),
            Err(_) => return false,
        }
    }
}

/// Asks all, and hands each message on until it is the answer.
fn ask(orphans: &[Orphan], question: &ToMaster, mut hear: impl FnMut(usize, FromMaster) -> bool) {
    let mut open: Vec<(usize, &Channel)> = Vec::new();
    for (index, orphan) in orphans.iter().enumerate() {
        if let Some((_, channel)) = &orphan.master
            && channel.send(question, &[]).is_ok()
        {
            open.push((index, channel));
        }
    }
    let deadline = now() + PATIENCE;
    while !open.is_empty() {
        let mut poll = PollSet::new();
        for (_, channel) in &open {
            poll.add(channel.as_fd(), Interest::Read);
        }
        let wait = deadline.saturating_duration_since(now());
        if wait.is_zero() || poll.wait(Some(wait)).is_err() {
            return;
        }
        open.retain(|&(index, channel)| {
            loop {
                match channel.receive::<FromMaster>() {
                    Ok(Received::Message(message, _)) => {
                        if hear(index, message) {
                            return false;
                        }
                    }
                    Ok(Received::Empty) => return true,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => (),
                    Ok(Received::Closed) | Err(_) => return false,
                }
            }
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client waits for itself: it has no loop that reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}
