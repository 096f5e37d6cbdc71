//! What goes wrong while the app serves, for `imperator why`: deaths, limits, a full disk, and what
//! runs right now.

use std::sync::atomic::Ordering;

use imperator_core::counters::{Core, Counters, Worker};
use imperator_core::message::{Failure, MAX_RUNNING, Running};
use imperator_core::why::{CauseId, by_errno};
use imperator_process::reap::End;
use imperator_process::signals;

use crate::chronicle::oom_kills;
use crate::clock;
use crate::effects::Effects;
use crate::failure;

/// Each cause is kept once, with its last case.
const MOST: usize = 8;
/// Of the output that stands beside a crash.
const MAX_DETAIL: usize = 4096;
/// A shortage of descriptors that old is over.
const SHORTAGE_MILLIS: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Troubles {
    list: Vec<Failure>,
    /// What the kernel had killed for want of memory when it was looked at last.
    ooms: u64,
    /// As of the last question.
    pub running: Vec<Running>,
    /// Threads that have a request, and threads that may have one.
    pub occupied: u32,
    pub capacity: u32,
    pub queue_limit: Option<u64>,
    /// Requests past their deadline that were told.
    deadlines: u64,
}

impl Default for Troubles {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            ooms: oom_kills(),
            running: Vec::new(),
            occupied: 0,
            capacity: 0,
            queue_limit: None,
            deadlines: 0,
        }
    }
}

impl Troubles {
    pub(crate) fn add(&mut self, mut failure: Failure) {
        failure.at = clock::epoch();
        failure.detail = failure.detail.map(|text| tail(&text).to_owned());
        self.list.retain(|old| old.cause != failure.cause);
        if self.list.len() >= MOST {
            self.list.remove(0);
        }
        self.list.push(failure);
    }

    /// Whether the kernel killed something since the last look.
    pub(crate) fn is_oom(&mut self) -> bool {
        let before = std::mem::replace(&mut self.ooms, oom_kills());
        self.ooms > before
    }
}

fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(MAX_DETAIL);
    &text[text.ceil_char_boundary(start)..]
}

/// What a failure that SIGKILL ended is, when the kernel did it.
pub(crate) fn out_of_memory(mut failure: Failure) -> Failure {
    failure.cause = CauseId::OutOfMemory;
    failure.hint = Some(
        "give the service more memory (MemoryMax), or let the app use less: fewer processes, \
         reload-on-rss; dmesg shows the kernel's account"
            .to_owned(),
    );
    failure.with(
        "kernel",
        "its count of processes killed for want of memory rose",
    )
}

impl Effects {
    /// A worker that served ended unasked.
    pub(crate) fn note_death(&mut self, who: &str, pid: i32, end: End) {
        let text = format!("{who} died: {end}");
        let output = self.log.last_words();
        let (hint, cause) = match end {
            End::Signal(signal) => (failure::crash_hint(signal), CauseId::Crash),
            End::Code(_) => (
                "something calls exit inside a request: look at the last output",
                CauseId::Crash,
            ),
        };
        let mut failure = failure::plain(text, Some(hint.to_owned())).of(cause);
        failure = failure.with("pid", pid.to_string());
        if let End::Signal(signal) = end {
            failure = failure.with("signal", signals::name(signal).to_string());
        }
        if end == End::Signal(nix::libc::SIGKILL) && self.troubles.is_oom() {
            failure = out_of_memory(failure);
        }
        // A traceback that the app logged is not where somebody's signal hit it.
        let tells_where = matches!(end, End::Code(_)) || output.contains("Fatal Python error");
        if let Some(place) = failure::place_in(&output).filter(|_| tells_where) {
            failure = failure.with("where", place);
        }
        failure.detail = Some(output).filter(|text| !text.is_empty());
        self.troubles.add(failure);
    }

    /// What is wrong now, and what was since the start.
    pub(crate) fn all_troubles(&self) -> Vec<Failure> {
        let mut all = self.troubles.list.clone();
        all.extend(self.log.refused().into_iter().map(|(path, errno)| {
            let error = std::io::Error::from_raw_os_error(errno);
            let cause = by_errno(errno).unwrap_or_default();
            let hint = match cause == CauseId::DiskFull {
                true => format!(
                    "make room: df -h {path} shows how much is left; logging goes on by itself"
                ),
                false => "look at the log's place; logging goes on by itself".to_owned(),
            };
            let text = format!("cannot write the log {path}: {error}");
            failure::plain(text, Some(hint))
                .of(cause)
                .with("path", path)
        }));
        all.extend(self.shortage());
        all
    }

