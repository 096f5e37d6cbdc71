//! One turn of a poll loop: which descriptors, until when. Rebuilt each turn: with the few dozen
//! descriptors of a supervisor that costs nothing, and nothing can be forgotten in a kernel table.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
}

/// What one turn waits for.
#[derive(Default)]
pub struct PollSet<'a> {
    fds: Vec<PollFd<'a>>,
}

impl<'a> PollSet<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the index to ask [`PollSet::is_ready`] with.
    pub fn add(&mut self, fd: BorrowedFd<'a>, interest: Interest) -> usize {
        let flags = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
        };
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        self.fds.len() - 1
    }

    /// Waits until something is ready or `timeout` is over (`None`: for ever, for callers whose
    /// signals wake them); returns how many are ready. An interrupted wait is an early end.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        match rustix::event::poll(&mut self.fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Readable or writable as asked, hung up, or in error: the next call on it will not block.
    pub fn is_ready(&self, index: usize) -> bool {
        !self.fds[index].revents().is_empty()
    }
}

/// Waits for one descriptor; `false` when the time is over.
///
/// # Errors
/// What poll(2) says.
pub fn wait_one(fd: impl AsFd, interest: Interest, timeout: Duration) -> io::Result<bool> {
    let mut poll = PollSet::new();
    poll.add(fd.as_fd(), interest);
    Ok(poll.wait(Some(timeout))? > 0)
}
