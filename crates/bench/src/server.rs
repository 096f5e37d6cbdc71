//! Starts one of the two servers for a comparison, and ends it by its pid.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::wait_for;
use crate::cpu;
use crate::lifecycle::processes::{self, Started};
use crate::load::{Plan, run};
use crate::request::Kind;
use crate::target::Target;

/// An interpreter and a hello app are up in well under a second; a busy machine gets this long.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);
/// How much of a failed server's output is shown.
const TAIL: usize = 2000;

#[derive(Debug, Clone)]
pub struct Setup {
    pub processes: usize,
    pub threads: usize,
    /// `socket` or `http-socket`.
    pub http: bool,
    /// `python = …` for ours. The original has an option of that name which runs a script.
    pub python: PathBuf,
    /// More lines for the ini, for both servers.
    pub lines: Vec<String>,
}

/// A server that runs; ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Started,
    pub target: Target,
}

/// Writes the ini of one side, which differs from the other's by `python` alone, and the app.
///
/// # Errors
/// When `directory` cannot be written.
pub fn write_files(
    directory: &Path,
    setup: &Setup,
    with_python: bool,
) -> Result<PathBuf, anyhow::Error> {
    let socket = directory.join("bench.sock");
    let kind = if setup.http { "http-socket" } else { "socket" };
    let backlog = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let mut ini = format!(
        "[uwsgi]\n{kind} = {}\nchdir = {}\nmodule = bench_app\nmaster = true\nprocesses = {}\n\
         die-on-term = true\ndisable-logging = true\nneed-app = true\nlisten = {}\n",
        socket.display(),
        directory.display(),
        setup.processes,
        backlog.trim().parse::<u32>().unwrap_or(128).min(1024),
    );
    if setup.threads > 1 {
        ini += &format!("threads = {}\n", setup.threads);
    }
    if with_python {
        ini += &format!("python = {}\n", setup.python.display());
    }
    for line in &setup.lines {
        ini += line;
        ini.push('\n');
    }
    let path = directory.join(if with_python {
        "ours.ini"
    } else {
        "original.ini"
    });
    fs::write(&path, ini)?;
    fs::write(
        directory.join("bench_app.py"),
        include_str!("../apps/bench_app.py"),
    )?;
    Ok(path)
}

impl Server {
    /// Starts `command` and waits until a first request is answered.
    ///
    /// # Errors
    /// With the server's last words, when it does not come up in time.
    pub fn start(
        command: &[String],
        directory: &Path,
        http: bool,
        name: &str,
    ) -> Result<Self, anyhow::Error> {
        let socket = directory.join("bench.sock");
        // A stale socket file would look like a server that refuses.
        let _ = fs::remove_file(&socket);
        let protocol = if http { "http" } else { "uwsgi" };
        let target: Target = format!("{protocol}:{}", socket.display()).parse()?;
        let log = directory.join(format!("{name}.log"));
        Self::launch(command, directory, target, &log, name)
    }

    /// Starts `command` in `directory` and waits until `target` answers a request.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn launch(
        command: &[String],
        directory: &Path,
        target: Target,
        log: &Path,
        name: &str,
    ) -> Result<Self, anyhow::Error> {
        let output = File::create(log)?;
        let (program, arguments) = command.split_first().context("an empty command")?;
        // It starts in another directory than ours.
        let program = match program.contains('/') {
            true => std::path::absolute(program)?,
            false => program.into(),
        };
        let mut command_line = Command::new(&program);
        command_line
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C ends us, and we end the server: one order, not two.
            .process_group(0);
        let child = processes::start(&mut command_line)
            .with_context(|| format!("start {}", program.display()))?;
        let mut server = Self { child, target };
        let up = wait_for(START, || match server.child.has_ended() {
            // An original whose app fails accepts for a moment, too: only an answer counts.
            false => answers(&server.target).then_some(true),
            true => Some(false),
        });
        if up != Some(true) {
            let text = fs::read(log).unwrap_or_default();
            let text =
                String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL)..]).into_owned();
            let what = if up.is_none() {
                "answers no request in time"
            } else {
                "ended at once"
            };
            bail!(
                "{name} ({}) {what}; its last output:\n{text}",
                command.join(" ")
            );
        }
        Ok(server)
    }

    pub fn pid(&self) -> i32 {
        self.child.pid()
    }
}

fn answers(target: &Target) -> bool {
    let Ok(message) = Kind::Hello.encode(target.protocol, None) else {
        return false;
    };
    let plan = Plan {
        target: target.clone(),
        message,
        connections: 1,
        duration: START,
        requests: Some(1),
        timeout: START,
        status: 200,
        length: None,
        keep_alive: false,
        pace: Duration::ZERO,
        server: Vec::new(),
    };
    run(&plan, &AtomicBool::new(false)).failed() == 0
}

impl Drop for Server {
    fn drop(&mut self) {
        let tree = cpu::pids_of_trees(&[self.pid()]);
        // Both may fail only because the process is gone already, which is what we want.
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        let ended = |child: &mut Started| child.has_ended().then_some(());
        if wait_for(STOP, || ended(&mut self.child)).is_none() {
            for pid in tree {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let _ = wait_for(STOP, || ended(&mut self.child));
        }
    }
}
