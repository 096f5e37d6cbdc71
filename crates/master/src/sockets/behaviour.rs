//! Options of listening sockets; accepted connections inherit them.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use imperator_core::address::Address;
use imperator_core::settings::tcp::Tcp;
use nix::sys::socket::{self, sockopt};

/// What must be set before the socket has an address.
pub(super) fn before_bind(fd: &OwnedFd, address: &SocketAddr, tcp: Tcp) -> nix::Result<()> {
    if tcp.reuse_port {
        socket::setsockopt(fd, sockopt::ReusePort, &true)?;
    }
    if tcp.freebind {
        let set = match address.ip() {
            IpAddr::V4(_) => rustix::net::sockopt::set_ip_freebind(fd, true),
            IpAddr::V6(_) => rustix::net::sockopt::set_ipv6_freebind(fd, true),
        };
        set.map_err(|error| nix::Error::from_raw(error.raw_os_error()))?;
    }
    Ok(())
}

/// What may change while the socket listens. What the kernel refuses is left as it is: the app
/// serves without it as well.
pub(super) fn behave(fd: &OwnedFd, address: &Address, tcp: Tcp) {
    let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    if let Some(bytes) = tcp.send_buffer {
        let _ = socket::setsockopt(fd, sockopt::SndBuf, &size(bytes));
    }
    if let Some(bytes) = tcp.receive_buffer {
        let _ = socket::setsockopt(fd, sockopt::RcvBuf, &size(bytes));
    }
    match address {
        Address::Tcp(_) => {
            let _ = socket::setsockopt(fd, sockopt::KeepAlive, &tcp.keepalive);
        }
        Address::Unix(_) | Address::Abstract(_) => (),
    }
}
