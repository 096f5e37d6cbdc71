//! Performs what hooks say, in the process that calls it: a child of the master that does nothing
//! else (`imperator perform`), or a worker before it accepts. Never the master: any of this may
//! hang. What must be known of a step afterwards is told in [`Performed`].

#![forbid(unsafe_code)]

mod files;
mod wait;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use imperator_core::action::Action;
use imperator_core::settings::hooks::{Hooks, Job, Performed, Phase, Step};

/// Runs steps one after the other and keeps what they change.
#[derive(Debug)]
pub struct Stage {
    fs_timeout: Duration,
    socket_timeout: Duration,
    shells: Vec<PathBuf>,
    performed: Performed,
}

impl Stage {
    pub fn new(hooks: &Hooks) -> Self {
        Self {
            fs_timeout: hooks.fs_timeout,
            socket_timeout: hooks.socket_timeout,
            shells: hooks.shells.clone(),
            performed: Performed::default(),
        }
    }

    /// As `imperator perform` does it: to the end, or to the first step whose failure counts.
    pub fn perform(job: Job) -> Performed {
        let mut stage = Self {
            fs_timeout: job.fs_timeout,
            socket_timeout: job.socket_timeout,
            shells: job.shells,
            performed: Performed::default(),
        };
        for step in &job.steps {
            if let Err(failure) = stage.step(step) {
                stage.performed.failure = Some(failure);
                break;
            }
        }
        stage.performed.cwd = std::env::current_dir().ok();
        stage.performed
    }

    /// # Errors
    /// What failed, with its line, when that ends the phase.
    pub fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Act {
                phase,
                action,
                place,
            } => {
                let Err(why) = self.act(*phase, action) else {
                    return Ok(());
                };
                let place = place.as_ref().map(|it| format!("{it}: "));
                let text = format!(
                    "{}\"{}\" ({}) failed: {why}",
                    place.unwrap_or_default(),
                    shown(action),
                    phase.name()
                );
                if phase.is_fatal() {
                    return Err(text);
                }
                say(&text);
                self.performed.failed.push(text);
                Ok(())
            }
            Step::Become { uid, gid, groups } => files::become_user(*uid, *gid, groups)
                .map_err(|error| format!("cannot become uid {uid}, gid {gid}: {error}")),
            Step::Enter(path) => std::env::set_current_dir(path)
                .map_err(|error| format!("cannot change into {}: {error}", path.display())),
            Step::Pid { path, pid } => std::fs::write(path, format!("{pid}\n"))
                .map_err(|error| format!("cannot write pidfile {}: {error}", path.display())),
        }
    }

    fn act(&mut self, phase: Phase, text: &str) -> Result<(), String> {
        let action = Action::parse(text)?;
        match text.strip_prefix('!') {
            Some(_) => say(&format!(
                "running --- PRIVATE HOOK --- ({})...",
                phase.name()
            )),
            None => say(&format!(
                "running \"{}\" ({})...",
                shown(text),
                phase.name()
            )),
        }
        let io = |result: std::io::Result<()>| result.map_err(|error| error.to_string());
        match action {
            Action::Chdir(path) => io(std::env::set_current_dir(path)),
            Action::Mkdir(path) => io(std::fs::create_dir(path)),
            Action::Rmdir(path) => io(std::fs::remove_dir(path)),
            Action::Unlink(path) => io(std::fs::remove_file(path)),
            Action::Putenv(name, value) => {
                self.performed.env.retain(|(other, _)| *other != name);
                self.performed.env.push((name, value));
                Ok(())
            }
            Action::Chmod(path, mode) => io(files::chmod(&path, mode)),
            Action::Sticky(path) => io(files::sticky(&path)),
            Action::Chown(path, user, group) => files::chown_by_name(&path, &user, &group),
            Action::Chown2(path, uid, gid) => {
                io(std::os::unix::fs::chown(path, Some(uid), Some(gid)))
            }
            Action::Exec { command, safe } => match self.exec(&command) {
                Err(why) if safe => {
                    say(&format!("command \"{command}\": {why}"));
                    Ok(())
                }
                result => result,
            },
            Action::Create(path) => io(files::write(&path, "", false)),
            Action::Write { path, text, append } => io(files::write(&path, &text, append)),
            Action::WriteFifo { path, text, wait } => {
                let limit = if wait {
                    self.fs_timeout
                } else {
                    Duration::ZERO
                };
                wait::write_fifo(&path, &text, limit)
            }
            Action::Mount {
                fs,
                what,
                place,
                flags,
            } => files::mount(&fs, &what, &place, &flags),
            Action::Umount { place, flags } => files::umount(&place, &flags),
            Action::Hostname(name) => io(nix::unistd::sethostname(name).map_err(Into::into)),
            Action::WaitForFs(path, wanted) => wait::for_fs(&path, wanted, self.fs_timeout),
            Action::WaitForSocket(address) => wait::for_socket(&address, self.socket_timeout),
            Action::Print(text) => {
                say(&text);
                Ok(())
            }
            Action::Exit(code) => Err(format!("it asks to exit with {code}")),
            Action::Sleep(seconds) => {
                wait::pause(Duration::from_secs(seconds.into()));
                Ok(())
            }
            // The config says it to the master already.
            Action::Signal(..) => Ok(()),
            Action::Order(command) => {
                self.performed.commands.push(command);
                Ok(())
            }
        }
    }

    fn exec(&self, command: &str) -> Result<(), String> {
        let there = |path: &&PathBuf| path.is_file();
        let shell = self.shells.iter().find(there).map(PathBuf::as_path);
        let mut program = Program::new(shell.unwrap_or(Path::new("/bin/sh")));
        program.args(["-c", command]).stdin(Stdio::null());
        for (name, value) in &self.performed.env {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        match program.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(match status.code() {
                Some(code) => format!("it ended with exit code {code}"),
                None => format!("it ended with {status}"),
            }),
            Err(error) => Err(format!("cannot start a shell: {error}")),
        }
    }
}

