//! Which causes the facts about an app name, the most certain first. Pure: the facts are gathered
//! by who asks.

use imperator_core::message::{AppStatus, Failure, Running};
use imperator_core::why::{CauseId, Evidence, is_long, known};
use serde::Serialize;

use crate::control::{AppLine, Condition};

/// How sure it is that this is what the operator looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It is so now.
    Certain,
    Likely,
    /// It was so lately, or will be one day.
    Possible,
}

/// What was found out beside what emperor and master tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// Unix seconds.
    pub now: u64,
    /// What failed last has changed since: in one phrase.
    pub mended: Option<String>,
    /// Processes that are stopped (SIGSTOP, or a debugger): their pids.
    pub halted: Vec<i32>,
    /// Lines of the kernel's log, and the process that each is about.
    pub kernel: Vec<(i32, String)>,
    /// Connections waited, and waited still after a moment.
    pub still_waiting: bool,
    /// Who stopped the app, and when, as a person reads it.
    pub stopped: Option<(String, String)>,
    /// When the next try is, as a person reads it.
    pub next_try: Option<String>,
    /// Python stacks of an import that takes long.
    pub stacks: String,
}

/// A cause with what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    pub cause: CauseId,
    pub certainty: Certainty,
    /// One line, without the cause's own title.
    pub summary: String,
    pub evidence: Vec<Evidence>,
    /// Steps or commands, the nearest first.
    pub way_out: Vec<String>,
    /// A traceback, stacks or the last output.
    pub detail: Option<String>,
}

impl Found {
    fn new(cause: CauseId, certainty: Certainty, summary: impl Into<String>) -> Self {
        Self {
            cause,
            certainty,
            summary: summary.into(),
            evidence: Vec::new(),
            way_out: Vec::new(),
            detail: None,
        }
    }

    fn with(mut self, what: &str, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence::new(what, text));
        self
    }

    fn out(mut self, step: impl Into<String>) -> Self {
        self.way_out.push(step.into());
        self
    }

    fn of(failure: &Failure, certainty: Certainty) -> Self {
        Self {
            cause: failure.cause,
            certainty,
            summary: failure.summary.clone(),
            evidence: failure.evidence.clone(),
            way_out: failure.hint.clone().into_iter().collect(),
            detail: failure.detail.clone(),
        }
    }
}

/// Troubles that are older are not told.
const LATELY: u64 = 24 * 3600;
/// An import that takes longer is most likely stuck.
const LONG_IMPORT: u64 = 5_000;
/// A request that runs this long, where no thread is free, is worth a word.
const LONG_REQUEST: u64 = 1_000;

/// Never empty.
pub fn causes(app: &AppLine, looks: &Looks) -> Vec<Found> {
    let mut found = Vec::new();
    match app.condition {
        Condition::Stopped => found.push(stopped(app, looks)),
        Condition::Silent => {
            let pid = app.pid.unwrap_or_default();
            let silent = Found::new(
                CauseId::MasterSilent,
                Certainty::Certain,
                format!("its master (pid {pid}) says nothing"),
            );
            found.push(silent.with("pid", pid.to_string()));
        }
        Condition::Paused => {
            let pid = app.pid.unwrap_or_default();
            let paused = Found::new(CauseId::Paused, Certainty::Certain, "it accepts nothing");
            let paused = paused.out(format!("kill -TSTP {pid}"));
            found.push(paused.with("pid", pid.to_string()));
        }
        Condition::Asleep => {
            let sockets = app.status.as_ref().map(|status| status.sockets.join(" "));
            let asleep = Found::new(
                CauseId::Asleep,
                Certainty::Certain,
                "no process of it runs, and the first request starts it",
            );
            let asleep = asleep.out("nothing is to be done: the first request starts it");
            found.push(asleep.with("socket", sockets.unwrap_or_default()));
        }
        Condition::Stopping => {
            let text = "it stops: its requests are finished";
            found.push(Found::new(CauseId::Stopped, Certainty::Likely, text));
        }
        Condition::Failing | Condition::Starting | Condition::Waiting => {
            down(app, looks, &mut found)
        }
        Condition::Serving | Condition::Reloading | Condition::ServingOld => {
            up(app, looks, &mut found);
        }
    }
    if let Some(status) = &app.status {
        for trouble in status.troubles.iter().rev() {
            found.extend(lately(trouble, looks, &found));
        }
        if let Some(note) = status
            .notes
            .iter()
            .find(|note| note.contains(" is cut to "))
        {
            found.push(cut_listen(note));
        }
    }
    found.sort_by_key(|it| it.certainty);
    if found.is_empty() {
        let text = "it serves as its files say";
        found.push(Found::new(CauseId::NothingWrong, Certainty::Certain, text));
    }
    for it in &mut found {
        if it.way_out.is_empty() {
            it.way_out
                .push(known(it.cause).way_out.replace("APP", &app.name));
        }
    }
    found
}

