//! The loop of one app thread: accept, receive, call the app, close. In the steady state a request
//! behind a front end costs four system calls; everything that waits goes to the I/O thread.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters;
use imperator_core::message::FromWorker;
use imperator_core::settings::Protocol;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFlags, Timespec};
use rustix::io::Errno;

use crate::app::App;
use crate::arrival::{self, Arrival};
use crate::clock::{Epoch, Moment};
use crate::connection::Connection;
use crate::context::{WorkerContext, token};
use crate::exchange::Exchange;
use crate::front::Answered;
use crate::handover::{Job, Wait};
use crate::lifecycle::{Event, Phase};
use crate::log::{Outcome, RequestLog};
use crate::request::Request;
use crate::{close, socket};

/// The main thread looks after the app's own signal handlers at least so often: one that came just
/// before the wait began does not interrupt it.
const SIGNALS_WAIT: Duration = Duration::from_secs(1);
/// A thread without an event looks around at least so often.
const IDLE_WAIT: Duration = Duration::from_secs(30);
/// A front end connects and then sends, microseconds apart: waiting for that here is cheaper than
/// the I/O thread, and a peer that sends nothing costs no more than this.
const CONNECT_GAP: Duration = Duration::from_millis(1);
/// Descriptors or memory ran out: accepting waits, what is being served may give some back.
const SHORTAGE_WAIT: Duration = Duration::from_millis(50);

/// Kept connections are looked for after so many turns at the latest, however many others there are.
const BLIND_TURNS: u32 = 16;
/// One look at the set brings so much.
const EVENTS: usize = 16;

/// The loop of one app thread. Call it with the interpreter held, on the main thread with core 0
/// and on one more thread per core; returns when the worker has drained.
///
/// Unlike the original's, no thread blocks signals: what the app starts from one would inherit the
/// mask, and `Popen.terminate()` would not end it. The kernel gives a signal of the process to its
/// main thread first (signal(7)), where the interpreter runs the app's handlers.
pub fn serve(worker: &Arc<WorkerContext>, core: usize, app: &impl App) {
    let Some(mut thread) = AppThread::join(worker, core) else {
        return;
    };
    loop {
        let mut next = Next::Drained;
        app.unlocked(&mut || next = thread.next());
        match next {
            Next::Request => {
                worker.busy.fetch_add(1, Ordering::AcqRel);
                app.call(&thread.seat.exchange);
                worker.busy.fetch_sub(1, Ordering::AcqRel);
            }
            Next::Interrupted => {
                if core == 0 {
                    app.signals();
                }
            }
            Next::Drained => return,
        }
        thread.seat.called = next == Next::Request;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// `exchange` holds one.
    Request,
    Interrupted,
    Drained,
}

/// Takes requests, and has a seat for one.
pub(crate) struct AppThread<'a> {
    worker: &'a Arc<WorkerContext>,
    pub(crate) set: Arc<OwnedFd>,
    /// The listener to try first, so that none starves.
    first: usize,
    /// Whose turn it is when several kinds of work wait.
    turn: Turn,
    /// Connections may wait to be accepted: one was, or the set says so.
    knocks: bool,
    /// It was woken for a connection while a sibling runs the app.
    is_second: bool,
    /// Kept connections whose events came.
    ready: VecDeque<u64>,
    /// Turns since the set was looked at.
    blind_turns: u32,
    pub(crate) seat: Seat,
}

/// What one request at a time needs.
pub(crate) struct Seat {
    pub(crate) core: usize,
    pub(crate) exchange: Arc<Exchange>,
    /// The exchange was given to the app and is not ended yet.
    pub(crate) called: bool,
    log: RequestLog,
    epoch: Epoch,
}

impl Seat {
    pub(crate) fn new(worker: &Arc<WorkerContext>, core: usize) -> Self {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        worker
            .counters()
            .core(core, counters::Core::Tid)
            .store(u64::from(tid.unsigned_abs()), Ordering::Relaxed);
        Self {
            core,
            exchange: Arc::new(Exchange::new(Arc::clone(worker), core)),
            called: false,
            log: RequestLog::new(worker, core),
            epoch: Epoch::default(),
        }
    }
}

