//! The options that an emperor's own file sets for the emperor itself: where it logs, whose it is,
//! where it works. Applied once, before anything else of it exists.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, bail};
use imperator_core::settings::{LogTarget, Settings};
use imperator_process::privileges;
use imperator_process::spawn::{self, Group, Plan};
use nix::unistd;

/// Set in a daemon, so that it does not become one again.
const DAEMON: &str = "IMPERATOR_DAEMON";

/// What is left to do after the settings are applied.
pub(crate) enum Next {
    Run,
    /// A daemon runs instead of this process.
    Leave,
}

pub(crate) fn apply(settings: &Settings, runtime: &Path) -> anyhow::Result<Next> {
    if let Some(directory) = &settings.chdir {
        std::env::set_current_dir(directory)
            .with_context(|| format!("cannot change into {}", directory.display()))?;
    }
    if let Some(target) = &settings.logs.daemonize
        && std::env::var_os(DAEMON).is_none()
    {
        daemonize(&open_log(target, settings)?)?;
        return Ok(Next::Leave);
    }
    if let Some(target) = &settings.logs.logto {
        let log = open_log(target, settings)?;
        unistd::dup2_stdout(&log).context("cannot redirect the output")?;
        unistd::dup2_stderr(&log).context("cannot redirect the log")?;
    }
    become_user(settings, runtime)?;
    Ok(Next::Run)
}

/// The binary is another one, the process the same: only what a process forgets in between.
pub(crate) fn apply_again(settings: &Settings) -> anyhow::Result<()> {
    if let Some(directory) = &settings.chdir {
        std::env::set_current_dir(directory)
            .with_context(|| format!("cannot change into {}", directory.display()))?;
    }
    Ok(())
}

fn open_log(target: &LogTarget, settings: &Settings) -> anyhow::Result<File> {
    let Some(path) = target.path() else {
        bail!("an emperor logs to stderr or to a file");
    };
    let files = &settings.logs.files;
    let file = File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot log to {}", path.display()))?;
    // A terminal or a pipe has no length, and its owner is not ours to choose.
    if file.metadata().is_ok_and(|found| found.is_file()) {
        let what = || format!("cannot prepare the log {}", path.display());
        if files.truncate {
            file.set_len(0).with_context(what)?;
        }
        let (uid, gid) = (settings.uid.as_deref(), settings.gid.as_deref());
        if let Some(who) = privileges::identity(uid, gid)?.filter(|_| files.chown) {
            std::os::unix::fs::fchown(&file, Some(who.uid), Some(who.gid)).with_context(what)?;
        }
        if let Some(mode) = files.chmod {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            file.set_permissions(mode).with_context(what)?;
        }
    }
    Ok(file)
}

/// Starts this very command again in a session of its own.
fn daemonize(log: &File) -> anyhow::Result<()> {
    let null = File::open("/dev/null").context("cannot open /dev/null")?;
    let mut plan = Plan::new("/proc/self/exe");
    let mut args = std::env::args_os();
    plan.argv0 = args.next();
    plan.args = args.collect();
    plan.env = std::env::vars_os().collect();
    plan.env.push((DAEMON.into(), OsString::from("1")));
    plan.fds = vec![(null.as_fd(), 0), (log.as_fd(), 1), (log.as_fd(), 2)];
    plan.group = Group::Session;
    spawn::spawn(&plan)?;
    Ok(())
}

/// As the original: an emperor with `uid` has no right that its apps could inherit.
fn become_user(settings: &Settings, runtime: &Path) -> anyhow::Result<()> {
    let (uid, gid) = (settings.uid.as_deref(), settings.gid.as_deref());
    let Some(who) = privileges::identity(uid, gid)? else {
        return Ok(());
    };
    // Made while we may, for whom we become.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(runtime)
        .and_then(|()| std::os::unix::fs::chown(runtime, Some(who.uid), Some(who.gid)))
        .with_context(|| format!("cannot make the runtime directory {}", runtime.display()))?;
    privileges::become_user(who.uid, who.gid, &who.groups)?;
    Ok(())
}
