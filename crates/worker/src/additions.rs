//! What the config adds to answers and takes from them: `add-header`, `del-header`, routes, and the
//! pages of our own answers.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use imperator_core::settings::answers::Answers;

use crate::response::{has_token, is_control, is_token};

/// Header lines that an answer gets behind the app's own, and names that it may not have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Additions {
    lines: Vec<Line>,
    remove: Vec<Vec<u8>>,
}

/// `Name: value`, without its end.
#[derive(Debug, Clone)]
struct Line {
    bytes: Vec<u8>,
    /// A Connection header; whether it says "close".
    connection: Option<bool>,
}

impl Additions {
    /// Adds `Name: value`. What is no header, and what would break the answer's framing, is left out.
    pub(crate) fn add(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let is_name = !name.is_empty() && name.iter().all(|&byte| is_token(byte));
        let frames = |framing: &str| name.eq_ignore_ascii_case(framing.as_bytes());
        if !is_name
            || value.iter().any(|&byte| is_control(byte))
            || frames("content-length")
            || frames("transfer-encoding")
        {
            return;
        }
        self.lines.push(Line {
            bytes: line.to_vec(),
            connection: frames("connection").then(|| has_token(value, b"close")),
        });
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.remove.push(name.to_vec());
    }

    pub(crate) fn removes(&self, name: &[u8]) -> bool {
        self.remove.iter().any(|it| it.eq_ignore_ascii_case(name))
    }

    pub(crate) fn removes_any(&self) -> bool {
        !self.remove.is_empty()
    }

    /// Appends the lines to a head; `frames`: we decide on the connection ourselves, and only a
    /// line that closes it is heard. Returns how many there are, and whether one says "close".
    pub(crate) fn write(&self, head: &mut Vec<u8>, frames: bool) -> (u32, bool) {
        let mut count = 0;
        let mut closes = false;
        for line in &self.lines {
            closes |= line.connection == Some(true);
            if frames && line.connection.is_some() {
                continue;
            }
            head.extend_from_slice(&line.bytes);
            head.extend_from_slice(b"\r\n");
            count += 1;
        }
        (count, closes)
    }

    /// As [`Additions::write`], for an answer that has its Connection header already.
    pub(crate) fn write_beside_connection(&self, head: &mut Vec<u8>) {
        self.write(head, true);
    }
}

/// What the config says of every answer.
#[derive(Debug, Default)]
pub(crate) struct Dress {
    additions: Option<Arc<Additions>>,
    pages: BTreeMap<u16, Vec<u8>>,
}

/// Larger pages are not sent.
const MAX_PAGE: u64 = 1 << 20;

impl Dress {
    /// Reads the pages: who fails has no time for files.
    pub(crate) fn new(settings: &Answers) -> Self {
        let mut additions = Additions::default();
        for line in &settings.add_headers {
            additions.add(line.as_bytes());
        }
        for name in &settings.remove_headers {
            additions.remove(name.as_bytes());
        }
        let is_any = !additions.lines.is_empty() || additions.removes_any();
        let mut pages = BTreeMap::new();
        for (status, file) in &settings.pages {
            // The first that is there.
            if !pages.contains_key(status)
                && let Some(page) = read(file)
            {
                pages.insert(*status, page);
            }
        }
        Self {
            additions: is_any.then(|| Arc::new(additions)),
            pages,
        }
    }

    /// `None`: answers stay as they are.
    pub(crate) fn additions(&self) -> Option<&Arc<Additions>> {
        self.additions.as_ref()
    }

    pub(crate) fn page(&self, status: u16) -> Option<&[u8]> {
        self.pages.get(&status).map(Vec::as_slice)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let file = std::fs::File::open(path).ok()?;
    let mut page = Vec::new();
    let read = file.take(MAX_PAGE + 1).read_to_end(&mut page).ok()?;
    (read as u64 <= MAX_PAGE).then_some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_that_break_nothing_are_added() {
        let mut additions = Additions::default();
        for line in [
            &b"X-A: 1"[..],
            b"no header",
            b": nameless",
            b"X B: 1",
            b"X-C: 1\r\nX-D: 2",
            b"Content-Length: 5",
            b"transfer-encoding: chunked",
            b"X-Empty:",
        ] {
            additions.add(line);
        }
        let mut head = Vec::new();
        assert_eq!(additions.write(&mut head, false), (2, false));
        assert_eq!(head, b"X-A: 1\r\nX-Empty:\r\n");
    }

    #[test]
    fn a_connection_line_is_heard_and_ours_is_sent() {
        let mut additions = Additions::default();
        additions.add(b"Connection: Keep-Alive");
        let mut head = Vec::new();
        assert_eq!(additions.write(&mut head, true), (0, false));
        assert_eq!(head, b"");
        additions.add(b"connection: close");
        assert_eq!(additions.write(&mut head, true), (0, true));
        assert_eq!(additions.write(&mut head, false), (2, true));
    }
}
