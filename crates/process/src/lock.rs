//! A lock file by flock(2): held as long as the value lives, and gone with its process. Whether it is
//! held can be seen without taking it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::FlockOperation;

#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl From<OwnedFd> for Lock {
    /// A lock that was taken before this program took its predecessor's place.
    fn from(file: OwnedFd) -> Self {
        Self::marked(file.into())
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Lock {
    /// `None`: another process holds it.
    ///
    /// # Errors
    /// What open(2) or flock(2) says.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self::marked(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// With a record lock beside it, which fcntl(2) tells of to others.
    fn marked(file: File) -> Self {
        // Who asks is told that nobody holds it where there are no such locks.
        let _ = fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file()));
        Self { file }
    }
}

/// Whether another process holds this lock. Asking takes nothing, not for a moment.
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut found = whole_file();
    let asked = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found));
    asked.is_ok() && i32::from(found.l_type) != libc::F_UNLCK
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_and_the_lock_ends_with_its_holder() {
        let path = std::env::temp_dir().join(format!("imperator-lock-{}", std::process::id()));
        let first = Lock::try_take(&path).unwrap();
        assert!(first.is_some() && is_held(&path));
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(first);
        assert!(!is_held(&path));
        assert!(Lock::try_take(&path).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
    }
}
