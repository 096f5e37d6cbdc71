//! A Debian 12 whose systemd is really booted, in a container of its own, from a tree that is made
//! once below the target directory and never written to: what a boot writes lies in memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::{Folder, Process, Signal, require, send, target_directory, wait_within};

/// A boot takes half a second on a quiet machine.
const BOOT: Duration = Duration::from_secs(60);
/// A shutdown that takes longer is ended by SIGKILL.
const SHUTDOWN: Duration = Duration::from_secs(20);
/// The longest that one command in the container may take, in seconds, for `timeout`.
const COMMAND_SECONDS: &str = "90";
/// Debian's mirrors are slow at times; a whole tree is 70 MB of packages.
const BOOTSTRAP_SECONDS: &str = "900";
/// The release that the unit file is written for; its systemd is 252.
const RELEASE: &str = "bookworm";

/// A booted system; powered off when dropped.
pub(crate) struct Container {
    nspawn: Process,
    /// Its systemd, seen from here.
    init: i32,
    _folder: Folder,
}

/// Why the container cannot run here, or `None`.
pub(crate) fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        Some("root, who may boot a container,")
    } else if require("systemd-nspawn").is_none() {
        Some("systemd-nspawn (package systemd-container)")
    } else if require("debootstrap").is_none() && !tree().exists() {
        Some("debootstrap")
    } else {
        None
    }
}

fn tree() -> PathBuf {
    target_directory().join("systemd/root")
}

/// Makes the tree, unless it is there. A half-made one is never taken for whole: only the last
/// step gives it its name.
fn prepare_tree() -> PathBuf {
    let tree = tree();
    let directory = tree.parent().expect("a directory above the tree");
    fs::create_dir_all(directory).expect("a directory");
    let lock = fs::File::create(directory.join("lock")).expect("a lock file");
    lock.lock().expect("the lock of the tree");
    if tree.exists() {
        return tree;
    }
    let half = directory.join("half");
    if half.exists() {
        fs::remove_dir_all(&half).expect("a half-made tree to go");
    }
    let output = Command::new("timeout")
        .args(["--kill-after=10", BOOTSTRAP_SECONDS, "debootstrap"])
        .args([
            "--variant=minbase",
            "--include=systemd,systemd-sysv,dbus,python3",
            RELEASE,
        ])
        .arg(&half)
        .args(mirror())
        .output()
        .expect("timeout and debootstrap");
    assert!(output.status.success(), "debootstrap: {}", text_of(&output));
    fs::rename(&half, &tree).expect("the finished tree");
    tree
}

/// The mirror that this machine's apt uses; `None` leaves it to debootstrap.
fn mirror() -> Option<String> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(RELEASE) $(COMPONENT) $(REPO_URI)",
        ])
        .arg("Created-By: Packages")
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| {
            line.strip_prefix(&format!("{RELEASE} main "))
                .map(str::to_owned)
        })
}

