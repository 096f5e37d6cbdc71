//! Sends one text to each who connects to a socket, and waits for nobody.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::fds;
use crate::poll::Interest;

/// Readers at one time; the next ones wait in the backlog.
const MAX_READERS: usize = 16;
/// For the request of an HTTP client. Who sends none gets the answer all the same.
const REQUEST_LIMIT: Duration = Duration::from_millis(500);
/// The end of the connection ends the body.
const HTTP_HEAD: &[u8] = b"HTTP/1.0 200 OK\r\nConnection: close\r\n\
    Access-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\r\n";
/// A reader that takes longer is cut off.
const READER_LIMIT: Duration = Duration::from_secs(4);

/// The readers of one socket.
#[derive(Debug, Default)]
pub struct Documents {
    readers: Vec<Reader>,
    /// The text is JSON, and an HTTP head comes before it.
    pub http: bool,
}

/// The kind of socket does not matter for writing.
#[derive(Debug)]
struct Reader {
    stream: UnixStream,
    text: Vec<u8>,
    written: usize,
    deadline: Instant,
    /// A request may come, and one that nobody reads would reset the answer.
    hears_until: Option<Instant>,
}

impl Documents {
    /// Whether one more may be accepted.
    pub fn has_room(&self) -> bool {
        self.readers.len() < MAX_READERS
    }

    /// Descriptors, and what is waited for.
    pub fn readers(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        self.readers.iter().map(|reader| {
            let interest = match reader.hears_until {
                Some(_) => Interest::Read,
                None => Interest::Write,
            };
            (reader.stream.as_fd(), interest)
        })
    }

    pub fn deadline(&self) -> Option<Instant> {
        let next = |reader: &Reader| reader.hears_until.unwrap_or(reader.deadline);
        self.readers.iter().map(next).min()
    }

    /// Takes the readers that wait at this non-blocking listener.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, now: Instant, text: impl Fn() -> Vec<u8>) {
        while self.has_room() {
            let Ok(fd) = fds::accept(listener) else {
                return;
            };
            let mut text = text();
            if self.http {
                text.splice(..0, HTTP_HEAD.iter().copied());
            }
            self.readers.push(Reader {
                stream: UnixStream::from(fd),
                text,
                written: 0,
                deadline: now + READER_LIMIT,
                hears_until: self.http.then(|| now + REQUEST_LIMIT),
            });
        }
    }

    pub fn write(&mut self, now: Instant) {
        self.readers.retain_mut(|reader| {
            reader.hear(now);
            let waits = reader.hears_until.is_some();
            reader.deadline > now && (waits || reader.write().is_ok_and(|is_done| !is_done))
        });
    }
}

impl Reader {
    /// Reads the request away, whatever it is: there is one answer.
    fn hear(&mut self, now: Instant) {
        let mut buffer = [0; 4096];
        while let Some(until) = self.hears_until {
            match self.stream.read(&mut buffer) {
                // More of a long head follows.
                Ok(4096) if !buffer.ends_with(b"\r\n\r\n") => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < until => return,
                Ok(_) | Err(_) => self.hears_until = None,
            }
        }
    }

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
