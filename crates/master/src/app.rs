//! Decides what happens to one app: its generations, their workers, reload, throttle and stop.
//! Pure: no clock, no process, no socket. `run.rs` feeds it events and carries out its actions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use imperator_core::backoff::Backoff;
use imperator_core::message::AppState;
use imperator_process::reap::End;

mod again;
mod ending;
mod policies;
mod rolling;
mod scaling;
mod starting;

use crate::event::{Action, Cause, Event, Order, ProcessId};
use crate::generation::{Generation, Process, Role, Slot, State};
use crate::scale::Scaler;
use again::{Again, Chain};
use policies::Turn;

/// Resolving a config and binding its sockets has deadlines of its own; this one is for their bugs.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);
/// Deaths that nobody asked for, remembered while a mold's answer is outstanding: a worker may die
/// before its mold has told its pid.
const MAX_LIMBO: usize = 256;

/// One app, as its master sees it.
///
/// Invariants, checked after every step in debug builds and tests:
/// - a pid stands in at most one process, from `Spawned` until `Exited` and no longer;
/// - a generation has at most one mold;
/// - at most one generation serves and one starts; no other has a worker that is not ending,
///   except while the serving one takes over one worker after another (`rolling.rs`);
/// - whatever is starting, leaving, draining or killed has a deadline.
#[derive(Debug)]
pub(crate) struct App {
    serving: Option<Generation>,
    next: Option<Generation>,
    processes: BTreeMap<ProcessId, Process>,
    last_process: u64,
    last_generation: u32,
    /// Failures of the first generation in a row.
    backoff: Backoff,
    retry_at: Option<Instant>,
    paused: bool,
    stopping: bool,
    ended: bool,
    limbo: Vec<(i32, End)>,
    strays: u64,
    /// Workers to be replaced one after another.
    recycle: VecDeque<Turn>,
    /// What the next generation replaces is killed, not drained.
    brutal: bool,
    /// The last generation that ended its start came to nothing: any edit is reason for another.
    has_failed: bool,
    /// Reloads that came during a reload: since when, and the one that is still to come.
    chain: Option<Chain>,
    again: Option<Again>,
    /// No process is wanted; a connection wakes the app.
    asleep: bool,
    /// A connection has come since the app slept last.
    called: bool,
    scaler: Scaler,
    /// Who had a request at the last look.
    busy: BTreeSet<ProcessId>,
}

impl App {
    /// Generation numbers go on after `last_generation`.
    pub(crate) fn new(last_generation: u32) -> Self {
        Self {
            serving: None,
            next: None,
            processes: BTreeMap::new(),
            last_process: 0,
            last_generation,
            backoff: Backoff::default(),
            retry_at: None,
            paused: false,
            stopping: false,
            ended: false,
            limbo: Vec::new(),
            strays: 0,
            recycle: VecDeque::new(),
            brutal: false,
            has_failed: false,
            chain: None,
            again: None,
            asleep: false,
            called: false,
            scaler: Scaler::default(),
            busy: BTreeSet::new(),
        }
    }

    /// A connection waits already: the first generation does not wait for one.
    pub(crate) fn call(&mut self) {
        self.called = true;
    }

