//! systemd's file descriptor store: it keeps the apps' listening sockets while no emperor and no
//! master is there, so that a restart refuses nobody. Which socket is whose stands in the records of
//! the runtime directory; the names in the store are only keys.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use imperator_core::message::Held;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::supervisor::Name;

/// A socket in the store, as an app's record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub key: String,
    pub held: Held,
}

/// What is stored, and how much may be.
#[derive(Debug, Default)]
pub struct Store {
    /// FileDescriptorStoreMax=; 0: nobody keeps anything.
    pub max: usize,
    /// By key: whose, and which socket (its inode).
    stored: BTreeMap<String, (Name, u64)>,
    full_told: bool,
}

impl Store {
    /// Keeps exactly these sockets of this app; tells under which keys.
    pub fn keep(&mut self, app: &str, listeners: &[(Held, OwnedFd)]) -> Vec<Stored> {
        if self.max == 0 {
            return Vec::new();
        }
        let wanted: Vec<String> = listeners.iter().map(|(held, _)| key(app, held)).collect();
        let is_old = |key: &String, of: &str| of == app && !wanted.contains(key);
        let old: Vec<String> = self
            .stored
            .iter()
            .filter(|(key, (of, _))| is_old(key, of))
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.remove(&key);
        }
        let mut kept = Vec::new();
        for (key, (held, fd)) in wanted.into_iter().zip(listeners) {
            let inode = rustix::fs::fstat(fd).map_or(0, |it| it.st_ino);
            let is_there = match self.stored.get(&key) {
                Some((_, known)) if *known == inode => true,
                Some(_) => {
                    self.remove(&key);
                    self.add(app, &key, fd.as_fd(), inode)
                }
                None => self.add(app, &key, fd.as_fd(), inode),
            };
            if is_there {
                let held = held.clone();
                kept.push(Stored { key, held });
            }
        }
        kept
    }

    /// Whether all these sockets are in the store.
    pub fn has_all(&self, app: &str, listeners: &[(Held, OwnedFd)]) -> bool {
        let has = |(held, _): &(Held, OwnedFd)| self.stored.contains_key(&key(app, held));
        self.max > 0 && !listeners.is_empty() && listeners.iter().all(has)
    }

    /// What systemd has handed to this process is in the store already.
    pub fn know(&mut self, app: &str, key: &str, fd: BorrowedFd<'_>) {
        let inode = rustix::fs::fstat(fd).map_or(0, |it| it.st_ino);
        self.stored.insert(key.to_owned(), (app.to_owned(), inode));
    }

    pub fn forget(&mut self, app: &str) {
        let keys = self.stored.iter().filter(|(_, (of, _))| of == app);
        let keys: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// For the next binary of this process.
    pub fn keys(&self) -> Vec<(String, Name, u64)> {
        let all = self.stored.iter();
        all.map(|(key, (app, inode))| (key.clone(), app.clone(), *inode))
            .collect()
    }

    pub fn resume(&mut self, max: usize, keys: Vec<(String, Name, u64)>) {
        self.max = max;
        let keys = keys.into_iter();
        self.stored = keys.map(|(key, app, inode)| (key, (app, inode))).collect();
    }

    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    fn add(&mut self, app: &str, key: &str, fd: BorrowedFd<'_>, inode: u64) -> bool {
        if self.stored.len() >= self.max {
            if !std::mem::replace(&mut self.full_told, true) {
                warn!(
                    "[emperor] systemd keeps no more than {} sockets: connections to the other apps \
                     are refused while it restarts\n  hint: raise FileDescriptorStoreMax= of the unit",
                    self.max
                );
            }
            return false;
        }
        let sent = tell(&format!("FDSTORE=1\nFDNAME={key}"), &[fd]);
        if let Err(error) = &sent {
            warn!("[emperor] {app}: systemd does not take a socket to keep: {error}");
            return false;
        }
        self.stored.insert(key.to_owned(), (app.to_owned(), inode));
        true
    }

    /// Also of a key that nobody knows: a socket that was left of an app that is gone.
    pub fn remove(&mut self, key: &str) {
        self.stored.remove(key);
        // Whoever does not listen keeps nothing.
        let _ = tell(&format!("FDSTOREREMOVE=1\nFDNAME={key}"), &[]);
    }
}

/// The same for the same app and address; systemd allows no colon, and 255 characters.
pub fn key(app: &str, held: &Held) -> String {
    let mut hasher = DefaultHasher::new();
    app.hash(&mut hasher);
    held.address.to_string().hash(&mut hasher);
    format!("app-{:016x}", hasher.finish())
}

/// sd_pid_notify_with_fds(3)
fn tell(text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let path = path.as_encoded_bytes();
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(path)?,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let text = [IoSlice::new(text.as_bytes())];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg_addr(&socket, &address, &text, &mut control, flags)?;
    Ok(())
}
