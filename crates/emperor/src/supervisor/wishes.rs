//! What somebody wants of an app: a file that changed, a reload, a retry, a restart. Pure, like
//! `supervisor.rs`.

use std::time::Instant;

use super::state::{Fate, State};
use super::{Action, Name, Order, Supervisor};

impl Supervisor {
    /// Its files changed, or somebody wants it anew: forgets why it waited.
    pub(super) fn renew(&mut self, name: &str, order: Order, now: Instant) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        if self.stopping {
            return;
        }
        app.deaths.reset();
        match &mut app.state {
            State::Waiting { until, .. } => *until = now.min(*until),
            State::Spawning { .. } => (),
            State::Up { order: pending, .. } => {
                *pending = Some(match *pending {
                    Some((Order::Reload, since)) => (Order::Reload, since),
                    Some((_, since)) => (order, since),
                    None => (order, now),
                });
            }
            State::Stopping { fate, .. } => {
                if matches!(fate, Fate::Halt | Fate::Doze) {
                    *fate = Fate::Respawn;
                }
            }
            State::Halted | State::Dozing => {
                app.state = State::Waiting {
                    until: now,
                    after: None,
                };
            }
        }
    }

    pub(super) fn retry(&mut self, name: Option<&Name>, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        for (each, app) in &mut self.apps {
            if name.is_some_and(|name| name != each) {
                continue;
            }
            app.deaths.reset();
            match &mut app.state {
                State::Waiting { until, .. } => *until = now.min(*until),
                State::Up { .. } => actions.push(Action::Order(each.clone(), Order::Retry)),
                // Who stopped one app by hand does not mean it with "retry all".
                State::Halted | State::Dozing if name.is_some() => {
                    app.state = State::Waiting {
                        until: now,
                        after: None,
                    };
                }
                State::Stopping { fate, .. } if name.is_some() && *fate == Fate::Halt => {
                    *fate = Fate::Respawn;
                }
                State::Spawning { fate } if name.is_some() && *fate == Some(Fate::Halt) => {
                    *fate = None;
                }
                State::Halted | State::Dozing | State::Spawning { .. } | State::Stopping { .. } => {
                }
            }
        }
    }

    pub(super) fn restart(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        if self.stopping {
            return;
        }
        app.deaths.reset();
        match &mut app.state {
            State::Stopping { fate, .. } if *fate == Fate::Forget => (),
            State::Spawning { fate } if *fate == Some(Fate::Forget) => (),
            State::Waiting { .. }
            | State::Spawning { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Halted
            | State::Dozing => self.give_up(name, Fate::Respawn, now, actions),
        }
    }
}
