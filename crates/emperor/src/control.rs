//! The control socket: `imperator status` and its like ask the emperor here. One JSON document per
//! SEQPACKET message; an answer is one message per app, then `End`. Nobody can make the emperor
//! wait: who does not read is dropped.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::message::{AppStatus, Config, Failure};
use imperator_process::channel::{Channel, Received};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

/// More clients at once are turned away.
const MAX_CLIENTS: usize = 64;
/// A client that has not asked, or not read its answer, by then is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// So long a status waits for masters to tell their numbers; it is shown as last known after.
const FRESHNESS: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    Status,
    /// `apps` empty: all.
    Reload {
        apps: Vec<String>,
    },
    Retry {
        apps: Vec<String>,
    },
    Stop {
        apps: Vec<String>,
    },
    /// Take the file on disk in the place of this binary, if it is another one.
    Upgrade,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum Reply {
    Emperor(EmperorStatus),
    App(Box<AppLine>),
    /// What was done.
    Done {
        text: String,
    },
    Refused {
        why: String,
    },
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmperorStatus {
    pub version: String,
    pub pid: u32,
    pub runtime: String,
    pub sources: Vec<String>,
    pub stopping: bool,
    pub apps: usize,
    pub failing: usize,
    /// Which file it runs on.
    #[serde(default)]
    pub build: Option<String>,
    /// A new file is asked whether it could take over.
    #[serde(default)]
    pub upgrading: bool,
    /// Why the last upgrade changed nothing.
    #[serde(default)]
    pub upgrade_failure: Option<String>,
}

/// How an app is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Serves, and the last thing that was tried worked.
    Serving,
    /// Serves, and a new generation is on its way.
    Reloading,
    /// Serves as before, but what its files say now cannot be run.
    ServingOld,
    Starting,
    /// Waits for its turn to start.
    Waiting,
    Failing,
    Paused,
    /// Nothing of it runs, as its config wants it; the first connection starts it.
    Asleep,
    Stopping,
    /// By hand.
    Stopped,
    /// Its master does not answer.
    Silent,
}

impl Condition {
    pub fn is_failure(self) -> bool {
        match self {
            Self::ServingOld | Self::Failing | Self::Silent => true,
            Self::Serving
            | Self::Reloading
            | Self::Starting
            | Self::Waiting
            | Self::Asleep
            | Self::Paused
            | Self::Stopping
            | Self::Stopped => false,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Reloading => "reloading",
            Self::ServingOld => "serving-old",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Asleep => "asleep",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Silent => "silent",
        }
    }
}

/// One app, as the emperor and its master see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLine {
    pub name: String,
    /// The original's id: the file name for a file's own app.
    pub id: String,
    pub condition: Condition,
    pub config: Option<Config>,
    /// The master's.
    pub pid: Option<i32>,
    pub adopted: bool,
    pub failure: Option<Failure>,
    pub retry_in_ms: Option<u64>,
    /// As its master told last.
    pub status: Option<AppStatus>,
}

struct Client {
    channel: Channel,
    out: VecDeque<Reply>,
    deadline: Instant,
    /// It asked, and is answered then or when all is known.
    asked: Option<(Request, Instant)>,
    /// It got its answer and is dropped when that is sent.
    answered: bool,
}

pub struct Control {
    listener: OwnedFd,
    clients: Vec<Client>,
    /// See [`spare`].
    spare: Option<fs::File>,
}

impl Control {
    /// Binds the socket; who holds the runtime directory's lock may replace a stale one.
    ///
    /// # Errors
    /// What bind(2) says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Self::listen_at(path).map(Self::resume)
    }

    /// On a socket that this process has bound before.
    pub fn resume(listener: OwnedFd) -> Self {
        Self {
            listener,
            clients: Vec::new(),
            spare: spare(),
        }
    }

    fn listen_at(path: &Path) -> io::Result<OwnedFd> {
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
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
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

    /// Accepts and reads what came. Whether somebody asks for the status: then the masters are
    /// asked for theirs first.
    pub fn listen(&mut self, now: Instant) -> bool {
        self.accept(now);
        let mut asks_status = false;
        self.clients.retain_mut(|client| {
            if client.answered || client.asked.is_some() {
                return true;
            }
            match client.channel.receive::<Request>() {
                Ok(Received::Message(request, _)) => {
                    let wait = if request == Request::Status {
                        asks_status = true;
                        FRESHNESS
                    } else {
                        Duration::ZERO
                    };
                    client.asked = Some((request, now + wait));
                    true
                }
                Ok(Received::Empty) => true,
                Ok(Received::Closed) => false,
                Err(error) => {
                    let why = format!("not understood: {error}");
                    client.out.extend([Reply::Refused { why }, Reply::End]);
                    client.answered = true;
                    true
                }
            }
        });
        asks_status
    }

    /// Answers and writes what can be. `fresh`: all masters have told how they are. `answer` makes
    /// a request's whole answer.
    pub fn speak(
        &mut self,
        fresh: bool,
        now: Instant,
        mut answer: impl FnMut(Request) -> Vec<Reply>,
    ) {
        self.clients.retain_mut(|client| {
            if client
                .asked
                .as_ref()
                .is_some_and(|(_, at)| fresh || *at <= now)
                && let Some((request, _)) = client.asked.take()
            {
                client.out.extend(answer(request));
                client.out.push_back(Reply::End);
                client.answered = true;
                client.deadline = now + PATIENCE;
            }
            while let Some(reply) = client.out.front() {
                match client.channel.send(reply, &[]) {
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
            if self.clients.len() >= MAX_CLIENTS || !is_friend(socket.as_fd()) {
                continue;
            }
            self.clients.push(Client {
                channel: Channel::from(socket),
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

/// Asks an emperor and waits for its whole answer.
///
/// # Errors
/// What connect(2) says; `TimedOut` when the answer is not whole after ten seconds.
pub fn ask(runtime: &Path, request: &Request) -> io::Result<Vec<Reply>> {
    use imperator_process::poll::{Interest, wait_one};

    let (channel, _) = connect(&runtime.join(crate::runtime::CONTROL_SOCKET))?;
    channel.send(request, &[])?;
    let mut replies = Vec::new();
    loop {
        if !wait_one(&channel, Interest::Read, PATIENCE)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match channel.receive::<Reply>()? {
            Received::Message(Reply::End, _) | Received::Closed => return Ok(replies),
            Received::Message(reply, _) => replies.push(reply),
            Received::Empty => (),
        }
    }
}
