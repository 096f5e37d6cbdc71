//! The part of the app's decisions that is about `reload-overlap`: a generation that takes over
//! one worker after another, for apps whose memory does not allow two generations. Pure, like
//! `app.rs`.
//!
//! The next generation starts as many workers as there is room for. When they accept it is proven
//! and serves: from then on there is no way back, since the old code may not be on the disk any
//! more. The old workers accept until the new one's places are filled, and go as they are.

use std::time::Instant;

use super::App;
use crate::event::{Action, Order, ProcessId};
use crate::generation::{Generation, Phase, Process, Role, State};

impl App {
    /// A worker of an earlier generation that accepts until its place is taken.
    pub(super) fn is_outgoing(&self, it: &Process) -> bool {
        let rolls = |serving: &Generation| serving.room.is_some() && it.generation < serving.id;
        it.is_up() && it.role != Role::Mold && self.serving.as_ref().is_some_and(rolls)
    }

    pub(crate) fn is_rolling(&self) -> bool {
        self.processes.values().any(|it| self.is_outgoing(it))
    }

    /// Whether one more worker of this generation may be started.
    pub(super) fn has_room(&self, generation: &Generation) -> bool {
        let is_limited = generation.phase != Phase::Serving || self.is_rolling();
        let Some(room) = generation.room.filter(|_| is_limited) else {
            return true;
        };
        let workers = self.processes.values().filter(|it| it.role != Role::Mold);
        workers.count() < room as usize
    }

    /// The next generation's time begins anew as long as others have all the room: who finishes
    /// something has a deadline of its own.
    pub(super) fn waits_for_room(&mut self, now: Instant) -> bool {
        let Some(next) = self.next.as_ref().filter(|it| it.phase == Phase::Filling) else {
            return false;
        };
        let starts = |it: &Process| it.generation == next.id && it.role != Role::Mold;
        if self.has_room(next) || self.processes.values().any(starts) {
            return false;
        }
        if let Some(next) = &mut self.next {
            next.deadline = now + next.shape.ready_timeout;
        }
        true
    }

    /// All workers that there was room for accept.
    pub(super) fn is_proven(&self, generation: u32) -> bool {
        let of_it = |it: &&Process| it.generation == generation && it.role != Role::Mold;
        let mut workers = self.processes.values().filter(of_it).peekable();
        workers.peek().is_some() && workers.all(Process::is_up)
    }

    /// The old generation starts nobody any more. Who waits there for a replacement accepts until
    /// it is there.
    pub(super) fn retire_slowly(&mut self, serving: u32, now: Instant, actions: &mut Vec<Action>) {
        for process in self.ids(|it| it.generation < serving) {
            let Some(it) = self.processes.get_mut(&process) else {
                continue;
            };
            match (it.role, it.state) {
                (Role::Worker(_), State::Leaving { since, .. }) => {
                    it.state = State::Up { since };
                }
                (Role::Mold, State::Up { .. } | State::Leaving { .. }) => {
                    self.say_goodbye(process, Order::Drain, now, actions);
                }
                (_, State::Starting { .. }) => self.let_go(process, Order::Drain, now, actions),
                (Role::Worker(_), State::Up { .. })
                | (_, State::Draining { .. } | State::Killed { .. }) => (),
            }
        }
    }

    /// Drains the workers of earlier generations whose places are taken. Tells whether any went.
    pub(super) fn roll(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let Some(serving) = self.serving.as_ref().filter(|it| it.room.is_some()) else {
            return false;
        };
        let (id, wanted) = (serving.id, serving.wanted());
        let accepts = |it: &Process| matches!(it.state, State::Up { .. } | State::Leaving { .. });
        let mut all = self.processes.values();
        let accepting = |it: &&Process| it.generation == id && it.role != Role::Mold && accepts(it);
        let filled = all.by_ref().filter(accepting).count();
        let mut outgoing: Vec<(bool, u32, ProcessId)> = self
            .ids(|it| self.is_outgoing(it))
            .into_iter()
            .map(|process| {
                let is_busy = self.busy.contains(&process);
                (is_busy, self.processes[&process].generation, process)
            })
            .collect();
        // The oldest code first, and of that who has nothing to do.
        outgoing
            .sort_unstable_by_key(|&(is_busy, generation, process)| (generation, is_busy, process));
        let stay = wanted.saturating_sub(filled);
        let goes = outgoing.len().saturating_sub(stay);
        for &(_, _, process) in &outgoing[..goes] {
            self.say_goodbye(process, Order::Drain, now, actions);
        }
        if goes == outgoing.len()
            && let Some(serving) = &mut self.serving
        {
            serving.room = None;
        }
        goes > 0
    }
}