/// Without what a "!" keeps out of the log.
fn shown(action: &str) -> &str {
    match action.strip_prefix('!') {
        Some(private) => private.split(':').next().unwrap_or_default(),
        None => action,
    }
}

/// A line in the app's log. One that is gone is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::command::Command;

    fn run(actions: &[String]) -> Performed {
        let steps = actions.iter().map(|action| Step::Act {
            phase: Phase::Asap,
            action: action.clone(),
            place: None,
        });
        Stage::perform(Job {
            steps: steps.collect(),
            fs_timeout: Duration::from_millis(50),
            socket_timeout: Duration::from_millis(50),
            shells: Vec::new(),
        })
    }

    #[test]
    fn actions_change_the_file_system_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display();
        let performed = run(&[
            format!("mkdir:{dir}/new"),
            format!("write:{dir}/new/file one two"),
            format!("append:{dir}/new/file  three"),
            format!("appendn:{dir}/new/file"),
            format!("chmod:{dir}/new/file 604"),
            "putenv:COLOR=red".to_owned(),
            format!("exec:echo $COLOR > {dir}/new/color"),
            format!("creat:{dir}/new/empty"),
            format!("unlink:{dir}/new/empty"),
            "callint:uwsgi_log_rotate".to_owned(),
        ]);
        assert_eq!(performed.failure, None);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("new/file"), "one two three\n");
        assert_eq!(read("new/color"), "red\n");
        assert!(!folder.path().join("new/empty").exists());
        let mode = std::os::unix::fs::MetadataExt::mode(
            &std::fs::metadata(folder.path().join("new/file")).unwrap(),
        );
        assert_eq!(mode & 0o777, 0o604);
        assert_eq!(performed.commands, [Command::RotateLogs]);
        assert_eq!(performed.env, [("COLOR".into(), Some("red".into()))]);
    }

    #[test]
    fn the_first_failure_ends_a_start_and_safeexec_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display();
        let performed = run(&[
            "safeexec:exit 4".to_owned(),
            "exec:exit 3".to_owned(),
            format!("creat:{dir}/never"),
        ]);
        let failure = performed.failure.unwrap();
        assert!(failure.contains("\"exec:exit 3\" (asap) failed: it ended with exit code 3"));
        assert!(!folder.path().join("never").exists());
        for (action, why) in [
            (format!("wait_for_file:{dir}"), "not there after"),
            ("wait_for_socket:127.0.0.1:1".to_owned(), "nobody listens"),
            (
                "chown:/tmp/x no-such-user root".to_owned(),
                "no user \"no-such-user\"",
            ),
            ("setquota:/dev/sda 1 2".to_owned(), "no action \"setquota\""),
            (
                "mount:none /a /b blind".to_owned(),
                "no mount flag \"blind\"",
            ),
        ] {
            let failure = run(&[action]).failure.unwrap();
            assert!(failure.contains(why), "{failure}");
        }
    }
}
