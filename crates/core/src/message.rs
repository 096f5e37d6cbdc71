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

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::history::Entry;
use crate::settings::Protocol;

mod app;
mod log_line;
mod owner;
mod pem;
mod stuck;
mod worker;

pub use self::app::{AppState, AppStatus, Failure, MAX_RUNNING, Running, WorkerStatus};
pub use self::log_line::{LogLine, LogSource};
pub use self::owner::Owner;
pub use self::pem::Pem;
pub use self::stuck::{Doing, Stuck};
pub use self::worker::{
    FromWorker, LoadError, MAX_WORKERS, Setup, ToWorker, WORKERS, WorkerNumbers,
};

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

impl Config {
    /// The original's id of a vassal: the file's name, and the section's where there is one.
    pub fn id(&self) -> String {
        let name = self.file.file_name();
        let name = name.unwrap_or(self.file.as_os_str()).to_string_lossy();
        match &self.section {
            Some(section) => format!("{name}:{section}"),
            None => name.into_owned(),
        }
    }
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
