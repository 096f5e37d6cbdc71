//! What the state machine of one app hears and what it asks for. `run.rs` feeds the events and
//! carries out the actions; `app.rs` decides.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use imperator_core::message::Failure;
use imperator_core::settings::scaling::Scaling;
use imperator_process::reap::End;

/// A process of this app, from the decision to start it until it is reaped. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProcessId(pub u64);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What a generation consists of, known once its config is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// At least 1; with `cheaper` the most there may be.
    pub workers: u32,
    pub scaling: Scaling,
    /// Each worker loads the app itself; there is no mold.
    pub direct: bool,
    /// How long a worker may finish its requests.
    pub mercy: Duration,
    /// How long the generation may take to become ready.
    pub ready_timeout: Duration,
    /// Its workers come at most so many at a time, and old ones go as they come.
    pub overlap: Option<u32>,
    /// There is another config for the case that this one's first generation fails.
    pub fallback: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The first of all.
    Begin,
    /// Bring up the next generation, whatever the config says.
    Reload,
    /// Bring up the next generation if the config means something else than the serving one.
    Changed,
    /// As `Reload`, but the old generation is killed instead of drained when the next one serves.
    ReloadNow,
    /// Replace the workers of the serving generation, all at once; none goes before its
    /// replacement accepts. `brutal`: what they do then is cut.
    ReloadWorkers {
        brutal: bool,
    },
    /// Replace the workers of the serving generation one after another.
    ReloadChain,
    /// One worker more, whatever `cheaper` decides.
    More,
    /// One worker fewer, never below `cheaper`.
    Fewer,
    /// End all workers; the first connection starts the app again.
    Cheap,
    /// A connection waits and the app is asleep.
    Wake,
    /// What the workers do now; told once a second where it matters.
    Sample(Sample),
    /// Try again now what is backing off.
    Retry,
    /// Stop accepting, or go on: a toggle.
    Pause,
    /// Finish what waits and runs, then end.
    Stop,
    StopNow,
    /// Another master takes the app over: finish what runs, leave what waits, then end.
    Retire,

    /// Answers `Prepare`: config, sockets, interpreter and user are there.
    Prepared {
        generation: u32,
        shape: Shape,
    },
    /// Answers `Prepare { only_if_changed }`: it means the same app.
    Unchanged {
        generation: u32,
    },
    PrepareFailed {
        generation: u32,
        failure: Box<Failure>,
        /// As `Shape::fallback`.
        fallback: bool,
    },
    /// Its hooks run, and `Prepare` is answered later: at this time at the latest.
    Busy {
        generation: u32,
        until: Instant,
    },

    /// Answers `SpawnMold`, `SpawnWorker`, `Fork`.
    Spawned {
        process: ProcessId,
        pid: i32,
    },
    SpawnFailed {
        process: ProcessId,
        failure: Box<Failure>,
    },
    /// The app is imported; `threads`: it started Python threads, which forbids a mold.
    Loaded {
        process: ProcessId,
        threads: bool,
    },
    LoadFailed {
        process: ProcessId,
        failure: Box<Failure>,
    },
    Accepting {
        process: ProcessId,
    },
    /// A signal or a limit asks this worker to end; it accepts until its replacement does.
    /// `patient`: only a limit, so it may wait for its turn.
    WantsToDrain {
        process: ProcessId,
        patient: bool,
    },
    /// A request ran past harakiri, or the worker grew past what even evil allows.
    Overdue {
        process: ProcessId,
    },

    /// Reaped: from now on the pid means nothing.
    Exited {
        pid: i32,
        end: End,
    },
    /// A deadline passed.
    Tick,
}

/// One look at the counters of the serving generation's workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sample {
    /// Workers that have a request in any thread.
    pub busy: BTreeSet<ProcessId>,
    pub backlog: u64,
    pub running_micros: u64,
    pub requests: u64,
    pub rss: u64,
}

/// What an order says to a worker or mold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Drain,
    Finish,
    Pause,
    Resume,
    /// Its wish to drain was heard: it goes on until its replacement accepts.
    Heard,
}

/// Why a generation or one of its processes failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cause {
    /// It said so, or the edge did.
    Said(Box<Failure>),
    /// A process ended before it accepted.
    Ended { mold: bool, end: End },
    /// Not ready in time.
    Late { after: Duration },
}

