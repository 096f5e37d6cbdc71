//! One accepted connection, on its way between app threads and the I/O thread.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use imperator_core::settings::Protocol;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    /// Index into the worker's listeners.
    pub(crate) listener: usize,
    pub(crate) protocol: Protocol,
    /// Of an HTTP client over TCP.
    pub(crate) peer: Option<SocketAddr>,
    /// Requests answered on it.
    pub(crate) requests: u32,
}
