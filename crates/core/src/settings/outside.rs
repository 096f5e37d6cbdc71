//! How an app is steered from outside: FIFOs, touched files, watched paths, pidfiles.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a touched file leads to; `touch-reload` has a field of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Touch {
    ReloadWorkers,
    ReloadChain,
    RotateLogs,
    ReopenLogs,
    /// `touch-exec = FILE COMMAND`
    Exec(String),
    /// `hook-touch = FILE ACTION`
    Hook(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outside {
    /// `master-fifo`, the first ten; relative to the app's directory.
    pub fifos: Vec<PathBuf>,
    pub touches: Vec<(PathBuf, Touch)>,
    /// `fs-reload`, `fs-brutal-reload`: reloads at each change of or in it.
    pub watched: Vec<PathBuf>,
    /// `pidfile2`: written as the app's user before the app is loaded.
    pub pidfile2: Option<PathBuf>,
    /// `safe-pidfile`, `safe-pidfile2`: written as the app's user once the app serves.
    pub safe_pidfiles: Vec<PathBuf>,
    /// A reload ends the master instead.
    pub exit_on_reload: bool,
    /// How long what runs beside the app may take to end.
    pub reload_mercy: Option<Duration>,
    /// `cron-harakiri`
    pub cron_harakiri: Option<Duration>,
    /// Attached daemons keep our standard input.
    pub honour_stdin: bool,
}
