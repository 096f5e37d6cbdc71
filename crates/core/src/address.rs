//! Socket addresses as uWSGI writes them: `/path`, `@abstract`, `:port`, `ip:port`, `[v6]:port`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an app listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Address {
    Unix(PathBuf),
    /// Linux's abstract namespace; the name is kept without its `@`.
    Abstract(String),
    Tcp(SocketAddr),
}

/// The longest Unix path that fits `sockaddr_un` with its NUL (unix(7): 108 bytes).
pub const MAX_UNIX_PATH: usize = 107;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAddress {
    pub text: String,
    pub why: &'static str,
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no socket address: {}", self.text, self.why)
    }
}

impl std::error::Error for InvalidAddress {}

impl FromStr for Address {
    type Err = InvalidAddress;

    /// Reads an address by uWSGI's rules (core/socket.c): what holds a `:` is TCP, the rest a path.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let refuse = |why| {
            Err(InvalidAddress {
                text: text.to_owned(),
                why,
            })
        };
        if let Some(name) = text.strip_prefix('@').or_else(|| text.strip_prefix("\\0")) {
            return match name.len() {
                0 => refuse("the abstract name is empty"),
                1..=MAX_UNIX_PATH => Ok(Self::Abstract(name.to_owned())),
                _ => refuse("an abstract name has at most 107 bytes"),
            };
        }
        if let Some((host, port)) = text.rsplit_once(':') {
            let Ok(port) = port.parse::<u16>() else {
                return refuse("what follows the \":\" is no port from 0 to 65535");
            };
            let host = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
                .unwrap_or(host);
            let ip = match host {
                "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                host => match host.parse() {
                    Ok(ip) => ip,
                    Err(_) => return refuse("what precedes the \":\" is no IP address"),
                },
            };
            return Ok(Self::Tcp(SocketAddr::new(ip, port)));
        }
        match text.len() {
            0 => refuse("it is empty"),
            1..=MAX_UNIX_PATH => Ok(Self::Unix(PathBuf::from(text))),
            _ => refuse("the path of a Unix socket has at most 107 bytes"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}
