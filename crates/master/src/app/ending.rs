//! The part of the app's decisions that is about what goes: drained, killed, dead or late. Pure,
//! like `app.rs`.

use std::time::{Duration, Instant};

use imperator_process::reap::End;

use super::policies::Why;
use super::{App, PREPARE_LIMIT};
use crate::event::{Action, Cause, Order, Parting, ProcessId};
use crate::generation::{GIVE_UP, Loss, Phase, Process, Role, STACKS, State, YOUNG};

/// How long a worker that does not accept yet may go on before it is killed.
const STARTING_MERCY: Duration = Duration::from_secs(2);

impl App {
    /// A worker asks to end. `patient`: only for its age or size, and its turn may be later.
    pub(super) fn wants_to_drain(
        &mut self,
        process: ProcessId,
        patient: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.processes.get(&process) else {
            return;
        };
        if it.role == Role::Mold {
            // One that still loads fails by ending; one that is up is not needed to serve.
            if it.is_up() {
                self.say_goodbye(process, Order::Drain, now, actions);
            }
            return;
        }
        match it.state {
            State::Up { .. } | State::Starting { .. } if patient => {
                self.queue_recycling(process, Why::Worn);
            }
            State::Up { .. } | State::Starting { .. } => self.leave(process, false, now, actions),
            State::Leaving { patient: true, .. } if !patient => {
                self.leave(process, false, now, actions);
            }
            // It may have asked before our order reached it.
            State::Leaving { .. } | State::Draining { .. } | State::Killed { .. } => (),
        }
    }

    /// It accepts until its replacement does. One that somebody wants away hears so, else it would
    /// drain alone; and it is killed when there is none in time.
    pub(super) fn leave(
        &mut self,
        process: ProcessId,
        patient: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        let mut current = self.serving.iter().chain(&self.next);
        let Some(generation) = current.find(|current| current.id == it.generation) else {
            return self.say_goodbye(process, Order::Drain, now, actions);
        };
        let deadline = now + generation.shape.ready_timeout + it.mercy;
        let since = match it.state {
            State::Up { since } | State::Leaving { since, .. } => since,
            State::Starting { .. } | State::Draining { .. } | State::Killed { .. } => now,
        };
        it.state = State::Leaving {
            since,
            deadline,
            patient,
        };
        if !patient {
            let order = Order::Heard;
            actions.push(Action::Say { process, order });
        }
    }

    pub(super) fn exited(&mut self, pid: i32, end: End, now: Instant, actions: &mut Vec<Action>) {
        let found = self.processes.iter().find(|(_, it)| it.pid == Some(pid));
        let Some(process) = found.map(|(&process, _)| process) else {
            self.remember_dead(pid, end);
            return;
        };
        let Some(it) = self.processes.remove(&process) else {
            return;
        };
        let parting = it.parting();
        actions.push(Action::Forget {
            process,
            end: Some(end),
            parting,
        });
        if it.role == Role::Mold {
            self.mold_is_gone(it.generation, process, now, actions);
        }
        let mold = it.role == Role::Mold;
        let cause = Cause::Ended { mold, end };
        match it.state {
            State::Starting { .. } => self.start_failed(&it, cause, now, actions),
            State::Up { .. } | State::Killed { .. } if self.is_next(it.generation) => {
                self.fail_next(cause, now, actions);
            }
            State::Up { .. }
            | State::Leaving { .. }
            | State::Draining { .. }
            | State::Killed { .. } => self.vacate(&it, now),
        }
    }

    /// Its forks that were not reported never will be: closing their channels ends them. Workers
    /// load the app themselves until there is another mold.
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

    pub(super) fn detach_mold(&mut self, mold: ProcessId) {
        let mut generations = self.serving.iter_mut().chain(self.next.iter_mut());
        if let Some(it) = generations.find(|it| it.mold == Some(mold)) {
            it.mold = None;
        }
    }

    /// A worker of the serving generation is gone: when may the next one come?
    pub(super) fn vacate(&mut self, lost: &Process, now: Instant) {
        let serving = self.serving.as_mut().filter(|it| it.id == lost.generation);
        let slot = serving.and_then(|it| match lost.role {
            Role::Worker(worker) => it.slots.get_mut(&worker),
            Role::Mold => Some(&mut it.mold_slot),
        });
        let Some(slot) = slot else {
            return;
        };
        let began = lost.began;
        match (lost.state, lost.role) {
            (State::Up { since }, _) if since + YOUNG <= now => {
                slot.lost(Loss::Old, now);
            }
            (State::Up { since: up }, Role::Worker(_)) => {
                slot.lost(Loss::Young { began, up }, now);
            }
            // A mold that dies leaves nobody unanswered: to load the app again has time.
            (State::Up { .. }, Role::Mold) | (State::Starting { .. }, _) => {
                slot.lost(Loss::Start, now);
            }
            // Its slot was vacated when that was decided.
            (State::Leaving { .. } | State::Draining { .. } | State::Killed { .. }, _) => (),
        }
    }

