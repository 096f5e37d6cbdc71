//! Options of the kernel's for listening sockets.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tcp {
    /// SO_KEEPALIVE
    pub keepalive: bool,
    /// SO_REUSEPORT
    pub reuse_port: bool,
    /// IP_FREEBIND
    pub freebind: bool,
    /// TCP_DEFER_ACCEPT: a worker is woken for a request, not for a handshake.
    pub defer_accept: bool,
    /// TCP_FASTOPEN: length of its queue.
    pub fast_open: Option<u32>,
    /// SO_SNDBUF, SO_RCVBUF: bytes.
    pub send_buffer: Option<u32>,
    pub receive_buffer: Option<u32>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            keepalive: false,
            reuse_port: false,
            freebind: false,
            defer_accept: true,
            fast_open: None,
            send_buffer: None,
            receive_buffer: None,
        }
    }
}
