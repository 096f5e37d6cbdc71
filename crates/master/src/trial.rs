//! Loads an app as a generation would, in its own interpreter and as its own user, and lets it go:
//! `imperator check --import`. Binds nothing, serves nothing; the caller's process must reap nobody else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imperator_core::message::{Failure, FromWorker, Setup, ToWorker, VERSION, fd};
use imperator_core::settings::Settings;
use imperator_process::channel::{Channel, Received};
use imperator_process::poll::{self, Interest, PollSet};
use imperator_process::privileges::Identity;
use imperator_process::reap::{self, End};
use imperator_process::spawn;
use imperator_process::{fds, signals};

use crate::clock;
use crate::effects;
use crate::event::Cause;
use crate::extension;
use crate::failure;
use crate::identity;
use crate::interpreter::choose;

/// Which app, and how long it may take.
#[derive(Debug)]
pub struct Trial<'a> {
    pub name: &'a str,
    pub settings: &'a Settings,
    /// What relative paths start from.
    pub cwd: &'a Path,
    /// Under a tyrant, who owns the app's file: then nobody else can be asked for.
    pub owner: Option<Identity>,
    pub limit: Duration,
}

/// An app that can be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// `3.11.2`
    pub python: String,
    /// `None`: as this process.
    pub user: Option<String>,
    pub seconds: f64,
    /// Resident bytes after the import.
    pub memory: u64,
    pub notes: Vec<String>,
}

/// The app's interpreter, when it is there.
///
/// # Errors
/// What is missing, with the config line that asks for it and the way out.
pub fn interpreter(settings: &Settings, cwd: &Path) -> Result<PathBuf, Failure> {
    choose(settings, cwd, std::env::var_os("PATH").as_deref())
}

/// Loads the app and ends its interpreter again.
///
/// # Errors
/// Why it would not start.
pub fn import(trial: &Trial<'_>) -> Result<Imported, Failure> {
    let identity = match &trial.owner {
        Some(owner) => Some(owner.clone()),
        None => identity::of(trial.settings)?,
    };
    let interpreter = interpreter(trial.settings, trial.cwd)?;
    let extension = extension::open()?;
    let system = |error: io::Error| {
        let hint = "look at the limits of this machine: processes, memory, open files";
        let text = format!("cannot start an interpreter: {error}");
        failure::plain(text, Some(hint.to_owned()))
    };
    let (ours, theirs) = Channel::pair().map_err(system)?;
    ours.set_nonblocking(true).map_err(system)?;
    let (output, write) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| system(error.into()))?;
    fds::set_nonblocking(&output, true).map_err(system)?;
    let null = std::fs::File::open("/dev/null").map_err(system)?;
    let mut plan = effects::children::plan(&interpreter, trial.settings, trial.cwd);
    // A look leaves no byte code behind.
    plan.env
        .push(("PYTHONDONTWRITEBYTECODE".into(), "1".into()));
    plan.identity.clone_from(&identity);
    plan.fds = vec![
        (null.as_fd(), 0),
        (write.as_fd(), 1),
        (write.as_fd(), 2),
        (theirs.as_fd(), fd::CHANNEL),
        (extension.as_fd(), fd::EXTENSION),
    ];
    let pid = spawn::spawn(&plan).map_err(|error| failure::spawn(trial.settings, &error))?;
    drop(plan);
    drop((theirs, write));
    let mut running = Running {
        pid,
        channel: ours,
        output,
        text: Vec::new(),
        is_reaped: false,
    };
    let user = identity.map(|who| who.name.unwrap_or_else(|| who.uid.to_string()));
    let result = running.load(trial);
    if !running.is_reaped {
        running.end();
    }
    result.map(|imported| Imported { user, ..imported })
}

/// What an app may print while it is loaded; of more, the end is kept.
const MAX_OUTPUT: usize = 64 * 1024;
/// So long the interpreter may take for its own end.
const GRACE: Duration = Duration::from_secs(2);

struct Running {
    pid: i32,
    channel: Channel,
    output: OwnedFd,
    text: Vec<u8>,
    is_reaped: bool,
}

