//! Reads one answer and says whether it is whole. Counts a long body without keeping it.

use std::io::{ErrorKind, Read};

use nix::errno::Errno;
use serde::Serialize;

/// How one request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Nobody listens.
    ConnectRefused,
    /// The backlog stayed full until the deadline (Unix: at once when it is full).
    ConnectTimeout,
    ConnectOther,
    /// The connection was reset while sending or reading.
    Reset,
    /// The connection was closed without one byte of an answer.
    NoAnswer,
    /// Closed before the head or the announced length was complete.
    ShortAnswer,
    /// Not HTTP at all.
    Garbage,
    WrongStatus,
    WrongLength,
    /// As long as the first answer, and another text.
    WrongBody,
    Timeout,
    Other,
}

impl Failure {
    pub fn of_connect(errno: Errno) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "errno is the kernel's open list"
        )]
        match errno {
            Errno::ECONNREFUSED | Errno::ENOENT => Self::ConnectRefused,
            Errno::EAGAIN | Errno::ETIMEDOUT | Errno::EINPROGRESS => Self::ConnectTimeout,
            _ => Self::ConnectOther,
        }
    }

    pub fn of_io(error: &std::io::Error) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "std's list of kinds is open"
        )]
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                Self::Reset
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Bytes of the body.
    pub length: u64,
    /// All bytes of the body, added up.
    pub sum: u64,
    /// The server keeps the connection open for the next request.
    pub keeps_open: bool,
}

/// How much of an answer is kept: the head must fit.
pub const BUFFER: usize = 64 * 1024;

/// Reads one answer. With `until_close` (uwsgi) its end is the end of the connection, and a
/// Content-Length is only compared; else (HTTP) a Content-Length ends it.
///
/// # Errors
/// How the answer is wrong or incomplete.
pub fn read_answer(
    connection: &mut impl Read,
    buffer: &mut [u8],
    until_close: bool,
) -> Result<Answer, Failure> {
    let mut filled = 0;
    let (head, end) = loop {
        if let Some(end) = head_end(&buffer[..filled]) {
            break (parse_head(&buffer[..end])?, end);
        }
        if filled == buffer.len() {
            return Err(Failure::Garbage);
        }
        match connection.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Err(Failure::NoAnswer),
            Ok(0) => return Err(Failure::ShortAnswer),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(Failure::of_io(&error)),
        }
    };
    let mut length = (filled - end) as u64;
    let mut sum = sum_of(&buffer[end..filled]);
    let read_to_close = until_close || head.content_length.is_none();
    loop {
        if !read_to_close
            && head
                .content_length
                .is_some_and(|announced| length >= announced)
        {
            break;
        }
        match connection.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                length += count as u64;
                sum += sum_of(&buffer[..count]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(Failure::of_io(&error)),
        }
    }
    match head.content_length {
        Some(announced) if length < announced => Err(Failure::ShortAnswer),
        Some(announced) if length > announced => Err(Failure::WrongLength),
        _ => Ok(Answer {
            status: head.status,
            length,
            sum,
            keeps_open: !read_to_close && !head.closes,
        }),
    }
}

fn sum_of(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

struct Head {
    status: u16,
    content_length: Option<u64>,
    closes: bool,
}

/// The length of the head with its empty line, when it is there.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .map(|at| at + 4)
}

fn parse_head(head: &[u8]) -> Result<Head, Failure> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or(Failure::Garbage)?;
    let mut found = Head {
        status,
        content_length: None,
        closes: first.starts_with(b"HTTP/1.0"),
    };
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let number = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            found.content_length = Some(number.ok_or(Failure::Garbage)?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            found.closes |= value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, until_close: bool) -> Result<(u16, u64, bool), Failure> {
        let mut buffer = vec![0; 256];
        read_answer(&mut bytes.as_bytes(), &mut buffer, until_close)
            .map(|answer| (answer.status, answer.length, answer.keeps_open))
    }

    #[test]
    fn a_whole_answer_is_told_from_a_cut_one() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(check(whole, true), Ok((200, 5, false)));
        assert_eq!(check(whole, false), Ok((200, 5, true)));
        assert_eq!(
            check("HTTP/1.0 404 No\r\n\r\nlost", false),
            Ok((404, 4, false))
        );
        let closing = "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(check(closing, false), Ok((200, 0, false)));
    }

    #[test]
    fn each_kind_of_bad_answer_has_its_name() {
        assert_eq!(check("", true), Err(Failure::NoAnswer));
        assert_eq!(
            check("HTTP/1.1 200 OK\r\nA: b\r\n", true),
            Err(Failure::ShortAnswer)
        );
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello";
        assert_eq!(check(cut, true), Err(Failure::ShortAnswer));
        assert_eq!(check(cut, false), Err(Failure::ShortAnswer));
        let long = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello";
        assert_eq!(check(long, true), Err(Failure::WrongLength));
        assert_eq!(check("Status: 200\r\n\r\n", true), Err(Failure::Garbage));
        assert_eq!(check(&"x".repeat(300), true), Err(Failure::Garbage));
    }
}
