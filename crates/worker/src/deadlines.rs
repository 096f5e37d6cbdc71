//! Requests that take too long: which ones they are, and what happens to them in the worker. The
//! I/O thread looks and answers. What may have to wait, above all for the interpreter, is done by a
//! thread that lives only as long.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use imperator_core::counters::{self, Core};
use imperator_core::message::FromWorker;
use imperator_core::settings::Settings;
use rustix::event::{PollFlags, Timespec};

use crate::clock::Moment;
use crate::context::WorkerContext;
use crate::exchange::Exchange;
use crate::handover::ring;
use crate::lifecycle::{Event, Phase};
use crate::{socket, sys};

/// A request older than this makes us ask whether the interpreter can be had at all, and so often.
const OLD: Duration = Duration::from_secs(5);
/// How long a thread's stack may take to be written, before an exception ends what it shows.
const STACKS_WAIT: Duration = Duration::from_millis(200);
const STACKS_STEP: Duration = Duration::from_millis(5);
/// A pipe that can be written to takes so much without waiting (PIPE_BUF).
const LOG_PART: usize = 4096;

/// What the app's language can do about a request that takes too long.
pub trait Language: Send + Sync {
    /// Waits for the interpreter, however long that takes, then raises an exception in each of these
    /// that [`Exchange::mark_raised`] allows. None of them: it was only to be waited for.
    ///
    /// Called on a thread of its own, with all signals blocked.
    fn interrupt(&self, overdue: &[Arc<Exchange>]);
}

/// What of a worker is about deadlines.
pub(crate) struct Deadlines {
    /// Whether the config sets any.
    wanted: bool,
    /// What each core answers now: where the config or the app sets a deadline.
    running: Vec<Mutex<Option<Arc<Exchange>>>>,
    /// The app's own ones by core, in microseconds of CLOCK_MONOTONIC; 0: none.
    own: Vec<AtomicU64>,
    language: OnceLock<Box<dyn Language>>,
    helper: Mutex<Helper>,
    /// Where stacks are written; `None`: nobody writes any.
    pub(crate) stacks: Option<OwnedFd>,
}

/// The thread that waits for the interpreter. The lock is never held across a wait.
#[derive(Default)]
struct Helper {
    is_running: bool,
    is_asked: bool,
    late: Vec<Arc<Exchange>>,
    /// The stacks' length before these were asked for.
    written: u64,
    /// No question without need before this.
    next: Moment,
}

/// Why a request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Harakiri,
    App,
    Stuck,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Harakiri => "harakiri",
            Self::App => "set_user_harakiri",
            Self::Stuck => "stuck-timeout",
        }
    }

    fn reason(self, settings: &Settings) -> String {
        let options = &settings.harakiri_options;
        match self {
            Self::Harakiri => {
                let limit = settings.harakiri.unwrap_or_default()
                    + options.graceful_timeout.unwrap_or_default();
                format!("the app took longer than harakiri = {} s", limit.as_secs())
            }
            Self::App => "the app took longer than it allowed itself".to_owned(),
            Self::Stuck => {
                let limit = options.stuck_timeout.unwrap_or_default();
                format!(
                    "the app could answer nobody for stuck-timeout = {} s",
                    limit.as_secs()
                )
            }
        }
    }
}

impl Deadlines {
    pub(crate) fn new(settings: &Settings, stacks: Option<OwnedFd>) -> Self {
        let cores = settings.cores();
        Self {
            wanted: settings.harakiri.is_some()
                || settings.harakiri_options.stuck_timeout.is_some(),
            running: (0..cores).map(|_| Mutex::default()).collect(),
            own: (0..cores).map(|_| AtomicU64::new(0)).collect(),
            language: OnceLock::new(),
            helper: Mutex::default(),
            stacks,
        }
    }

    fn running(&self, core: usize) -> MutexGuard<'_, Option<Arc<Exchange>>> {
        let running = self.running[core].lock();
        running.unwrap_or_else(PoisonError::into_inner)
    }

    fn helper(&self) -> MutexGuard<'_, Helper> {
        self.helper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> u64 {
        let stat = self.stacks.as_ref().map(rustix::fs::fstat);
        stat.and_then(Result::ok)
            .map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0))
    }
}

/// What the I/O thread finds at a look.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Whether `harakiri-queue-threshold` spares those past `harakiri`.
    spares: bool,
    /// Since when every core has its request; `None`: one is free.
    full_since: Option<Moment>,
    /// Since when the interpreter is waited for.
    asked_since: Option<Moment>,
}

impl WorkerContext {
    /// From now on the language hears of requests past their deadline.
    pub fn set_language(&self, language: Box<dyn Language>) {
        let _ = self.deadlines.language.set(language);
    }

