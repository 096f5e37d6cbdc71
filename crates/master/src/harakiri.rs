//! What a worker's counters say of requests past their deadline, of an I/O thread that is silent and
//! of threads that are all taken; and what is to be done. Pure.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters::{Core, Counters, Worker};
use imperator_core::settings::Settings;

/// How often counters are read when something is going on, and when nothing is: a worker itself
/// tells of requests past their deadline.
pub(crate) const SOON: Duration = Duration::from_millis(250);
pub(crate) const SELDOM: Duration = Duration::from_secs(5);
/// A worker whose I/O thread says nothing for so long is replaced.
const SILENT: u64 = 10_000;
/// It was silent at so many looks: a machine that slept shows us an old heartbeat once.
const SILENT_LOOKS: u32 = 8;
const LOOKS_APART: u64 = 200;
/// A worker without a free thread, or without its interpreter, is told about after so long.
const STUCK: u64 = 30_000;

/// What the config says, and what else a look depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    harakiri: Option<u64>,
    /// A signal comes first, and the deadline so much later.
    graceful: Option<u64>,
    /// After an exception was raised.
    grace: u64,
    has_threshold: bool,
    /// `harakiri-queue-threshold` is not reached.
    pub spares: bool,
    /// A debugger holds the worker.
    pub traced: bool,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        let millis = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let options = &settings.harakiri_options;
        Self {
            harakiri: settings.harakiri.map(millis),
            graceful: options.graceful_timeout.map(millis),
            grace: millis(options.grace),
            has_threshold: options.queue_threshold.is_some(),
            spares: false,
            traced: false,
        }
    }
}

/// What was found about one worker; times are CLOCK_MONOTONIC milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    /// Requests past their deadline, by core.
    late: BTreeMap<usize, Late>,
    /// The last one that was told of each core, by its start.
    told: BTreeMap<usize, u64>,
    tries: u32,
    pulse: Pulse,
    /// It is to be replaced for what is here.
    is_leaving: bool,
    /// It was told to drain.
    pub is_draining: bool,
    is_killed: bool,
    stuck: Option<Why>,
}

/// One request, while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Late {
    start: u64,
    /// When the worker has ended it for its client.
    ended_at: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pulse {
    last: u64,
    /// Since when it is the same, and at how many looks it was.
    since: u64,
    looks: u32,
    counted: u64,
}

/// Why a worker can answer nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Interpreter,
    Threads(usize),
}

