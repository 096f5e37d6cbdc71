//! Between a master and its molds and workers: what a process is to be, is told, and says.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Held, Pem};
use crate::settings::Settings;
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
    /// The interpreter cannot load our extension, said by BOOT itself; or the app's virtualenv is
    /// not for it, said by the extension, which knows a way out.
    Unfit {
        python: String,
        why: String,
        #[serde(default)]
        hint: Option<String>,
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
