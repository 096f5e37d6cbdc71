//! The part of the supervisor that sees to it that every stop ends. Pure, like `supervisor.rs`.

use std::time::Instant;

use super::state::{Fate, Force, State};
use super::{Action, KILL_AFTER, MAX_KILLS, Order, Supervisor};

impl Supervisor {
    pub(super) fn stop_now(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.stopping = true;
        for name in self.names() {
            self.give_up(&name, Fate::Forget, now, actions);
        }
        actions.retain(|action| !matches!(action, Action::Order(_, Order::Stop)));
        self.press_retired_now(now, actions);
        for (name, app) in &mut self.apps {
            if let State::Stopping {
                deadline, force, ..
            } = &mut app.state
                && *force == Force::Graceful
            {
                *force = Force::Now;
                *deadline = now + KILL_AFTER;
                actions.push(Action::Order(name.clone(), Order::StopNow));
            }
        }
    }

    /// Says the next harder word to masters that do not end.
    pub(super) fn press(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut given_up = Vec::new();
        for (name, app) in &mut self.apps {
            if let State::Up {
                pid,
                hung_up: Some(at),
                ..
            } = &mut app.state
                && *at <= now
            {
                *at = now + KILL_AFTER;
                actions.push(Action::Kill(name.clone(), *pid));
            }
            let State::Stopping {
                pid,
                deadline,
                force,
                ..
            } = &mut app.state
            else {
                continue;
            };
            if *deadline > now {
                continue;
            }
            *deadline = now + KILL_AFTER;
            *force = match *force {
                Force::Graceful => {
                    actions.push(Action::Order(name.clone(), Order::StopNow));
                    Force::Now
                }
                Force::Now => {
                    actions.push(Action::Kill(name.clone(), *pid));
                    Force::Killed(1)
                }
                Force::Killed(times) if times >= MAX_KILLS && self.stopping => {
                    given_up.push(name.clone());
                    Force::Killed(times)
                }
                Force::Killed(times) => {
                    actions.push(Action::Kill(name.clone(), *pid));
                    Force::Killed(times.saturating_add(1))
                }
            };
        }
        for name in given_up {
            self.end(&name, Fate::Forget, now, actions);
        }
        self.press_others(now, actions);
    }
}
