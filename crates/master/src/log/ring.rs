//! The last lines of the app, wherever its logs go: for `imperator logs`. Bounded in bytes and in
//! lines; requests have room of their own, so that they wash no traceback away.

use std::collections::VecDeque;

use imperator_core::message::{LogLine, LogSource};

/// Bytes of output that are kept, line ends included.
pub(crate) const OUTPUT_BYTES: usize = 256 * 1024;
const REQUEST_BYTES: usize = 64 * 1024;
/// Empty lines cost memory, too.
const MAX_LINES: usize = 16 * 1024;
/// A longer line is kept in pieces: whatever is in it, it fits a message.
const MAX_PIECE: usize = 16 * 1024;

#[derive(Debug)]
struct Line {
    number: u64,
    at: u64,
    source: LogSource,
    text: Box<[u8]>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    /// The newest number among the forgotten ones, and how many those are.
    forgotten: u64,
    lost: u64,
}

impl Ring {
    fn push(&mut self, line: Line, room: usize) {
        self.bytes += line.text.len() + 1;
        self.lines.push_back(line);
        while self.bytes > room || self.lines.len() > MAX_LINES {
            let Some(old) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= old.text.len() + 1;
            self.forgotten = old.number;
            self.lost += 1;
        }
    }

    /// The lines after that number.
    fn after(&self, number: u64) -> impl Iterator<Item = &Line> {
        let first = self.lines.partition_point(|line| line.number <= number);
        self.lines.range(first..)
    }
}

/// What is kept of all output.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    output: Ring,
    requests: Ring,
    /// Of the newest line.
    number: u64,
}

/// Some lines on their way to somebody.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub lines: Vec<LogLine>,
    /// Whether older ones were forgotten before they could be sent.
    pub gap: bool,
    /// Where the next piece begins.
    pub next: u64,
}

impl Kept {
    /// `at`: Unix microseconds.
    pub(crate) fn push(&mut self, text: &[u8], source: LogSource, at: u64) {
        let mut rest = text;
        loop {
            let (piece, more) = rest.split_at(rest.len().min(MAX_PIECE));
            self.number += 1;
            let line = Line {
                number: self.number,
                at,
                source,
                text: piece.into(),
            };
            match source {
                LogSource::App | LogSource::Imperator => self.output.push(line, OUTPUT_BYTES),
                LogSource::Request => self.requests.push(line, REQUEST_BYTES),
            }
            rest = more;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// The number of the newest line.
    pub(crate) fn newest(&self) -> u64 {
        self.number
    }

    /// The newest line of ours that contains `text`, and when it was said (Unix microseconds).
    pub(crate) fn last_said(&self, text: &str) -> Option<(String, u64)> {
        let mut lines = self.output.lines.iter().rev();
        lines.find_map(|line| {
            let said = String::from_utf8_lossy(&line.text);
            let is_it = line.source == LogSource::Imperator && said.contains(text);
            is_it.then(|| (said.into_owned(), line.at))
        })
    }

    /// How many lines were forgotten so far.
    pub(crate) fn lost(&self, requests: bool) -> u64 {
        match requests {
            true => self.output.lost + self.requests.lost,
            false => self.output.lost,
        }
    }

    /// Some of the lines after that number, as many as one message takes.
    pub(crate) fn after(&self, number: u64, requests: bool) -> Piece {
        let mut output = self.output.after(number).peekable();
        let wanted = self.requests.after(number).filter(|_| requests);
        let mut wanted = wanted.peekable();
        let forgotten = match requests {
            true => self.output.forgotten.max(self.requests.forgotten),
            false => self.output.forgotten,
        };
        let mut piece = Piece {
            gap: forgotten > number,
            next: self.number,
            ..Piece::default()
        };
        let mut bytes = 0;
        loop {
            let line = match (output.peek(), wanted.peek()) {
                (Some(one), Some(other)) if one.number > other.number => wanted.next(),
                (Some(_), _) => output.next(),
                (None, _) => wanted.next(),
            };
            let Some(line) = line else {
                return piece;
            };
            bytes += line.text.len() + 16;
            if bytes > MAX_PIECE + 16 && !piece.lines.is_empty() {
                piece.next = piece.lines.last().map_or(number, |last| last.number);
                return piece;
            }
            piece.lines.push(LogLine {
                number: line.number,
                at: line.at,
                source: line.source,
                text: String::from_utf8_lossy(&line.text).into_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kept: &Kept, requests: bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut next = 0;
        while next < kept.newest() {
            let piece = kept.after(next, requests);
            assert!(piece.next > next, "no piece is empty while lines are left");
            let message = imperator_core::message::FromMaster::Logs {
                lines: piece.lines.clone(),
                missed: 0,
                end: false,
            };
            let length = serde_json::to_vec(&message).unwrap().len();
            assert!(length <= imperator_core::message::MAX_MESSAGE, "{length}");
            next = piece.next;
            found.extend(piece.lines.into_iter().map(|line| line.text));
        }
        found
    }

    #[test]
    fn the_last_bytes_of_output_are_kept_whatever_requests_there_are() {
        let mut kept = Kept::default();
        kept.push(b"the cause", LogSource::App, 1);
        for _ in 0..10_000 {
            kept.push(&[b'r'; 99], LogSource::Request, 2);
        }
        assert_eq!(all(&kept, false), ["the cause"]);
        assert_eq!(all(&kept, true).len(), 1 + REQUEST_BYTES / 100);
        let fits = OUTPUT_BYTES / 100;
        for index in 0..=fits {
            kept.push(format!("{index:099}").as_bytes(), LogSource::App, 3);
        }
        let lines = all(&kept, false);
        assert_eq!(lines.len(), fits);
        assert_eq!(
            lines.last().unwrap().trim_start_matches('0'),
            fits.to_string()
        );
        assert!(kept.after(0, false).gap);
        assert!(!kept.after(kept.newest(), false).gap);
        assert_eq!(kept.lost(false), 2, "the cause, and the first of these");
    }

    #[test]
    fn lines_of_both_kinds_come_in_their_order() {
        let mut kept = Kept::default();
        for (text, source) in [
            ("one", LogSource::App),
            ("two", LogSource::Request),
            ("three", LogSource::Imperator),
            ("four", LogSource::Request),
        ] {
            kept.push(text.as_bytes(), source, 0);
        }
        assert_eq!(all(&kept, true), ["one", "two", "three", "four"]);
        assert_eq!(all(&kept, false), ["one", "three"]);
    }

    #[test]
    fn neither_control_characters_nor_empty_lines_make_it_too_big() {
        let mut kept = Kept::default();
        kept.push(&[1; 64 * 1024], LogSource::App, 0);
        kept.push(&[255; 64 * 1024], LogSource::App, 0);
        assert_eq!(all(&kept, false).len(), 8);
        for _ in 0..MAX_LINES + 10 {
            kept.push(b"", LogSource::App, 0);
        }
        assert_eq!(all(&kept, false).len(), MAX_LINES);
    }
}
