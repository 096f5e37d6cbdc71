//! What the edge looks at by the clock: counters for harakiri, files for touch-reload.

use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters::{Core, Counters, Worker};
use imperator_process::signals;

use crate::clock;
use crate::effects::Effects;
use crate::event::Event;
use crate::harakiri::{self, Verdict};

impl Effects {
    pub(crate) fn wants_seconds(&self) -> bool {
        let watches_files = !self.touched.is_empty() || self.beside.wants_seconds();
        watches_files || self.log.alarms.watches_backlog()
    }

    /// The shortest limit of all generations that live.
    pub(crate) fn harakiri_limit(&self) -> Option<Duration> {
        self.generations
            .values()
            .filter_map(|it| it.settings.harakiri)
            .min()
    }

    pub(crate) fn look_for_harakiri(&mut self) -> Vec<Event> {
        let now = clock::monotonic_millis();
        let mut events = Vec::new();
        let mut lines = Vec::new();
        let mut all = self.generations.values();
        let counts = all.any(|it| it.settings.harakiri_options.queue_threshold.is_some());
        let waiting = if counts { self.waiting() } else { 0 };
        for (&process, child) in &mut self.children {
            let Some(ready) = self.generations.get(&child.generation) else {
                continue;
            };
            let options = &ready.settings.harakiri_options;
            if options.queue_threshold.is_some_and(|least| waiting < least) {
                continue;
            }
            let limit = ready.settings.harakiri;
            let words = child.counters.as_ref();
            let counters = words.and_then(|words| Counters::open(words.words()));
            let (Some(limit), Some(counters)) = (limit, counters) else {
                continue;
            };
            let (Some(worker), Some(pid)) = (child.worker, child.pid) else {
                continue;
            };
            match child
                .harakiri
                .look(counters, limit, options.graceful_timeout, now)
            {
                Verdict::Fine | Verdict::Wait => (),
                Verdict::Ask { try_number } => {
                    let graceful = options.graceful_timeout.is_some();
                    let how = (try_number, graceful);
                    let mut said = harakiri::lines(worker, pid, how, counters);
                    if options.verbose {
                        said.splice(1..1, harakiri::kernel_lines(pid));
                    }
                    lines.extend(said);
                    // Its Python stacks; without a handler it dies of it, which is decided anyway.
                    let _ = signals::send(pid, signals::stack_dump());
                    if graceful {
                        let _ = signals::send(pid, options.graceful_signal);
                    }
                }
                Verdict::Kill => {
                    *self.harakiris.entry(worker).or_default() += 1;
                    events.push(Event::Overdue { process });
                }
            }
        }
        for line in lines {
            self.log.note(&line);
        }
        events
    }

    /// One line per worker and running request.
    pub(crate) fn running_requests(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for child in self.children.values() {
            let words = child.counters.as_ref();
            let counters = words.and_then(|words| Counters::open(words.words()));
            let (Some(worker), Some(pid), Some(counters)) = (child.worker, child.pid, counters)
            else {
                continue;
            };
            let requests = counters.worker(Worker::Requests).load(Ordering::Relaxed);
            lines.push(format!("worker {worker} pid {pid}: {requests} requests"));
            let now = clock::monotonic_millis();
            for core in 0..counters.cores() {
                let started = counters
                    .core(core, Core::StartMillis)
                    .load(Ordering::Relaxed);
                if started != 0 {
                    let line = counters.line(core);
                    let line = String::from_utf8_lossy(&line).into_owned();
                    let line: String = line.chars().filter(|it| !it.is_control()).collect();
                    let took = now.saturating_sub(started);
                    lines.push(format!(
                        "worker {worker} core {core}: {line} since {took} ms"
                    ));
                }
            }
        }
        lines
    }
}
