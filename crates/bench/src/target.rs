//! Where requests go: `uwsgi:/run/blog.sock`, `uwsgi:@blog`, `uwsgi:127.0.0.1:3031`,
//! `http://127.0.0.1:8001`. Only this machine: a load generator must not be pointed at strangers.

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, UnixAddr, connect, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Uwsgi,
    Http,
}

#[derive(Debug, Clone)]
pub struct Target {
    pub protocol: Protocol,
    text: String,
    address: Address,
}

#[derive(Debug, Clone)]
enum Address {
    Unix(UnixAddr),
    Tcp(SockaddrStorage),
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        let (protocol, place) = if let Some(place) = text.strip_prefix("uwsgi:") {
            (Protocol::Uwsgi, place)
        } else if let Some(place) = text.strip_prefix("http:") {
            (Protocol::Http, place)
        } else {
            bail!("{text:?} names no protocol: write uwsgi:ADDRESS or http:ADDRESS");
        };
        let place = match place.strip_prefix("//") {
            Some(place) => place.trim_end_matches('/'),
            None => place,
        };
        let address = if let Some(name) = place.strip_prefix('@') {
            Address::Unix(UnixAddr::new_abstract(name.as_bytes())?)
        } else if place.contains('/') {
            Address::Unix(UnixAddr::new(place).with_context(|| format!("socket path {place:?}"))?)
        } else {
            let tcp: SocketAddr = match place.strip_prefix(':') {
                Some(port) => format!("127.0.0.1:{port}"),
                None => place.replace("localhost:", "127.0.0.1:"),
            }
            .parse()
            .with_context(|| format!("{place:?} is neither a path nor IP:PORT"))?;
            if !tcp.ip().is_loopback() {
                bail!("{tcp} is not this machine; only loopback and Unix sockets are loaded");
            }
            Address::Tcp(SockaddrStorage::from(tcp))
        };
        Ok(Self {
            protocol,
            text: text.to_owned(),
            address,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Target {
    /// A new connection whose every wait, also the one for a full backlog, ends after `timeout`.
    pub fn connect(&self, timeout: Duration) -> Result<File, Errno> {
        let family = match self.address {
            Address::Unix(_) => AddressFamily::Unix,
            Address::Tcp(tcp) => match tcp.as_sockaddr_in6() {
                Some(_) => AddressFamily::Inet6,
                None => AddressFamily::Inet,
            },
        };
        let fd: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let limit = TimeVal::new(timeout.as_secs() as i64, timeout.subsec_micros().into());
        setsockopt(&fd, sockopt::SendTimeout, &limit)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &limit)?;
        match &self.address {
            Address::Unix(address) => connect(fd.as_raw_fd(), address)?,
            Address::Tcp(address) => {
                setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
                connect(fd.as_raw_fd(), address)?;
            }
        }
        Ok(File::from(fd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_understood() {
        for text in [
            "uwsgi:/run/blog.sock",
            "uwsgi:@blog",
            "uwsgi:127.0.0.1:3031",
            "uwsgi::3031",
            "uwsgi:[::1]:3031",
            "http://127.0.0.1:8001",
            "http://localhost:8001/",
            "http:/run/blog-http.sock",
        ] {
            let target: Target = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn another_machine_is_refused() {
        for text in [
            "uwsgi:192.0.2.1:3031",
            "http://192.0.2.1:80",
            "http://example:80",
            "ftp:x",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
