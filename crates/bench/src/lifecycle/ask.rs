//! One request of a lifecycle client: sent, read to its end, and checked to be the answer to itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use crate::answer::{BUFFER, Failure, read_answer};
use crate::clock::pause;
use crate::target::Target;

/// Longer than anything that a server may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const UPLOAD: usize = 64 * 1024;
const UPLOAD_PARTS: usize = 16;
const UPLOAD_PAUSE: Duration = Duration::from_millis(50);
/// 20 parts of 3,200 bytes, see `apps/life.py`.
const STREAM: u64 = 20 * 3200;
/// How much of an answer's beginning is kept to look at.
const KEPT: usize = 1024;

/// What a client does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// A short request on a connection of its own.
    Short,
    /// Short requests on one connection.
    Kept,
    /// A request that takes the app two seconds.
    Slow,
    /// 64 KiB sent within 0.8 s.
    Upload,
    /// An answer whose parts come within one second.
    Stream,
}

impl Style {
    fn word(self) -> &'static str {
        match self {
            Self::Short | Self::Kept => "short",
            Self::Slow => "slow",
            Self::Upload => "upload",
            Self::Stream => "stream",
        }
    }
}

/// What an answer says of who gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub version: u64,
    pub pid: i32,
}

#[derive(Debug)]
pub struct Lost {
    pub failure: Failure,
    pub what: String,
}

/// How one request ended. `retried`: on a second connection, because the kept one had been closed
/// before any byte of an answer (RFC 9112, 9.3.1).
pub struct Asked {
    pub retried: bool,
    pub result: Result<Said, Lost>,
}

/// Sends the request `id`; `kept` is the connection of a client that keeps it.
pub fn ask(target: &Target, style: Style, id: u64, kept: &mut Option<File>) -> Asked {
    if let Some(mut connection) = kept.take() {
        match exchange(&mut connection, style, id) {
            Ok((said, keeps_open)) => {
                *kept = keeps_open.then_some(connection);
                return Asked {
                    retried: false,
                    result: Ok(said),
                };
            }
            Err((lost, untouched)) if !untouched => {
                return Asked {
                    retried: false,
                    result: Err(lost),
                };
            }
            Err(_) => {
                let result = on_a_new_connection(target, style, id, kept);
                return Asked {
                    retried: true,
                    result,
                };
            }
        }
    }
    Asked {
        retried: false,
        result: on_a_new_connection(target, style, id, kept),
    }
}

fn on_a_new_connection(
    target: &Target,
    style: Style,
    id: u64,
    kept: &mut Option<File>,
) -> Result<Said, Lost> {
    let mut connection = target.connect(TIMEOUT).map_err(|errno| Lost {
        failure: Failure::of_connect(errno),
        what: format!("connect: {errno}"),
    })?;
    let (said, keeps_open) =
        exchange(&mut connection, style, id).map_err(|(lost, _untouched)| lost)?;
    if style == Style::Kept && keeps_open {
        *kept = Some(connection);
    }
    Ok(said)
}

/// The error's second part: whether not one byte of an answer came.
fn exchange(connection: &mut File, style: Style, id: u64) -> Result<(Said, bool), (Lost, bool)> {
    let sent = send(connection, style, id);
    let mut seen = Beginning {
        inner: connection,
        kept: Vec::new(),
        timed_out: false,
    };
    let mut buffer = vec![0; BUFFER];
    let answer = read_answer(&mut seen, &mut buffer, false);
    let untouched = seen.kept.is_empty() && !seen.timed_out;
    let lost = |failure, what: String| (Lost { failure, what }, untouched);
    let answer = match (answer, sent) {
        (Ok(answer), _) => answer,
        (Err(_), Err(error)) => {
            return Err(lost(Failure::of_io(&error), format!("send: {error}")));
        }
        (Err(failure), Ok(())) => return Err(lost(failure, format!("read: {failure:?}"))),
    };
    if answer.status != 200 {
        return Err(lost(
            Failure::WrongStatus,
            format!("status {}", answer.status),
        ));
    }
    let bytes = if style == Style::Upload { UPLOAD } else { 0 };
    match parse(&seen.kept) {
        Some((said, number, got))
            if number == id
                && got == bytes
                && (style != Style::Stream || answer.length == STREAM) =>
        {
            Ok((said, answer.keeps_open))
        }
        _ => {
            let text = String::from_utf8_lossy(&seen.kept[..seen.kept.len().min(300)]).into_owned();
            Err(lost(
                Failure::WrongLength,
                format!("not the answer to request {id}: {text:?}"),
            ))
        }
    }
}

fn send(connection: &mut File, style: Style, id: u64) -> io::Result<()> {
    let word = style.word();
    let close = if style == Style::Kept {
        ""
    } else {
        "Connection: close\r\n"
    };
    if style != Style::Upload {
        let head = format!("GET /r/{id}/{word} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
        return connection.write_all(head.as_bytes());
    }
    let head = format!(
        "POST /r/{id}/{word} HTTP/1.1\r\nHost: localhost\r\n{close}\
         Content-Type: application/octet-stream\r\nContent-Length: {UPLOAD}\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    let part = vec![b'x'; UPLOAD / UPLOAD_PARTS];
    for _ in 0..UPLOAD_PARTS {
        pause(UPLOAD_PAUSE);
        connection.write_all(&part)?;
    }
    Ok(())
}

/// `VERSION PID ID BYTES ` at the beginning of the body.
fn parse(answer: &[u8]) -> Option<(Said, u64, usize)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (_head, body) = text.split_once("\r\n\r\n")?;
    let mut words = body.split(' ');
    let version = words.next()?.parse().ok()?;
    let pid = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let got = words.next()?.parse().ok()?;
    Some((Said { version, pid }, number, got))
}

/// Hands reads on, and keeps the first bytes.
struct Beginning<'a> {
    inner: &'a mut File,
    kept: Vec<u8>,
    timed_out: bool,
}

impl Read for Beginning<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).inspect_err(|error| {
            self.timed_out |= Failure::of_io(error) == Failure::Timeout;
        })?;
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend(&buffer[..count.min(room)]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn answer(id: u64) -> String {
        let body = format!("7 42 {id} 0 ");
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Answers one request after another on each connection.
    fn serve(listener: &UnixListener, connections: &[&[String]]) {
        for answers in connections {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            for answer in *answers {
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    }

    #[test]
    fn a_kept_connection_that_was_closed_between_two_requests_is_retried_once_and_that_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let target: Target = format!("http:{}", path.display()).parse().unwrap();
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n7 42".to_owned();
        let first = [answer(1)];
        let second = [answer(2), cut];
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &[&first, &second]));
            let mut kept = None;
            let one = ask(&target, Style::Kept, 1, &mut kept);
            assert!(!one.retried && one.result.is_ok());
            let two = ask(&target, Style::Kept, 2, &mut kept);
            assert!(two.retried);
            let said = two.result.unwrap();
            assert_eq!(
                said,
                Said {
                    version: 7,
                    pid: 42
                }
            );
            // An answer that had begun is never asked for again.
            let three = ask(&target, Style::Kept, 3, &mut kept);
            assert!(!three.retried);
            assert_eq!(three.result.unwrap_err().failure, Failure::ShortAnswer);
        });
    }

    #[test]
    fn an_answer_to_somebody_else_is_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let target: Target = format!("http:{}", path.display()).parse().unwrap();
        let other = [answer(8)];
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &[&other]));
            let asked = ask(&target, Style::Short, 9, &mut None);
            assert!(asked.result.unwrap_err().what.contains("request 9"));
        });
    }
}
