//! Shared memory that one process writes and others read: a memfd, sealed against shrinking and
//! growing, seen as 64-bit atomics.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// A mapping of a sealed memfd. Lives as long as the process needs the numbers.
pub struct SharedWords {
    start: *mut AtomicU64,
    words: usize,
}

// SAFETY: the mapping is plain memory that is only ever seen as atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

/// Makes fresh zeroed memory of `words` 64-bit words.
///
/// # Errors
/// What memfd_create(2), ftruncate(2) or fcntl(2) with F_ADD_SEALS says.
pub fn create(name: &str, words: usize) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&fd, (words * 8) as u64)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

/// A file without a name that holds `text`, to be read from its start.
///
/// # Errors
/// What memfd_create(2) or write(2) says.
pub fn text(name: &str, text: &[u8]) -> io::Result<OwnedFd> {
    use io::{Seek, Write};
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}

impl SharedWords {
    /// Maps memory that [`create`] made, here or in another process.
    ///
    /// # Errors
    /// EINVAL when it is not sealed against shrinking (it could vanish under us), else what
    /// fstat(2) or mmap(2) says.
    pub fn map(fd: impl AsFd) -> io::Result<Self> {
        let fd = fd.as_fd();
        let seals = rustix::fs::fcntl_get_seals(fd)?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = usize::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0);
        // SAFETY: a fresh mapping at an address of the kernel's choice; the seals keep its size.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        Ok(Self {
            start: start.cast(),
            words: bytes / 8,
        })
    }

    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `words` aligned words, is never unmapped before drop, and
        // every access in every process is atomic.
        unsafe { std::slice::from_raw_parts(self.start, self.words) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and no reference into it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.words * 8) };
    }
}
