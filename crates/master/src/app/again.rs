//! The part of the app's decisions that is about reloads during a reload. Pure, like `app.rs`.
//!
//! The last one wins: the next generation starts anew, at once. Reloads that come faster than the
//! app loads must not start it anew for ever, though. So the next generation is let alone
//!
//! - once reloads have interrupted each other for longer than a start usually takes,
//! - until it serves or has failed, or has had twice as long as a start usually takes (each time
//!   that this was not enough, twice as long again, and never longer than `ready-timeout`).
//!
//! However many reloads come meanwhile, one generation follows it.

use std::time::{Duration, Instant};

use super::{App, PREPARE_LIMIT};
use crate::event::Action;

/// What the start of an app takes of which none has served yet.
const UNKNOWN: Duration = Duration::from_secs(5);
/// A start may well take so much longer than the last one.
const MARGIN: Duration = Duration::from_secs(1);

/// How somebody wants a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again {
    pub only_if_changed: bool,
    pub brutal: bool,
}

impl Again {
    pub(super) const PLAIN: Self = Self {
        only_if_changed: false,
        brutal: false,
    };
    pub(super) const BRUTAL: Self = Self {
        only_if_changed: false,
        brutal: true,
    };
    pub(super) const IF_CHANGED: Self = Self {
        only_if_changed: true,
        brutal: false,
    };

    /// Two reloads in one.
    fn and(self, other: Self) -> Self {
        Self {
            only_if_changed: self.only_if_changed && other.only_if_changed,
            brutal: self.brutal || other.brutal,
        }
    }
}

/// Generations of which each interrupted the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    since: Instant,
    /// How many of them were let alone, and did not become ready.
    misses: u32,
}

impl App {
    /// Whether a reload has to wait; then it is remembered. Else it may interrupt what starts.
    pub(super) fn is_later(&mut self, how: Again, now: Instant) -> bool {
        let Some(began) = self.next.as_ref().map(|next| next.began) else {
            return false;
        };
        let usual = self.usual();
        let chain = self.chain.get_or_insert(Chain {
            since: began,
            misses: 0,
        });
        if now < chain.since + usual {
            return false;
        }
        if self.patience_ends().is_some_and(|end| now < end) {
            self.again = Some(self.again.map_or(how, |before| before.and(how)));
            return true;
        }
        if let Some(chain) = &mut self.chain {
            chain.misses += 1;
        }
        false
    }

    /// The reload that had to wait comes, when its time has come.
    pub(super) fn reload_again(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.next.is_none() {
            self.chain = None;
        } else if self.again_at().is_none_or(|at| now < at) {
            return;
        }
        if let Some(how) = self.again.take() {
            self.reload(how, now, actions);
        }
    }

    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again.and_then(|_| self.patience_ends())
    }

    /// Until when the next generation is let alone.
    fn patience_ends(&self) -> Option<Instant> {
        let next = self.next.as_ref()?;
        let timeouts = [Some(next), self.serving.as_ref()];
        let timeouts = timeouts.into_iter().flatten();
        let mut known = timeouts
            .map(|it| it.shape.ready_timeout)
            .filter(|it| !it.is_zero());
        let most = known.next().unwrap_or(PREPARE_LIMIT);
        let misses = self.chain.map_or(0, |chain| chain.misses).min(16);
        let patience = self.usual().saturating_mul(2 << misses).min(most);
        Some(next.began + patience)
    }

    /// What a start takes.
    fn usual(&self) -> Duration {
        let took = self.serving.as_ref().and_then(|serving| serving.took);
        took.unwrap_or(UNKNOWN) + MARGIN
    }
}
