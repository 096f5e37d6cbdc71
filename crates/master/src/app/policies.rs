//! The part of the app's decisions that is about replacing what works: reloads, and workers one
//! after another. Pure, like `app.rs`.

use std::time::{Duration, Instant};

use super::again::Again;
use super::{App, PREPARE_LIMIT};
use crate::event::{Action, ProcessId};
use crate::generation::{Generation, Phase, Process, Role, State};

/// A worn worker whose replacement failed gets its next turn after this.
const NEXT_TURN: Duration = Duration::from_secs(30);

/// Why a worker waits for its turn to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It reached a limit.
    Worn,
    /// Somebody asked for a chain reload.
    Chain,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) process: ProcessId,
    why: Why,
    not_before: Option<Instant>,
}

impl App {
    pub(super) fn begin(&mut self, only_if_changed: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        self.retry_at = None;
        self.last_generation = self.last_generation.saturating_add(1);
        let generation = self.last_generation;
        let deadline = now + PREPARE_LIMIT;
        self.next = Some(Generation::new(generation, only_if_changed, now, deadline));
        actions.push(Action::Prepare {
            generation,
            only_if_changed,
            fallback: false,
        });
    }

    /// The first generation failed: the config that its config names for that is tried at once.
    pub(super) fn begin_fallback(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.begin(false, now, actions);
        if let Some(next) = &mut self.next {
            next.is_fallback = true;
        }
        if let Some(Action::Prepare { fallback, .. }) = actions.last_mut() {
            *fallback = true;
        }
    }

    /// The last reload wins: one that is on its way starts anew, as soon as `again.rs` lets it.
    pub(super) fn reload(&mut self, how: Again, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping || self.is_later(how, now) {
            return;
        }
        let only_if_changed = how.only_if_changed;
        self.brutal |= how.brutal;
        self.backoff.reset();
        let forced_before = self.next.as_ref().is_some_and(|next| {
            let only_if_changed = true;
            next.phase != Phase::Preparing { only_if_changed }
        });
        // What was written back as it was before a failed edit means the serving app, and the code
        // beside it may be another.
        let is_settled = self.serving.is_some() && !self.has_failed;
        let only_if_changed = only_if_changed && is_settled && !forced_before;
        self.keep_what_accepts(now, actions);
        if let Some(next) = self.next.take() {
            actions.push(Action::Abandon {
                generation: next.id,
            });
            self.end_generation(next.id, now, actions);
        }
        self.begin(only_if_changed, now, actions);
    }

    pub(super) fn retry(&mut self, now: Instant) {
        if let Some(at) = &mut self.retry_at {
            *at = now;
        }
        if let Some(serving) = &mut self.serving {
            for slot in serving.slots.values_mut().chain([&mut serving.mold_slot]) {
                slot.respawn_at = slot.respawn_at.map(|at| at.min(now));
            }
        }
    }

    pub(super) fn reload_workers(&mut self, brutal: bool, now: Instant, actions: &mut Vec<Action>) {
        let Some(serving) = self.serving() else {
            return;
        };
        if brutal {
            self.have_no_mercy(|it| it.generation == serving && it.role != Role::Mold);
        }
        for process in self.ids(|it| it.generation == serving && it.is_up()) {
            if self.processes[&process].role != Role::Mold {
                self.leave(process, true, now, actions);
            }
        }
        self.allow_replacements();
    }

    pub(super) fn reload_chain(&mut self) {
        let serving = self.serving();
        let accepts =
            |it: &Process| Some(it.generation) == serving && it.is_up() && it.role != Role::Mold;
        let mut all = self.ids(accepts);
        all.sort_by_key(|process| match self.processes[process].role {
            Role::Mold => 0,
            Role::Worker(worker) => worker,
        });
        for process in all {
            self.queue_recycling(process, Why::Chain);
        }
    }

