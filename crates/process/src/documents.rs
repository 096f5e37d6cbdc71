//! Sends one text to each who connects to a socket, and waits for nobody.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::fds;

/// Readers at one time; the next ones wait in the backlog.
const MAX_READERS: usize = 16;
/// A reader that takes longer is cut off.
const READER_LIMIT: Duration = Duration::from_secs(4);

/// The readers of one socket.
#[derive(Debug, Default)]
pub struct Documents {
    readers: Vec<Reader>,
}

/// The kind of socket does not matter for writing.
#[derive(Debug)]
struct Reader {
    stream: UnixStream,
    text: Vec<u8>,
    written: usize,
    deadline: Instant,
}

impl Documents {
    /// Whether one more may be accepted.
    pub fn has_room(&self) -> bool {
        self.readers.len() < MAX_READERS
    }

    /// Descriptors that are to be written to.
    pub fn readers(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.readers.iter().map(|reader| reader.stream.as_fd())
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.readers.iter().map(|reader| reader.deadline).min()
    }

    /// Takes the readers that wait at this non-blocking listener.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, now: Instant, text: impl Fn() -> Vec<u8>) {
        while self.has_room() {
            let Ok(fd) = fds::accept(listener) else {
                return;
            };
            self.readers.push(Reader {
                stream: UnixStream::from(fd),
                text: text(),
                written: 0,
                deadline: now + READER_LIMIT,
            });
        }
    }

    pub fn write(&mut self, now: Instant) {
        self.readers.retain_mut(|reader| {
            reader.deadline > now && reader.write().is_ok_and(|is_done| !is_done)
        });
    }
}

impl Reader {
    fn write(&mut self) -> io::Result<bool> {
        while self.written < self.text.len() {
            match self.stream.write(&self.text[self.written..]) {
                Ok(0) => return Ok(true),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
