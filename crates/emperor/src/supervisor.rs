//! Decides what happens to the apps' masters. Pure: no clock, no file, no process.
//! `run.rs` feeds it events and carries out the actions that it returns.
//!
//! A master looks after its own app: failing loads, dying workers, back-off of the first
//! generation. What is decided here is which masters exist, when each may start or reload (few at
//! once), how long one that dies waits for its successor, and that every stop ends.

mod ending;
mod heirs;
mod places;
mod state;
mod view;
mod wishes;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use imperator_core::message::AppState;

pub use self::state::{
    Action, DEFAULT_MERCY, Event, HEIR_LIMIT, KILL_AFTER, MAX_KILLS, Name, Order, Pid,
    SLOW_PER_PLACE, STOP_MARGIN, SUCCESSION, Situation, YOUNG,
};
use self::state::{App, Fate, Force, Heir, Place, Retired, State};

/// All apps and their masters.
///
/// Invariants, checked after every step in debug builds and tests:
/// - a pid belongs to at most one app, from `Spawned` until `Ended`, so no signal goes to a pid
///   that was already reaped;
/// - `Stopping` has a deadline, so a stop ends;
/// - no more than `places` apps are busy with a start or reload at once, and no more than
///   [`SLOW_PER_PLACE`] times as many on their way.
#[derive(Debug)]
pub struct Supervisor {
    apps: BTreeMap<Name, App>,
    /// Masters that gave their apps to others, or were given up, and have not ended.
    retired: BTreeMap<Pid, Retired>,
    places: usize,
    stopping: bool,
}

impl Supervisor {
    /// `places`: how many apps may start or reload at once.
    pub fn new(places: usize) -> Self {
        Self {
            apps: BTreeMap::new(),
            retired: BTreeMap::new(),
            places: places.max(1),
            stopping: false,
        }
    }

