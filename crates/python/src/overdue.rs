//! What a request past its deadline gets in Python: its stack written, and an exception raised in the
//! thread, or thrown into the greenlet, that answers it.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use imperator_worker::{Exchange, Language, WorkerContext};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::interpreter::helper;
use crate::{errors, gevent, log};

/// Python's number of the thread of each core; 0: none yet.
static THREADS: OnceLock<Vec<AtomicU64>> = OnceLock::new();
/// What is raised; made when it is needed first.
static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// For the hub: requests in whose greenlets it is to be raised.
static THROWN: Mutex<Vec<Arc<Exchange>>> = Mutex::new(Vec::new());

struct Raiser {
    has_hub: bool,
}

/// In a worker, before its threads begin.
pub(crate) fn begin(worker: &WorkerContext) {
    let cores = worker.settings().cores();
    let _ = THREADS.set((0..cores).map(|_| AtomicU64::new(0)).collect());
    let has_hub = worker.settings().interpreter.gevent.is_some();
    worker.set_language(Box::new(Raiser { has_hub }));
}

/// This thread answers the requests of a core.
///
/// # Errors
/// An interpreter without `_thread`.
pub(crate) fn here(py: Python<'_>, core: usize) -> PyResult<()> {
    let ident: u64 = py.import("_thread")?.call_method0("get_ident")?.extract()?;
    if let Some(thread) = thread(core) {
        thread.store(ident, Ordering::Release);
    }
    Ok(())
}

fn thread(core: usize) -> Option<&'static AtomicU64> {
    THREADS.get().and_then(|threads| threads.get(core))
}

/// The app has ended a request: what was raised and has not arrived is taken back, and a worker in
/// which something was raised is replaced.
pub(crate) fn leave(py: Python<'_>, worker: &WorkerContext, exchange: &Exchange) {
    if exchange.leave_app() {
        if worker.settings().interpreter.gevent.is_none() {
            set_async(py, exchange.core(), None);
        }
        worker.was_interrupted();
    }
}

/// `None`: takes back what has not arrived. Whether there is such a thread.
fn set_async(_: Python<'_>, core: usize, class: Option<&Bound<'_, PyAny>>) -> bool {
    let ident = thread(core).map_or(0, |thread| thread.load(Ordering::Acquire));
    let class = class.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: the interpreter is held; the function takes its own reference to the class, and looks
    // the thread up by its number.
    ident != 0 && unsafe { ffi::PyThreadState_SetAsyncExc(ident.cast_signed(), class) } > 0
}

fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let class = CLASS.get_or_try_init(py, || {
        let module = helper(py, "imperator", include_str!("py/overdue.py"))?;
        PyResult::Ok(module.getattr("RequestOverdue")?.unbind())
    })?;
    Ok(class.bind(py))
}

impl Language for Raiser {
    fn interrupt(&self, overdue: &[Arc<Exchange>]) {
        Python::attach(|py| {
            if overdue.is_empty() {
                return;
            }
            if let Err(error) = self.raise(py, overdue) {
                log::line(&errors::traceback(py, &error));
            }
        });
    }
}

impl Raiser {
    fn raise(&self, py: Python<'_>, overdue: &[Arc<Exchange>]) -> PyResult<()> {
        let class = class(py)?;
        // The interpreter is not let go between the mark and what it stands for.
        let still = overdue.iter().filter(|exchange| exchange.mark_raised());
        if self.has_hub {
            thrown().extend(still.cloned());
            return gevent::interrupt(py);
        }
        for exchange in still {
            set_async(py, exchange.core(), Some(class));
        }
        Ok(())
    }
}

fn thrown() -> MutexGuard<'static, Vec<Arc<Exchange>>> {
    THROWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On the hub's thread: the cores in whose greenlets it is to be raised now, and what to raise.
///
/// # Errors
/// A mistake in the class.
pub(crate) fn to_throw(py: Python<'_>) -> PyResult<(Vec<usize>, Py<PyAny>)> {
    let thrown = std::mem::take(&mut *thrown());
    // One that has ended meanwhile has left, and its core may have another one.
    let still = thrown.iter().filter(|exchange| exchange.is_raised());
    let cores = still.map(|exchange| exchange.core()).collect();
    Ok((cores, class(py)?.clone().unbind()))
}

/// From now on a signal writes the stacks of all threads here; faulthandler needs no lock for it.
///
/// # Errors
/// What `faulthandler.register` raises.
pub(crate) fn write_stacks(py: Python<'_>, to: RawFd) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item("file", to)?;
    options.set_item("all_threads", true)?;
    py.import("faulthandler")?.call_method(
        "register",
        (imperator_process::signals::stack_dump(),),
        Some(&options),
    )?;
    Ok(())
}
