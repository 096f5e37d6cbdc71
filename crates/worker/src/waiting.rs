//! One connection that the I/O thread keeps: what it waits for, how long, and what comes of it.

use std::io::{IoSlice, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters;
use imperator_core::settings::{Protocol, Settings};
use rustix::event::epoll::EventFlags;

use crate::arrival::{self, Arrival};
use crate::clock::Moment;
use crate::close::send_refusal;
use crate::connection::Connection;
use crate::context::WorkerContext;
use crate::handover::{Job, Wait, Waiting};
use crate::http;
use crate::refusal::Refusal;
use crate::request::{Framing, Request};
use crate::sending::{Sending, Step, Then};
use crate::socket::{self, Read};

/// An HTTP head must be whole within this, however long http-timeout is.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// A body that is waited for may take so long, and a second more for each [`BODY_RATE`] bytes.
const BODY_WAIT: Duration = Duration::from_secs(60);
const BODY_RATE: u64 = 16 * 1024;
/// A client that does not end after its answer is left after this.
const LINGER_WAIT: Duration = Duration::from_secs(5);
/// A drain gives clients that have said nothing at all this long to say it.
const SILENT_DRAIN: Duration = Duration::from_secs(1);
/// Room that a receive has at least.
const ROOM: usize = 4096;
/// One connection takes at most so much per turn, so that the others have theirs.
const TURN_BYTES: usize = 256 * 1024;

/// What happens to a connection next.
#[derive(Debug)]
pub(crate) enum Fate {
    Wait,
    /// An app thread can have it.
    Whole,
    /// The next bytes of its file are not in memory.
    Disk,
    Close,
    Refuse(Refusal),
}

#[derive(Debug)]
pub(crate) struct Parked {
    waiting: Waiting,
    /// Its total deadline: bytes do not move it.
    pub(crate) deadline: Moment,
    /// The body began: its deadline was set.
    in_body: bool,
    /// What the I/O thread's epoll set looks for.
    interest: Option<EventFlags>,
}

impl Parked {
    pub(crate) fn new(waiting: Waiting, settings: &Settings, now: Moment) -> Self {
        let mut parked = Self {
            deadline: now,
            waiting,
            in_body: false,
            interest: None,
        };
        parked.set_deadline(settings, now);
        parked.begin_body(settings, now);
        parked
    }

    /// A connection that was just accepted.
    pub(crate) fn accepted(connection: Connection, settings: &Settings, now: Moment) -> Self {
        let mut request = Request::new(ROOM);
        request.clear(connection.protocol);
        let waiting = Waiting {
            connection,
            request,
            wait: Wait::Head,
        };
        Self::new(waiting, settings, now)
    }

    /// A kept connection of which nothing was received.
    pub(crate) fn idle(connection: Connection, settings: &Settings, now: Moment) -> Self {
        let mut parked = Self::accepted(connection, settings, now);
        parked.waiting.wait = Wait::Idle;
        parked.set_deadline(settings, now);
        parked
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.waiting.connection.socket.as_fd()
    }

    /// Between two requests of a kept connection, with nothing received.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.waiting.wait, Wait::Idle) && self.waiting.request.buffer.is_empty()
    }

    /// It has asked nothing so far: no whole head came.
    pub(crate) fn has_no_head(&self) -> bool {
        matches!(self.waiting.wait, Wait::Head | Wait::Idle)
    }

    pub(crate) fn into_waiting(self) -> Waiting {
        self.waiting
    }

    pub(crate) fn into_job(self) -> Job {
        let Waiting {
            connection,
            request,
            wait,
        } = self.waiting;
        let spooled = match wait {
            Wait::Spool { file, .. } => Some(file),
            Wait::Head | Wait::Idle | Wait::Body | Wait::Chunks | Wait::Send(_) | Wait::Linger => {
                None
            }
        };
        Job {
            connection,
            request,
            spooled,
        }
    }

    /// Receives what is there, and looks at it.
    pub(crate) fn advance(&mut self, worker: &WorkerContext, now: Moment) -> Fate {
        if let Some(fate) = self.send_on(worker, now) {
            return fate;
        }
        let mut taken = 0;
        // What came with an earlier request is looked at before anything is received.
        let mut look = !self.waiting.request.buffer.is_empty();
        loop {
            if look {
                match self.look(worker, now) {
                    Fate::Wait => (),
                    fate @ (Fate::Whole | Fate::Disk | Fate::Close | Fate::Refuse(_)) => {
                        return fate;
                    }
                }
            }
            // After the look: when the turn's last bytes were the body's last, nothing wakes us.
            if taken >= TURN_BYTES {
                // Level-triggered: the rest wakes us again.
                return Fate::Wait;
            }
            match self.receive() {
                Ok(Read::Bytes(read)) => taken += read,
                Ok(Read::Nothing) => return Fate::Wait,
                Ok(Read::End) => return self.ended(),
                Err(error) => {
                    let reason = format!("post-buffering cannot keep the body: {error}");
                    return Fate::Refuse(Refusal::new(500, reason));
                }
            }
            look = true;
        }
    }

    /// Sends more of a file; `None` when there is nothing (more) to send.
    fn send_on(&mut self, worker: &WorkerContext, now: Moment) -> Option<Fate> {
        let Wait::Send(sending) = &mut self.waiting.wait else {
            return None;
        };
        let socket = &self.waiting.connection.socket;
        let before = sending.at();
        let core = sending.core;
        match sending.step(socket) {
            Step::More => {
                // As for an app's answer: each wait has its own deadline.
                if sending.at() > before {
                    self.deadline = now.after(sending.patience);
                }
                return Some(Fate::Wait);
            }
            Step::Disk => return Some(Fate::Disk),
            Step::Failed(_) => {
                let counters = worker.counters();
                let errors = counters.core(core, counters::Core::WriteErrors);
                errors.fetch_add(1, Ordering::Relaxed);
                return Some(Fate::Close);
            }
            Step::Done => (),
        }
        match sending.then {
            Then::Next if worker.is_draining() => return Some(Fate::Close),
            Then::Next => self.waiting.wait = Wait::Idle,
            Then::Close => return Some(Fate::Close),
            Then::Linger => {
                let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
                self.waiting.wait = Wait::Linger;
            }
        }
        self.set_deadline(worker.settings(), now);
        None
    }

    /// What the connection waits to be able to do, if that is not what it waited for before.
    pub(crate) fn new_interest(&mut self) -> Option<EventFlags> {
        let interest = match self.waiting.wait {
            Wait::Send(_) => EventFlags::OUT,
            Wait::Head
            | Wait::Idle
            | Wait::Body
            | Wait::Spool { .. }
            | Wait::Chunks
            | Wait::Linger => EventFlags::IN,
        };
        (self.interest.replace(interest) != Some(interest)).then_some(interest)
    }

    /// The rest of a file that its client does not take.
    pub(crate) fn sending(&self) -> Option<&Sending> {
        match &self.waiting.wait {
            Wait::Send(sending) => Some(sending),
            Wait::Head
            | Wait::Idle
            | Wait::Body
            | Wait::Spool { .. }
            | Wait::Chunks
            | Wait::Linger => None,
        }
    }

    fn receive(&mut self) -> std::io::Result<Read> {
        let Waiting {
            connection,
            request,
            wait,
        } = &mut self.waiting;
        match wait {
            Wait::Send(_) => Ok(Read::Nothing),
            Wait::Linger => {
                let mut away = Vec::with_capacity(ROOM);
                Ok(socket::receive(&connection.socket, &mut away))
            }
            Wait::Spool { file, left } => {
                let at_most = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(TURN_BYTES / 4);
                let mut bytes = Vec::new();
                let read = socket::receive_at_most(&connection.socket, &mut bytes, at_most);
                file.write_all(&bytes)?;
                *left -= bytes.len() as u64;
                Ok(read)
            }
            Wait::Body => {
                let Framing::Length(length) = request.framing else {
                    return Ok(Read::End);
                };
                let missing = length.saturating_sub(request.body_here().len() as u64);
                // At most what arrival allows in memory.
                let missing = missing as usize;
                Ok(socket::receive_at_most(
                    &connection.socket,
                    &mut request.buffer,
                    missing,
                ))
            }
            Wait::Head | Wait::Idle | Wait::Chunks => {
                if request.buffer.capacity() == request.buffer.len() {
                    request.buffer.reserve(ROOM);
                }
                Ok(socket::receive(&connection.socket, &mut request.buffer))
            }
        }
    }

    fn look(&mut self, worker: &WorkerContext, now: Moment) -> Fate {
        let Waiting {
            connection,
            request,
            wait,
        } = &mut self.waiting;
        let arrival = match wait {
            Wait::Head | Wait::Idle => arrival::look(request, worker, connection),
            Wait::Body => {
                let here = request.body_here().len() as u64;
                return match request.framing {
                    Framing::Length(length) if here < length => Fate::Wait,
                    Framing::Length(_) | Framing::Chunked => Fate::Whole,
                };
            }
            Wait::Spool { left: 1.., .. } => return Fate::Wait,
            Wait::Spool { file, .. } => {
                return match file.rewind() {
                    Ok(()) => Fate::Whole,
                    Err(error) => Fate::Refuse(Refusal::new(500, error.to_string())),
                };
            }
            Wait::Chunks => match http::whole_chunks(request, &worker.limits) {
                Ok(http::Chunks::More) => return Fate::Wait,
                Ok(http::Chunks::Whole | http::Chunks::TooLong) => return Fate::Whole,
                Err(refusal) => Err(refusal),
            },
            Wait::Send(_) | Wait::Linger => return Fate::Wait,
        };
        match arrival {
            Ok(Arrival::Whole) => Fate::Whole,
            Ok(Arrival::Incomplete(next)) => {
                self.next(next, worker, now);
                Fate::Wait
            }
            Err(refusal) => Fate::Refuse(refusal),
        }
    }

    fn next(&mut self, next: Wait, worker: &WorkerContext, now: Moment) {
        let was_idle = matches!(self.waiting.wait, Wait::Idle);
        self.waiting.wait = next;
        if was_idle && matches!(self.waiting.wait, Wait::Head) {
            self.set_deadline(worker.settings(), now);
        }
        self.begin_body(worker.settings(), now);
    }

    /// Once: the body's own deadline, and the word that the client may wait for.
    fn begin_body(&mut self, settings: &Settings, now: Moment) {
        let body = match self.waiting.wait {
            Wait::Body | Wait::Spool { .. } | Wait::Chunks => true,
            Wait::Head | Wait::Idle | Wait::Send(_) | Wait::Linger => false,
        };
        if !body || std::mem::replace(&mut self.in_body, true) {
            return;
        }
        if std::mem::take(&mut self.waiting.request.expects_continue) {
            let mut parts = [IoSlice::new(crate::body::CONTINUE)];
            let _ = socket::send(&self.waiting.connection.socket, &mut &mut parts[..]);
        }
        self.set_deadline(settings, now);
    }

    fn set_deadline(&mut self, settings: &Settings, now: Moment) {
        let wait = match &self.waiting.wait {
            Wait::Head => match self.waiting.connection.protocol {
                Protocol::Uwsgi => settings.socket_timeout,
                Protocol::Http => {
                    let asked = settings.http.head_timeout;
                    asked.unwrap_or(settings.http_timeout).min(HEAD_WAIT)
                }
            },
            Wait::Idle => settings.http_keepalive.unwrap_or(Duration::ZERO),
            Wait::Body | Wait::Spool { .. } | Wait::Chunks => {
                let bytes = match self.waiting.request.framing {
                    Framing::Length(length) => length,
                    Framing::Chunked => arrival::WHOLE_BODY,
                };
                BODY_WAIT + Duration::from_secs(bytes / BODY_RATE)
            }
            Wait::Send(sending) => sending.patience,
            Wait::Linger => LINGER_WAIT,
        };
        self.deadline = now.after(wait);
    }

    /// The worker drains: who has not begun a request has little time to do so.
    pub(crate) fn hurry(&mut self, now: Moment) {
        let silent = match self.waiting.wait {
            Wait::Head | Wait::Idle | Wait::Linger => self.waiting.request.buffer.is_empty(),
            Wait::Body | Wait::Spool { .. } | Wait::Chunks | Wait::Send(_) => false,
        };
        if silent {
            self.deadline = self.deadline.min(now.after(SILENT_DRAIN));
        }
    }

    /// The client closed its side.
    fn ended(&self) -> Fate {
        match self.waiting.wait {
            Wait::Linger | Wait::Idle | Wait::Send(_) => Fate::Close,
            Wait::Head if self.waiting.request.buffer.is_empty() => Fate::Close,
            Wait::Head => Fate::Refuse(Refusal::bad("the request ends in the middle")),
            Wait::Body | Wait::Spool { .. } | Wait::Chunks => Fate::Refuse(Refusal::new(
                400,
                "the request's body is shorter than it says",
            )),
        }
    }

    pub(crate) fn overdue(&self) -> Fate {
        match self.waiting.wait {
            Wait::Linger | Wait::Idle | Wait::Send(_) => Fate::Close,
            // Nothing was asked.
            Wait::Head if self.waiting.request.buffer.is_empty() => Fate::Close,
            Wait::Head | Wait::Body | Wait::Spool { .. } | Wait::Chunks => {
                Fate::Refuse(Refusal::too_slow())
            }
        }
    }

    /// Answers, says that no more comes, and waits for the client's end.
    pub(crate) fn refuse(mut self, worker: &WorkerContext, refusal: &Refusal) -> Self {
        let head_only = self.waiting.request.head_only;
        let socket = &self.waiting.connection.socket;
        send_refusal(socket, refusal, &worker.dress, head_only);
        let _ = rustix::net::shutdown(
            &self.waiting.connection.socket,
            rustix::net::Shutdown::Write,
        );
        self.waiting.wait = Wait::Linger;
        self.waiting.request = Request::new(0);
        self.deadline = Moment::now().after(LINGER_WAIT);
        self
    }
}
