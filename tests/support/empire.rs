//! Ours under test: an emperor over a directory, and a master run alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::folder::Folder;
use super::process::{Process, Signal, path_with_python};
use super::wait_for;

/// An emperor over `vassals/` of a test's own folder. In ini texts `{dir}` is the folder.
pub(crate) struct Empire {
    // Dropped first: nobody works in a folder that goes.
    process: Process,
    pub(crate) folder: Folder,
    args: Vec<String>,
    env: Vec<(String, String)>,
    starts: u32,
}

impl Empire {
    /// Starts the emperor over these vassals: names and texts.
    #[track_caller]
    pub(crate) fn start(vassals: &[(&str, &str)]) -> Self {
        Self::start_with(Folder::new(), vassals, &["{dir}/vassals"])
    }

    /// As [`Empire::start`], in a folder that the test prepared, and with these arguments
    /// (`{dir}` is the folder) instead of the directory of vassals.
    #[track_caller]
    pub(crate) fn start_with(folder: Folder, vassals: &[(&str, &str)], args: &[&str]) -> Self {
        Self::start_env(folder, vassals, args, &[])
    }

    #[track_caller]
    pub(crate) fn start_env(
        folder: Folder,
        vassals: &[(&str, &str)],
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        std::fs::create_dir_all(folder.join("vassals")).expect("a directory");
        for (name, text) in vassals {
            folder.write(&format!("vassals/{name}"), text);
        }
        let args: Vec<String> = args.iter().map(|arg| folder.fill(arg)).collect();
        let env: Vec<(String, String)> = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), folder.fill(value)))
            .collect();
        let process = launch(&folder, &args, &env, "emperor.log");
        Self {
            folder,
            process,
            args,
            env,
            starts: 1,
        }
    }

    /// Starts the next emperor with the same arguments, and waits until it answers: it has looked at
    /// all files then. The one before must have ended; what it left running stays.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.start_unseen();
        self.wait_for("the next emperor to answer", |empire| {
            empire.status().is_object().then_some(())
        });
    }

    /// As [`Empire::start_again`], without waiting: it may not even have begun.
    #[track_caller]
    pub(crate) fn start_unseen(&mut self) {
        let _ = self.process.wait(super::PATIENCE);
        self.starts += 1;
        // All emperors of a test share log and mark, so that the last one's harness buries all.
        let next = launch(&self.folder, &self.args, &self.env, "emperor.log");
        let before = std::mem::replace(&mut self.process, next);
        // Its Drop would bury the masters that the test wants to live.
        std::mem::forget(before);
    }

    /// Writes a vassal, as an editor does.
    #[track_caller]
    pub(crate) fn write(&self, name: &str, text: &str) {
        self.folder.write(&format!("vassals/{name}"), text);
    }

    #[track_caller]
    pub(crate) fn touch(&self, name: &str) {
        self.folder.touch(&format!("vassals/{name}"));
    }

    #[track_caller]
    pub(crate) fn remove(&self, name: &str) {
        self.folder.remove(&format!("vassals/{name}"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn runtime(&self) -> PathBuf {
        self.folder.join("run")
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub(crate) fn send(&self, signal: Signal) {
        self.process.send(signal);
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The emperor's exit code; 128 + signal when it was killed.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> i32 {
        code(self.process.wait(super::PATIENCE))
    }

    /// Every living process of this empire.
    pub(crate) fn family(&self) -> Vec<i32> {
        self.process.family()
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Runs `imperator ARGS` on this runtime directory to its end.
    pub(crate) fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "20"]);
        command.arg(env!("CARGO_BIN_EXE_imperator")).args(args);
        command
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env("RUNTIME_DIRECTORY", self.runtime())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the command")
    }

    /// What the emperor says to `imperator status --json`; `Null` while it does not answer, also
    /// where its masters would: what they say tells nothing of who looks after them.
    pub(crate) fn status(&self) -> Value {
        let output = self.command(&["status", "--json"]);
        let status = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        match status["emperor"].is_object() {
            true => status,
            false => Value::Null,
        }
    }

    /// One app of the status; `Null` when there is none of this name.
    pub(crate) fn app(&self, name: &str) -> Value {
        app(&self.status(), name)
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        wait_for(what, || self.report(), || probe(self))
    }

    /// Waits until the app's condition is `serving`; tells its line of the status.
    #[track_caller]
    pub(crate) fn wait_serving(&self, name: &str) -> Value {
        self.wait_state(name, "serving")
    }

    #[track_caller]
    pub(crate) fn wait_state(&self, name: &str, condition: &str) -> Value {
        self.wait_for(&format!("{name} to be {condition}"), |empire| {
            let app = empire.app(name);
            (app["condition"] == condition).then_some(app)
        })
    }

    pub(crate) fn report(&self) -> String {
        format!(
            "{}\nfolder {}:\n{}\nstatus: {:#}",
            self.process.report(),
            self.folder.path().display(),
            self.folder.listing(),
            self.status()
        )
    }
}

/// `imperator FILE` in the foreground: a master without an emperor, or whatever the arguments say.
pub(crate) struct Alone {
    process: Process,
    pub(crate) folder: Folder,
}

impl Alone {
    /// Runs `app.ini` with this text.
    #[track_caller]
    pub(crate) fn start(ini: &str) -> Self {
        Self::start_in(Folder::new(), ini)
    }

    /// With `UNDER_TEST=original` the original runs it: to see whether a test asks too much.
    #[track_caller]
    pub(crate) fn start_in(folder: Folder, ini: &str) -> Self {
        folder.write("app.ini", ini);
        if std::env::var("UNDER_TEST").is_ok_and(|name| name == "original") {
            let command = super::original::command(&folder);
            let process = Process::start(command, &folder.join("imperator.log"));
            return Self { process, folder };
        }
        Self::start_with(folder, &["{dir}/app.ini"], &[])
    }

    #[track_caller]
    pub(crate) fn start_with(folder: Folder, args: &[&str], env: &[(&str, &str)]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| folder.fill(arg)).collect();
        let env: Vec<(String, String)> = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), folder.fill(value)))
            .collect();
        let process = launch(&folder, &args, &env, "imperator.log");
        Self { folder, process }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub(crate) fn send(&self, signal: Signal) {
        self.process.send(signal);
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(crate) fn family(&self) -> Vec<i32> {
        self.process.family()
    }

    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> i32 {
        code(self.process.wait(super::PATIENCE))
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        wait_for(what, || self.report(), || probe(self))
    }

    pub(crate) fn report(&self) -> String {
        format!(
            "{}\nfolder {}:\n{}",
            self.process.report(),
            self.folder.path().display(),
            self.folder.listing()
        )
    }
}

