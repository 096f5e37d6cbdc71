//! Steady load from several clients of different kinds, each of which counts what it sent itself.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{now, pause, wait_for};
use crate::lifecycle::ask::{Said, Style, ask};
use crate::target::Target;

/// So many answers in a row of one version, from each short client: the new version serves.
const STREAK: u32 = 3;

/// Who asks, where.
#[derive(Debug, Clone)]
pub struct Plan {
    pub clients: Vec<(Style, Target)>,
    /// From one request of a client to its next; long ones follow each other after as long.
    pub pace: Duration,
}

/// One request, as its client saw it.
#[derive(Debug)]
pub struct Record {
    pub id: u64,
    pub style: Style,
    /// Since the beginning of the load.
    pub start: Duration,
    pub waited: Duration,
    pub retried: bool,
    /// Why it failed.
    pub failed: Option<String>,
}

/// The load while it runs.
pub struct Traffic<'a> {
    plan: &'a Plan,
    ids: &'a AtomicU64,
    begin: Instant,
    stop: AtomicBool,
    answered: AtomicU64,
    /// Of each short client: the version of its last answers, and how many in a row had it.
    streaks: Vec<Mutex<(u64, u32)>>,
    /// Who answered: the version and the last time.
    processes: Mutex<BTreeMap<i32, (u64, Instant)>>,
}

/// Runs the load while `events` does its work, and tells what came of each request.
pub fn under_load<R>(
    plan: &Plan,
    ids: &AtomicU64,
    events: impl FnOnce(&Traffic<'_>) -> R,
) -> (R, Vec<Record>) {
    let traffic = Traffic {
        plan,
        ids,
        begin: now(),
        stop: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        streaks: plan
            .clients
            .iter()
            .filter(|(style, _)| *style == Style::Short)
            .map(|_| Mutex::default())
            .collect(),
        processes: Mutex::default(),
    };
    std::thread::scope(|scope| {
        // Also when `events` panics: the clients must end for the scope to end.
        let stopper = Stopper(&traffic.stop);
        let mut short = 0;
        let clients: Vec<_> = plan
            .clients
            .iter()
            .map(|(style, target)| {
                let streak = (*style == Style::Short).then(|| {
                    short += 1;
                    &traffic.streaks[short - 1]
                });
                let traffic = &traffic;
                scope.spawn(move || traffic.client(*style, target, streak))
            })
            .collect();
        let result = events(&traffic);
        drop(stopper);
        let mut records = Vec::new();
        for client in clients {
            records.extend(client.join().expect("a client has no panic of its own"));
        }
        (result, records)
    })
}

struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Traffic<'_> {
    fn client(
        &self,
        style: Style,
        target: &Target,
        streak: Option<&Mutex<(u64, u32)>>,
    ) -> Vec<Record> {
        let mut records = Vec::new();
        let mut kept = None;
        while !self.stop.load(Ordering::Relaxed) {
            let id = self.ids.fetch_add(1, Ordering::Relaxed);
            let start = now();
            let asked = ask(target, style, id, &mut kept);
            let waited = now() - start;
            if let Ok(said) = &asked.result {
                self.note(*said, start);
            }
            if let Some(streak) = streak {
                let mut streak = locked(streak);
                *streak = match &asked.result {
                    Ok(said) if said.version == streak.0 => (streak.0, streak.1 + 1),
                    Ok(said) => (said.version, 1),
                    Err(_) => (0, 0),
                };
            }
            records.push(Record {
                id,
                style,
                start: start - self.begin,
                waited,
                retried: asked.retried,
                failed: asked.result.err().map(|lost| lost.what),
            });
            match style {
                Style::Short | Style::Kept => pause(self.plan.pace.saturating_sub(waited)),
                Style::Slow | Style::Upload | Style::Stream => pause(self.plan.pace),
            }
        }
        records
    }

    fn note(&self, said: Said, start: Instant) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let mut processes = locked(&self.processes);
        let entry = processes.entry(said.pid).or_insert((said.version, start));
        *entry = (said.version, entry.1.max(start));
    }

    pub fn elapsed(&self) -> Duration {
        now() - self.begin
    }

    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until `more` requests were answered from now on.
    pub fn wait_for_more(&self, more: u64, patience: Duration) -> bool {
        let goal = self.answered() + more;
        wait_for(patience, || (self.answered() >= goal).then_some(())).is_some()
    }

    /// Waits until every short client hears this version, and no other.
    pub fn wait_version(&self, version: u64, patience: Duration) -> bool {
        wait_for(patience, || {
            let all = self.streaks.iter().all(|streak| {
                let (heard, times) = *locked(streak);
                heard == version && times >= STREAK
            });
            all.then_some(())
        })
        .is_some()
    }

    /// The process that answered last.
    pub fn last_process(&self) -> Option<i32> {
        let processes = locked(&self.processes);
        let last = processes.iter().max_by_key(|(_, (_, last))| *last);
        last.map(|(pid, _)| *pid)
    }

    /// All processes that have answered as this version.
    pub fn processes_of(&self, version: u64) -> Vec<i32> {
        let processes = locked(&self.processes);
        let of_it = processes
            .iter()
            .filter(|(_, (theirs, _))| *theirs == version);
        of_it.map(|(pid, _)| *pid).collect()
    }

    pub fn processes(&self) -> usize {
        locked(&self.processes).len()
    }
}

/// A client that panicked has told so itself.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
