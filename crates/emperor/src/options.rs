//! What an emperor is started with, and why it cannot be.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use imperator_core::settings::Logs;
use imperator_core::settings::empire::Empire;

use crate::monitor::source::SourceError;
use crate::runtime::RuntimeError;

/// What an emperor is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directories, globs and files, as the operator wrote them.
    pub sources: Vec<String>,
    /// The working directory.
    pub cwd: PathBuf,
    pub runtime: PathBuf,
    /// What masters are started from, and what an upgrade puts in the place of this program.
    pub executable: PathBuf,
    /// All arguments, that of the name too.
    pub args: Vec<OsString>,
    /// Where they were understood.
    pub start: PathBuf,
    /// What masters find in their environment beside our own.
    pub env: Vec<(String, String)>,
    /// Written once it runs, removed when it ends.
    pub pidfile: Option<PathBuf>,
    /// What its own config says about the vassals.
    pub empire: Empire,
    /// Whose members are operators, beside root and the emperor's own user.
    pub control_group: Option<u32>,
    /// What it says about its own log and numbers.
    pub logs: Logs,
}

impl Options {
    pub(crate) fn pidfiles(&self) -> impl Iterator<Item = &PathBuf> {
        self.pidfile.iter().chain(&self.empire.pidfile)
    }
}

/// Why an emperor cannot start, or cannot go on.
#[derive(Debug)]
pub enum Fatal {
    Source(SourceError),
    Runtime(RuntimeError),
    Io {
        doing: &'static str,
        error: io::Error,
    },
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::Io { doing, error } => write!(f, "cannot {doing}: {error}"),
        }
    }
}

impl std::error::Error for Fatal {}