impl<'a> AppThread<'a> {
    pub(crate) fn join(worker: &'a Arc<WorkerContext>, core: usize) -> Option<Self> {
        let set = match worker.join() {
            Ok(set) => set,
            Err(error) => {
                worker.tell(&FromWorker::Note {
                    text: format!("core {core} cannot wait for requests: {error}"),
                });
                return None;
            }
        };
        let seat = Seat::new(worker, core);
        worker.announce();
        Some(Self {
            worker,
            set,
            first: 0,
            turn: Turn::Connection,
            knocks: true,
            is_second: false,
            ready: VecDeque::new(),
            blind_turns: 0,
            seat,
        })
    }

    /// Ends the last request, then waits for the next one. Without the interpreter.
    fn next(&mut self) -> Next {
        self.free_seat();
        loop {
            match self.look() {
                Some(Found::Request) => return Next::Request,
                Some(Found::Other) => (),
                Some(Found::Nothing) => {
                    if let Some(next) = self.wait() {
                        return next;
                    }
                }
                None => return Next::Drained,
            }
        }
    }

    /// Ends the last request.
    pub(crate) fn free_seat(&mut self) {
        if std::mem::take(&mut self.seat.called) {
            self.worker.set_running(self.seat.core, None);
            self.end_request(false);
        }
        // The app may have kept the last exchange.
        if Arc::get_mut(&mut self.seat.exchange).is_none() {
            let exchange = Exchange::new(Arc::clone(self.worker), self.seat.core);
            self.seat.exchange = Arc::new(exchange);
        }
    }

    /// Whether there is something to do now; `None`: not any more.
    pub(crate) fn look(&mut self) -> Option<Found> {
        match self.worker.phase() {
            Phase::Accepting => Some(self.any()),
            Phase::Finishing => {
                self.knocks = true;
                let found = self.any();
                if found == Found::Nothing {
                    self.worker.post(Event::BacklogEmpty);
                }
                Some(found)
            }
            Phase::Paused => Some(match self.job() {
                Found::Nothing => self.kept(),
                found @ (Found::Request | Found::Other) => found,
            }),
            Phase::Draining => {
                let found = self.job();
                let is_drained = found == Found::Nothing && self.worker.handover.held() == 0;
                (!is_drained).then_some(found)
            }
        }
    }

    /// Takes the events that woke the set, so that it is quiet until the next one.
    pub(crate) fn hush(&mut self) {
        let _ = self.wait_for(Duration::ZERO, false);
    }

    fn any(&mut self) -> Found {
        self.blind_turns += 1;
        if self.blind_turns >= BLIND_TURNS && self.worker.keeps_any() {
            self.hush();
        }
        for _ in 0..3 {
            let (found, next) = match self.turn {
                Turn::Job => (self.job(), Turn::Kept),
                Turn::Kept => (self.kept(), Turn::Connection),
                Turn::Connection => (self.connection(), Turn::Job),
            };
            self.turn = next;
            if found != Found::Nothing {
                return found;
            }
        }
        Found::Nothing
    }

    /// Receives the next request of a kept connection.
    fn kept(&mut self) -> Found {
        while let Some(token) = self.ready.pop_front() {
            if let Some(connection) = self.worker.take_kept(token) {
                return self.receive(connection);
            }
        }
        Found::Nothing
    }

    /// Takes a whole request from the I/O thread.
    fn job(&mut self) -> Found {
        let Some(job) = self.worker.handover.pop() else {
            return Found::Nothing;
        };
        self.worker.let_go();
        let Job {
            connection,
            request,
            spooled,
        } = job;
        exclusive(&mut self.seat.exchange).request = request;
        self.begin(connection, spooled)
    }

    /// Accepts one connection and receives once.
    fn connection(&mut self) -> Found {
        if !std::mem::take(&mut self.knocks) {
            return Found::Nothing;
        }
        let worker = self.worker;
        let count = worker.listeners.len();
        for turn in 0..count {
            let index = (self.first + turn) % count;
            let accepted = match worker.accept(index) {
                Ok(connection) => connection,
                Err(Errno::AGAIN) => {
                    worker.owe_nothing(index);
                    continue;
                }
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {
                    self.knocks = true;
                    return Found::Other;
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    let shortage = worker.counters().worker(counters::Worker::ShortageMillis);
                    shortage.store(Moment::now().millis(), Ordering::Relaxed);
                    // The order event wakes it early; else it tries again after the pause.
                    let _ = self.wait_for(SHORTAGE_WAIT, true);
                    self.knocks = true;
                    return Found::Other;
                }
                // Closed by the I/O thread: the phase says why.
                Err(_) => continue,
            };
            self.first = index + 1;
            self.knocks = true;
            if std::mem::take(&mut self.is_second) {
                worker.step_back(&self.set);
            }
            return self.receive(accepted);
        }
        Found::Nothing
    }

