//! The mold: holds the app, imported once, and forks workers on the master's order.

use std::os::fd::OwnedFd;

use imperator_core::message::{FromWorker, ToWorker};
use imperator_process::channel::Channel;
use imperator_process::fork::{ForkHooks, Forked, fork_worker};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::line::Line;
use crate::stray;

/// What a forked worker got.
pub(crate) struct Birth {
    pub(crate) worker: u32,
    /// No worker of this number was there before in this generation.
    pub(crate) first: bool,
    /// It must answer `ready-request` before it accepts.
    pub(crate) unproven: bool,
    pub(crate) line: Line,
    pub(crate) counters: OwnedFd,
    /// Where its stacks are written.
    pub(crate) stacks: Option<OwnedFd>,
}

/// Forks until the master is gone (`None`: the mold ends). Returns with `Some` in each worker.
pub(crate) fn serve(py: Python<'_>, line: Line) -> Option<Birth> {
    loop {
        let (order, mut fds) = py.detach(|| line.hear())?;
        match order {
            ToWorker::Fork {
                worker,
                first,
                unproven,
            } => {
                let (Some(stacks), Some(counters), Some(channel)) =
                    (fds.pop(), fds.pop(), fds.pop())
                else {
                    let why = "the order came without its descriptors".to_owned();
                    line.say(&FromWorker::ForkFailed { worker, why });
                    continue;
                };
                // SAFETY: this thread holds the interpreter, and the mold has no other thread of
                // ours; the app's Python threads forbid a mold.
                let forked = stray::our_fork(|| unsafe { fork_worker(&Hooks) });
                match forked {
                    Ok(Forked::Child) => {
                        // The mold's own end: what is said there comes from the mold.
                        drop(line);
                        return Some(Birth {
                            worker,
                            first,
                            unproven,
                            line: Line::new(Channel::from(channel)),
                            counters,
                            stacks: Some(stacks),
                        });
                    }
                    Ok(Forked::Parent { worker: pid }) => {
                        line.say(&FromWorker::Forked { worker, pid });
                    }
                    Err(error) => {
                        let why = error.to_string();
                        line.say(&FromWorker::ForkFailed { worker, why });
                    }
                }
            }
            // A mold has no listeners and no requests; the master lets it go by closing its end.
            ToWorker::Drain | ToWorker::Finish => return None,
            ToWorker::Pause
            | ToWorker::Resume
            | ToWorker::Heard
            | ToWorker::Overdue
            | ToWorker::Workers { .. }
            | ToWorker::Setup(_) => (),
        }
    }
}

struct Hooks;

impl ForkHooks for Hooks {
    fn before_fork(&self) {
        // SAFETY: the caller of `fork_worker` holds the interpreter.
        unsafe { pyo3::ffi::PyOS_BeforeFork() };
    }

    fn after_fork_child(&self) {
        // SAFETY: as above; the child's only thread is the one that forked.
        unsafe { pyo3::ffi::PyOS_AfterFork_Child() };
    }

    fn after_fork_parent(&self) {
        // SAFETY: as above.
        unsafe { pyo3::ffi::PyOS_AfterFork_Parent() };
    }
}

/// Keeps the garbage collector from touching, and so copying, the pages that workers share.
pub(crate) fn freeze(py: Python<'_>) -> PyResult<()> {
    py.import("gc")?.call_method0("freeze")?;
    Ok(())
}

/// The names of the Python threads that run beside the main one: a fork would lose them.
pub(crate) fn python_threads(py: Python<'_>) -> PyResult<Vec<String>> {
    let mut names = Vec::new();
    // An app that never asked for the module is not to pay for it.
    let modules = py.import("sys")?.getattr("modules")?;
    if let Some(threading) = modules.cast::<PyDict>()?.get_item("threading")? {
        let main = threading.call_method0("main_thread")?;
        for thread in threading.call_method0("enumerate")?.cast::<PyList>()? {
            if !thread.is(&main) {
                names.push(thread.getattr("name")?.extract()?);
            }
        }
    }
    // Threads of the `_thread` module have no name.
    let started: usize = py.import("_thread")?.call_method0("_count")?.extract()?;
    while names.len() < started {
        names.push("unnamed".to_owned());
    }
    Ok(names)
}

/// How many threads this process has that Python does not know, BLAS pools mostly.
pub(crate) fn native_threads(python_threads: usize) -> usize {
    std::fs::read_dir("/proc/self/task")
        .map_or(0, |tasks| tasks.count().saturating_sub(1 + python_threads))
}
