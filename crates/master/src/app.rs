//! Decides what happens to one app: its generations, their workers, reload, throttle and stop.
//! Pure: no clock, no process, no socket. `run.rs` feeds it events and carries out its actions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use imperator_core::backoff::Backoff;
use imperator_core::message::AppState;
use imperator_process::reap::End;

use crate::event::{Action, Cause, Event, Order, ProcessId, Shape};
use crate::generation::{GIVE_UP, Generation, Phase, Process, Role, State, YOUNG};

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
/// - at most one generation serves and one starts; no other has a worker that is not ending;
/// - whatever is starting, leaving, draining or killed has a deadline.
#[derive(Debug)]
pub struct App {
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
}

impl App {
    /// Generation numbers go on after `last_generation`.
    pub fn new(last_generation: u32) -> Self {
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
        }
    }

    /// Total: every event is legal in every state. One that no longer matters yields no action.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.ended {
            return actions;
        }
        match event {
            Event::Begin => self.begin(false, now, &mut actions),
            Event::Reload => self.reload(false, now, &mut actions),
            Event::Changed => self.reload(true, now, &mut actions),
            Event::Retry => self.retry(now),
            Event::Pause => self.pause(&mut actions),
            Event::Stop if self.stopping => (),
            Event::Stop => self.stop(now, &mut actions),
            Event::StopNow => self.stop_now(now, &mut actions),
            Event::Prepared { generation, shape } => {
                self.prepared(generation, shape, now, &mut actions);
            }
            Event::Unchanged { generation } => {
                if self.is_next(generation) {
                    self.next = None;
                }
            }
            Event::PrepareFailed {
                generation,
                failure,
            } => {
                if self.is_next(generation) {
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
            Event::WantsToDrain { process } => self.wants_to_drain(process, now, &mut actions),
            Event::Overdue { process } => {
                if let Some(it) = self.processes.get_mut(&process) {
                    it.excused = true;
                    self.kill(process, now, &mut actions);
                }
            }
            Event::Exited { pid, end } => self.exited(pid, end, now, &mut actions),
            Event::Tick => (),
        }
        self.run_deadlines(now, &mut actions);
        self.fill(now, &mut actions);
        self.promote(now, &mut actions);
        if self.stopping && self.processes.is_empty() {
            self.ended = true;
            actions.push(Action::End);
        }
        self.assert_invariants();
        actions
    }

    /// When `step(Event::Tick, _)` is due. `None`: only an event can change anything.
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let processes = self.processes.values().filter_map(|it| it.state.deadline());
        let preparing = self
            .next
            .iter()
            .filter(|next| matches!(next.phase, Phase::Preparing { .. }))
            .map(|next| next.deadline);
        let respawns = self.serving.iter().flat_map(|serving| {
            let vacant = |worker: &u32| !self.slot_is_held(serving.id, *worker);
            let slots = serving.slots.iter();
            slots.filter_map(move |(worker, slot)| slot.respawn_at.filter(|_| vacant(worker)))
        });
        let respawns = respawns.filter(|_| !self.stopping);
        processes
            .chain(preparing)
            .chain(respawns)
            .chain(self.retry_at)
            .min()
    }

    pub fn state(&self) -> AppState {
        let accepts = |serving: &Generation| {
            self.processes.values().any(|it| {
                it.generation == serving.id
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
            None => AppState::Starting,
        }
    }

    pub fn serving(&self) -> Option<u32> {
        self.serving.as_ref().map(|serving| serving.id)
    }

    pub fn starting(&self) -> Option<u32> {
        self.next.as_ref().map(|next| next.id)
    }

    pub fn processes(&self) -> &BTreeMap<ProcessId, Process> {
        &self.processes
    }

    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    pub fn strays(&self) -> u64 {
        self.strays
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    fn is_next(&self, generation: u32) -> bool {
        self.starting() == Some(generation)
    }

    fn slot_is_held(&self, generation: u32, worker: u32) -> bool {
        let mut all = self.processes.values();
        all.any(|it| it.is_worker(generation, worker) && it.holds_slot())
    }

    fn begin(&mut self, only_if_changed: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        self.retry_at = None;
        self.last_generation = self.last_generation.saturating_add(1);
        let generation = self.last_generation;
        self.next = Some(Generation {
            id: generation,
            phase: Phase::Preparing { only_if_changed },
            shape: Shape {
                workers: 0,
                direct: true,
                mercy: Duration::ZERO,
                ready_timeout: Duration::ZERO,
            },
            deadline: now + PREPARE_LIMIT,
            slots: BTreeMap::new(),
            mold: None,
        });
        actions.push(Action::Prepare {
            generation,
            only_if_changed,
        });
    }

    /// The last reload wins: one that is on its way starts anew.
    fn reload(&mut self, only_if_changed: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        self.backoff.reset();
        let forced_before = self.next.as_ref().is_some_and(|next| {
            let only_if_changed = true;
            next.phase != Phase::Preparing { only_if_changed }
        });
        let only_if_changed = only_if_changed && self.serving.is_some() && !forced_before;
        if let Some(next) = self.next.take() {
            actions.push(Action::Abandon {
                generation: next.id,
            });
            self.end_generation(next.id, now, actions);
        }
        self.begin(only_if_changed, now, actions);
    }

    fn retry(&mut self, now: Instant) {
        if let Some(at) = &mut self.retry_at {
            *at = now;
        }
        if let Some(serving) = &mut self.serving {
            for slot in serving.slots.values_mut() {
                slot.respawn_at = slot.respawn_at.map(|at| at.min(now));
            }
        }
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

    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.stopping = true;
        self.retry_at = None;
        actions.push(Action::UnlinkSockets);
        if let Some(next) = self.next.take() {
            actions.push(Action::Abandon {
                generation: next.id,
            });
        }
        self.serving = None;
        for process in self.ids(|_| true) {
            let it = &self.processes[&process];
            match (it.state, it.role) {
                (State::Starting { .. }, _) => self.let_go(process, Order::Finish, now, actions),
                (State::Up { .. } | State::Leaving { .. }, Role::Worker(_)) => {
                    self.say_goodbye(process, Order::Finish, now, actions);
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
            self.stop(now, actions);
        }
        for process in self.ids(|it| !matches!(it.state, State::Killed { .. })) {
            self.kill(process, now, actions);
        }
    }

    fn prepared(&mut self, generation: u32, shape: Shape, now: Instant, actions: &mut Vec<Action>) {
        let Some(next) = self.next.as_mut().filter(|next| next.id == generation) else {
            return;
        };
        if !matches!(next.phase, Phase::Preparing { .. }) {
            return;
        }
        next.deadline = now + shape.ready_timeout;
        next.shape = shape;
        next.slots = (1..=shape.workers.max(1))
            .map(|worker| (worker, Default::default()))
            .collect();
        if shape.direct {
            next.phase = Phase::Filling;
            return;
        }
        next.phase = Phase::Loading;
        let deadline = next.deadline;
        let process = self.add(generation, Role::Mold, deadline, shape.mercy);
        if let Some(next) = &mut self.next {
            next.mold = Some(process);
        }
        actions.push(Action::SpawnMold {
            process,
            generation,
        });
    }

    fn spawned(&mut self, process: ProcessId, pid: i32, now: Instant, actions: &mut Vec<Action>) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        it.pid = Some(pid);
        let killed = matches!(it.state, State::Killed { .. });
        if let Some(index) = self.limbo.iter().position(|&(dead, _)| dead == pid) {
            let (_, end) = self.limbo.swap_remove(index);
            self.exited(pid, end, now, actions);
        } else if killed {
            // Decided before the pid was known.
            actions.push(Action::Kill { process, pid });
        }
        self.empty_limbo();
    }

    fn loaded(
        &mut self,
        process: ProcessId,
        threads: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(next) = self.next.as_mut().filter(|it| it.mold == Some(process)) else {
            return;
        };
        if next.phase != Phase::Loading {
            return;
        }
        next.phase = Phase::Filling;
        if threads {
            next.mold = None;
            next.shape.direct = true;
            self.say_goodbye(process, Order::Drain, now, actions);
        } else if let Some(it) = self.processes.get_mut(&process) {
            it.state = State::Up { since: now };
        }
    }

    fn load_failed(
        &mut self,
        process: ProcessId,
        cause: Cause,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.processes.get(&process) else {
            return;
        };
        let generation = it.generation;
        if self.is_next(generation) {
            self.fail_next(cause, now, actions);
        } else if self.serving() == Some(generation) {
            actions.push(Action::Failed { generation, cause });
            self.kill(process, now, actions);
        }
    }

    /// There is no process: its spawn or fork failed.
    fn lost_before_birth(
        &mut self,
        process: ProcessId,
        cause: Cause,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.processes.remove(&process) else {
            return;
        };
        actions.push(Action::Forget {
            process,
            end: None,
            expected: true,
        });
        self.empty_limbo();
        if self.is_next(it.generation) {
            self.fail_next(cause, now, actions);
        } else if self.serving() == Some(it.generation) {
            let generation = it.generation;
            actions.push(Action::Failed { generation, cause });
            self.vacate(&it, now);
        }
    }

    fn accepting(&mut self, process: ProcessId, now: Instant, actions: &mut Vec<Action>) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        let (State::Starting { .. }, Role::Worker(worker)) = (it.state, it.role) else {
            return;
        };
        it.state = State::Up { since: now };
        let generation = it.generation;
        if self.paused {
            let order = Order::Pause;
            actions.push(Action::Say { process, order });
        }
        let leaving = |it: &Process| {
            it.is_worker(generation, worker) && matches!(it.state, State::Leaving { .. })
        };
        for process in self.ids(leaving) {
            self.say_goodbye(process, Order::Drain, now, actions);
        }
    }

    fn wants_to_drain(&mut self, process: ProcessId, now: Instant, actions: &mut Vec<Action>) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        match it.state {
            State::Up { .. } | State::Starting { .. } => {
                it.excused = true;
                let serving = self.serving.as_ref().into_iter().chain(&self.next);
                let timeout = serving
                    .filter(|generation| generation.id == it.generation)
                    .map(|generation| generation.shape.ready_timeout)
                    .next();
                match timeout {
                    Some(timeout) => {
                        let deadline = now + timeout + it.mercy;
                        it.state = State::Leaving { deadline };
                    }
                    None => self.say_goodbye(process, Order::Drain, now, actions),
                }
            }
            // It may have asked before our order reached it.
            State::Leaving { .. } | State::Draining { .. } | State::Killed { .. } => (),
        }
    }

    fn exited(&mut self, pid: i32, end: End, now: Instant, actions: &mut Vec<Action>) {
        let found = self.processes.iter().find(|(_, it)| it.pid == Some(pid));
        let Some(process) = found.map(|(&process, _)| process) else {
            self.strays += 1;
            let fork_is_outstanding = self.processes.values().any(|it| it.pid.is_none());
            if fork_is_outstanding && self.limbo.len() < MAX_LIMBO {
                self.limbo.push((pid, end));
            }
            return;
        };
        let Some(it) = self.processes.remove(&process) else {
            return;
        };
        let expected = !matches!(it.state, State::Up { .. } | State::Starting { .. });
        let end = Some(end);
        actions.push(Action::Forget {
            process,
            end,
            expected,
        });
        if it.role == Role::Mold {
            self.mold_is_gone(it.generation, process, now, actions);
        }
        let mold = it.role == Role::Mold;
        let was_leaving = matches!(it.state, State::Leaving { .. } | State::Draining { .. });
        if self.is_next(it.generation) && !was_leaving {
            if let Some(end) = end {
                self.fail_next(Cause::Ended { mold, end }, now, actions);
            }
        } else if self.serving() == Some(it.generation) {
            if let (State::Starting { .. }, Some(end)) = (it.state, end) {
                let generation = it.generation;
                let cause = Cause::Ended { mold, end };
                actions.push(Action::Failed { generation, cause });
            }
            self.vacate(&it, now);
        }
    }

    /// Its forks that were not reported never will be: closing their channels ends them. Workers
    /// that come later load the app themselves.
    fn mold_is_gone(
        &mut self,
        generation: u32,
        mold: ProcessId,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let mut generations = self.serving.iter_mut().chain(self.next.iter_mut());
        if let Some(it) = generations.find(|it| it.mold == Some(mold)) {
            it.mold = None;
            it.shape.direct = true;
        } else {
            return;
        }
        let unborn = self.ids(|it| it.generation == generation && it.pid.is_none());
        for process in unborn {
            if let Some(it) = self.processes.remove(&process) {
                actions.push(Action::Forget {
                    process,
                    end: None,
                    expected: true,
                });
                self.vacate(&it, now);
            }
        }
        self.empty_limbo();
    }

    fn empty_limbo(&mut self) {
        if self.processes.values().all(|it| it.pid.is_some()) {
            self.limbo.clear();
        }
    }

    /// A worker of the serving generation is gone: when may the next one come?
    fn vacate(&mut self, lost: &Process, now: Instant) {
        let Role::Worker(worker) = lost.role else {
            return;
        };
        let serving = self.serving.as_mut().filter(|it| it.id == lost.generation);
        let Some(slot) = serving.and_then(|it| it.slots.get_mut(&worker)) else {
            return;
        };
        match lost.state {
            State::Up { since } => slot.lost(!lost.excused && now < since + YOUNG, now),
            State::Killed { .. } => slot.lost(!lost.excused, now),
            State::Starting { .. } => slot.lost(true, now),
            State::Leaving { .. } | State::Draining { .. } => (),
        }
    }

    /// The starting generation is given up. It changes nothing for the one that serves.
    fn fail_next(&mut self, cause: Cause, now: Instant, actions: &mut Vec<Action>) {
        let Some(next) = self.next.take() else {
            return;
        };
        let generation = next.id;
        if matches!(next.phase, Phase::Preparing { .. }) {
            actions.push(Action::Abandon { generation });
        }
        actions.push(Action::Failed { generation, cause });
        self.end_generation(generation, now, actions);
        if self.serving.is_none() && !self.stopping {
            self.retry_at = Some(now + self.backoff.fail());
        }
    }

    /// Drains those of a generation that accept, and ends the others.
    fn end_generation(&mut self, generation: u32, now: Instant, actions: &mut Vec<Action>) {
        for process in self.ids(|it| it.generation == generation) {
            match self.processes[&process].state {
                State::Starting { .. } => self.let_go(process, Order::Drain, now, actions),
                State::Up { .. } | State::Leaving { .. } => {
                    self.say_goodbye(process, Order::Drain, now, actions);
                }
                State::Draining { .. } | State::Killed { .. } => (),
            }
        }
    }

    /// Ends a process that does not serve yet: killed, or told so if its pid is not known.
    fn let_go(
        &mut self,
        process: ProcessId,
        order: Order,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.processes[&process].pid.is_some() {
            self.kill(process, now, actions);
        } else {
            self.say_goodbye(process, order, now, actions);
        }
    }

    fn say_goodbye(
        &mut self,
        process: ProcessId,
        order: Order,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if let Some(it) = self.processes.get_mut(&process) {
            let deadline = now + it.mercy;
            it.state = State::Draining { deadline };
            it.excused = true;
            actions.push(Action::Say { process, order });
        }
    }

    fn kill(&mut self, process: ProcessId, now: Instant, actions: &mut Vec<Action>) {
        if let Some(it) = self.processes.get_mut(&process) {
            let give_up = now + GIVE_UP;
            it.state = State::Killed { give_up };
            if let Some(pid) = it.pid {
                actions.push(Action::Kill { process, pid });
            }
        }
    }

    fn run_deadlines(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_due = |it: &Process| it.state.deadline().is_some_and(|at| at <= now);
        for process in self.ids(is_due) {
            let Some(it) = self.processes.get(&process).filter(|it| is_due(it)) else {
                continue;
            };
            let generation = it.generation;
            match it.state {
                State::Starting { .. } if self.is_next(generation) => self.late(now, actions),
                State::Starting { .. } if self.serving() == Some(generation) => {
                    let after = self.serving.as_ref().map(|it| it.shape.ready_timeout);
                    let after = after.unwrap_or_default();
                    let cause = Cause::Late { after };
                    actions.push(Action::Failed { generation, cause });
                    self.kill(process, now, actions);
                }
                State::Starting { .. } | State::Leaving { .. } | State::Draining { .. } => {
                    self.kill(process, now, actions);
                }
                State::Killed { .. } => {
                    let given_up = self.processes.remove(&process);
                    actions.push(Action::Forget {
                        process,
                        end: None,
                        expected: true,
                    });
                    if let Some(it) = given_up {
                        if it.role == Role::Mold {
                            self.mold_is_gone(generation, process, now, actions);
                        }
                        self.vacate(&it, now);
                    }
                }
                State::Up { .. } => (),
            }
        }
        let preparing_too_long = self.next.as_ref().is_some_and(|next| {
            matches!(next.phase, Phase::Preparing { .. }) && next.deadline <= now
        });
        if preparing_too_long {
            self.late(now, actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.begin(false, now, actions);
        }
    }

    fn late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let after = match &self.next {
            Some(next) if matches!(next.phase, Phase::Preparing { .. }) => PREPARE_LIMIT,
            Some(next) => next.shape.ready_timeout,
            None => return,
        };
        self.fail_next(Cause::Late { after }, now, actions);
    }

    /// Starts a worker for every slot that nobody holds and that is due.
    fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        for generation in self.serving.clone().into_iter().chain(self.next.clone()) {
            if !generation.wants_workers() {
                continue;
            }
            let id = generation.id;
            for (&worker, slot) in &generation.slots {
                if !slot.is_due(now) || self.slot_is_held(id, worker) {
                    continue;
                }
                let deadline = match generation.phase {
                    Phase::Serving => now + generation.shape.ready_timeout,
                    Phase::Preparing { .. } | Phase::Loading | Phase::Filling => {
                        generation.deadline
                    }
                };
                let mercy = generation.shape.mercy;
                let process = self.add(id, Role::Worker(worker), deadline, mercy);
                let action = match generation.mold {
                    Some(mold) if !generation.shape.direct => Action::Fork {
                        process,
                        mold,
                        generation: id,
                        worker,
                    },
                    Some(_) | None => Action::SpawnWorker {
                        process,
                        generation: id,
                        worker,
                    },
                };
                actions.push(action);
            }
        }
    }

    /// The starting generation is ready when all its first workers accept: it serves, and the old
    /// one drains.
    fn promote(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_ready = |next: &&mut Generation| {
            let up = |worker: &u32| {
                let mut all = self.processes.values();
                all.any(|it| it.is_worker(next.id, *worker) && it.is_up())
            };
            next.phase == Phase::Filling && next.slots.keys().all(up)
        };
        let Some(next) = self.next.as_mut().filter(is_ready) else {
            return;
        };
        next.phase = Phase::Serving;
        let generation = next.id;
        let old = std::mem::replace(&mut self.serving, self.next.take());
        self.backoff.reset();
        self.retry_at = None;
        actions.push(Action::Serve { generation });
        if let Some(old) = old {
            self.end_generation(old.id, now, actions);
        }
    }

    fn add(
        &mut self,
        generation: u32,
        role: Role,
        deadline: Instant,
        mercy: Duration,
    ) -> ProcessId {
        self.last_process += 1;
        let id = ProcessId(self.last_process);
        self.processes.insert(
            id,
            Process {
                generation,
                role,
                pid: None,
                state: State::Starting { deadline },
                mercy,
                excused: false,
            },
        );
        id
    }

    fn ids(&self, wanted: impl Fn(&Process) -> bool) -> Vec<ProcessId> {
        let all = self.processes.iter();
        all.filter(|(_, it)| wanted(it))
            .map(|(&id, _)| id)
            .collect()
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
                current || ending,
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