/// What is still to be said about the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Nobody asked for it.
    Unexpected,
    /// It was told to finish.
    Ordered,
    /// It was told to finish, did not in time, and was killed.
    Late,
    /// Why it ended has been told: its start failed, or what it was killed for.
    Told,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Resolve the config, bind its sockets, find interpreter and user. `fallback`: the one that
    /// the config names for the case that it fails.
    Prepare {
        generation: u32,
        only_if_changed: bool,
        fallback: bool,
    },
    /// No answer to `Prepare` is wanted any more.
    Abandon {
        generation: u32,
    },
    SpawnMold {
        process: ProcessId,
        generation: u32,
    },
    SpawnWorker {
        process: ProcessId,
        generation: u32,
        worker: u32,
    },
    Fork {
        process: ProcessId,
        mold: ProcessId,
        generation: u32,
        worker: u32,
    },
    Say {
        process: ProcessId,
        order: Order,
    },
    /// Its Python stacks are to be logged: it is late, and its end is near.
    Stacks {
        process: ProcessId,
        pid: i32,
    },
    /// SIGKILL to the process group.
    Kill {
        process: ProcessId,
        pid: i32,
    },
    /// This generation is the one that serves; what only earlier ones used can go.
    Serve {
        generation: u32,
    },
    /// The generation (or a replacement within the serving one) failed.
    Failed {
        generation: u32,
        cause: Cause,
    },
    /// The process is gone and reaped (`end`), or was given up: its channel and counters can go.
    Forget {
        process: ProcessId,
        end: Option<End>,
        parting: Parting,
    },
    /// No process of the app is wanted, and its sockets are watched instead. `prepared`: this
    /// generation's config is the one that holds from now on. `ends`: the app is to end for it.
    Sleep {
        prepared: Option<u32>,
        ends: bool,
    },
    /// The number of workers is changed from now to then.
    Scaled {
        from: u32,
        to: u32,
    },
    /// The app is unwanted: nobody shall find its Unix sockets any more.
    UnlinkSockets,
    /// Another master takes the app over: what can be in one hand only is let go.
    Cede,
    /// The master ends.
    End,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare {
                generation,
                only_if_changed,
                fallback,
            } => {
                let when = if *only_if_changed { " if changed" } else { "" };
                let what = if *fallback { " fallback" } else { "" };
                write!(f, "prepare {generation}{when}{what}")
            }
            Self::Abandon { generation } => write!(f, "abandon {generation}"),
            Self::SpawnMold {
                process,
                generation,
            } => write!(f, "mold {generation} {process}"),
            Self::SpawnWorker {
                process,
                generation,
                worker,
            } => write!(f, "worker {generation}.{worker} {process}"),
            Self::Fork {
                process,
                generation,
                worker,
                ..
            } => write!(f, "fork {generation}.{worker} {process}"),
            Self::Say { process, order } => {
                let order = match order {
                    Order::Drain => "drain",
                    Order::Finish => "finish",
                    Order::Pause => "pause",
                    Order::Resume => "resume",
                    Order::Heard => "heard",
                };
                write!(f, "{order} {process}")
            }
            Self::Stacks { process, pid } => write!(f, "stacks {process} {pid}"),
            Self::Kill { process, pid } => write!(f, "kill {process} {pid}"),
            Self::Serve { generation } => write!(f, "serve {generation}"),
            Self::Failed { generation, cause } => match cause {
                Cause::Said(failure) => write!(f, "failed {generation}: {}", failure.summary),
                Cause::Ended { mold, end } => {
                    let who = if *mold { "mold" } else { "worker" };
                    write!(f, "failed {generation}: {who} {end}")
                }
                Cause::Late { .. } => write!(f, "failed {generation}: late"),
            },
            Self::Forget { process, .. } => write!(f, "forget {process}"),
            Self::Sleep { prepared, ends } => {
                write!(f, "sleep")?;
                if let Some(generation) = prepared {
                    write!(f, " {generation}")?;
                }
                if *ends { write!(f, " and end") } else { Ok(()) }
            }
            Self::Scaled { from, to } => write!(f, "scale {from} to {to}"),
            Self::UnlinkSockets => write!(f, "unlink"),
            Self::Cede => write!(f, "cede"),
            Self::End => write!(f, "end"),
        }
    }
}
