//! `gevent = N`: the main thread runs gevent's hub, and each request a greenlet. What would block
//! yields to the hub.
//!
//! A greenlet that does not run has its C stack copied away. So nothing here hands out a reference
//! into its own stack: what two greenlets share is on the heap, and no borrow of a cell spans a
//! call into Python.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imperator_core::message::LoadError;
use imperator_core::settings::Settings;
use imperator_core::settings::python::Patch;
use imperator_worker::app::App;
use imperator_worker::{Pool, Readiness, Taken, Turn, WorkerContext};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

use crate::interpreter::helper;
use crate::load::Failure;
use crate::wsgi::WsgiApp;
use crate::{errors, log, overdue};

/// Our Python side; set where a hub serves.
static LOOP: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
/// What was raised into a greenlet while it waited for a socket.
static INTERRUPTED: Mutex<Option<PyErr>> = Mutex::new(None);

/// Before the app is loaded: gevent must be there, and may patch the standard library.
///
/// # Errors
/// It is not there.
pub(crate) fn prepare(py: Python<'_>, settings: &Settings) -> Result<(), Failure> {
    let Some(gevent) = &settings.interpreter.gevent else {
        return Ok(());
    };
    let prepared = py.import("gevent").and_then(|_| match gevent.patch {
        Some(Patch::Early) => patch(py),
        Some(Patch::Late) | None => Ok(()),
    });
    prepared.map_err(|error| {
        let place = settings.places.get("gevent");
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        Failure {
            summary: format!(
                "gevent = {} cannot be had: {} ({place}install it into the app's environment: pip install gevent)",
                gevent.greenlets,
                error.value(py)
            ),
            traceback: errors::traceback(py, &error),
            files: Vec::new(),
            error: Some(Box::new(LoadError {
                classes: vec!["ImportError".to_owned()],
                ..LoadError::default()
            })),
        }
    })
}

fn patch(py: Python<'_>) -> PyResult<()> {
    source(py)?.call_method0("patch")?;
    Ok(())
}

fn source(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    helper(py, "imperator_gevent", include_str!("py/gevent_loop.py"))
}

/// Serves until the worker has drained.
pub(crate) fn serve(py: Python<'_>, worker: &Arc<WorkerContext>, app: WsgiApp) -> PyResult<()> {
    let Some(gevent) = &worker.settings().interpreter.gevent else {
        return Ok(());
    };
    if gevent.patch == Some(Patch::Late) {
        patch(py)?;
    }
    let source = source(py)?;
    let _ = LOOP.set(py, source.clone().unbind());
    let Some(pool) = Pool::join(worker) else {
        return Err(PyRuntimeError::new_err(
            "the worker cannot wait for requests",
        ));
    };
    let requests = Requests {
        worker: Arc::clone(worker),
        pool: RefCell::new(pool),
        taken: RefCell::default(),
        app,
    };
    let requests = Bound::new(py, requests)?;
    source.call_method1("serve", (requests, gevent.wait_for_hub))?;
    Ok(())
}

/// Whether a hub serves here.
pub(crate) fn is_cooperative() -> bool {
    Python::attach(|py| LOOP.get(py).is_some())
}

/// Lets other greenlets run until the socket is ready; `None`: no hub serves here.
pub(crate) fn wait(socket: BorrowedFd<'_>, what: Readiness, patience: Duration) -> Option<bool> {
    Python::attach(|py| {
        let source = LOOP.get(py)?.bind(py);
        let arguments = (
            socket.as_raw_fd(),
            what == Readiness::Write,
            patience.as_secs_f64(),
        );
        let waited = source.call_method1("wait", arguments);
        match waited.and_then(|ready| ready.extract()) {
            Ok(ready) => Some(ready),
            Err(error) => {
                let mut interrupted = INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner);
                *interrupted = Some(error);
                Some(false)
            }
        }
    })
}

/// A timeout of the app's, or its end, that was raised into the wait before: the app must see it.
/// No other greenlet ran since.
pub(crate) fn interrupted() -> PyResult<()> {
    let error = INTERRUPTED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    error.map_or(Ok(()), Err)
}

/// Has the hub look for greenlets to interrupt, from another thread.
///
/// # Errors
/// A hub that is gone.
pub(crate) fn interrupt(py: Python<'_>) -> PyResult<()> {
    if let Some(source) = LOOP.get(py) {
        source.bind(py).call_method0("interrupt")?;
    }
    Ok(())
}

/// What the Python side works with.
#[pyclass(frozen, unsendable, module = "imperator_python")]
struct Requests {
    worker: Arc<WorkerContext>,
    pool: RefCell<Pool>,
    /// By core, between `look` and `answer`.
    taken: RefCell<HashMap<usize, Box<Taken>>>,
    app: WsgiApp,
}

#[pymethods]
impl Requests {
    fn fileno(&self) -> i32 {
        self.pool.borrow().fd().as_raw_fd()
    }

    /// The core of a new request, or a number below 0 that says why there is none.
    fn look(&self) -> i64 {
        let turn = self.pool.borrow_mut().look();
        match turn {
            Turn::Request(taken) => {
                let core = taken.exchange().core();
                self.taken.borrow_mut().insert(core, taken);
                i64::try_from(core).unwrap_or(0)
            }
            Turn::Nothing => -1,
            Turn::Full => -2,
            Turn::Drained => -3,
            Turn::Other => -4,
        }
    }

    /// Calls the app, in a greenlet of its own.
    fn answer(&self, py: Python<'_>, core: usize) {
        let taken = self.taken.borrow_mut().remove(&core);
        let Some(taken) = taken else {
            return;
        };
        self.app.call(taken.exchange());
        // Another greenlet of the app may be writing, on this thread.
        while taken.is_busy() {
            let paused = source(py).and_then(|source| source.call_method0("pause"));
            if let Err(error) = paused {
                log::line(&errors::traceback(py, &error));
            }
        }
        self.pool.borrow_mut().end(*taken);
    }

    /// The cores whose greenlets are to be interrupted, and what is raised in them.
    fn to_throw(&self, py: Python<'_>) -> PyResult<(Vec<usize>, Py<PyAny>)> {
        overdue::to_throw(py)
    }

    /// A signal handler of the app wants the process to end.
    fn wants_end(&self) {
        self.worker
            .ask_to_drain("a signal handler of the app asked to exit");
    }
}
