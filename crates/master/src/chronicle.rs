//! What happened to the app, as its master saw it: kept here, and told to the emperor, who keeps it
//! over the master's death. And which generation an order to reload led to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use imperator_core::history::{Entry, History, What};
use imperator_process::reap::End;

use crate::clock;
use crate::effects::{Child, Effects};
use crate::event::{Action, Parting, ProcessId};

/// News that no emperor has heard; older ones are in the history, which a new emperor gets whole.
const MAX_NEWS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub history: History,
    news: VecDeque<Entry>,
    /// The newest generation of which a process was started, and when (Unix microseconds).
    started: Option<(u32, u64)>,
    cause: Option<&'static str>,
    /// Unix seconds at which the serving generation became ready.
    pub since: Option<u64>,
    /// The newest order that has led to a generation, and that generation.
    pub heard: u64,
    pub heard_for: Option<u32>,
    /// The newest order that has not.
    ordered: Option<u64>,
    /// As of the last look, to see them grow.
    ooms: u64,
    deaths: Deaths,
}

/// An app that dies of each request would push everything else out of its history: of the deaths of
/// a minute the first are told one by one, the others by their number, with the next one told.
#[derive(Debug, Default)]
struct Deaths {
    since: Option<Instant>,
    told: u32,
    untold: u32,
    last: Option<Entry>,
}

impl Deaths {
    const MINUTE: Duration = Duration::from_secs(60);
    const TOLD: u32 = 5;

