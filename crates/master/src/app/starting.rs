//! The part of the app's decisions that is about what comes up: mold, workers, and the moment at
//! which a generation serves. Pure, like `app.rs`.

use std::time::{Duration, Instant};

use super::{App, MAX_LIMBO};
use crate::event::{Action, Cause, Order, Parting, ProcessId, Shape};
use crate::generation::{Generation, Phase, Process, Role, Slot, State};

impl App {
    pub(super) fn prepared(
        &mut self,
        generation: u32,
        shape: Shape,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let running = self.running_workers();
        let Some(next) = self.next.as_mut().filter(|next| next.id == generation) else {
            return;
        };
        if !matches!(next.phase, Phase::Preparing { .. }) {
            return;
        }
        let sleeps = self.asleep || (shape.scaling.cheap && self.serving.is_none() && !self.called);
        if sleeps {
            self.next = None;
            self.asleep = true;
            self.backoff.reset();
            let prepared = Some(generation);
            let ends = false;
            actions.push(Action::Sleep { prepared, ends });
            return;
        }
        next.deadline = now + shape.ready_timeout;
        next.shape = shape;
        let workers = shape.workers.max(1);
        // A reload costs no capacity: as many as serve now.
        let wanted = shape.scaling.first(workers).max(running.min(workers));
        let most = running.max(wanted);
        next.room = shape.overlap.filter(|_| self.serving.is_some());
        next.room = next.room.map(|extra| most.saturating_add(extra));
        next.slots = (1..=workers)
            .map(|worker| (worker, Slot::new(worker > wanted)))
            .collect();
        if shape.direct {
            next.phase = Phase::Filling;
            return;
        }
        next.phase = Phase::Loading;
        let deadline = next.deadline;
        let process = self.add(generation, Role::Mold, now, deadline, shape.mercy);
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
        let mut current = self.next.iter_mut().chain(self.serving.iter_mut());
        let Some(its) = current.find(|it| it.mold == Some(process)) else {
            return;
        };
        match its.phase {
            Phase::Loading => its.phase = Phase::Filling,
            // One that was made anew.
            Phase::Serving => (),
            Phase::Preparing { .. } | Phase::Filling => return,
        }
        let loads = |it: &Process| matches!(it.state, State::Starting { .. });
        if !self.processes.get(&process).is_some_and(loads) {
            return;
        }
        if threads {
            its.shape.direct = true;
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
        let Some(it) = self.processes.get(&process).cloned() else {
            return;
        };
        let is_next = self.is_next(it.generation);
        if is_next || matches!(it.state, State::Starting { .. }) {
            self.start_failed(&it, cause, now, actions);
            if !is_next && self.serving() == Some(it.generation) {
                self.let_go(process, Order::Drain, now, actions);
            }
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
        self.detach_mold(process);
        self.empty_limbo();
        self.start_failed(&it, cause, now, actions);
    }

    /// A process failed before it accepted. It costs a starting generation, which changes nothing
    /// for the one that serves; within that one the next try waits, and a worker that was to be
    /// replaced only for its age serves on.
    pub(super) fn start_failed(
        &mut self,
        failed: &Process,
        cause: Cause,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let generation = failed.generation;
        if self.is_next(generation) {
            self.fail_next(cause, now, actions);
        } else if self.serving() == Some(generation) {
            actions.push(Action::Failed { generation, cause });
            self.vacate(failed, now);
            if let Role::Worker(worker) = failed.role {
                self.take_back(worker, now);
            }
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
                let told = false;
                it.state = State::Draining { deadline, told };
                return;
            }
            State::Up { .. } | State::Leaving { .. } | State::Killed { .. } => return,
        }
        let generation = it.generation;
        if self.paused {
            let order = Order::Pause;
            actions.push(Action::Say { process, order });
        }
        // Who had its place before: it waits for this, or has given up waiting.
        let earlier = |it: &Process| {
            it.is_worker(generation, worker)
                && matches!(it.state, State::Leaving { .. } | State::Up { .. })
        };
        for before in self.ids(earlier) {
            if before != process {
                self.say_goodbye(before, Order::Drain, now, actions);
            }
        }
    }

    /// Starts a worker for every slot that is wanted, that nobody holds and that is due.
    pub(super) fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        for generation in self.serving.clone().into_iter().chain(self.next.clone()) {
            if !generation.wants_workers() {
                continue;
            }
            let id = generation.id;
            self.fill_mold(&generation, now, actions);
            for (&worker, slot) in &generation.slots {
                if slot.cheap || !slot.is_due(now) || self.slot_is_held(id, worker) {
                    continue;
                }
                if !self.has_room(&generation) {
                    break;
                }
                let deadline = match generation.phase {
                    Phase::Serving => now + generation.shape.ready_timeout,
                    Phase::Preparing { .. } | Phase::Loading | Phase::Filling => {
                        generation.deadline
                    }
                };
                let mercy = generation.shape.mercy;
                let process = self.add(id, Role::Worker(worker), now, deadline, mercy);
                let action = match generation.mold {
                    Some(mold) if self.processes.get(&mold).is_some_and(Process::is_up) => {
                        Action::Fork {
                            process,
                            mold,
                            generation: id,
                            worker,
                        }
                    }
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

    /// A mold that died is made anew, so that later workers share their memory again. Until it has
    /// loaded the app, workers that are needed load it themselves.
    fn fill_mold(&mut self, generation: &Generation, now: Instant, actions: &mut Vec<Action>) {
        let id = generation.id;
        let mut all = self.processes.values();
        let is_there = all.any(|it| it.generation == id && it.role == Role::Mold);
        if !generation.lacks_mold() || is_there || !generation.mold_slot.is_due(now) {
            return;
        }
        let deadline = now + generation.shape.ready_timeout;
        let process = self.add(id, Role::Mold, now, deadline, generation.shape.mercy);
        if let Some(serving) = &mut self.serving {
            serving.mold = Some(process);
        }
        let generation = id;
        actions.push(Action::SpawnMold {
            process,
            generation,
        });
    }

    /// A reload while the first generation fills: what accepts already must not go before its
    /// successor is ready, so it serves from now on, and its other workers follow.
    pub(super) fn keep_what_accepts(&mut self, now: Instant, actions: &mut Vec<Action>) {
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
            next.took = Some(now.saturating_duration_since(next.began));
            actions.push(Action::Serve {
                generation: next.id,
            });
            self.serving = self.next.take();
        }
    }

    /// The starting generation is ready when all its first workers accept: it serves, and the old
    /// one drains. With `reload-overlap` it is proven by those that there is room for, and the old
    /// one's workers drain as more of them come.
    pub(super) fn promote(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_proven = self.next.as_ref().is_some_and(|it| self.is_proven(it.id));
        let is_ready = |next: &&mut Generation| {
            let up = |worker: &u32| {
                let mut all = self.processes.values();
                all.any(|it| it.is_worker(next.id, *worker) && it.is_up())
            };
            let mut wanted = next.slots.iter().filter(|(_, slot)| !slot.cheap);
            let is_ready = match next.room {
                None => wanted.all(|(worker, _)| up(worker)),
                Some(_) => is_proven,
            };
            next.phase == Phase::Filling && is_ready
        };
        let Some(next) = self.next.as_mut().filter(is_ready) else {
            return;
        };
        next.phase = Phase::Serving;
        next.took = Some(now.saturating_duration_since(next.began));
        let generation = next.id;
        let rolls = next.room.is_some();
        let old = std::mem::replace(&mut self.serving, self.next.take());
        self.backoff.reset();
        self.retry_at = None;
        self.has_failed = false;
        let processes = &self.processes;
        let is_new = |it: &Process| it.generation == generation;
        self.recycle
            .retain(|turn| processes.get(&turn.process).is_some_and(is_new));
        let brutal = std::mem::take(&mut self.brutal);
        actions.push(Action::Serve { generation });
        if brutal {
            self.have_no_mercy(|it| it.generation < generation);
        }
        match old {
            Some(_) if rolls => self.retire_slowly(generation, now, actions),
            Some(_) => self.end_all_before(generation, now, actions),
            None => (),
        }
    }

    pub(super) fn add(
        &mut self,
        generation: u32,
        role: Role,
        began: Instant,
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
                began,
                pid: None,
                state: State::Starting { deadline },
                mercy,
                worn: false,
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

    /// A death that came before its pid was told waits here, as long as such a pid is outstanding.
    pub(super) fn remember_dead(&mut self, pid: i32, end: imperator_process::reap::End) {
        self.strays += 1;
        let fork_is_outstanding = self.processes.values().any(|it| it.pid.is_none());
        if fork_is_outstanding && self.limbo.len() < MAX_LIMBO {
            self.limbo.push((pid, end));
        }
    }

    pub(super) fn empty_limbo(&mut self) {
        if self.processes.values().all(|it| it.pid.is_some()) {
            self.limbo.clear();
        }
    }
}
