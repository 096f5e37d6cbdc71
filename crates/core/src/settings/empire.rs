//! What an emperor's own config says about its empire (uWSGI: core/emperor.c).

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Empire {
    /// How often all files are looked at, whatever inotify tells.
    pub freq: Duration,
    /// A symlink counts as itself: what it leads to is not watched.
    pub nofollow: bool,
    /// Each vassal runs as the owner of its file.
    pub tyrant: bool,
    /// The owner of a symlink counts, not that of its target.
    pub tyrant_nofollow: bool,
    /// With the owner's supplementary groups; else with none.
    pub tyrant_initgroups: bool,
    /// JSON about the vassals, in the original's shape.
    pub stats: Option<Address>,
    pub pidfile: Option<PathBuf>,
    /// Who may use the control socket beside root and the emperor's own user.
    pub control_group: Option<String>,
    pub vassals: Vassals,
    /// Program that is run with the vassal's name before its master starts.
    pub start_hook: Option<PathBuf>,
    /// … and after it has ended for good.
    pub stop_hook: Option<PathBuf>,
}

/// What every vassal's config gets beside its own file, in the original's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vassals {
    pub inherit_before: Vec<String>,
    pub include_before: Vec<String>,
    /// `K=V`
    pub set: Vec<String>,
    pub inherit: Vec<String>,
    pub include: Vec<String>,
    pub on_demand: OnDemand,
}

/// What names the sockets of vassals that start at their first request. As in the original the
/// first of these that is given counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnDemand {
    /// A file beside the vassal's, with this behind its name.
    pub extension: Option<String>,
    /// `NAME.socket` in this directory.
    pub directory: Option<String>,
    /// What this command prints when it is given the vassal's file.
    pub exec: Option<String>,
}

impl Default for Empire {
    fn default() -> Self {
        Self {
            freq: Duration::from_secs(3),
            nofollow: false,
            tyrant: false,
            tyrant_nofollow: false,
            tyrant_initgroups: false,
            stats: None,
            pidfile: None,
            control_group: None,
            vassals: Vassals::default(),
            start_hook: None,
            stop_hook: None,
        }
    }
}