/// It does not serve.
fn down(app: &AppLine, looks: &Looks, found: &mut Vec<Found>) {
    if let Some(failure) = &app.failure {
        found.push(known_kernel(Found::of(failure, Certainty::Certain), looks));
    } else if app.condition == Condition::Waiting {
        let text = "it waits for its turn to start";
        found.push(Found::new(CauseId::Starting, Certainty::Certain, text));
    } else if app.condition == Condition::Starting {
        found.push(starting(app, looks));
    }
    let Some(millis) = app.retry_in_ms else {
        return;
    };
    let at = looks.next_try.as_deref().unwrap_or("soon");
    let seconds = millis.div_ceil(1000);
    let text = match &looks.mended {
        Some(mended) => {
            format!("the next try is at {at}, in {seconds} s; since the last one {mended}")
        }
        None => format!("the next try is at {at}, in {seconds} s"),
    };
    let certainty = match looks.mended {
        Some(_) => Certainty::Certain,
        None => Certainty::Likely,
    };
    let failures = app.status.as_ref().map_or(0, |status| status.failures);
    let backing_off = Found::new(CauseId::BackingOff, certainty, text)
        .with("next try", at)
        .with("failures in a row", failures.to_string())
        .out(format!("imperator retry {}", app.name));
    if looks.mended.is_some() || found.is_empty() {
        for other in found.iter_mut() {
            other.certainty = Certainty::Likely;
        }
        found.insert(0, backing_off);
    } else {
        found.push(backing_off);
    }
}

fn starting(app: &AppLine, looks: &Looks) -> Found {
    let millis = app.status.as_ref().and_then(|status| status.starting_ms);
    let millis = millis.unwrap_or(0);
    let seconds = millis / 1000;
    let text = format!("it has been importing for {seconds} s");
    if millis < LONG_IMPORT {
        return Found::new(CauseId::Starting, Certainty::Certain, text);
    }
    let mut hangs = Found::new(CauseId::HangsAtImport, Certainty::Likely, text);
    hangs.detail = Some(looks.stacks.clone()).filter(|text| !text.is_empty());
    match app.status.as_ref().and_then(|status| status.mold) {
        Some(pid) => hangs.with("pid", pid.to_string()),
        None => hangs,
    }
}

fn stopped(app: &AppLine, looks: &Looks) -> Found {
    let text = match &looks.stopped {
        Some((by, at)) => format!("stopped by {by} at {at}"),
        None => "somebody said imperator stop".to_owned(),
    };
    let mut stopped = Found::new(CauseId::Stopped, Certainty::Certain, text);
    if let Some((by, at)) = &looks.stopped {
        stopped = stopped.with("who", by).with("when", at);
    }
    stopped.out(format!("imperator start {}", app.name))
}

