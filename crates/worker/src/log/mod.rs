//! The request log: one line per request, as the original writes it or as `log-format` says, in
//! one write to a pipe that never blocks. A line that does not fit is dropped and counted.

mod format;
mod json;
mod line;
mod stamps;

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use imperator_core::counters;
use imperator_core::settings::logs::{Logs, RequestLines};

use crate::answer::Answer;
use crate::clock;
use crate::context::WorkerContext;
use crate::memory::{Memory, Usage};
use crate::request::{Known, Request};
use format::Format;
use line::{Line, clean};
use stamps::Stamps;

/// A write to a pipe up to this size is never mixed with another's (PIPE_BUF).
pub(crate) const MAX_LINE: usize = 4096;

/// What became of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) headers: u32,
    pub(crate) head_bytes: u64,
    pub(crate) body_bytes: u64,
    pub(crate) micros: u64,
    pub(crate) chunks: u32,
    pub(crate) by_sendfile: bool,
    pub(crate) failed: bool,
    pub(crate) write_failed: bool,
    pub(crate) read_failed: bool,
    /// Answered by static-map: no app saw it.
    pub(crate) is_static: bool,
}

impl Outcome {
    pub(crate) fn of(answer: &Answer, micros: u64, is_static: bool) -> Self {
        let response = &answer.response;
        Self {
            status: response.status,
            headers: response.headers,
            head_bytes: response.head.len() as u64,
            body_bytes: response.body_bytes,
            micros,
            // The original counts what the app did.
            chunks: if is_static { 0 } else { answer.chunks },
            by_sendfile: answer.by_sendfile,
            failed: answer.failed,
            write_failed: answer.write_failed(),
            read_failed: answer.read_failed,
            is_static,
        }
    }
}

/// What app and routes want of a request's line.
#[derive(Debug, Default)]
pub(crate) struct LogNotes {
    /// `Some(false)`: no line, whatever the settings say; `Some(true)`: a line.
    pub(crate) wanted: Option<bool>,
    /// For `%(name)` of log-format.
    vars: Vec<(Vec<u8>, Vec<u8>)>,
}

impl LogNotes {
    /// As the original: at most 255 bytes of each, and a new value replaces an old one.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        const MAX_BYTES: usize = 255;
        const MAX_VARS: usize = 64;
        let name = &name[..name.len().min(MAX_BYTES)];
        let value = value[..value.len().min(MAX_BYTES)].to_vec();
        let known = self.vars.iter().position(|(known, _)| known == name);
        match known {
            Some(index) => self.vars[index].1 = value,
            None if self.vars.len() < MAX_VARS => self.vars.push((name.to_vec(), value)),
            None => (),
        }
    }

    /// Empty when it was not set.
    pub(crate) fn get(&self, name: &[u8]) -> &[u8] {
        let found = self.vars.iter().find(|(known, _)| known == name);
        found.map_or(b"", |(_, value)| value)
    }

    pub(crate) fn clear(&mut self) {
        self.wanted = None;
        self.vars.clear();
    }
}

/// Which requests get a line.
#[derive(Debug, Clone)]
struct Select {
    all: bool,
    /// Something is asked for beside `all`.
    some: bool,
    lines: RequestLines,
}

impl Select {
    fn of(lines: &RequestLines) -> Self {
        let some = lines.zero
            || lines.slow.is_some()
            || lines.status_4xx
            || lines.status_5xx
            || lines.big.is_some()
            || lines.sendfile
            || lines.ioerror;
        Self {
            all: !lines.disabled,
            some,
            lines: lines.clone(),
        }
    }

    fn wants(&self, outcome: &Outcome, wanted: Option<bool>) -> bool {
        match wanted {
            Some(wanted) => wanted,
            None => self.all || (self.some && self.picks(outcome)),
        }
    }

    fn picks(&self, outcome: &Outcome) -> bool {
        let lines = &self.lines;
        let is_slow = |limit: std::time::Duration| u128::from(outcome.micros) >= limit.as_micros();
        (lines.zero && outcome.body_bytes == 0)
            || lines.slow.is_some_and(is_slow)
            || (lines.status_4xx && outcome.status / 100 == 4)
            || (lines.status_5xx && outcome.status / 100 == 5)
            || lines.big.is_some_and(|limit| outcome.body_bytes >= limit)
            || (lines.sendfile && outcome.by_sendfile)
            || (lines.ioerror && (outcome.read_failed || outcome.write_failed))
    }
}

/// One app thread's log.
pub(crate) struct RequestLog {
    select: Select,
    format: Format,
    ftime: Option<String>,
    /// Looked at for each line when the line tells it.
    memory: Option<Memory>,
    line: Vec<u8>,
    pid: u32,
    worker: u32,
    core: usize,
    /// The last second, as text.
    clock: Option<(u64, Stamps)>,
}

impl RequestLog {
    pub(crate) fn new(worker: &WorkerContext, core: usize) -> Self {
        let Logs { requests, json, .. } = &worker.settings().logs;
        let format = Format::of(requests, *json);
        Self {
            select: Select::of(requests),
            memory: format.tells_memory().then(Memory::open),
            format,
            ftime: requests.ftime.clone(),
            line: Vec::new(),
            pid: worker.pid,
            worker: worker.id(),
            core,
            clock: None,
        }
    }

