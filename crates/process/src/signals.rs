//! Signals as bytes on a pipe for the poll loop. A handler sets a flag and writes one byte, nothing
//! else. Signals are levels here, never counted: two that arrive together are one.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals that this process hears from now on.
pub struct SignalSet {
    wake: UnixStream,
    heard: Vec<(i32, Arc<AtomicBool>)>,
}

impl SignalSet {
    /// Registers a handler for each signal; call it once, before any child is made.
    ///
    /// # Errors
    /// What sigaction(2) or socketpair(2) says.
    pub fn listen(signals: &[i32]) -> io::Result<Self> {
        let (wake, ring) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        let mut heard = Vec::with_capacity(signals.len());
        for &signal in signals {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag first: actions run in the order of their registration.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal, ring.try_clone()?)?;
            heard.push((signal, flag));
        }
        Ok(Self { wake, heard })
    }

    /// Whether something arrived since.
    pub fn is_pending(&self) -> bool {
        self.heard
            .iter()
            .any(|(_, flag)| flag.load(Ordering::SeqCst))
    }

    /// What arrived since the last call, in the order in which [`SignalSet::listen`] got them.
    pub fn take(&self) -> Vec<i32> {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(64)) {}
        self.heard
            .iter()
            .filter(|(_, flag)| flag.swap(false, Ordering::SeqCst))
            .map(|&(signal, _)| signal)
            .collect()
    }
}

impl AsFd for SignalSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// SIGKILL.
pub const KILL: i32 = libc::SIGKILL;

/// Sends `signal` to one process.
///
/// # Errors
/// What kill(2) says; `InvalidInput` for a pid that would mean more than one process.
pub fn send(pid: i32, signal: i32) -> io::Result<()> {
    if pid < 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill(2) touches no memory of ours.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends `signal` to one thread of a process.
///
/// # Errors
/// What tgkill(2) says: ESRCH when the process has no such thread.
pub fn send_thread(pid: i32, tid: i32, signal: i32) -> io::Result<()> {
    if pid < 1 || tid < 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: tgkill(2) touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends `signal` to the process group that `pid` leads; to the process alone when it has not
/// made its group yet.
///
/// # Errors
/// As [`send`].
pub fn send_group(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill(2) touches no memory of ours.
    match unsafe { libc::kill(-pid, signal) } {
        0 => Ok(()),
        _ => send(pid, signal),
    }
}

/// The name of a signal as people write it, `SIGSEGV`; `signal 40` for one without a name.
pub fn name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

/// The signal that asks a worker for its Python stacks (SIGRTMIN+5).
pub fn stack_dump() -> i32 {
    libc::SIGRTMIN() + 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heard_once_and_in_its_place() {
        let signals = SignalSet::listen(&[libc::SIGUSR1, libc::SIGUSR2]).unwrap();
        assert!(signals.take().is_empty());
        let me = i32::try_from(std::process::id()).unwrap();
        send(me, libc::SIGUSR2).unwrap();
        send(me, libc::SIGUSR1).unwrap();
        // Process-directed signals may run on another thread of the test binary.
        let mut heard = Vec::new();
        while heard.len() < 2 {
            let mut poll = crate::poll::PollSet::new();
            poll.add(signals.as_fd(), crate::poll::Interest::Read);
            assert!(
                poll.wait(Some(std::time::Duration::from_secs(5))).unwrap() > 0,
                "no signal within 5 s"
            );
            heard.extend(signals.take());
        }
        heard.sort_unstable();
        assert_eq!(heard, [libc::SIGUSR1, libc::SIGUSR2]);
        assert!(signals.take().is_empty());
    }

    #[test]
    fn names_are_those_of_the_manual() {
        assert_eq!(name(libc::SIGSEGV), "SIGSEGV");
        assert_eq!(name(40), "signal 40");
    }

    #[test]
    fn a_group_signal_never_goes_to_everybody() {
        assert!(send_group(1, libc::SIGTERM).is_err());
        assert!(send_group(0, libc::SIGTERM).is_err());
        assert!(send(-1, libc::SIGTERM).is_err());
    }
}
