//! What others may ask the supervisor; nothing here changes anything.

use std::time::{Duration, Instant};

use super::state::State;
use super::{Name, Pid, Situation, Supervisor};

impl Supervisor {
    /// Told to stop, and nothing is left.
    pub fn is_finished(&self) -> bool {
        self.stopping && self.apps.is_empty()
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether its master was told to end.
    pub fn is_ending(&self, name: &str) -> bool {
        let app = self.apps.get(name);
        app.is_none_or(|app| matches!(app.state, State::Stopping { .. }))
    }

    /// Apps that were stopped by hand.
    pub fn halted(&self) -> Vec<Name> {
        let halted = self
            .apps
            .iter()
            .filter(|(_, app)| app.state == State::Halted);
        halted.map(|(name, _)| name.clone()).collect()
    }

    /// Something starts or reloads, or waits for its turn to.
    pub fn is_busy(&self) -> bool {
        self.apps.values().any(|app| match &app.state {
            State::Waiting { .. } => app.deaths.failures() == 0,
            State::Spawning { .. } => true,
            State::Up { place, order, .. } => place.is_some() || order.is_some(),
            State::Stopping { .. } | State::Halted => false,
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
        })
    }
}
