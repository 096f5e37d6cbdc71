//! Starts what runs beside the app: daemons, crons, commands of touched files. As the app's user,
//! in its directory, with its environment; in a session of its own.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use imperator_core::command::Command;
use imperator_core::settings::daemons::Daemon;
use imperator_process::privileges::{self, Identity};
use imperator_process::signals;
use imperator_process::spawn::{self, Group, Plan};

use super::daemons::{Action, DaemonId, Event};
use crate::effects::Effects;

const SHELL: &str = "/bin/sh";
/// Writes its own pid, which the command keeps, and becomes it.
const WITH_PIDFILE: &str = "echo $$ >\"$0\" && exec /bin/sh -c \"$1\"";
/// No pid is longer.
const MAX_PIDFILE: u64 = 32;

impl Effects {
    /// One event for the daemons, and all that follows from it.
    pub(super) fn daemons(&mut self, event: Event, now: Instant) {
        let mut queue = vec![event];
        // Each answer belongs to one action, and an action comes from a deadline or an event.
        while let Some(event) = queue.pop() {
            for action in self.beside.daemons.step(event, now) {
                queue.extend(self.carry_out_daemon(action));
            }
        }
    }

    fn carry_out_daemon(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { id } => {
                let daemon = self.beside.daemons.get(id)?.clone();
                Some(match self.spawn_daemon(&daemon) {
                    Ok(pid) => {
                        let text = format!("daemon \"{}\" runs (pid {pid})", daemon.command);
                        self.log.note(&text);
                        Event::Spawned { id, pid }
                    }
                    Err(why) => Event::SpawnFailed { id, why },
                })
            }
            Action::Signal { pid, signal } => {
                // Not reaped yet, so the pid is still its own.
                let _ = signals::send_group(pid, signal);
                None
            }
            Action::Notify { id, pid, signal } => {
                self.notify(id, pid, signal);
                None
            }
            Action::Look { id } => {
                let daemon = self.beside.daemons.get(id)?;
                let pidfile = self.beside.home.cwd.join(daemon.pidfile.as_ref()?);
                let pid = living(&pidfile);
                Some(Event::Seen { id, pid })
            }
            Action::StopApp { command } => {
                let why = format!("daemon \"{command}\" ended, and controls the app");
                self.log.note(&why);
                self.beside.commands.push((Command::Stop, why));
                None
            }
            Action::Note(text) => {
                self.log.note(&text);
                None
            }
        }
    }

    /// Who writes a pidfile must not thereby choose whom a master with more rights signals.
    fn notify(&mut self, id: DaemonId, pid: i32, signal: i32) {
        let Some(daemon) = self.beside.daemons.get(id) else {
            return;
        };
        let wanted = match (daemon.uid, &self.beside.home.identity) {
            (Some(uid), _) => uid,
            (None, Some(identity)) => identity.uid,
            (None, None) => nix::unistd::geteuid().as_raw(),
        };
        let owner = Path::new("/proc").join(pid.to_string()).metadata();
        if owner.is_ok_and(|it| it.uid() == wanted) {
            // It may have ended since.
            let _ = signals::send_group(pid, signal);
        } else {
            let command = daemon.command.clone();
            self.note(format!(
                "pid {pid} in the pidfile of \"{command}\" is not its user's: it gets no signal"
            ));
        }
    }

    fn spawn_daemon(&mut self, daemon: &Daemon) -> Result<i32, String> {
        let home = &self.beside.home;
        let stdin = daemon.stdin || home.honour_stdin;
        let identity = match (daemon.uid, daemon.gid) {
            (None, None) => home.identity.clone(),
            (uid, gid) => {
                let kept = home.identity.as_ref();
                let uid = uid.or(kept.map(|it| it.uid)).map(|uid| uid.to_string());
                let gid = gid.map(|gid| gid.to_string());
                privileges::identity(uid.as_deref(), gid.as_deref())
                    .map_err(|error| error.to_string())?
            }
        };
        let cwd = match &daemon.chdir {
            Some(chdir) => home.cwd.join(chdir),
            None => home.cwd.clone(),
        };
        let args: Vec<OsString> = match &daemon.pidfile {
            Some(pidfile) if daemon.daemonize => {
                let pidfile = home.cwd.join(pidfile);
                vec![
                    "-c".into(),
                    WITH_PIDFILE.into(),
                    pidfile.into(),
                    daemon.command.as_str().into(),
                ]
            }
            Some(_) | None => vec!["-c".into(), daemon.command.as_str().into()],
        };
        // A smart one outlives us; it is found again by its pidfile.
        let dies = daemon.pidfile.is_none();
        let ours = std::io::stdin();
        let stdin = stdin.then(|| ours.as_fd());
        self.spawn_shell(args, &cwd, identity, stdin, dies)
    }

    /// A command of a cron.
    pub(super) fn spawn_command(&self, command: &str) -> Result<i32, String> {
        let home = &self.beside.home;
        let args = vec!["-c".into(), command.into()];
        self.spawn_shell(args, &home.cwd, home.identity.clone(), None, true)
    }

    /// A command that reads what this is the end of.
    pub(super) fn spawn_reader(&self, command: &str, stdin: BorrowedFd<'_>) -> Result<i32, String> {
        let home = &self.beside.home;
        let args = vec!["-c".into(), command.into()];
        self.spawn_shell(args, &home.cwd, home.identity.clone(), Some(stdin), true)
    }

    /// A command that nobody hears of again.
    pub(super) fn run_once(&mut self, command: &str) {
        match self.spawn_command(command) {
            Ok(pid) => {
                self.helpers.insert(pid);
                self.log.note(&format!("running \"{command}\" (pid {pid})"));
            }
            Err(why) => self.note(format!("cannot run \"{command}\": {why}")),
        }
    }

    fn spawn_shell(
        &self,
        args: Vec<OsString>,
        cwd: &Path,
        identity: Option<Identity>,
        stdin: Option<BorrowedFd<'_>>,
        dies_with_us: bool,
    ) -> Result<i32, String> {
        let null = File::open("/dev/null").map_err(|error| error.to_string())?;
        let mut plan = Plan::new(SHELL);
        plan.args = args;
        plan.env.clone_from(&self.beside.home.env);
        let stdin = stdin.unwrap_or_else(|| null.as_fd());
        let log = self.log.app.write.as_fd();
        plan.fds = vec![(stdin, 0), (log, 1), (log, 2)];
        plan.group = Group::Session;
        plan.identity = identity;
        plan.chdir = Some(cwd.to_owned());
        plan.nofile = Some(self.origin.nofile_soft);
        plan.death_signal = dies_with_us.then_some(nix::libc::SIGKILL);
        spawn::spawn(&plan).map_err(|error| error.to_string())
    }
}

/// The process that a pidfile names, if it lives. A pidfile is a small plain file: nothing else is
/// waited for.
fn living(pidfile: &Path) -> Option<i32> {
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(pidfile)
        .ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_PIDFILE).read_to_string(&mut text).ok()?;
    let text = text.trim_start();
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    let pid: i32 = text[..end.unwrap_or(text.len())].parse().ok()?;
    let lives = pid > 1 && Path::new("/proc").join(pid.to_string()).exists();
    lives.then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pidfile_names_a_living_process_or_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pid");
        assert_eq!(living(&path), None);
        let me = i32::try_from(std::process::id()).unwrap();
        for (text, pid) in [
            (format!("{me}\n"), Some(me)),
            (format!(" {me} x"), Some(me)),
            ("1\n".to_owned(), None),
            ("0".to_owned(), None),
            ("-5".to_owned(), None),
            ("999999999999".to_owned(), None),
            (String::new(), None),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(living(&path), pid, "{text:?}");
        }
        assert_eq!(living(folder.path()), None);
    }
}
