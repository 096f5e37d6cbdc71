//! Ends all masters that an emperor left behind: told to stop, waited for, and told again.

use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::message::{FromMaster, ToMaster, VERSION};
use imperator_process::channel::Received;
use imperator_process::poll::Interest;
use imperator_process::poll::PollSet;
use tracing::{info, warn};

use crate::adopt::{self, Orphan};
use crate::options::Fatal;
use crate::runtime::Runtime;
use crate::supervisor::{DEFAULT_MERCY, KILL_AFTER, STOP_MARGIN};

/// Stops the masters of this runtime directory; returns how many are still there.
///
/// # Errors
/// An emperor lives and holds the directory: its masters are its own.
pub fn run(path: &Path) -> Result<usize, Fatal> {
    let runtime = Runtime::take(path).map_err(Fatal::Runtime)?;
    let mut orphans = adopt::find(&runtime).orphans;
    let mut mercy = DEFAULT_MERCY;
    let adopt = ToMaster::Adopt {
        version: VERSION,
        history: false,
    };
    say(&orphans, &adopt);
    for orphan in &orphans {
        info!("draining {} (master pid {})", orphan.name, orphan.pid);
    }
    say(&orphans, &ToMaster::Stop);
    let started = now();
    let mut told_now = false;
    while !orphans.is_empty() {
        let limit = mercy + STOP_MARGIN + if told_now { KILL_AFTER } else { Duration::ZERO };
        let left = (started + limit).saturating_duration_since(now());
        if left.is_zero() {
            if told_now {
                break;
            }
            told_now = true;
            say(&orphans, &ToMaster::StopNow);
            continue;
        }
        let mut poll = PollSet::new();
        for orphan in &orphans {
            poll.add(std::os::fd::AsFd::as_fd(&orphan.channel), Interest::Read);
        }
        poll.wait(Some(left)).map_err(|error| Fatal::Io {
            doing: "wait for masters",
            error,
        })?;
        orphans.retain(|orphan| {
            let (alive, told) = hear(orphan);
            mercy = mercy.max(told.unwrap_or_default());
            alive
        });
    }
    for orphan in &orphans {
        warn!("{} (master pid {}) does not end", orphan.name, orphan.pid);
    }
    Ok(orphans.len())
}

fn say(orphans: &[Orphan], message: &ToMaster) {
    for orphan in orphans {
        // One that is gone is seen by reading.
        let _ = orphan.channel.send(message, &[]);
    }
}

/// Whether it lives, and the mercy that it reported.
fn hear(orphan: &Orphan) -> (bool, Option<Duration>) {
    let mut mercy = None;
    loop {
        match orphan.channel.receive::<FromMaster>() {
            Ok(Received::Message(FromMaster::Report(status), _)) => {
                mercy = status.mercy_ms.map(Duration::from_millis);
            }
            Ok(Received::Message(_, _)) => (),
            Ok(Received::Empty) => return (true, mercy),
            Ok(Received::Closed) | Err(_) => return (false, mercy),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a loop of its own reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}
