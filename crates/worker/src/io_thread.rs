//! The worker's one thread of its own. It owns the channel to the master, hears signals, and keeps
//! every connection that waits, so that a slow peer costs no app thread. It never takes the
//! interpreter and never blocks on a connection.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters;
use imperator_core::message::{FromWorker, ToWorker};
use imperator_process::channel::Received;
use nix::sys::signal::SigSet;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::{Mode, OFlags};

use crate::clock::Moment;
use crate::context::{Slow, WorkerContext};
use crate::disk::{Disk, Work};
use crate::handover::{Wait, Waiting, hush};
use crate::lifecycle::{Action, Event, Lifecycle, Phase};
use crate::memory::Memory;
use crate::signals::Signals;
use crate::sys;
use crate::waiting::{Fate, Parked};

/// The heartbeat, and how often resident memory is looked at.
const TICK: Duration = Duration::from_secs(1);

/// At the end of its mercy a worker is asked for its stacks and killed; one without a master ends
/// itself, this much later.
const MASTERS_TURN: Duration = Duration::from_secs(1);
/// How often a draining worker looks whether only late requests are left.
const SPENT_TICK: Duration = Duration::from_millis(200);

const CHANNEL: u64 = 0;
const WAKE: u64 = 1;
const SIGNAL: u64 = 2;
/// Connections count from here.
const FIRST_ID: u64 = 16;

/// Starts the thread, with every signal blocked in it.
pub(crate) fn start(worker: Arc<WorkerContext>, signals: Signals) -> io::Result<()> {
    let io_thread = IoThread::new(worker, signals)?;
    let before = SigSet::thread_get_mask()?;
    SigSet::all().thread_block()?;
    // A thread inherits the mask: no signal finds it unprepared.
    let started = std::thread::Builder::new()
        .name("imperator-io".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || io_thread.run());
    before.thread_set_mask()?;
    started.map(|_| ())
}

/// A connection whose file is read ahead.
struct Reading {
    worker: Arc<WorkerContext>,
    waiting: Waiting,
}

impl Work for Reading {
    fn read_ahead(&mut self) {
        if let Wait::Send(sending) = &mut self.waiting.wait {
            sending.read_ahead();
        }
    }

    fn go_back(self) {
        self.worker.handover.park(self.waiting);
    }
}

struct IoThread {
    worker: Arc<WorkerContext>,
    signals: Signals,
    set: OwnedFd,
    lifecycle: Lifecycle,
    channel_open: bool,
    parked: HashMap<u64, Parked>,
    deadlines: BTreeSet<(Moment, u64)>,
    next_id: u64,
    disk: Arc<Disk<Reading>>,
    memory: Memory,
    next_tick: Moment,
    /// Looks in a row that found nothing but late requests.
    spent: u32,
}

