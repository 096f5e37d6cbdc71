//! How many apps may start or reload at once, and who is next. Pure, like `supervisor.rs`.

use std::time::Instant;

use super::state::{Place, State};
use super::{Action, Name, SLOW_PER_PLACE, SUCCESSION, Supervisor};

impl Supervisor {
    pub(super) fn free_places(&mut self, now: Instant) {
        for app in self.apps.values_mut() {
            if let State::Up { place, .. } = &mut app.state {
                *place = place.and_then(|place| place.at(now));
            }
        }
    }

    /// How many may begin now.
    pub(super) fn free(&self) -> usize {
        let (mut all, mut busy) = (0, 0);
        for (on_its_way, is_busy) in self.apps.values().map(|app| app.state.starts()) {
            all += usize::from(on_its_way);
            busy += usize::from(is_busy);
        }
        let most = self.places.saturating_mul(SLOW_PER_PLACE);
        self.places
            .saturating_sub(busy)
            .min(most.saturating_sub(all))
    }

    /// Starts and reloads what is due, in the order in which it became due.
    pub(super) fn fill_places(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.pass_on_at_once(now, actions);
        let free = self.free();
        if free == 0 || self.stopping {
            return;
        }
        let mut due: Vec<(Instant, Name)> = Vec::new();
        for (name, app) in &self.apps {
            match &app.state {
                State::Waiting { until, after } => {
                    let earliest = match after {
                        Some(after) if self.apps.contains_key(after) => *until + SUCCESSION,
                        Some(_) | None => *until,
                    };
                    if earliest <= now {
                        due.push((earliest, name.clone()));
                    }
                }
                State::Up {
                    place: None,
                    order: Some((_, since)),
                    ..
                } => due.push((*since, name.clone())),
                State::Up { .. }
                | State::Spawning { .. }
                | State::Stopping { .. }
                | State::Halted
                | State::Dozing => (),
            }
        }
        due.sort();
        for (_, name) in due.into_iter().take(free) {
            let Some(app) = self.apps.get_mut(&name) else {
                continue;
            };
            if let State::Up { place, order, .. } = &mut app.state {
                *place = Some(Place::new(now));
                if let Some((order, _)) = order.take() {
                    self.pass_on(name, order, now, actions);
                }
            } else {
                app.state = State::Spawning { fate: None };
                actions.push(Action::Spawn(name));
            }
        }
    }
}
