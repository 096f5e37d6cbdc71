//! Files that lead to something when they are touched, and paths that inotify watches.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use imperator_core::settings::outside::Touch;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::daemons::DaemonId;
use crate::touched::{Lookout, Seen};

/// What a touched file leads to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    Config(Touch),
    /// The daemon ends, and so is started again.
    Daemon(DaemonId),
}

#[derive(Debug, Default)]
pub(crate) struct Touches {
    /// With what was seen last; `None`: nothing so far.
    files: Vec<(PathBuf, Option<Seen>, Wish)>,
    lookout: Lookout,
}

impl Touches {
    pub(crate) fn watch(&mut self, wishes: impl Iterator<Item = (PathBuf, Wish)>) {
        let old = std::mem::take(&mut self.files);
        for (file, wish) in wishes {
            // What was watched before keeps what was seen: a touch in between still counts.
            let known = old.iter().find(|(other, _, _)| *other == file);
            let seen = known.map_or_else(|| self.lookout.look(&file), |&(_, seen, _)| seen);
            self.files.push((file, seen, wish));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn take_hanging(&mut self) -> Vec<PathBuf> {
        self.lookout.take_hanging()
    }

    /// All that changed since the last call.
    pub(crate) fn check(&mut self) -> Vec<(PathBuf, Wish)> {
        let mut changed = Vec::new();
        for (file, seen, wish) in &mut self.files {
            let Some(now) = self.lookout.look(file) else {
                continue;
            };
            let before = seen.replace(now);
            if before.is_some_and(|before| before != now) {
                changed.push((file.clone(), wish.clone()));
            }
        }
        changed
    }
}

/// `fs-reload`: each change of a file, or in a directory.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    paths: Vec<PathBuf>,
    inotify: Option<Inotify>,
}

impl Watched {
    /// Returns what cannot be watched.
    pub(crate) fn configure(&mut self, paths: &[PathBuf], cwd: &Path) -> Vec<String> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| cwd.join(path)).collect();
        if self.paths == paths {
            return Vec::new();
        }
        self.paths = paths;
        self.inotify = None;
        if self.paths.is_empty() {
            return Vec::new();
        }
        match Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK) {
            Ok(inotify) => {
                self.inotify = Some(inotify);
                self.add_all()
            }
            Err(error) => vec![format!("cannot watch files for fs-reload: {error}")],
        }
    }

    fn add_all(&self) -> Vec<String> {
        let Some(inotify) = &self.inotify else {
            return Vec::new();
        };
        let flags = AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO;
        let mut problems = Vec::new();
        for path in &self.paths {
            if let Err(error) = inotify.add_watch(path, flags) {
                problems.push(format!("cannot watch {}: {error}", path.display()));
            }
        }
        problems
    }

    /// Whether something changed since the last call.
    pub(crate) fn check(&mut self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut changed = false;
        // Each call takes as much as its buffer holds; a flood goes on in the next turn.
        for _ in 0..16 {
            match inotify.read_events() {
                Ok(events) => changed |= !events.is_empty(),
                Err(_) => break,
            }
        }
        if changed {
            // A file that was replaced is another inode now; what is gone comes with its directory.
            self.add_all();
        }
        changed
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_in_a_directory_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut watched = Watched::default();
        let none = watched.configure(&[".".into()], folder.path());
        assert_eq!(none, Vec::<String>::new());
        assert!(!watched.check());
        std::fs::write(folder.path().join("new"), "x").unwrap();
        assert!(watched.check());
        assert!(!watched.check());
        let problem = watched.configure(&["nowhere".into()], folder.path());
        assert!(problem[0].contains("nowhere"), "{problem:?}");
    }

    #[test]
    fn all_touched_files_are_told_with_their_wishes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let wish = Wish::Config(Touch::ReloadWorkers);
        let mut touches = Touches::default();
        let files = ["a", "b"].map(|name| (path(name), wish.clone()));
        touches.watch(files.into_iter());
        assert_eq!(touches.check(), []);
        std::fs::write(path("a"), "").unwrap();
        std::fs::write(path("b"), "").unwrap();
        assert_eq!(touches.check().len(), 2);
        assert_eq!(touches.check(), []);
    }
}
