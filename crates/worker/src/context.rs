//! One worker: what it was set up with, and how its threads and the master hear of each other.

mod notes;
mod wear;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imperator_core::counters::{self, Counters};
use imperator_core::message::{FromWorker, Setup};
use imperator_core::packet::HEADER_BYTES;
use imperator_core::settings::{Protocol, Settings};
use imperator_process::channel::Channel;
use imperator_process::shared::SharedWords;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFlags};
use rustix::io::Errno;

use crate::additions::Dress;
use crate::clock::Moment;
use crate::connection::Connection;
use crate::crew::Crew;
use crate::deadlines::Deadlines;
use crate::front::Front;
use crate::handover::{Handover, MAX_WAITING, ring};
use crate::kept::Kept;
use crate::lifecycle::{Event, Phase};
use crate::listener::Listener;
use crate::request::Limits;
use crate::signals::Signals;
use crate::tls::{self, Terminal};
use crate::{io_thread, socket};

pub(crate) use self::notes::Slow;

/// What one receive may bring beside the head: most bodies come with it.
const BODY_ROOM: usize = 16 * 1024;
/// How long a message to a master that does not read may wait.
const TELL_WAIT: Duration = Duration::from_secs(1);

/// What a worker is built from, after the last fork.
pub struct Parts {
    /// As it came from the master; for a forked worker with `worker` filled in.
    pub setup: Setup,
    /// One per entry of `setup.listeners`.
    pub listeners: Vec<OwnedFd>,
    /// The memfd that came with `Setup` or `Fork`.
    pub counters: OwnedFd,
    /// This worker's own channel to the master.
    pub channel: Channel,
    /// `None`: request lines are dropped.
    pub request_log: Option<OwnedFd>,
    pub signals: Signals,
    /// Where the language writes stacks on `imperator_process::signals::stack_dump`; `None`: it would
    /// die of that signal.
    pub stacks: Option<OwnedFd>,
}

/// One worker, shared by its threads.
pub struct WorkerContext {
    setup: Setup,
    pub(crate) pid: u32,
    pub(crate) limits: Limits,
    /// What the config says of every answer.
    pub(crate) dress: Dress,
    /// What answers before the app; `None`: nothing does.
    pub(crate) front: Option<Box<Front>>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) hostname: String,
    counters: SharedWords,
    pub(crate) channel: Channel,
    pub(crate) request_log: Option<OwnedFd>,
    phase: AtomicU8,
    pub(crate) handover: Handover,
    pub(crate) kept: Arc<Kept>,
    /// Where TLS ends; `None`: no listener speaks it.
    pub(crate) terminal: Option<Terminal>,
    /// Edge-triggered in every app thread's epoll set: one write wakes them all.
    order: OwnedFd,
    /// The app threads' epoll sets. The lock also orders phases and their effects on the sets.
    threads: Mutex<Vec<Arc<OwnedFd>>>,
    events: Mutex<Vec<Event>>,
    /// App threads inside [`crate::serve`].
    pub(crate) serving: AtomicUsize,
    /// Those of them that are inside the app.
    pub(crate) busy: AtomicUsize,
    /// Listeners with a connection for which one of our threads was woken and that it had to leave:
    /// bits by index (mod 64).
    owed: AtomicU64,
    /// Requests that the app saw.
    pub(crate) app_requests: AtomicU64,
    pub(crate) deadlines: Deadlines,
    /// Loader variables that were reported already: bits.
    reported: AtomicU16,
    /// What was noted already: bits by status (mod 64), and `notes` has some more.
    noted: AtomicU64,
    pub(crate) crew: Crew,
    announced: AtomicBool,
    pub(crate) worn: AtomicBool,
    pub(crate) dismissed: AtomicBool,
    started: Moment,
}

/// How often an app thread looks whether the I/O thread has made room, and after how long each time.
const ROOM_LOOKS: u32 = 20;
const ROOM_LOOK: Duration = Duration::from_millis(5);

/// Half of the descriptors at most: the app needs some as well.
fn places() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let half = limit.current.map_or(u64::MAX, |current| current / 2);
    usize::try_from(half)
        .unwrap_or(MAX_WAITING)
        .clamp(1, MAX_WAITING)
}

/// What an app thread's epoll set tells apart.
pub(crate) mod token {
    pub(crate) const ORDER: u64 = u64::MAX;
    pub(crate) const JOB: u64 = u64::MAX - 1;
    /// Kept connections count from here; below are listeners.
    pub(crate) const KEPT: u64 = 1 << 32;
}

