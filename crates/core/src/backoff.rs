//! How long to wait before the next try: exponential, with a cap. Pure; the caller keeps the clock.

use std::time::Duration;

/// Failures of one thing in a row. A success or a changed file starts it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after the first failure.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// No wait is longer: an operator who mended the cause elsewhere waits at most this long.
    pub const CAP: Duration = Duration::from_secs(60);

    /// Counts a failure and tells how long to wait before the next try: 0.5, 1, 2, … 60 s.
    pub fn fail(&mut self) -> Duration {
        let wait = Self::FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        wait.min(Self::CAP)
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    pub fn failures(self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_a_reset_starts_it_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.fail().as_millis()).collect();
        assert_eq!(
            waits,
            [
                500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000
            ]
        );
        backoff.reset();
        assert_eq!(backoff.fail(), Backoff::FIRST);
    }
}
