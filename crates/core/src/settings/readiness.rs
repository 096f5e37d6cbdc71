//! When a generation may take over: what it must answer before, how much room it has beside the
//! old one, and what runs when the first one fails.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// `ready-request` (ours): a path, perhaps with a query, that each first worker of a generation
    /// must answer with 2xx or 3xx before it accepts.
    pub request: Option<String>,
    /// `ready-host` (ours): the Host of that request.
    pub host: String,
    /// `reload-overlap` (ours): the next generation's workers come at most so many at a time;
    /// `None`: all at once.
    pub overlap: Option<u32>,
    /// `fallback-config`: the config that runs when this one's first generation fails.
    pub fallback: Option<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            request: None,
            host: "localhost".to_owned(),
            overlap: None,
            fallback: None,
        }
    }
}
