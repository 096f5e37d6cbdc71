//! One accepted connection, on its way between app threads and the I/O thread.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use imperator_core::settings::Protocol;

use crate::kept::Ticket;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    /// Index into the worker's listeners.
    pub(crate) listener: usize,
    pub(crate) protocol: Protocol,
    /// Of an HTTP client over TCP.
    pub(crate) peer: Option<Peer>,
    /// A proxy in front has yet to say whose connection it is.
    pub(crate) needs_proxy_line: bool,
    /// Requests answered on it.
    pub(crate) requests: u32,
    /// Of a kept HTTP connection.
    pub(crate) ticket: Option<Ticket>,
}

/// An address as variables show it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) ip: String,
    pub(crate) port: String,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip().to_canonical().to_string(),
            port: address.port().to_string(),
        }
    }
}

/// Processes that the app forked in a request hold copies of connections.
static APP_HAS_FORKED: AtomicBool = AtomicBool::new(false);

/// From now on a connection is shut down before it is closed: the copy in a process that the app
/// has forked (`multiprocessing`) would keep it open, and the client waiting for its end.
pub fn app_has_forked() {
    APP_HAS_FORKED.store(true, Ordering::Relaxed);
}

impl Drop for Connection {
    fn drop(&mut self) {
        if APP_HAS_FORKED.load(Ordering::Relaxed) {
            // The client may be gone already.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        }
    }
}