    /// `Some`: this one is to be told, and with it so many that were not.
    fn another(&mut self, now: Instant) -> Option<u32> {
        if self.since.is_none_or(|since| since + Self::MINUTE <= now) {
            self.since = Some(now);
            self.told = 0;
        }
        if self.told == Self::TOLD {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// The start of a master is an order, too.
pub(crate) fn start_order() -> u64 {
    imperator_process::time::monotonic_micros()
}

impl Chronicle {
    pub(crate) fn new(now: u64, order: u64) -> Self {
        let mut chronicle = Self {
            ordered: Some(order),
            ooms: oom_kills(),
            ..Self::default()
        };
        let text = format!("its master, pid {}", std::process::id());
        chronicle.add(Entry::new(now, What::Started, &text));
        chronicle
    }

    pub(crate) fn tell(&mut self, what: What, text: &str) {
        self.add(Entry::new(clock::epoch_micros(), what, text));
    }

    /// Something that the config names asked for a reload.
    pub(crate) fn asked(&mut self, who: &str) {
        let entry = Entry::new(clock::epoch_micros(), What::ReloadAsked, "");
        self.add(entry.by(who));
    }

    /// Why the next generation starts.
    pub(crate) fn because(&mut self, why: &'static str) {
        self.cause = Some(why);
    }

    fn add(&mut self, entry: Entry) {
        if self.history.add(entry.clone()) {
            if self.news.len() == MAX_NEWS {
                self.news.pop_front();
            }
            self.news.push_back(entry);
        }
    }

    /// The last one, also when it is one of many deaths.
    pub(crate) fn trouble(&self) -> Option<Entry> {
        let both = self.history.trouble().into_iter().chain(&self.deaths.last);
        both.max_by_key(|it| it.at).cloned()
    }

    pub(crate) fn take_news(&mut self) -> Vec<Entry> {
        self.news.drain(..).collect()
    }

    /// An order to reload of that time was heard.
    pub(crate) fn order(&mut self, at: u64) {
        self.ordered = self.ordered.max(Some(at));
    }

    /// Milliseconds since that generation's first process was begun.
    pub(crate) fn age_of(&self, generation: u32) -> Option<u64> {
        let (_, at) = self.started.filter(|(started, _)| *started == generation)?;
        Some(clock::epoch_micros().saturating_sub(at) / 1000)
    }

    /// A generation that starts after an order is the one that it led to.
    pub(crate) fn heard_for(&mut self, starting: Option<u32>) {
        if let Some(generation) = starting
            && let Some(at) = self.ordered.take()
        {
            self.heard = self.heard.max(at);
            self.heard_for = Some(generation);
        }
    }
}

impl Effects {
    /// Tells what this action means for the app. `Some`: a generation that fails; why is told after.
    pub(crate) fn tell_before(&mut self, action: &Action) -> Option<u32> {
        match action {
            Action::SpawnMold { generation, .. } | Action::SpawnWorker { generation, .. } => {
                let before = self.chronicle.started.map(|(started, _)| started);
                if before < Some(*generation) {
                    self.chronicle.started = Some((*generation, clock::epoch_micros()));
                    let cause = self.chronicle.cause.take();
                    let cause = cause.map(|cause| format!(": {cause}"));
                    let text = format!("generation {generation}{}", cause.unwrap_or_default());
                    self.chronicle.tell(What::Started, &text);
                }
            }
            Action::Serve { generation } => self.tell_ready(*generation),
            Action::Failed { generation, .. } => return Some(*generation),
            Action::Kill { process, pid, .. } => self.tell_kill(*process, *pid),
            Action::Forget {
                process,
                end: Some(end),
                parting: Parting::Unexpected,
            } => self.tell_death(*process, *end),
            Action::Forget {
                process,
                end: Some(_),
                parting: Parting::Late,
            } => self.tell_late(*process),
            Action::Scaled { from, to } => {
                let text = format!("from {from} to {to} workers");
                self.chronicle.tell(What::Scaled, &text);
            }
            Action::Sleep { ends, .. } => {
                let text = match ends {
                    true => "the app ends: die-on-idle",
                    false => "the first connection wakes it",
                };
                self.chronicle.tell(What::Asleep, text);
            }
            Action::Prepare { .. }
            | Action::Abandon { .. }
            | Action::Fork { .. }
            | Action::Say { .. }
            | Action::Stacks { .. }
            | Action::Forget { .. }
            | Action::UnlinkSockets
            | Action::Cede
            | Action::End => (),
        }
        None
    }

    pub(crate) fn tell_failure(&mut self, failed: Option<u32>) {
        let Some(generation) = failed else {
            return;
        };
        if let Some(failure) = &self.failure {
            let text = format!("generation {generation}: {}", failure.summary);
            self.chronicle.tell(What::Failed, &text);
        }
    }

    fn tell_ready(&mut self, generation: u32) {
        let now = clock::epoch_micros();
        let what = match self.serving {
            Some(_) => What::Reloaded,
            None => What::Ready,
        };
        let started = self.chronicle.started;
        let took = started.filter(|(started, _)| *started == generation);
        let took = took.map(|(_, at)| now.saturating_sub(at));
        let took =
            took.map(|took| format!(" after {}.{} s", took / 1_000_000, took / 100_000 % 10));
        let text = format!("generation {generation} serves{}", took.unwrap_or_default());
        self.chronicle.since = Some(now / 1_000_000);
        self.chronicle.add(Entry::new(now, what, &text));
    }

    fn tell_kill(&mut self, process: ProcessId, pid: i32) {
        let serves = |child: &&Child| self.serving == Some(child.generation);
        let child = self.children.get(&process).filter(serves);
        // A start that came to nothing has told so, and a drain that took too long tells at its end.
        let Some(child) = child.filter(|child| child.worker.is_some()) else {
            return;
        };
        let text = format!("{}: it did not answer in its time", who(child, pid));
        self.chronicle.tell(What::Killed, &text);
    }

    fn tell_late(&mut self, process: ProcessId) {
        if let Some(child) = self.children.get(&process) {
            let who = who(child, child.pid.unwrap_or_default());
            let text = format!("{who}: it had not finished its requests in time");
            self.chronicle.tell(What::Killed, &text);
        }
    }

    fn tell_death(&mut self, process: ProcessId, end: End) {
        let Some(child) = self.children.get(&process) else {
            return;
        };
        let who = who(child, child.pid.unwrap_or_default());
        let before = self.chronicle.ooms;
        if end == End::Signal(nix::libc::SIGKILL) {
            self.chronicle.ooms = oom_kills();
        }
        if self.chronicle.ooms > before {
            let text = format!("{who} was killed by the kernel for want of memory");
            return self.chronicle.tell(What::Oom, &text);
        }
        let last = Entry::new(clock::epoch_micros(), What::Died, &format!("{who}: {end}"));
        self.chronicle.deaths.last = Some(last);
        let Some(untold) = self.chronicle.deaths.another(clock::now()) else {
            return;
        };
        let others = match untold {
            0 => String::new(),
            1 => ", and another one before it".to_owned(),
            _ => format!(", and {untold} others before it"),
        };
        let text = format!("{who}: {end}{others}");
        self.chronicle.tell(What::Died, &text);
    }
}

fn who(child: &Child, pid: i32) -> String {
    match child.worker {
        Some(worker) => format!("worker {worker} (pid {pid})"),
        None => format!("the mold (pid {pid})"),
    }
}

/// How many processes the kernel has killed for want of memory: of our own control group where it
/// counts them, else of the whole machine.
pub(crate) fn oom_kills() -> u64 {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok();
    let own = own
        .as_deref()
        .and_then(|text| text.lines().find_map(|it| it.strip_prefix("0::/")));
    let own = own.map(|path| format!("/sys/fs/cgroup/{path}/memory.events"));
    let read = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    };
    own.and_then(|path| read(&path))
        .or_else(|| read("/proc/vmstat"))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_deaths_the_first_of_a_minute_are_told_and_the_others_counted() {
        let start = clock::now();
        let mut deaths = Deaths::default();
        let told: Vec<_> = (0..130)
            .map(|second| deaths.another(start + Duration::from_secs(second)))
            .enumerate()
            .filter_map(|(second, told)| Some((second, told?)))
            .collect();
        let first = (0..5).map(|second| (second, 0));
        let second = [(60, 55), (61, 0), (62, 0), (63, 0), (64, 0)];
        let third = [(120, 55), (121, 0), (122, 0), (123, 0), (124, 0)];
        assert_eq!(told, first.chain(second).chain(third).collect::<Vec<_>>());
    }
}
