//! One request and its answer, as the app's language sees them. Every method takes `&self`; two
//! threads that use one exchange at once get `Busy`, nobody blocks with the interpreter held.

use std::fmt;
use std::os::fd::BorrowedFd;

use crate::app::Interpreter;

/// One request and its answer.
pub struct Exchange {}

/// Why no body bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Another thread uses the exchange.
    Busy,
    /// The answer is over: the connection is no longer this exchange's.
    Ended,
    /// Nothing came within socket-timeout.
    TimedOut { missing: u64 },
    /// The client closed the connection before the whole body came.
    Gone { missing: u64 },
    /// A chunked body breaks the rules of RFC 9112 §7.1.
    Malformed,
    /// A chunked body is longer than limit-post.
    TooBig { limit: u64 },
}

/// Why a status or a header was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    Busy,
    Ended,
    /// Called twice without `replace`.
    Twice,
    /// `replace` after the head was sent.
    HeadSent,
    /// Not three digits and a phrase, or a phrase with control characters.
    Status,
    /// Not an RFC 9110 token.
    HeaderName(Vec<u8>),
    /// CR, LF or NUL in the value of this header.
    HeaderValue(Vec<u8>),
    /// Content-Length is no number, or stands twice.
    ContentLength,
    /// The head is longer than 64 KiB.
    TooBig,
}

/// Why a chunk was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    Busy,
    Ended,
    /// Nothing was started: there is no status to send.
    NotStarted,
    /// The client closed the connection.
    Gone,
    /// The client took nothing for socket-timeout.
    TimedOut,
    /// `send_file` could not read the file: errno.
    File(i32),
}

impl Exchange {
    /// The request's variables in wire order; the original's loader variables, HTTP_CONTENT_LENGTH,
    /// HTTP_CONTENT_TYPE and all but the last of duplicates are gone. HTTP requests look the same.
    pub fn vars(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        std::iter::empty()
    }

    pub fn var(&self, name: &[u8]) -> Option<&[u8]> {
        self.vars()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// CONTENT_LENGTH, 0 when there is none. Of a chunked body what is known: see
    /// [`Exchange::is_chunked`].
    pub fn content_length(&self) -> u64 {
        todo!()
    }

    /// Whether the body ends where its chunks end: CONTENT_LENGTH is absent, `read` until 0
    /// (`wsgi.input_terminated`).
    pub fn is_chunked(&self) -> bool {
        todo!()
    }

    /// Appends raw body bytes, at least one unless the body ended (0), at most `at_most`.
    ///
    /// # Errors
    /// See [`BodyError`]. After `TimedOut` and `Gone` the connection is not kept.
    pub fn read(
        &self,
        _interpreter: &dyn Interpreter,
        _buffer: &mut Vec<u8>,
        _at_most: usize,
    ) -> Result<usize, BodyError> {
        todo!()
    }

    /// Keeps status and headers until the first write. `replace`: the app passed `exc_info`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        &self,
        _status: &[u8],
        _headers: &[(&[u8], &[u8])],
        _replace: bool,
    ) -> Result<(), StartError> {
        todo!()
    }

    /// Sends a chunk, with the head before it the first time, in one gathered send. An empty chunk
    /// sends nothing. What a HEAD, 204 or 304 answer may not carry is dropped; what exceeds the
    /// app's own Content-Length is cut and counted.
    ///
    /// # Errors
    /// See [`WriteError`]. `Gone` and `TimedOut` stay: every later write says the same.
    pub fn write(&self, _interpreter: &dyn Interpreter, _chunk: &[u8]) -> Result<(), WriteError> {
        todo!()
    }

    /// Like [`Exchange::write`] for the last chunk: a head that was not sent yet can name the
    /// length over HTTP, so the connection can be kept without chunks.
    ///
    /// # Errors
    /// As [`Exchange::write`].
    pub fn write_last(
        &self,
        interpreter: &dyn Interpreter,
        chunk: &[u8],
    ) -> Result<(), WriteError> {
        self.write(interpreter, chunk)
    }

    /// Sends `length` bytes of a file from `offset` (`None`: up to its end) by sendfile(2); the
    /// file's own position is not moved. Returns how many were sent.
    ///
    /// # Errors
    /// As [`Exchange::write`]; `File` before anything was sent means: read it and write it.
    pub fn send_file(
        &self,
        _interpreter: &dyn Interpreter,
        _file: BorrowedFd<'_>,
        _offset: u64,
        _length: Option<u64>,
    ) -> Result<u64, WriteError> {
        todo!()
    }

    /// Whether [`Exchange::start`] was called.
    pub fn started(&self) -> bool {
        todo!()
    }

    pub fn head_sent(&self) -> bool {
        todo!()
    }

    pub fn client_gone(&self) -> bool {
        todo!()
    }

    /// The app thread's number, from 0.
    pub fn core(&self) -> usize {
        todo!()
    }

    /// Ends the exchange for an exception of the app, and counts it: a 500 when nothing was sent,
    /// else the connection is cut so that the client sees an incomplete answer.
    pub fn fail(&self, _interpreter: &dyn Interpreter) {
        todo!()
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(f, "another thread uses this request"),
            Self::Ended => write!(f, "this request is over"),
            Self::TimedOut { missing } => {
                write!(
                    f,
                    "timeout during read on wsgi.input: {missing} bytes missing"
                )
            }
            Self::Gone { missing } => {
                write!(
                    f,
                    "the client closed the connection with {missing} bytes of the body missing"
                )
            }
            Self::Malformed => write!(f, "the chunked request body is malformed"),
            Self::TooBig { limit } => {
                write!(
                    f,
                    "the chunked request body is longer than limit-post = {limit}"
                )
            }
        }
    }
}

impl std::error::Error for BodyError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(f, "another thread uses this request"),
            Self::Ended => write!(f, "this request is over"),
            Self::Twice => write!(f, "start_response was called twice without exc_info"),
            Self::HeadSent => write!(f, "headers already sent"),
            Self::Status => write!(f, "the status is not three digits and a phrase"),
            Self::HeaderName(name) => {
                write!(f, "header name \"{}\" is not a token", name.escape_ascii())
            }
            Self::HeaderValue(name) => write!(
                f,
                "the value of header \"{}\" holds CR, LF or NUL",
                name.escape_ascii()
            ),
            Self::ContentLength => write!(f, "Content-Length is not one decimal number"),
            Self::TooBig => write!(f, "status and headers are longer than 64 KiB"),
        }
    }
}

impl std::error::Error for StartError {}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(f, "another thread uses this request"),
            Self::Ended => write!(f, "this request is over"),
            Self::NotStarted => write!(f, "write before start_response"),
            Self::Gone => write!(f, "write error: the client closed the connection"),
            Self::TimedOut => write!(f, "write error: the client took nothing for socket-timeout"),
            Self::File(errno) => write!(
                f,
                "cannot read the file: {}",
                std::io::Error::from_raw_os_error(*errno)
            ),
        }
    }
}

impl std::error::Error for WriteError {}
