//! What a status says of a worker that can answer nobody, and of one that is busy.

use serde::{Deserialize, Serialize};

/// A worker that can answer nobody, and what its threads do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    pub worker: u32,
    pub pid: i32,
    /// One line: what is wrong with it, and since when (Unix seconds).
    pub what: String,
    pub since: u64,
    /// The Python stacks of all its threads, cut to [`super::MAX_TEXT`]; empty until they are written.
    #[serde(default)]
    pub stacks: String,
}

/// What a worker did when somebody asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    pub worker: u32,
    pub pid: i32,
    /// The Python stacks of all its threads, cut to [`super::MAX_TEXT`].
    pub stacks: String,
}
