//! A command that reads log lines from its stdin (`logger = pipe:…`). Writing never blocks; a
//! command that ended is started again, at most once a second.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use imperator_process::fds;
use imperator_process::privileges::Identity;
use imperator_process::spawn::{self, Group, Plan};

use crate::clock;
use crate::effects::own_env;

const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Command {
    text: String,
    user: Option<Identity>,
    stdin: File,
    pid: i32,
    started: Instant,
}

impl Command {
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(text: &str, user: Option<&Identity>) -> io::Result<Self> {
        let (stdin, pid) = run(text, user)?;
        Ok(Self {
            text: text.to_owned(),
            user: user.cloned(),
            stdin,
            pid,
            started: clock::now(),
        })
    }

    pub(crate) fn stdin(&self) -> &File {
        &self.stdin
    }

    pub(crate) fn is(&self, pid: i32) -> bool {
        self.pid == pid
    }

    /// # Errors
    /// It takes nothing now, or has ended.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = (&self.stdin).write(bytes);
        let ended = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        let now = clock::now();
        let lived = now.saturating_duration_since(self.started);
        if result.as_ref().is_err_and(ended) && lived >= PAUSE {
            self.started = now;
            (self.stdin, self.pid) = run(&self.text, self.user.as_ref())?;
            return (&self.stdin).write(bytes);
        }
        result
    }
}

fn run(text: &str, user: Option<&Identity>) -> io::Result<(File, i32)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    fds::set_nonblocking(&write, true)?;
    let stderr = io::stderr();
    let mut plan = Plan::new("/bin/sh");
    plan.args = vec!["-c".into(), format!("exec {text}").into()];
    plan.env = own_env(false);
    plan.fds = vec![(read.as_fd(), 0), (stderr.as_fd(), 1), (stderr.as_fd(), 2)];
    plan.group = Group::Session;
    plan.identity = user.cloned();
    let pid = spawn::spawn(&plan).map_err(|error| io::Error::other(error.to_string()))?;
    Ok((write.into(), pid))
}
