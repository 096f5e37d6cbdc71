//! TERM, INT, QUIT and HUP at a worker: bytes on a pipe that the I/O thread reads. An app that
//! installs its own handler gets the signal instead of us; its master's order still drains it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::SigId;
use signal_hook::low_level::unregister;

/// The signals, and what they are called in the log. Each has a pair of its own, so that the byte
/// tells which one it was.
const SIGNALS: [(i32, &str); 4] = [
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGHUP, "SIGHUP"),
];

/// The handler that hears for us: one function for all signals.
static OURS: AtomicUsize = AtomicUsize::new(0);

/// The registered handlers and their sockets.
#[derive(Debug)]
pub struct Signals {
    heard: Vec<Heard>,
}

#[derive(Debug)]
struct Heard {
    id: SigId,
    name: &'static str,
    socket: UnixStream,
}

/// Catches TERM, INT, QUIT and HUP from now on; handlers that the interpreter itself installed
/// (Python's KeyboardInterrupt) are no longer called. Call it before the app is imported, so that
/// an app that installs its own handlers keeps them.
///
/// # Errors
/// What socketpair(2) or sigaction(2) says.
pub fn install() -> io::Result<Signals> {
    for (signal, _) in SIGNALS {
        crate::sys::default_disposition(signal);
    }
    // sendfile(2) and write(2) know no MSG_NOSIGNAL; Python ignores it as well.
    crate::sys::ignore(libc::SIGPIPE);
    register()
}

fn register() -> io::Result<Signals> {
    let mut heard = Vec::with_capacity(SIGNALS.len());
    for (signal, name) in SIGNALS {
        let (socket, ring) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        let id = crate::sys::ring_at(signal, ring)?;
        OURS.store(crate::sys::disposition(signal), Ordering::Relaxed);
        heard.push(Heard { id, name, socket });
    }
    Ok(Signals { heard })
}

/// In a process that the app forked: a signal there is its own, and would else wake its parent. What
/// the app itself handles stays.
pub fn forget() {
    let ours = OURS.load(Ordering::Relaxed);
    for (signal, _) in SIGNALS {
        if ours != 0 && crate::sys::disposition(signal) == ours {
            crate::sys::default_disposition(signal);
        }
    }
}

impl Signals {
    /// Hears nothing: the process has other uses for its signals (tests).
    pub fn none() -> Self {
        Self { heard: Vec::new() }
    }

    /// Makes sockets of its own after a fork: else a signal here wakes the parent. A handler that
    /// the app installed meanwhile stays.
    ///
    /// # Errors
    /// As [`install`].
    pub fn renew(&mut self) -> io::Result<()> {
        let old = std::mem::replace(self, register()?);
        old.heard.iter().for_each(|heard| {
            unregister(heard.id);
        });
        Ok(())
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.heard.iter().map(|heard| heard.socket.as_fd())
    }

    /// The names of the signals that came since the last call.
    pub(crate) fn take(&self) -> Vec<&'static str> {
        let came = |heard: &&Heard| {
            let mut bytes = [0; 64];
            matches!((&heard.socket).read(&mut bytes), Ok(1..))
        };
        self.heard
            .iter()
            .filter(came)
            .map(|heard| heard.name)
            .collect()
    }
}
