//! Processes that the app forks without an exec (`os.fork`, `multiprocessing`): they are no
//! workers. They get no descriptor of ours that would keep a socket open or speak for us, and one
//! that comes back from the app's code ends.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

use crate::log;

/// Set in every process that the app forked from ours.
static IS_STRAY: AtomicBool = AtomicBool::new(false);
/// The next fork is the mold's own.
static IS_OUR_FORK: AtomicBool = AtomicBool::new(false);
/// What a stray must not hold. Locked with the interpreter held and never across its release, so
/// no fork finds it locked.
static GUARDED: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// From now on a fork of the app is recognised.
///
/// # Errors
/// Any Python error of `os.register_at_fork`.
pub(crate) fn watch(py: Python<'_>) -> PyResult<()> {
    let mark = PyCFunction::new_closure(py, None, None, |_, _| {
        if !IS_OUR_FORK.load(Ordering::Relaxed) {
            IS_STRAY.store(true, Ordering::Relaxed);
            empty_guarded();
            imperator_worker::signals::forget();
        }
    })?;
    let told = PyCFunction::new_closure(py, None, None, |_, _| {
        if !IS_OUR_FORK.load(Ordering::Relaxed) {
            imperator_worker::app_has_forked();
        }
    })?;
    let options = PyDict::new(py);
    options.set_item("after_in_child", mark)?;
    options.set_item("after_in_parent", told)?;
    py.import("os")?
        .call_method("register_at_fork", (), Some(&options))?;
    Ok(())
}

/// Names the descriptors that a stray must not hold, instead of those named before.
pub(crate) fn guard(fds: &[BorrowedFd<'_>]) {
    let fds = fds.iter().map(AsRawFd::as_raw_fd).collect();
    *GUARDED.lock().unwrap_or_else(PoisonError::into_inner) = fds;
}

/// What [`guard`] named last.
pub(crate) fn guarded() -> Vec<RawFd> {
    let guarded = GUARDED.lock().unwrap_or_else(PoisonError::into_inner);
    guarded.clone()
}

/// Runs `fork`, which makes a worker and no stray.
pub(crate) fn our_fork<T>(fork: impl FnOnce() -> T) -> T {
    IS_OUR_FORK.store(true, Ordering::Relaxed);
    let result = fork();
    IS_OUR_FORK.store(false, Ordering::Relaxed);
    result
}

/// A stray must not answer the request a second time, nor accept further ones.
pub(crate) fn end_if_stray(py: Python<'_>) {
    if IS_STRAY.load(Ordering::Relaxed) {
        log::line("a process that the app forked came back from the app's code; it ends");
        log::end(py, 1);
    }
}

/// Puts /dev/null in their place. The numbers stay taken, so their owners in this process, which
/// will never run again, own nothing of anybody else's.
fn empty_guarded() {
    let Ok(nothing) = std::fs::File::open("/dev/null") else {
        return;
    };
    let guarded = GUARDED.lock().unwrap_or_else(PoisonError::into_inner);
    for &fd in &*guarded {
        // SAFETY: both numbers are open in this process; what stood at `fd` is ours to give up.
        unsafe { libc::dup3(nothing.as_raw_fd(), fd, libc::O_CLOEXEC) };
    }
}