    /// The starting generation is given up. It changes nothing for the one that serves.
    pub(super) fn fail_next(&mut self, cause: Cause, now: Instant, actions: &mut Vec<Action>) {
        let Some(next) = self.next.take() else {
            return;
        };
        let generation = next.id;
        // What comes of a process that was asked for its stacks says nothing new.
        let cause = match next.asked {
            true => Cause::Late {
                after: next.shape.ready_timeout,
            },
            false => cause,
        };
        self.brutal = false;
        self.has_failed = true;
        if matches!(next.phase, Phase::Preparing { .. }) {
            actions.push(Action::Abandon { generation });
        }
        actions.push(Action::Failed { generation, cause });
        self.end_generation(generation, now, actions);
        if self.serving.is_some() || self.stopping || self.again.is_some() {
            return;
        }
        if next.shape.fallback && !next.is_fallback {
            return self.begin_fallback(now, actions);
        }
        self.retry_at = Some(now + self.backoff.fail());
    }

    pub(super) fn end_generation(
        &mut self,
        generation: u32,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.end_those(|it| it.generation == generation, now, actions);
    }

    pub(super) fn end_all_before(
        &mut self,
        generation: u32,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.end_those(|it| it.generation < generation, now, actions);
    }

    /// Drains those that accept, and ends the others.
    fn end_those(
        &mut self,
        which: impl Fn(&Process) -> bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        for process in self.ids(which) {
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
        if let Some(it) = self.processes.get_mut(&process)
            && matches!(it.state, State::Draining { .. })
        {
            let deadline = now + it.mercy.min(STARTING_MERCY);
            let told = false;
            it.state = State::Draining { deadline, told };
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
            let told = false;
            it.state = State::Draining { deadline, told };
            let has_no_mercy = it.mercy.is_zero();
            actions.push(Action::Say { process, order });
            if has_no_mercy {
                self.kill(process, now, actions);
            }
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
                    self.start_failed(&it.clone(), Cause::Late { after }, now, actions);
                    self.let_go(process, Order::Drain, now, actions);
                }
                // Its replacement does not come: it is better than none.
                State::Leaving {
                    since,
                    patient: true,
                    ..
                } => {
                    if let Some(it) = self.processes.get_mut(&process) {
                        it.state = State::Up { since };
                    }
                }
                State::Draining { told: false, .. } if it.was_up && it.role != Role::Mold => {
                    self.ask_for_stacks(process, now, actions);
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
                    if given_up.is_some_and(|it| it.role == Role::Mold) {
                        self.mold_is_gone(generation, process, now, actions);
                    }
                }
                State::Up { .. } => (),
            }
        }
        if self.next.as_ref().is_some_and(|next| next.deadline <= now) && !self.waits_for_room(now)
        {
            self.late(now, actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.begin(false, now, actions);
        }
    }

    /// The next generation is not ready in time: its processes tell where they are, then it is
    /// given up.
    pub(super) fn late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(next) = &mut self.next else {
            return;
        };
        let after = match next.phase {
            Phase::Preparing { .. } => PREPARE_LIMIT,
            Phase::Loading | Phase::Filling | Phase::Serving => next.shape.ready_timeout,
        };
        let generation = next.id;
        let starts = |it: &Process| matches!(it.state, State::Starting { .. }) && it.pid.is_some();
        let late = self.ids(|it| it.generation == generation && starts(it));
        if let Some(next) = self.next.as_mut().filter(|next| !next.asked)
            && !late.is_empty()
        {
            next.asked = true;
            next.deadline = now + STACKS;
            for process in late {
                self.ask_for_stacks(process, now, actions);
            }
            // Those without a pid wait for it no longer than the others.
            for it in self.processes.values_mut() {
                if let State::Starting { deadline } = &mut it.state
                    && it.generation == generation
                {
                    *deadline = now + STACKS;
                }
            }
            return;
        }
        self.fail_next(Cause::Late { after }, now, actions);
    }

    /// What it does is told before it is killed.
    fn ask_for_stacks(&mut self, process: ProcessId, now: Instant, actions: &mut Vec<Action>) {
        let Some(it) = self.processes.get_mut(&process) else {
            return;
        };
        let deadline = now + STACKS;
        if matches!(it.state, State::Draining { .. }) {
            let told = true;
            it.state = State::Draining { deadline, told };
        }
        if let Some(pid) = it.pid {
            actions.push(Action::Stacks { process, pid });
        }
    }
}
