//! The app's listening sockets: bound once, kept over generations, never stolen from a live process.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use imperator_core::address::Address;
use imperator_core::settings::tcp::Tcp;
use imperator_process::fds;
use imperator_process::privileges;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, sockopt,
};

mod behaviour;
mod error;
mod proc;

use behaviour::{before_bind, behave};
pub(crate) use error::{SocketError, SocketErrorKind};
use proc::owner_of_port;
pub(crate) use proc::{queue_of, somaxconn};

/// How Unix sockets are to look, and TCP sockets to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Look {
    pub tcp: Tcp,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub fd: OwnedFd,
    /// The file that we made: device and inode.
    inode: Option<(u64, u64)>,
    /// Another process bound it, and may still serve there.
    was_bound: bool,
}

/// The sockets of one app, by their configured address.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: BTreeMap<Address, Listener>,
}

impl Sockets {
    /// Takes over a socket that another process bound for this app.
    ///
    /// # Errors
    /// What fcntl(2) says.
    pub(crate) fn adopt(&mut self, address: Address, fd: OwnedFd) -> io::Result<()> {
        fds::set_nonblocking(&fd, true)?;
        let inode = match &address {
            Address::Unix(path) => inode_of(path),
            Address::Abstract(_) | Address::Tcp(_) => None,
        };
        let listener = Listener {
            fd,
            inode,
            was_bound: true,
        };
        self.open.insert(address, listener);
        Ok(())
    }

    /// Binds each of `wanted` that is not open; on an error what was bound here is closed again.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub(crate) fn bind_missing(
        &mut self,
        wanted: &[Address],
        backlog: u32,
        look: Look,
    ) -> Result<(), SocketError> {
        let mut bound: Vec<Address> = Vec::new();
        for address in wanted {
            let vanished = self
                .open
                .get(address)
                .is_some_and(|it| it.has_vanished(address));
            if self.open.contains_key(address) && !vanished {
                continue;
            }
            let dual = !wanted
                .iter()
                .any(|other| is_v4_of_same_port(other, address));
            match bind(address, backlog, look, dual) {
                Ok(listener) => {
                    self.open.insert(address.clone(), listener);
                    bound.push(address.clone());
                }
                Err(kind) => {
                    for address in bound {
                        self.close(&address);
                    }
                    let address = address.clone();
                    return Err(SocketError { address, kind });
                }
            }
        }
        Ok(())
    }

    /// Closes what nobody wants any more, and removes its files.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Address) -> bool) {
        let unwanted: Vec<_> = self.open.keys().filter(|it| !wanted(it)).cloned().collect();
        for address in unwanted {
            self.close(&address);
        }
    }

    /// Gives kept sockets the look of a new config.
    ///
    /// # Errors
    /// The first one that refuses.
    pub(crate) fn set_look(&self, look: Look) -> Result<(), SocketError> {
        for (address, listener) in &self.open {
            behave(&listener.fd, address, look.tcp);
            if let (Address::Unix(path), Some(_)) = (address, listener.inode) {
                apply_look(path, look).map_err(|kind| SocketError {
                    address: address.clone(),
                    kind,
                })?;
            }
        }
        Ok(())
    }

    /// Removes the files of our Unix sockets, if they are still ours: nobody connects any more.
    pub(crate) fn unlink(&mut self) {
        for (address, listener) in &mut self.open {
            listener.unlink(address);
        }
    }

    /// As above, but for those that somebody else bound.
    pub(crate) fn unlink_own(&mut self) {
        let own = self.open.iter_mut().filter(|(_, it)| !it.was_bound);
        own.for_each(|(address, listener)| listener.unlink(address));
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Listener> {
        self.open.get(address)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Address, &Listener)> {
        self.open.iter()
    }

    fn close(&mut self, address: &Address) {
        if let Some(mut listener) = self.open.remove(address) {
            listener.unlink(address);
        }
    }
}

