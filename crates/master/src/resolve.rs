//! Reads the config in a short-lived child with a deadline: `imperator resolve ARGS` prints
//! `Resolved` as JSON. What hangs or misbehaves in a config hurts that child alone.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::message::Failure;
use imperator_core::settings::Resolved;
use imperator_core::why::CauseId;
use imperator_process::spawn::{self, Plan};
use imperator_process::{fds, signals};

use crate::failure;

/// A config that takes longer hangs: a FIFO, a dead network file system.
const LIMIT: Duration = Duration::from_secs(10);
/// More text than this is no config of an app.
const MAX_OUTPUT: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Resolving {
    pub generation: u32,
    pub only_if_changed: bool,
    pub pid: i32,
    pub deadline: Instant,
    output: OwnedFd,
    text: Vec<u8>,
}

/// What is run, and where.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub args: &'a [String],
    pub cwd: &'a Path,
    pub env: Vec<(OsString, OsString)>,
    pub log: BorrowedFd<'a>,
    pub nofile: u64,
}

impl Resolving {
    /// # Errors
    /// The child cannot be started.
    pub(crate) fn start(
        request: Request<'_>,
        (generation, only_if_changed): (u32, bool),
        now: Instant,
    ) -> Result<Self, Failure> {
        let (output, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
            .map_err(|error| failure::system("make a pipe", &error.into()))?;
        fds::set_nonblocking(&output, true)
            .map_err(|error| failure::system("make a pipe", &error))?;
        let null = std::fs::File::open("/dev/null")
            .map_err(|error| failure::system("open /dev/null", &error))?;
        // The program that this process runs, also when another one was installed in its place.
        let mut plan = Plan::new("/proc/self/exe");
        plan.argv0 = Some("imperator".into());
        plan.args.push("resolve".into());
        plan.args.extend(request.args.iter().map(OsString::from));
        plan.env = request.env;
        plan.fds = vec![(null.as_fd(), 0), (theirs.as_fd(), 1), (request.log, 2)];
        plan.chdir = Some(request.cwd.to_owned());
        plan.nofile = Some(request.nofile);
        let pid =
            spawn::spawn(&plan).map_err(|error| failure::system("read the config", &error.io()))?;
        Ok(Self {
            generation,
            only_if_changed,
            pid,
            deadline: now + LIMIT,
            output,
            text: Vec::new(),
        })
    }

    /// Reads what is there; `Some` when that was all.
    pub(crate) fn read(&mut self) -> Option<Result<Resolved, Failure>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match nix::unistd::read(&self.output, &mut buffer) {
                Ok(0) => return Some(self.parse()),
                Ok(count) if self.text.len() + count > MAX_OUTPUT => {
                    self.kill();
                    return Some(Err(failure::plain("the config is too big", None)));
                }
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(nix::Error::EAGAIN) => return None,
                Err(nix::Error::EINTR) => continue,
                Err(error) => {
                    let text = format!("cannot read the config: {error}");
                    return Some(Err(failure::plain(text, None)));
                }
            }
        }
    }

    /// The deadline is over.
    pub(crate) fn late(&self) -> Failure {
        self.kill();
        failure::plain(
            format!("the config was not read within {} s", LIMIT.as_secs()),
            Some("look for a FIFO, a command or a network file system in it".to_owned()),
        )
        .of(CauseId::ConfigError)
    }

    pub(crate) fn kill(&self) {
        // It may be gone already; it is reaped like everybody.
        let _ = signals::send_group(self.pid, nix::libc::SIGKILL);
    }

    fn parse(&self) -> Result<Resolved, Failure> {
        serde_json::from_slice(&self.text).map_err(|error| {
            let text = if self.text.is_empty() {
                "reading the config ended without a result".to_owned()
            } else {
                format!("reading the config gave no sense: {error}")
            };
            failure::plain(text, Some("the log has more".to_owned()))
        })
    }
}

impl AsFd for Resolving {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}
