//! Logs: what is written of a request, where lines go, what is done to them on the way, and how
//! files are rotated. What the stats server shows belongs to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// All of the `log-*` family.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Logs {
    pub requests: RequestLines,
    pub loggers: Vec<Logger>,
    /// Without one, request lines go the way of all others.
    pub req_loggers: Vec<Logger>,
    /// Lines that match go to the logger of this id, and nowhere else.
    pub routes: Vec<LogRoute>,
    pub req_routes: Vec<LogRoute>,
    /// Lines that match one of these are dropped.
    pub drain: Vec<Pattern>,
    /// When there are any: lines that match none of these are dropped.
    pub filter: Vec<Pattern>,
    pub encoders: Vec<LogEncoder>,
    pub req_encoders: Vec<LogEncoder>,
    /// Opened with the rights that the master was started with.
    pub logto: Option<LogTarget>,
    /// Opened as the app's user.
    pub logto2: Option<LogTarget>,
    pub daemonize: Option<LogTarget>,
    /// Stands before the server's own lines.
    pub date: Option<LogDate>,
    pub files: LogFiles,
    /// Each line is one JSON object (ours, not uWSGI's).
    pub json: bool,
    pub stats: StatsLook,
}

impl Logs {
    /// Where the lines go that no logger takes.
    pub fn main(&self) -> LogTarget {
        let named = [&self.logto2, &self.daemonize, &self.logto];
        let target = named.into_iter().flatten().next();
        target.cloned().unwrap_or(LogTarget::Stderr)
    }

    /// Whether request lines have a way of their own.
    pub fn splits_requests(&self) -> bool {
        !self.req_loggers.is_empty() || !self.req_routes.is_empty()
    }
}

/// What a worker writes of its requests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestLines {
    /// Only what the next fields select is logged.
    pub disabled: bool,
    /// Answers without a body.
    pub zero: bool,
    pub slow: Option<Duration>,
    pub status_4xx: bool,
    pub status_5xx: bool,
    /// Bodies of this many bytes, or more.
    pub big: Option<u64>,
    pub sendfile: bool,
    pub ioerror: bool,
    /// The original's line tells microseconds.
    pub micros: bool,
    /// The address is what the client's front end says in X-Forwarded-For.
    pub forwarded: bool,
    pub format: Option<String>,
    /// How `%(ftime)` is written, when not as `%(ltime)`.
    pub ftime: Option<String>,
    pub memory: bool,
}

/// `[id ]plugin:arguments`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logger {
    /// A logger with an id gets only what is routed to it.
    pub id: Option<String>,
    pub target: LogTarget,
}

/// A log destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    Stderr,
    /// Where the lines go that no logger takes: `logto`, else stderr.
    Stdio,
    File(LogFile),
    /// UDP `host:port`.
    Udp(Datagrams),
    /// A Unix datagram socket's path.
    Unix(Datagrams),
    /// The machine's own syslog.
    Syslog {
        /// Empty: the app's name.
        tag: String,
        /// As in the protocol: the number times eight.
        facility: u8,
    },
    /// A syslog elsewhere: `host[:port]`, or the path of its socket.
    Rsyslog {
        to: String,
        tag: Option<String>,
        priority: u32,
    },
    /// systemd's journal.
    Journal,
    /// A command that reads lines from its stdin.
    Pipe(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogFile {
    pub path: PathBuf,
    /// Rotated to this name.
    pub backup: Option<PathBuf>,
    /// Rotated when it is bigger.
    pub max_size: Option<u64>,
    /// Opened with the rights of the app's user.
    pub as_user: bool,
}

impl LogTarget {
    /// The file that lines go to.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(&file.path),
            Self::Stderr
            | Self::Stdio
            | Self::Udp(_)
            | Self::Unix(_)
            | Self::Syslog { .. }
            | Self::Rsyslog { .. }
            | Self::Journal
            | Self::Pipe(_) => None,
        }
    }
}

impl LogFile {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagrams {
    pub to: String,
    /// Stands before each line.
    pub prefix: String,
}

/// `id regex`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRoute {
    pub id: String,
    pub pattern: Pattern,
}

/// One step of the way of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEncoder {
    /// Only for lines to the logger of this id.
    pub only: Option<String>,
    pub how: Encoding,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Prefix(String),
    Suffix(String),
    Newline,
    Format(Vec<Piece>),
    /// As `Format`, with the variables escaped for a JSON string.
    Json(Vec<Piece>),
}

/// A piece of an encoder's template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    Text(String),
    /// The line without its end.
    Message,
    MessageWithEnd,
    Seconds,
    Millis,
    Micros,
    Strftime(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogDate {
    Ctime,
    Strftime(String),
}

/// What is done to log files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogFiles {
    /// Of the file of `logto`.
    pub max_size: Option<u64>,
    pub backup: Option<PathBuf>,
    pub truncate: bool,
    /// Log files belong to the app's user.
    pub chown: bool,
    pub chmod: Option<u32>,
}

/// How the stats server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsLook {
    pub http: bool,
    pub minified: bool,
    pub no_cores: bool,
}
