//! The emperors at the other end: the one that started this master, and whoever adopts it through
//! `master.sock` in the runtime directory. Without any, the app is served on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use imperator_core::message::{AppStatus, Config, FromMaster, Held, ToMaster, VERSION};
use imperator_process::channel::{Channel, Received};
use imperator_process::{fds, privileges};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};

/// Emperors at one time; more than the old and the new one is a mistake.
const MAX_PEERS: usize = 8;
const SOCKET: &str = "master.sock";

#[derive(Debug, Default)]
pub(crate) struct Control {
    listener: Option<(OwnedFd, PathBuf)>,
    /// The file of `listener`.
    inode: Option<u64>,
    peers: Vec<Channel>,
    /// Where an heir will listen.
    later: Option<PathBuf>,
    /// As of the last [`Control::has_lost_emperor`].
    had_emperor: bool,
}

/// The sockets and log pipes that an emperor keeps for the next master.
pub(crate) struct Holding<'a> {
    pub listeners: Vec<(Held, BorrowedFd<'a>)>,
    pub logs: [BorrowedFd<'a>; 2],
}

impl Control {
    /// # Errors
    /// `master.sock` cannot be made.
    pub(crate) fn listen(&mut self, runtime: &Path) -> io::Result<()> {
        let path = runtime.join(SOCKET);
        match std::fs::remove_file(&path) {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        socket::bind(fd.as_raw_fd(), &UnixAddr::new(&path)?)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        socket::listen(&fd, Backlog::new(8)?)?;
        self.inode = inode(&path);
        self.listener = Some((fd, path));
        Ok(())
    }

    pub(crate) fn listen_later(&mut self, runtime: PathBuf) {
        self.later = Some(runtime);
    }

    /// # Errors
    /// As [`Control::listen`].
    pub(crate) fn succeed(&mut self) -> io::Result<()> {
        match self.later.take() {
            Some(runtime) => self.listen(&runtime),
            None => Ok(()),
        }
    }

    /// # Errors
    /// What fcntl(2) says.
    pub(crate) fn add(&mut self, channel: Channel) -> io::Result<()> {
        channel.set_nonblocking(true)?;
        self.peers.push(channel);
        Ok(())
    }

    /// Whether the last emperor has gone since the last call, seen by a read or by a report that
    /// could not be sent.
    pub(crate) fn has_lost_emperor(&mut self) -> bool {
        let had_one = std::mem::replace(&mut self.had_emperor, !self.peers.is_empty());
        had_one && self.peers.is_empty()
    }

    pub(crate) fn waits_to_succeed(&self) -> bool {
        self.later.is_some()
    }

    /// Another master has put its socket in the place of ours.
    pub(crate) fn is_superseded(&self) -> bool {
        let own = self.listener.as_ref().map(|(_, path)| inode(path));
        own.is_some_and(|now| now.is_some() && now != self.inode)
    }

    /// No emperor shall find this master any more.
    pub(crate) fn hide(&mut self) {
        let is_superseded = self.is_superseded();
        if let Some((_, path)) = self.listener.take().filter(|_| !is_superseded) {
            // The runtime directory may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }

    /// What can be in one hand only is free.
    pub(crate) fn ceded(&mut self) {
        // Whoever does not read it sees this master end.
        let _ = self.say(&FromMaster::Ceded, &[]);
    }

    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        let room = self.peers.len() < MAX_PEERS;
        self.listener
            .as_ref()
            .filter(|_| room)
            .map(|(fd, _)| fd.as_fd())
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.peers.iter().map(AsFd::as_fd)
    }

    pub(crate) fn accept(&mut self) {
        while let Some(listener) = self.listener() {
            let Ok(fd) = fds::accept(listener) else {
                return;
            };
            let me = nix::unistd::geteuid().as_raw();
            let is_friend = privileges::peer(&fd).is_ok_and(|it| it.uid == 0 || it.uid == me);
            if is_friend {
                // What it cannot do is seen at its first message.
                let _ = self.add(Channel::from(fd));
            }
        }
    }

    /// All that was said.
    pub(crate) fn hear(&mut self) -> Vec<ToMaster> {
        let mut said = Vec::new();
        self.peers.retain(|peer| {
            loop {
                match peer.receive::<ToMaster>() {
                    Ok(Received::Message(message, _)) => said.push(message),
                    Ok(Received::Empty) => return true,
                    // A newer emperor may say what this master does not know.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                    Ok(Received::Closed) | Err(_) => return false,
                }
            }
        });
        said
    }

    /// To all: an emperor that hears it again learns nothing wrong.
    pub(crate) fn introduce(&mut self, name: &str, config: &Config) {
        self.say(
            &FromMaster::Hello {
                version: VERSION,
                name: name.to_owned(),
                config: config.clone(),
                pid: i32::try_from(std::process::id()).unwrap_or(0),
                build: imperator_process::image::own().ok(),
            },
            &[],
        );
    }

    #[must_use]
    pub(crate) fn hold(&mut self, holding: &Holding<'_>) -> bool {
        let listeners = holding
            .listeners
            .iter()
            .map(|(held, _)| held.clone())
            .collect();
        let mut fds: Vec<_> = holding.listeners.iter().map(|&(_, fd)| fd).collect();
        fds.extend(holding.logs);
        self.say(&FromMaster::Holding { listeners }, &fds)
    }

    #[must_use]
    pub(crate) fn report(&mut self, status: &AppStatus) -> bool {
        self.say(&FromMaster::Report(Box::new(status.clone())), &[])
    }

    pub(crate) fn goodbye(&mut self, why: &str) {
        let why = why.to_owned();
        self.say(&FromMaster::Goodbye { why }, &[]);
        self.hide();
    }

    /// `false`: somebody did not read for a while and has to be told again.
    fn say(&mut self, message: &FromMaster, fds: &[BorrowedFd<'_>]) -> bool {
        let mut all = true;
        self.peers.retain(|peer| match peer.send(message, fds) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                all = false;
                true
            }
            Err(_) => false,
        });
        all
    }
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().ok().map(|it| it.ino())
}