impl IoThread {
    fn new(worker: Arc<WorkerContext>, signals: Signals) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: std::os::fd::BorrowedFd<'_>, token| {
            epoll::add(&set, fd, EventData::new_u64(token), EventFlags::IN)
        };
        add(worker.channel.as_fd(), CHANNEL)?;
        add(worker.handover.wake.as_fd(), WAKE)?;
        for fd in signals.fds() {
            add(fd, SIGNAL)?;
        }
        let lifecycle = Lifecycle::new(worker.mercy().saturating_add(MASTERS_TURN));
        Ok(Self {
            worker,
            signals,
            set,
            lifecycle,
            channel_open: true,
            parked: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_id: FIRST_ID,
            disk: Disk::new(),
            memory: Memory::open(),
            next_tick: Moment::now(),
            spent: 0,
        })
    }

    fn run(mut self) {
        let empty = epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(WAKE),
        };
        let mut events = [empty; 64];
        loop {
            let now = Moment::now();
            let deadline = self
                .deadlines
                .first()
                .map(|&(deadline, _)| deadline)
                .into_iter()
                .chain(self.lifecycle.deadline())
                .fold(self.next_tick, Moment::min);
            let left = deadline.left(now);
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let ready = epoll::wait(&self.set, &mut events[..], Some(&timeout)).unwrap_or(0);
            let now = Moment::now();
            for event in &events[..ready] {
                match event.data.u64() {
                    CHANNEL => self.orders(now),
                    WAKE => hush(&self.worker.handover.wake),
                    SIGNAL => self.signalled(now),
                    id => self.look(id, now),
                }
            }
            self.take_posted(now);
            self.expire(now);
            self.tick(now);
            if self.worker.dismissed.load(Ordering::Acquire) {
                return;
            }
        }
    }

    fn orders(&mut self, now: Moment) {
        loop {
            match self.worker.channel.receive::<ToWorker>() {
                Ok(Received::Message(message, fds)) => {
                    // Descriptors come only with orders that are not for us.
                    drop(fds);
                    if message == ToWorker::Overdue {
                        self.worker.look_for_overdue(now, false);
                    }
                    if let Some(event) = Event::of(&message) {
                        self.step(event, now);
                    }
                    self.worker.crew.learn(message, now);
                }
                Ok(Received::Empty) => return,
                Ok(Received::Closed) => {
                    self.channel_open = false;
                    let _ = epoll::delete(&self.set, &self.worker.channel);
                    return self.step(Event::MasterGone, now);
                }
                // A message of another version: the next one may be known.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => (),
                Err(_) => return,
            }
        }
    }

    fn signalled(&mut self, now: Moment) {
        for name in self.signals.take() {
            self.step(Event::Signalled(name.to_owned()), now);
        }
    }

    fn take_posted(&mut self, now: Moment) {
        for event in self.worker.take_events() {
            self.step(event, now);
        }
        for waiting in self.worker.handover.take_parked() {
            let parked = Parked::new(waiting, self.worker.settings(), now);
            self.keep(parked, now);
            self.worker.handover.arrived();
        }
    }

    fn step(&mut self, event: Event, now: Moment) {
        for action in self.lifecycle.step(event, now) {
            match action {
                Action::Enter(phase) => self.enter(phase, now),
                Action::Ask { why, patient } => {
                    if self.channel_open {
                        self.worker.tell(&FromWorker::WantsToDrain { why, patient });
                    }
                }
                // The interpreter may hang in an app's thread or in its own teardown.
                Action::Exit => {
                    self.worker.last_words();
                    sys::exit_now(1);
                }
            }
        }
    }

    fn enter(&mut self, phase: Phase, now: Moment) {
        // App threads that see the new phase end when nothing is held, and the process with them:
        // not before we have looked for connections that woke one of them.
        let held = self.worker.hold();
        self.change_phase(phase, now);
        if held {
            self.worker.let_go();
        }
    }

    fn change_phase(&mut self, phase: Phase, now: Moment) {
        if let Err(error) = self.worker.enter(phase) {
            self.worker.tell(&FromWorker::Note {
                text: format!("cannot go to {phase:?}: {error}"),
            });
        }
        match phase {
            Phase::Accepting | Phase::Finishing => (),
            Phase::Paused => self.take_woken(now),
            Phase::Draining => {
                self.take_woken(now);
                self.close_listeners();
                for connection in self.worker.close_kept() {
                    self.keep(Parked::idle(connection, self.worker.settings(), now), now);
                }
                let idle: Vec<u64> = self
                    .parked
                    .iter()
                    .filter(|(_, parked)| parked.is_idle())
                    .map(|(&id, _)| id)
                    .collect();
                idle.into_iter().for_each(|id| self.drop_parked(id));
                self.hurry(now);
                self.worker.wake_threads();
            }
        }
    }

    /// A connection that arrived just now woke one of our threads, and that thread no longer
    /// accepts: nobody else would be woken for it.
    fn take_woken(&mut self, now: Moment) {
        for index in 0..self.worker.listeners.len() {
            for _ in 0..self.worker.woken_for(index) {
                if !self.worker.hold() {
                    return;
                }
                let Ok(connection) = self.worker.accept(index) else {
                    self.worker.let_go();
                    break;
                };
                let parked = Parked::accepted(connection, self.worker.settings(), now);
                self.keep(parked, now);
            }
        }
    }

    /// The numbers stay taken, because an app thread may be about to accept.
    fn close_listeners(&self) {
        let Ok(nothing) = rustix::fs::open("/dev/null", OFlags::CLOEXEC, Mode::empty()) else {
            return;
        };
        for listener in &self.worker.listeners {
            let _ = sys::replace(&listener.socket, &nothing);
        }
    }

    /// Draining does not wait long for clients that have not said anything yet.
    fn hurry(&mut self, now: Moment) {
        for (&id, parked) in &mut self.parked {
            let old = parked.deadline;
            parked.hurry(now);
            if parked.deadline != old {
                self.deadlines.remove(&(old, id));
                self.deadlines.insert((parked.deadline, id));
            }
        }
    }

    /// Takes a connection in, or passes it on when all of it is there already.
    fn keep(&mut self, mut parked: Parked, now: Moment) {
        if self.worker.is_draining() {
            parked.hurry(now);
        }
        let fate = parked.advance(&self.worker, now);
        self.settle(parked, fate, None);
    }

    fn look(&mut self, id: u64, now: Moment) {
        let Some(mut parked) = self.parked.remove(&id) else {
            return;
        };
        self.deadlines.remove(&(parked.deadline, id));
        let fate = parked.advance(&self.worker, now);
        self.settle(parked, fate, Some(id));
    }

    /// `id`: it is in the epoll set already.
    fn settle(&mut self, mut parked: Parked, fate: Fate, id: Option<u64>) {
        match fate {
            Fate::Wait => {
                let interest = parked.new_interest();
                // It can only fail for want of memory; then the deadline ends the wait.
                let id = match (id, interest) {
                    (None, interest) => {
                        self.next_id += 1;
                        let data = EventData::new_u64(self.next_id);
                        let interest = interest.unwrap_or(EventFlags::IN);
                        let _ = epoll::add(&self.set, parked.socket(), data, interest);
                        self.next_id
                    }
                    (Some(id), Some(interest)) => {
                        let data = EventData::new_u64(id);
                        let _ = epoll::modify(&self.set, parked.socket(), data, interest);
                        id
                    }
                    (Some(id), None) => id,
                };
                self.deadlines.insert((parked.deadline, id));
                self.parked.insert(id, parked);
                self.make_room();
            }
            Fate::Whole => {
                if id.is_some() {
                    // The app thread may close it while another process still holds it.
                    let _ = epoll::delete(&self.set, parked.socket());
                }
                self.worker.handover.push(parked.into_job());
            }
            Fate::Disk => {
                if id.is_some() {
                    let _ = epoll::delete(&self.set, parked.socket());
                }
                self.wait_for_disk(parked);
            }
            Fate::Close => {
                drop(parked);
                self.worker.let_go();
            }
            Fate::Refuse(refusal) => {
                self.worker.count_refusal(&refusal);
                let lingering = parked.refuse(&self.worker, &refusal);
                self.settle(lingering, Fate::Wait, id);
            }
        }
    }

    /// It keeps its place meanwhile, and comes back through the inbox.
    fn wait_for_disk(&self, parked: Parked) {
        let patience = parked.sending().map(|sending| sending.patience);
        let reading = Reading {
            worker: Arc::clone(&self.worker),
            waiting: parked.into_waiting(),
        };
        let deadline = Moment::now().after(patience.unwrap_or_default());
        // For want of threads the wait is ours.
        if let Some(mut reading) = self.disk.hand(reading, deadline) {
            reading.read_ahead();
            reading.go_back();
        }
    }

    fn expire(&mut self, now: Moment) {
        for late in self.disk.overdue(now) {
            if let Wait::Send(sending) = &late.waiting.wait {
                self.worker.note_cut_file(sending, Slow::Disk);
            }
            drop(late);
            self.worker.let_go();
        }
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            self.deadlines.remove(&(deadline, id));
            if let Some(parked) = self.parked.remove(&id) {
                if let Some(sending) = parked.sending() {
                    self.worker.note_cut_file(sending, Slow::Client);
                }
                let fate = parked.overdue();
                let mut parked = parked;
                parked.deadline = Moment(u64::MAX);
                self.settle(parked, fate, Some(id));
            }
        }
    }

    /// Idle kept connections leave a quarter of the places to those that ask something, and heads that
    /// do not come leave an eighth: whoever has waited longest goes first, so that a crowd of slow
    /// clients pushes itself out.
    fn make_room(&mut self) {
        let places = self.worker.handover.places;
        let held = self.worker.handover.held();
        if !self.worker.handover.is_crowded() || self.worker.drop_idlest() {
            return;
        }
        let mut oldest = self.deadlines.iter().map(|&(_, id)| id);
        let find = |id: &u64, is: fn(&Parked) -> bool| self.parked.get(id).is_some_and(is);
        let mut found = oldest.find(|id| find(id, Parked::is_idle));
        if found.is_none() && held > places - places / 8 {
            let mut oldest = self.deadlines.iter().map(|&(_, id)| id);
            found = oldest.find(|id| find(id, Parked::has_no_head));
        }
        if let Some(id) = found {
            self.drop_parked(id);
        }
    }

    fn drop_parked(&mut self, id: u64) {
        if let Some(parked) = self.parked.remove(&id) {
            self.deadlines.remove(&(parked.deadline, id));
            drop(parked);
            self.worker.let_go();
        }
    }

    /// Told at the second look: an app thread may be between two steps at the first.
    fn look_whether_spent(&mut self) {
        self.spent = match self.worker.is_spent() {
            true => self.spent.saturating_add(1),
            false => 0,
        };
        self.worker
            .counters()
            .worker(counters::Worker::Spent)
            .store(u64::from(self.spent > 1), Ordering::Relaxed);
    }

    fn tick(&mut self, now: Moment) {
        self.worker
            .counters()
            .worker(counters::Worker::HeartbeatMillis)
            .store(now.millis(), Ordering::Relaxed);
        self.step(Event::Tick, now);
        // A request that starts after this look is not overdue before the next one.
        let overdue = self.worker.look_for_overdue(now, true);
        if now < self.next_tick {
            self.next_tick = overdue.map_or(self.next_tick, |due| due.min(self.next_tick));
            return;
        }
        let tick = match self.worker.is_draining() {
            true => SPENT_TICK,
            false => self
                .worker
                .settings()
                .harakiri
                .map_or(TICK, |limit| limit.min(TICK)),
        };
        let next_tick = now.after(tick);
        self.next_tick = overdue.map_or(next_tick, |due| due.min(next_tick));
        self.worker.ask_for_interpreter(now);
        self.look_whether_spent();
        for connection in self.worker.take_overdue(now) {
            let mut parked = Parked::idle(connection, self.worker.settings(), now);
            // Unless a request has come that no app thread was free for.
            parked.deadline = now;
            self.keep(parked, now);
        }
        let settings = self.worker.settings();
        let recycling = &settings.recycling;
        let by_size = settings.reload_on_rss.is_some() || recycling.on_address_space.is_some();
        if by_size || recycling.max_lifetime.is_some() {
            self.worker.check_age(self.memory.read(), now);
            // What it posted is taken in this very turn.
            self.take_posted(now);
        }
    }
}
