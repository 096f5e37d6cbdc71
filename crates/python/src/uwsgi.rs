//! The modules `uwsgi` and `uwsgidecorators`: their text is Python, run at their first use; here is
//! what it asks the worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imperator_core::counters::Worker;
use imperator_core::message::{FromWorker, Setup, WorkerNumbers, fd};
use imperator_worker::{Exchange, WorkerContext};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCFunction, PyDict, PyModule};

use crate::{errors, gevent, log};

/// Whether requests are to be known here: from the first use of the module.
static USED: AtomicBool = AtomicBool::new(false);
/// Whether a thread has a deadline of its own.
static HARAKIRI: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);
/// What each greenlet answers; threads have their own.
static GREENLETS: Mutex<Option<HashMap<usize, Arc<Exchange>>>> = Mutex::new(None);

thread_local! {
    static CURRENT: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

struct State {
    setup: Setup,
    started: u64,
    worker: Option<Arc<WorkerContext>>,
}

/// No lock of these is held across a call into Python.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before the app is loaded: both modules can be imported, and cost nothing until they are used.
///
/// # Errors
/// An interpreter whose `sys` is not as usual.
pub(crate) fn install(py: Python<'_>, setup: &Setup) -> PyResult<()> {
    #[expect(clippy::disallowed_methods, reason = "told to the app, no decision")]
    let now = SystemTime::now();
    *locked(&STATE) = Some(State {
        setup: setup.clone(),
        started: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        worker: None,
    });
    add_lazy(py, "uwsgi", include_str!("py/uwsgi.py"))?;
    let decorators = include_str!("py/uwsgidecorators.py");
    add_lazy(py, "uwsgidecorators", decorators)
}

fn add_lazy(py: Python<'_>, name: &'static str, source: &'static str) -> PyResult<()> {
    let module = PyModule::new(py, name)?;
    let lazy = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        let py = arguments.py();
        let asked = arguments.get_item(0)?;
        let modules = py.import("sys")?.getattr("modules")?;
        let module = modules.get_item(name)?;
        // The import machinery asks for these; they say nothing about a use.
        let text: String = asked.extract()?;
        if text.starts_with("__") && text != "__all__" {
            let text = format!("module '{name}' has no attribute '{text}'");
            return Err(pyo3::exceptions::PyAttributeError::new_err(text));
        }
        let dict = module.getattr("__dict__")?;
        let dict = dict.cast::<PyDict>()?;
        // It is this very closure: it must outlive its own call, and is no longer in anybody's way.
        std::mem::forget(dict.get_item("__getattr__")?);
        dict.del_item("__getattr__")?;
        USED.store(true, Ordering::Relaxed);
        // What the app has set already is its own.
        let before = dict.copy()?;
        dict.set_item("native", Bound::new(py, Native)?)?;
        let builtins = py.import("builtins")?;
        let file = format!("<{name} of Imperator>");
        let code = builtins.call_method1("compile", (source, file, "exec"))?;
        builtins.call_method1("exec", (code, dict))?;
        dict.update(before.as_mapping())?;
        Ok::<_, PyErr>(
            module
                .getattr(asked.cast::<pyo3::types::PyString>()?)?
                .unbind(),
        )
    })?;
    module.setattr("__getattr__", lazy)?;
    py.import("sys")?.getattr("modules")?.set_item(name, module)
}

/// In a worker, before its first request: `post_fork_hook` and what `@postfork` names.
pub(crate) fn begin(py: Python<'_>, worker: &Arc<WorkerContext>) {
    if let Some(state) = &mut *locked(&STATE) {
        state.worker = Some(Arc::clone(worker));
        state.setup.worker = Some(worker.id());
    }
    if let Err(error) = post_fork(py) {
        log::line(&errors::traceback(py, &error));
    }
}

/// At the end of a worker that was told to go: `uwsgi.atexit`, before Python's own atexit.
pub(crate) fn end(py: Python<'_>) {
    run_hook(py, "atexit");
}

/// Calls what the app has put there.
fn run_hook(py: Python<'_>, name: &str) {
    let run = || {
        let modules = py.import("sys")?.getattr("modules")?;
        let dict = modules.get_item("uwsgi")?.getattr("__dict__")?;
        if let Some(hook) = dict.cast::<PyDict>()?.get_item(name)?
            && hook.is_callable()
        {
            hook.call0()?;
        }
        PyResult::Ok(())
    };
    if let Err(error) = run() {
        errors::report(py, &error, &format!("exception in uwsgi.{name}"));
    }
}

