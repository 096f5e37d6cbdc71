//! What the processes of a long run hold, and whether it grows.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::cpu;

/// What may grow without being called growth: allocators and samplers are not exact.
const SLACK_KIB: u64 = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Emperor,
    Master,
    /// The process that has imported the app, and forks the workers.
    Mold,
    Worker,
}

pub(super) const ROLES: [Role; 4] = [Role::Emperor, Role::Master, Role::Mold, Role::Worker];

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Emperor => "emperor",
            Self::Master => "master",
            Self::Mold => "mold",
            Self::Worker => "worker",
        }
    }

    /// Descriptors that come and go with the clients.
    fn spare_fds(self) -> u64 {
        match self {
            Self::Emperor | Self::Master | Self::Mold => 4,
            Self::Worker => 12,
        }
    }

    fn spare_threads(self) -> u64 {
        match self {
            Self::Emperor | Self::Master | Self::Mold => 0,
            Self::Worker => 1,
        }
    }
}

/// Of all processes of one role, the mean of one.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Held {
    pub processes: u64,
    /// Proportional set size.
    pub kib: u64,
    pub fds: u64,
    pub threads: u64,
}

/// One number of what is held.
type Of = fn(&Held) -> u64;

const NUMBERS: [(&str, Of); 3] = [
    ("PSS KiB", |it| it.kib),
    ("descriptors", |it| it.fds),
    ("threads", |it| it.threads),
];

/// What was held at one moment, in the order of [`ROLES`].
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Sample {
    pub seconds: f64,
    pub held: [Held; ROLES.len()],
}

/// The pids of a role, among `emperor` and all below it.
pub(super) fn pids_of(emperor: i32, role: Role) -> Vec<i32> {
    let tree = cpu::pids_of_trees(&[emperor]);
    let of_role = |&pid: &i32| role_of(emperor, pid) == Some(role);
    tree.into_iter().filter(of_role).collect()
}

/// `None` for one that is just between two roles, and for whatever the app started.
fn role_of(emperor: i32, pid: i32) -> Option<Role> {
    if pid == emperor {
        return Some(Role::Emperor);
    }
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title).replace('\0', " ");
    [Role::Master, Role::Mold, Role::Worker]
        .into_iter()
        .find(|role| title.contains(&format!(" {}", role.name())))
}

/// Proportional set size in KiB, descriptors, threads.
fn held(pid: i32) -> Option<(u64, u64, u64)> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let pss = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    let pss = pss.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let count = |what: &str| {
        let entries = fs::read_dir(format!("/proc/{pid}/{what}")).ok()?;
        u64::try_from(entries.count()).ok()
    };
    Some((pss, count("fd")?, count("task")?))
}

pub(super) fn sample(emperor: i32, since: Duration) -> Sample {
    let mean = |role| {
        let all: Vec<_> = pids_of(emperor, role)
            .into_iter()
            .filter_map(held)
            .collect();
        let processes = all.len() as u64;
        let mean =
            |of: fn(&(u64, u64, u64)) -> u64| all.iter().map(of).sum::<u64>() / processes.max(1);
        Held {
            processes,
            kib: mean(|it| it.0),
            fds: mean(|it| it.1),
            threads: mean(|it| it.2),
        }
    };
    Sample {
        seconds: since.as_secs_f64(),
        held: ROLES.map(mean),
    }
}

pub(super) fn line(sample: &Sample) -> String {
    let mut line = format!("{:6.0} s", sample.seconds);
    for (role, held) in ROLES.iter().zip(sample.held) {
        line += &format!(
            "; {} {}: {} KiB, {} fds, {} threads",
            held.processes,
            role.name(),
            held.kib,
            held.fds,
            held.threads
        );
    }
    line
}

/// One number of one role: of the first third of the samples (the first of all, from before the load,
/// left out) and of the last third, by their medians.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ends {
    pub role: &'static str,
    pub what: &'static str,
    pub first: u64,
    pub last: u64,
    pub grew: bool,
}

pub(super) fn ends(samples: &[Sample]) -> Vec<Ends> {
    let loaded = samples.get(1..).unwrap_or_default();
    let third = (loaded.len() / 3).max(1).min(loaded.len());
    let mut all = Vec::new();
    for (index, role) in ROLES.into_iter().enumerate() {
        for (what, of) in NUMBERS {
            let median = |samples: &[Sample]| {
                // A role that nobody had just then holds nothing: it says nothing, either.
                let there = samples.iter().map(|sample| sample.held[index]);
                let mut values: Vec<u64> = there
                    .filter(|held| held.processes > 0)
                    .map(|held| of(&held))
                    .collect();
                values.sort_unstable();
                values.get(values.len() / 2).copied().unwrap_or(0)
            };
            let first = median(&loaded[..third]);
            let last = median(&loaded[loaded.len() - third..]);
            let room = match what {
                "PSS KiB" => first / 10 + SLACK_KIB,
                "descriptors" => role.spare_fds(),
                _ => role.spare_threads(),
            };
            all.push(Ends {
                role: role.name(),
                what,
                first,
                last,
                grew: last > first + room,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_the_last_third_has_more_than_the_first() {
        let mut samples = Vec::new();
        for index in 0..31 {
            let mut sample = Sample::default();
            for held in &mut sample.held {
                held.processes = 1;
                held.kib = 20_000;
                held.fds = 20;
            }
            sample.held[3].kib += index * 500;
            samples.push(sample);
        }
        let grown: Vec<_> = ends(&samples).into_iter().filter(|it| it.grew).collect();
        assert_eq!(grown.len(), 1, "{grown:?}");
        assert_eq!((grown[0].role, grown[0].what), ("worker", "PSS KiB"));
    }
}
