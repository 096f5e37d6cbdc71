//! When a worker is replaced although it works: its age, its memory, an exception.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recycling {
    pub max_lifetime: Option<Duration>,
    /// Added once more for each next worker.
    pub max_lifetime_delta: Duration,
    /// Bytes of address space after which a worker is replaced.
    pub on_address_space: Option<u64>,
    /// Bytes above which the master kills a worker, whatever it does.
    pub evil_rss: Option<u64>,
    pub evil_address_space: Option<u64>,
    /// `mem-collector-freq`: how often the master looks.
    pub memory_interval: Duration,
    /// `reload-on-exception`: after any exception of the app.
    pub on_exception: bool,
    /// … of these types, by name.
    pub exception_types: Vec<String>,
    /// … with these texts.
    pub exception_values: Vec<String>,
    /// … that look like this, `ValueError: text`.
    pub exception_reprs: Vec<String>,
    /// `recycle-jitter` (ours): percent by which `max-requests` and `max-worker-lifetime` are
    /// stretched, differently for each worker, where no delta is given.
    pub jitter: u64,
}

impl Default for Recycling {
    fn default() -> Self {
        Self {
            max_lifetime: None,
            max_lifetime_delta: Duration::ZERO,
            on_address_space: None,
            evil_rss: None,
            evil_address_space: None,
            memory_interval: Duration::from_secs(3),
            on_exception: false,
            exception_types: Vec::new(),
            exception_values: Vec::new(),
            exception_reprs: Vec::new(),
            jitter: 10,
        }
    }
}

impl Recycling {
    /// `limit` for one worker: `worker` counts from 1, `seed` differs between processes.
    pub fn spread(&self, limit: u64, delta: u64, worker: u32, seed: u32) -> u64 {
        let before = u64::from(worker.saturating_sub(1));
        if delta > 0 {
            return limit.saturating_add(delta.saturating_mul(before));
        }
        // Neighbours in pid and number must not be neighbours in time: Knuth's multiplicative hash.
        let mixed = seed.wrapping_add(worker).wrapping_mul(2_654_435_761) >> 16;
        let share = u64::from(mixed) * self.jitter / 0xffff;
        let most = u128::from(limit) * u128::from(share) / 100;
        limit.saturating_add(u64::try_from(most).unwrap_or(u64::MAX))
    }

    /// Whether an exception is one of those that the app is recycled for.
    pub fn wants_exception(&self, kind: &str, value: &str) -> bool {
        self.on_exception
            || self.exception_types.iter().any(|it| it == kind)
            || self.exception_values.iter().any(|it| it == value)
            || self.exception_reprs.iter().any(|repr| {
                let rest = repr.strip_prefix(kind);
                rest.and_then(|rest| rest.strip_prefix(':'))
                    .is_some_and(|rest| rest.trim_start() == value)
            })
    }

    /// Whether exceptions matter at all.
    pub fn watches_exceptions(&self) -> bool {
        self.on_exception
            || !self.exception_types.is_empty()
            || !self.exception_values.is_empty()
            || !self.exception_reprs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_spreads_as_the_original_does_and_jitter_stays_within_its_percentage() {
        let recycling = Recycling::default();
        assert_eq!(recycling.spread(100, 7, 1, 4711), 100);
        assert_eq!(recycling.spread(100, 7, 3, 4711), 114);
        let mut seen = std::collections::BTreeSet::new();
        for pid in 1000..1100 {
            let limit = recycling.spread(1000, 0, 1, pid);
            assert!((1000..=1100).contains(&limit), "{limit}");
            seen.insert(limit);
        }
        assert!(seen.len() > 5, "{seen:?}");
        let plain = Recycling {
            jitter: 0,
            ..Recycling::default()
        };
        assert_eq!(plain.spread(1000, 0, 4, 4711), 1000);
    }

    #[test]
    fn exceptions_are_told_apart_by_type_text_and_both() {
        let some = Recycling {
            exception_types: vec!["KeyError".into()],
            exception_values: vec!["boom".into()],
            exception_reprs: vec!["OSError: disk full".into()],
            ..Recycling::default()
        };
        for (kind, value, wanted) in [
            ("KeyError", "x", true),
            ("ValueError", "boom", true),
            ("OSError", "disk full", true),
            ("OSError", "other", false),
            ("ValueError", "disk full", false),
        ] {
            assert_eq!(some.wants_exception(kind, value), wanted, "{kind}: {value}");
        }
    }
}
