//! Reaping: every ended child, known or not, until nothing is left. One SIGCHLD may mean many ends.
//! Raw statuses, because nix loses a child that a real-time signal killed (after reaping it).

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
}

impl End {
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "{}", crate::signals::name(*signal)),
        }
    }
}

/// A child that was reaped: from now on its pid means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    pub pid: i32,
    pub end: End,
}

/// Reaps one ended child. Call it until `None`: then nobody else has ended.
pub fn next() -> Option<Reaped> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => match end(status) {
                Some(end) => {
                    return Some(Reaped {
                        pid: pid.as_raw_nonzero().get(),
                        end,
                    });
                }
                None => continue,
            },
            Err(rustix::io::Errno::INTR) => continue,
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Waits until this child has ended, and leaves it to be reaped: so long its pid is its own.
/// `false`: it has not ended in time.
///
/// # Errors
/// What pidfd_open(2) or poll(2) says.
pub fn wait_for_end(pid: i32, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    let fd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    crate::poll::wait_one(&fd, crate::poll::Interest::Read, limit)
}

/// Reaps this child if it has ended.
pub fn this(pid: i32) -> Option<End> {
    let pid = Pid::from_raw(pid)?;
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => return end(status),
            Err(rustix::io::Errno::INTR) => continue,
            Ok(None) | Err(_) => return None,
        }
    }
}

/// `None`: only stopped or continued.
fn end(status: WaitStatus) -> Option<End> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(End::Code(code)),
        (None, Some(signal)) => Some(End::Signal(signal)),
        (None, None) => None,
    }
}

/// Makes orphans below this process its children, instead of PID 1's.
///
/// # Errors
/// What prctl(2) says.
pub fn become_subreaper() -> io::Result<()> {
    // Any pid means "on".
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_read_as_a_person_says_them() {
        assert_eq!(End::Code(22).to_string(), "exit code 22");
        assert_eq!(End::Signal(libc::SIGSEGV).to_string(), "SIGSEGV");
    }
}
