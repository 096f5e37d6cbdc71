//! A request's body as the app reads it: what was received with the head first, then a spooled file
//! or the connection itself. It never reads past the body's end.

use std::fs::File;
use std::io::{IoSlice, Read as _};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::app::{Interpreter, Readiness};
use crate::connection::Connection;
use crate::exchange::BodyError;
use crate::http::chunked::{Decoder, Piece};
use crate::request::{Framing, Request};
use crate::socket::{self, Read};

/// One receive brings at most this much: a 50 MB body never stands in our memory.
const MAX_READ: usize = 128 * 1024;
/// What is received of a chunked body before it is decoded.
const RAW_BYTES: usize = 16 * 1024;

/// What remains of one request's body.
#[derive(Debug)]
pub(crate) struct Body {
    /// The next byte of `Request::buffer`.
    at: usize,
    source: Source,
    /// "100 Continue" is still owed.
    expects_continue: bool,
    broken: Option<BodyError>,
}

#[derive(Debug)]
enum Source {
    /// So many bytes, those in the buffer included.
    Length(u64),
    /// The whole body in a file without a name.
    Spooled {
        file: File,
        left: u64,
    },
    Chunked(Box<Chunks>),
}

#[derive(Debug)]
struct Chunks {
    decoder: Decoder,
    /// Received and not decoded; `used` bytes of it are.
    raw: Vec<u8>,
    used: usize,
    decoded: u64,
    limit: Option<u64>,
    ended: bool,
}

impl Body {
    pub(crate) fn none() -> Self {
        Self {
            at: 0,
            source: Source::Length(0),
            expects_continue: false,
            broken: None,
        }
    }

    pub(crate) fn of(request: &Request, spooled: Option<File>, limit: Option<u64>) -> Self {
        let source = match (request.framing, spooled) {
            (Framing::Length(left), Some(file)) => Source::Spooled { file, left },
            (Framing::Length(left), None) => Source::Length(left),
            (Framing::Chunked, _) => Source::Chunked(Box::new(Chunks {
                decoder: Decoder::new(),
                raw: request.body_here().to_vec(),
                used: 0,
                decoded: 0,
                limit,
                ended: false,
            })),
        };
        Self {
            at: request.body_start,
            source,
            expects_continue: request.expects_continue,
            broken: None,
        }
    }

    /// Appends at least one and at most `at_most` bytes to `out`; 0 at the end.
    pub(crate) fn read(
        &mut self,
        interpreter: &dyn Interpreter,
        request: &Request,
        connection: &Connection,
        patience: Duration,
        out: &mut Vec<u8>,
        at_most: usize,
    ) -> Result<usize, BodyError> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let at_most = at_most.min(MAX_READ);
        if at_most == 0 {
            return Ok(0);
        }
        let mut waiter = Waiter {
            interpreter,
            connection,
            patience,
            expects_continue: &mut self.expects_continue,
        };
        let read = match &mut self.source {
            Source::Length(0) => Ok(0),
            Source::Length(left) => {
                let at_most = at_most.min(usize::try_from(*left).unwrap_or(usize::MAX));
                let here = &request.buffer[self.at.min(request.buffer.len())..];
                let read = if here.is_empty() {
                    waiter.receive(out, at_most, *left)
                } else {
                    let take = here.len().min(at_most);
                    out.extend_from_slice(&here[..take]);
                    self.at += take;
                    Ok(take)
                };
                read.inspect(|&read| *left -= read as u64)
            }
            Source::Spooled { left: 0, .. } => Ok(0),
            Source::Spooled { file, left } => {
                let at_most = at_most.min(usize::try_from(*left).unwrap_or(usize::MAX));
                let start = out.len();
                let read = file.by_ref().take(at_most as u64).read_to_end(out);
                match read {
                    Ok(1..) => {
                        *left -= (out.len() - start) as u64;
                        Ok(out.len() - start)
                    }
                    // Nobody else has this file: it cannot be short.
                    Ok(0) | Err(_) => Err(BodyError::Gone { missing: *left }),
                }
            }
            Source::Chunked(chunks) => chunks.read(&mut waiter, out, at_most),
        };
        read.inspect_err(|&error| self.broken = Some(error))
    }

    /// How many bytes of the body are still to be received from the connection; `None`: unknown.
    pub(crate) fn unreceived(&self, request: &Request) -> Option<u64> {
        match &self.source {
            Source::Length(left) => {
                let here = request.buffer.len().saturating_sub(self.at) as u64;
                Some(left.saturating_sub(here))
            }
            Source::Spooled { .. } => Some(0),
            Source::Chunked(chunks) if chunks.ended => Some(0),
            Source::Chunked(_) => None,
        }
    }

    /// Received bytes that belong to the next request. Only when `unreceived` is 0.
    pub(crate) fn leftover<'a>(&'a self, request: &'a Request) -> &'a [u8] {
        match &self.source {
            Source::Length(left) => {
                let body = usize::try_from(*left).unwrap_or(usize::MAX);
                request
                    .buffer
                    .get(self.at.saturating_add(body)..)
                    .unwrap_or(b"")
            }
            Source::Spooled { .. } => b"",
            Source::Chunked(chunks) => &chunks.raw[chunks.used..],
        }
    }
}

/// Receives from the connection, waiting with the interpreter released.
struct Waiter<'a> {
    interpreter: &'a dyn Interpreter,
    connection: &'a Connection,
    patience: Duration,
    expects_continue: &'a mut bool,
}

impl Waiter<'_> {
    fn receive(
        &mut self,
        out: &mut Vec<u8>,
        at_most: usize,
        missing: u64,
    ) -> Result<usize, BodyError> {
        let socket = &self.connection.socket;
        if std::mem::take(self.expects_continue) {
            let mut parts = [IoSlice::new(CONTINUE)];
            // A failure is seen by the receive that follows.
            let _ = socket::send_patiently(socket, &mut &mut parts[..], self.patience);
        }
        loop {
            match socket::receive_at_most(socket, out, at_most) {
                Read::Bytes(read) => return Ok(read),
                Read::End => return Err(BodyError::Gone { missing }),
                Read::Nothing => {
                    let readable = Readiness::Read;
                    if !self
                        .interpreter
                        .wait(socket.as_fd(), readable, self.patience)
                    {
                        return Err(BodyError::TimedOut { missing });
                    }
                }
            }
        }
    }
}

pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Chunks {
    fn read(
        &mut self,
        waiter: &mut Waiter<'_>,
        out: &mut Vec<u8>,
        at_most: usize,
    ) -> Result<usize, BodyError> {
        loop {
            let raw = &self.raw[self.used..];
            let window = &raw[..raw.len().min(at_most)];
            let (used, piece) = self
                .decoder
                .next(window)
                .map_err(|_| BodyError::Malformed)?;
            self.used += used;
            match piece {
                Piece::Data(range) => {
                    let data = &window[range];
                    self.decoded += data.len() as u64;
                    if let Some(limit) = self.limit.filter(|&limit| self.decoded > limit) {
                        return Err(BodyError::TooBig { limit });
                    }
                    out.extend_from_slice(data);
                    return Ok(data.len());
                }
                Piece::End => {
                    self.ended = true;
                    return Ok(0);
                }
                Piece::More if self.used < self.raw.len() => (),
                Piece::More => {
                    self.raw.clear();
                    self.used = 0;
                    waiter.receive(&mut self.raw, RAW_BYTES, 1)?;
                }
            }
        }
    }
}
