//! The messages between our processes, one JSON document per SEQPACKET message, descriptors beside
//! it by SCM_RIGHTS. Both ends may be of different versions: unknown fields are ignored, missing
//! ones have defaults, and the first message of each side carries [`VERSION`].
//!
//! ```text
//! emperor ⇄ master      ToMaster, FromMaster      fd 3 of a master that the emperor started, or
//!                                                 its socket in the runtime directory (adoption)
//! master  ⇄ mold,worker ToWorker, FromWorker      fd 3 of the interpreter, or sent with Fork
//! ```

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::history::Entry;
use crate::settings::{Protocol, Settings};
use crate::why::{CauseId, Evidence};

mod log_line;
mod owner;
mod pem;
mod stuck;

pub use self::log_line::{LogLine, LogSource};
pub use self::owner::Owner;
pub use self::pem::Pem;
pub use self::stuck::{Doing, Stuck};

/// Raised when a message changes its meaning; fields may be added without.
pub const VERSION: u32 = 1;

/// The longest message in bytes. A longer text inside one (a traceback) is cut by its sender.
pub const MAX_MESSAGE: usize = 160 * 1024;
/// The most descriptors beside one message (the kernel's SCM_MAX_FD is 253).
pub const MAX_FDS: usize = 250;
/// A traceback or another free text in a message is cut to this many bytes.
pub const MAX_TEXT: usize = 16 * 1024;

pub mod fd;