/// It serves, perhaps not what its files say, perhaps not fast enough.
fn up(app: &AppLine, looks: &Looks, found: &mut Vec<Found>) {
    let serving = app.status.as_ref().and_then(|status| status.generation);
    if let Some(failure) = &app.failure {
        let cause = known_kernel(Found::of(failure, Certainty::Certain), looks);
        if failure.generation.is_some() && failure.generation == serving {
            found.push(cause);
        } else {
            found.push(reload_failed(failure, serving));
            found.push(cause);
        }
    }
    let Some(status) = &app.status else {
        return;
    };
    // What is wrong right now.
    for trouble in status.troubles.iter().filter(|trouble| trouble.at == 0) {
        found.push(Found::of(trouble, Certainty::Certain));
    }
    let halted = halted(status, looks);
    let is_full = status.capacity > 0 && status.occupied >= status.capacity;
    if is_full && halted.is_none() {
        found.extend(busy(app, status));
    }
    if found.iter().all(|it| it.cause != CauseId::EveryWorkerBusy) {
        found.extend(stuck(status));
    }
    let queue = status.queue.unwrap_or(0);
    if queue > 0 && (halted.is_some() || (!is_full && looks.still_waiting)) {
        found.push(idle(status, queue, halted.as_deref()));
    }
    if let Some(limit) = status.queue_limit
        && is_long(queue, limit)
    {
        let (is, certainty) = match queue >= limit {
            true => ("full", Certainty::Certain),
            false => ("nearly full", Certainty::Likely),
        };
        let text = format!(
            "{}, and listen allows {limit}: the queue is {is}",
            waiting(queue)
        );
        let full = Found::new(CauseId::ListenLimit, certainty, text)
            .with(
                "expected",
                format!("fewer than {limit} waiting connections"),
            )
            .with("found", queue.to_string());
        found.push(full.out(format!(
            "raise listen above {limit} (and net.core.somaxconn), or add processes or threads"
        )));
    }
}

fn reload_failed(failure: &Failure, serving: Option<u32>) -> Found {
    let number = |generation: Option<u32>| {
        generation.map_or_else(|| "?".to_owned(), |generation| generation.to_string())
    };
    let which = match failure.generation {
        Some(generation) => format!("generation {generation} failed: "),
        None => String::new(),
    };
    let text = format!(
        "generation {} serves on; {which}{}: {}",
        number(serving),
        known(failure.cause).title,
        failure.summary
    );
    let mut found = Found::of(failure, Certainty::Certain);
    found.cause = CauseId::ReloadFailed;
    found.summary = text;
    found.evidence.insert(
        0,
        Evidence::new("serving", format!("generation {}", number(serving))),
    );
    found
}

/// The kernel knows better who killed a process.
fn known_kernel(mut found: Found, looks: &Looks) -> Found {
    let said = found.evidence.iter().find(|it| it.what == "pid");
    let pid: Option<i32> = said.and_then(|it| it.text.parse().ok());
    let lines: Vec<&str> = looks
        .kernel
        .iter()
        .filter(|(of, _)| Some(*of) == pid)
        .map(|(_, line)| line.as_str())
        .collect();
    for line in lines {
        if found.cause == CauseId::Crash && line.contains("Killed process") {
            found.cause = CauseId::OutOfMemory;
            found.way_out = vec![known(CauseId::OutOfMemory).way_out.to_owned()];
        }
        found = found.with("kernel", line);
    }
    found
}

/// Workers that cannot take anything, in words.
fn halted(status: &AppStatus, looks: &Looks) -> Option<String> {
    let pids: Vec<String> = status
        .workers
        .iter()
        .filter(|worker| looks.halted.contains(&worker.pid))
        .map(|worker| worker.pid.to_string())
        .collect();
    (!pids.is_empty()).then(|| pids.join(" "))
}

fn busy(app: &AppLine, status: &AppStatus) -> Option<Found> {
    let oldest = status.running.first()?;
    let queue = status.queue.unwrap_or(0);
    if queue == 0 && oldest.ms < LONG_REQUEST {
        return None;
    }
    let certainty = match queue {
        0 => Certainty::Likely,
        _ => Certainty::Certain,
    };
    let text = format!(
        "{} of {} {} inside a request, the oldest for {} s ({}), and {}",
        status.occupied,
        status.capacity,
        if status.capacity == 1 {
            "thread is"
        } else {
            "threads are"
        },
        oldest.ms / 1000,
        oldest.line.trim_start_matches(" - "),
        waiting(queue)
    );
    let mut found = Found::new(CauseId::EveryWorkerBusy, certainty, text);
    for it in status.running.iter().take(8) {
        found = found.with("request", request(it));
    }
    found = with_stuck(found, status);
    found.detail = stacks(status);
    found = found.out("look at what the stacks below wait for");
    let has_deadline = status
        .troubles
        .iter()
        .any(|trouble| trouble.cause == CauseId::RequestDeadline);
    if !has_deadline {
        found = found
            .out("set harakiri = SECONDS in the app's config, so that no request runs for ever");
    }
    let way_out = found.out(format!(
        "raise processes or threads; imperator reload {} replaces the workers now",
        app.name
    ));
    Some(way_out)
}