    /// A deadline of the request's own, from now; `None`: no longer.
    pub fn set_deadline(&self, exchange: &Arc<Exchange>, after: Option<Duration>) {
        let core = exchange.core();
        let due = after.map_or(0, |after| Moment::now().after(after).0);
        let mut running = self.deadlines.running(core);
        self.deadlines.own[core].store(due, Ordering::Release);
        if !self.deadlines.wanted {
            *running = (due != 0).then(|| Arc::clone(exchange));
        }
        drop(running);
        if due != 0 {
            ring(&self.handover.wake);
        }
    }

    /// What a core answers from now on; `None`: nothing, and its connection may be closed.
    pub(crate) fn set_running(&self, core: usize, exchange: Option<&Arc<Exchange>>) {
        let deadlines = &self.deadlines;
        let is_own = deadlines.own[core].load(Ordering::Relaxed) != 0;
        if deadlines.wanted || is_own {
            let mut running = deadlines.running(core);
            *running = exchange.filter(|_| deadlines.wanted).cloned();
            if is_own {
                deadlines.own[core].store(0, Ordering::Relaxed);
            }
        }
    }

    /// An exception was raised in a request: who knows what it left undone.
    pub fn was_interrupted(&self) {
        if !self.worn.swap(true, Ordering::AcqRel) {
            let why = "an exception was raised in a request past its deadline";
            self.post(Event::Worn(why.to_owned()));
        }
    }

    fn started(&self, core: usize) -> u64 {
        let started = self.counters().core(core, Core::StartMillis);
        started.load(Ordering::Acquire)
    }

    /// Answers requests past their deadline, tells the master, and has them interrupted. Returns
    /// when the next one is due. `spares`: the master has not said [`ToWorker::Overdue`].
    ///
    /// [`ToWorker::Overdue`]: imperator_core::message::ToWorker::Overdue
    pub(crate) fn look_for_overdue(self: &Arc<Self>, now: Moment, spares: bool) -> Option<Moment> {
        let asked = self.counters().worker(counters::Worker::GilAskedMillis);
        let asked = asked.load(Ordering::Relaxed);
        let cores = self.deadlines.running.len();
        let starts = || (0..cores).map(|core| self.started(core));
        let full = starts().all(|start| start != 0);
        let look = Look {
            spares: spares && self.settings().harakiri_options.queue_threshold.is_some(),
            full_since: starts()
                .max()
                .filter(|_| full)
                .map(|start| Moment(start * 1000)),
            asked_since: Some(Moment(asked * 1000)).filter(|_| asked != 0),
        };
        let mut next: Option<Moment> = None;
        let mut late = Vec::new();
        let before = self.deadlines.written();
        for core in 0..cores {
            let start = self.started(core);
            if start == 0 || self.is_overdue(core, start) {
                continue;
            }
            match self.due(core, start, look) {
                Some((due, by)) if due <= now => late.extend(self.end_late(core, start, by)),
                Some((due, _)) => next = Some(next.map_or(due, |next| next.min(due))),
                None => (),
            }
        }
        if !late.is_empty() && !self.settings().harakiri_options.grace.is_zero() {
            self.ask_helper(late, before, now);
        }
        next
    }

    /// Once a second: when a request has become old, whether the interpreter can be had.
    pub(crate) fn ask_for_interpreter(self: &Arc<Self>, now: Moment) {
        let stuck = self.settings().harakiri_options.stuck_timeout;
        let old = stuck.map_or(OLD, |limit| limit.min(OLD));
        let is_old = |start: u64| start != 0 && Moment(start * 1000).after(old) <= now;
        let cores = 0..self.deadlines.running.len();
        let is_due = self.deadlines.helper().next <= now;
        if is_due && cores.into_iter().any(|core| is_old(self.started(core))) {
            self.ask_helper(Vec::new(), 0, now);
        }
    }

    fn is_overdue(&self, core: usize, start: u64) -> bool {
        let overdue = self.counters().core(core, Core::OverdueMillis);
        overdue.load(Ordering::Relaxed) == start
    }

    fn due(&self, core: usize, start: u64, look: Look) -> Option<(Moment, By)> {
        let settings = self.settings();
        let options = &settings.harakiri_options;
        let start = Moment(start * 1000);
        let harakiri = settings.harakiri.filter(|_| !look.spares).map(|limit| {
            let limit = limit + options.graceful_timeout.unwrap_or_default();
            (start.after(limit), By::Harakiri)
        });
        let own = self.deadlines.own[core].load(Ordering::Acquire);
        let own = Some((Moment(own), By::App)).filter(|_| own != 0);
        let stuck = options.stuck_timeout.and_then(|limit| {
            let asked = look.asked_since.map(|asked| asked.max(start));
            let since = look.full_since.into_iter().chain(asked).min()?;
            Some((since.after(limit), By::Stuck))
        });
        let all = harakiri.into_iter().chain(own).chain(stuck);
        all.min_by_key(|&(due, _)| due)
    }