    /// Total: every event is legal in every state. One that no longer matters yields no action.
    pub(crate) fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.ended {
            return actions;
        }
        match event {
            Event::Begin => self.begin(false, now, &mut actions),
            Event::Reload => self.reload(Again::PLAIN, now, &mut actions),
            Event::ReloadNow => self.reload(Again::BRUTAL, now, &mut actions),
            Event::Changed => self.reload(Again::IF_CHANGED, now, &mut actions),
            Event::ReloadWorkers { brutal } => self.reload_workers(brutal, now, &mut actions),
            Event::ReloadChain => self.reload_chain(),
            Event::More => self.more(1, &mut actions),
            Event::Fewer => self.fewer(1, false, now, &mut actions),
            Event::Cheap => self.sleep(false, now, &mut actions),
            Event::Wake => self.wake(now, &mut actions),
            Event::Sample(sample) => self.sample(sample, now, &mut actions),
            Event::Retry => self.retry(now),
            Event::Pause => self.pause(&mut actions),
            Event::Stop if self.stopping => (),
            Event::Stop => self.stop(Order::Finish, now, &mut actions),
            Event::Retire if self.stopping => (),
            Event::Retire => self.stop(Order::Drain, now, &mut actions),
            Event::StopNow => self.stop_now(now, &mut actions),
            Event::Prepared { generation, shape } => {
                self.prepared(generation, shape, now, &mut actions);
            }
            Event::Unchanged { generation } => {
                if self.is_next(generation) {
                    self.next = None;
                }
            }
            Event::Busy { generation, until } => {
                let next = self.next.as_mut().filter(|next| next.id == generation);
                if let Some(next) = next
                    && matches!(next.phase, crate::generation::Phase::Preparing { .. })
                {
                    next.deadline = until + PREPARE_LIMIT;
                }
            }
            Event::PrepareFailed {
                generation,
                failure,
                fallback,
            } => {
                if let Some(next) = self.next.as_mut().filter(|next| next.id == generation) {
                    next.shape.fallback = fallback;
                    self.fail_next(Cause::Said(failure), now, &mut actions);
                }
            }
            Event::Spawned { process, pid } => self.spawned(process, pid, now, &mut actions),
            Event::SpawnFailed { process, failure } => {
                self.lost_before_birth(process, Cause::Said(failure), now, &mut actions);
            }
            Event::Loaded { process, threads } => {
                self.loaded(process, threads, now, &mut actions);
            }
            Event::LoadFailed { process, failure } => {
                self.load_failed(process, Cause::Said(failure), now, &mut actions);
            }
            Event::Accepting { process } => self.accepting(process, now, &mut actions),
            Event::WantsToDrain { process, patient } => {
                self.wants_to_drain(process, patient, now, &mut actions);
            }
            Event::Overdue { process } => self.kill(process, now, &mut actions),
            Event::Exited { pid, end } => self.exited(pid, end, now, &mut actions),
            Event::Tick => (),
        }
        self.run_deadlines(now, &mut actions);
        self.fill(now, &mut actions);
        self.promote(now, &mut actions);
        let is_recycling = self.recycle(now, &mut actions);
        if self.roll(now, &mut actions) || is_recycling {
            self.fill(now, &mut actions);
        }
        self.reload_again(now, &mut actions);
        if self.stopping && self.processes.is_empty() {
            self.ended = true;
            actions.push(Action::End);
        }
        self.assert_invariants();
        actions
    }

    /// When `step(Event::Tick, _)` is due. `None`: only an event can change anything.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let processes = self.processes.values().filter_map(|it| it.state.deadline());
        let next = self.next.iter().map(|next| next.deadline);
        let respawns = self.serving.iter().flat_map(|serving| {
            let vacant = |worker: &u32| !self.slot_is_held(serving.id, *worker);
            let slots = serving.slots.iter().filter(|(_, slot)| !slot.cheap);
            slots.filter_map(move |(worker, slot)| slot.respawn_at.filter(|_| vacant(worker)))
        });
        let respawns = respawns.filter(|_| !self.stopping);
        let molds = self.serving.iter().filter(|it| it.lacks_mold());
        let molds = molds.filter_map(|it| it.mold_slot.respawn_at);
        processes
            .chain(next)
            .chain(respawns)
            .chain(molds)
            .chain(self.again_at())
            .chain(self.retry_at)
            .chain(self.next_turn())
            .min()
    }

    pub(crate) fn state(&self) -> AppState {
        let accepts = |serving: &Generation| {
            self.processes.values().any(|it| {
                it.generation <= serving.id
                    && matches!(it.state, State::Up { .. } | State::Leaving { .. })
                    && it.role != Role::Mold
            })
        };
        match &self.serving {
            _ if self.stopping => AppState::Stopping,
            _ if self.paused => AppState::Paused,
            Some(serving)
                if accepts(serving)
                    || serving.slots.values().all(|slot| slot.respawn_at.is_none()) =>
            {
                AppState::Serving
            }
            Some(_) => AppState::Failing,
            None if self.backoff.failures() > 0 => AppState::Failing,
            None if self.asleep => AppState::Asleep,
            None => AppState::Starting,
        }
    }

    pub(crate) fn serving(&self) -> Option<u32> {
        self.serving.as_ref().map(|serving| serving.id)
    }

    pub(crate) fn starting(&self) -> Option<u32> {
        self.next.as_ref().map(|next| next.id)
    }

    pub(crate) fn processes(&self) -> &BTreeMap<ProcessId, Process> {
        &self.processes
    }

    /// Starts in a row that came to nothing: of generations, or of the workers of one that serves
    /// no longer.
    pub(crate) fn failures(&self) -> u32 {
        let places = self.deserted_places().map(|slot| slot.failed_starts);
        self.backoff.failures().max(places.max().unwrap_or(0))
    }

    /// When the next try is, of an app that nobody serves.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        let places = self.deserted_places().filter(|slot| slot.failed_starts > 0);
        let places = places.filter_map(|slot| slot.respawn_at).min();
        self.retry_at.or(places)
    }

    /// Of a generation all of whose workers are gone: the places that wait for their time.
    fn deserted_places(&self) -> impl Iterator<Item = &Slot> {
        let is_here = |it: &Process| it.role != Role::Mold && self.serving() == Some(it.generation);
        let is_empty = !self.processes.values().any(is_here);
        let serving = self.serving.iter().filter(move |_| is_empty);
        let slots = serving.flat_map(|serving| serving.slots.values());
        slots.filter(|slot| slot.respawn_at.is_some())
    }

    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a connection that waits is to be told by `Wake`.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep && !self.paused && !self.stopping
    }

    /// Whether the last generation that ended its start came to nothing.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn is_next(&self, generation: u32) -> bool {
        self.starting() == Some(generation)
    }

    fn slot_is_held(&self, generation: u32, worker: u32) -> bool {
        let mut all = self.processes.values();
        all.any(|it| it.is_worker(generation, worker) && it.holds_slot())
    }

    fn pause(&mut self, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        self.paused = !self.paused;
        let order = if self.paused {
            Order::Pause
        } else {
            Order::Resume
        };
        let workers = self.processes.iter().filter(|(_, it)| {
            it.role != Role::Mold && matches!(it.state, State::Up { .. } | State::Leaving { .. })
        });
        actions.extend(workers.map(|(&process, _)| Action::Say { process, order }));
    }

    /// `order`: workers `Finish` what waits, too, or `Drain`, since another master serves that.
    fn stop(&mut self, order: Order, now: Instant, actions: &mut Vec<Action>) {
        self.stopping = true;
        self.retry_at = None;
        self.again = None;
        actions.push(match order {
            Order::Drain => Action::Cede,
            Order::Finish | Order::Pause | Order::Resume | Order::Heard => Action::UnlinkSockets,
        });
        if let Some(next) = self.next.take() {
            actions.push(Action::Abandon {
                generation: next.id,
            });
        }
        self.serving = None;
        for process in self.ids(|_| true) {
            let it = &self.processes[&process];
            match (it.state, it.role) {
                (State::Starting { .. }, _) => self.let_go(process, order, now, actions),
                (State::Up { .. } | State::Leaving { .. }, Role::Worker(_)) => {
                    self.say_goodbye(process, order, now, actions);
                }
                (State::Up { .. } | State::Leaving { .. }, Role::Mold) => {
                    self.say_goodbye(process, Order::Drain, now, actions);
                }
                (State::Draining { .. } | State::Killed { .. }, _) => (),
            }
        }
    }

    fn stop_now(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.stopping {
            self.stop(Order::Finish, now, actions);
        }
        for process in self.ids(|it| !matches!(it.state, State::Killed { .. })) {
            self.kill(process, now, actions);
        }
    }

    fn assert_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut pids: Vec<_> = self.processes.values().filter_map(|it| it.pid).collect();
        let all = pids.len();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(
            pids.len(),
            all,
            "one pid stands in two processes: {self:#?}"
        );
        for (process, it) in &self.processes {
            let current = self.serving() == Some(it.generation) || self.is_next(it.generation);
            let ending = matches!(it.state, State::Draining { .. } | State::Killed { .. });
            assert!(
                current || ending || self.is_outgoing(it),
                "{process} belongs to no generation: {self:#?}"
            );
            let molds = self.processes.values();
            let molds =
                molds.filter(|other| other.role == Role::Mold && other.generation == it.generation);
            assert!(
                molds.count() <= 1,
                "generation {} has two molds",
                it.generation
            );
        }
    }
}

#[cfg(test)]
mod edge_tests;
#[cfg(test)]
mod generation_tests;
#[cfg(test)]
mod lifecycle_tests;
#[cfg(test)]
mod random;
#[cfg(test)]
mod storm_tests;
#[cfg(test)]
mod tests;
