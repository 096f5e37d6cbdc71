//! What an app is told when a call on its exchange fails. The language turns them into its own
//! exceptions; the text is for its log.

use std::fmt;

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
