//! The emperors at the other end: the one that started this master, and whoever adopts it through
//! `master.sock` in the runtime directory. Without any, the app is served on. And guests, who ask
//! how the app is, what it printed and what happened: the `imperator` command, without an emperor
//! or let in by one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use imperator_core::message::{AppStatus, Config, FromMaster, Held, ToMaster, VERSION};
use imperator_process::channel::{Channel, Received};
use imperator_process::poll::Interest;
use imperator_process::{fds, privileges};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};

use crate::chronicle::Chronicle;
use crate::log::Kept;

/// Emperors and guests at one time; the oldest guests make room.
const MAX_PEERS: usize = 64;
/// Messages with lines for one reader in one turn.
const PIECES: usize = 32;
const SOCKET: &str = "master.sock";

#[derive(Debug, Default)]
pub(crate) struct Control {
    listener: Option<(OwnedFd, PathBuf)>,
    /// The file of `listener`.
    inode: Option<u64>,
    peers: Vec<Peer>,
    /// Where an heir will listen.
    later: Option<PathBuf>,
    /// As of the last [`Control::has_lost_emperor`].
    had_emperor: bool,
}

#[derive(Debug)]
struct Peer {
    channel: Channel,
    is_emperor: bool,
    /// Let in by an emperor: it gives no orders.
    only_asks: bool,
    wants_news: bool,
    wants_history: bool,
    wants_report: bool,
    tail: Option<Tail>,
}

/// Somebody reads the app's lines.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// The last one that was sent.
    after: u64,
    follow: bool,
    requests: bool,
    /// Forgotten lines when the last piece was sent.
    lost: Option<u64>,
    /// It does not read now.
    is_full: bool,
}

impl Peer {
    fn new(channel: Channel) -> Self {
        Self {
            channel,
            is_emperor: false,
            only_asks: false,
            wants_news: false,
            wants_history: false,
            wants_report: false,
            tail: None,
        }
    }

    /// Whether this is for the master to obey; else it is noted here, or refused.
    fn takes(&mut self, message: &ToMaster) -> bool {
        match message {
            ToMaster::Report { .. } => {
                self.wants_report = true;
                true
            }
            ToMaster::History => {
                self.wants_history = true;
                false
            }
            &ToMaster::Logs {
                after,
                follow,
                requests,
            } => {
                self.tail = Some(Tail {
                    after,
                    follow,
                    requests,
                    lost: None,
                    is_full: false,
                });
                false
            }
            ToMaster::Adopt { history, .. } if !self.only_asks => {
                self.is_emperor = true;
                self.wants_news = *history;
                self.wants_history = *history;
                true
            }
            ToMaster::Guest => false,
            ToMaster::Start(_)
            | ToMaster::Adopt { .. }
            | ToMaster::Reload { .. }
            | ToMaster::Changed
            | ToMaster::Retry
            | ToMaster::Pause
            | ToMaster::Stop
            | ToMaster::StopNow
            | ToMaster::Outdated
            | ToMaster::Succeed
            | ToMaster::Inherit
            | ToMaster::Retire => !self.only_asks,
        }
    }

