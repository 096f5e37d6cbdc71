//! inotify as an alarm clock: it says *that* something changed and which files are complete. What
//! changed is decided by a scan. This module alone knows the crate `notify`, which runs a thread:
//! its callback only notes paths and rings an eventfd.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::warn;

/// More complete paths than this are not kept: then the quiet time decides.
const MAX_HINTS: usize = 10_000;
/// More directories are not watched by inotify; the regular scan sees them.
const MAX_WATCHES: usize = 4096;

/// What inotify told since the last look.
#[derive(Debug, Default)]
pub struct Hints {
    /// Closed after writing, or renamed into place.
    pub complete: BTreeSet<PathBuf>,
}

pub struct Wake {
    watcher: Option<RecommendedWatcher>,
    hints: Arc<Mutex<Hints>>,
    bell: Arc<OwnedFd>,
    /// Watched directories and their inodes: one that is made again needs a new watch.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    limit_told: bool,
}

impl Wake {
    /// Without inotify (no instance left) the regular scan remains.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new() -> io::Result<Self> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let bell = Arc::new(rustix::event::eventfd(0, flags)?);
        let hints = Arc::new(Mutex::new(Hints::default()));
        let note = {
            let (bell, hints) = (Arc::clone(&bell), Arc::clone(&hints));
            move |event: notify::Result<notify::Event>| {
                if let Ok(event) = &event
                    && !concerns(event.kind)
                {
                    return;
                }
                if let Ok(event) = event
                    && completes(event.kind)
                {
                    let mut hints = hints.lock().unwrap_or_else(PoisonError::into_inner);
                    for path in event.paths {
                        if hints.complete.len() < MAX_HINTS {
                            hints.complete.insert(path);
                        }
                    }
                }
                // EAGAIN means that the bell rings already.
                let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
            }
        };
        let mut wake = Self {
            watcher: None,
            hints,
            bell,
            watched: BTreeMap::new(),
            limit_told: false,
        };
        match notify::recommended_watcher(note) {
            Ok(watcher) => wake.watcher = Some(watcher),
            Err(error) => wake.tell_limit(&error),
        }
        Ok(wake)
    }

    /// What was told since the last call; silences the bell.
    pub fn take(&self) -> Hints {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        std::mem::take(&mut *self.hints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Watches exactly these directories, those that exist.
    pub fn watch(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let stale: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, inode)| !directories.contains(*path) || inode_of(path) != Some(**inode))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            self.watched.remove(&path);
            // An error only says that the kernel dropped the watch with the directory.
            let _ = watcher.unwatch(&path);
        }
        let mut failed = None;
        for path in directories.iter().take(MAX_WATCHES) {
            if self.watched.contains_key(path) {
                continue;
            }
            let Some(inode) = inode_of(path) else {
                continue;
            };
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path.clone(), inode);
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.tell_limit(&error);
        }
    }

    fn tell_limit(&mut self, error: &notify::Error) {
        if std::mem::replace(&mut self.limit_told, true) {
            return;
        }
        let errno = match &error.kind {
            ErrorKind::MaxFilesWatch => Some(rustix::io::Errno::NOSPC),
            ErrorKind::Io(io) => rustix::io::Errno::from_io_error(io),
            ErrorKind::Generic(_)
            | ErrorKind::PathNotFound
            | ErrorKind::WatchNotFound
            | ErrorKind::InvalidConfig(_) => None,
        };
        let limits = [rustix::io::Errno::NOSPC, rustix::io::Errno::MFILE];
        let limit = errno.is_some_and(|errno| limits.contains(&errno));
        let hint = if limit {
            "; raise the sysctls fs.inotify.max_user_watches and fs.inotify.max_user_instances"
        } else {
            ""
        };
        warn!("no inotify ({error}): directories are scanned every 3 s instead{hint}");
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn inode_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}

/// Our own reading of the directory makes events too; they must not wake us.
fn concerns(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        // A queue overflow arrives as `Other` with the rescan flag: the scan is the rescan.
        | EventKind::Other => true,
    }
}

fn completes(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
            // A symlink is whole from the start; so is a hard link.
            | EventKind::Create(CreateKind::Other)
    )
}