/// Workers that can answer nobody, while others can.
fn stuck(status: &AppStatus) -> Option<Found> {
    let first = status.stuck.first()?;
    let (worker, pid, what) = (first.worker, first.pid, &first.what);
    let text = match status.stuck.len() {
        1 => format!("worker {worker} (pid {pid}): {what}"),
        all => format!("{all} workers, first worker {worker} (pid {pid}): {what}"),
    };
    let found = Found::new(CauseId::WorkerStuck, Certainty::Certain, text);
    let mut found = with_stuck(found, status);
    let its = |it: &&Running| status.stuck.iter().any(|stuck| stuck.pid == it.pid);
    for it in status.running.iter().filter(its).take(8) {
        found = found.with("request", request(it));
    }
    found.detail = stacks(status);
    Some(found)
}

fn with_stuck(found: Found, status: &AppStatus) -> Found {
    status.stuck.iter().take(8).fold(found, |found, it| {
        let text = format!("worker {} (pid {}): {}", it.worker, it.pid, it.what);
        found.with("stuck", text)
    })
}

/// What the workers do, as far as they have told.
fn stacks(status: &AppStatus) -> Option<String> {
    let stuck = status.stuck.iter();
    let stuck = stuck.map(|it| (it.worker, it.pid, it.stacks.as_str()));
    let doing = status.doing.iter();
    let doing = doing.map(|it| (it.worker, it.pid, it.stacks.as_str()));
    let texts: Vec<String> = stuck
        .chain(doing)
        .filter(|(_, _, stacks)| !stacks.is_empty())
        .map(|(worker, pid, stacks)| format!("worker {worker} (pid {pid}):\n{stacks}"))
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn waiting(connections: u64) -> String {
    match connections {
        0 => "no connection waits".to_owned(),
        1 => "1 connection waits".to_owned(),
        many => format!("{many} connections wait"),
    }
}

fn request(it: &Running) -> String {
    format!(
        "worker {} (pid {}) thread {}: {} for {}.{} s",
        it.worker,
        it.pid,
        it.thread,
        it.line.trim_start_matches(" - "),
        it.ms / 1000,
        it.ms % 1000 / 100
    )
}

fn idle(status: &AppStatus, queue: u64, halted: Option<&str>) -> Found {
    let free = status.capacity.saturating_sub(status.occupied);
    let limit = status.queue_limit.unwrap_or(0);
    let threads = if free == 1 {
        "thread is"
    } else {
        "threads are"
    };
    let text = format!(
        "{} (of at most {limit}) while {free} {threads} idle",
        waiting(queue)
    );
    let found = Found::new(CauseId::QueueFullWorkersIdle, Certainty::Certain, text);
    let found = found
        .with("queue", queue.to_string())
        .with("idle threads", free.to_string());
    match halted {
        Some(pids) => found
            .with(
                "found",
                format!("processes that are stopped (SIGSTOP): {pids}"),
            )
            .with("pid", pids)
            .out(format!("kill -CONT {pids}")),
        None => found,
    }
}

/// Something that went wrong while it served.
fn lately(trouble: &Failure, looks: &Looks, known: &[Found]) -> Option<Found> {
    let age = looks.now.saturating_sub(trouble.at);
    if trouble.at == 0 || age > LATELY {
        return None;
    }
    let mut found = known_kernel(Found::of(trouble, Certainty::Possible), looks);
    if known.iter().any(|it| it.cause == found.cause) {
        return None;
    }
    let ago = match age {
        0..120 => format!("{age} s ago"),
        120..7200 => format!("{} min ago", age / 60),
        _ => format!("{} h ago", age / 3600),
    };
    found.summary = format!("{} ({ago})", found.summary);
    Some(found)
}

fn cut_listen(note: &str) -> Found {
    let (text, hint) = note.split_once("; hint: ").unwrap_or((note, ""));
    let found = Found::new(CauseId::ListenLimit, Certainty::Possible, text);
    match hint {
        "" => found,
        hint => found.out(hint),
    }
}

#[cfg(test)]
mod tests;