    pub(super) fn queue_recycling(&mut self, process: ProcessId, why: Why) {
        if !self.recycle.iter().any(|turn| turn.process == process) {
            self.recycle.push_back(Turn {
                process,
                why,
                not_before: None,
            });
        }
    }

    /// The next one whose turn it is, when nobody else comes or goes: an app is never short of more
    /// than the place that is being changed, and never has more than one process too many.
    /// Whether there was one.
    pub(super) fn recycle(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let processes = &self.processes;
        // A worker may be worn before it was heard to accept.
        let is_here = |it: &Process| it.is_up() || matches!(it.state, State::Starting { .. });
        self.recycle
            .retain(|turn| processes.get(&turn.process).is_some_and(is_here));
        if self.is_in_motion() {
            return false;
        }
        let serving = self.serving();
        let is_due = |turn: &Turn| {
            let process = self.processes.get(&turn.process);
            let is_serving = |it: &Process| it.is_up() && Some(it.generation) == serving;
            process.is_some_and(is_serving) && turn.not_before.is_none_or(|at| at <= now)
        };
        let Some(index) = self.recycle.iter().position(is_due) else {
            return false;
        };
        if let Some(turn) = self.recycle.remove(index) {
            self.leave(turn.process, true, now, actions);
            if let (Some(it), Why::Worn) = (self.processes.get_mut(&turn.process), turn.why) {
                it.worn = true;
            }
            self.allow_replacements();
        }
        true
    }

    /// When the next turn is, if it waits for the clock alone.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        if self.is_in_motion() {
            return None;
        }
        self.recycle.iter().filter_map(|turn| turn.not_before).min()
    }

    fn is_in_motion(&self) -> bool {
        let Some(serving) = self.serving() else {
            return true;
        };
        let moves = |it: &Process| match it.state {
            State::Starting { .. } | State::Leaving { .. } => it.generation == serving,
            // Those that go for their age go alone: what they finish may be long, and what they
            // hold of the memory is why some of them go.
            State::Draining { .. } | State::Killed { .. } => it.worn && it.generation == serving,
            State::Up { .. } => false,
        };
        let all = &self.processes;
        self.stopping || self.next.is_some() || self.is_rolling() || all.values().any(moves)
    }

    /// The replacement of a worker that was to go for its age alone failed: it serves on, and who
    /// else waited because of a chain reload does so too.
    pub(super) fn take_back(&mut self, worker: u32, now: Instant) {
        let Some((serving, mercy)) = self.serving.as_ref().map(|it| (it.id, it.shape.mercy)) else {
            return;
        };
        let mut back = Vec::new();
        for (&process, it) in &mut self.processes {
            if let State::Leaving {
                since,
                patient: true,
                ..
            } = it.state
                && it.is_worker(serving, worker)
            {
                it.state = State::Up { since };
                it.mercy = mercy;
                if std::mem::take(&mut it.worn) {
                    back.push(process);
                }
            }
        }
        self.recycle.retain(|turn| turn.why == Why::Worn);
        for process in back {
            self.recycle.push_back(Turn {
                process,
                why: Why::Worn,
                not_before: Some(now + NEXT_TURN),
            });
        }
    }

    /// Whose turn it is gets its replacement now, whatever became of earlier ones.
    fn allow_replacements(&mut self) {
        let Some(serving) = &mut self.serving else {
            return;
        };
        for it in self.processes.values() {
            if let (State::Leaving { .. }, Role::Worker(worker)) = (it.state, it.role)
                && it.generation == serving.id
                && let Some(slot) = serving.slots.get_mut(&worker)
            {
                slot.respawn_at = None;
            }
        }
    }

    /// What these processes do when they are asked to end is cut.
    pub(super) fn have_no_mercy(&mut self, with: impl Fn(&Process) -> bool) {
        for it in self.processes.values_mut().filter(|it| with(it)) {
            it.mercy = Duration::ZERO;
        }
    }
}