impl Running {
    fn load(&mut self, trial: &Trial<'_>) -> Result<Imported, Failure> {
        let settings = trial.settings;
        let deadline = clock::now() + trial.limit;
        let mut version = String::new();
        loop {
            let message = self.hear(deadline);
            let told = message.map_err(|error| {
                let text = format!("cannot hear the interpreter: {error}");
                failure::plain(text, None)
            })?;
            match told {
                Heard::Message(FromWorker::Hello { python, .. }) => {
                    version = python;
                    // One that is gone is seen by the next look.
                    let _ = self.channel.send(&setup(trial), &[]);
                }
                Heard::Message(FromWorker::Unfit { why, hint, .. }) => {
                    return Err(failure::unfit(settings, &why, hint));
                }
                Heard::Message(FromWorker::Loaded { notes, seconds, .. }) => {
                    return Ok(Imported {
                        python: version,
                        user: None,
                        seconds,
                        memory: memory(self.pid),
                        notes,
                    });
                }
                Heard::Message(FromWorker::LoadFailed {
                    summary,
                    traceback,
                    error,
                }) => {
                    return Err(failure::load(settings, &summary, &traceback, error));
                }
                Heard::Message(
                    FromWorker::Forked { .. }
                    | FromWorker::ForkFailed { .. }
                    | FromWorker::Unready { .. }
                    | FromWorker::Accepting
                    | FromWorker::Modules { .. }
                    | FromWorker::Asks { .. }
                    | FromWorker::WantsToDrain { .. }
                    | FromWorker::Overdue { .. }
                    | FromWorker::IgnoredVar { .. }
                    | FromWorker::Note { .. },
                ) => (),
                Heard::Closed => {
                    let end = self.end().unwrap_or(End::Signal(nix::libc::SIGKILL));
                    let cause = Cause::Ended { mold: true, end };
                    return Err(failure::explain(
                        settings,
                        &cause,
                        &self.said(),
                        !version.is_empty(),
                    ));
                }
                Heard::Nothing => {
                    let cause = Cause::Late { after: trial.limit };
                    return Err(failure::explain(
                        settings,
                        &cause,
                        &self.said(),
                        !version.is_empty(),
                    ));
                }
            }
        }
    }

    fn hear(&mut self, deadline: Instant) -> io::Result<Heard> {
        loop {
            match self.channel.receive::<FromWorker>()? {
                Received::Message(message, _) => return Ok(Heard::Message(message)),
                Received::Closed => return Ok(Heard::Closed),
                Received::Empty => (),
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            let mut poll = PollSet::new();
            poll.add(self.channel.as_fd(), Interest::Read);
            let said = poll.add(self.output.as_fd(), Interest::Read);
            poll.wait(Some(left))?;
            if poll.is_ready(said) && !self.read_output() {
                // The app closed its output; the channel tells the rest.
                poll::wait_one(&self.channel, Interest::Read, left)?;
            }
        }
    }

    /// `false`: nobody can write any more.
    fn read_output(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match nix::unistd::read(&self.output, &mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(nix::Error::EINTR) => continue,
                Err(nix::Error::EAGAIN) => return true,
                Err(_) => return false,
            }
            let excess = self.text.len().saturating_sub(MAX_OUTPUT);
            self.text.drain(..excess);
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Lets the interpreter end as after any script; what is left of its group is killed.
    fn end(&mut self) -> Option<End> {
        // Who is gone needs no order.
        let _ = self.channel.send(&ToWorker::Drain, &[]);
        let _ = reap::wait_for_end(self.pid, GRACE);
        // Not reaped yet, so the group is still its own.
        let _ = signals::send_group(self.pid, nix::libc::SIGKILL);
        let _ = reap::wait_for_end(self.pid, GRACE);
        self.read_output();
        let end = reap::this(self.pid);
        self.is_reaped = end.is_some();
        end
    }
}

enum Heard {
    Message(FromWorker),
    Closed,
    Nothing,
}

/// As a mold's, without a socket.
fn setup(trial: &Trial<'_>) -> ToWorker {
    ToWorker::Setup(Box::new(Setup {
        version: VERSION,
        name: trial.name.to_owned(),
        generation: 0,
        worker: None,
        settings: trial.settings.clone(),
        listeners: Vec::new(),
        cwd: trial.cwd.to_owned(),
        tls: Vec::new(),
        mercy: GRACE,
        first: false,
        // No hook runs for a trial.
        loads_first: false,
        unproven: false,
    }))
}

/// 0 when it cannot be told.
fn memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