impl Why {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Interpreter => {
                "nobody gets its interpreter for 30 s: a thread holds the GIL".to_owned()
            }
            Self::Threads(1) => "its one thread is in a request older than 30 s".to_owned(),
            Self::Threads(all) => {
                format!("all its {all} threads are in requests older than 30 s")
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A request ran past its deadline just now. `signal`: the worker is to have a signal first;
    /// else it has ended the request for its client, and asked for the stacks.
    Late {
        try_number: u32,
        signal: bool,
        /// The core whose request has ended since.
        gone: Option<usize>,
    },
    /// The queue is long: the worker spares nobody any longer.
    SpareNobody,
    /// The next worker takes its place; then it drains.
    Replace(&'static str),
    /// Nothing is left in it but what does not end.
    Kill,
    Stuck(Why),
    /// It answers again.
    Free,
}

impl Watch {
    /// Whether the next look should be soon.
    pub(crate) fn is_active(&self) -> bool {
        !self.late.is_empty() || self.is_leaving || self.pulse.looks > 0
    }

    /// Whether its I/O thread said nothing since the last look.
    pub(crate) fn is_quiet(&self) -> bool {
        self.pulse.looks > 0
    }

    pub(crate) fn look(
        &mut self,
        counters: Counters<'_>,
        limits: Limits,
        now: u64,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let silent = self.feel(counters, now) && !limits.traced;
        let word = |core, word| counters.core(core, word).load(Ordering::Acquire);
        let mut spared = false;
        for core in 0..counters.cores() {
            let start = word(core, Core::StartMillis);
            let overdue = word(core, Core::OverdueMillis);
            let known = self.late.get(&core).map(|late| late.start);
            let was_told = overdue == 0 || self.told.insert(core, overdue) == Some(overdue);
            if !was_told && overdue != start && known != Some(overdue) {
                self.tries += 1;
                verdicts.push(Verdict::Late {
                    try_number: self.tries,
                    signal: false,
                    gone: Some(core),
                });
            }
            if known.is_some_and(|known| known != start) {
                self.late.remove(&core);
            }
            if start == 0 {
                continue;
            }
            let past = |more: u64| {
                let limit = limits.harakiri.map(|limit| limit.saturating_add(more));
                limit.is_some_and(|limit| now.saturating_sub(start) > limit)
            };
            // Without its I/O thread the worker ends nothing by itself.
            let alone = silent && past(limits.graceful.unwrap_or(0));
            let ended = overdue == start || alone;
            let signal = limits.graceful.is_some() && past(0) && !limits.spares;
            if !self.late.contains_key(&core) && (ended || signal) {
                let ended_at = ended.then_some(now);
                self.late.insert(core, Late { start, ended_at });
                self.tries += 1;
                verdicts.push(Verdict::Late {
                    try_number: self.tries,
                    signal: !ended,
                    gone: None,
                });
            }
            if let Some(late) = self.late.get_mut(&core)
                && ended
            {
                late.ended_at.get_or_insert(now);
            }
            let is_due = past(limits.graceful.unwrap_or(0));
            spared |= limits.has_threshold && !limits.spares && is_due && !ended;
        }
        if spared {
            verdicts.push(Verdict::SpareNobody);
        }
        verdicts.extend(self.go(counters, limits, silent, now));
        verdicts.extend(self.judge(counters, now));
        verdicts
    }

    /// Whether the I/O thread is silent.
    fn feel(&mut self, counters: Counters<'_>, now: u64) -> bool {
        let pulse = counters
            .worker(Worker::HeartbeatMillis)
            .load(Ordering::Relaxed);
        if pulse == 0 || pulse != self.pulse.last {
            self.pulse = Pulse {
                last: pulse,
                since: now,
                looks: 0,
                counted: now,
            };
            return false;
        }
        if now.saturating_sub(self.pulse.counted) >= LOOKS_APART {
            self.pulse.counted = now;
            self.pulse.looks = self.pulse.looks.saturating_add(1);
        }
        now.saturating_sub(self.pulse.since) >= SILENT && self.pulse.looks >= SILENT_LOOKS
    }

    /// Whether it is to go, and whether it may be ended.
    fn go(
        &mut self,
        counters: Counters<'_>,
        limits: Limits,
        silent: bool,
        now: u64,
    ) -> Option<Verdict> {
        // With a signal first, it had its time.
        let grace = match limits.graceful {
            Some(_) => 0,
            None => limits.grace,
        };
        let stays = self.late.values().any(|late| {
            let at = late.ended_at.filter(|_| !self.is_leaving);
            at.is_some_and(|at| now.saturating_sub(at) >= grace)
        });
        if (stays || silent) && !self.is_leaving {
            self.is_leaving = true;
            return Some(Verdict::Replace(match silent {
                true => "its I/O thread has said nothing for 10 s",
                false => "a request past its deadline does not end",
            }));
        }
        let spent = counters.worker(Worker::Spent).load(Ordering::Relaxed) == 1;
        let idle = silent && !is_busy(counters);
        if self.is_leaving && self.is_draining && (spent || idle) && !self.is_killed {
            self.is_killed = true;
            return Some(Verdict::Kill);
        }
        None
    }

    /// Whether it can answer anybody.
    fn judge(&mut self, counters: Counters<'_>, now: u64) -> Option<Verdict> {
        let asked = counters
            .worker(Worker::GilAskedMillis)
            .load(Ordering::Relaxed);
        let is_old = |since: u64| since != 0 && now.saturating_sub(since) >= STUCK;
        let cores = counters.cores();
        let starts = (0..cores).map(|core| counters.core(core, Core::StartMillis));
        let taken = starts
            .map(|start| start.load(Ordering::Relaxed))
            .all(is_old);
        let why = if self.is_draining {
            None
        } else if is_old(asked) {
            Some(Why::Interpreter)
        } else {
            taken.then_some(Why::Threads(cores))
        };
        if why == self.stuck {
            return None;
        }
        self.stuck = why;
        Some(why.map_or(Verdict::Free, Verdict::Stuck))
    }
}

/// Whether any thread has a request.
pub(crate) fn is_busy(counters: Counters<'_>) -> bool {
    (0..counters.cores()).any(|core| {
        let started = counters.core(core, Core::StartMillis);
        started.load(Ordering::Relaxed) != 0
    })
}

/// What the kernel tells about a process, in the original's words: `harakiri-verbose`.
pub(crate) fn kernel_lines(pid: i32) -> Vec<String> {
    let of = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
    ["syscall", "wchan"]
        .into_iter()
        .filter_map(|name| {
            let text = of(name).ok()?;
            Some(format!("HARAKIRI: -- {name}> {}", text.trim_end()))
        })
        .collect()
}

/// Whether a debugger holds the process as a whole.
pub(crate) fn is_traced(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// The lines that the original (2.0.22 and later) writes (core/master_utils.c), so that alarms that
/// look for them work; of ours is how long each request runs.
pub(crate) fn lines(
    worker: u32,
    pid: i32,
    (try_number, graceful): (u32, bool),
    gone: Option<usize>,
    counters: Counters<'_>,
    now: u64,
) -> Vec<String> {
    let graceful = if graceful { "yes" } else { "no" };
    let mut lines = vec![
        format!(
            "*** HARAKIRI ON WORKER {worker} (pid: {pid}, try: {try_number}, graceful: {graceful}) ***"
        ),
        format!("HARAKIRI !!! worker {worker} status !!!"),
    ];
    for core in 0..counters.cores() {
        let start = |word| counters.core(core, word).load(Ordering::Relaxed);
        // What has ended is still written there, until the thread takes the next request.
        let start = match start(Core::StartMillis) {
            0 if gone == Some(core) => start(Core::OverdueMillis),
            start => start,
        };
        if start != 0 {
            let since = counters
                .core(core, Core::StartEpoch)
                .load(Ordering::Relaxed);
            let line = counters.line(core);
            let line = String::from_utf8_lossy(&line);
            let line: String = line.chars().filter(|it| !it.is_control()).collect();
            let age = now.saturating_sub(start) as f64 / 1000.0;
            lines.push(format!(
                "HARAKIRI [core {core}] {line} since {since} ({age:.1} s)"
            ));
        }
    }
    lines.push(format!("HARAKIRI !!! end of worker {worker} status !!!"));
    lines
}

#[cfg(test)]
mod tests;
