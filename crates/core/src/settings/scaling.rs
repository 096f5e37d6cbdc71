//! How many workers an app has at a time: `cheaper` and its family, `cheap`, `idle`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What decides when a worker more or less is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// More when all are busy, fewer when two are idle.
    Spare,
    /// As many idle ones as `cheaper` says (uWSGI 2.1).
    Spare2,
    /// By the connections that wait to be accepted.
    Backlog,
    /// By the share of time that is spent in requests.
    Busyness,
    /// Only when somebody says so.
    Manual,
}

/// The `cheaper-busyness-*` family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Busyness {
    /// Percent above which a worker is started.
    pub max: u64,
    /// Percent below which one is ended.
    pub min: u64,
    /// Windows of low busyness before one is ended.
    pub multiplier: u64,
    /// Added to the multiplier when a worker was started soon after one was ended.
    pub penalty: u64,
    /// Tell each window's numbers in the log.
    pub verbose: bool,
    /// Waiting connections above which workers are started at once; 0: never.
    pub backlog_alert: u64,
    /// Windows before those are ended again.
    pub backlog_multiplier: u64,
    /// How many of them at a time.
    pub backlog_step: u32,
    /// Connections that wait for longer than this start one.
    pub backlog_nonzero: Duration,
}

impl Default for Busyness {
    fn default() -> Self {
        Self {
            max: 50,
            min: 25,
            multiplier: 10,
            penalty: 2,
            verbose: false,
            backlog_alert: 33,
            backlog_multiplier: 3,
            backlog_step: 1,
            backlog_nonzero: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scaling {
    /// `cheaper`: the least workers. `None`: always all of `processes`.
    pub least: Option<u32>,
    /// `cheaper-initial`: workers at the start; `None`: the least.
    pub initial: Option<u32>,
    /// `cheaper-step`: workers started at a time.
    pub step: u32,
    /// `cheaper-overload`: seconds, or waiting connections, by the algorithm.
    pub overload: u64,
    pub algorithm: Algorithm,
    /// `cheaper-idle` of uWSGI 2.1: seconds with too many idle workers before one ends (spare2).
    pub idle_cycles: u64,
    pub busyness: Busyness,
    /// Bytes of resident memory of all workers above which none is started.
    pub rss_soft: Option<u64>,
    /// … above which one is ended.
    pub rss_hard: Option<u64>,
    /// `cheap`: no worker before the first connection.
    pub cheap: bool,
    /// Without a request for this long the app sleeps.
    pub idle: Option<Duration>,
    /// `die-on-idle`: an app that runs alone ends instead.
    pub die_on_idle: bool,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            least: None,
            initial: None,
            step: 1,
            overload: 3,
            algorithm: Algorithm::Spare,
            idle_cycles: 10,
            busyness: Busyness::default(),
            rss_soft: None,
            rss_hard: None,
            cheap: false,
            idle: None,
            die_on_idle: false,
        }
    }
}

impl Scaling {
    /// The least workers of an app of `processes`.
    pub fn floor(&self, processes: u32) -> u32 {
        self.least.unwrap_or(processes).clamp(1, processes.max(1))
    }

    /// Workers at the start of an app of `processes`.
    pub fn first(&self, processes: u32) -> u32 {
        match (self.least, self.initial) {
            (None, _) => processes.max(1),
            (Some(_), Some(initial)) if initial > 0 => initial.min(processes.max(1)),
            (Some(_), Some(_) | None) => self.floor(processes),
        }
    }

    /// Whether anything here depends on what the workers do.
    pub fn watches(&self) -> bool {
        let scales = self.least.is_some() && self.algorithm != Algorithm::Manual;
        scales || self.idle.is_some() || self.rss_hard.is_some()
    }
}
