//! The request log.

use crate::context::WorkerContext;
use crate::exchange::Answer;
use crate::request::{Known, Request};

/// What became of a request.
#[derive(Debug, Clone, Copy)]
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
}

impl Outcome {
    pub(crate) fn of(answer: &Answer, micros: u64) -> Self {
        let response = &answer.response;
        Self {
            status: response.status,
            headers: response.headers,
            head_bytes: response.head.len() as u64,
            body_bytes: response.body_bytes,
            micros,
            chunks: answer.chunks,
            by_sendfile: answer.by_sendfile,
            failed: answer.failed,
            write_failed: answer.write_failed(),
            read_failed: answer.read_failed,
        }
    }
}

pub(crate) struct RequestLog {
    line: Vec<u8>,
}

impl RequestLog {
    pub(crate) fn new(_worker: &WorkerContext) -> Self {
        Self { line: Vec::new() }
    }

    pub(crate) fn harakiri_line(&mut self, request: &Request) -> &[u8] {
        self.line.clear();
        self.line
            .extend_from_slice(request.known(Known::RemoteAddr));
        self.line.extend_from_slice(b" - ");
        self.line.extend_from_slice(request.known(Known::Method));
        self.line.push(b' ');
        self.line.extend_from_slice(request.known(Known::Uri));
        &self.line
    }

    pub(crate) fn write(
        &mut self,
        _request: &Request,
        _outcome: &Outcome,
        _core: usize,
        _total: u64,
    ) {
    }
}
