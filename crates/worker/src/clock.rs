//! The clocks that the run loops read. Both come from the vDSO, without a system call; decisions
//! take the numbers as arguments.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Microseconds of CLOCK_MONOTONIC: the only clock that deadlines here are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(read(ClockId::CLOCK_MONOTONIC))
    }

    pub(crate) fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// Microseconds from `earlier` to here.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// How long until here; zero when it has passed.
    pub(crate) fn left(self, now: Self) -> Duration {
        Duration::from_micros(self.since(now))
    }
}

/// Seconds since 1970 of moments, where the wall clock is read once a second.
#[derive(Debug, Default)]
pub(crate) struct Epoch {
    read: Option<(Moment, u64)>,
}

impl Epoch {
    /// As the clock was read last; what somebody sets it to is seen after a second.
    pub(crate) fn seconds(&mut self, now: Moment) -> u64 {
        const FRESH: u64 = 1_000_000;
        let (at, micros) = match self.read {
            Some(read) if now.since(read.0) < FRESH => read,
            Some(_) | None => *self.read.insert((now, epoch_micros())),
        };
        (micros + now.since(at)) / 1_000_000
    }
}

/// Microseconds since 1970.
pub(crate) fn epoch_micros() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Both clocks always exist on Linux.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        u64::try_from(Duration::from(time).as_micros()).unwrap_or(u64::MAX)
    })
}
