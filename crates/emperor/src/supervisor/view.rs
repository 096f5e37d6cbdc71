//! What others may ask the supervisor; nothing here changes anything.

use std::time::{Duration, Instant};

use super::state::{App, Fate, Order, State};
use super::{Name, Pid, Situation, Supervisor};

impl Supervisor {
    /// Told to stop, and nothing is left.
    pub fn is_finished(&self) -> bool {
        self.stopping && self.apps.is_empty() && self.retired.is_empty()
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether its master was told to end.
    pub fn is_ending(&self, name: &str) -> bool {
        let app = self.apps.get(name);
        app.is_none_or(|app| matches!(app.state, State::Stopping { .. }))
    }

    /// Apps that an earlier emperor knew and that have no master; whether they are wanted is seen
    /// later.
    pub fn without_master(&self) -> Vec<Name> {
        let found = self
            .apps
            .iter()
            .filter(|(_, app)| app.state.pid().is_none());
        found.map(|(name, _)| name.clone()).collect()
    }

    /// Whether somebody stopped it by hand.
    pub fn is_halted(&self, name: &str) -> bool {
        self.apps.get(name).is_some_and(|app| match app.state {
            State::Halted => true,
            State::Stopping { fate, .. } => fate == Fate::Halt,
            State::Spawning { fate } => fate == Some(Fate::Halt),
            State::Waiting { .. } | State::Up { .. } | State::Dozing => false,
        })
    }

    /// Apps that were stopped by hand.
    pub fn halted(&self) -> Vec<Name> {
        let halted = self
            .apps
            .iter()
            .filter(|(_, app)| app.state == State::Halted);
        halted.map(|(name, _)| name.clone()).collect()
    }

    /// Apps that a reload of all concerns: who stopped one by hand does not mean it with "all", and one
    /// that sleeps without a master has nothing loaded.
    pub fn reloadable(&self) -> Vec<Name> {
        let names = self.names().into_iter();
        names
            .filter(|name| !self.is_halted(name) && !self.dozes(name))
            .collect()
    }

    /// Apps that sleep without a master.
    pub fn dozing(&self) -> impl Iterator<Item = &Name> {
        let dozing = self
            .apps
            .iter()
            .filter(|(_, app)| app.state == State::Dozing);
        dozing.map(|(name, _)| name)
    }

    pub fn dozes(&self, name: &str) -> bool {
        self.apps
            .get(name)
            .is_some_and(|app| app.state == State::Dozing)
    }

    /// How often its master died in a row.
    pub fn deaths(&self, name: &str) -> u32 {
        self.apps.get(name).map_or(0, |app| app.deaths.failures())
    }

    /// Apps with a second master on its way.
    pub fn with_heirs(&self) -> Vec<Name> {
        let found = self.apps.iter().filter(|(_, app)| app.heir.is_some());
        found.map(|(name, _)| name.clone()).collect()
    }

    /// Apps that shall reload when there is a place.
    pub fn waiting_for_reload(&self) -> Vec<Name> {
        let waits = |app: &App| {
            matches!(
                app.state,
                State::Up {
                    order: Some((Order::Reload, _)),
                    ..
                }
            )
        };
        let found = self.apps.iter().filter(|(_, app)| waits(app));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// Apps whose masters died: how often in a row, and the milliseconds that they still wait.
    pub fn backing_off(&self, now: Instant) -> Vec<(Name, u32, u64)> {
        let found = self.apps.iter().filter_map(|(name, app)| match app.state {
            State::Waiting { until, .. } if app.deaths.failures() > 0 => {
                let wait = until.saturating_duration_since(now).as_millis();
                let wait = u64::try_from(wait).unwrap_or(u64::MAX);
                Some((name.clone(), app.deaths.failures(), wait))
            }
            State::Waiting { .. }
            | State::Spawning { .. }
            | State::Up { .. }
            | State::Stopping { .. }
            | State::Halted
            | State::Dozing => None,
        });
        found.collect()
    }

    /// Something starts or reloads, or waits for its turn to.
    pub fn is_busy(&self) -> bool {
        self.apps.values().any(|app| match &app.state {
            State::Waiting { .. } => app.deaths.failures() == 0,
            State::Spawning { .. } => true,
            State::Up { place, order, .. } => place.is_some() || order.is_some(),
            State::Stopping { .. } | State::Halted | State::Dozing => false,
        })
    }

    /// Whether this app serves or has failed once, or is not wanted.
    pub fn has_settled(&self, name: &str) -> bool {
        self.apps.get(name).is_none_or(|app| app.settled)
    }

    pub fn pid(&self, name: &str) -> Option<Pid> {
        self.apps.get(name).and_then(|app| app.state.pid())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.apps.contains_key(name)
    }

    /// One word about an app that has no say itself, and how long it waits.
    pub fn situation(&self, name: &str, now: Instant) -> Option<(Situation, Option<Duration>)> {
        let app = self.apps.get(name)?;
        Some(match &app.state {
            State::Waiting { until, .. } if app.deaths.failures() > 0 => (
                Situation::BackingOff(app.deaths.failures()),
                Some(until.saturating_duration_since(now)),
            ),
            State::Waiting { .. } | State::Spawning { .. } => (Situation::Waiting, None),
            State::Up { .. } => (Situation::Up, None),
            State::Stopping { deadline, .. } => (
                Situation::Stopping,
                Some(deadline.saturating_duration_since(now)),
            ),
            State::Halted => (Situation::Halted, None),
            State::Dozing => (Situation::Dozing, None),
        })
    }
}