    fn receive(&mut self, mut connection: Connection) -> Found {
        let worker = self.worker;
        let room = worker.receive_room();
        let request = &mut exclusive(&mut self.seat.exchange).request;
        request.clear(connection.protocol);
        if request.buffer.capacity() < room {
            request.buffer.reserve(room);
        }
        let mut read = socket::receive(&connection.socket, &mut request.buffer);
        if read == socket::Read::Nothing
            && connection.protocol == Protocol::Uwsgi
            && socket::wait(&connection.socket, PollFlags::IN, CONNECT_GAP)
        {
            read = socket::receive(&connection.socket, &mut request.buffer);
        }
        let wait = match read {
            socket::Read::Bytes(_) => match arrival::look(request, worker, &mut connection) {
                Ok(Arrival::Whole) => return self.begin(connection, None),
                Ok(Arrival::Incomplete(wait)) => wait,
                Err(refusal) => {
                    worker.count_refusal(&refusal);
                    close::refuse(worker, connection, &refusal, request.head_only);
                    return Found::Other;
                }
            },
            // Its event was an old one.
            socket::Read::Nothing if connection.ticket.is_some() => {
                worker.keep(connection, Moment::now());
                return Found::Other;
            }
            socket::Read::Nothing => Wait::Head,
            // A health check that only connects; nothing was asked, nothing is answered.
            socket::Read::End => return Found::Other,
        };
        let request = if request.buffer.is_empty() {
            // This thread keeps its room.
            let mut empty = Request::new(0);
            empty.clear(connection.protocol);
            empty
        } else {
            std::mem::replace(request, Request::new(0))
        };
        close::park(worker, connection, request, wait);
        Found::Other
    }

    fn begin(&mut self, connection: Connection, spooled: Option<std::fs::File>) -> Found {
        let now = Moment::now();
        let worker = self.worker;
        let exchange = exclusive(&mut self.seat.exchange);
        exchange.begin(connection, spooled, now);
        let request = &exchange.request;
        if request.ignored != 0 {
            worker
                .counters()
                .worker(counters::Worker::LoaderVars)
                .fetch_add(u64::from(request.ignored.count_ones()), Ordering::Relaxed);
            worker.report_ignored(request.ignored, request.ignored_names());
        }
        let counters = worker.counters();
        counters.set_line(self.seat.core, self.seat.log.harakiri_line(request));
        counters
            .core(self.seat.core, counters::Core::StartEpoch)
            .store(self.seat.epoch.seconds(now), Ordering::Relaxed);
        counters
            .core(self.seat.core, counters::Core::StartMillis)
            .store(now.millis().max(1), Ordering::Release);
        if let Some(front) = &worker.front {
            let answered = front.answer(worker, exclusive(&mut self.seat.exchange));
            if answered == Answered::ByFile {
                counters
                    .core(self.seat.core, counters::Core::StaticRequests)
                    .fetch_add(1, Ordering::Relaxed);
            }
            if answered != Answered::No {
                self.end_request(true);
                return Found::Other;
            }
        }
        self.worker
            .set_running(self.seat.core, Some(&self.seat.exchange));
        Found::Request
    }

