//! Certificates on their way from the master to its workers.

use serde::{Deserialize, Serialize};

/// Certificate and key of an HTTPS socket, as their files hold them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

/// A key is not for logs.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}
