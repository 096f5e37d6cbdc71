//! The double fork of a mold: one worker that becomes the child of the subreaper above. The only
//! place that forks without an exec. Called by the extension, with the interpreter's hooks.
//!
//! The intermediate process exits at once and is reaped here, before anybody hears of the worker's
//! pid; so the worker already has its new parent when the mold reports it.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::mask::SignalMask;

/// What the interpreter wants around a fork: `PyOS_BeforeFork`, `PyOS_AfterFork_Child` (in the
/// worker only) and `PyOS_AfterFork_Parent` (in the mold, also when the fork failed).
pub trait ForkHooks {
    fn before_fork(&self);
    fn after_fork_child(&self);
    fn after_fork_parent(&self);
}

/// Which process returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The mold; the worker has this pid and is no child of the mold.
    Parent { worker: i32 },
    /// The worker, in a process group of its own. It must end with `_exit`, never return into `main`.
    Child,
}

/// Why no worker was made.
#[derive(Debug)]
pub enum ForkError {
    Pipe(io::Error),
    /// fork(2) of the intermediate process.
    First(io::Error),
    /// fork(2) of the worker, in the intermediate process.
    Second(io::Error),
    /// The intermediate process ended without a word (killed, out of memory).
    Lost,
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe(error) => write!(f, "cannot make a pipe for a fork: {error}"),
            Self::First(error) | Self::Second(error) => write!(f, "cannot fork a worker: {error}"),
            Self::Lost => write!(f, "a forking process was killed half-way"),
        }
    }
}

impl std::error::Error for ForkError {}

/// Forks one worker that becomes the subreaper's child.
///
/// Signals are blocked in both processes until the hooks have run.
///
/// # Errors
/// When a fork or its pipe fails; the caller is unchanged then.
///
/// # Safety
/// No other thread of this process holds a lock that the child will take: the caller holds the
/// interpreter, and has no thread of its own.
pub unsafe fn fork_worker(hooks: &dyn ForkHooks) -> Result<Forked, ForkError> {
    let (answer, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| ForkError::Pipe(errno.into()))?;
    let mask = SignalMask::block_all();
    hooks.before_fork();
    // SAFETY: this function's own contract.
    let forked = unsafe { fork_twice(answer, report) };
    match forked {
        Ok(Forked::Child) => hooks.after_fork_child(),
        Ok(Forked::Parent { .. }) | Err(_) => hooks.after_fork_parent(),
    }
    mask.restore();
    forked
}

/// # Safety
/// As [`fork_worker`]. All signals are blocked.
unsafe fn fork_twice(answer: OwnedFd, report: OwnedFd) -> Result<Forked, ForkError> {
    // SAFETY: the contract: no lock is held by another thread.
    match unsafe { libc::fork() } {
        -1 => Err(ForkError::First(io::Error::last_os_error())),
        0 => {
            // The intermediate: fork, tell, _exit. It runs no hook and allocates nothing.
            let intermediate = rustix::process::getpid();
            // SAFETY: as the first fork; this process has one thread.
            let worker = unsafe { libc::fork() };
            if worker == 0 {
                drop(report);
                drop(answer);
                // SAFETY: plain system call on this very process.
                unsafe { libc::setpgid(0, 0) };
                await_parent(intermediate);
                return Ok(Forked::Child);
            }
            let said = if worker > 0 { worker } else { -errno() };
            let bytes = said.to_ne_bytes();
            // SAFETY: `bytes` is valid for its length, and the descriptor is open.
            unsafe { libc::write(report.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
            // SAFETY: ends this process without running a destructor of the parent.
            unsafe { libc::_exit(0) }
        }
        intermediate => {
            drop(report);
            let said = read_answer(&answer);
            reap(intermediate);
            match said {
                Some(worker) if worker > 0 => Ok(Forked::Parent { worker }),
                Some(errno) => Err(ForkError::Second(io::Error::from_raw_os_error(-errno))),
                None => Err(ForkError::Lost),
            }
        }
    }
}

/// Lets the intermediate go first, so that an app that asks for its parent hears the master's pid.
/// It only has to exit; a scheduler that starves it is not worth more than these turns.
fn await_parent(intermediate: rustix::process::Pid) {
    for _ in 0..1000 {
        if rustix::process::getppid() != Some(intermediate) {
            return;
        }
        // SAFETY: gives up the processor, nothing else.
        unsafe { libc::sched_yield() };
    }
}

fn errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EAGAIN)
}

/// `None`: the intermediate ended without writing. The wait is bounded by its system calls: only
/// it and the worker hold the write end, and the worker closes it first of all.
fn read_answer(answer: &OwnedFd) -> Option<i32> {
    let mut bytes = [0; 4];
    loop {
        match rustix::io::read(answer, &mut bytes[..]) {
            Ok(4) => return Some(i32::from_ne_bytes(bytes)),
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => return None,
        }
    }
}

fn reap(pid: i32) {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else {
        return;
    };
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
    {}
}
