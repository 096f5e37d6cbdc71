//! The original: Debian's uwsgi-core with its python3 plugin.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::process::{Process, Signal, require};
use super::{dawdle, wait_for};

const PROGRAM: &str = "uwsgi-core";
const PLUGIN: &str = "/usr/lib/uwsgi/plugins/python3_plugin.so";

/// A uwsgi, started with arguments of a test.
pub(crate) struct Original {
    process: Process,
    pub(crate) folder: Folder,
}

impl Original {
    pub(crate) fn is_installed() -> bool {
        require(PROGRAM).is_some() && std::path::Path::new(PLUGIN).exists()
    }

    /// Runs `app.ini` with this text; `plugin` and `master` are given on the command line.
    #[track_caller]
    pub(crate) fn start(ini: &str) -> Self {
        Self::start_in(Folder::new(), ini)
    }

    #[track_caller]
    pub(crate) fn start_in(folder: Folder, ini: &str) -> Self {
        folder.write("app.ini", ini);
        let process = Process::start(command(&folder), &folder.join("original.log"));
        Self { process, folder }
    }

    /// An emperor over `vassals/` of the folder. Its vassals name the plugin themselves.
    #[track_caller]
    pub(crate) fn emperor(folder: Folder, vassals: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(folder.join("vassals")).expect("a directory");
        for (name, text) in vassals {
            folder.write(&format!("vassals/{name}"), text);
        }
        Self::start_with(folder, &["--emperor", "{dir}/vassals"], &[])
    }

    #[track_caller]
    pub(crate) fn start_with(folder: Folder, args: &[&str], env: &[(&str, &str)]) -> Self {
        let program = require(PROGRAM).expect("uwsgi-core: tests/run installs it");
        let mut command = Command::new(program);
        command
            .current_dir(folder.path())
            .args(args.iter().map(|arg| folder.fill(arg)))
            .envs(env.iter().map(|(key, value)| (key, folder.fill(value))));
        let process = Process::start(command, &folder.join("original.log"));
        Self { folder, process }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Sends it once the original is ready to hear it: its worker answers before its master has
    /// noted the worker's pid and set its handlers.
    pub(crate) fn send(&self, signal: Signal) {
        self.wait_ready(signal);
        self.process.send(signal);
    }

    /// Waits until its master handles the signal, and looks around.
    pub(crate) fn wait_ready(&self, signal: Signal) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.hears(signal) && Instant::now() < deadline {
            dawdle(Duration::from_millis(10));
        }
    }

    fn hears(&self, signal: Signal) -> bool {
        let log = self.log();
        if log.contains("spawned uWSGI master") && !log.contains("spawned uWSGI worker") {
            return false;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let mask = |field: &str| {
            let status = status.as_deref().unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        };
        let bit = 1u64 << (signal.as_raw() - 1);
        let has = |field| mask(field).is_none_or(|mask| mask & bit != 0);
        has("SigCgt:")
            || has("SigIgn:")
            || matches!(signal, Signal::KILL | Signal::STOP | Signal::CONT)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(crate) fn family(&self) -> Vec<i32> {
        self.process.family()
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        wait_for(what, || self.report(), || probe(self))
    }

    pub(crate) fn report(&self) -> String {
        format!("{}\n{}", self.process.report(), self.folder.listing())
    }
}

/// Runs the folder's `app.ini`.
pub(crate) fn command(folder: &Folder) -> Command {
    let mut command = Command::new(require(PROGRAM).expect("uwsgi-core: tests/run installs it"));
    command
        .current_dir(folder.path())
        .args(["--plugin", "python3", "--master", "--ini"])
        .arg(folder.join("app.ini"));
    command
}
