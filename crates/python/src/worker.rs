//! A worker: its threads, its requests, its end.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use imperator_core::message::{Setup, fd};
use imperator_worker::signals::Signals;
use imperator_worker::{Parts, WorkerContext, serve};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

use crate::load::Mounted;
use crate::mold::Birth;
use crate::wsgi::WsgiApp;
use crate::{errors, gevent, interpreter, log, overdue, ready, stray, uwsgi};

/// Serves until the worker is drained; returns the exit code.
pub(crate) fn run(
    py: Python<'_>,
    setup: Setup,
    birth: Birth,
    listeners: Vec<OwnedFd>,
    signals: Signals,
    apps: Vec<Mounted>,
) -> i32 {
    match try_run(py, setup, birth, listeners, signals, apps) {
        Ok(()) => 0,
        Err(error) => {
            log::line(&errors::traceback(py, &error));
            1
        }
    }
}

fn try_run(
    py: Python<'_>,
    setup: Setup,
    birth: Birth,
    listeners: Vec<OwnedFd>,
    signals: Signals,
    apps: Vec<Mounted>,
) -> PyResult<()> {
    if let Some(stacks) = &birth.stacks {
        overdue::write_stacks(py, stacks.as_raw_fd())?;
    }
    // SAFETY: the master gives it to each interpreter, and only the worker that serves takes it:
    // one call in this process.
    let request_log = unsafe { imperator_process::fds::inherit(fd::REQUEST_LOG) }.ok();
    let mut ours: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
    ours.push(birth.line.as_fd());
    ours.extend(request_log.as_ref().map(AsFd::as_fd));
    stray::guard(&ours);
    let is_gevent = setup.settings.interpreter.gevent.is_some();
    // One thread runs all greenlets.
    let threads = if is_gevent { 1 } else { setup.settings.cores() };
    let (id, unproven) = (birth.worker, birth.unproven);
    let worker = WorkerContext::start(Parts {
        setup,
        listeners,
        counters: birth.counters,
        channel: birth.line.into_channel(),
        request_log,
        signals,
        stacks: birth.stacks,
    })?;
    overdue::begin(&worker);
    let apps = Arc::new(apps);
    if let Some(prefix) = &worker.settings().interpreter.tracebacker {
        start_tracebacker(py, prefix, id);
    }
    uwsgi::begin(py, &worker);
    if unproven {
        ready::prove(py, &worker, &apps)?;
    }
    let stack = worker.settings().limits.thread_stack;
    let usual = stack.map(|bytes| set_stack_size(py, bytes));
    let threads = (1..threads)
        .map(|core| start_thread(py, id, core, &worker, &apps))
        .collect::<PyResult<Vec<_>>>()?;
    if let Some(usual) = usual {
        set_stack_size(py, usual?)?;
    }
    let app = WsgiApp::new(py, Arc::clone(&worker), Arc::clone(&apps), 0)?;
    if is_gevent {
        gevent::serve(py, &worker, app)?;
        uwsgi::end(py);
        return Ok(());
    }
    serve(&worker, 0, &app);
    for thread in threads {
        thread.call_method0("join")?;
    }
    uwsgi::end(py);
    Ok(())
}

/// A worker serves without it as well.
fn start_tracebacker(py: Python<'_>, prefix: &str, id: u32) {
    let path = format!("{prefix}{id}");
    let started = interpreter::helper(
        py,
        "imperator_tracebacker",
        include_str!("py/tracebacker.py"),
    )
    .and_then(|module| module.call_method1("start", (&path,)));
    match started {
        Ok(_) => log::line(&format!("the stacks of worker {id} are told on {path}")),
        Err(error) => log::line(&format!("py-tracebacker has no socket {path}: {error}")),
    }
}

/// Of threads that are started from now on, in bytes; returns what it was, 0 for the system's own.
fn set_stack_size(py: Python<'_>, bytes: u64) -> PyResult<u64> {
    /// Less is refused by Python.
    const LEAST: u64 = 32 * 1024;
    let bytes = if bytes == 0 { 0 } else { bytes.max(LEAST) };
    let threading = py.import("threading")?;
    threading.call_method1("stack_size", (bytes,))?.extract()
}

/// One more app thread, known to Python's `threading` like a thread of the app.
fn start_thread<'py>(
    py: Python<'py>,
    id: u32,
    core: usize,
    worker: &Arc<WorkerContext>,
    apps: &Arc<Vec<Mounted>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (worker, apps) = (Arc::clone(worker), Arc::clone(apps));
    let target = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        let py = arguments.py();
        let app = WsgiApp::new(py, Arc::clone(&worker), Arc::clone(&apps), core)?;
        serve(&worker, core, &app);
        PyResult::Ok(())
    })?;
    let options = PyDict::new(py);
    options.set_item("target", target)?;
    options.set_item("name", format!("uWSGIWorker{id}Core{core}"))?;
    let thread = py
        .import("threading")?
        .call_method("Thread", (), Some(&options))?;
    thread.call_method0("start")?;
    Ok(thread)
}