    /// Total: every event is legal in every state. One that no longer matters yields no action.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Found { name, after } => self.find(name, after, now),
            Event::Gone(name) => self.give_up(&name, Fate::Forget, now, &mut actions),
            Event::Changed(name) => self.renew(&name, Order::Changed, now),
            Event::Beside(name) => {
                // Who stopped one app did not ask for it by an edit of its neighbour.
                if !self.is_halted(&name) {
                    self.renew(&name, Order::Changed, now);
                }
            }
            Event::Touched(name) => self.renew(&name, Order::Reload, now),
            Event::Adopted(name, pid) => self.adopt(name, pid, now, &mut actions),
            Event::Spawned(name, pid) => self.spawned(&name, pid, now, &mut actions),
            Event::SpawnFailed(name) => self.spawn_failed(&name, now, &mut actions),
            Event::Reported {
                name,
                state,
                changing,
                mercy,
            } => self.report(&name, state, changing, mercy),
            Event::HungUp(pid) => self.hang_up(pid, now),
            Event::Ended(pid) => self.bury(pid, now, &mut actions),
            Event::Retry(name) => self.retry(name.as_ref(), now, &mut actions),
            Event::Halt(name) => self.give_up(&name, Fate::Halt, now, &mut actions),
            Event::Restart(name) => self.restart(&name, now, &mut actions),
            Event::ReloadAll => {
                for name in self.reloadable() {
                    self.renew(&name, Order::Reload, now);
                }
            }
            Event::PauseAll => {
                for (name, app) in &self.apps {
                    if matches!(app.state, State::Up { .. }) {
                        actions.push(Action::Order(name.clone(), Order::Pause));
                    }
                }
            }
            Event::Outdated(name) => {
                if let Some(app) = self.apps.get_mut(&name) {
                    app.outdated = true;
                }
            }
            Event::HeirSpawned(name, pid) => self.heir_spawned(&name, pid, now, &mut actions),
            Event::HeirFailed(name) => self.heir_failed(&name, now, &mut actions),
            Event::HeirReported(name, state) => {
                self.heir_reported(&name, state, now, &mut actions);
            }
            Event::GiveUpHeir(name) => self.dismiss(&name, now, &mut actions),
            Event::Retired(name, pid) => {
                let deadline = now + DEFAULT_MERCY + STOP_MARGIN;
                self.retire(&name, pid, Force::Graceful, deadline);
            }
            Event::Dispensable(name) => self.doze(&name, now, &mut actions),
            Event::Failed(name, failures, wait) => self.recall(name, failures, wait, now),
            Event::Dozed(name) => {
                self.apps
                    .entry(name)
                    .or_insert_with(|| App::new(State::Dozing));
            }
            Event::Called(name) => {
                if let Some(app) = self.apps.get_mut(&name)
                    && app.state == State::Dozing
                {
                    app.state = State::Waiting {
                        until: now,
                        after: None,
                    };
                }
            }
            Event::Stop | Event::Leave => {
                self.stopping = true;
                let fate = if event == Event::Leave {
                    Fate::Leave
                } else {
                    Fate::Forget
                };
                for name in self.names() {
                    self.give_up(&name, fate, now, &mut actions);
                }
            }
            Event::StopNow => self.stop_now(now, &mut actions),
            Event::Tick => (),
        }
        self.press(now, &mut actions);
        self.free_places(now);
        self.fill_places(now, &mut actions);
        self.assert_invariants();
        actions
    }

    /// When `step(Event::Tick, _)` is due. `None`: only an event can change anything.
    pub fn deadline(&self) -> Option<Instant> {
        let full = self.free() == 0;
        let due = |app: &App| match &app.state {
            State::Waiting { .. } if self.stopping => None,
            State::Waiting { .. } if full => None,
            State::Waiting { until, after } => match after {
                Some(after) if self.apps.contains_key(after) => Some(*until + SUCCESSION),
                Some(_) | None => Some(*until),
            },
            State::Spawning { .. } | State::Halted | State::Dozing => None,
            State::Up {
                place,
                order,
                hung_up,
                ..
            } => {
                let next = match (place, order) {
                    (Some(place), Some((_, since))) if !self.stopping => {
                        Some(place.until().min(app.hears_from(*since)))
                    }
                    (Some(place), _) => Some(place.until()),
                    (None, Some((_, since))) => (!full && !self.stopping).then_some(*since),
                    (None, None) => None,
                };
                next.into_iter().chain(*hung_up).min()
            }
            State::Stopping { deadline, .. } => Some(*deadline),
        };
        let heirs = self.apps.values().filter_map(|app| match app.heir {
            Some(Heir::Up { deadline, .. }) => Some(deadline),
            Some(Heir::Spawning) | None => None,
        });
        let retired = self.retired.values().map(|it| it.deadline);
        let apps = self.apps.values().filter_map(due);
        apps.chain(heirs).chain(retired).min()
    }

    pub fn names(&self) -> Vec<Name> {
        self.apps.keys().cloned().collect()
    }

    fn find(&mut self, name: Name, after: Option<Name>, now: Instant) {
        if self.stopping {
            return;
        }
        let after = after.filter(|after| *after != name && self.apps.contains_key(after));
        let app = self
            .apps
            .entry(name)
            .or_insert_with(|| App::new(State::Waiting { until: now, after }));
        match &mut app.state {
            State::Stopping { fate, .. } => *fate = Fate::Respawn,
            State::Spawning { fate } => *fate = None,
            State::Waiting { .. } | State::Up { .. } | State::Halted | State::Dozing => (),
        }
    }

    fn adopt(&mut self, name: Name, pid: Pid, now: Instant, actions: &mut Vec<Action>) {
        let app = self
            .apps
            .entry(name.clone())
            .or_insert_with(|| App::new(State::Halted));
        match app.state {
            State::Waiting { .. } | State::Halted | State::Dozing => {
                app.settled = false;
                app.outdated = false;
                app.state = State::Up {
                    pid,
                    since: now,
                    place: None,
                    order: None,
                    hung_up: None,
                };
                if self.stopping {
                    self.give_up(&name, Fate::Forget, now, actions);
                }
            }
            // Two masters answered to one name; the one that is known stays.
            State::Spawning { .. } | State::Up { .. } | State::Stopping { .. } => (),
        }
    }

    fn spawned(&mut self, name: &str, pid: Pid, now: Instant, actions: &mut Vec<Action>) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let State::Spawning { fate } = app.state else {
            return;
        };
        app.outdated = false;
        app.state = State::Up {
            pid,
            since: now,
            place: Some(Place::new(now)),
            order: None,
            hung_up: None,
        };
        if let Some(fate) = fate {
            self.give_up(name, fate, now, actions);
        }
    }

    fn spawn_failed(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let State::Spawning { fate } = app.state else {
            return;
        };
        app.settled = true;
        match fate {
            Some(fate) => self.end(name, fate, now, actions),
            None => {
                app.state = State::Waiting {
                    until: now + app.deaths.fail(),
                    after: None,
                };
            }
        }
    }

    fn report(&mut self, name: &str, state: AppState, changing: bool, mercy: Option<Duration>) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        app.mercy = mercy.unwrap_or(app.mercy);
        let at_rest = match state {
            AppState::Serving | AppState::Paused | AppState::Asleep => {
                app.served = true;
                true
            }
            AppState::Failing => true,
            AppState::Starting | AppState::Stopping => false,
        };
        app.settled |= at_rest;
        if let State::Up { place, .. } = &mut app.state
            && at_rest
            && !changing
        {
            *place = None;
        }
    }

    fn hang_up(&mut self, pid: Pid, now: Instant) {
        let Some(app) = self.by_pid(pid) else { return };
        match &mut app.state {
            // It closes its channel when it ends; the reaper tells when it did.
            State::Up { hung_up, .. } => *hung_up = Some(now + KILL_AFTER),
            State::Stopping {
                deadline, force, ..
            } => {
                if *force == Force::Graceful {
                    *force = Force::Now;
                    *deadline = now + KILL_AFTER;
                }
            }
            State::Waiting { .. } | State::Spawning { .. } | State::Halted | State::Dozing => (),
        }
    }

    fn bury(&mut self, pid: Pid, now: Instant, actions: &mut Vec<Action>) {
        if self.retired.remove(&pid).is_some() || self.bury_heir(pid, now, actions) {
            return;
        }
        let Some((name, app)) = self
            .apps
            .iter_mut()
            .find(|(_, app)| app.state.pid() == Some(pid))
        else {
            return;
        };
        let (name, state) = (name.clone(), app.state.clone());
        match state {
            State::Up { since, .. } => {
                if !self.heir_steps_in(&name, now, actions) {
                    self.died(&name, since, now);
                }
            }
            State::Stopping { fate, .. } => self.end(&name, fate, now, actions),
            State::Waiting { .. } | State::Spawning { .. } | State::Halted | State::Dozing => (),
        }
    }

    /// A master ended unasked. The first death of one that served is replaced at once.
    fn died(&mut self, name: &str, since: Instant, now: Instant) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        app.settled = true;
        if now.saturating_duration_since(since) >= YOUNG {
            app.deaths.reset();
        }
        let wait = if app.served {
            Duration::ZERO
        } else {
            app.deaths.fail()
        };
        app.served = false;
        app.state = State::Waiting {
            until: now + wait,
            after: None,
        };
    }

    /// The end of a master that was told to end, or of a spawn that came to nothing.
    fn end(&mut self, name: &str, fate: Fate, now: Instant, actions: &mut Vec<Action>) {
        match fate {
            Fate::Forget => {
                self.apps.remove(name);
                actions.push(Action::Forget(name.to_owned()));
            }
            Fate::Leave => {
                self.apps.remove(name);
            }
            Fate::Halt | Fate::Respawn | Fate::Doze => {
                match fate {
                    Fate::Halt => actions.push(Action::Release(name.to_owned())),
                    Fate::Doze => actions.push(Action::Doze(name.to_owned())),
                    Fate::Respawn | Fate::Forget | Fate::Leave => (),
                }
                if let Some(app) = self.apps.get_mut(name) {
                    app.served = false;
                    app.state = match fate {
                        Fate::Respawn => State::Waiting {
                            until: now,
                            after: None,
                        },
                        Fate::Doze => State::Dozing,
                        Fate::Halt | Fate::Forget | Fate::Leave => State::Halted,
                    };
                }
            }
        }
    }

    fn give_up(&mut self, name: &str, fate: Fate, now: Instant, actions: &mut Vec<Action>) {
        if fate == Fate::Halt && !self.apps.contains_key(name) {
            // Noted by an earlier emperor; whether the app is wanted at all is seen later.
            self.apps.insert(name.to_owned(), App::new(State::Halted));
        }
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        match &mut app.state {
            State::Waiting { .. } | State::Halted | State::Dozing => {
                self.end(name, fate, now, actions);
            }
            State::Spawning { fate: given } => *given = Some(fate),
            State::Up { pid, .. } => {
                app.state = State::Stopping {
                    pid: *pid,
                    deadline: now + app.mercy + STOP_MARGIN,
                    force: Force::Graceful,
                    fate,
                };
                let order = match fate {
                    Fate::Leave | Fate::Doze => Order::Retire,
                    Fate::Forget | Fate::Halt | Fate::Respawn => Order::Stop,
                };
                actions.push(Action::Order(name.to_owned(), order));
                self.dismiss(name, now, actions);
            }
            State::Stopping { fate: given, .. } => *given = fate,
        }
    }

    fn by_pid(&mut self, pid: Pid) -> Option<&mut App> {
        self.apps
            .values_mut()
            .find(|app| app.state.pid() == Some(pid))
    }

    fn assert_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut pids: Vec<Pid> = self
            .apps
            .values()
            .filter_map(|app| app.state.pid())
            .chain(self.heirs())
            .chain(self.retired.keys().copied())
            .collect();
        pids.sort_unstable();
        assert!(pids.windows(2).all(|two| two[0] != two[1]), "{self:?}");
        let busy = self.apps.values().filter(|app| app.state.starts().1);
        assert!(busy.count() <= self.places, "{self:?}");
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]
mod tests;
