//! What happens to a request that runs past `harakiri`, beside its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Harakiri {
    /// Tell what the kernel says about the process.
    pub verbose: bool,
    /// Time between the signal and the kill; `None`: no signal.
    pub graceful_timeout: Option<Duration>,
    pub graceful_signal: i32,
    /// Nobody is killed while fewer connections than this wait.
    pub queue_threshold: Option<u64>,
    /// How long a request may go on after an exception was raised in it; zero: none is raised.
    pub grace: Duration,
    /// A worker that could answer nobody for so long is replaced; `None`: it is only told.
    pub stuck_timeout: Option<Duration>,
}

impl Default for Harakiri {
    fn default() -> Self {
        Self {
            verbose: false,
            graceful_timeout: None,
            graceful_signal: 15,
            queue_threshold: None,
            grace: Duration::from_secs(5),
            stuck_timeout: None,
        }
    }
}
