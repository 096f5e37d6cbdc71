//! Lines of an app's log on their way to whoever reads them.

use serde::{Deserialize, Serialize};

/// A line of an app's log, as its master keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Ascending, over all that the app's master has read.
    pub number: u64,
    /// Unix microseconds at which the master read it.
    pub at: u64,
    pub source: LogSource,
    pub text: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    App,
    Request,
    /// The master itself.
    Imperator,
}
