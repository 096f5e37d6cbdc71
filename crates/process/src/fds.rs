//! Descriptors: close-on-exec from birth, owned by `OwnedFd`, lent as `BorrowedFd`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Takes ownership of a descriptor that this process was started with, and sets close-on-exec.
///
/// # Errors
/// EBADF when nothing is open there.
///
/// # Safety
/// Nothing else in this process owns `fd`: call it once per number, at the start of `main`.
pub unsafe fn inherit(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on a number is harmless; EBADF is reported below.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; the descriptor is open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open (checked above), and owned by nobody else by this function's contract.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets or clears O_NONBLOCK on the open file description, which all processes that hold it share.
///
/// # Errors
/// What fcntl(2) says.
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<()> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    let flags = rustix::fs::fcntl_getfl(fd)?;
    let flags = if on {
        flags | rustix::fs::OFlags::NONBLOCK
    } else {
        flags - rustix::fs::OFlags::NONBLOCK
    };
    Ok(rustix::fs::fcntl_setfl(fd, flags)?)
}

/// A second, non-blocking open file description of a pipe's write end, so that its other writers
/// keep theirs blocking (pipe(7), proc(5) on `/proc/self/fd`).
///
/// # Errors
/// What open(2) says.
pub fn reopen_nonblocking(pipe: impl AsFd) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Accepts one connection, non-blocking and close-on-exec.
///
/// # Errors
/// What accept4(2) says.
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::accept_with(listener, flags)?)
}

/// Takes a descriptor from 3 to 9 that this process was started with, once per number. Call it at
/// the start of the program, before anything else is opened.
///
/// # Errors
/// EBADF when nothing is open there, or it was taken before.
pub fn take_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let bad = || io::Error::from_raw_os_error(libc::EBADF);
    if !(3..=9).contains(&fd) || TAKEN.fetch_or(1 << fd, Ordering::SeqCst) & (1 << fd) != 0 {
        return Err(bad());
    }
    // SAFETY: the first and only taking of this number; what the program opens later is open then.
    unsafe { inherit(fd) }
}
