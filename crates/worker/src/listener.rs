//! One listening socket of a worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use imperator_core::address::Address;
use imperator_core::message::{Held, Pem};
use imperator_core::settings::{Protocol, Settings};
use rustls::ServerConfig;

use crate::{socket, sys, tls};

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    pub(crate) protocol: Protocol,
    /// SERVER_PORT of HTTP requests.
    pub(crate) port: String,
    /// HTTPS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// # Errors
    /// A certificate or key that is none.
    pub(crate) fn new(
        held: &Held,
        socket: OwnedFd,
        settings: &Settings,
        pem: Option<&Pem>,
    ) -> io::Result<Self> {
        let tls = pem.map(tls::config).transpose()?;
        let port = match &held.address {
            Address::Tcp(address) => {
                // Accepted sockets inherit it: a streamed answer does not wait for an ACK.
                let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
                // As the original: an idle thread is woken for a request, not for a handshake.
                let patience = settings.socket_timeout.as_secs();
                let seconds = match settings.tcp.defer_accept {
                    true => i32::try_from(patience).unwrap_or(i32::MAX).max(1),
                    false => 0,
                };
                let _ = sys::defer_accept(&socket, seconds);
                if let Some(length) = settings.tcp.fast_open {
                    let length = i32::try_from(length).unwrap_or(i32::MAX);
                    let _ = sys::fast_open(&socket, length);
                }
                address.port()
            }
            Address::Unix(_) | Address::Abstract(_) => 80,
        };
        Ok(Self {
            socket,
            protocol: held.protocol,
            port: port.to_string(),
            tls,
        })
    }

    /// A connection, and its client's address where HTTP tells it, without waiting.
    pub(crate) fn accept(&self) -> rustix::io::Result<(OwnedFd, Option<SocketAddr>)> {
        match self.protocol {
            Protocol::Uwsgi => Ok((socket::accept(&self.socket)?, None)),
            Protocol::Http => socket::accept_from(&self.socket),
        }
    }
}
