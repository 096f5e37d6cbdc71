//! Decides how many workers an app wants now: `cheaper` with its algorithms, the memory limits, and
//! `idle`. Pure: it sees one look at the counters per second, and remembers what it needs.

use std::time::{Duration, Instant};

use imperator_core::settings::scaling::{Algorithm, Scaling};

/// One look at the workers of the serving generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Workers that accept.
    pub active: u32,
    /// Workers on their way.
    pub starting: u32,
    /// Of the active ones, those with a request in any thread.
    pub busy: u32,
    /// The most there may be: `processes`.
    pub most: u32,
    /// Connections that wait to be accepted.
    pub backlog: u64,
    /// Microseconds spent in requests by all workers so far.
    pub running_micros: u64,
    /// Requests answered by all workers so far.
    pub requests: u64,
    /// Resident bytes of all workers.
    pub rss: u64,
}

impl Load {
    fn idle(&self) -> u32 {
        self.active.saturating_sub(self.busy)
    }

    fn all(&self) -> u32 {
        self.active.saturating_add(self.starting)
    }

    fn room(&self) -> u32 {
        self.most.saturating_sub(self.all())
    }
}

/// What is wanted. How many may really come or go, the machine decides: never more than there are
/// places, never fewer than `cheaper`, and no worker that has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Stay,
    More(u32),
    Fewer(u32),
    /// Nobody has asked anything for `idle`.
    Sleep,
}

/// What one look at the counters leaves for the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scaler {
    overloaded: u64,
    idle: u64,
    quiet_since: Option<Instant>,
    requests: u64,
    busyness: Busyness,
}

/// The memory of `busyness`.
#[derive(Debug, Clone, Default)]
struct Busyness {
    window: Option<(Instant, u64)>,
    /// Windows below the minimum in a row.
    low: u64,
    /// Added to the multiplier for workers that came back too soon.
    penalty: u64,
    /// Windows since a worker was ended.
    since_fewer: Option<u64>,
    /// Workers that a backlog alert started, and the windows since the last one.
    emergency: u32,
    since_alert: u64,
    waiting_since: Option<Instant>,
    /// The last window's percentage, for the log.
    last: Option<u64>,
}

impl Scaler {
    pub(crate) fn scale(&mut self, load: &Load, settings: &Scaling, now: Instant) -> Scale {
        if self.is_idle(load, settings, now) {
            return Scale::Sleep;
        }
        let Some(least) = settings.least else {
            return Scale::Stay;
        };
        let is_over = |limit: Option<u64>| limit.is_some_and(|limit| load.rss >= limit);
        if is_over(settings.rss_hard) && load.active > least {
            return Scale::Fewer(1);
        }
        let wanted = match settings.algorithm {
            Algorithm::Spare => self.spare(load, settings),
            Algorithm::Spare2 => self.spare2(load, settings),
            Algorithm::Backlog => Self::backlog(load, settings),
            Algorithm::Busyness => self.busyness.scale(load, settings, now),
            Algorithm::Manual => Scale::Stay,
        };
        match wanted {
            Scale::More(_) if is_over(settings.rss_soft) => Scale::Stay,
            Scale::More(count) => match count.min(load.room()) {
                0 => Scale::Stay,
                count => Scale::More(count),
            },
            // Those on their way are needed, or will be idle at the next look.
            Scale::Fewer(_) if load.starting > 0 || load.active <= least => Scale::Stay,
            Scale::Fewer(count) => Scale::Fewer(count.min(load.active - least)),
            Scale::Stay | Scale::Sleep => Scale::Stay,
        }
    }

    /// The percentage that `busyness` found in the window that just ended.
    pub(crate) fn busyness(&mut self) -> Option<u64> {
        self.busyness.last.take()
    }

    fn is_idle(&mut self, load: &Load, settings: &Scaling, now: Instant) -> bool {
        let Some(limit) = settings.idle else {
            return false;
        };
        let quiet = load.busy == 0 && load.backlog == 0 && load.starting == 0;
        // A replaced worker takes its count with it: any other number is activity.
        if !quiet || load.requests != self.requests {
            self.requests = load.requests;
            self.quiet_since = None;
            return false;
        }
        now >= *self.quiet_since.get_or_insert(now) + limit
    }

