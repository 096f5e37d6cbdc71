//! `master-fifo`: a named pipe whose letters steer the master. One of up to ten listens.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use imperator_core::command::{self, Command};
use imperator_process::privileges::Identity;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// Letters read in one turn: a flood must not keep the master from its other work.
const LETTERS: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Fifo {
    paths: Vec<PathBuf>,
    slot: usize,
    open: Option<Open>,
    owner: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    fd: OwnedFd,
    inode: u64,
}

impl Fifo {
    /// # Errors
    /// A text that names the file.
    pub(crate) fn configure(
        &mut self,
        paths: &[PathBuf],
        cwd: &Path,
        identity: Option<&Identity>,
    ) -> Result<(), String> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| cwd.join(path)).collect();
        let owner = identity.map(|it| (it.uid, it.gid));
        let unchanged = self.paths == paths && self.owner == owner && self.open.is_some();
        self.owner = owner;
        if unchanged && self.is_ours() {
            return Ok(());
        }
        if self.paths != paths {
            self.remove();
            self.slot = 0;
        }
        self.paths = paths;
        self.listen()
    }

    /// Makes the pipe of the slot and opens it.
    fn listen(&mut self) -> Result<(), String> {
        self.open = None;
        // A slot that has no file is the first one, as in the original.
        let Some(path) = self.paths.get(self.slot).or(self.paths.first()) else {
            return Ok(());
        };
        let cannot = |what: &str, error: std::io::Error| {
            format!("cannot {what} the master-fifo {}: {error}", path.display())
        };
        match path.symlink_metadata() {
            // Only what a master made before us: a file of that name is somebody's.
            Ok(it) if it.file_type().is_fifo() => {
                std::fs::remove_file(path).map_err(|error| cannot("replace", error))?;
            }
            Ok(_) => {
                let error = std::io::Error::other("it is there, and no named pipe");
                return Err(cannot("make", error));
            }
            Err(_) => (),
        }
        nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| cannot("make", error.into()))?;
        // With a write end of our own it never ends when a writer leaves.
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = nix::fcntl::open(path, flags, Mode::empty())
            .map_err(|error| cannot("open", error.into()))?;
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (uid.into(), gid.into());
            nix::unistd::fchown(&fd, Some(uid), Some(gid))
                .map_err(|error| cannot("give away", error.into()))?;
        }
        let inode = std::fs::File::from(fd.try_clone().map_err(|error| cannot("open", error))?)
            .metadata()
            .map_err(|error| cannot("look at", error))?
            .ino();
        self.open = Some(Open {
            path: path.clone(),
            fd,
            inode,
        });
        Ok(())
    }

    /// What was written since the last call. A digit makes another FIFO listen.
    pub(crate) fn read(&mut self) -> (Vec<Command>, Vec<String>) {
        let (mut commands, mut problems) = (Vec::new(), Vec::new());
        let mut buffer = [0; LETTERS];
        let count = match &self.open {
            Some(open) => nix::unistd::read(&open.fd, &mut buffer).unwrap_or(0),
            None => 0,
        };
        for command in buffer[..count]
            .iter()
            .copied()
            .filter_map(command::of_letter)
        {
            let Command::Slot(slot) = command else {
                commands.push(command);
                continue;
            };
            self.slot = usize::from(slot);
            match self.listen() {
                Ok(()) => problems.extend(self.announce()),
                Err(problem) => problems.push(problem),
            }
        }
        (commands, problems)
    }

    fn announce(&self) -> Option<String> {
        let open = self.open.as_ref()?;
        Some(format!("active master fifo is now {}", open.path.display()))
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.fd.as_fd())
    }

    fn is_ours(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let there = open.path.symlink_metadata();
            there.is_ok_and(|it| it.ino() == open.inode)
        })
    }

    /// Closes and removes the one that listens, unless somebody put another one there.
    pub(crate) fn remove(&mut self) {
        if self.is_ours()
            && let Some(open) = &self.open
        {
            // Gone is what we want.
            let _ = std::fs::remove_file(&open.path);
        }
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(path: &Path, text: &str) {
        let mut fifo = std::fs::File::options().write(true).open(path).unwrap();
        fifo.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn letters_are_commands_and_a_digit_moves_to_another_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let names: [PathBuf; 2] = ["one".into(), "two".into()];
        let mut fifo = Fifo::default();
        fifo.configure(&names, folder.path(), None).unwrap();
        let mode = folder.path().join("one").metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        write(&folder.path().join("one"), "r?\nq");
        assert_eq!(fifo.read().0, [Command::Reload, Command::Stop]);
        assert_eq!(fifo.read().0, []);
        write(&folder.path().join("one"), "1");
        assert!(fifo.read().1[0].contains("two"));
        write(&folder.path().join("two"), "s");
        assert_eq!(fifo.read().0, [Command::Status]);
        fifo.remove();
        assert!(!folder.path().join("two").exists());
    }

    #[test]
    fn a_file_that_is_no_pipe_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one"), "mine").unwrap();
        let error = Fifo::default().configure(&["one".into()], folder.path(), None);
        assert!(error.unwrap_err().contains("no named pipe"));
        assert_eq!(std::fs::read(folder.path().join("one")).unwrap(), b"mine");
    }
}
