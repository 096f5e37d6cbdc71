//! The half of an exchange that changes while the app runs, and how it ends.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::body::Body;
use crate::claim::Claim;
use crate::connection::Connection;
use crate::context::WorkerContext;
use crate::errors::WriteError;
use crate::log::LogNotes;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::response::Response;
use crate::sending::Sending;
use crate::socket;

/// The half that changes while the app runs.
pub(crate) struct Answer {
    /// `None`: the exchange is over.
    pub(crate) connection: Option<Connection>,
    pub(crate) body: Body,
    pub(crate) response: Response,
    pub(crate) broken: Option<WriteError>,
    pub(crate) read_failed: bool,
    /// The app raised, or gave no answer.
    pub(crate) failed: bool,
    pub(crate) by_sendfile: bool,
    /// Chunks that the app wrote: the original counts them as switches.
    pub(crate) chunks: u32,
    pub(crate) notes: LogNotes,
    /// What of a static file the client did not take at once; a place for it is held.
    pub(crate) rest: Option<Sending>,
    /// Room for a short answer in one piece.
    pub(crate) joined: Vec<u8>,
}

/// The half of an exchange that does not change.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) claim: &'a Claim,
}

impl Answer {
    pub(crate) fn fail(&mut self, worker: &WorkerContext, asked: Asked<'_>, patience: Duration) {
        self.failed = true;
        self.refuse(&Refusal::new(500, ""), worker, asked, patience);
    }

    pub(crate) fn refuse(
        &mut self,
        refusal: &Refusal,
        worker: &WorkerContext,
        asked: Asked<'_>,
        patience: Duration,
    ) {
        let Some(connection) = &self.connection else {
            return;
        };
        if self.broken.is_some() || self.response.is_committed() {
            self.response.abandon();
            return;
        }
        if !asked.claim.take() {
            self.broken = Some(WriteError::TimedOut);
            return;
        }
        let answer = refusal.bytes(&worker.dress, asked.request.head_only);
        let mut parts = [IoSlice::new(&answer)];
        let sent = socket::send_patiently(&connection.socket, &mut &mut parts[..], patience);
        self.response.answered_by_us(refusal.status, &answer);
        if let Err(error) = sent {
            self.broken = Some(write_error(&error));
        }
    }

    pub(crate) fn end(&mut self, worker: &WorkerContext, asked: Asked<'_>, patience: Duration) {
        if self.connection.is_none() || self.broken.is_some() {
            return;
        }
        if !self.response.is_started() {
            return self.fail(worker, asked, patience);
        }
        let with_head = !self.response.is_committed();
        if with_head {
            if !asked.claim.take() {
                self.broken = Some(WriteError::TimedOut);
                return;
            }
            self.response.commit(Some(0));
        }
        let tail = self.response.end();
        let head: &[u8] = if with_head { &self.response.head } else { b"" };
        if head.is_empty() && tail.is_empty() {
            return;
        }
        let mut parts = [IoSlice::new(head), IoSlice::new(tail)];
        let Some(connection) = &self.connection else {
            return;
        };
        let socket = connection.socket.as_fd();
        if let Err(error) = socket::send_patiently(socket, &mut &mut parts[..], patience) {
            self.response.abandon();
            self.broken = Some(write_error(&error));
        }
    }

    /// Whether the client could not be told everything.
    pub(crate) fn write_failed(&self) -> bool {
        self.broken.is_some()
    }
}

pub(crate) fn write_error(error: &io::Error) -> WriteError {
    if error.kind() == io::ErrorKind::TimedOut {
        WriteError::TimedOut
    } else {
        WriteError::Gone
    }
}
