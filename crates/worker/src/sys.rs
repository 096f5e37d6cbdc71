//! The only file of this crate with unsafe code: the calls for which the safe crates have no name.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

use signal_hook::{SigId, low_level};

/// Ends the process at once: no destructor, no atexit handler, no interpreter teardown.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Makes the number of `socket` mean what `instead` means (dup3(2)): the socket is closed, and the
/// number cannot be given to another file while a thread still uses it.
pub(crate) fn replace(socket: impl AsFd, instead: impl AsFd) -> io::Result<()> {
    let (old, new) = (instead.as_fd().as_raw_fd(), socket.as_fd().as_raw_fd());
    // SAFETY: both numbers are open and borrowed here; the owner of `socket` keeps a valid number,
    // and closes it once, as before.
    match unsafe { libc::dup3(old, new, libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Asks one thread of this process for the Python stacks of all (tgkill(2)); one that is gone, or
/// a number that is nobody's, hears nothing.
pub(crate) fn ask_for_stack(tid: u64) {
    let signal = imperator_process::signals::stack_dump();
    if let (Ok(pid), Ok(tid)) = (i32::try_from(std::process::id()), i32::try_from(tid)) {
        let _ = imperator_process::signals::send_thread(pid, tid, signal);
    }
}

/// A connection that an app thread owns. The caller keeps that thread from closing it.
pub(crate) fn lent(fd: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: the number is one that the exchange's connection has, and whoever closes that takes
    // the lock first that the caller holds (`Deadlines::running`).
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Has `signal` ring at `ring`, in this process. In a child that the app forked and that has not yet
/// forgotten us ([`crate::signals::forget`]) it does what it does by default: the socket is its
/// parent's.
pub(crate) fn ring_at(signal: i32, ring: UnixStream) -> io::Result<SigId> {
    let own = std::process::id();
    let handler = move || {
        if std::process::id() != own {
            let _ = low_level::emulate_default_handler(signal);
            return;
        }
        // SAFETY: the descriptor is open while the handler is registered, which owns it, and the
        // byte outlives the call. send(2) is safe in a handler; errno is kept by whoever calls us.
        unsafe {
            libc::send(
                ring.as_raw_fd(),
                [b'!'].as_ptr().cast(),
                1,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
    };
    // SAFETY: getpid(2), send(2) and the emulation are safe in a handler; nothing locks or allocates.
    unsafe { low_level::register(signal, handler) }
}

/// Gives `signal` its default disposition, so that no older handler is called beside ours.
pub(crate) fn default_disposition(signal: i32) {
    // SAFETY: SIG_DFL is always valid; an unknown number is an error without effect.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// The function that is called at `signal`, as a number; SIG_DFL and SIG_IGN are numbers as well.
pub(crate) fn disposition(signal: i32) -> usize {
    // SAFETY: all zeroes is a valid sigaction.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is changed (NULL), and `now` outlives the call; an unknown number is an error.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    now.sa_sigaction
}

/// Ignores `signal`.
pub(crate) fn ignore(signal: i32) {
    // SAFETY: SIG_IGN is always valid; an unknown number is an error without effect.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Connections of this TCP listener are accepted when their first bytes are there (tcp(7)), at the
/// latest after `seconds`.
pub(crate) fn defer_accept(listener: impl AsFd, seconds: i32) -> io::Result<()> {
    tcp_option(listener.as_fd(), libc::TCP_DEFER_ACCEPT, seconds)
}

/// At most so many connections of this listener begin with data in their first packet (RFC 7413).
pub(crate) fn fast_open(listener: impl AsFd, length: i32) -> io::Result<()> {
    tcp_option(listener.as_fd(), libc::TCP_FASTOPEN, length)
}

fn tcp_option(listener: BorrowedFd<'_>, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option's value is an int, which outlives the call.
    let set = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Broken-down local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i32,
    /// 0 to 11.
    pub(crate) month: usize,
    pub(crate) day: i32,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
    /// 0 is Sunday.
    pub(crate) weekday: usize,
    /// Seconds east of Greenwich.
    pub(crate) offset: i64,
}

pub(crate) fn local_time(epoch: i64) -> LocalTime {
    // SAFETY: all zeroes is a valid `tm`: numbers, and a null pointer that nobody follows.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals; localtime_r(3) writes only through the second.
    unsafe { libc::localtime_r(&raw const epoch, &raw mut parts) };
    LocalTime {
        year: parts.tm_year + 1900,
        month: usize::try_from(parts.tm_mon).unwrap_or(0).min(11),
        day: parts.tm_mday,
        hour: parts.tm_hour,
        minute: parts.tm_min,
        second: parts.tm_sec,
        weekday: usize::try_from(parts.tm_wday).unwrap_or(0).min(6),
        offset: parts.tm_gmtoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(listener: impl AsFd, option: i32) -> i32 {
        let mut value = 0i32;
        let mut length = size_of::<i32>() as libc::socklen_t;
        // SAFETY: both point at what the kernel writes, and outlive the call.
        let read = unsafe {
            libc::getsockopt(
                listener.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                option,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        assert_eq!(read, 0, "{}", io::Error::last_os_error());
        value
    }

    #[test]
    fn tcp_options_reach_the_kernel() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        defer_accept(&listener, 4).unwrap();
        assert!(read_back(&listener, libc::TCP_DEFER_ACCEPT) >= 4);
        defer_accept(&listener, 0).unwrap();
        assert_eq!(read_back(&listener, libc::TCP_DEFER_ACCEPT), 0);
        fast_open(&listener, 17).unwrap();
        assert_eq!(read_back(&listener, libc::TCP_FASTOPEN), 17);
    }
}
