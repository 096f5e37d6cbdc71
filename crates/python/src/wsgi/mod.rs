//! WSGI (PEP 3333): one call of the app per request.
//!
//! Each app thread has a [`WsgiApp`] of its own, so nothing here is shared but the loaded apps.

mod environ;
mod file;
mod input;
mod latin1;
mod response;

use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use imperator_core::settings::python::Wsgi;
use imperator_worker::app::{App, Interpreter};
use imperator_worker::mount::Rules;
use imperator_worker::{Exchange, Readiness, WorkerContext, WriteError};
use pyo3::exceptions::{
    PyAssertionError, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit, PyTypeError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use self::environ::Environ;
use self::file::FileWrapper;
use self::input::Input;
use self::response::StartResponse;
use crate::load::Mounted;
use crate::stray::end_if_stray;
use crate::{errors, gevent, modules, overdue, uwsgi};

/// The interpreter's lock, as the request path sees it.
pub(crate) struct Gil;

impl Interpreter for Gil {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        Python::attach(|py| py.detach(wait));
    }

    fn wait(&self, socket: BorrowedFd<'_>, what: Readiness, patience: Duration) -> bool {
        gevent::wait(socket, what, patience).unwrap_or_else(|| Plain.wait(socket, what, patience))
    }

    fn is_cooperative(&self) -> bool {
        gevent::is_cooperative()
    }
}

/// Without a hub.
struct Plain;

impl Interpreter for Plain {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        Gil.unlocked(wait);
    }
}

/// The WSGI side of one app thread.
pub(crate) struct WsgiApp {
    worker: Arc<WorkerContext>,
    apps: Arc<Vec<Mounted>>,
    /// The only app, when it is mounted at "": no routing then.
    plain: bool,
    /// By the greenlets of a hub, each with a core of its own.
    is_shared: bool,
    environ: Environ,
}

impl WsgiApp {
    /// # Errors
    /// A Python error; memory, in practice.
    pub(crate) fn new(
        py: Python<'_>,
        worker: Arc<WorkerContext>,
        apps: Arc<Vec<Mounted>>,
        core: usize,
    ) -> PyResult<Self> {
        let environ = Environ::new(py, worker.settings(), core)?;
        overdue::here(py, core)?;
        // The only app has every request, unless the config says otherwise.
        let rules = Rules::of(worker.settings());
        let plain =
            apps.len() == 1 && apps[0].prefix.is_empty() && !rules.manage && !rules.no_default;
        let is_shared = worker.settings().interpreter.gevent.is_some();
        Ok(Self {
            worker,
            apps,
            plain,
            is_shared,
            environ,
        })
    }

    fn answer(&self, py: Python<'_>, exchange: &Arc<Exchange>) -> PyResult<()> {
        let mut mount = 0;
        let environ = self.environ.build(py, exchange)?;
        if self.is_shared {
            environ.set_item(intern!(py, "uwsgi.core"), exchange.core())?;
        }
        if !self.plain {
            let mut rules = Rules::of(self.worker.settings());
            rules.manage &= !exchange.is_mounted();
            match self
                .environ
                .route(py, &environ, exchange, &self.apps, rules)?
            {
                Some(index) => mount = index,
                None => return self.no_app(exchange),
            }
        }
        let start_response = StartResponse::new(exchange, self.worker.settings());
        let start_response = Bound::new(py, start_response)?;
        let result = self.apps[mount]
            .app
            .bind(py)
            .call1((environ, start_response))?;
        end_if_stray(py);
        if let Some(autoreload) = &self.worker.settings().interpreter.autoreload {
            // A view may import what it needs; who sees the answer may edit that.
            let mut say = |message: &_| self.worker.tell(message);
            modules::tell(py, autoreload, &[], &mut say);
        }
        let sent = send(
            py,
            exchange,
            &result,
            &self.worker.settings().interpreter.wsgi,
        );
        // The answer's error is told before `close` can hide it.
        let done = match sent {
            Ok(()) => Ok(()),
            Err(error) => {
                self.fail(py, exchange, &error);
                Ok(())
            }
        };
        close(&result).and(done)
    }

