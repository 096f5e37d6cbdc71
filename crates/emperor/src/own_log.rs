//! The emperor's own log file: our stdout and stderr, renamed when it is too big. Masters follow it
//! by themselves.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::SystemTime;

use imperator_core::settings::Logs;

#[derive(Debug)]
pub(crate) struct OwnLog {
    path: PathBuf,
    max_size: u64,
    backup: Option<PathBuf>,
    /// No try before the file is as big: the last one failed.
    not_before: u64,
}

impl OwnLog {
    /// `None`: nothing is to be rotated.
    pub(crate) fn of(logs: &Logs) -> Option<Self> {
        Some(Self {
            path: logs.main().path()?.to_owned(),
            max_size: logs.files.max_size?,
            backup: logs.files.backup.clone(),
            not_before: 0,
        })
    }

    /// Once in a while. A file that somebody else has moved is opened again, too.
    ///
    /// # Errors
    /// A text for the log: we write on into the file that is open.
    pub(crate) fn look(&mut self, now: SystemTime) -> Result<(), String> {
        let open = self.path.metadata();
        let Ok(stderr) = stderr() else {
            return Ok(());
        };
        let Ok(found) = stderr.metadata() else {
            return Ok(());
        };
        let is_there = open.is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino()));
        let is_big = found.len() > self.max_size && found.len() >= self.not_before;
        let result = match (is_there, is_big) {
            (true, false) => return Ok(()),
            (true, true) => self.rename(now).and_then(|()| self.open()),
            (false, _) => self.open(),
        };
        result.map_err(|error| {
            self.not_before = found.len() + self.max_size;
            format!("cannot rotate our log {}: {error}", self.path.display())
        })
    }

    fn rename(&self, now: SystemTime) -> io::Result<()> {
        let backup = self.backup.clone().unwrap_or_else(|| {
            let since = now.duration_since(SystemTime::UNIX_EPOCH);
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{}", since.map_or(0, |since| since.as_secs())));
            PathBuf::from(name)
        });
        std::fs::rename(&self.path, backup)
    }

    fn open(&self) -> io::Result<()> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)?;
        nix::unistd::dup2_stdout(&file)?;
        nix::unistd::dup2_stderr(&file)?;
        Ok(())
    }
}

fn stderr() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}
