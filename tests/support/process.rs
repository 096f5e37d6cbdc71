//! Processes of a test: started with their output in a file, found again by a mark in their
//! environment, and buried by pid. Nobody else's process is ever touched.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions};

pub(crate) use rustix::process::Signal;

use super::wait_within;

/// The variable by which a test finds its processes, also those that were orphaned to it. It does
/// not begin with `IMPERATOR_`, since those never reach an app.
const MARK: &str = "TEST_OF";

/// A started program; its standard output and error go to one file.
pub(crate) struct Process {
    child: Child,
    command: String,
    mark: String,
    log: PathBuf,
    status: Option<ExitStatus>,
    waited: bool,
}

impl Process {
    /// Starts `command` in a process group of its own. `log` is appended to.
    #[track_caller]
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        become_subreaper();
        let mark = log.to_str().expect("a UTF-8 path").to_owned();
        let output = fs::File::options()
            .append(true)
            .create(true)
            .open(log)
            .expect("a log file");
        command
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second descriptor"))
            .stderr(output)
            .process_group(0);
        for (name, _) in std::env::vars_os() {
            if is_foreign(&name) && !command.get_envs().any(|(key, _)| key == name) {
                command.env_remove(name);
            }
        }
        let text = format!("{command:?}");
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {text}: {error}"));
        Self {
            child,
            command: text,
            mark,
            log: log.to_owned(),
            status: None,
            waited: false,
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn send(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Sends to every process of its process group, as a terminal does on Ctrl-C.
    pub(crate) fn send_group(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(pid(self.pid()), signal);
    }

    /// All living processes of this one: those below it and those that carry its mark.
    pub(crate) fn family(&self) -> Vec<i32> {
        family(&self.mark, self.pid())
    }

    /// `Some` once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if !self.waited {
            self.status = self.child.try_wait().expect("wait");
            self.waited = self.status.is_some();
        }
        self.status
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let (command, log) = (self.command.clone(), self.log.clone());
        wait_within(
            patience,
            "the end of the process",
            || format!("{command}\n{}", tail(&log)),
            || self.ended(),
        )
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Command, how it ended, the processes that live, the end of its log.
    pub(crate) fn report(&self) -> String {
        let mut lines = vec![
            format!("command: {}", self.command),
            format!("pid {}, ended: {:?}", self.pid(), self.status),
            "processes:".to_owned(),
        ];
        for pid in self.family() {
            let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title).replace('\0', " ");
            let title: String = title.chars().take(160).collect();
            let state = stat(pid).map_or('?', |stat| stat.state);
            lines.push(format!("  {pid} {state} {title}"));
        }
        lines.push(format!("log {}:\n{}", self.log.display(), tail(&self.log)));
        lines.join("\n")
    }

    /// Ends and reaps everything that it started, until nothing is left.
    pub(crate) fn bury_everyone(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let _ = self.ended();
            let left = self.family();
            if left.is_empty() && self.waited {
                return;
            }
            for one in left {
                send(one, Signal::KILL);
                // Those that were orphaned are children of the test process now.
                if one != self.pid() {
                    let _ = rustix::process::waitpid(Some(pid(one)), WaitOptions::NOHANG);
                }
            }
            if !self.waited {
                send(self.pid(), Signal::KILL);
            }
            if Instant::now() > deadline {
                eprintln!("still there after SIGKILL: {:?}", self.family());
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.bury_everyone();
    }
}

/// A command with the path of a program that `tests/run` installs. `None`: it is not there.
pub(crate) fn require(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// The interpreter that apps of the tests run in, unless their ini names one: the real file
/// behind `python3`, since a version manager's shim costs more than an app's start.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let program = std::env::var_os("TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let output = Command::new(&program)
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
        let path = String::from_utf8(output.stdout).expect("a UTF-8 path");
        PathBuf::from(path.trim())
    })
}

/// PATH with the directory of [`python`] first.
pub(crate) fn path_with_python() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = python().parent().expect("a directory").to_owned();
    std::env::join_paths(std::iter::once(first).chain(std::env::split_paths(&path))).unwrap()
}

pub(crate) fn send(to: i32, signal: Signal) {
    let _ = rustix::process::kill_process(pid(to), signal);
}

/// Whether the process runs; one that only waits to be reaped does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

struct Stat {
    parent: i32,
    state: char,
}

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).expect("a pid above 0")
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The name stands in parentheses and may hold any byte.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { parent, state })
}

/// Living processes with `mark`, or below `first`. Those of a mark must also descend from this
/// test process, which as their subreaper they all do.
fn family(mark: &str, first: i32) -> Vec<i32> {
    let me = i32::try_from(std::process::id()).expect("a pid");
    let marked = format!("{MARK}={mark}");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if pid == me || !is_alive(pid) {
            // A child that waits to be reaped, and is ours by adoption, is reaped on the way.
            continue;
        }
        let (mut above, mut hops) = (pid, 0);
        let (mut below_first, mut below_me) = (false, false);
        while above > 1 && hops < 64 {
            below_first |= above == first;
            below_me |= above == me;
            above = stat(above).map_or(0, |stat| stat.parent);
            hops += 1;
        }
        let carries = || {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ
                    .split(|&byte| byte == 0)
                    .any(|var| var == marked.as_bytes())
            })
        };
        if below_me && (below_first || carries()) {
            found.insert(pid);
        }
    }
    found.into_iter().collect()
}

fn become_subreaper() {
    rustix::process::set_child_subreaper(Some(pid(1))).expect("PR_SET_CHILD_SUBREAPER");
}

/// Variables of whoever runs the tests that would change what the servers do.
fn is_foreign(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("UWSGI_")
        || name.starts_with("LISTEN_")
        || name.starts_with("WATCHDOG_")
        || name.starts_with("PYTHON")
        || name == "NOTIFY_SOCKET"
        || name == "RUNTIME_DIRECTORY"
        || name == "RUST_LOG"
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(8000);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}
