//! The request log: one line per request, as the original writes it or as `log-format` says, in
//! one write to a pipe that never blocks. A line that does not fit is dropped and counted.

mod format;

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use imperator_core::counters;

use crate::clock;
use crate::context::WorkerContext;
use crate::exchange::Answer;
use crate::memory::{Memory, Usage};
use crate::request::{Known, Request};
use format::{Format, Line, clean};

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

/// One app thread's log.
pub(crate) struct RequestLog {
    format: Option<Format>,
    /// Looked at for each line when the line tells it.
    memory: Option<Memory>,
    line: Vec<u8>,
    pid: u32,
    worker: u32,
    core: usize,
    /// The last second, as text.
    clock: (u64, format::Stamps),
}

impl RequestLog {
    pub(crate) fn new(worker: &WorkerContext, core: usize) -> Self {
        let settings = worker.settings();
        let format = match &settings.log_format {
            _ if settings.disable_logging => None,
            Some(text) => Some(Format::parse(text)),
            None => Some(Format::original(settings.memory_report)),
        };
        let memory = format
            .as_ref()
            .filter(|format| format.tells_memory())
            .map(|_| Memory::open());
        Self {
            format,
            memory,
            line: Vec::new(),
            pid: worker.pid,
            worker: worker.id(),
            core,
            clock: (0, format::Stamps::of(0)),
        }
    }

    /// What the original's harakiri report says of a running request.
    pub(crate) fn harakiri_line(&mut self, request: &Request) -> &[u8] {
        self.line.clear();
        clean(&mut self.line, request.known(Known::RemoteAddr));
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
    ) {
        let (Some(format), Some(log)) = (&self.format, &worker.request_log) else {
            return;
        };
        let now = clock::epoch_micros();
        let started = now.saturating_sub(outcome.micros);
        let second = started / 1_000_000;
        if self.clock.0 != second {
            self.clock = (second, format::Stamps::of(second));
        }
        let line = Line {
            request,
            outcome,
            stamps: &self.clock.1,
            started,
            now,
            pid: self.pid,
            worker: self.worker,
            core: self.core,
            app_requests: counts.0,
            requests: counts.1,
            memory: self
                .memory
                .as_ref()
                .map_or_else(Usage::default, Memory::read),
        };
        self.line.clear();
        format.write(&line, &mut self.line);
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
