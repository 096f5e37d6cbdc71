//! What the state machine of one app hears and what it asks for. `run.rs` feeds the events and
//! carries out the actions; `app.rs` decides.

use std::fmt;
use std::time::Duration;

use imperator_core::message::Failure;
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
    /// At least 1.
    pub workers: u32,
    /// Each worker loads the app itself; there is no mold.
    pub direct: bool,
    /// How long a worker may finish its requests.
    pub mercy: Duration,
    /// How long the generation may take to become ready.
    pub ready_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The first of all.
    Begin,
    /// Bring up the next generation, whatever the config says.
    Reload,
    /// Bring up the next generation if the config means something else than the serving one.
    Changed,
    /// Try again now what is backing off.
    Retry,
    /// Stop accepting, or go on: a toggle.
    Pause,
    /// Finish what waits and runs, then end.
    Stop,
    StopNow,

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
    WantsToDrain {
        process: ProcessId,
    },
    /// A request ran past harakiri.
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
    /// Resolve the config, bind its sockets, find interpreter and user.
    Prepare {
        generation: u32,
        only_if_changed: bool,
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
    /// The app is unwanted: nobody shall find its Unix sockets any more.
    UnlinkSockets,
    /// The master ends.
    End,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare {
                generation,
                only_if_changed,
            } => {
                let when = if *only_if_changed { " if changed" } else { "" };
                write!(f, "prepare {generation}{when}")
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
            Self::UnlinkSockets => write!(f, "unlink"),
            Self::End => write!(f, "end"),
        }
    }
}
