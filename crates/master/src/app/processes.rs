//! The part of the app's decisions that is about single processes and generations: who starts, who
//! replaces whom, who is killed. Pure, like `app.rs`.

use std::time::{Duration, Instant};

use imperator_process::reap::End;

use super::{App, MAX_LIMBO, PREPARE_LIMIT};
use crate::event::{Action, Cause, Order, Parting, ProcessId, Shape};
use crate::generation::{GIVE_UP, Generation, Phase, Process, Role, State, YOUNG};

/// How long a worker that does not accept yet may go on before it is killed.
const STARTING_MERCY: Duration = Duration::from_secs(2);

impl App {
    pub(super) fn prepared(
        &mut self,
        generation: u32,
        shape: Shape,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
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

    pub(super) fn spawned(
        &mut self,
        process: ProcessId,
        pid: i32,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
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

    pub(super) fn loaded(
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
            it.was_up = true;
        }
    }

    pub(super) fn load_failed(
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
        let is_starting = matches!(it.state, State::Starting { .. });
        if self.is_next(generation) {
            self.fail_next(cause, now, actions);
        } else if self.serving() == Some(generation) && is_starting {
            actions.push(Action::Failed { generation, cause });
            self.replace_later(process, now);
            self.let_go(process, Order::Drain, now, actions);
        }
    }

    /// There is no process: its spawn or fork failed.
    pub(super) fn lost_before_birth(
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
            parting: Parting::Told,
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

    pub(super) fn accepting(
        &mut self,
        process: ProcessId,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        let Role::Worker(worker) = it.role else {
            return;
        };
        it.was_up = true;
        match it.state {
            State::Starting { .. } => it.state = State::Up { since: now },
            // Said before our order reached it: it may have a request, and finishes that.
            State::Draining { .. } => {
                let deadline = now + it.mercy;
                it.state = State::Draining { deadline };
                return;
            }
            State::Up { .. } | State::Leaving { .. } | State::Killed { .. } => return,
        }
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

    pub(super) fn wants_to_drain(
        &mut self,
        process: ProcessId,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        if it.role == Role::Mold {
            // One that still loads fails by ending; one that is up is not needed to serve.
            if it.is_up() {
                self.detach_mold(process);
                self.say_goodbye(process, Order::Drain, now, actions);
            }
            return;
        }
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
                        let order = Order::Heard;
                        actions.push(Action::Say { process, order });
                    }
                    None => self.say_goodbye(process, Order::Drain, now, actions),
                }
            }
            // It may have asked before our order reached it.
            State::Leaving { .. } | State::Draining { .. } | State::Killed { .. } => (),
        }
    }

    pub(super) fn exited(&mut self, pid: i32, end: End, now: Instant, actions: &mut Vec<Action>) {
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
        let parting = it.parting();
        let end = Some(end);
        actions.push(Action::Forget {
            process,
            end,
            parting,
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
    pub(super) fn mold_is_gone(
        &mut self,
        generation: u32,
        mold: ProcessId,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.detach_mold(mold);
        let unborn = self.ids(|it| it.generation == generation && it.pid.is_none());
        for process in unborn {
            if let Some(it) = self.processes.remove(&process) {
                actions.push(Action::Forget {
                    process,
                    end: None,
                    parting: Parting::Ordered,
                });
                self.vacate(&it, now);
            }
        }
        self.empty_limbo();
    }

    fn detach_mold(&mut self, mold: ProcessId) {
        let mut generations = self.serving.iter_mut().chain(self.next.iter_mut());
        if let Some(it) = generations.find(|it| it.mold == Some(mold)) {
            it.mold = None;
            it.shape.direct = true;
        }
    }

    pub(super) fn empty_limbo(&mut self) {
        if self.processes.values().all(|it| it.pid.is_some()) {
            self.limbo.clear();
        }
    }

    /// A worker of the serving generation is gone: when may the next one come?
    pub(super) fn vacate(&mut self, lost: &Process, now: Instant) {
        let Role::Worker(worker) = lost.role else {
            return;
        };
        let serving = self.serving.as_mut().filter(|it| it.id == lost.generation);
        let Some(slot) = serving.and_then(|it| it.slots.get_mut(&worker)) else {
            return;
        };
        match lost.state {
            State::Up { since } => slot.lost(!lost.excused && now < since + YOUNG, now),
            State::Starting { .. } => slot.lost(true, now),
            // Its slot was vacated when that was decided.
            State::Leaving { .. } | State::Draining { .. } | State::Killed { .. } => (),
        }
    }

    /// A worker of the serving generation failed to start: the next one waits.
    fn replace_later(&mut self, process: ProcessId, now: Instant) {
        if let Some(it) = self.processes.get(&process).cloned() {
            self.vacate(&it, now);
        }
    }

    /// The starting generation is given up. It changes nothing for the one that serves.
    pub(super) fn fail_next(&mut self, cause: Cause, now: Instant, actions: &mut Vec<Action>) {
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
    pub(super) fn end_generation(
        &mut self,
        generation: u32,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
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

    /// Ends a process that is not known to accept. A worker may have begun to this very moment, so
    /// it is told; what still loads then is killed soon.
    pub(super) fn let_go(
        &mut self,
        process: ProcessId,
        order: Order,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let it = &self.processes[&process];
        if it.role == Role::Mold && it.pid.is_some() {
            self.kill(process, now, actions);
            return;
        }
        self.say_goodbye(process, order, now, actions);
        if let Some(it) = self.processes.get_mut(&process) {
            let deadline = now + it.mercy.min(STARTING_MERCY);
            it.state = State::Draining { deadline };
        }
    }

    pub(super) fn say_goodbye(
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

    pub(super) fn kill(&mut self, process: ProcessId, now: Instant, actions: &mut Vec<Action>) {
        if let Some(it) = self.processes.get_mut(&process) {
            let give_up = now + GIVE_UP;
            let late = it.state.deadline().is_some_and(|at| at <= now);
            it.state = State::Killed { give_up, late };
            if let Some(pid) = it.pid {
                actions.push(Action::Kill { process, pid });
            }
        }
    }

    pub(super) fn run_deadlines(&mut self, now: Instant, actions: &mut Vec<Action>) {
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
                    self.replace_later(process, now);
                    self.let_go(process, Order::Drain, now, actions);
                }
                State::Starting { .. } | State::Leaving { .. } | State::Draining { .. } => {
                    self.kill(process, now, actions);
                }
                State::Killed { .. } => {
                    let given_up = self.processes.remove(&process);
                    actions.push(Action::Forget {
                        process,
                        end: None,
                        parting: Parting::Ordered,
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
        if self.next.as_ref().is_some_and(|next| next.deadline <= now) {
            self.late(now, actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.begin(false, now, actions);
        }
    }

    pub(super) fn late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let after = match &self.next {
            Some(next) if matches!(next.phase, Phase::Preparing { .. }) => PREPARE_LIMIT,
            Some(next) => next.shape.ready_timeout,
            None => return,
        };
        self.fail_next(Cause::Late { after }, now, actions);
    }

    /// Starts a worker for every slot that nobody holds and that is due.
    pub(super) fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
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
    /// A reload while the first generation fills: what accepts already must not go before its
    /// successor is ready, so it serves from now on, and its other workers follow.
    pub(super) fn keep_what_accepts(&mut self, actions: &mut Vec<Action>) {
        let accepts = |next: &&mut Generation| {
            let mut all = self.processes.values();
            next.phase == Phase::Filling
                && all.any(|it| it.generation == next.id && it.role != Role::Mold && it.is_up())
        };
        if self.serving.is_some() {
            return;
        }
        if let Some(next) = self.next.as_mut().filter(accepts) {
            next.phase = Phase::Serving;
            actions.push(Action::Serve {
                generation: next.id,
            });
            self.serving = self.next.take();
        }
    }

    pub(super) fn promote(&mut self, now: Instant, actions: &mut Vec<Action>) {
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

    pub(super) fn add(
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
                was_up: false,
            },
        );
        id
    }

    pub(super) fn ids(&self, wanted: impl Fn(&Process) -> bool) -> Vec<ProcessId> {
        let all = self.processes.iter();
        all.filter(|(_, it)| wanted(it))
            .map(|(&id, _)| id)
            .collect()
    }
}
