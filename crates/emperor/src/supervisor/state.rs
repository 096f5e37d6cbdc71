//! What the supervisor knows of one app, and the words in which it hears and speaks.

use std::time::{Duration, Instant};

use imperator_core::backoff::Backoff;
use imperator_core::message::AppState;

pub type Name = String;
pub type Pid = i32;

/// So long a start or reload counts as busy. One that takes longer waits for something, most
/// likely, and lets others begin: an import that hangs must not delay other apps.
pub(super) const BUSY: Duration = Duration::from_secs(2);
/// So long it counts among all that are on their way.
pub(super) const SLOW: Duration = Duration::from_secs(8);
/// For each place so many may be on their way, the slow ones included: a machine that is swamped
/// makes all of them slow.
pub const SLOW_PER_PLACE: usize = 2;
/// Orders to an app in the midst of a start or reload follow each other no faster: a script that
/// touches a file in a loop shall not begin a generation each time.
pub(super) const GAP: Duration = Duration::from_millis(200);
/// A master that lived this long did not die of its start.
pub const YOUNG: Duration = Duration::from_secs(10);
/// The mercy of an app that never reported its own; uWSGI's default of `worker-reload-mercy`.
pub const DEFAULT_MERCY: Duration = Duration::from_secs(60);
/// What a master gets beyond its workers' mercy before it is told to end now.
pub const STOP_MARGIN: Duration = Duration::from_secs(15);
/// From "end now" to SIGKILL, and from one SIGKILL to the next.
pub const KILL_AFTER: Duration = Duration::from_secs(5);
/// A process that outlives so many SIGKILLs sits in the kernel; the final stop ends without it.
pub const MAX_KILLS: u32 = 3;
/// An heir that does not serve by then is given up: an app's own `ready-timeout` is shorter.
pub const HEIR_LIMIT: Duration = Duration::from_secs(600);
/// How long an app waits for the one whose file was renamed to its own.
pub const SUCCESSION: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An app is wanted. `after`: its file was that app's until now, and with it the sockets.
    Found {
        name: Name,
        after: Option<Name>,
    },
    /// An app is wanted no longer.
    Gone(Name),
    /// The text of its config changed.
    Changed(Name),
    /// Something else in its file was edited: perhaps a section that it shares.
    Beside(Name),
    /// Its file is newer with the same text, or somebody said `reload`.
    Touched(Name),
    /// A master that an earlier emperor started answered.
    Adopted(Name, Pid),
    /// Answers [`Action::Spawn`].
    Spawned(Name, Pid),
    /// Answers [`Action::Spawn`].
    SpawnFailed(Name),
    /// Its master told how it is. `changing`: a generation is on its way.
    Reported {
        name: Name,
        state: AppState,
        changing: bool,
        mercy: Option<Duration>,
    },
    /// The master's channel is closed while the process is still there.
    HungUp(Pid),
    /// The process was reaped; of an adopted one: its channel closed.
    Ended(Pid),
    /// Try now what waits after a failure; `None`: all apps.
    Retry(Option<Name>),
    /// Somebody said `stop`: until `start`, `retry`, `reload` or a change of its file.
    Halt(Name),
    /// Stop it, and start a new master when the old one has ended.
    Restart(Name),
    ReloadAll,
    PauseAll,
    /// Its master runs on another file than new ones would: a reload replaces it.
    Outdated(Name),
    /// Answers [`Action::Succeed`].
    HeirSpawned(Name, Pid),
    /// Answers [`Action::Succeed`].
    HeirFailed(Name),
    /// A master that is to take over told how it is.
    HeirReported(Name, AppState),
    /// Its heir is of no use any more.
    GiveUpHeir(Name),
    /// A master that another one succeeded under an earlier binary of this emperor.
    Retired(Name, Pid),
    /// Its master sleeps, and its sockets are kept where the emperor's death does not matter.
    Dispensable(Name),
    /// An earlier emperor noted how often its master had died, and how long it still waits.
    Failed(Name, u32, Duration),
    /// An earlier emperor let it sleep without a master, and its sockets are here.
    Dozed(Name),
    /// A connection waits for an app that has no master.
    Called(Name),
    /// As `Stop`, but the sockets are kept for the next emperor, and connections wait there.
    Leave,
    /// The emperor ends and takes all apps with it.
    Stop,
    /// A second stop signal.
    StopNow,
    /// A deadline passed.
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Reload,
    Changed,
    Retry,
    Pause,
    Stop,
    /// As `Stop`, but the sockets are left for another master.
    Retire,
    StopNow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a master, on the sockets that are kept for this app. Answered by `Spawned` or
    /// `SpawnFailed`.
    Spawn(Name),
    Order(Name, Order),
    /// Start a second master of this app beside the one that serves. Answered by `HeirSpawned` or
    /// `HeirFailed`.
    Succeed(Name),
    /// The heir serves: it is the app's master now, and the one before retires.
    Promote(Name),
    /// The heir is given up: it ends now.
    Dismiss(Name),
    OrderHeir(Name, Order),
    /// A master that retired is late: it ends now.
    Press(Pid),
    /// SIGKILL.
    Kill(Name, Pid),
    /// It sleeps without a master from now on, also under the next emperor.
    Doze(Name),
    /// Nobody shall connect to this app for now.
    Release(Name),
    /// Nothing of this app is left: let its sockets and its directory go.
    Forget(Name),
}

