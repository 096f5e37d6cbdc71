//! Whose an app is, under `emperor-tyrant`.

use serde::{Deserialize, Serialize};

/// The owner of a vassal file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}
