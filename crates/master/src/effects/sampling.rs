//! What the workers do and use, read once a second for scaling and memory limits; and what is
//! said about it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters::{Counters, Worker};

use super::Effects;
use crate::event::{Event, Sample};
pub(crate) use crate::harakiri::is_busy;
use crate::stats::memory;

impl Effects {
    /// Whether anybody decides by samples now.
    pub(crate) fn wants_samples(&self) -> bool {
        let serving = self.serving.and_then(|it| self.generations.get(&it));
        serving.is_some_and(|ready| ready.settings.scaling.watches())
    }

    pub(crate) fn sample(&self) -> Sample {
        let wants_memory = self.newest().is_some_and(|ready| {
            let scaling = &ready.settings.scaling;
            scaling.rss_soft.is_some() || scaling.rss_hard.is_some()
        });
        let mut sample = Sample {
            backlog: self.waiting(),
            ..Sample::default()
        };
        for (&process, child) in &self.children {
            let is_serving = Some(child.generation) == self.serving && child.worker.is_some();
            let words = child.counters.as_ref().filter(|_| is_serving);
            let Some(counters) = words.and_then(|words| Counters::open(words.words())) else {
                continue;
            };
            let of = |word| counters.worker(word).load(Ordering::Relaxed);
            sample.running_micros = sample
                .running_micros
                .saturating_add(of(Worker::RunningMicros));
            sample.requests = sample.requests.saturating_add(of(Worker::Requests));
            if is_busy(counters) {
                sample.busy.insert(process);
            }
            if let Some((rss, _)) = child.pid.filter(|_| wants_memory).and_then(memory) {
                sample.rss = sample.rss.saturating_add(rss);
            }
        }
        sample
    }

    /// Connections that wait at any of the app's sockets.
    pub(crate) fn waiting(&self) -> u64 {
        let listeners = self.sockets.iter();
        listeners
            .filter_map(|(_, listener)| self.kernel.waiting(listener))
            .fold(0, u64::saturating_add)
    }

    /// For who asks how the app is.
    pub(crate) fn look_at_numbers(&mut self) {
        self.look_at_requests();
        let now = crate::clock::monotonic_millis();
        let mut rate = 0_u64;
        let mut bytes = 0_u64;
        for child in self.children.values() {
            let words = child.counters.as_ref().map(|words| words.words());
            if let Some(counters) = words.and_then(Counters::open) {
                rate = rate.saturating_add(counters.rate_milli(now));
            }
            if let Some((rss, _)) = child.pid.and_then(memory) {
                bytes = bytes.saturating_add(rss);
            }
        }
        self.numbers = super::Numbers {
            queue: Some(self.waiting()),
            rate: Some(rate),
            memory: Some(bytes),
        };
    }

    /// How often memory is looked at for `evil-reload-on-*`; `None`: never.
    pub(crate) fn memory_interval(&self) -> Option<Duration> {
        let mut all = self.generations.values().map(|it| &it.settings.recycling);
        let evil = all.find(|it| it.evil_rss.is_some() || it.evil_address_space.is_some())?;
        Some(evil.memory_interval)
    }

    /// Workers that are over what even `evil-reload-on-*` allows.
    pub(crate) fn look_for_evil(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut notes = Vec::new();
        for (&process, child) in &self.children {
            let ready = self.generations.get(&child.generation);
            let (Some(ready), Some(worker), Some(pid)) = (ready, child.worker, child.pid) else {
                continue;
            };
            let recycling = &ready.settings.recycling;
            let Some((rss, address_space)) = memory(pid) else {
                continue;
            };
            let over = [
                ("evil-reload-on-rss", rss, recycling.evil_rss),
                (
                    "evil-reload-on-as",
                    address_space,
                    recycling.evil_address_space,
                ),
            ];
            let over = over.into_iter().find_map(|(name, used, limit)| {
                let limit = limit.filter(|&limit| used > limit)?;
                Some((name, used >> 20, limit >> 20))
            });
            if let Some((name, used, limit)) = over {
                notes.push(format!(
                    "worker {worker} (pid {pid}) is killed: {name}: {used} MB of {limit}"
                ));
                events.push(Event::Overdue { process });
            }
        }
        for note in notes {
            self.log.note(&note);
        }
        events
    }

    /// For `cheaper-busyness-verbose`.
    pub(crate) fn tell_busyness(&mut self, percent: u64) {
        let settings = self.newest().map(|ready| &ready.settings);
        if settings.is_some_and(|it| it.scaling.busyness.verbose) {
            self.log
                .note(&format!("workers are busy for {percent} % of their time"));
        }
    }

    pub(super) fn scaled(&mut self, from: u32, to: u32) {
        self.log
            .note(&format!("scaled from {from} to {to} workers"));
    }

    pub(super) fn sleep(&mut self, prepared: Option<u32>, ends: bool) {
        if let Some(generation) = prepared {
            self.generations.retain(|&it, _| it >= generation);
            self.failure = None;
            self.keep_sockets_of(generation);
            let text = "the app sleeps: the first connection starts it";
            return self.log.note(text);
        }
        let settings = self.newest().map(|ready| &ready.settings);
        let idle = settings.and_then(|it| it.scaling.idle).unwrap_or_default();
        let quiet = match idle.as_secs() {
            0 => String::new(),
            seconds => format!("no request for {seconds} s: "),
        };
        if ends {
            self.stop_reason = Some(format!("{quiet}die-on-idle"));
            return self.log.note(&format!("{quiet}the app ends (die-on-idle)"));
        }
        self.serving = None;
        let text = format!("{quiet}the app sleeps, its sockets stay open and wake it");
        self.log.note(&text);
    }

    /// The umask of what the master makes, sockets above all, and of the app.
    pub(crate) fn apply_umask(&mut self, wanted: Option<u32>) {
        let set = |mode: u32| rustix::process::umask(rustix::fs::Mode::from_raw_mode(mode));
        match (wanted, self.own_umask) {
            (Some(mode), _) => {
                let before = set(mode).as_raw_mode();
                self.own_umask.get_or_insert(before);
            }
            (None, Some(own)) => {
                set(own);
                self.own_umask = None;
            }
            (None, None) => (),
        }
    }
}