/// Which config an app has: a file and perhaps a section of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Config {
    pub file: PathBuf,
    /// `None`: the section `uwsgi`.
    pub section: Option<String>,
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.section {
            Some(section) => write!(f, "{}:{section}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

// Emperor and master.

/// The first message to a master that was just started. Descriptors: one per entry of
/// `listeners`, then the read ends of the app's log pipe and request-log pipe when `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub version: u32,
    /// The app's name, unique in the emperor.
    pub name: String,
    pub config: Config,
    /// The arguments for `imperator resolve`; they name the config.
    pub resolve: Vec<String>,
    /// The working directory of resolver and app: uWSGI's vassals run in the vassals directory.
    pub cwd: PathBuf,
    /// This app's own directory below the runtime directory; the master makes `master.sock` in it.
    pub runtime: PathBuf,
    /// The soft RLIMIT_NOFILE that apps get back.
    pub nofile_soft: u64,
    /// Sockets that a dead master of this app had bound.
    #[serde(default)]
    pub listeners: Vec<Held>,
    #[serde(default)]
    pub logs: bool,
    /// Generation numbers go on where the dead master's ended.
    #[serde(default)]
    pub last_generation: u32,
    /// `emperor-tyrant`: who the master becomes before it reads anything of the app's.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Another master of this app serves: nothing of its is taken before `Succeed` and `Inherit`.
    #[serde(default)]
    pub heir: bool,
    /// A connection waits: the app does not sleep first.
    #[serde(default)]
    pub called: bool,
    /// The emperor wants to hear what happens, as [`FromMaster::Happened`].
    #[serde(default)]
    pub history: bool,
}

/// A bound listening socket, in the order of the descriptors beside the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub protocol: Protocol,
    pub address: Address,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ToMaster {
    Start(Box<Start>),
    /// The first message of a new emperor. Answered by `Hello`, `Holding` and `Report`.
    Adopt {
        version: u32,
        /// As [`Start::history`].
        #[serde(default)]
        history: bool,
    },
    /// Send a `Report` now: numbers of requests change without one.
    Report {
        /// Somebody asks why the app is slow: when every thread is taken, have the workers write
        /// what they do. A later report has it, as [`AppStatus::doing`].
        #[serde(default)]
        stacks: bool,
    },
    /// Bring up the next generation, whatever the config says (touch, HUP).
    Reload {
        /// CLOCK_MONOTONIC microseconds, told again as [`AppStatus::heard`].
        #[serde(default)]
        at: u64,
    },
    /// A descriptor beside it is a channel to somebody who may ask for `Report`, `Logs` and
    /// `History`, and give no order.
    Guest,
    /// Send the lines that the app printed after line number `after`; 0: all that is kept.
    Logs {
        #[serde(default)]
        after: u64,
        /// Go on with what comes.
        #[serde(default)]
        follow: bool,
        /// The lines about requests, too.
        #[serde(default)]
        requests: bool,
    },
    /// Send all that happened, as one `Happened`.
    History,
    /// The config's text changed: resolve it again, reload if it means something else. Forgets
    /// the back-off.
    Changed,
    /// Try again now what is backing off.
    Retry,
    /// Do not accept (TSTP); a second one goes on.
    Pause,
    /// Finish what waits and runs, then end.
    Stop,
    /// End now.
    StopNow,
    /// You run on another file than new masters would: leave reloads to me (`WantsReload`).
    Outdated,
    /// To an heir that serves: you are the app's master from now on, whom emperors find.
    Succeed,
    /// To an heir that succeeded: stats, FIFOs, pidfiles, daemons and crons are free.
    Inherit,
    /// Another one is, or will be, the app's master: finish what runs and end, but leave sockets
    /// and files for it. Answered by `Ceded`.
    Retire,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum FromMaster {
    Hello {
        version: u32,
        name: String,
        config: Config,
        pid: i32,
        /// Which file it runs on; `None`: a master that cannot be succeeded.
        #[serde(default)]
        build: Option<String>,
    },
    /// The sockets now bound; all of them each time. Descriptors: one per entry of `listeners`,
    /// then the read ends of the log pipe and the request-log pipe.
    Holding { listeners: Vec<Held> },
    /// How the app is; sent at each change.
    Report(Box<AppStatus>),
    /// Somebody wants a reload, and this master is `Outdated`. Answered by `Reload`, or by another
    /// master and `Retire`.
    WantsReload,
    /// After `Retire`: what can be in one hand only is free.
    Ceded,
    /// What happened; sent to who asked for it.
    Happened { entries: Vec<Entry> },
    /// Answers `Logs`, in as many messages as it takes.
    Logs {
        lines: Vec<LogLine>,
        /// Lines that were forgotten before they could be sent.
        #[serde(default)]
        missed: u64,
        /// All that is kept was sent, and nobody follows.
        #[serde(default)]
        end: bool,
    },
    /// The last message. A master that ends without it died.
    Goodbye { why: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppState {
    /// The first generation is on its way.
    Starting,
    /// A generation serves.
    Serving,
    /// No generation serves, and the last one failed: retried with back-off.
    Failing,
    /// No process runs, as the config wants it; the first connection starts the app.
    Asleep,
    Paused,
    Stopping,
}

/// Why a generation, a config or a start failed, or what went wrong while the app served.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// One line: cause, file:line where there is one.
    pub summary: String,
    /// The way out.
    pub hint: Option<String>,
    /// The traceback or the last lines of output, cut to [`MAX_TEXT`].
    pub detail: Option<String>,
    /// Unix seconds.
    pub at: u64,
    /// Which of the causes that `why` knows.
    #[serde(default)]
    pub cause: CauseId,
    /// What was found.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// The generation that failed.
    #[serde(default)]
    pub generation: Option<u32>,
}

impl Failure {
    #[must_use]
    pub fn of(mut self, cause: CauseId) -> Self {
        self.cause = cause;
        self
    }

    #[must_use]
    pub fn with(mut self, what: &str, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence::new(what, text));
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    pub id: u32,
    pub pid: i32,
    pub generation: u32,
    /// `starting`, `accepting`, `draining`
    pub state: String,
    pub requests: u64,
}

/// One app, as its master sees it. The emperor passes it on to `imperator status` as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    pub state: AppState,
    /// The generation that serves.
    pub generation: Option<u32>,
    /// The generation that starts.
    #[serde(default)]
    pub next: Option<u32>,
    #[serde(default)]
    pub workers: Vec<WorkerStatus>,
    #[serde(default)]
    pub mold: Option<i32>,
    /// As a person reads them: `http://127.0.0.1:8001`, `uwsgi:/run/blog.sock`.
    #[serde(default)]
    pub sockets: Vec<String>,
    /// The last failure; cleared by the next generation that becomes ready.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// The generation that `failure` is about.
    #[serde(default)]
    pub failed: Option<u32>,
    /// Failures of the first generation in a row.
    #[serde(default)]
    pub failures: u32,
    /// Milliseconds until the next try, when backing off.
    #[serde(default)]
    pub retry_in_ms: Option<u64>,
    /// Files whose change concerns the app: ini, includes.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Warnings and notes, each one line.
    #[serde(default)]
    pub notes: Vec<String>,
    /// `3.11.2`, of the serving generation.
    #[serde(default)]
    pub python: Option<String>,
    /// Processes of the app that are no workers of ours, reaped so far.
    #[serde(default)]
    pub strays: u64,
    /// A line for each daemon and cron of the app.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Workers that have a request now.
    #[serde(default)]
    pub busy: u32,
    /// The most workers there may be, with `cheaper`.
    #[serde(default)]
    pub most: Option<u32>,
    /// Connections that wait to be accepted; `None`: nobody could tell.
    #[serde(default)]
    pub queue: Option<u64>,
    /// `worker_reload_mercy` in milliseconds: how long a stop may take.
    #[serde(default)]
    pub mercy_ms: Option<u64>,
    /// The longest that `queue` may become: `listen`, as the kernel cut it.
    #[serde(default)]
    pub queue_limit: Option<u64>,
    /// What went wrong while the app served, each cause once with its last case, newest last:
    /// deaths of workers, deadlines, limits.
    #[serde(default)]
    pub troubles: Vec<Failure>,
    /// Requests that run now, oldest first, cut to [`MAX_RUNNING`]; only in an answer to `Report`.
    #[serde(default)]
    pub running: Vec<Running>,
    /// Threads that have a request, as of the last answer to `Report`.
    #[serde(default)]
    pub occupied: u32,
    /// Threads of all workers that accept.
    #[serde(default)]
    pub capacity: u32,
    /// Milliseconds since the generation that starts was begun.
    #[serde(default)]
    pub starting_ms: Option<u64>,
    /// It is asleep, and has nothing to do but to wait for a connection.
    #[serde(default)]
    pub dispensable: bool,
    /// Workers that can answer nobody now.
    #[serde(default)]
    pub stuck: Vec<Stuck>,
    /// What busy workers do, when somebody asked for that a moment ago.
    #[serde(default)]
    pub doing: Vec<Doing>,
    /// Requests in a second, in thousandths, over the last seconds.
    #[serde(default)]
    pub rate_milli: Option<u64>,
    /// Resident bytes of its workers and its mold.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Unix seconds at which the serving generation became ready.
    #[serde(default)]
    pub since: Option<u64>,
    /// Lines of its log that nobody took in time.
    #[serde(default)]
    pub dropped: u64,
    /// The last thing that went wrong, whether or not it still is.
    #[serde(default)]
    pub trouble: Option<Entry>,
    /// The newest order to reload (or the start) that led to generation `heard_for` or a later one.
    #[serde(default)]
    pub heard: u64,
    #[serde(default)]
    pub heard_for: Option<u32>,
}

/// More running requests than this are not listed.
pub const MAX_RUNNING: usize = 64;

/// A request inside a worker's thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub worker: u32,
    pub pid: i32,
    pub thread: u32,
    pub ms: u64,
    /// `127.0.0.1 - GET /report`
    pub line: String,
}

// Master, mold and worker.

/// The exception that ended the loading of an app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadError {
    /// Its class and those above it, the nearest first: `ModuleNotFoundError`, `ImportError`, …
    #[serde(default)]
    pub classes: Vec<String>,
    /// The innermost line of the app's own code.
    #[serde(default)]
    pub file: Option<String>,
    #[serde(default)]
    pub line: Option<u32>,
    /// The module that an ImportError names.
    #[serde(default)]
    pub module: Option<String>,
    /// Of an OSError.
    #[serde(default)]
    pub errno: Option<i32>,
    #[serde(default)]
    pub path: Option<String>,
}

