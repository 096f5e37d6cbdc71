//! Whether a worker has served enough: by requests, age, memory, or an exception of the app. It asks
//! for its replacement, once, and goes on until that is there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::WorkerContext;
use crate::clock::Moment;
use crate::lifecycle::Event;
use crate::memory::Usage;

impl WorkerContext {
    /// After each request: whether the worker has served enough.
    pub(crate) fn check_wear(&self, requests: u64) {
        let settings = self.settings();
        let Some(limit) = settings.max_requests else {
            return;
        };
        let delta = settings.max_requests_delta;
        let limit = settings.recycling.spread(limit, delta, self.id(), self.pid);
        if requests >= limit && self.may_wear() {
            self.post(Event::Worn(format!("max-requests: {requests} served")));
        }
    }

    /// Once a second: whether the worker is old or big enough to be replaced.
    pub(crate) fn check_age(&self, memory: Usage, now: Moment) {
        let settings = self.settings();
        let recycling = &settings.recycling;
        let size = [
            ("reload-on-rss", memory.rss, settings.reload_on_rss),
            (
                "reload-on-as",
                memory.virtual_size,
                recycling.on_address_space,
            ),
        ];
        for (name, used, limit) in size {
            if let Some(limit) = limit.filter(|&limit| used >= limit)
                && self.may_wear()
            {
                let (used, limit) = (used >> 20, limit >> 20);
                self.post(Event::Worn(format!("{name}: {used} MB of {limit}")));
            }
        }
        let Some(lifetime) = recycling.max_lifetime else {
            return;
        };
        let delta = recycling.max_lifetime_delta.as_secs();
        let seconds = recycling.spread(lifetime.as_secs(), delta, self.id(), self.pid);
        // Age alone is its own minimum: min-worker-lifetime does not hold it up, as in uWSGI.
        let is_old = now >= self.started.after(Duration::from_secs(seconds));
        if is_old && !self.worn.swap(true, Ordering::AcqRel) {
            self.post(Event::Worn(format!("max-worker-lifetime: {seconds} s")));
        }
    }

    /// After an exception of the app: whether it costs the worker.
    pub fn check_exception(&self, kind: &str, value: &str) {
        let recycling = &self.settings().recycling;
        if recycling.wants_exception(kind, value) && !self.worn.swap(true, Ordering::AcqRel) {
            self.post(Event::Worn(format!("reload-on-exception: {kind}")));
        }
    }

    /// Whether min-worker-lifetime is over and nothing was said yet; true once.
    pub(crate) fn may_wear(&self) -> bool {
        Moment::now() >= self.started.after(self.settings().min_worker_lifetime)
            && !self.worn.swap(true, Ordering::AcqRel)
    }
}
