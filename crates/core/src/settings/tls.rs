//! What an HTTPS socket shows its clients.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Files in PEM form. The master reads them with its own rights, at each new generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The certificate, and those between it and its root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}