    /// Sends what there is for it. `false`: it is gone.
    fn show(&mut self, kept: &Kept) -> bool {
        for _ in 0..PIECES {
            let Some(tail) = &mut self.tail else {
                return true;
            };
            let (before, lost) = (tail.lost, kept.lost(tail.requests));
            if tail.follow && before.is_some() && tail.after >= kept.newest() {
                return true;
            }
            // Numbers of a master that was before this one say nothing here.
            let after = if tail.after > kept.newest() {
                0
            } else {
                tail.after
            };
            let piece = kept.after(after, tail.requests);
            let end = !tail.follow && piece.next >= kept.newest();
            let missed = before
                .filter(|_| piece.gap)
                .map_or(0, |before| lost - before);
            let message = FromMaster::Logs {
                lines: piece.lines,
                missed,
                end,
            };
            match self.channel.send(&message, &[]) {
                Ok(()) => {
                    (tail.after, tail.lost, tail.is_full) = (piece.next, Some(lost), false);
                    if end {
                        self.tail = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tail.is_full = true;
                    return true;
                }
                Err(_) => return false,
            }
        }
        true
    }
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
    pub(crate) fn add_emperor(&mut self, channel: Channel, news: bool) -> io::Result<()> {
        channel.set_nonblocking(true)?;
        self.peers.push(Peer {
            is_emperor: true,
            wants_news: news,
            wants_history: news,
            ..Peer::new(channel)
        });
        Ok(())
    }

    fn add_guest(&mut self, channel: Channel, only_asks: bool) {
        if self.peers.len() >= MAX_PEERS {
            let guest = self.peers.iter().position(|peer| !peer.is_emperor);
            let Some(guest) = guest else {
                return;
            };
            self.peers.remove(guest);
        }
        // What it cannot do is seen at its first message.
        if channel.set_nonblocking(true).is_ok() {
            self.peers.push(Peer {
                only_asks,
                ..Peer::new(channel)
            });
        }
    }

    /// Whether the last emperor has gone since the last call, seen by a read or by a report that
    /// could not be sent.
    pub(crate) fn has_lost_emperor(&mut self) -> bool {
        let has_one = self.peers.iter().any(|peer| peer.is_emperor);
        std::mem::replace(&mut self.had_emperor, has_one) && !has_one
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

    /// `false`: there is no emperor, or it does not read.
    pub(crate) fn ask_for_reload(&mut self) -> bool {
        let has_one = |peers: &[Peer]| peers.iter().any(|peer| peer.is_emperor);
        has_one(&self.peers) && self.say(&FromMaster::WantsReload, &[]) && has_one(&self.peers)
    }

    /// What can be in one hand only is free.
    pub(crate) fn ceded(&mut self) {
        // Whoever does not read it sees this master end.
        let _ = self.say(&FromMaster::Ceded, &[]);
    }

    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(|(fd, _)| fd.as_fd())
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        self.peers.iter().map(|peer| {
            let interest = match peer.tail {
                Some(Tail { is_full: true, .. }) => Interest::Write,
                Some(_) | None => Interest::Read,
            };
            (peer.channel.as_fd(), interest)
        })
    }

    pub(crate) fn accept(&mut self) {
        while let Some(listener) = self.listener() {
            let Ok(fd) = fds::accept(listener) else {
                return;
            };
            let me = nix::unistd::geteuid().as_raw();
            let is_friend = privileges::peer(&fd).is_ok_and(|it| it.uid == 0 || it.uid == me);
            if is_friend {
                self.add_guest(Channel::from(fd), false);
            }
        }
    }

    /// All that was said.
    pub(crate) fn hear(&mut self) -> Vec<ToMaster> {
        let mut said = Vec::new();
        let mut guests = Vec::new();
        self.peers.retain_mut(|peer| {
            loop {
                match peer.channel.receive::<ToMaster>() {
                    Ok(Received::Message(ToMaster::Guest, fds)) if peer.is_emperor => {
                        guests.extend(fds.into_iter().map(Channel::from));
                    }
                    Ok(Received::Message(message, _)) => {
                        if peer.takes(&message) {
                            said.push(message);
                        }
                    }
                    Ok(Received::Empty) => return true,
                    // A newer emperor may say what this master does not know.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                    Ok(Received::Closed) | Err(_) => return false,
                }
            }
        });
        for guest in guests {
            self.add_guest(guest, true);
        }
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
        let message = FromMaster::Report(Box::new(status.clone()));
        let all = self.say(&message, &[]);
        self.peers.retain_mut(|peer| {
            let asks = !peer.is_emperor && std::mem::take(&mut peer.wants_report);
            !asks || peer.channel.send(&message, &[]).is_ok()
        });
        all
    }

    /// What happened: all of it to who asks, what is new to emperors.
    pub(crate) fn tell_news(&mut self, chronicle: &mut Chronicle) {
        let news = FromMaster::Happened {
            entries: chronicle.take_news(),
        };
        let is_news = matches!(&news, FromMaster::Happened { entries } if !entries.is_empty());
        let all = |chronicle: &Chronicle| FromMaster::Happened {
            entries: chronicle.history.entries().cloned().collect(),
        };
        for peer in &mut self.peers {
            let sent = match (peer.wants_history, peer.wants_news && is_news) {
                (true, _) => peer.channel.send(&all(chronicle), &[]),
                (false, true) => peer.channel.send(&news, &[]),
                (false, false) => continue,
            };
            // Who did not read gets all of it once more; who is gone is seen by reading.
            peer.wants_history = sent.is_err();
        }
    }

    /// Lines of the app's log, to who reads them.
    pub(crate) fn show_lines(&mut self, kept: &Kept) {
        self.peers.retain_mut(|peer| peer.show(kept));
    }

    /// Whether somebody is to be told more as soon as possible.
    pub(crate) fn owes(&self, kept: &Kept) -> bool {
        self.peers.iter().any(|peer| {
            let behind = |tail: Tail| !tail.is_full && tail.after < kept.newest();
            peer.wants_history || peer.tail.is_some_and(behind)
        })
    }

    pub(crate) fn goodbye(&mut self, why: &str) {
        let why = why.to_owned();
        self.say(&FromMaster::Goodbye { why }, &[]);
        self.hide();
    }

    /// `false`: somebody did not read for a while and has to be told again.
    fn say(&mut self, message: &FromMaster, fds: &[BorrowedFd<'_>]) -> bool {
        let mut all = true;
        self.peers.retain(|peer| {
            if !peer.is_emperor {
                return true;
            }
            match peer.channel.send(message, fds) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    all = false;
                    true
                }
                Err(_) => false,
            }
        });
        all
    }
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().ok().map(|it| it.ino())
}
