//! The clocks; only the edge reads them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Unix microseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the clock"
)]
pub(crate) fn epoch_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.as_ref().map_or(0, Duration::as_micros);
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// Unix seconds.
pub(crate) fn epoch() -> u64 {
    epoch_micros() / 1_000_000
}

/// CLOCK_MONOTONIC milliseconds, which the counters hold.
pub(crate) fn monotonic_millis() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        seconds * 1000 + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000_000
    })
}
