//! The control socket: `imperator status` and its like ask the emperor here. One JSON document per
//! SEQPACKET message; an answer is one message per app, then `End`. Nobody can make the emperor
//! wait: who does not read is dropped.

mod words;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use imperator_process::channel::{Channel, Received};
use imperator_process::{lock, privileges};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

pub use self::words::{AppLine, Ask, Condition, EmperorStatus, Reason, Reply, Request};

/// More clients at once are turned away.
const MAX_CLIENTS: usize = 64;
/// … and of one user who is no operator.
const MAX_OF_ONE: usize = 8;
/// A client that has not asked, or not read its answer, by then is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// So long a client waits for an emperor that runs to listen.
const UNTIL_IT_LISTENS: Duration = Duration::from_secs(5);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);

/// So long a status waits for masters to tell their numbers; it is shown as last known after.
const FRESHNESS: Duration = Duration::from_millis(300);

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    pub uid: u32,
    /// Root, the emperor's own user, or of the group of `control-group`; others have a say only
    /// about what is theirs.
    pub is_operator: bool,
    /// As sudo tells; only root is believed.
    pub sudo: Option<String>,
}

impl Asker {
    /// For the history: `uid 1000`, `uid 0, sudo by alice`.
    pub fn name(&self) -> String {
        match &self.sudo {
            Some(user) => format!("uid {}, sudo by {user}", self.uid),
            None => format!("uid {}", self.uid),
        }
    }
}

/// Who may use the socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rights {
    /// `control-group`
    pub group: Option<u32>,
    /// Each user may ask about the apps that are theirs (`emperor-tyrant`).
    pub owners: bool,
}

impl Rights {
    fn mode(self) -> u32 {
        match (self.owners, self.group) {
            (true, _) => 0o666,
            (false, Some(_)) => 0o660,
            (false, None) => 0o600,
        }
    }

    /// `None`: there is nothing here for the other end.
    fn of(self, socket: BorrowedFd<'_>) -> Option<Asker> {
        let peer = privileges::peer(socket).ok()?;
        let is_friend = is_friend(socket);
        let in_group = |group| {
            let groups = privileges::peer_groups(socket);
            peer.gid == group || groups.is_ok_and(|all| all.contains(&group))
        };
        let is_operator = is_friend || self.group.is_some_and(in_group);
        (is_operator || self.owners).then_some(Asker {
            uid: peer.uid,
            is_operator,
            sudo: None,
        })
    }
}

/// What is sent to a client, perhaps with a descriptor.
pub type Answer = (Reply, Option<OwnedFd>);

struct Client {
    channel: Channel,
    asker: Asker,
    out: VecDeque<Answer>,
    deadline: Instant,
    /// It asked, and is answered then or when all is known.
    asked: Option<(Request, Instant)>,
    /// It got its answer and is dropped when that is sent.
    answered: bool,
}

pub struct Control {
    listener: OwnedFd,
    rights: Rights,
    clients: Vec<Client>,
    /// See [`spare`].
    spare: Option<fs::File>,
}

impl Control {
    /// Binds the socket; who holds the runtime directory's lock may replace a stale one.
    ///
    /// # Errors
    /// What bind(2) says.
    pub fn bind(path: &Path, rights: Rights) -> io::Result<Self> {
        Ok(Self::resume(Self::listen_at(path, rights)?, rights))
    }

    /// On a socket that this process has bound before.
    pub fn resume(listener: OwnedFd, rights: Rights) -> Self {
        Self {
            listener,
            rights,
            clients: Vec::new(),
            spare: spare(),
        }
    }

