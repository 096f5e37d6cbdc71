//! What only `systemctl` can tell: asked by a child with a deadline, never waited for.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use imperator_process::spawn::{self, Plan};
use imperator_process::{fds, signals};

use crate::supervisor::Pid;
use crate::systemd;

/// A systemd that has not answered by then is busy with itself.
const LIMIT: Duration = Duration::from_secs(5);
const MAX_OUTPUT: usize = 256 << 10;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// How many descriptors systemd keeps for the unit.
    StoreMax,
    /// Which jobs there are: whether a stop is the first half of a restart.
    Jobs,
}

#[derive(Debug)]
pub struct Question {
    pub topic: Topic,
    unit: String,
    pub pid: Pid,
    pub is_reaped: bool,
    output: fs::File,
    text: Vec<u8>,
    pub deadline: Instant,
}

impl Question {
    /// `None`: no systemd, or nobody can ask it.
    pub fn ask(topic: Topic, now: Instant) -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        let (unit, of_user) = unit(&fs::read_to_string("/proc/self/cgroup").ok()?)?;
        let program = ["/usr/bin/systemctl", "/bin/systemctl"];
        let program = program
            .into_iter()
            .find(|path| fs::exists(path).unwrap_or(false))?;
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (read, write): (OwnedFd, OwnedFd) = pipe.ok()?;
        let null = fs::File::open("/dev/null").ok()?;
        fds::set_nonblocking(&read, true).ok()?;
        let mut plan = Plan::new(program);
        if of_user {
            plan.args.push("--user".into());
        }
        let words: &[&str] = match topic {
            Topic::StoreMax => &["show", "--value", "--property=FileDescriptorStoreMax"],
            Topic::Jobs => &[
                "list-jobs",
                "--no-legend",
                "--plain",
                "--no-pager",
                "--full",
            ],
        };
        plan.args.extend(words.iter().map(Into::into));
        if topic == Topic::StoreMax {
            plan.args.push(unit.clone().into());
        }
        plan.env = std::env::vars_os()
            .filter(|(key, _)| !systemd::is_private(&key.to_string_lossy()))
            .collect();
        plan.fds = vec![(null.as_fd(), 0), (write.as_fd(), 1), (null.as_fd(), 2)];
        let pid = spawn::spawn(&plan).ok()?;
        Some(Self {
            topic,
            unit,
            pid,
            is_reaped: false,
            output: read.into(),
            text: Vec::new(),
            deadline: now + LIMIT,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// The whole answer, `Some(None)` when none came in time; `None`: later.
    pub fn answer(&mut self, now: Instant) -> Option<Option<String>> {
        let mut chunk = [0; 4096];
        loop {
            match self.output.read(&mut chunk) {
                Ok(0) => {
                    let text = String::from_utf8_lossy(&self.text).into_owned();
                    return Some(Some(text));
                }
                Ok(count) if self.text.len() + count <= MAX_OUTPUT => {
                    self.text.extend_from_slice(&chunk[..count]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => return Some(None),
            }
        }
        if self.deadline > now {
            return None;
        }
        if !self.is_reaped {
            // It leads a group of its own.
            let _ = signals::send_group(self.pid, signals::KILL);
        }
        Some(None)
    }

    /// Whether a list of jobs says that the unit is to stay stopped.
    pub fn says_stop(&self, jobs: &str) -> bool {
        stops(jobs, &self.unit)
    }
}

/// A stop that is a restart's first half has a job `restart`; a service that was told to end by
/// somebody else has none, and systemd starts it again.
fn stops(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&unit) && words.contains(&"stop")
    })
}

/// The unit of a process, and whether it is a user's.
fn unit(cgroup: &str) -> Option<(String, bool)> {
    let line = cgroup.lines().find(|line| line.starts_with("0::"));
    let line = line.or_else(|| cgroup.lines().find(|line| line.contains(":name=systemd:")))?;
    let path = line.rsplit_once(':')?.1;
    let unit = path.rsplit('/').find(|part| part.ends_with(".service"))?;
    Some((unit.to_owned(), path.contains("/user@")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_told_from_a_stop() {
        let unit = "imperator.service";
        assert!(stops("204 imperator.service stop running\n", unit));
        assert!(!stops("204 imperator.service restart running\n", unit));
        assert!(!stops("7 other.service stop running\n", unit));
        assert!(!stops("", unit));
    }

    #[test]
    fn the_unit_is_the_last_service_of_the_path() {
        let one = unit("0::/system.slice/imperator.service\n");
        assert_eq!(one, Some(("imperator.service".to_owned(), false)));
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/my.service\n";
        assert_eq!(unit(user), Some(("my.service".to_owned(), true)));
        assert_eq!(unit("0::/\n"), None);
    }
}
