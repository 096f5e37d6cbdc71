//! What HTTP sockets do beside serving HTTP.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::trust::Peer;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// `http-var`: variables that every request gets.
    pub vars: Vec<(String, String)>,
    /// `http-headers-timeout`: how long a head may take.
    pub head_timeout: Option<Duration>,
    /// A proxy in front begins each connection with a line that names the client.
    pub proxy_protocol: bool,
    /// SERVER_NAME is the host that the client asked for.
    pub server_name_is_host: bool,
    /// `trusted-proxy`: their X-Forwarded-Proto counts, over the uwsgi protocol as well.
    pub trusted: Vec<Peer>,
}
