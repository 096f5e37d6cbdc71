//! Why an app does not run, or not well: the known causes, and which of them the facts name. Pure:
//! whoever gathers the facts stands at the edge.

mod errors;
mod known;

pub use errors::{by_errno, by_exception, by_text};
pub use known::{Known, known};

use serde::{Deserialize, Serialize};

/// A cause that `imperator why` knows. Its name in kebab case is what programs see, and never
/// changes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CauseId {
    ImportError,
    SyntaxError,
    /// The interpreter or the virtualenv is missing, or not the right one.
    Interpreter,
    MissingFile,
    Permission,
    AddressInUse,
    UnknownUser,
    ConfigError,
    ExitsAtOnce,
    HangsAtImport,
    Crash,
    OutOfMemory,
    EveryWorkerBusy,
    /// One of several, or one that holds its interpreter.
    WorkerStuck,
    QueueFullWorkersIdle,
    RequestDeadline,
    ListenLimit,
    FdLimit,
    ForkLimit,
    DiskFull,
    BackingOff,
    ReloadFailed,
    ReadinessRequest,
    Asleep,
    Stopped,
    NeverHeardOf,
    /// The app raises something else while it is imported.
    ExceptionAtImport,
    Starting,
    Paused,
    MasterSilent,
    NothingWrong,
    /// A failure that says what it is in its own words only; also one of a newer version.
    #[default]
    #[serde(other)]
    Other,
}

impl CauseId {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 32] = [
        Self::ImportError,
        Self::SyntaxError,
        Self::Interpreter,
        Self::MissingFile,
        Self::Permission,
        Self::AddressInUse,
        Self::UnknownUser,
        Self::ConfigError,
        Self::ExitsAtOnce,
        Self::HangsAtImport,
        Self::Crash,
        Self::OutOfMemory,
        Self::EveryWorkerBusy,
        Self::WorkerStuck,
        Self::QueueFullWorkersIdle,
        Self::RequestDeadline,
        Self::ListenLimit,
        Self::FdLimit,
        Self::ForkLimit,
        Self::DiskFull,
        Self::BackingOff,
        Self::ReloadFailed,
        Self::ReadinessRequest,
        Self::Asleep,
        Self::Stopped,
        Self::NeverHeardOf,
        Self::ExceptionAtImport,
        Self::Starting,
        Self::Paused,
        Self::MasterSilent,
        Self::NothingWrong,
        Self::Other,
    ];
}

/// Something that was found, in one line: `expected`, `found`, `pid`, `file`, `path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Evidence {
    pub what: String,
    pub text: String,
}

impl Evidence {
    pub fn new(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            text: text.into(),
        }
    }
}

/// Whether so many waiting connections are worth a warning: three quarters of what may wait.
pub fn is_long(queue: u64, limit: u64) -> bool {
    limit > 0 && queue.saturating_mul(4) >= limit.saturating_mul(3)
}