impl Container {
    #[track_caller]
    pub(crate) fn boot() -> Self {
        let tree = prepare_tree();
        let folder = Folder::new();
        // When this test dies, even by SIGKILL, so does `unshare`, with it the first process of
        // its pid namespace, and with that every process of the container.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .args([
                "unshare",
                "--pid",
                "--fork",
                "--kill-child=KILL",
                "--mount-proc",
            ])
            .args(["systemd-nspawn", "-D"])
            .arg(tree)
            // Not of this machine's systemd, which need not run: no registration, no scope.
            .args(["--register=no", "--keep-unit", "--volatile=overlay"])
            .arg(format!("--machine=imperator-test-{}", std::process::id()))
            .args(["--boot", "--console=pipe"]);
        let mut nspawn = Process::start(command, &folder.join("console.log"));
        let init = wait_within(
            BOOT,
            "the container's systemd",
            || String::from("systemd-nspawn started no systemd"),
            || {
                assert!(nspawn.ended().is_none(), "{}", nspawn.report());
                child_of(child_of(nspawn.pid(), "systemd-nspawn")?, "systemd")
            },
        );
        let container = Self {
            nspawn,
            init,
            _folder: folder,
        };
        wait_within(
            BOOT,
            "the end of the boot",
            || container.report(),
            || {
                let state = text_of(&container.run(&["systemctl", "is-system-running"]));
                ["running", "degraded"]
                    .contains(&state.trim())
                    .then_some(())
            },
        );
        container
    }

    /// Runs a command in the container, as its root.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        Command::new("timeout")
            .args(["--kill-after=5", COMMAND_SECONDS])
            .args(["nsenter", "-a", "-t", &self.init.to_string(), "--"])
            .args(command)
            .output()
            .expect("timeout and nsenter")
    }

    /// As [`Container::run`]; the command must succeed. Returns its output.
    #[track_caller]
    pub(crate) fn must(&self, command: &[&str]) -> String {
        let output = self.run(command);
        assert!(
            output.status.success(),
            "{command:?}: {}\n{}\n{}",
            output.status,
            text_of(&output),
            self.report()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// One property of the unit.
    pub(crate) fn property(&self, name: &str) -> String {
        let output = self.run(&["systemctl", "show", "--value", "-p", name, "imperator"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn main_pid(&self) -> i32 {
        self.property("MainPID").parse().unwrap_or(0)
    }

    /// A file of the container, as this process reaches it.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    #[track_caller]
    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).unwrap_or_else(|error| panic!("write {inside}: {error}"));
    }

    /// Copies a file in, readable and executable for all.
    #[track_caller]
    pub(crate) fn install(&self, from: &Path, inside: &str) {
        let to = self.path(inside);
        fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("copy {}: {error}", from.display()));
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    pub(crate) fn remove(&self, inside: &str) {
        let _ = fs::remove_file(self.path(inside));
    }

    /// The unit's journal, messages only.
    pub(crate) fn journal(&self) -> String {
        let _ = self.run(&["journalctl", "--sync"]);
        let output = self.run(&["journalctl", "-u", "imperator", "-o", "cat", "--no-pager"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The processes of the unit: their pids in the container, and their command lines.
    pub(crate) fn service_processes(&self) -> BTreeMap<i32, String> {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(&self.init.to_string());
        let entries = fs::read_dir("/proc").expect("/proc");
        entries
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().into_string().ok()?;
                if !pid.bytes().all(|byte| byte.is_ascii_digit()) || namespace(&pid) != ours {
                    return None;
                }
                let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
                let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                // A process that only waits to be reaped has no command line.
                (cgroups.contains("/imperator.service") && !title.is_empty()).then_some(())?;
                let title = String::from_utf8_lossy(&title).replace('\0', " ");
                Some((inner_pid(&pid)?, title))
            })
            .collect()
    }

    /// What one wants to see when a check failed.
    pub(crate) fn report(&self) -> String {
        let status =
            text_of(&self.run(&["systemctl", "status", "-n", "0", "--no-pager", "imperator"]));
        let journal = self.journal();
        let from = journal.len().saturating_sub(6000);
        let journal = journal.get(from..).unwrap_or(&journal);
        format!(
            "systemctl status:\n{status}\njournal:\n{journal}\n{}",
            self.nspawn.report()
        )
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(nspawn) = child_of(self.nspawn.pid(), "systemd-nspawn") {
            // It hands it on as the order to power off.
            send(nspawn, Signal::TERM);
        }
        let deadline = std::time::Instant::now() + SHUTDOWN;
        while self.nspawn.ended().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // If it did not help, dropping `nspawn` kills everything below it.
    }
}

/// The child that runs `program`, once it does.
fn child_of(parent: i32, program: &str) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let runs = |pid: &&str| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == program)
    };
    children.split_ascii_whitespace().find(runs)?.parse().ok()
}

/// The last number of `NSpid` is the pid in the innermost namespace. proc(5).
fn inner_pid(pid: &str) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

pub(crate) fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
