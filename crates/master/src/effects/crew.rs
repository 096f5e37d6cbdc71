//! All workers of the app, told to the one whose app asks for them (`uwsgi.workers()`).

use std::sync::atomic::Ordering;

use imperator_core::counters::{Core, Counters, Worker};
use imperator_core::message::{MAX_WORKERS, ToWorker, WorkerNumbers};

use super::{Child, Effects};
use crate::event::ProcessId;
use crate::stats;

impl Effects {
    pub(super) fn tell_workers(&mut self, process: ProcessId) {
        let Some(asker) = self.children.get(&process) else {
            return;
        };
        let generation = asker.generation;
        let mut others = self.gone_requests;
        let mut workers = Vec::new();
        for child in self.children.values() {
            let Some(id) = child.worker else { continue };
            if child.generation == generation && workers.len() < MAX_WORKERS {
                workers.push(self.numbers(id, child));
            } else {
                others += requests(child);
            }
        }
        let most = self.generations.get(&generation);
        let most = most.map_or(0, |ready| ready.settings.processes);
        for id in (1..=most).take(MAX_WORKERS.saturating_sub(workers.len())) {
            if !workers.iter().any(|worker| worker.id == id) {
                workers.push(WorkerNumbers {
                    id,
                    status: "cheap".to_owned(),
                    respawn_count: self.respawns.get(&id).copied().unwrap_or(0),
                    ..WorkerNumbers::default()
                });
            }
        }
        workers.sort_by_key(|worker| worker.id);
        let Some(asker) = self.children.get(&process) else {
            return;
        };
        // Who is gone, or reads nothing, waits for no answer either.
        let _ = asker
            .channel
            .send(&ToWorker::Workers { workers, others }, &[]);
    }

    fn numbers(&self, id: u32, child: &Child) -> WorkerNumbers {
        let pid = child.pid.unwrap_or(0);
        let words = child.counters.as_ref();
        let counters = words.and_then(|words| Counters::open(words.words()));
        let of = |word| {
            counters.map_or(0, |counters: Counters<'_>| {
                counters.worker(word).load(Ordering::Relaxed)
            })
        };
        let is_busy = counters.is_some_and(|counters| {
            let started = |core| counters.core(core, Core::StartMillis);
            (0..counters.cores()).any(|core| started(core).load(Ordering::Relaxed) != 0)
        });
        let (rss, vsz) = stats::memory(pid).unwrap_or((0, 0));
        WorkerNumbers {
            id,
            pid,
            requests: of(Worker::Requests),
            exceptions: of(Worker::Exceptions),
            status: if is_busy { "busy" } else { "idle" }.to_owned(),
            rss,
            vsz,
            running_time: of(Worker::RunningMicros),
            last_spawn: child.born,
            respawn_count: self.respawns.get(&id).copied().unwrap_or(0),
            tx: of(Worker::TxBytes),
            avg_rt: of(Worker::AvgMicros),
        }
    }
}

/// What it has answered so far.
pub(super) fn requests(child: &Child) -> u64 {
    let words = child.counters.as_ref();
    let counters = words.and_then(|words| Counters::open(words.words()));
    counters.map_or(0, |counters| {
        counters.worker(Worker::Requests).load(Ordering::Relaxed)
    })
}
