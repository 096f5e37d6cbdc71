//! One request and its answer, as the app's language sees them. Every method takes `&self`; two
//! threads that use one exchange at once get `Busy`, nobody blocks with the interpreter held.

mod late;
mod notes;

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use imperator_core::settings::Protocol;

use crate::answer::{Answer, Asked, write_error};
use crate::app::{Interpreter, Readiness};
use crate::body::Body;
use crate::claim::Claim;
use crate::clock::Moment;
use crate::connection::Connection;
use crate::context::WorkerContext;
pub use crate::errors::{BodyError, StartError, WriteError};
use crate::log::LogNotes;
use crate::refusal::Refusal;
use crate::request::{Framing, Known, Request};
use crate::response::{Asked as Head, Response};
use crate::sending::{Sending, Step};
use crate::{sendfile, socket};

use self::late::OUTSIDE;

/// Head and chunk are sent as one piece up to this size.
const JOINED: usize = 2048;

/// One request and its answer.
pub struct Exchange {
    pub(crate) request: Request,
    core: usize,
    worker: Arc<WorkerContext>,
    pub(crate) started_at: Moment,
    /// The app failed while another thread held the answer.
    cut: AtomicBool,
    /// Who sends the head of the answer.
    claim: Claim,
    /// The connection's number, for whoever answers in the app's place.
    socket: AtomicI32,
    /// The answer that was sent at the deadline.
    late: Mutex<Option<Vec<u8>>>,
    /// Where the app is, for exceptions from outside: [`OUTSIDE`] and its neighbours.
    place: AtomicU8,
    /// SCRIPT_NAME and PATH_INFO are those of the app that the request is for.
    pub(crate) is_mounted: bool,
    answer: Mutex<Answer>,
}

impl Exchange {
    pub(crate) fn new(worker: Arc<WorkerContext>, core: usize) -> Self {
        Self {
            request: Request::new(worker.receive_room()),
            core,
            worker,
            started_at: Moment::default(),
            cut: AtomicBool::new(false),
            claim: Claim::default(),
            socket: AtomicI32::new(-1),
            late: Mutex::default(),
            place: AtomicU8::new(OUTSIDE),
            answer: Mutex::new(Answer {
                connection: None,
                body: Body::none(),
                response: Response::new(),
                broken: None,
                read_failed: false,
                failed: false,
                by_sendfile: false,
                chunks: 0,
                notes: LogNotes::default(),
                rest: None,
                joined: Vec::new(),
            }),
            is_mounted: false,
        }
    }

    /// Begins with the request that is in `self.request`.
    pub(crate) fn begin(&mut self, connection: Connection, spooled: Option<File>, now: Moment) {
        self.started_at = now;
        *self.cut.get_mut() = false;
        self.claim.clear();
        *self.socket.get_mut() = connection.socket.as_raw_fd();
        *self.late.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        *self.place.get_mut() = OUTSIDE;
        let limit = self.worker.settings().limit_post;
        let answer = self
            .answer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        answer.body = Body::of(&self.request, spooled, limit);
        answer.response.clear();
        answer.response.additions = self.worker.dress.additions().cloned();
        answer.connection = Some(connection);
        answer.broken = None;
        answer.read_failed = false;
        answer.failed = false;
        answer.by_sendfile = false;
        answer.chunks = 0;
        answer.notes.clear();
        answer.rest = None;
        self.is_mounted = false;
    }

    /// The request's variables in wire order; the original's loader variables, HTTP_CONTENT_LENGTH,
    /// HTTP_CONTENT_TYPE and all but the last of duplicates are gone. HTTP requests look the same.
    pub fn vars(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.request.vars()
    }

    /// Requests of the same number have the same variables in the same order, apart from their
    /// values; 0: nobody knows.
    pub fn shape(&self) -> u64 {
        self.request.shape()
    }

    /// Requests of the same number have the same variables with the same values; 0: nobody knows.
    pub fn content(&self) -> u64 {
        self.request.content()
    }

    pub fn var(&self, name: &[u8]) -> Option<&[u8]> {
        self.request.var(name)
    }

