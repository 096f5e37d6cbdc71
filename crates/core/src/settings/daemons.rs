//! `attach-daemon` and its kin: commands that run beside an app and end with it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::finding::Place;

/// One attached command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    pub command: String,
    /// The command is known by this file instead of by its pid: it outlives reloads and the app.
    pub pidfile: Option<PathBuf>,
    /// Looks (one a second) at a pidfile without a living pid before the command runs again.
    pub freq: u32,
    /// The app stops when it ends.
    pub control: bool,
    /// It does not go to the background by itself; its pidfile is written for it.
    pub daemonize: bool,
    /// Files whose touch stops it, so that it runs anew.
    pub touch: Vec<PathBuf>,
    pub stop_signal: i32,
    /// Instead of `stop_signal` when the app reloads.
    pub reload_signal: Option<i32>,
    /// It keeps our standard input.
    pub stdin: bool,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub chdir: Option<PathBuf>,
    /// Seconds.
    pub max_throttle: u32,
    /// With a pidfile: it is told of reload and stop too.
    pub notify: bool,
    pub place: Place,
}

impl Daemon {
    /// As `attach-daemon = COMMAND` has it.
    pub fn new(command: String, place: Place) -> Self {
        Self {
            command,
            pidfile: None,
            freq: 10,
            control: false,
            daemonize: false,
            touch: Vec::new(),
            stop_signal: 15,
            reload_signal: None,
            stdin: false,
            uid: None,
            gid: None,
            chdir: None,
            max_throttle: 0,
            notify: false,
            place,
        }
    }
}
