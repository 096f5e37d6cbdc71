//! One load of the app's code, and its processes: what they are and when they are due. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use imperator_core::backoff::Backoff;
use imperator_core::settings::scaling::Scaling;

use crate::event::{Parting, ProcessId, Shape};

/// A worker that ended before this age died young: when several in a row do, each is replaced a
/// moment later.
pub(crate) const YOUNG: Duration = Duration::from_secs(10);
/// So many workers of one place that die young in a row are replaced at once.
const REPLACED_AT_ONCE: u32 = 3;
/// From then on its place begins no more than one worker in this time, and is never empty longer.
pub(crate) const PACE: Duration = Duration::from_secs(1);
/// So long a process that is late may take to write its Python stacks.
pub(crate) const STACKS: Duration = Duration::from_millis(300);
/// A killed process that is not reaped by then hangs in the kernel; nobody waits for it longer.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Mold,
    Worker(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Asked for or loading; killed at the deadline.
    Starting { deadline: Instant },
    /// A worker that accepts, a mold that can fork.
    Up { since: Instant },
    /// Accepts, and waits for its replacement. `patient`: only for its age; without a replacement
    /// it goes on.
    Leaving {
        since: Instant,
        deadline: Instant,
        patient: bool,
    },
    /// Finishes its requests; at the deadline it tells its stacks (`told`), and is killed.
    Draining { deadline: Instant, told: bool },
    Killed {
        give_up: Instant,
        /// It had not finished at its deadline.
        late: bool,
    },
}

impl State {
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Starting { deadline }
            | Self::Leaving { deadline, .. }
            | Self::Draining { deadline, .. }
            | Self::Killed {
                give_up: deadline, ..
            } => Some(deadline),
            Self::Up { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub generation: u32,
    pub role: Role,
    /// When it was asked for.
    pub began: Instant,
    /// `None`: asked for, not yet reported.
    pub pid: Option<i32>,
    pub state: State,
    pub mercy: Duration,
    /// It is replaced because it reached a limit.
    pub worn: bool,
    /// It has accepted, or could fork: its start is no longer what can fail.
    pub was_up: bool,
}

impl Process {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// What its end has to say now.
    pub(crate) fn parting(&self) -> Parting {
        match self.state {
            _ if !self.was_up => Parting::Told,
            State::Up { .. } | State::Starting { .. } => Parting::Unexpected,
            State::Leaving { .. } | State::Draining { .. } => Parting::Ordered,
            State::Killed { late: true, .. } => Parting::Late,
            State::Killed { late: false, .. } => Parting::Told,
        }
    }

    /// Counts as the one who holds its slot.
    pub(crate) fn holds_slot(&self) -> bool {
        matches!(self.state, State::Up { .. } | State::Starting { .. })
    }

    pub(crate) fn is_worker(&self, generation: u32, worker: u32) -> bool {
        self.generation == generation && self.role == Role::Worker(worker)
    }
}

/// How the process of a place was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It had lived long enough.
    Old,
    /// It had come up, and ended within [`YOUNG`].
    Young { began: Instant, up: Instant },
    /// It did not come up.
    Start,
}

/// When the place of a worker that had served may begin the next one: at once the first times. From
/// then on once in a [`PACE`], and not before the lost one had served as long as it took to come
/// up, so that an app which dies of each request does not load all the time. Never later than a
/// `PACE` from now: an app may have no other worker, and one that dies of some requests answers
/// the others.
fn replaced_at(earlier: u32, began: Instant, up: Instant, now: Instant) -> Option<Instant> {
    if earlier < REPLACED_AT_ONCE {
        return None;
    }
    let served_as_long = up + up.saturating_duration_since(began);
    let at = (began + PACE).max(served_as_long).min(now + PACE);
    (at > now).then_some(at)
}

/// The place of one worker within a generation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    /// Deaths in a row of workers that came up and did not live [`YOUNG`].
    young_deaths: u32,
    /// Starts in a row that came to nothing.
    pub failed_starts: u32,
    backoff: Backoff,
    /// No replacement before this.
    pub respawn_at: Option<Instant>,
    /// Nobody is wanted here now.
    pub cheap: bool,
}

impl Slot {
    pub(crate) fn new(cheap: bool) -> Self {
        Self {
            cheap,
            ..Self::default()
        }
    }

    /// The process of this place is lost. One that had come up is replaced soon; where none comes
    /// up, the second try is at once and the next ones ever later.
    pub(crate) fn lost(&mut self, how: Loss, now: Instant) {
        let young_deaths = std::mem::take(&mut self.young_deaths);
        let failed_starts = std::mem::take(&mut self.failed_starts);
        if how != Loss::Start {
            self.backoff.reset();
        }
        self.respawn_at = match how {
            Loss::Old => None,
            Loss::Young { began, up } => {
                self.young_deaths = young_deaths.saturating_add(1);
                replaced_at(young_deaths, began, up, now)
            }
            Loss::Start => {
                self.young_deaths = young_deaths;
                self.failed_starts = failed_starts.saturating_add(1);
                match failed_starts {
                    0 => None,
                    _ => Some(now + self.backoff.fail()),
                }
            }
        };
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.respawn_at.is_none_or(|at| at <= now)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The edge resolves its config and binds its sockets.
    Preparing { only_if_changed: bool },
    /// A mold loads the app.
    Loading,
    /// Its workers come up.
    Filling,
    /// Has been ready.
    Serving,
}

#[derive(Debug, Clone)]
pub(crate) struct Generation {
    pub id: u32,
    pub phase: Phase,
    pub shape: Shape,
    pub began: Instant,
    /// From its begin until it served.
    pub took: Option<Duration>,
    /// When it must be ready.
    pub deadline: Instant,
    /// It is late, and its stacks were asked for.
    pub asked: bool,
    pub slots: BTreeMap<u32, Slot>,
    pub mold: Option<ProcessId>,
    /// When a mold that died may be made anew.
    pub mold_slot: Slot,
    /// While it takes over one worker after another: how many workers the app may have.
    pub room: Option<u32>,
    /// Of the config that another one names for the case that it fails.
    pub is_fallback: bool,
}

impl Generation {
    /// Nothing is known of it yet but that it must be prepared until then.
    pub(crate) fn new(id: u32, only_if_changed: bool, now: Instant, deadline: Instant) -> Self {
        Self {
            id,
            phase: Phase::Preparing { only_if_changed },
            shape: Shape {
                workers: 0,
                scaling: Scaling::default(),
                direct: true,
                mercy: Duration::ZERO,
                ready_timeout: Duration::ZERO,
                overlap: None,
                fallback: false,
            },
            began: now,
            took: None,
            deadline,
            asked: false,
            slots: BTreeMap::new(),
            mold: None,
            mold_slot: Slot::default(),
            room: None,
            is_fallback: false,
        }
    }

    /// Places that are to be filled.
    pub(crate) fn wanted(&self) -> usize {
        self.slots.values().filter(|slot| !slot.cheap).count()
    }

    /// A mold is to be there, is not, and may be made.
    pub(crate) fn lacks_mold(&self) -> bool {
        self.phase == Phase::Serving && !self.shape.direct && self.mold.is_none()
    }

    /// Its workers exist or are to exist.
    pub(crate) fn wants_workers(&self) -> bool {
        matches!(self.phase, Phase::Filling | Phase::Serving)
    }
}