/// What a mold or worker is to be. Descriptors: the counters' memfd (workers only), then one per
/// entry of `listeners`, then a file in memory for stacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    pub version: u32,
    pub name: String,
    pub generation: u32,
    /// `None`: a mold.
    pub worker: Option<u32>,
    pub settings: Settings,
    pub listeners: Vec<Held>,
    /// Beside `listeners`; empty when none speaks TLS.
    #[serde(default)]
    pub tls: Vec<Option<Pem>>,
    pub mercy: Duration,
    /// Where the config's relative paths begin; the app may have a `chdir`.
    #[serde(default)]
    pub cwd: PathBuf,
    /// No worker of this number was started before in this generation.
    #[serde(default)]
    pub first: bool,
    /// The first process of its generation that loads the app.
    #[serde(default)]
    pub loads_first: bool,
    #[serde(default)] // Its generation has not served yet: `ready-request` comes first.
    pub unproven: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ToWorker {
    Setup(Box<Setup>),
    /// To a mold: fork worker `worker`. Descriptors: its channel, its counters' memfd, its file for
    /// stacks.
    Fork {
        worker: u32,
        /// As `Setup::first`.
        #[serde(default)]
        first: bool,
        #[serde(default)]
        unproven: bool,
    },
    /// Close the listeners, finish what runs, end with exit code 0.
    Drain,
    /// Accept what waits in the backlogs until they are empty once, then as `Drain`.
    Finish,
    /// Stop accepting, but stay.
    Pause,
    Resume,
    /// `WantsToDrain` was heard, and a replacement is on its way: go on until told.
    Heard,
    /// Requests past their deadline are not spared any longer (`harakiri-queue-threshold`).
    Overdue,
    /// The answer to `Asks` for [`WORKERS`].
    Workers {
        workers: Vec<WorkerNumbers>,
        /// Requests of workers that are not among `workers`: gone, or of another generation.
        others: u64,
    },
}