    /// One request: the answer of ours, the word to the master, the stack.
    fn end_late(&self, core: usize, start: u64, by: By) -> Option<Arc<Exchange>> {
        let exchange = {
            let running = self.deadlines.running(core);
            let exchange = running.as_ref()?;
            // The one that was looked at may have ended meanwhile.
            if exchange.started_at.millis().max(1) != start {
                return None;
            }
            // An app thread takes its request out of the list before it closes the connection.
            exchange.answer_late(by.reason(self.settings()));
            Arc::clone(exchange)
        };
        self.counters()
            .core(core, Core::OverdueMillis)
            .store(start, Ordering::Release);
        if self.deadlines.stacks.is_some() {
            let tid = self.counters().core(core, Core::Tid);
            sys::ask_for_stack(tid.load(Ordering::Relaxed));
        }
        self.tell(&FromWorker::Overdue {
            core: u32::try_from(core).unwrap_or(u32::MAX),
            by: by.name().to_owned(),
        });
        Some(exchange)
    }

    fn ask_helper(self: &Arc<Self>, late: Vec<Arc<Exchange>>, written: u64, now: Moment) {
        if self.deadlines.language.get().is_none() {
            return;
        }
        let mut helper = self.deadlines.helper();
        if !late.is_empty() {
            helper.written = written;
        }
        helper.late.extend(late);
        helper.is_asked = true;
        helper.next = now.after(OLD);
        if helper.is_running {
            return;
        }
        self.waits_since(now.millis().max(1));
        let worker = Arc::clone(self);
        // From the I/O thread: it inherits a mask without any signal.
        let started = std::thread::Builder::new()
            .name("imperator-late".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || worker.help());
        match started {
            Ok(_) => helper.is_running = true,
            Err(error) => {
                *helper = Helper {
                    next: helper.next,
                    ..Helper::default()
                };
                self.waits_since(0);
                drop(helper);
                self.tell(&FromWorker::Note {
                    text: format!("no thread can be started to end a late request: {error}"),
                });
            }
        }
    }

    fn waits_since(&self, millis: u64) {
        let asked = self.counters().worker(counters::Worker::GilAskedMillis);
        asked.store(millis, Ordering::Release);
    }

    /// On the thread that may wait.
    fn help(&self) {
        let Some(language) = self.deadlines.language.get() else {
            return;
        };
        loop {
            let (late, written) = {
                let mut helper = self.deadlines.helper();
                if !std::mem::take(&mut helper.is_asked) {
                    helper.is_running = false;
                    self.waits_since(0);
                    return;
                }
                (std::mem::take(&mut helper.late), helper.written)
            };
            if !late.is_empty() {
                self.wait_for_stacks(written);
            }
            self.waits_since(Moment::now().millis().max(1));
            language.interrupt(&late);
        }
    }

    /// An exception unwinds what the stack is to show.
    fn wait_for_stacks(&self, written: u64) {
        if self.deadlines.stacks.is_none() {
            return;
        }
        let mut last = written;
        for _ in 0..STACKS_WAIT.as_millis() / STACKS_STEP.as_millis() {
            pause(STACKS_STEP);
            let now = self.deadlines.written();
            if now > written && now == last {
                return;
            }
            last = now;
        }
    }

    /// While it drains: whether nothing is left but what will not end.
    pub(crate) fn is_spent(&self) -> bool {
        if self.phase() != Phase::Draining {
            return false;
        }
        let starts = (0..self.deadlines.running.len()).map(|core| (core, self.started(core)));
        let busy: Vec<_> = starts.filter(|&(_, start)| start != 0).collect();
        // Where TLS ends here, a connection has its place until its request is over.
        let places = match self.terminal {
            Some(_) => busy.len(),
            None => 0,
        };
        !busy.is_empty()
            && busy
                .iter()
                .all(|&(core, start)| self.is_overdue(core, start))
            && self.handover.held() <= places
    }

    /// The mercy is over and nobody else asks: the stacks go to the app's log, if there are any.
    pub(crate) fn last_words(&self) {
        let Some(stacks) = &self.deadlines.stacks else {
            return;
        };
        let before = self.deadlines.written();
        sys::ask_for_stack(self.pid.into());
        self.wait_for_stacks(before);
        let mut text = vec![0; 64 * 1024];
        let read = rustix::io::pread(stacks, &mut text[..], before).unwrap_or(0);
        let log = io::stderr();
        for part in text[..read].chunks(LOG_PART) {
            // A log that is full or gone is no reason to stay.
            if !socket::wait(&log, PollFlags::OUT, STACKS_WAIT)
                || rustix::io::write(&log, part).is_err()
            {
                return;
            }
        }
    }
}

fn pause(span: Duration) {
    let timeout = Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: span.subsec_nanos().into(),
    };
    let _ = rustix::event::poll(&mut [], Some(&timeout));
}
