//! Directories whose files' changes wake a poll loop. What changed is found by looking.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

/// One inotify descriptor.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

impl Inotify {
    /// # Errors
    /// What inotify_init1(2) says: too many of this user's.
    pub fn new() -> io::Result<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        Ok(Self(inotify::init(flags)?))
    }

    /// Watches the files of a directory: written and closed, or renamed into their place.
    ///
    /// # Errors
    /// What inotify_add_watch(2) says: no such directory, no permission, too many watches.
    pub fn watch(&self, directory: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.0, directory, flags)?;
        Ok(())
    }

    /// Takes what was told so far, so that the next wait sleeps.
    pub fn hush(&self) {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut room);
        // Ends with EAGAIN.
        while reader.next().is_ok() {}
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