impl WorkerContext {
    /// Maps the counters and starts the I/O thread. Call it in the process that serves, after the
    /// app is loaded: no thread of ours may exist at a fork.
    ///
    /// # Errors
    /// What mapping the counters or starting the thread says.
    pub fn start(parts: Parts) -> io::Result<Arc<Self>> {
        let Parts { setup, .. } = parts;
        let counters = SharedWords::map(&parts.counters)?;
        let cores = setup.settings.cores();
        if counters.words().len() < counters::words(cores) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Counters::init(counters.words(), cores);
        parts.channel.set_nonblocking(true)?;
        let listeners: Vec<Listener> = setup
            .listeners
            .iter()
            .zip(parts.listeners)
            .enumerate()
            .map(|(index, (held, socket))| {
                let pem = setup.tls.get(index).and_then(Option::as_ref);
                Listener::new(held, socket, &setup.settings, pem)
            })
            .collect::<io::Result<_>>()?;
        let speaks_tls = listeners.iter().any(|listener| listener.tls.is_some());
        let hostname = rustix::system::uname();
        let deadlines = Deadlines::new(&setup.settings, parts.stacks);
        let worker = Arc::new(Self {
            limits: Limits::of(&setup.settings),
            dress: Dress::new(&setup.settings.answers),
            front: Front::new(&setup.settings).map(Box::new),
            setup,
            pid: std::process::id(),
            listeners,
            hostname: hostname.nodename().to_string_lossy().into_owned(),
            counters,
            channel: parts.channel,
            request_log: parts.request_log,
            phase: AtomicU8::new(Phase::Accepting as u8),
            handover: Handover::new(places())?,
            kept: Arc::default(),
            terminal: speaks_tls.then(Terminal::new).transpose()?,
            order: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            threads: Mutex::default(),
            events: Mutex::default(),
            serving: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            owed: AtomicU64::new(0),
            app_requests: AtomicU64::new(0),
            deadlines,
            reported: AtomicU16::new(0),
            noted: AtomicU64::new(0),
            crew: Crew::default(),
            announced: AtomicBool::new(false),
            worn: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            started: Moment::now(),
        });
        io_thread::start(Arc::clone(&worker), parts.signals)?;
        if speaks_tls {
            tls::start(&worker)?;
        }
        Ok(worker)
    }

    pub fn settings(&self) -> &Settings {
        &self.setup.settings
    }

    /// The worker's number, from 1.
    pub fn id(&self) -> u32 {
        self.setup.worker.unwrap_or(0)
    }

    pub(crate) fn mercy(&self) -> Duration {
        self.setup.mercy
    }