    /// Closes the connection or hands it on, then counts and logs.
    fn end_request(&mut self, without_app: bool) {
        let exchange = &self.seat.exchange;
        let request = &exchange.request;
        let mut answer = exchange.end();
        let now = Moment::now();
        let micros = now.since(exchange.started_at);
        let outcome = Outcome::of(&answer, micros, without_app);
        if !outcome.failed && !outcome.write_failed {
            let response = &answer.response;
            let (cut, missing) = (response.cut_bytes, response.missing_bytes());
            self.worker.note_length(request, cut, missing);
        }
        if exchange.has_stalled(&answer) {
            self.worker.note_stalled(request, exchange.patience());
        }
        if let Some(connection) = answer.connection.take() {
            close::after_answer(self.worker, connection, request, &mut answer, now);
        }
        let notes = std::mem::take(&mut answer.notes);
        drop(answer);
        let total = self.count(&outcome, now);
        let app_requests = match without_app {
            true => 0,
            false => self.worker.app_requests.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let counts = (app_requests, total);
        self.seat
            .log
            .write(self.worker, request, &outcome, counts, &notes);
        self.worker.check_wear(total);
        self.worker.reap_children();
    }

    /// The worker's requests so far, this one included.
    fn count(&self, outcome: &Outcome, now: Moment) -> u64 {
        let counters = self.worker.counters();
        let add = |word, by: u64| {
            if by != 0 {
                counters.worker(word).fetch_add(by, Ordering::Relaxed);
            }
        };
        let add_core = |word, by: bool| {
            if by {
                counters
                    .core(self.seat.core, word)
                    .fetch_add(1, Ordering::Relaxed);
            }
        };
        counters
            .core(self.seat.core, counters::Core::StartMillis)
            .store(0, Ordering::Release);
        add(counters::Worker::Exceptions, outcome.failed.into());
        add(
            counters::Worker::TxBytes,
            outcome.head_bytes + outcome.body_bytes,
        );
        add(counters::Worker::RunningMicros, outcome.micros);
        let average = counters.worker(counters::Worker::AvgMicros);
        let last = average.load(Ordering::Relaxed);
        average.store((last + outcome.micros) / 2, Ordering::Relaxed);
        counters
            .worker(counters::Worker::LastRequestMillis)
            .store(now.millis(), Ordering::Relaxed);
        add_core(counters::Core::Requests, true);
        add_core(counters::Core::Exceptions, outcome.failed);
        add_core(counters::Core::WriteErrors, outcome.write_failed);
        add_core(counters::Core::ReadErrors, outcome.read_failed);
        let requests = counters.worker(counters::Worker::Requests);
        let requests = requests.fetch_add(1, Ordering::Relaxed) + 1;
        counters.window(now.millis(), requests);
        requests
    }

    /// A connection wakes one thread of all workers (EPOLLEXCLUSIVE), so who is woken for one takes
    /// it before anything else; for what it must leave, it wakes its siblings.
    fn woken(&mut self, events: &[epoll::Event]) {
        let count = |of: fn(u64) -> bool| {
            let tokens = events.iter().map(|event| event.data.u64());
            tokens.filter(|&token| of(token)).count()
        };
        let jobs = count(|token| token == token::JOB);
        let connections = count(|token| token < token::KEPT);
        let kept = token::KEPT..token::JOB;
        for token in events.iter().map(|event| event.data.u64()) {
            match kept.contains(&token) {
                true => self.ready.push_back(token),
                // A sibling's order may be about a connection that it must leave.
                false => self.knocks = true,
            }
        }
        if connections > 0 {
            self.turn = Turn::Connection;
            self.is_second = self.worker.busy.load(Ordering::Acquire) > 0;
        }
        if jobs + connections > 1 {
            for event in events.iter().filter(|_| connections > 1) {
                let token = event.data.u64();
                if token < token::KEPT {
                    self.worker.owe(token);
                }
            }
            self.worker.wake_threads();
        }
    }

    fn wait(&mut self) -> Option<Next> {
        let patience = match self.seat.core {
            0 => SIGNALS_WAIT,
            _ => IDLE_WAIT,
        };
        let waited = self.wait_for(patience, false);
        self.knocks |= waited != Waited::Event;
        match waited {
            // The main thread gives the app's signal handlers their turn.
            Waited::Interrupted | Waited::Nothing if self.seat.core == 0 => Some(Next::Interrupted),
            Waited::Interrupted | Waited::Nothing | Waited::Event => None,
        }
    }

    /// `blind`: connections that wait do not end the wait.
    fn wait_for(&mut self, patience: Duration, blind: bool) -> Waited {
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        if blind {
            let _ = rustix::event::poll(&mut [], Some(&timeout));
            return Waited::Nothing;
        }
        let empty = epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(token::ORDER),
        };
        let mut events = [empty; EVENTS];
        self.blind_turns = 0;
        match epoll::wait(self.set.as_ref(), &mut events[..], Some(&timeout)) {
            Ok(0) => Waited::Nothing,
            Ok(ready) => {
                self.woken(&events[..ready]);
                Waited::Event
            }
            Err(_) => Waited::Interrupted,
        }
    }
}

impl Drop for AppThread<'_> {
    fn drop(&mut self) {
        self.worker.leave(&self.set);
    }
}

/// The kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A whole request of the I/O thread.
    Job,
    /// The next request of a kept connection.
    Kept,
    /// A new connection.
    Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Request,
    /// Something was done that needs no app.
    Other,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Event,
    Interrupted,
    Nothing,
}

/// `next` has made sure that nobody else holds the exchange.
fn exclusive(exchange: &mut Arc<Exchange>) -> &mut Exchange {
    Arc::get_mut(exchange).expect("checked at the start of the turn")
}