    /// CONTENT_LENGTH, 0 when there is none; of a chunked body 0: see [`Exchange::is_chunked`].
    pub fn content_length(&self) -> u64 {
        match self.request.framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
        }
    }

    /// Whether the body ends where its chunks end: CONTENT_LENGTH is absent, `read` until 0
    /// (`wsgi.input_terminated`). Short chunked bodies arrive decoded, with CONTENT_LENGTH.
    pub fn is_chunked(&self) -> bool {
        self.request.framing == Framing::Chunked
    }

    /// Appends raw body bytes, at least one unless the body ended (0), at most `at_most`.
    ///
    /// # Errors
    /// See [`BodyError`]; the same error again at each later call.
    pub fn read(
        &self,
        interpreter: &dyn Interpreter,
        buffer: &mut Vec<u8>,
        at_most: usize,
    ) -> Result<usize, BodyError> {
        let mut answer = self.answer.try_lock().map_err(|_| BodyError::Busy)?;
        let answer = &mut *answer;
        let connection = answer.connection.as_ref().ok_or(BodyError::Ended)?;
        let patience = self.patience();
        answer
            .body
            .read(
                interpreter,
                &self.request,
                connection,
                patience,
                buffer,
                at_most,
            )
            .inspect_err(|_| answer.read_failed = true)
    }

    /// Keeps status and headers until the first write. `replace`: the app passed `exc_info`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        &self,
        status: &[u8],
        headers: &[(&[u8], &[u8])],
        replace: bool,
    ) -> Result<(), StartError> {
        let mut answer = self.answer.try_lock().map_err(|_| StartError::Busy)?;
        if answer.connection.is_none() {
            return Err(StartError::Ended);
        }
        if self.claim.is_late() {
            return Err(StartError::Ended);
        }
        let asked = Head {
            protocol: self.request.protocol,
            version: self.request.known(Known::Protocol),
            head_only: self.request.head_only,
            http11: self.request.http11,
            // Who has not read the body leaves the connection at an unknown place.
            keep_alive: self.request.keep_alive
                && !self.worker.is_draining()
                && answer.body.unreceived(&self.request) == Some(0),
            headers_limit: self.worker.settings().answers.headers_limit as usize,
            cgi: self.worker.settings().answers.cgi_mode,
        };
        answer.response.start(asked, status, headers, replace)
    }

    /// Sends a chunk, with the head before it the first time, in one gathered send. An empty chunk
    /// sends nothing. What a HEAD, 204 or 304 answer may not carry is dropped; what exceeds the
    /// app's own Content-Length is cut and counted.
    ///
    /// # Errors
    /// See [`WriteError`]. `Gone` and `TimedOut` stay: every later write says the same.
    pub fn write(&self, interpreter: &dyn Interpreter, chunk: &[u8]) -> Result<(), WriteError> {
        if chunk.is_empty() {
            return self.writable().map(|_| ());
        }
        self.write_chunk(interpreter, chunk, false)
    }

    /// Sends the head now, where the first chunk would bring it.
    ///
    /// # Errors
    /// As [`Exchange::write`].
    pub fn send_head(&self, interpreter: &dyn Interpreter) -> Result<(), WriteError> {
        self.write_chunk(interpreter, b"", false)
    }

    /// Counts an exception that the app's side has answered itself.
    pub fn count_failure(&self) {
        if let Ok(mut answer) = self.answer.try_lock() {
            answer.failed = true;
        }
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
        self.write_chunk(interpreter, chunk, true)
    }

    /// Sends `length` bytes of a file from `offset` (`None`: up to its end) by sendfile(2); the
    /// file's own position is not moved. Returns how many bytes of it were used.
    ///
    /// # Errors
    /// As [`Exchange::write`]; `File` before anything was sent means: read it and write it.
    pub fn send_file(
        &self,
        interpreter: &dyn Interpreter,
        file: BorrowedFd<'_>,
        offset: u64,
        length: Option<u64>,
    ) -> Result<u64, WriteError> {
        let mut answer = self.writable()?;
        if interpreter.is_cooperative() {
            // Sendfile(2) waits for the disk; reading and writing it lets the others go on.
            return Err(WriteError::File(rustix::io::Errno::INVAL.raw_os_error()));
        }
        let size = sendfile::size(file).map_err(WriteError::File)?;
        let there = size.saturating_sub(offset);
        let total = length.map_or(there, |length| length.min(there));
        let answer = &mut *answer;
        let Some(connection) = &answer.connection else {
            return Err(WriteError::Ended);
        };
        let with_head = !answer.response.is_committed();
        if with_head {
            if !self.claim.take() {
                answer.broken = Some(WriteError::TimedOut);
                return Err(WriteError::TimedOut);
            }
            answer.response.commit(usize::try_from(total).ok());
        }
        answer.chunks += 1;
        answer.by_sendfile = true;
        let admitted = answer.response.admit(total);
        let (head, line, after) = answer.response.parts(with_head, admitted);
        let before = [head, line];
        let patience = self.patience();
        let mut sent = Ok(());
        interpreter.unlocked(&mut || {
            sent = sendfile::send(connection, before, file, offset, admitted, after, patience);
        });
        match sent {
            Ok(()) => Ok(total),
            Err(error) => {
                // The chunk or Content-Length that was begun cannot be ended any more.
                answer.response.abandon();
                answer.broken = Some(error);
                Err(error)
            }
        }
    }

    /// As [`Exchange::send_file`], without the interpreter and without waiting: what the client does
    /// not take now is left to the I/O thread, if that has a place for it.
    pub(crate) fn send_file_at_once(
        &self,
        file: File,
        offset: u64,
        length: u64,
    ) -> Result<(), WriteError> {
        let mut answer = self.writable()?;
        let answer = &mut *answer;
        let Some(connection) = &answer.connection else {
            return Err(WriteError::Ended);
        };
        answer.response.commit(usize::try_from(length).ok());
        answer.by_sendfile = true;
        let admitted = answer.response.admit(length);
        let patience = self.patience();
        let mut parts = [IoSlice::new(&answer.response.head)];
        let mut sending = Sending::new(file, offset, admitted, self.core, patience);
        // The head of an answer fits every socket's buffer.
        let head = socket::send_patiently(&connection.socket, &mut &mut parts[..], patience);
        let mut sent = head.map_err(|error| write_error(&error));
        if sent.is_ok() {
            sent = match sending.step(&connection.socket) {
                Step::Done => Ok(()),
                Step::Failed(error) => Err(error),
                Step::More | Step::Disk if self.worker.hold() => {
                    sending.name(self.request.known(Known::Uri));
                    answer.rest = Some(sending);
                    Ok(())
                }
                Step::More | Step::Disk => sending.wait_for_all(&connection.socket),
            };
        }
        sent.inspect_err(|&error| {
            answer.response.abandon();
            answer.broken = Some(error);
        })
    }

    /// Ends the exchange with an answer of ours.
    pub fn refuse(&self, interpreter: &dyn Interpreter, status: u16, reason: &str) {
        let Ok(mut answer) = self.answer.try_lock() else {
            return;
        };
        let refusal = Refusal::new(status, reason);
        let patience = self.patience();
        let answer = &mut *answer;
        interpreter.unlocked(&mut || {
            answer.refuse(&refusal, &self.worker, self.asked(), patience);
        });
    }

    /// Whether somebody is in the middle of a call.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.answer.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Whether [`Exchange::start`] was called. True while another thread writes.
    pub fn started(&self) -> bool {
        self.answer
            .try_lock()
            .map_or(true, |answer| answer.response.is_started())
    }

    /// Whether status and headers can no longer be changed. True while another thread writes.
    pub fn head_sent(&self) -> bool {
        self.answer.try_lock().map_or(true, |answer| {
            answer.response.is_committed() || self.claim.is_late()
        })
    }

    /// Whether a write found the client gone.
    pub fn client_gone(&self) -> bool {
        self.answer
            .try_lock()
            .is_ok_and(|answer| answer.broken == Some(WriteError::Gone))
    }

    /// The app thread's number, from 0.
    pub fn core(&self) -> usize {
        self.core
    }

    /// Whether the request came to an HTTP socket of ours.
    pub fn is_http(&self) -> bool {
        self.request.protocol == Protocol::Http
    }

    /// Ends the exchange for an exception of the app, and counts it: a 500 when nothing was sent,
    /// else the connection is cut so that the client sees an incomplete answer.
    pub fn fail(&self, interpreter: &dyn Interpreter) {
        let Ok(mut answer) = self.answer.try_lock() else {
            self.cut.store(true, Ordering::Release);
            return;
        };
        let patience = self.patience();
        let answer = &mut *answer;
        let (worker, asked) = (&self.worker, self.asked());
        interpreter.unlocked(&mut || answer.fail(worker, asked, patience));
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            request: &self.request,
            claim: &self.claim,
        }
    }

    fn writable(&self) -> Result<MutexGuard<'_, Answer>, WriteError> {
        let mut answer = self.answer.try_lock().map_err(|_| WriteError::Busy)?;
        if self.claim.is_late() {
            answer.broken = Some(WriteError::TimedOut);
        }
        if let Some(broken) = answer.broken {
            return Err(broken);
        }
        if answer.connection.is_none() || answer.response.is_ended() {
            return Err(WriteError::Ended);
        }
        if !answer.response.is_started() {
            return Err(WriteError::NotStarted);
        }
        Ok(answer)
    }

    fn write_chunk(
        &self,
        interpreter: &dyn Interpreter,
        chunk: &[u8],
        last: bool,
    ) -> Result<(), WriteError> {
        let mut answer = self.writable()?;
        let answer = &mut *answer;
        let Some(connection) = &answer.connection else {
            return Err(WriteError::Ended);
        };
        let response = &mut answer.response;
        let with_head = !response.is_committed();
        if with_head {
            if !self.claim.take() {
                answer.broken = Some(WriteError::TimedOut);
                return Err(WriteError::TimedOut);
            }
            response.commit(last.then_some(chunk.len()));
        }
        if !chunk.is_empty() {
            answer.chunks += 1;
        }
        let admitted = response.admit(chunk.len() as u64);
        // Never more than the chunk's own length.
        let chunk = &chunk[..admitted as usize];
        let tail = if last { response.end() } else { b"" };
        let (head, line, after) = response.parts(with_head, admitted);
        let parts = [head, line, chunk, after, tail];
        let mut slices = [IoSlice::new(b""); 5];
        let mut used = 0;
        if parts.iter().map(|part| part.len()).sum::<usize>() <= JOINED {
            // Copying so little is cheaper than a gathered send.
            answer.joined.clear();
            parts
                .iter()
                .for_each(|part| answer.joined.extend_from_slice(part));
            slices[0] = IoSlice::new(&answer.joined);
            used = 1;
        } else {
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                slices[used] = IoSlice::new(part);
                used += 1;
            }
        }
        let mut parts = &mut slices[..used];
        let socket = &connection.socket;
        let mut sent = socket::send(socket, &mut parts);
        if sent
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            let patience = self.patience();
            if interpreter.is_cooperative() {
                let would_block = |sent: &io::Result<()>| {
                    let error = sent.as_ref().err().map(io::Error::kind);
                    error == Some(io::ErrorKind::WouldBlock)
                };
                while would_block(&sent) {
                    sent = match interpreter.wait(socket.as_fd(), Readiness::Write, patience) {
                        true => socket::send(socket, &mut parts),
                        false => Err(io::ErrorKind::TimedOut.into()),
                    };
                }
            } else {
                interpreter.unlocked(&mut || {
                    sent = socket::send_patiently(socket, &mut parts, patience);
                });
            }
        }
        sent.map_err(|error| {
            let error = write_error(&error);
            answer.response.abandon();
            answer.broken = Some(error);
            error
        })
    }

    /// For one wait. HTTP clients are people: a socket with a large buffer is writable again only
    /// after they have taken a third of it.
    pub(crate) fn patience(&self) -> Duration {
        let settings = self.worker.settings();
        match self.request.protocol {
            Protocol::Uwsgi => settings.socket_timeout,
            Protocol::Http => settings.socket_timeout.max(settings.http_timeout),
        }
    }

    /// Whether the answer was cut because the client took nothing.
    pub(crate) fn has_stalled(&self, answer: &Answer) -> bool {
        answer.broken == Some(WriteError::TimedOut) && !self.claim.is_late()
    }

    /// Sends what is still missing of the answer, without the interpreter. The exchange stays
    /// whole until [`Exchange::release`], for the log.
    pub(crate) fn end(&self) -> MutexGuard<'_, Answer> {
        // Another thread of the app may be in a write, which ends within socket-timeout.
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = self.patience();
        let late = self.claim.is_late().then(|| self.late().take());
        if let Some(bytes) = late.flatten() {
            answer.response.answered_by_us(504, &bytes);
            answer.broken = Some(WriteError::TimedOut);
        }
        if self.cut.load(Ordering::Acquire) {
            answer.fail(&self.worker, self.asked(), patience);
        }
        answer.end(&self.worker, self.asked(), patience);
        answer
    }
}