    fn no_app(&self, exchange: &Arc<Exchange>) -> PyResult<()> {
        if self.apps.is_empty() {
            return Err(PyRuntimeError::new_err("no app is loaded"));
        }
        exchange.refuse(&Gil, 404, "No app is mounted here");
        Ok(())
    }

    fn fail(&self, py: Python<'_>, exchange: &Arc<Exchange>, error: &PyErr) {
        errors::report(py, error, &context(exchange));
        if self.worker.settings().recycling.watches_exceptions() {
            let kind = error.get_type(py).name();
            let kind = kind.map_or_else(|_| String::new(), |it| it.to_string());
            let value = error.value(py).to_string();
            self.worker.check_exception(&kind, &value);
        }
        if self.worker.settings().interpreter.wsgi.tell_exceptions
            && tell(py, exchange, error).is_ok()
        {
            return;
        }
        exchange.fail(&Gil);
    }
}

impl Interpreter for WsgiApp {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        Gil.unlocked(wait);
    }

    fn signals(&self) {
        Python::attach(|py| {
            let Err(error) = py.check_signals() else {
                return;
            };
            // The app's handler wants the process to end, as `signal.default_int_handler` does.
            let wants_end = error.is_instance_of::<PySystemExit>(py)
                || error.is_instance_of::<PyKeyboardInterrupt>(py);
            if wants_end {
                self.worker
                    .ask_to_drain("a signal handler of the app asked to exit");
            } else {
                errors::report(py, &error, "exception in a signal handler of the app");
            }
        });
    }
}

impl App for WsgiApp {
    fn call(&self, exchange: &Arc<Exchange>) {
        let called = catch_unwind(AssertUnwindSafe(|| {
            Python::attach(|py| {
                exchange.enter_app();
                uwsgi::answers(py, exchange);
                let answered = self.answer(py, exchange);
                overdue::leave(py, &self.worker, exchange);
                if let Err(error) = answered {
                    end_if_stray(py);
                    self.fail(py, exchange, &error);
                }
                uwsgi::answered(py);
            });
        }));
        if called.is_err() {
            // A mistake of ours, told by the panic hook. It costs this request, not the worker.
            Python::attach(|py| overdue::leave(py, &self.worker, exchange));
            exchange.fail(&Gil);
        }
    }
}

/// Answers with the traceback and the request's variables: `catch-exceptions`.
fn tell(py: Python<'_>, exchange: &Arc<Exchange>, error: &PyErr) -> Result<(), ()> {
    if exchange.head_sent() {
        return Err(());
    }
    let mut text = format!("{}\n{}\n", context(exchange), errors::traceback(py, error));
    for (name, value) in exchange.vars() {
        let line = format!("{} = {}\n", name.escape_ascii(), value.escape_ascii());
        text.push_str(&line);
    }
    let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"text/plain; charset=utf-8")];
    exchange
        .start(b"500 Internal Server Error", &headers, true)
        .map_err(|_| ())?;
    exchange.count_failure();
    // A client that is gone needs no answer.
    let _ = exchange.write_last(&Gil, text.as_bytes());
    Ok(())
}

/// Sends what the app returned.
fn send(
    py: Python<'_>,
    exchange: &Arc<Exchange>,
    result: &Bound<'_, PyAny>,
    how: &Wsgi,
) -> PyResult<()> {
    if let Ok(list) = result.cast_exact::<PyList>() {
        return send_all(exchange, list.len(), list.iter(), how);
    }
    if let Ok(body) = result.cast_exact::<PyBytes>() {
        if how.strict {
            let text = "wsgi-strict: the app must return an iterable of bytes, not bytes";
            return Err(PyTypeError::new_err(text));
        }
        return written(exchange.write_last(&Gil, body.as_bytes()));
    }
    if let Ok(tuple) = result.cast_exact::<PyTuple>() {
        return send_all(exchange, tuple.len(), tuple.iter(), how);
    }
    if how.buffers && is_buffer(result)? {
        let body = bytes_of(result, how)?;
        return written(exchange.write_last(&Gil, body.as_bytes()));
    }
    if let Ok(file) = result.cast_exact::<FileWrapper>()
        && file.get().send(py, exchange)?
    {
        return Ok(());
    }
    for chunk in result.try_iter()? {
        let chunk = chunk?;
        end_if_stray(py);
        match exchange.write(&Gil, bytes_of(&chunk, how)?.as_bytes()) {
            Ok(()) => (),
            // Nobody is there to read the rest: `close` tells the app.
            Err(error) => return written(Err(error)),
        }
    }
    end_if_stray(py);
    require_start(exchange)
}

