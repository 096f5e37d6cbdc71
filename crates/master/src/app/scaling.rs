//! The part of the app's decisions that is about how many workers there are: more, fewer, none.
//! What is wanted comes from `scale.rs`; here it is done. Pure, like `app.rs`.

use std::time::Instant;

use super::App;
use crate::event::{Action, Order, ProcessId, Sample};
use crate::generation::{Process, Role, State};
use crate::scale::{Load, Scale, Scaler};

impl App {
    /// Workers that accept or come, of the generation that serves.
    pub(super) fn running_workers(&self) -> u32 {
        let serving = self.serving.iter();
        let wanted = serving.flat_map(|it| it.slots.values().filter(|slot| !slot.cheap));
        u32::try_from(wanted.count()).unwrap_or(u32::MAX)
    }

    /// Places where no worker is wanted now, of `most` when the whole app sleeps.
    pub(crate) fn empty_places(&self, most: u32) -> Vec<u32> {
        match &self.serving {
            Some(serving) => {
                let cheap = serving.slots.iter().filter(|(_, slot)| slot.cheap);
                cheap.map(|(&worker, _)| worker).collect()
            }
            None if self.asleep => (1..=most).collect(),
            None => Vec::new(),
        }
    }

    pub(super) fn sample(&mut self, sample: Sample, now: Instant, actions: &mut Vec<Action>) {
        let Some(serving) = self
            .serving
            .as_ref()
            .filter(|_| !self.stopping && !self.paused)
        else {
            return;
        };
        let shape = serving.shape;
        self.busy = sample.busy;
        // Another generation is on its way, and takes over as many workers as there are.
        if self.next.is_some() || self.is_rolling() {
            return;
        }
        let id = serving.id;
        let count = |wanted: &dyn Fn(&ProcessId, &Process) -> bool| {
            let all = self.processes.iter();
            let found = all.filter(|(process, it)| {
                it.generation == id && it.role != Role::Mold && wanted(process, it)
            });
            u32::try_from(found.count()).unwrap_or(u32::MAX)
        };
        let is_starting = |it: &Process| matches!(it.state, State::Starting { .. });
        let load = Load {
            active: count(&|_, it| it.is_up()),
            starting: count(&|_, it| is_starting(it)),
            busy: count(&|process, it| it.is_up() && self.busy.contains(process)),
            most: shape.workers,
            backlog: sample.backlog,
            running_micros: sample.running_micros,
            requests: sample.requests,
            rss: sample.rss,
        };
        match self.scaler.scale(&load, &shape.scaling, now) {
            Scale::Stay => (),
            Scale::More(workers) => self.more(workers, actions),
            Scale::Fewer(workers) => self.fewer(workers, true, now, actions),
            Scale::Sleep => self.sleep(shape.scaling.die_on_idle, now, actions),
        }
    }

    /// The percentage of the `busyness` window that ended with the last sample.
    pub(crate) fn take_busyness(&mut self) -> Option<u64> {
        self.scaler.busyness()
    }

    /// Fills places that are empty on purpose, the first ones first.
    pub(super) fn more(&mut self, workers: u32, actions: &mut Vec<Action>) {
        let from = self.running_workers();
        let Some(serving) = self.serving.as_mut().filter(|_| !self.stopping) else {
            return;
        };
        let mut left = workers;
        for slot in serving.slots.values_mut().filter(|slot| slot.cheap) {
            if left == 0 {
                break;
            }
            slot.cheap = false;
            slot.respawn_at = None;
            left -= 1;
        }
        self.tell_scaled(from, actions);
    }

    /// Drains workers that have nothing to do, the oldest ones first. `only_idle`: rather none than
    /// one that is busy; without it a busy one may be taken, and finishes its requests.
    pub(super) fn fewer(
        &mut self,
        workers: u32,
        only_idle: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let from = self.running_workers();
        let Some(serving) = self.serving.as_ref().filter(|_| !self.stopping) else {
            return;
        };
        let (id, least) = (serving.id, serving.shape.scaling.least.unwrap_or(1).max(1));
        let mut candidates: Vec<_> = self
            .processes
            .iter()
            .filter_map(|(&process, it)| match (it.role, it.state) {
                (Role::Worker(worker), State::Up { since }) if it.generation == id => {
                    Some((self.busy.contains(&process), since, process, worker))
                }
                (Role::Worker(_) | Role::Mold, _) => None,
            })
            .filter(|(is_busy, ..)| !(only_idle && *is_busy))
            .collect();
        candidates.sort_unstable();
        let room = from.saturating_sub(least).min(workers);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        for (_, _, process, worker) in candidates.into_iter().take(room) {
            let serving = self.serving.as_mut();
            if let Some(slot) = serving.and_then(|it| it.slots.get_mut(&worker)) {
                slot.cheap = true;
            }
            self.say_goodbye(process, Order::Drain, now, actions);
        }
        self.tell_scaled(from, actions);
    }

    fn tell_scaled(&self, from: u32, actions: &mut Vec<Action>) {
        let to = self.running_workers();
        if from != to {
            actions.push(Action::Scaled { from, to });
        }
    }

    /// All processes go, and the sockets stay open. `ends`: the app ends instead.
    pub(super) fn sleep(&mut self, ends: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping || self.next.is_some() {
            return;
        }
        let Some(old) = self.serving.take() else {
            return;
        };
        let prepared = None;
        actions.push(Action::Sleep { prepared, ends });
        if ends {
            return self.stop(Order::Finish, now, actions);
        }
        self.asleep = true;
        self.called = false;
        self.scaler = Scaler::default();
        self.recycle.clear();
        self.end_all_before(old.id.saturating_add(1), now, actions);
    }

    /// A connection waits: the app is loaded, and answers it.
    pub(super) fn wake(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping || !std::mem::take(&mut self.asleep) {
            return;
        }
        self.called = true;
        self.backoff.reset();
        if self.next.is_none() {
            self.begin(false, now, actions);
        }
    }
}