    /// A worker that cannot accept because it has no descriptor left.
    fn shortage(&self) -> Option<Failure> {
        let now = clock::monotonic_millis();
        self.children.values().find_map(|child| {
            let counters = Counters::open(child.counters.as_ref()?.words())?;
            let at = counters
                .worker(Worker::ShortageMillis)
                .load(Ordering::Relaxed);
            let pid = child.pid?;
            if at == 0 || now.saturating_sub(at) > SHORTAGE_MILLIS {
                return None;
            }
            let open = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            let limit = soft_limit(pid);
            let settings = &self.generations.get(&child.generation)?.settings;
            let place = settings.places.get("max-fd");
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            let text = format!(
                "{place}worker {} (pid {pid}) has {open} of {limit} descriptors open and cannot \
                 accept",
                child.worker.unwrap_or_default()
            );
            let hint = format!(
                "raise max-fd of the app, or LimitNOFILE of the service; ls -l /proc/{pid}/fd shows \
                 what is open"
            );
            let failure = failure::plain(text, Some(hint)).of(CauseId::FdLimit);
            Some(
                failure
                    .with("pid", pid.to_string())
                    .with("expected", format!("fewer than {limit} descriptors"))
                    .with("found", format!("{open} descriptors")),
            )
        })
    }

    /// Tells of requests that ran past their deadline since the last look.
    fn look_for_deadlines(&mut self) {
        let all = self
            .harakiris
            .values()
            .copied()
            .fold(0, u64::saturating_add);
        if all <= self.troubles.deadlines {
            return;
        }
        let Some((line, at)) = self.log.kept.last_said("HARAKIRI [core ") else {
            return;
        };
        self.troubles.deadlines = all;
        let request = line
            .split_once("] ")
            .map_or(line.as_str(), |(_, rest)| rest);
        let request = request.split(" since ").next().unwrap_or(request);
        let settings = self.newest().map(|ready| &ready.settings);
        let place = settings.and_then(|settings| settings.places.get("harakiri"));
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        let limit = settings.and_then(|settings| settings.harakiri);
        let limit = limit.map_or_else(String::new, |limit| format!(" of {} s", limit.as_secs()));
        let text = format!("{place}a request ran past harakiri{limit}: {request}");
        let hint = "look at its stack in imperator logs; raise harakiri if it may take that long";
        let mut failure = failure::plain(text, Some(hint.to_owned()))
            .of(CauseId::RequestDeadline)
            .with("request", request)
            .with("so far", format!("{all} requests"));
        if let Some((worker, _)) = self.log.kept.last_said("HARAKIRI ON WORKER ") {
            failure = failure.with("worker", worker);
        }
        self.troubles.add(failure);
        if let Some(last) = self.troubles.list.last_mut() {
            last.at = at / 1_000_000;
        }
    }

    /// The requests that run, for who asks now.
    pub(crate) fn look_at_requests(&mut self) {
        self.look_for_deadlines();
        let now = clock::monotonic_millis();
        let mut running = Vec::new();
        let mut capacity = 0_usize;
        for child in self.children.values() {
            let words = child.counters.as_ref();
            let counters = words.and_then(|words| Counters::open(words.words()));
            let (Some(worker), Some(pid), Some(counters)) = (child.worker, child.pid, counters)
            else {
                continue;
            };
            if counters.worker(Worker::Accepting).load(Ordering::Relaxed) == 1 {
                capacity = capacity.saturating_add(counters.cores());
            }
            for core in 0..counters.cores() {
                let started = counters.core(core, Core::StartMillis);
                let started = started.load(Ordering::Relaxed);
                if started == 0 {
                    continue;
                }
                let line = counters.line(core);
                let line = String::from_utf8_lossy(&line);
                running.push(Running {
                    worker,
                    pid,
                    thread: u32::try_from(core).unwrap_or(u32::MAX),
                    ms: now.saturating_sub(started),
                    line: line.chars().filter(|it| !it.is_control()).collect(),
                });
            }
        }
        running.sort_by_key(|it| std::cmp::Reverse(it.ms));
        let as_u32 = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.troubles.occupied = as_u32(running.len());
        self.troubles.capacity = as_u32(capacity);
        self.troubles.queue_limit = self.queue_limit();
        running.truncate(MAX_RUNNING);
        self.troubles.running = running;
    }
}

/// Of open files.
fn soft_limit(pid: i32) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let limit = line.and_then(|line| line.split_ascii_whitespace().nth(3));
    limit.and_then(|limit| limit.parse().ok()).unwrap_or(0)
}