    /// What the original's harakiri report says of a running request.
    pub(crate) fn harakiri_line(&mut self, request: &Request) -> &[u8] {
        self.line.clear();
        let addr = line::addr(request, self.select.lines.forwarded);
        clean(
            &mut self.line,
            &addr[..addr.len().min(counters::LINE_BYTES)],
        );
        self.line.extend_from_slice(b" - ");
        clean(&mut self.line, request.known(Known::Method));
        self.line.push(b' ');
        let uri = request.known(Known::Uri);
        clean(&mut self.line, &uri[..uri.len().min(counters::LINE_BYTES)]);
        &self.line
    }

    /// `counts`: requests of this thread's app, and of the whole worker.
    pub(crate) fn write(
        &mut self,
        worker: &WorkerContext,
        request: &Request,
        outcome: &Outcome,
        counts: (u64, u64),
        notes: &LogNotes,
    ) {
        let Some(log) = &worker.request_log else {
            return;
        };
        if !self.select.wants(outcome, notes.wanted) {
            return;
        }
        let now = clock::epoch_micros();
        let started = now.saturating_sub(outcome.micros);
        let second = started / 1_000_000;
        let (_, stamps) = match &mut self.clock {
            Some(clock) if clock.0 == second => clock,
            clock => clock.insert((second, Stamps::of(second, self.ftime.as_deref()))),
        };
        let line = Line {
            request,
            outcome,
            stamps,
            started,
            now,
            pid: self.pid,
            worker: self.worker,
            core: self.core,
            app_requests: counts.0,
            requests: counts.1,
            forwarded: self.select.lines.forwarded,
            notes,
            memory: self
                .memory
                .as_ref()
                .map_or_else(Usage::default, Memory::read),
        };
        self.line.clear();
        self.format.write(&line, &mut self.line);
        self.line.push(b'\n');
        if !send(log, &self.line) {
            worker
                .counters()
                .worker(counters::Worker::LogLinesDropped)
                .fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One write, whole or not at all: what is at most PIPE_BUF fits a pipe whole or gets EAGAIN.
fn send(log: &OwnedFd, line: &[u8]) -> bool {
    debug_assert!(line.len() <= MAX_LINE);
    matches!(rustix::io::write(log, line), Ok(written) if written == line.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn picked(change: impl Fn(&mut RequestLines), outcome: Outcome) -> bool {
        let mut lines = RequestLines {
            disabled: true,
            ..RequestLines::default()
        };
        change(&mut lines);
        Select::of(&lines).wants(&outcome, None)
    }

    #[test]
    fn each_selection_finds_its_requests_and_no_others() {
        let plain = Outcome {
            status: 200,
            body_bytes: 10,
            micros: 4_999,
            ..Outcome::default()
        };
        let slow = |lines: &mut RequestLines| lines.slow = Some(Duration::from_millis(5));
        assert!(!picked(|_| (), plain));
        assert!(!picked(slow, plain));
        assert!(picked(
            slow,
            Outcome {
                micros: 5_000,
                ..plain
            }
        ));
        for (status, only_4xx, only_5xx) in
            [(399, false, false), (404, true, false), (503, false, true)]
        {
            let outcome = Outcome { status, ..plain };
            assert_eq!(picked(|it| it.status_4xx = true, outcome), only_4xx);
            assert_eq!(picked(|it| it.status_5xx = true, outcome), only_5xx);
        }
        assert!(picked(|it| it.big = Some(10), plain));
        assert!(!picked(|it| it.big = Some(11), plain));
        assert!(picked(
            |it| it.zero = true,
            Outcome {
                body_bytes: 0,
                ..plain
            }
        ));
        assert!(!picked(|it| it.zero = true, plain));
        assert!(picked(
            |it| it.sendfile = true,
            Outcome {
                by_sendfile: true,
                ..plain
            }
        ));
        assert!(picked(
            |it| it.ioerror = true,
            Outcome {
                write_failed: true,
                ..plain
            }
        ));
        assert!(!picked(|it| it.ioerror = true, plain));
        assert!(!picked(|it| it.sendfile = true, plain));
    }

    #[test]
    fn app_and_routes_have_the_last_word() {
        let all = Select::of(&RequestLines::default());
        assert!(all.wants(&Outcome::default(), None));
        assert!(!all.wants(&Outcome::default(), Some(false)));
        let none = Select::of(&RequestLines {
            disabled: true,
            ..RequestLines::default()
        });
        assert!(none.wants(&Outcome::default(), Some(true)));
    }

    #[test]
    fn notes_have_limits() {
        let mut notes = LogNotes::default();
        for index in 0..100_u8 {
            notes.set(&[index], &[b'x'; 300]);
        }
        assert_eq!(notes.vars.len(), 64);
        assert_eq!(notes.get(&[3]).len(), 255);
        notes.set(&[3], b"new");
        assert_eq!(notes.get(&[3]), b"new");
        assert_eq!(notes.get(b"no"), b"");
    }
}