    pub fn counters(&self) -> Counters<'_> {
        // `start` wrote this layout, and the memory is sealed against shrinking.
        Counters::open(self.counters.words()).expect("we wrote this layout ourselves")
    }

    /// Says something to the master; a master that is gone hears nothing.
    pub fn tell(&self, message: &FromWorker) {
        let Err(error) = self.channel.send(message, &[]) else {
            return;
        };
        if error.kind() == io::ErrorKind::WouldBlock
            && socket::wait(&self.channel, PollFlags::OUT, TELL_WAIT)
        {
            let _ = self.channel.send(message, &[]);
        }
    }

    /// Asks the master for a replacement; the worker goes on until told, or drains alone when the
    /// master says nothing for a second. Only the first call is heard.
    pub fn ask_to_drain(&self, why: &str) {
        self.post(Event::Signalled(why.to_owned()));
    }

    /// Whether the worker no longer accepts: an app may ask.
    pub fn is_draining(&self) -> bool {
        self.phase() == Phase::Draining
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::Acquire))
    }

    /// Tells the I/O thread something.
    pub(crate) fn post(&self, event: Event) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
        ring(&self.handover.wake);
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes all app threads.
    pub(crate) fn wake_threads(&self) {
        ring(&self.order);
    }

    /// Makes the epoll set of a new app thread.
    pub(crate) fn join(&self) -> io::Result<Arc<OwnedFd>> {
        let set = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let order = EventData::new_u64(token::ORDER);
        epoll::add(&set, &self.order, order, EventFlags::IN | EventFlags::ET)?;
        let job = EventData::new_u64(token::JOB);
        let one = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(&set, &self.handover.jobs_event, job, one)?;
        let mut threads = self.threads();
        if self.phase().accepts() {
            self.listen(&set)?;
        }
        threads.push(Arc::clone(&set));
        self.serving.fetch_add(1, Ordering::AcqRel);
        Ok(set)
    }

    /// An app thread has ended.
    pub(crate) fn leave(&self, set: &Arc<OwnedFd>) {
        let mut threads = self.threads();
        threads.retain(|thread| !Arc::ptr_eq(thread, set));
        self.serving.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn threads(&self) -> MutexGuard<'_, Vec<Arc<OwnedFd>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, set: &OwnedFd) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            let data = EventData::new_u64(index as u64);
            let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
            match epoll::add(set, &listener.socket, data, flags) {
                Ok(()) | Err(Errno::EXIST) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The phase, for all app threads at once, busy ones too: their epoll sets are changed from
    /// here. Only the I/O thread calls this.
    pub(crate) fn enter(&self, phase: Phase) -> io::Result<()> {
        let threads = self.threads();
        self.phase.store(phase as u8, Ordering::Release);
        for set in threads.iter() {
            if phase.accepts() {
                self.listen(set)?;
            } else {
                for listener in &self.listeners {
                    let _ = epoll::delete(set.as_ref(), &listener.socket);
                }
            }
        }
        self.wake_threads();
        let accepting = u64::from(phase.accepts());
        self.counters()
            .worker(counters::Worker::Accepting)
            .store(accepting, Ordering::Relaxed);
        Ok(())
    }

    /// A thread was woken for a connection while a sibling runs the app: from now on whole workers
    /// that are idle are woken first. The kernel wakes whoever began to listen first (epoll(7),
    /// EPOLLEXCLUSIVE), which is always the same worker's threads, and those share one interpreter.
    pub(crate) fn step_back(&self, set: &OwnedFd) {
        let _threads = self.threads();
        if !self.phase().accepts() {
            return;
        }
        for listener in &self.listeners {
            let _ = epoll::delete(set, &listener.socket);
        }
        if let Err(error) = self.listen(set) {
            let text = format!("a thread cannot listen again: {error}");
            self.tell(&FromWorker::Note { text });
        }
    }

    /// A thread was woken for a connection of this listener and does something else first.
    pub(crate) fn owe(&self, index: u64) {
        self.owed.fetch_or(1 << (index % 64), Ordering::AcqRel);
    }

    /// Nothing waits at this listener.
    pub(crate) fn owe_nothing(&self, index: usize) {
        let bit = 1 << (index % 64);
        // A thread that finds nothing is idle already; one that owes nothing writes nothing.
        if self.owed.load(Ordering::Acquire) & bit != 0 {
            self.owed.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// How many connections of this listener may have woken nobody but threads of ours that do not
    /// accept any more. A thread inside the app was woken for none: what waits behind it is left to
    /// other workers, who serve it at once.
    pub(crate) fn woken_for(&self, index: usize) -> usize {
        let serving = self.serving.load(Ordering::Acquire);
        let idle = serving.saturating_sub(self.busy.load(Ordering::Acquire));
        let owed = self.owed.load(Ordering::Acquire) >> (index % 64) & 1;
        idle + usize::from(owed == 1)
    }

    /// A connection of one listener, without waiting.
    pub(crate) fn accept(&self, index: usize) -> rustix::io::Result<Connection> {
        let listener = &self.listeners[index];
        let (mut socket, peer) = listener.accept()?;
        if let (Some(config), Some(terminal)) = (&listener.tls, &self.terminal) {
            // Until its last byte is sent; whoever asks for more than there is room for is dropped.
            if !self.reserve() {
                return Err(Errno::CONNABORTED);
            }
            socket = terminal.take(socket, config).map_err(|_| {
                self.unreserve();
                Errno::CONNABORTED
            })?;
        }
        Ok(Connection {
            socket,
            listener: index,
            protocol: listener.protocol,
            peer: peer.map(Into::into),
            needs_proxy_line: listener.protocol == Protocol::Http
                && listener.tls.is_none()
                && self.settings().http.proxy_protocol,
            requests: 0,
            ticket: None,
        })
    }

    /// Tells the master, once, that this worker accepts.
    pub(crate) fn announce(&self) {
        if self.phase().accepts() && !self.announced.swap(true, Ordering::AcqRel) {
            self.counters()
                .worker(counters::Worker::Accepting)
                .store(1, Ordering::Relaxed);
            self.tell(&FromWorker::Accepting);
        }
    }

    /// Takes a place for a connection that is not over; `false`: all are taken.
    pub(crate) fn reserve(&self) -> bool {
        self.handover.hold()
    }

    /// Gives it back.
    pub(crate) fn unreserve(&self) {
        // Threads that only waited for it can end now.
        if self.handover.release() && self.phase() == Phase::Draining {
            self.wake_threads();
        }
    }

    /// The same, for who can wait a little: a crowd may come faster than the I/O thread has its turns,
    /// and that makes room as it takes each of them in.
    pub(crate) fn hold_soon(&self) -> bool {
        for _ in 0..ROOM_LOOKS {
            if self.hold() {
                return true;
            }
            if !self.handover.wait_for_turn(ROOM_LOOK) {
                break;
            }
        }
        self.hold()
    }

    /// Takes a place for one more waiting connection; `false`: all are taken.
    pub(crate) fn hold(&self) -> bool {
        let held = self.reserve();
        if held {
            let parked = self.counters().worker(counters::Worker::Parked);
            parked.fetch_add(1, Ordering::Relaxed);
        }
        held
    }

    /// A connection left the waiting ones.
    pub(crate) fn let_go(&self) {
        let parked = self.counters().worker(counters::Worker::Parked);
        parked.fetch_sub(1, Ordering::Relaxed);
        self.unreserve();
    }

    /// After each request: children that the app does not wait for, where it asks for that.
    pub(crate) fn reap_children(&self) {
        if self.settings().limits.reaper {
            let options = rustix::process::WaitOptions::NOHANG;
            while let Ok(Some(_)) = rustix::process::wait(options) {}
        }
    }

    /// Ends the I/O thread, and leaves the process alone: for a process that has other work after
    /// its worker (tests).
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        ring(&self.handover.wake);
    }

    /// How much one receive of an app thread may bring.
    pub(crate) fn receive_room(&self) -> usize {
        HEADER_BYTES + self.limits.head + BODY_ROOM
    }
}
