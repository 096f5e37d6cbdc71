//! What the edge looks at by the clock: the workers' counters, files for touch-reload.

use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters::{Core, Counters, Worker};
use imperator_core::message::{Doing, MAX_TEXT, Stuck, ToWorker};
use imperator_process::signals;

use crate::clock;
use crate::effects::{Child, Effects, Ready, STACKS_LOOK};
use crate::event::{Event, ProcessId};
use crate::harakiri::{self, Limits, Verdict};

/// What a status tells of workers that are stuck: bytes of stacks, and how many.
const STUCK_ROOM: usize = 64 * 1024;
const STUCK_MOST: usize = 64;
/// And of those that are merely busy.
const DOING_ROOM: usize = 32 * 1024;

impl Effects {
    pub(crate) fn wants_seconds(&self) -> bool {
        let watches_files = !self.touched.is_empty() || self.beside.wants_seconds();
        watches_files || self.log.alarms.watches_backlog()
    }

    /// How often the workers' counters are looked at; `None`: there are none.
    pub(crate) fn look_interval(&self) -> Option<Duration> {
        if self.expects_stacks() {
            return Some(STACKS_LOOK);
        }
        let watched = |ready: &Ready| {
            let options = &ready.settings.harakiri_options;
            let by_master = options.graceful_timeout.is_some() || options.queue_threshold.is_some();
            ready.settings.harakiri.is_some() && by_master
        };
        let mut workers = self.children.values().filter(|it| it.worker.is_some());
        let soon = self.generations.values().any(watched)
            || workers.clone().any(|it| it.harakiri.is_active());
        match soon {
            true => Some(harakiri::SOON),
            false => workers.next().map(|_| harakiri::SELDOM),
        }
    }

    /// What the workers' counters say of their requests and of themselves.
    pub(crate) fn look_at_workers(&mut self) -> Vec<Event> {
        self.look_now = false;
        self.look_for_stacks();
        self.look_for_long_queues();
        let now = clock::monotonic_millis();
        let mut all = self.generations.values();
        let counts = all.any(|it| it.settings.harakiri_options.queue_threshold.is_some());
        let waiting = if counts { self.waiting() } else { 0 };
        let mut found = Vec::new();
        for (&process, child) in &mut self.children {
            let words = child.counters.as_ref();
            let counters = words.and_then(|words| Counters::open(words.words()));
            let ready = self.generations.get(&child.generation);
            let (Some(ready), Some(counters), Some(_), Some(pid)) =
                (ready, counters, child.worker, child.pid)
            else {
                continue;
            };
            let mut limits = Limits::of(&ready.settings);
            let threshold = ready.settings.harakiri_options.queue_threshold;
            limits.spares = threshold.is_some_and(|least| waiting < least);
            limits.traced = child.harakiri.is_quiet() && harakiri::is_traced(pid);
            let verdicts = child.harakiri.look(counters, limits, now);
            found.extend(verdicts.into_iter().map(|verdict| (process, verdict)));
        }
        let carried = found.into_iter();
        carried
            .filter_map(|(process, verdict)| self.judged(process, verdict, now))
            .collect()
    }

    fn judged(&mut self, process: ProcessId, verdict: Verdict, now: u64) -> Option<Event> {
        let child = self.children.get_mut(&process)?;
        let (worker, pid) = (child.worker?, child.pid?);
        let counters = Counters::open(child.counters.as_ref()?.words())?;
        let options = self
            .generations
            .get(&child.generation)?
            .settings
            .harakiri_options;
        match verdict {
            Verdict::Late {
                try_number,
                signal,
                gone,
            } => {
                *self.harakiris.entry(worker).or_default() += 1;
                let how = (try_number, options.graceful_timeout.is_some());
                let mut said = harakiri::lines(worker, pid, how, gone, counters, now);
                if options.verbose {
                    said.splice(1..1, harakiri::kernel_lines(pid));
                }
                for line in said {
                    self.log.note(&line);
                }
                if signal {
                    self.ask_for_stacks(process);
                    let _ = signals::send(pid, options.graceful_signal);
                }
                None
            }
            Verdict::SpareNobody => {
                // One that cannot be told is silent, and that is seen.
                let _ = child.channel.send(&ToWorker::Overdue, &[]);
                None
            }
            Verdict::Replace(why) => {
                let text = format!("worker {worker} (pid {pid}) is to be replaced: {why}");
                self.log.note(&text);
                self.ask_for_stacks(process);
                let patient = false;
                Some(Event::WantsToDrain { process, patient })
            }
            Verdict::Kill => Some(Event::Overdue { process }),
            Verdict::Stuck(why) => {
                let what = why.text();
                let text = format!("worker {worker} (pid {pid}) can answer nobody: {what}");
                child.stacks.last.clear();
                child.stuck = Some(Stuck {
                    worker,
                    pid,
                    what,
                    since: clock::epoch(),
                    stacks: String::new(),
                });
                self.log.note(&text);
                self.ask_quietly(process);
                None
            }
            Verdict::Free => {
                child.stuck = None;
                let text = format!("worker {worker} (pid {pid}) answers again");
                self.log.note(&text);
                None
            }
        }
    }

    /// What busy workers do, for who asked a moment ago.
    pub(crate) fn doing(&self) -> Vec<Doing> {
        let now = clock::monotonic_millis();
        let mut room = DOING_ROOM;
        let doing = self.children.values().filter_map(|child| {
            let stacks = &child.stacks.last;
            if stacks.is_empty() || child.stuck.is_some() || !child.is_shown(now) {
                return None;
            }
            let end = stacks.floor_char_boundary(stacks.len().min(MAX_TEXT).min(room));
            room -= end;
            Some(Doing {
                worker: child.worker?,
                pid: child.pid?,
                stacks: stacks[..end].to_owned(),
            })
        });
        doing.collect()
    }

    /// Workers that can answer nobody, for the status.
    pub(crate) fn stuck(&self) -> Vec<Stuck> {
        let mut room = STUCK_ROOM;
        let stuck = self.children.values().filter_map(|child| {
            let stuck = child.stuck.clone()?;
            let stacks = &child.stacks.last;
            let end = stacks.floor_char_boundary(stacks.len().min(MAX_TEXT).min(room));
            room -= end;
            Some(Stuck {
                stacks: stacks[..end].to_owned(),
                ..stuck
            })
        });
        stuck.take(STUCK_MOST).collect()
    }

    /// What one process does now.
    pub(crate) fn running_of(&self, process: ProcessId) -> Vec<String> {
        let child = self.children.get(&process);
        child.map_or_else(Vec::new, running)
    }

    /// One line per worker and running request.
    pub(crate) fn running_requests(&self) -> Vec<String> {
        self.children.values().flat_map(running).collect()
    }
}

fn running(child: &Child) -> Vec<String> {
    let mut lines = Vec::new();
    let words = child.counters.as_ref();
    let counters = words.and_then(|words| Counters::open(words.words()));
    let (Some(worker), Some(pid), Some(counters)) = (child.worker, child.pid, counters) else {
        return lines;
    };
    let requests = counters.worker(Worker::Requests).load(Ordering::Relaxed);
    lines.push(format!("worker {worker} pid {pid}: {requests} requests"));
    let now = clock::monotonic_millis();
    for core in 0..counters.cores() {
        let started = counters.core(core, Core::StartMillis);
        let started = started.load(Ordering::Relaxed);
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
    lines
}
