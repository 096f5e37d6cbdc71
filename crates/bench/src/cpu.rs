//! CPU time of process trees, read from /proc: what a request costs the server, whatever the load
//! generator takes beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// CPU time, as the kernel tells it apart: exact in sum, sampled by its ticks in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub user: Duration,
    pub system: Duration,
}

impl Usage {
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    /// What was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// What `roots` and everything below them have used so far.
pub fn of_trees(roots: &[i32]) -> Usage {
    let all = processes();
    let mut sum = Ticks::default();
    for pid in tree(roots, &all) {
        if let Some(process) = all.get(&pid) {
            sum.user += process.ticks.user;
            sum.system += process.ticks.system;
        }
    }
    sum.usage()
}

/// User and system time of one process alone.
pub fn of_process(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = parse_stat(&stat).map_or_else(Ticks::default, |process| process.ticks);
    ticks.usage().total()
}

/// The pids of `roots` and everything below them, parents first.
pub fn pids_of_trees(roots: &[i32]) -> Vec<i32> {
    tree(roots, &processes())
}

/// The memory of one process, shared pages divided among their users.
pub fn memory_of(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// CPU time that the whole machine has used so far, of all processes and the kernel. proc(5).
pub fn of_machine() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = first
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // All but idle and iowait; guests are part of user time already.
    let busy = fields.iter().take(8).sum::<u64>() - fields.iter().skip(3).take(2).sum::<u64>();
    to_duration(busy)
}

/// How many tasks want a CPU now.
pub fn runnable() -> u64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let tasks = text.split_ascii_whitespace().nth(3).unwrap_or_default();
    let runnable = tasks.split('/').next().unwrap_or_default();
    runnable.parse().unwrap_or(0)
}

struct Process {
    parent: i32,
    ticks: Ticks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ticks {
    user: u64,
    system: u64,
}

impl Ticks {
    fn usage(self) -> Usage {
        Usage {
            user: to_duration(self.user),
            system: to_duration(self.system),
        }
    }
}

fn tree(roots: &[i32], all: &BTreeMap<i32, Process>) -> Vec<i32> {
    let mut found: Vec<i32> = Vec::new();
    let mut next: Vec<i32> = roots
        .iter()
        .copied()
        .filter(|pid| all.contains_key(pid))
        .collect();
    while let Some(pid) = next.pop() {
        if found.contains(&pid) {
            continue;
        }
        found.push(pid);
        next.extend(
            all.iter()
                .filter(|(_, process)| process.parent == pid)
                .map(|(child, _)| child),
        );
    }
    found
}

fn processes() -> BTreeMap<i32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_stat(&stat)?))
        })
        .collect()
}

/// Field 4 is the parent, 14 and 15 are user and system ticks; the name in field 2 may hold blanks
/// and brackets, so counting starts after its last bracket. proc(5).
fn parse_stat(stat: &str) -> Option<Process> {
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Process {
        parent,
        ticks: Ticks { user, system },
    })
}

fn to_duration(ticks: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .unwrap_or(100)
        .max(1) as u64;
    Duration::from_millis(ticks * 1000 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b) S 7 42 42 0 -1 4194560 1 0 0 0 30 12 5 5 20 0 1 0 100 1 1";
        let process = parse_stat(stat).unwrap();
        let ticks = Ticks {
            user: 30,
            system: 12,
        };
        assert_eq!((process.parent, process.ticks), (7, ticks));
    }

    #[test]
    fn a_tree_is_the_roots_and_all_below() {
        let all = [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1)]
            .map(|(pid, parent)| {
                (
                    pid,
                    Process {
                        parent,
                        ticks: Ticks::default(),
                    },
                )
            })
            .into();
        let mut found = tree(&[10, 11, 99], &all);
        found.sort_unstable();
        assert_eq!(found, [10, 11, 12]);
    }
}
