//! The part of the supervisor that is about masters beside an app's own: heirs, which take over at a
//! reload, those that retired, and apps that sleep without one. Pure, like `supervisor.rs`.

use std::time::{Duration, Instant};

use imperator_core::message::AppState;

use super::state::{App, Fate, Force, HEIR_LIMIT, Heir, Retired, State};
use super::{Action, KILL_AFTER, MAX_KILLS, Name, Order, Pid, STOP_MARGIN, Supervisor};

impl Supervisor {
    /// An order whose turn has come. A master that runs on an old file is not reloaded: another one
    /// comes up beside it.
    pub(super) fn pass_on(
        &mut self,
        name: Name,
        order: Order,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(app) = self.apps.get_mut(&name) else {
            return;
        };
        app.ordered = Some(now);
        match (order, app.heir) {
            (Order::Reload, None) if app.outdated => {
                app.heir = Some(Heir::Spawning);
                actions.push(Action::Succeed(name));
            }
            // It has not read its config.
            (Order::Reload, Some(Heir::Spawning)) => (),
            // If it comes to nothing, the old one reloads.
            (Order::Reload | Order::Changed, Some(Heir::Up { .. })) => {
                actions.push(Action::OrderHeir(name, order));
            }
            (_, _) => actions.push(Action::Order(name, order)),
        }
    }

    /// What is ordered of an app that has its place already, in the midst of a start or reload, needs
    /// no other: the last order wins.
    pub(super) fn pass_on_at_once(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        let mut ready = Vec::new();
        for (name, app) in &mut self.apps {
            if app.hears_from(now) > now {
                continue;
            }
            if let State::Up {
                place: Some(_),
                order,
                ..
            } = &mut app.state
                && let Some((order, _)) = order.take()
            {
                ready.push((name.clone(), order));
            }
        }
        for (name, order) in ready {
            self.pass_on(name, order, now, actions);
        }
    }

    pub(super) fn heir_spawned(
        &mut self,
        name: &str,
        pid: Pid,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let deadline = now + HEIR_LIMIT;
        let app = self.apps.get_mut(name);
        match app.filter(|app| app.heir == Some(Heir::Spawning)) {
            Some(app) => app.heir = Some(Heir::Up { pid, deadline }),
            // Given up between the wish and the process.
            None => {
                self.retire(name, pid, Force::Now, now + KILL_AFTER);
                actions.push(Action::Dismiss(name.to_owned()));
            }
        }
    }

    /// No second master: the one that serves reloads as it can, and tells what is wrong.
    pub(super) fn heir_failed(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        self.dismiss(name, now, actions);
        if let Some(app) = self.apps.get(name)
            && matches!(app.state, State::Up { .. })
        {
            actions.push(Action::Order(name.to_owned(), Order::Reload));
        }
    }

    pub(super) fn heir_reported(
        &mut self,
        name: &str,
        state: AppState,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(app) = self.apps.get(name) else {
            return;
        };
        if !matches!(app.heir, Some(Heir::Up { .. })) {
            return;
        }
        match state {
            AppState::Serving | AppState::Paused | AppState::Asleep => {
                let old = app.state.pid();
                let deadline = now + app.mercy + STOP_MARGIN;
                if self.heir_steps_in(name, now, actions)
                    && let Some(old) = old
                {
                    self.retire(name, old, Force::Graceful, deadline);
                }
            }
            AppState::Failing => self.heir_failed(name, now, actions),
            AppState::Starting | AppState::Stopping => (),
        }
    }

    /// The heir is the app's master from now on; `false`: there is none.
    pub(super) fn heir_steps_in(
        &mut self,
        name: &str,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(app) = self.apps.get_mut(name) else {
            return false;
        };
        let (
            Some(Heir::Up { pid: heir, .. }),
            State::Up {
                pid,
                since,
                place,
                hung_up,
                ..
            },
        ) = (app.heir, &mut app.state)
        else {
            return false;
        };
        (*pid, *since, *place, *hung_up) = (heir, now, None, None);
        app.heir = None;
        app.outdated = false;
        actions.push(Action::Promote(name.to_owned()));
        true
    }