impl Listener {
    /// The address as the kernel has it: with the port that it chose for `:0`.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        let name = socket::getsockname::<SockaddrStorage>(self.fd.as_raw_fd()).ok()?;
        let v4 = name
            .as_sockaddr_in()
            .map(|it| SocketAddr::from(std::net::SocketAddrV4::from(*it)));
        v4.or_else(|| {
            name.as_sockaddr_in6()
                .map(|it| SocketAddr::from(std::net::SocketAddrV6::from(*it)))
        })
    }

    fn has_vanished(&self, address: &Address) -> bool {
        match address {
            Address::Unix(path) => path.symlink_metadata().is_err(),
            Address::Abstract(_) | Address::Tcp(_) => false,
        }
    }

    fn unlink(&mut self, address: &Address) {
        if let (Address::Unix(path), Some(inode)) = (address, self.inode.take())
            && inode_of(path) == Some(inode)
        {
            // Gone is what we want; another's right to keep it is no error of ours.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn inode_of(path: &Path) -> Option<(u64, u64)> {
    let it = path.symlink_metadata().ok()?;
    it.file_type().is_socket().then(|| (it.dev(), it.ino()))
}

fn is_v4_of_same_port(other: &Address, address: &Address) -> bool {
    match (other, address) {
        (Address::Tcp(other), Address::Tcp(address)) => {
            other.is_ipv4() && address.is_ipv6() && other.port() == address.port()
        }
        (Address::Unix(_) | Address::Abstract(_) | Address::Tcp(_), _) => false,
    }
}

/// `dual`: an IPv6 wildcard also serves IPv4, as the original's does.
fn bind(
    address: &Address,
    backlog: u32,
    look: Look,
    dual: bool,
) -> Result<Listener, SocketErrorKind> {
    let io = |error: nix::Error| SocketErrorKind::Io(error.into());
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = match address {
        Address::Unix(_) | Address::Abstract(_) => AddressFamily::Unix,
        Address::Tcp(tcp) if tcp.is_ipv4() => AddressFamily::Inet,
        Address::Tcp(_) => AddressFamily::Inet6,
    };
    let fd = socket::socket(family, SockType::Stream, flags, None).map_err(io)?;
    let mut inode = None;
    match address {
        Address::Unix(path) => {
            make_room(path)?;
            let name = UnixAddr::new(path.as_path()).map_err(io)?;
            let refused = |error| refused(error, || None);
            socket::bind(fd.as_raw_fd(), &name).map_err(refused)?;
            inode = inode_of(path);
            let looked = apply_look(path, look);
            if let Err(error) = looked {
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
        }
        Address::Abstract(name) => {
            let name = UnixAddr::new_abstract(name.as_bytes()).map_err(io)?;
            let refused = |error| refused(error, || probe(&name).unwrap_or(None));
            socket::bind(fd.as_raw_fd(), &name).map_err(refused)?;
        }
        Address::Tcp(tcp) => {
            socket::setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(io)?;
            // Accepted connections inherit it.
            socket::setsockopt(&fd, sockopt::TcpNoDelay, &true).map_err(io)?;
            if tcp.is_ipv6() && !dual {
                socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true).map_err(io)?;
            }
            before_bind(&fd, tcp, look.tcp).map_err(io)?;
            let name = SockaddrStorage::from(*tcp);
            let refused = |error| {
                if error == nix::Error::EACCES && tcp.port() < 1024 {
                    return SocketErrorKind::Privileged;
                }
                refused(error, || owner_of_port(tcp.port()))
            };
            socket::bind(fd.as_raw_fd(), &name).map_err(refused)?;
            // Two sockets may share an address until one of them listens.
            socket::listen(&fd, backlog_of(backlog)).map_err(refused)?;
        }
    }
    socket::listen(&fd, backlog_of(backlog)).map_err(io)?;
    behave(&fd, address, look.tcp);
    Ok(Listener {
        fd,
        inode,
        was_bound: false,
    })
}

fn refused(error: nix::Error, owner: impl Fn() -> Option<i32>) -> SocketErrorKind {
    if error == nix::Error::EADDRINUSE {
        return SocketErrorKind::Live { owner: owner() };
    }
    if error == nix::Error::EADDRNOTAVAIL {
        return SocketErrorKind::NotOurs;
    }
    SocketErrorKind::Io(error.into())
}

fn backlog_of(backlog: u32) -> Backlog {
    let backlog = i32::try_from(backlog.max(1)).unwrap_or(i32::MAX);
    Backlog::new(backlog).unwrap_or(Backlog::MAXCONN)
}

/// Removes the socket file of a process that is gone.
fn make_room(path: &Path) -> Result<(), SocketErrorKind> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
            return match parent {
                Some(parent) if !parent.is_dir() => {
                    Err(SocketErrorKind::NoDirectory(parent.to_owned()))
                }
                Some(_) | None => Ok(()),
            };
        }
        Err(error) => return Err(SocketErrorKind::Io(error)),
    };
    if !found.file_type().is_socket() {
        return Err(SocketErrorKind::NoSocket);
    }
    let name = UnixAddr::new(path).map_err(|error| SocketErrorKind::Io(error.into()))?;
    match probe(&name) {
        Ok(owner) => Err(SocketErrorKind::Live { owner }),
        Err(_) => std::fs::remove_file(path).map_err(SocketErrorKind::Io),
    }
}

/// Whether somebody listens there, and who; the error says that nobody does.
fn probe(name: &UnixAddr) -> Result<Option<i32>, nix::Error> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // A datagram or SEQPACKET socket refuses a stream with EPROTOTYPE, and is alive.
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match socket::connect(fd.as_raw_fd(), name) {
        Ok(()) => Ok(privileges::peer(fd.as_fd()).ok().map(|peer| peer.pid)),
        // A full backlog is a busy owner.
        Err(nix::Error::EAGAIN | nix::Error::EPROTOTYPE | nix::Error::EACCES) => Ok(None),
        Err(error) => Err(error),
    }
}

fn apply_look(path: &Path, look: Look) -> Result<(), SocketErrorKind> {
    if look.uid.is_some() || look.gid.is_some() {
        std::os::unix::fs::chown(path, look.uid, look.gid).map_err(|error| {
            let what = "change the owner";
            SocketErrorKind::Look { what, error }
        })?;
    }
    if let Some(mode) = look.mode {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).map_err(|error| {
            let what = "change the mode";
            SocketErrorKind::Look { what, error }
        })?;
    }
    Ok(())
}

/// An address as a person reads it: `http://127.0.0.1:8001`, `uwsgi:/run/blog.sock`.
pub(crate) fn shown(scheme: &str, address: &Address, local: Option<SocketAddr>) -> String {
    match (address, local) {
        (Address::Tcp(tcp), local) if matches!(scheme, "http" | "https") => {
            format!("{scheme}://{}", local.unwrap_or(*tcp))
        }
        (Address::Tcp(tcp), local) => format!("{scheme}:{}", local.unwrap_or(*tcp)),
        (Address::Unix(_) | Address::Abstract(_), _) => format!("{scheme}:{address}"),
    }
}