fn post_fork(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    let dict_of = |name: &str| modules.get_item(name)?.getattr("__dict__");
    // Looked for without using the modules.
    let decorators = dict_of("uwsgidecorators")?;
    let decorators = decorators.cast::<PyDict>()?;
    let module = dict_of("uwsgi")?;
    let module = module.cast::<PyDict>()?;
    if module.contains("after_req_hook")? {
        USED.store(true, Ordering::Relaxed);
    }
    if let Some(run) = decorators.get_item("run_postfork")? {
        run.call0()?;
    } else if let Some(hook) = module.get_item("post_fork_hook")?
        && hook.is_callable()
    {
        hook.call0()?;
    }
    Ok(())
}

/// From here to [`answered`] this thread or greenlet answers the exchange.
pub(crate) fn answers(py: Python<'_>, exchange: &Arc<Exchange>) {
    if !USED.load(Ordering::Relaxed) {
        return;
    }
    match greenlet(py) {
        Some(greenlet) => {
            let mut greenlets = locked(&GREENLETS);
            let greenlets = greenlets.get_or_insert_default();
            greenlets.insert(greenlet, Arc::clone(exchange));
        }
        None => CURRENT.set(Some(Arc::clone(exchange))),
    }
}

pub(crate) fn answered(py: Python<'_>) {
    if !USED.load(Ordering::Relaxed) {
        return;
    }
    run_hook(py, "after_req_hook");
    match greenlet(py) {
        Some(greenlet) => drop(locked(&GREENLETS).get_or_insert_default().remove(&greenlet)),
        None => CURRENT.set(None),
    }
    if HARAKIRI.load(Ordering::Relaxed) {
        let ended = py
            .import("uwsgi")
            .and_then(|module| module.call_method1("set_user_harakiri", (0,)));
        if let Err(error) = ended {
            log::line(&errors::traceback(py, &error));
        }
    }
}

/// Which greenlet runs; `None`: there is no hub.
fn greenlet(py: Python<'_>) -> Option<usize> {
    if !gevent::is_cooperative() {
        return None;
    }
    let current = py.import("gevent").ok()?.call_method0("getcurrent").ok()?;
    Some(current.as_ptr() as usize)
}

fn current(py: Python<'_>) -> PyResult<Arc<Exchange>> {
    let exchange = match greenlet(py) {
        Some(greenlet) => locked(&GREENLETS)
            .get_or_insert_default()
            .get(&greenlet)
            .cloned(),
        None => CURRENT.with_borrow(Clone::clone),
    };
    exchange.ok_or_else(|| PyRuntimeError::new_err("no request is answered here"))
}

fn state<T>(look: impl FnOnce(&State) -> T) -> PyResult<T> {
    let state = locked(&STATE);
    let state = state.as_ref();
    state
        .map(look)
        .ok_or_else(|| PyRuntimeError::new_err("this process is no worker"))
}

fn own_number(worker: &WorkerContext, word: Worker) -> u64 {
    worker.counters().worker(word).load(Ordering::Relaxed)
}

fn dict_of<'py>(py: Python<'py>, it: &WorkerNumbers) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("id", it.id)?;
    told.set_item("pid", it.pid)?;
    told.set_item("requests", it.requests)?;
    told.set_item("delta_requests", it.requests)?;
    told.set_item("signals", 0)?;
    told.set_item("exceptions", it.exceptions)?;
    told.set_item("status", PyBytes::new(py, it.status.as_bytes()))?;
    told.set_item("rss", it.rss)?;
    told.set_item("vsz", it.vsz)?;
    told.set_item("running_time", it.running_time)?;
    told.set_item("last_spawn", it.last_spawn)?;
    told.set_item("respawn_count", it.respawn_count)?;
    told.set_item("tx", it.tx)?;
    told.set_item("avg_rt", it.avg_rt)?;
    told.set_item("apps", pyo3::types::PyTuple::empty(py))?;
    Ok(told)
}

/// What the text of the module asks.
#[pyclass(frozen, module = "imperator_python")]
struct Native;

