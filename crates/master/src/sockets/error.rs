//! Why an address cannot be had, and the way out.

use std::fmt;
use std::io;
use std::path::PathBuf;

use imperator_core::address::Address;
use imperator_core::message::Failure;
use imperator_core::why::{CauseId, by_errno};
use imperator_process::access::{self, ENTER, WRITE, Who};

use crate::failure;

/// Why an address cannot be had.
#[derive(Debug)]
pub(crate) struct SocketError {
    pub address: Address,
    pub kind: SocketErrorKind,
}

#[derive(Debug)]
pub(crate) enum SocketErrorKind {
    /// Another process listens there.
    Live {
        owner: Option<i32>,
    },
    /// Something that is no socket has this path.
    NoSocket,
    NoDirectory(PathBuf),
    /// A port below 1024, and we are not root.
    Privileged,
    /// No interface has this address.
    NotOurs,
    Look {
        what: &'static str,
        error: io::Error,
    },
    Io(io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match &self.kind {
            SocketErrorKind::Live { owner } => {
                write!(f, "address {address} is in use by ")?;
                let Some(pid) = owner else {
                    return write!(f, "another process");
                };
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
                match (super::proc::app_of(*pid), name) {
                    (Some(app), _) => write!(f, "app {app} (its master, pid {pid})"),
                    (None, Ok(name)) => write!(f, "{} (pid {pid})", name.trim()),
                    (None, Err(_)) => write!(f, "pid {pid}"),
                }
            }
            SocketErrorKind::NoSocket => write!(f, "{address} exists and is no socket"),
            SocketErrorKind::NoDirectory(path) => {
                write!(
                    f,
                    "cannot make socket {address}: no directory {}",
                    path.display()
                )
            }
            SocketErrorKind::Privileged => {
                write!(f, "cannot listen on {address}: ports below 1024 need root")
            }
            SocketErrorKind::NotOurs => {
                write!(
                    f,
                    "cannot listen on {address}: this machine has no such address"
                )
            }
            SocketErrorKind::Look { what, error } => {
                write!(f, "cannot {what} of socket {address}: {error}")
            }
            SocketErrorKind::Io(error) => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl SocketError {
    /// For the operator; `place` is the line of the config, with a colon.
    pub(crate) fn failure(&self, place: &str) -> Failure {
        let cause = match &self.kind {
            SocketErrorKind::Live { .. } | SocketErrorKind::NoSocket => CauseId::AddressInUse,
            SocketErrorKind::NoDirectory(_) => CauseId::MissingFile,
            SocketErrorKind::Privileged | SocketErrorKind::Look { .. } => CauseId::Permission,
            SocketErrorKind::NotOurs => CauseId::ConfigError,
            SocketErrorKind::Io(error) => {
                error.raw_os_error().and_then(by_errno).unwrap_or_default()
            }
        };
        let failure = failure::plain(format!("{place}{self}"), Some(self.hint())).of(cause);
        match (&self.kind, &self.address) {
            (SocketErrorKind::Live { owner: Some(pid) }, _) => {
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                failure
                    .with("pid", pid.to_string())
                    .with("process", command.trim())
            }
            (SocketErrorKind::NoDirectory(path), _) => {
                failure.with("path", path.display().to_string())
            }
            (SocketErrorKind::Io(_), Address::Unix(path)) if cause == CauseId::Permission => {
                let parent = path.parent().unwrap_or(path);
                match access::barrier(parent, &Who::of(None), WRITE | ENTER) {
                    Some(barrier) => crate::obstacle::tell(failure, &barrier),
                    None => failure,
                }
            }
            (
                SocketErrorKind::Live { .. }
                | SocketErrorKind::NoSocket
                | SocketErrorKind::Privileged
                | SocketErrorKind::NotOurs
                | SocketErrorKind::Look { .. }
                | SocketErrorKind::Io(_),
                _,
            ) => failure,
        }
    }

    pub(crate) fn hint(&self) -> String {
        match &self.kind {
            SocketErrorKind::Live { owner: Some(pid) } => match super::proc::app_of(*pid) {
                Some(app) => format!("use another address, or free it: imperator stop {app}"),
                None => format!("stop pid {pid}, or use another address"),
            },
            SocketErrorKind::Live { owner: None } => "stop it, or use another address".to_owned(),
            SocketErrorKind::NoSocket => "remove it, or use another path".to_owned(),
            SocketErrorKind::NoDirectory(path) => format!("mkdir -p {}", path.display()),
            SocketErrorKind::Privileged => {
                "use a higher port, or give the service CAP_NET_BIND_SERVICE".to_owned()
            }
            SocketErrorKind::NotOurs => "use an address of this machine, or \":port\"".to_owned(),
            SocketErrorKind::Look { .. } => {
                "start as root, or remove chmod-socket and chown-socket".to_owned()
            }
            SocketErrorKind::Io(_) => {
                "let this user write to the directory, or use another address".to_owned()
            }
        }
    }
}