/// What is to become of an app whose master ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Forget,
    /// Its files and sockets are for the next emperor.
    Leave,
    Halt,
    Respawn,
    /// The emperor wakes it.
    Doze,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// No process. Spawned at `until` or later, when a place is free, and not before `after` ended.
    Waiting { until: Instant, after: Option<Name> },
    /// Spawn was asked for; there is no pid yet. `fate`: the app was given up meanwhile.
    Spawning { fate: Option<Fate> },
    /// `place`: it starts or reloads. `order`: it shall reload when a place is free, since then.
    Up {
        pid: Pid,
        since: Instant,
        place: Option<Place>,
        order: Option<(Order, Instant)>,
        /// Its channel is closed: it is killed if it has not ended by then.
        hung_up: Option<Instant>,
    },
    /// Told to end. At `deadline` the next harder word follows.
    Stopping {
        pid: Pid,
        deadline: Instant,
        force: Force,
        fate: Fate,
    },
    /// No process, and none wanted for now.
    Halted,
    /// No process until a connection comes; the emperor watches the sockets.
    Dozing,
}

/// A master that shall take over from the one that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heir {
    /// There is no pid yet.
    Spawning,
    /// Given up when it does not serve by then.
    Up { pid: Pid, deadline: Instant },
}

/// A master that serves no longer and finishes what it has.
#[derive(Debug, Clone)]
pub(super) struct Retired {
    pub(super) name: Name,
    pub(super) deadline: Instant,
    pub(super) force: Force,
}

/// A start or reload, and until when it counts as what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Busy(Instant),
    Slow(Instant),
}

impl Place {
    pub(super) fn new(now: Instant) -> Self {
        Self::Busy(now + BUSY)
    }

    pub(super) fn until(self) -> Instant {
        match self {
            Self::Busy(until) | Self::Slow(until) => until,
        }
    }

    /// As it counts now; `None`: no longer.
    pub(super) fn at(self, now: Instant) -> Option<Self> {
        match self {
            Self::Busy(until) if until > now => Some(self),
            Self::Busy(until) => Self::Slow(until + SLOW).at(now),
            Self::Slow(until) => (until > now).then_some(self),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    Graceful,
    Now,
    Killed(u32),
}

#[derive(Debug)]
pub(super) struct App {
    pub(super) state: State,
    pub(super) deaths: Backoff,
    /// Its master has reported a generation that serves, so its next death is replaced at once.
    pub(super) served: bool,
    /// Serving, or has failed once; never unset.
    pub(super) settled: bool,
    pub(super) mercy: Duration,
    /// Its master runs on another file than new ones would.
    pub(super) outdated: bool,
    pub(super) heir: Option<Heir>,
    /// Of the last order.
    pub(super) ordered: Option<Instant>,
}

/// What the emperor can say about an app without its master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Situation {
    /// For a place.
    Waiting,
    /// Its master died so many times in a row.
    BackingOff(u32),
    Up,
    Stopping,
    Halted,
    Dozing,
}

impl App {
    pub(super) fn new(state: State) -> Self {
        Self {
            // One that is stopped by hand is waited for no longer.
            settled: matches!(state, State::Halted | State::Dozing),
            state,
            deaths: Backoff::default(),
            served: false,
            mercy: DEFAULT_MERCY,
            outdated: false,
            heir: None,
            ordered: None,
        }
    }
}

impl App {
    /// When it may be given another order in the midst of a start or reload.
    pub(super) fn hears_from(&self, now: Instant) -> Instant {
        self.ordered.map_or(now, |at| at + GAP)
    }
}

impl State {
    pub(super) fn pid(&self) -> Option<Pid> {
        match self {
            Self::Up { pid, .. } | Self::Stopping { pid, .. } => Some(*pid),
            Self::Waiting { .. } | Self::Spawning { .. } | Self::Halted | Self::Dozing => None,
        }
    }

    /// Whether it is on its way, and whether it counts as busy.
    pub(super) fn starts(&self) -> (bool, bool) {
        match self {
            Self::Spawning { .. } => (true, true),
            Self::Up { place, .. } => (place.is_some(), matches!(place, Some(Place::Busy(_)))),
            Self::Waiting { .. } | Self::Stopping { .. } | Self::Halted | Self::Dozing => {
                (false, false)
            }
        }
    }
}
