//! Hooks are performed by a child of the master, `imperator perform`, with a deadline: what hangs
//! or misbehaves in a hook hurts that child alone.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::message::{Failure, fd};
use imperator_core::settings::hooks::{Job, Performed};
use imperator_process::privileges::Identity;
use imperator_process::spawn::{self, Plan};
use imperator_process::{fds, shared, signals};

use crate::failure;

/// More text than this is no answer.
const MAX_ANSWER: usize = 1024 * 1024;

/// What is run, and where.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub job: &'a Job,
    pub cwd: &'a Path,
    pub env: Vec<(OsString, OsString)>,
    /// `None`: with the master's own rights.
    pub identity: Option<Identity>,
    pub log: BorrowedFd<'a>,
    pub nofile: u64,
    pub limit: Duration,
}

#[derive(Debug)]
pub(crate) struct Performing {
    pub pid: i32,
    pub deadline: Instant,
    limit: Duration,
    answer: OwnedFd,
    text: Vec<u8>,
}

impl Performing {
    /// # Errors
    /// The child cannot be started.
    pub(crate) fn start(request: Request<'_>, now: Instant) -> Result<Self, Failure> {
        let system = |error: std::io::Error| failure::system("start what runs the hooks", &error);
        let text = serde_json::to_vec(request.job).map_err(|error| system(error.into()))?;
        let job = shared::text("imperator-job", &text).map_err(system)?;
        let (answer, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
            .map_err(|error| system(error.into()))?;
        fds::set_nonblocking(&answer, true).map_err(system)?;
        // The program that this process runs, also when another one was installed in its place.
        let mut plan = Plan::new("/proc/self/exe");
        plan.argv0 = Some("imperator".into());
        plan.args.push("perform".into());
        plan.env = request.env;
        plan.fds = vec![
            (job.as_fd(), 0),
            (request.log, 1),
            (request.log, 2),
            (theirs.as_fd(), fd::CHANNEL),
        ];
        plan.identity = request.identity;
        plan.chdir = Some(request.cwd.to_owned());
        plan.nofile = Some(request.nofile);
        let pid = spawn::spawn(&plan).map_err(|error| system(error.io()))?;
        Ok(Self {
            pid,
            deadline: now + request.limit,
            limit: request.limit,
            answer,
            text: Vec::new(),
        })
    }

    /// Reads what is there; `Some` when that was all, or the deadline passed.
    pub(crate) fn read(&mut self, now: Instant) -> Option<Result<Performed, Failure>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match nix::unistd::read(&self.answer, &mut buffer) {
                Ok(0) => return Some(self.parse()),
                Ok(count) if self.text.len() + count > MAX_ANSWER => {
                    self.kill();
                    return Some(Err(failure::plain("the hooks' answer is too big", None)));
                }
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(nix::Error::EINTR) => continue,
                Err(nix::Error::EAGAIN) if self.deadline > now => return None,
                Err(nix::Error::EAGAIN) => {
                    self.kill();
                    let text = format!("hooks did not end within {} s", self.limit.as_secs());
                    let hint = "the log shows the last one; raise hook-timeout if it needs longer";
                    return Some(Err(failure::plain(text, Some(hint.to_owned()))));
                }
                Err(error) => {
                    let text = format!("cannot read what became of the hooks: {error}");
                    return Some(Err(failure::plain(text, None)));
                }
            }
        }
    }

    pub(crate) fn kill(&self) {
        // It may be gone already; it is reaped like everybody.
        let _ = signals::send_group(self.pid, nix::libc::SIGKILL);
    }

    fn parse(&self) -> Result<Performed, Failure> {
        let performed: Performed = serde_json::from_slice(&self.text).map_err(|_| {
            let hint = "the log has more";
            failure::plain("a hook ended without a result", Some(hint.to_owned()))
        })?;
        match performed.failure {
            Some(failure) => {
                let hint = "mend it, or use safeexec: for a command that may fail";
                Err(failure::plain(failure, Some(hint.to_owned())))
            }
            None => Ok(performed),
        }
    }
}

impl AsFd for Performing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}