    fn listen_at(path: &Path, rights: Rights) -> io::Result<OwnedFd> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (),
        }
        let listener = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
        // Closed for all until it belongs to whom it is for; nobody connects before listen(2).
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        if let Some(group) = rights.group {
            std::os::unix::fs::chown(path, None, Some(group))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(rights.mode()))?;
        rustix::net::listen(&listener, 64)?;
        Ok(listener)
    }

    pub fn own_listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// `None`: no descriptor is left for a client, so nobody is to be waited for.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.spare.is_some().then(|| self.listener.as_fd())
    }

    /// Each client's descriptor, and whether it is to be written to.
    pub fn clients(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        self.clients
            .iter()
            .map(|client| (client.channel.as_fd(), !client.out.is_empty()))
    }

    pub fn deadline(&self) -> Option<Instant> {
        let due = |client: &Client| match client.asked {
            Some((_, at)) => at,
            None => client.deadline,
        };
        self.clients.iter().map(due).min()
    }

    /// Accepts and reads what came. The apps whose status somebody asks for (an empty list: all):
    /// then their masters are asked for theirs first.
    pub fn listen(&mut self, now: Instant) -> Vec<Vec<String>> {
        self.accept(now);
        let mut asked_for = Vec::new();
        self.clients.retain_mut(|client| {
            if client.answered || client.asked.is_some() {
                return true;
            }
            match client.channel.receive::<Ask>() {
                Ok(Received::Message(Ask { request, sudo }, _)) => {
                    let wait = if let Request::Status { apps } = &request {
                        asked_for.push(apps.clone());
                        FRESHNESS
                    } else {
                        Duration::ZERO
                    };
                    client.asker.sudo = sudo.filter(|_| client.asker.uid == 0);
                    client.asked = Some((request, now + wait));
                    true
                }
                Ok(Received::Empty) => true,
                Ok(Received::Closed) => false,
                Err(error) => {
                    let refused = Reply::Refused {
                        why: format!("the emperor does not understand this: {error}"),
                        reason: Reason::Failed,
                    };
                    client.out.extend([(refused, None), (Reply::End, None)]);
                    client.answered = true;
                    true
                }
            }
        });
        asked_for
    }

    /// Answers and writes what can be. `fresh`: all masters have told how they are. `answer` makes
    /// a request's whole answer.
    pub fn speak(
        &mut self,
        fresh: bool,
        now: Instant,
        mut answer: impl FnMut(&Asker, Request) -> Vec<Answer>,
    ) {
        self.clients.retain_mut(|client| {
            if client
                .asked
                .as_ref()
                .is_some_and(|(_, at)| fresh || *at <= now)
                && let Some((request, _)) = client.asked.take()
            {
                client.out.extend(answer(&client.asker, request));
                client.out.push_back((Reply::End, None));
                client.answered = true;
                client.deadline = now + PATIENCE;
            }
            while let Some((reply, beside)) = client.out.front() {
                let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
                match client.channel.send(reply, &beside) {
                    Ok(()) => {
                        client.out.pop_front();
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Too long for a message: its traceback, most likely. The rest is told.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        client.out.pop_front();
                    }
                    Err(_) => return false,
                }
            }
            (!client.answered || !client.out.is_empty()) && client.deadline > now
        });
        self.spare = self.spare.take().or_else(spare);
    }

    fn accept(&mut self, now: Instant) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let socket = match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(Errno::MFILE | Errno::NFILE) if self.spare.take().is_some() => continue,
                Err(_) => return,
            };
            let Some(asker) = self.rights.of(socket.as_fd()) else {
                continue;
            };
            let same = |client: &&Client| client.asker.uid == asker.uid;
            let of_one = self.clients.iter().filter(same).count();
            let has_room = asker.is_operator || of_one < MAX_OF_ONE;
            if self.clients.len() >= MAX_CLIENTS || !has_room {
                continue;
            }
            self.clients.push(Client {
                channel: Channel::from(socket),
                asker,
                out: VecDeque::new(),
                deadline: now + PATIENCE,
                asked: None,
                answered: false,
            });
        }
    }
}

/// The descriptor that makes room for one client when no other is left: the status tells then why
/// apps cannot start.
fn spare() -> Option<fs::File> {
    fs::File::open("/dev/null").ok()
}

/// Whether the other end is root or the emperor's own user.
pub fn is_friend(socket: BorrowedFd<'_>) -> bool {
    let me = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(socket)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == me)
}

/// Connects to a SEQPACKET socket; the pid of the other end beside it.
///
/// # Errors
/// What connect(2) says: `NotFound` or `ConnectionRefused` when nobody is there.
pub fn connect(path: &Path) -> io::Result<(Channel, i32)> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        // Non-blocking also while connecting: a full backlog is no reason to wait for ever.
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let peer = rustix::net::sockopt::socket_peercred(&socket)?;
    let channel = Channel::from(socket);
    Ok((channel, peer.pid.as_raw_nonzero().get()))
}

/// Whether this means that nobody listens there.
pub fn is_nobody(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::NotFound || kind == io::ErrorKind::ConnectionRefused
}

/// An emperor has the lock of its runtime directory before it has its socket.
fn patiently<T>(
    mut connect: impl FnMut() -> io::Result<T>,
    is_there: impl Fn() -> bool,
) -> io::Result<T> {
    let deadline = now() + UNTIL_IT_LISTENS;
    loop {
        match connect() {
            Err(error) if is_nobody(&error) && is_there() && now() < deadline => rest(),
            result => return result,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client waits for itself: it has no loop that reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client that tries again has nothing to wait for in between"
)]
fn rest() {
    std::thread::sleep(LOOK);
}

/// Asks an emperor and waits for its whole answer; also for one that is about to listen.
///
/// # Errors
/// What connect(2) says; `TimedOut` when the answer is not whole after ten seconds.
pub fn ask(runtime: &Path, request: &Request) -> io::Result<Vec<Answer>> {
    use imperator_process::poll::{Interest, wait_one};

    let socket = runtime.join(crate::runtime::CONTROL_SOCKET);
    let lock = runtime.join(crate::runtime::LOCK);
    let (channel, _) = patiently(|| connect(&socket), || lock::is_held(&lock))?;
    let ask = Ask {
        request: request.clone(),
        sudo: std::env::var("SUDO_USER").ok(),
    };
    channel.send(&ask, &[])?;
    let mut replies = Vec::new();
    loop {
        if !wait_one(&channel, Interest::Read, PATIENCE)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match channel.receive::<Reply>()? {
            Received::Message(Reply::End, _) | Received::Closed => return Ok(replies),
            Received::Message(reply, beside) => replies.push((reply, beside.into_iter().next())),
            Received::Empty => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emperor_that_has_its_lock_and_no_socket_yet_is_waited_for() {
        let tries = |error: io::ErrorKind, is_there| {
            let mut count = 0;
            let connect = || {
                count += 1;
                match count {
                    1 | 2 => Err(error.into()),
                    _ => Ok(()),
                }
            };
            (patiently(connect, || is_there).is_ok(), count)
        };
        assert_eq!(tries(io::ErrorKind::NotFound, true), (true, 3));
        // A stale socket, of one that was killed.
        assert_eq!(tries(io::ErrorKind::ConnectionRefused, true), (true, 3));
        assert_eq!(tries(io::ErrorKind::NotFound, false), (false, 1));
        assert_eq!(tries(io::ErrorKind::PermissionDenied, true), (false, 1));
    }
}