    /// Whether it was an heir's end.
    pub(super) fn bury_heir(&mut self, pid: Pid, now: Instant, actions: &mut Vec<Action>) -> bool {
        let is_it = |app: &App| matches!(app.heir, Some(Heir::Up { pid: heir, .. }) if heir == pid);
        let found = self.apps.iter_mut().find(|(_, app)| is_it(app));
        let Some((name, app)) = found else {
            return false;
        };
        app.heir = None;
        let name = name.clone();
        self.heir_failed(&name, now, actions);
        true
    }

    /// Gives an heir up, if there is one.
    pub(super) fn dismiss(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        if let Some(Heir::Up { pid, .. }) = app.heir.take() {
            self.retire(name, pid, Force::Now, now + KILL_AFTER);
            actions.push(Action::Dismiss(name.to_owned()));
        }
    }

    pub(super) fn retire(&mut self, name: &str, pid: Pid, force: Force, deadline: Instant) {
        let name = name.to_owned();
        let retired = Retired {
            name,
            deadline,
            force,
        };
        self.retired.insert(pid, retired);
    }

    /// Says the next harder word to masters that retired, and gives up heirs that do not come.
    pub(super) fn press_others(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let stopping = self.stopping;
        self.retired.retain(|&pid, it| {
            if it.deadline > now {
                return true;
            }
            it.deadline = now + KILL_AFTER;
            it.force = match it.force {
                Force::Graceful => {
                    actions.push(Action::Press(pid));
                    Force::Now
                }
                Force::Killed(times) if times >= MAX_KILLS && stopping => return false,
                Force::Now | Force::Killed(_) => {
                    actions.push(Action::Kill(it.name.clone(), pid));
                    match it.force {
                        Force::Killed(times) => Force::Killed(times.saturating_add(1)),
                        Force::Graceful | Force::Now => Force::Killed(1),
                    }
                }
            };
            true
        });
        let is_late =
            |app: &App| matches!(app.heir, Some(Heir::Up { deadline, .. }) if deadline <= now);
        let late = self.apps.iter().filter(|(_, app)| is_late(app));
        let late: Vec<Name> = late.map(|(name, _)| name.clone()).collect();
        for name in late {
            self.heir_failed(&name, now, actions);
        }
    }

    pub(super) fn press_retired_now(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (&pid, it) in &mut self.retired {
            if it.force == Force::Graceful {
                it.force = Force::Now;
                it.deadline = now + KILL_AFTER;
                actions.push(Action::Press(pid));
            }
        }
    }

    /// Its master is not needed until a connection comes.
    pub(super) fn doze(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        let is_calm = self.apps.get(name).is_some_and(|app| {
            app.heir.is_none()
                && matches!(
                    app.state,
                    State::Up {
                        place: None,
                        order: None,
                        hung_up: None,
                        ..
                    }
                )
        });
        if is_calm && !self.stopping {
            self.give_up(name, Fate::Doze, now, actions);
        }
    }

    /// What an earlier emperor knew of an app whose master died again and again.
    pub(super) fn recall(&mut self, name: Name, failures: u32, wait: Duration, now: Instant) {
        let until = now + wait;
        let app = self
            .apps
            .entry(name)
            .or_insert_with(|| App::new(State::Waiting { until, after: None }));
        if matches!(app.state, State::Waiting { .. }) {
            for _ in 0..failures {
                let _ = app.deaths.fail();
            }
            app.settled = true;
        }
    }

    pub(super) fn heirs(&self) -> impl Iterator<Item = Pid> {
        self.apps.values().filter_map(|app| match app.heir {
            Some(Heir::Up { pid, .. }) => Some(pid),
            Some(Heir::Spawning) | None => None,
        })
    }
}
