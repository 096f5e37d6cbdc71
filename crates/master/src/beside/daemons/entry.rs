//! One attached daemon: where it is between its start and its end. Pure, like `daemons.rs`.

use std::time::{Duration, Instant};

use imperator_core::settings::daemons::Daemon;

use super::{Action, DaemonId};

/// The longest delay without `max_throttle` (uWSGI: 300 s).
const MAX_DELAY: u32 = 300;
/// A killed daemon that is not reaped by then hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(10);
pub(super) const KILL: i32 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Starts at this time, or when its predecessor is gone.
    Waiting {
        at: Option<Instant>,
    },
    /// The edge was asked to start it.
    Asked,
    Up {
        pid: i32,
        since: Instant,
    },
    /// Was told to end; killed at the deadline.
    Leaving {
        pid: i32,
        deadline: Instant,
    },
    Killed {
        pid: i32,
        give_up: Instant,
    },
    /// Smart: what its pidfile named last.
    Watched {
        pid: Option<i32>,
        /// The command that goes to the background, until it has ended.
        starter: Option<i32>,
        /// Was seen alive since it was started.
        monitored: bool,
        misses: u32,
        look: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) daemon: Daemon,
    pub(super) state: State,
    /// Ends in a row before `EARLY`.
    pub(super) early: u32,
    pub(super) started: Option<Instant>,
    pub(super) starts: u64,
    /// Not to be started again: its generation is over, or the app stops.
    pub(super) retired: bool,
    /// Starts when that one is gone: two would fight for a port.
    pub(super) after: Option<DaemonId>,
}

impl Entry {
    /// A child of ours.
    pub(super) fn child(&self) -> Option<i32> {
        match self.state {
            State::Up { pid, .. } | State::Leaving { pid, .. } | State::Killed { pid, .. } => {
                Some(pid)
            }
            State::Watched { starter, .. } => starter,
            State::Waiting { .. } | State::Asked => None,
        }
    }

    pub(super) fn pid(&self) -> Option<i32> {
        match self.state {
            State::Watched { pid, .. } => pid,
            State::Waiting { .. }
            | State::Asked
            | State::Up { .. }
            | State::Leaving { .. }
            | State::Killed { .. } => self.child(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { at } => at,
            State::Asked | State::Up { .. } => None,
            State::Leaving { deadline, .. } => Some(deadline),
            State::Killed { give_up, .. } => Some(give_up),
            State::Watched { look, .. } => Some(look),
        }
    }

    pub(super) fn tell(&self, id: DaemonId, signal: i32) -> Option<Action> {
        match self.state {
            State::Up { pid, .. } => Some(Action::Signal { pid, signal }),
            State::Watched { pid, .. } => pid.map(|pid| Action::Notify { id, pid, signal }),
            State::Waiting { .. } | State::Asked | State::Leaving { .. } | State::Killed { .. } => {
                None
            }
        }
    }

    pub(super) fn retire(&mut self, signal: i32, deadline: Instant, actions: &mut Vec<Action>) {
        self.retired = true;
        if let State::Up { pid, .. } = self.state {
            actions.push(Action::Signal { pid, signal });
            self.state = State::Leaving { pid, deadline };
        }
    }

    pub(super) fn kill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let State::Up { pid, .. } | State::Leaving { pid, .. } = self.state {
            actions.push(Action::Signal { pid, signal: KILL });
            let give_up = now + GIVE_UP;
            self.state = State::Killed { pid, give_up };
        }
    }

    /// Seconds before the next start.
    pub(super) fn wait(&self) -> u32 {
        let most = match self.daemon.max_throttle {
            0 => MAX_DELAY,
            most => most,
        };
        self.early.min(most)
    }

    pub(super) fn again(&mut self, now: Instant) {
        let at = now + Duration::from_secs(self.wait().into());
        self.state = State::Waiting { at: Some(at) };
    }
}