/// Where a copy of the program lies in a folder, if the test makes one.
pub(crate) const COPY: &str = "bin/imperator";

/// The command as built, in the folder, with what every start of it needs.
pub(crate) fn command(folder: &Folder) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_imperator"));
    let extension = program.with_file_name("libimperator_python.so");
    assert!(
        extension.exists(),
        "{} is missing: run `cargo build` before the tests",
        extension.display()
    );
    // A test may bring a copy of the program, to replace it while it runs.
    let copy = folder.join(COPY);
    let mut command = if copy.exists() {
        let mut command = Command::new(copy);
        command.env("IMPERATOR_PYTHON_EXTENSION", extension);
        command
    } else {
        Command::new(program)
    };
    command
        .current_dir(folder.path())
        .env("PATH", path_with_python())
        .env("NO_COLOR", "1");
    command
}

#[track_caller]
fn launch(folder: &Folder, args: &[String], env: &[(String, String)], log: &str) -> Process {
    let mut command = command(folder);
    command
        .args(args)
        .env("RUNTIME_DIRECTORY", folder.join("run"))
        .envs(env.iter().map(|(key, value)| (key, value)));
    Process::start(command, &folder.join(log))
}

/// The line of one app; `Null` when there is none of this name.
pub(crate) fn app(status: &Value, name: &str) -> Value {
    let apps = status["apps"].as_array();
    let of_name = |apps: &Vec<Value>| apps.iter().find(|app| app["name"] == name).cloned();
    apps.and_then(of_name).unwrap_or(Value::Null)
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