    /// All busy for more than `overload` looks: more. Two idle for as many: one fewer.
    fn spare(&mut self, load: &Load, settings: &Scaling) -> Scale {
        let free = load.idle().saturating_add(load.starting);
        if free > 0 {
            self.overloaded = self.overloaded.saturating_sub(1);
        } else {
            self.overloaded += 1;
        }
        if self.overloaded > settings.overload {
            self.overloaded = 0;
            return Scale::More(settings.step);
        }
        if load.idle() > 1 {
            self.idle += 1;
        } else {
            self.idle = 0;
        }
        if self.idle > settings.overload {
            self.idle = 0;
            return Scale::Fewer(1);
        }
        Scale::Stay
    }

    /// As many idle workers as `cheaper` says; more come at once, fewer only after `cheaper-idle`.
    fn spare2(&mut self, load: &Load, settings: &Scaling) -> Scale {
        let wanted = settings.least.unwrap_or(1);
        let free = load.idle().saturating_add(load.starting);
        if free < wanted {
            self.idle = 0;
            return Scale::More(settings.step.min(wanted - free));
        }
        if free == wanted {
            self.idle = 0;
            return Scale::Stay;
        }
        self.idle += 1;
        if self.idle > settings.idle_cycles {
            self.idle = 0;
            return Scale::Fewer(1);
        }
        Scale::Stay
    }

    fn backlog(load: &Load, settings: &Scaling) -> Scale {
        match load.backlog {
            waiting if waiting > settings.overload => Scale::More(settings.step),
            waiting if waiting < settings.overload => Scale::Fewer(1),
            _ => Scale::Stay,
        }
    }
}

impl Busyness {
    fn scale(&mut self, load: &Load, settings: &Scaling, now: Instant) -> Scale {
        if let Some(alert) = self.alert(load, settings, now) {
            return alert;
        }
        let span = Duration::from_secs(settings.overload.max(1));
        let Some((began, running)) = self.window else {
            self.window = Some((now, load.running_micros));
            return Scale::Stay;
        };
        if now < began + span {
            return Scale::Stay;
        }
        let elapsed = now.saturating_duration_since(began).as_micros();
        self.window = Some((now, load.running_micros));
        // A worker that ended took its time with it.
        let spent = u128::from(load.running_micros.saturating_sub(running));
        // A request that began before the window is not counted before it ends: who is in one is
        // busy at least now.
        let possible = elapsed.saturating_mul(load.active.max(1).into()).max(1);
        let measured = u64::try_from(spent * 100 / possible).unwrap_or(100);
        let in_requests = u64::from(load.busy) * 100 / u64::from(load.active.max(1));
        let busy = match measured {
            0 => in_requests,
            measured => measured.min(100),
        };
        self.last = Some(busy);
        self.decide(busy, load, settings)
    }

    fn decide(&mut self, busy: u64, load: &Load, settings: &Scaling) -> Scale {
        let rules = &settings.busyness;
        self.since_fewer = self.since_fewer.map(|windows| windows + 1);
        if busy > rules.max {
            self.low = 0;
            // Wanted back before a whole round was over: the next time it stays for longer.
            if self
                .since_fewer
                .take()
                .is_some_and(|it| it <= rules.multiplier)
            {
                self.penalty += rules.penalty;
            } else {
                self.penalty = self.penalty.saturating_sub(rules.penalty);
            }
            return Scale::More(settings.step);
        }
        if busy >= rules.min {
            self.low = 0;
            return Scale::Stay;
        }
        if self.emergency > 0 {
            self.since_alert += 1;
            if self.since_alert >= rules.backlog_multiplier {
                self.emergency -= 1;
                return Scale::Fewer(1);
            }
            return Scale::Stay;
        }
        self.low += 1;
        if self.low >= rules.multiplier + self.penalty && load.idle() > 0 {
            self.low = 0;
            self.since_fewer = Some(0);
            return Scale::Fewer(1);
        }
        Scale::Stay
    }

    /// Connections wait: more at once, without waiting for the window's end.
    fn alert(&mut self, load: &Load, settings: &Scaling, now: Instant) -> Option<Scale> {
        let rules = &settings.busyness;
        if load.backlog == 0 {
            self.waiting_since = None;
            return None;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let high = rules.backlog_alert > 0 && load.backlog > rules.backlog_alert;
        let long = !rules.backlog_nonzero.is_zero() && now >= since + rules.backlog_nonzero;
        let count = match (high, long) {
            (true, _) => rules.backlog_step,
            (false, true) => 1,
            (false, false) => return None,
        };
        // Those on their way have not been able to help yet.
        if load.starting > 0 || load.room() == 0 {
            return Some(Scale::Stay);
        }
        self.waiting_since = Some(now);
        self.emergency = self.emergency.saturating_add(count);
        self.since_alert = 0;
        Some(Scale::More(count))
    }
}

#[cfg(test)]
mod tests;
