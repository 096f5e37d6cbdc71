//! Listen queues that grow long, told before they are full: from then on clients are refused, or wait
//! where nobody sees them.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use imperator_core::address::Address;
use imperator_core::counters::{Core, Counters};
use imperator_core::why::{CauseId, is_long};

use super::Effects;
use crate::{clock, failure};

/// From one look to the next.
const APART: u64 = 5_000;

#[derive(Debug, Default)]
pub(crate) struct Queues {
    looked: u64,
    /// Those that are long, and were told.
    told: BTreeSet<Address>,
}

impl Effects {
    /// How many connections the kernel lets wait at a socket of the app.
    pub(crate) fn queue_limit(&self) -> Option<u64> {
        let settings = &self.newest()?.settings;
        Some(u64::from(settings.backlog.min(crate::sockets::somaxconn())))
    }

    /// While there are workers, every few seconds.
    pub(crate) fn look_for_long_queues(&mut self) {
        let now = clock::monotonic_millis();
        if now.saturating_sub(self.queues.looked) < APART {
            return;
        }
        self.queues.looked = now;
        let Some(limit) = self.queue_limit() else {
            return;
        };
        let has_free = self.has_free_thread();
        let mut long = Vec::new();
        for (address, listener) in self.sockets.iter() {
            // The kernel's table of TCP is long, and who has a free thread empties the queue.
            if listener.local().is_some() && has_free {
                continue;
            }
            let waiting = self.kernel.waiting(listener);
            if let Some(waiting) = waiting.filter(|&waiting| is_long(waiting, limit)) {
                long.push((address.clone(), waiting));
            }
        }
        let is_still = |address: &Address| long.iter().any(|(it, _)| it == address);
        self.queues.told.retain(is_still);
        for (address, waiting) in long {
            if !self.queues.told.insert(address.clone()) {
                continue;
            }
            let text = format!(
                "{waiting} of at most {limit} connections wait to be accepted at {address}"
            );
            let hint = format!(
                "raise processes or threads; raise listen above {limit} (and net.core.somaxconn) \
                 where they come in bursts"
            );
            self.log.note(&format!("{text}\n  hint: {hint}"));
            let trouble = failure::plain(text, Some(hint)).of(CauseId::ListenLimit);
            let trouble = trouble.with("found", waiting.to_string());
            self.troubles.add(trouble);
        }
    }

    fn has_free_thread(&self) -> bool {
        let words = self.children.values().filter(|it| it.worker.is_some());
        let words = words.filter_map(|it| it.counters.as_ref());
        let mut workers = words.filter_map(|words| Counters::open(words.words()));
        workers.any(|counters| {
            let start = |core| counters.core(core, Core::StartMillis);
            (0..counters.cores()).any(|core| start(core).load(Ordering::Relaxed) == 0)
        })
    }
}
