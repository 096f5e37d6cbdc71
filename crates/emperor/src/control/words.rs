//! What clients of the control socket ask, and what they are told.

use crate::runtime::Stopped;
use imperator_core::history::Entry;
use imperator_core::message::{AppStatus, Config, Failure};
use serde::{Deserialize, Serialize};

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    #[serde(flatten)]
    pub request: Request,
    /// Who became root to ask, as sudo tells.
    #[serde(default)]
    pub sudo: Option<String>,
}

/// `apps` empty: all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    Status {
        #[serde(default)]
        apps: Vec<String>,
    },
    Reload {
        apps: Vec<String>,
    },
    Retry {
        apps: Vec<String>,
    },
    Start {
        apps: Vec<String>,
    },
    Restart {
        apps: Vec<String>,
    },
    /// Nobody stops all apps by forgetting a name: without `all`, no name is an error.
    Stop {
        apps: Vec<String>,
        #[serde(default)]
        all: bool,
    },
    History {
        apps: Vec<String>,
    },
    /// Take the file on disk in the place of this binary, if it is another one.
    Upgrade,
    /// A channel to the app's master, for its lines.
    Guest {
        app: String,
    },
    /// Have the workers of these apps write what they do, where every thread is taken. A `Status`
    /// a moment later has it.
    Stacks {
        apps: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum Reply {
    Emperor(EmperorStatus),
    App(Box<AppLine>),
    /// What was done, or begun.
    Done {
        text: String,
        #[serde(default)]
        app: Option<String>,
        /// As [`AppStatus::heard`] will be, or more, once it is obeyed.
        #[serde(default)]
        order: u64,
    },
    Refused {
        why: String,
        #[serde(default)]
        reason: Reason,
    },
    History {
        app: String,
        entries: Vec<Entry>,
    },
    /// Beside it a channel to the app's master.
    Guest {
        app: String,
    },
    End,
}

/// Why something is refused, for the exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No app has this name, or several may be meant.
    Unknown,
    /// It belongs to somebody else.
    Forbidden,
    #[default]
    #[serde(other)]
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmperorStatus {
    pub version: String,
    pub pid: u32,
    pub runtime: String,
    pub sources: Vec<String>,
    pub stopping: bool,
    pub apps: usize,
    pub failing: usize,
    /// Which file it runs on.
    #[serde(default)]
    pub build: Option<String>,
    /// A new file is asked whether it could take over.
    #[serde(default)]
    pub upgrading: bool,
    /// Why the last upgrade changed nothing.
    #[serde(default)]
    pub upgrade_failure: Option<String>,
}

/// How an app is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Serves, and the last thing that was tried worked.
    Serving,
    /// Serves, and a new generation is on its way.
    Reloading,
    /// Serves as before, but what its files say now cannot be run.
    ServingOld,
    Starting,
    /// Waits for its turn to start.
    Waiting,
    Failing,
    Paused,
    /// Nothing of it runs, as its config wants it; the first connection starts it.
    Asleep,
    Stopping,
    /// By hand.
    Stopped,
    /// Its master does not answer.
    Silent,
}

impl Condition {
    pub fn is_failure(self) -> bool {
        match self {
            Self::ServingOld | Self::Failing | Self::Silent => true,
            Self::Serving
            | Self::Reloading
            | Self::Starting
            | Self::Waiting
            | Self::Asleep
            | Self::Paused
            | Self::Stopping
            | Self::Stopped => false,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Reloading => "reloading",
            Self::ServingOld => "serving-old",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Asleep => "asleep",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Silent => "silent",
        }
    }
}

/// One app, as the emperor and its master see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLine {
    pub name: String,
    /// The original's id: the file name for a file's own app.
    pub id: String,
    pub condition: Condition,
    pub config: Option<Config>,
    /// The master's.
    pub pid: Option<i32>,
    pub adopted: bool,
    pub failure: Option<Failure>,
    pub retry_in_ms: Option<u64>,
    /// As its master told last.
    pub status: Option<AppStatus>,
    #[serde(default)]
    pub stopped: Option<Stopped>,
    /// The last thing that went wrong, whether or not it still is.
    #[serde(default)]
    pub trouble: Option<Entry>,
}
