//! The rest of a static file that its client did not take at once. The I/O thread sends it, so a
//! slow client holds no app thread.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::errors::WriteError;
use crate::socket;

/// One turn sends at most this much, so that other connections have their turns.
const TURN: u64 = 256 * 1024;
/// For files that sendfile(2) cannot read.
const COPY_BYTES: u64 = 16 * 1024;
/// What is remembered of the URI, for a message.
const URI_BYTES: usize = 200;

#[derive(Debug)]
pub(crate) struct Sending {
    file: File,
    at: u64,
    end: u64,
    /// This file system has no sendfile(2).
    copies: bool,
    /// Which app thread's counters it belongs to.
    pub(crate) core: usize,
    /// For each wait.
    pub(crate) patience: Duration,
    pub(crate) uri: String,
    pub(crate) then: Then,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It serves another request.
    Next,
    Close,
    /// The client still sends something that nobody reads.
    Linger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// The client takes no more now, or it is the others' turn.
    More,
    Failed(WriteError),
}

impl Sending {
    pub(crate) fn new(
        file: File,
        offset: u64,
        length: u64,
        core: usize,
        patience: Duration,
    ) -> Self {
        Self {
            file,
            at: offset,
            end: offset.saturating_add(length),
            copies: false,
            core,
            patience,
            uri: String::new(),
            then: Then::Close,
        }
    }

    /// Whose request it is.
    pub(crate) fn name(&mut self, uri: &[u8]) {
        let uri = &uri[..uri.len().min(URI_BYTES)];
        self.uri = uri.escape_ascii().to_string();
    }

    /// Sends what fits, up to a turn.
    pub(crate) fn step(&mut self, socket: &OwnedFd) -> Step {
        let turn_end = self.end.min(self.at.saturating_add(TURN));
        while self.at < turn_end {
            // At most a turn.
            let left = (turn_end - self.at) as usize;
            let sent = if self.copies {
                self.copy(socket)
            } else {
                rustix::fs::sendfile(socket, self.file.as_fd(), Some(&mut self.at), left)
            };
            match sent {
                // The file became shorter than it was.
                Ok(0) => return Step::Failed(WriteError::File(Errno::NODATA.raw_os_error())),
                Ok(_) | Err(Errno::INTR) => (),
                Err(Errno::AGAIN) => return Step::More,
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !self.copies => {
                    self.copies = true;
                }
                Err(Errno::IO) => {
                    return Step::Failed(WriteError::File(Errno::IO.raw_os_error()));
                }
                Err(_) => return Step::Failed(WriteError::Gone),
            }
        }
        match self.at < self.end {
            true => Step::More,
            false => Step::Done,
        }
    }

    fn copy(&mut self, socket: &OwnedFd) -> rustix::io::Result<usize> {
        let mut bytes = vec![0; COPY_BYTES.min(self.end - self.at) as usize];
        let read = rustix::io::pread(self.file.as_fd(), &mut bytes, self.at)?;
        if read == 0 {
            return Ok(0);
        }
        let flags = rustix::net::SendFlags::NOSIGNAL;
        let sent = rustix::net::send(socket, &bytes[..read], flags)?;
        self.at += sent as u64;
        Ok(sent)
    }

    /// How far it is: it moved when this has changed.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// For want of a place with the I/O thread.
    pub(crate) fn wait_for_all(mut self, socket: &OwnedFd) -> Result<(), WriteError> {
        loop {
            match self.step(socket) {
                Step::Done => return Ok(()),
                Step::Failed(error) => return Err(error),
                Step::More if socket::wait(socket, PollFlags::OUT, self.patience) => (),
                Step::More => return Err(WriteError::TimedOut),
            }
        }
    }
}