/// A list or tuple is all there: it goes out in as few writes as its size allows.
fn send_all<'py>(
    exchange: &Arc<Exchange>,
    length: usize,
    chunks: impl Iterator<Item = Bound<'py, PyAny>>,
    how: &Wsgi,
) -> PyResult<()> {
    /// Larger chunks are written from where they are.
    const JOINED: usize = 32 * 1024;
    let mut joined = Vec::new();
    for (index, chunk) in chunks.enumerate() {
        let chunk = bytes_of(&chunk, how)?;
        let chunk = chunk.as_bytes();
        let is_last = index + 1 >= length;
        if joined.is_empty() && is_last {
            return written(exchange.write_last(&Gil, chunk));
        }
        if joined.len() + chunk.len() > JOINED {
            written(exchange.write(&Gil, &joined))?;
            joined.clear();
            if chunk.len() > JOINED {
                written(exchange.write(&Gil, chunk))?;
                continue;
            }
        }
        joined.extend_from_slice(chunk);
    }
    written(exchange.write_last(&Gil, &joined))?;
    require_start(exchange)
}

fn bytes_of<'py>(chunk: &Bound<'py, PyAny>, how: &Wsgi) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = chunk.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if how.buffers && is_buffer(chunk)? {
        let view = chunk.py().import("builtins")?.getattr("memoryview")?;
        let bytes = view.call1((chunk,))?.call_method0("tobytes")?;
        return Ok(bytes.cast_into::<PyBytes>()?);
    }
    let kind = chunk.get_type().to_string();
    let text = format!("the app's iterable must yield bytes, not {kind}");
    Err(PyTypeError::new_err(text))
}

/// `wsgi-accept-buffer`: what a memoryview can be made of. The stable ABI of 3.9 has no check.
fn is_buffer(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    let view = py.import("builtins")?.getattr("memoryview")?;
    match view.call1((object,)) {
        Ok(view) => view.call_method0("release").map(|_| true),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Ok(false),
        Err(error) => Err(error),
    }
}

fn written(result: Result<(), WriteError>) -> PyResult<()> {
    if result == Err(WriteError::TimedOut) {
        gevent::interrupted()?;
    }
    match result {
        // The client is gone or stuck: counted by the worker, no error of the app.
        Ok(()) | Err(WriteError::Gone | WriteError::TimedOut) => Ok(()),
        Err(WriteError::NotStarted) => Err(not_started()),
        Err(error @ (WriteError::Busy | WriteError::Ended)) => {
            Err(PyRuntimeError::new_err(error.to_string()))
        }
        Err(error @ WriteError::File(_)) => Err(PyOSError::new_err(error.to_string())),
    }
}

fn require_start(exchange: &Arc<Exchange>) -> PyResult<()> {
    if exchange.started() {
        Ok(())
    } else {
        Err(not_started())
    }
}

fn not_started() -> PyErr {
    PyAssertionError::new_err("the app answered without calling start_response")
}

/// PEP 3333: `close` is called once however the request ended.
fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    // These have none, and to look for it would cost the making of an AttributeError.
    let is_plain = result.is_exact_instance_of::<PyList>()
        || result.is_exact_instance_of::<PyTuple>()
        || result.is_exact_instance_of::<PyBytes>();
    if is_plain {
        return Ok(());
    }
    let py = result.py();
    if let Some(close) = result.getattr_opt(intern!(py, "close"))? {
        close.call0()?;
    }
    Ok(())
}

/// `GET /blog raised`
fn context(exchange: &Exchange) -> String {
    let var = |name: &[u8]| {
        exchange
            .var(name)
            .unwrap_or_default()
            .escape_ascii()
            .to_string()
    };
    let mut uri = var(b"REQUEST_URI");
    if uri.is_empty() {
        uri = var(b"PATH_INFO");
    }
    format!("{} {uri} raised", var(b"REQUEST_METHOD"))
}