/// What a worker asks for when the app asks `uwsgi.workers()`.
pub const WORKERS: &str = "workers";
/// The most workers in one answer.
pub const MAX_WORKERS: usize = 400;

/// One worker, as `uwsgi.workers()` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerNumbers {
    pub id: u32,
    /// 0: no worker is wanted at this place now.
    pub pid: i32,
    pub requests: u64,
    pub exceptions: u64,
    /// `idle`, `busy`, `cheap`
    pub status: String,
    pub rss: u64,
    pub vsz: u64,
    pub running_time: u64,
    pub last_spawn: u64,
    pub respawn_count: u64,
    pub tx: u64,
    pub avg_rt: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum FromWorker {
    /// The interpreter runs our extension. `python` is like `3.11.2`.
    Hello {
        version: u32,
        python: String,
    },
    /// The interpreter cannot load our extension, said by BOOT itself.
    Unfit {
        python: String,
        why: String,
    },
    /// The app is imported. `threads`: names of Python threads that it started, which forbid a mold.
    Loaded {
        #[serde(default)]
        threads: Vec<String>,
        #[serde(default)]
        notes: Vec<String>,
        #[serde(default)]
        seconds: f64,
    },
    LoadFailed {
        summary: String,
        traceback: String,
        /// The exception, when it was one.
        #[serde(default)]
        error: Option<LoadError>,
    },
    /// The app is imported and does not answer `ready-request` as it must.
    Unready {
        summary: String,
        hint: String,
        detail: String,
    },
    /// A mold's answer to `Fork`.
    Forked {
        worker: u32,
        pid: i32,
    },
    ForkFailed {
        worker: u32,
        why: String,
    },
    /// Files of modules that were loaded since the last word about them; only with `py-autoreload`.
    /// What changed since `at` (microseconds since 1970) is not what was loaded.
    Modules {
        files: Vec<PathBuf>,
        at: u64,
    },
    /// The app asks for `reload` or `stop`.
    Asks {
        what: String,
    },
    /// The worker accepts from now on.
    Accepting,
    /// A signal or a limit asks the worker to end. It goes on accepting until the master, having
    /// a replacement or stopping itself, says `Drain` or `Finish`; after a second without an
    /// answer it drains by itself.
    WantsToDrain {
        why: String,
        /// Only its age or size: it may wait for its turn, and goes on until then.
        #[serde(default)]
        patient: bool,
    },
    /// A request ran past its deadline: it was answered 504 if nothing was sent before, and its
    /// stack is being written.
    Overdue {
        core: u32,
        /// The option or function that set the deadline.
        by: String,
    },
    /// A loader variable of the original was ignored, said once per name.
    IgnoredVar {
        name: String,
    },
    /// A line for the operator.
    Note {
        text: String,
    },
}
