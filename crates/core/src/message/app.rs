//! What a master knows of its app, and everybody who asks is told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Doing, Stuck};
use crate::history::Entry;
use crate::why::{CauseId, Evidence};
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
