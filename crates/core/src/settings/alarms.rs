//! Alarms: who is told when something happens to the app (uWSGI: core/alarm.c).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alarms {
    pub alarms: Vec<Alarm>,
    /// Names of those that a worker's crash raises.
    pub on_crash: Vec<String>,
    /// … and a listen queue that is full.
    pub on_backlog: Vec<String>,
    /// … and a line of the app's output. All that match, in order, up to one without names.
    pub on_line: Vec<LineAlarm>,
    /// The same message again within this time raises nothing.
    pub quiet: Duration,
}

/// `alarm = NAME plugin:args`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    pub name: String,
    pub way: Way,
}

/// How an alarm is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A shell command, run as the app's user, that reads the message.
    Command(String),
    /// A line in the log.
    Log,
}

/// `log-alarm = NAME[,NAME] PATTERN`, and `not-log-alarm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineAlarm {
    /// Empty: a line like this raises nothing.
    pub names: Vec<String>,
    pub pattern: Pattern,
}

impl Default for Alarms {
    fn default() -> Self {
        Self {
            alarms: Vec::new(),
            on_crash: Vec::new(),
            on_backlog: Vec::new(),
            on_line: Vec::new(),
            quiet: Duration::from_secs(3),
        }
    }
}
