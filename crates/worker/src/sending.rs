//! The rest of a static file that its client did not take at once. The I/O thread sends it, so a
//! slow client holds no app thread.

use std::fs::File;
use std::io::IoSliceMut;
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
    /// Up to here nothing waits for the disk.
    read_to: u64,
    is_here: fn(&File, u64, u64) -> bool,
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
    /// The next bytes are not in memory: [`Sending::read_ahead`] comes first, where it may wait.
    Disk,
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
            read_to: offset,
            is_here: is_in_memory,
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

    fn turn_end(&self) -> u64 {
        self.end.min(self.at.saturating_add(TURN))
    }

    /// Reads what the next turn sends, so that the page cache has it. Waits for the disk, for ever
    /// where that hangs. What goes wrong here sendfile(2) says once more.
    pub(crate) fn read_ahead(&mut self) {
        let end = self.turn_end();
        let mut bytes = vec![0; 64 * 1024];
        let mut at = self.at;
        while at < end {
            let room = bytes.len().min((end - at) as usize);
            match rustix::io::pread(self.file.as_fd(), &mut bytes[..room], at) {
                Ok(0) => break,
                Ok(read) => at += read as u64,
                Err(Errno::INTR) => (),
                Err(_) => break,
            }
        }
        self.read_to = end;
    }

    /// Sends what fits, up to a turn, and never waits for the disk.
    pub(crate) fn step(&mut self, socket: &OwnedFd) -> Step {
        if self.at >= self.read_to {
            let end = self.turn_end();
            if self.at < end && !(self.is_here)(&self.file, self.at, end) {
                return Step::Disk;
            }
            self.read_to = end;
        }
        let turn_end = self.read_to;
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
                Step::Disk => self.read_ahead(),
                Step::More if socket::wait(socket, PollFlags::OUT, self.patience) => (),
                Step::More => return Err(WriteError::TimedOut),
            }
        }
    }
}

/// Whether these bytes are in the page cache, as far as their first and their last one tell. A file
/// system that cannot tell counts as one that has to be waited for.
fn is_in_memory(file: &File, from: u64, end: u64) -> bool {
    [from, end.saturating_sub(1)].into_iter().all(|at| {
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        rustix::io::preadv2(file, &mut parts, at, flags).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_file_that_is_not_in_memory_is_read_elsewhere_turn_by_turn() {
        let bytes: Vec<u8> = (0..600_000_u32).map(|at| (at / 7) as u8).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("a file");
        let (mut client, server) = UnixStream::pair().expect("a pair");
        server.set_nonblocking(true).expect("a flag");
        client.set_nonblocking(true).expect("a flag");
        let server = OwnedFd::from(server);
        let length = bytes.len() as u64 - 5;
        let mut sending = Sending::new(file, 5, length, 0, Duration::from_secs(30));
        sending.is_here = |_, _, _| false;
        let (mut waits, mut came) = (0, Vec::new());
        let mut buffer = vec![0; 1 << 20];
        loop {
            let before = sending.at();
            match sending.step(&server) {
                Step::Done => break,
                Step::More => (),
                Step::Disk => {
                    assert_eq!(sending.at(), before, "nothing is sent before it is read");
                    waits += 1;
                    sending.read_ahead();
                }
                Step::Failed(error) => panic!("{error:?}"),
            }
            if let Ok(read) = client.read(&mut buffer) {
                came.extend_from_slice(&buffer[..read]);
            }
        }
        drop(server);
        client.set_nonblocking(false).expect("a flag");
        client.read_to_end(&mut came).expect("the rest");
        assert!(came == bytes[5..], "{} bytes came", came.len());
        assert_eq!(waits, bytes.len().div_ceil(TURN as usize));
    }

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 10_000]).expect("a file");
        // A file system that cannot tell says no to both.
        assert_eq!(is_in_memory(&file, 0, 1), is_in_memory(&file, 0, 10_000));
    }
}
