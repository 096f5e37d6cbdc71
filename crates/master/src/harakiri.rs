//! Looks at the workers' counters for requests that run past `harakiri`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters::{Core, Counters};

/// How often the counters are read.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);
/// How long a worker may take to write its Python stacks before it is killed.
const STACKS: u64 = 200;

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

/// What was found about one worker; times are CLOCK_MONOTONIC milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    asked_at: Option<u64>,
    tries: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// A request is overdue since just now: say so and ask for the stacks.
    Ask {
        try_number: u32,
    },
    Wait,
    Kill,
}

impl Watch {
    /// `grace`: how long it may go on after it was asked, where its signal may still help.
    pub(crate) fn look(
        &mut self,
        counters: Counters<'_>,
        limit: Duration,
        grace: Option<Duration>,
        now: u64,
    ) -> Verdict {
        let grace = grace.map_or(STACKS, |it| {
            u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
        });
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let overdue = (0..counters.cores()).any(|core| {
            let started = counters
                .core(core, Core::StartMillis)
                .load(Ordering::Relaxed);
            started != 0 && now.saturating_sub(started) > limit
        });
        match self.asked_at {
            // It ended in the meantime: nobody is killed.
            _ if !overdue => {
                self.asked_at = None;
                Verdict::Fine
            }
            None => {
                self.asked_at = Some(now);
                self.tries += 1;
                Verdict::Ask {
                    try_number: self.tries,
                }
            }
            Some(at) if now.saturating_sub(at) >= grace => Verdict::Kill,
            Some(_) => Verdict::Wait,
        }
    }
}

/// The lines that the original (2.0.22 and later) writes (core/master_utils.c), so that alarms that look for them work.
pub(crate) fn lines(
    worker: u32,
    pid: i32,
    (try_number, graceful): (u32, bool),
    counters: Counters<'_>,
) -> Vec<String> {
    let graceful = if graceful { "yes" } else { "no" };
    let mut lines = vec![
        format!(
            "*** HARAKIRI ON WORKER {worker} (pid: {pid}, try: {try_number}, graceful: {graceful}) ***"
        ),
        format!("HARAKIRI !!! worker {worker} status !!!"),
    ];
    for core in 0..counters.cores() {
        if counters
            .core(core, Core::StartMillis)
            .load(Ordering::Relaxed)
            != 0
        {
            let since = counters
                .core(core, Core::StartEpoch)
                .load(Ordering::Relaxed);
            let line = counters.line(core);
            let line = String::from_utf8_lossy(&line);
            let line: String = line.chars().filter(|it| !it.is_control()).collect();
            lines.push(format!("HARAKIRI [core {core}] {line} since {since}"));
        }
    }
    lines.push(format!("HARAKIRI !!! end of worker {worker} status !!!"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::counters::words;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn an_overdue_request_is_asked_for_its_stack_and_then_killed() {
        let memory: Vec<AtomicU64> = (0..words(2)).map(|_| AtomicU64::new(0)).collect();
        let counters = Counters::init(&memory, 2);
        let limit = Duration::from_secs(1);
        let mut watch = Watch::default();
        assert_eq!(watch.look(counters, limit, None, 5000), Verdict::Fine);
        counters
            .core(1, Core::StartMillis)
            .store(5000, Ordering::Relaxed);
        assert_eq!(watch.look(counters, limit, None, 6000), Verdict::Fine);
        assert_eq!(
            watch.look(counters, limit, None, 6001),
            Verdict::Ask { try_number: 1 }
        );
        assert_eq!(watch.look(counters, limit, None, 6100), Verdict::Wait);
        assert_eq!(watch.look(counters, limit, None, 6201), Verdict::Kill);
        // With a signal first, it has longer.
        let grace = Some(Duration::from_secs(2));
        assert_eq!(watch.look(counters, limit, grace, 8000), Verdict::Wait);
        assert_eq!(watch.look(counters, limit, grace, 8001), Verdict::Kill);
        // The worker got the answer out in time after all.
        counters
            .core(1, Core::StartMillis)
            .store(0, Ordering::Relaxed);
        assert_eq!(watch.look(counters, limit, None, 8300), Verdict::Fine);
    }
}