#[pymethods]
impl Native {
    fn options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let options = PyDict::new(py);
        // What is always so here; apps and agents look for these two.
        options.set_item("enable-threads", PyBytes::new(py, b"true"))?;
        options.set_item("py-call-uwsgi-fork-hooks", PyBytes::new(py, b"true"))?;
        for (name, value) in state(|state| state.setup.settings.given.clone())? {
            options.set_item(name, PyBytes::new(py, value.as_bytes()))?;
        }
        Ok(options)
    }

    /// numproc, cores, buffer_size, mode
    fn shape(&self) -> PyResult<(u32, usize, u32, Option<String>)> {
        state(|state| {
            let settings = &state.setup.settings;
            let mode = settings.given.iter().rev().find(|(name, _)| name == "mode");
            let mode = mode.map(|(_, value)| value.clone());
            (
                settings.processes,
                settings.cores(),
                settings.buffer_size,
                mode,
            )
        })
    }

    fn is_gevent(&self) -> PyResult<bool> {
        state(|state| state.setup.settings.interpreter.gevent.is_some())
    }

    fn started_on(&self) -> PyResult<u64> {
        state(|state| state.started)
    }

    /// The parent of mold and workers: intermediates of the fork are gone, and it is the subreaper.
    fn masterpid(&self) -> i64 {
        i64::from(std::os::unix::process::parent_id())
    }

    fn worker_id(&self) -> PyResult<u32> {
        state(|state| state.setup.worker.unwrap_or(0))
    }

    /// Of all workers, those that are gone included; in front the number of this one alone.
    fn requests(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        let Some(worker) = state(|state| state.worker.clone())? else {
            return Ok((0, 0));
        };
        let told = py.detach(|| worker.crew());
        let own = own_number(&worker, Worker::Requests);
        let siblings = told.workers.iter().filter(|it| it.id != worker.id());
        let siblings: u64 = siblings.map(|it| it.requests).sum();
        Ok((own, own + siblings + told.others))
    }

    /// A dict for each worker of the app; while it is loaded, there is none.
    fn workers<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let (worker, started) = state(|state| (state.worker.clone(), state.started))?;
        let Some(worker) = worker else {
            return Ok(Vec::new());
        };
        let mut told = py.detach(|| worker.crew());
        if !told.workers.iter().any(|it| it.id == worker.id()) {
            told.workers.push(WorkerNumbers {
                id: worker.id(),
                last_spawn: started,
                ..WorkerNumbers::default()
            });
        }
        let mut dicts = Vec::new();
        for mut it in told.workers {
            // What we know ourselves is newer.
            if it.id == worker.id() {
                it.pid = i32::try_from(std::process::id()).unwrap_or(0);
                "busy".clone_into(&mut it.status);
                it.requests = own_number(&worker, Worker::Requests);
                it.exceptions = own_number(&worker, Worker::Exceptions);
                it.running_time = own_number(&worker, Worker::RunningMicros);
                it.tx = own_number(&worker, Worker::TxBytes);
                it.avg_rt = own_number(&worker, Worker::AvgMicros);
            }
            dicts.push(dict_of(py, &it)?);
        }
        Ok(dicts)
    }

    fn log(&self, text: &str) {
        log::line(text);
    }

    fn set_title(&self, py: Python<'_>, text: &str) {
        let _ = py;
        let title: String = text.chars().filter(|it| !it.is_control()).collect();
        crate::title::overwrite(&title);
    }

    fn set_logvar(&self, py: Python<'_>, name: &[u8], value: &[u8]) -> PyResult<()> {
        current(py)?.set_log_var(name, value);
        Ok(())
    }

    fn get_logvar<'py>(
        &self,
        py: Python<'py>,
        name: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = current(py)?.log_var(name);
        Ok((!value.is_empty()).then(|| PyBytes::new(py, &value)))
    }

    fn log_this_request(&self, py: Python<'_>) -> PyResult<()> {
        current(py)?.log_it(true);
        Ok(())
    }

    fn disconnect(&self, py: Python<'_>) -> PyResult<()> {
        current(py)?.disconnect();
        Ok(())
    }

    /// Asks the master for `reload` or `stop`.
    fn ask(&self, what: &str) -> PyResult<()> {
        let worker = state(|state| state.worker.clone())?;
        let Some(worker) = worker else {
            return Err(PyRuntimeError::new_err("only a worker may ask this"));
        };
        let what = what.to_owned();
        worker.tell(&FromWorker::Asks { what });
        Ok(())
    }

    fn locks(&self) -> i32 {
        fd::LOCKS
    }

    /// The thread or greenlet that asks, as a number.
    fn task(&self, py: Python<'_>) -> PyResult<usize> {
        match greenlet(py) {
            Some(greenlet) => Ok(greenlet),
            None => py.import("_thread")?.call_method0("get_ident")?.extract(),
        }
    }

    /// A deadline of the request that is answered here, in seconds, 0: none; false: there is none.
    fn set_deadline(&self, py: Python<'_>, seconds: u64) -> PyResult<bool> {
        let (Ok(exchange), Some(worker)) = (current(py), state(|state| state.worker.clone())?)
        else {
            return Ok(false);
        };
        let after = Some(Duration::from_secs(seconds)).filter(|_| seconds > 0);
        worker.set_deadline(&exchange, after);
        Ok(true)
    }

    fn watch_harakiri(&self, on: bool) {
        HARAKIRI.store(on, Ordering::Relaxed);
    }
}
