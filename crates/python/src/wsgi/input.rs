//! `wsgi.input`: the request's body as a file. It ends at the end of the body.

use std::sync::{Arc, Mutex, PoisonError};

use imperator_worker::{BodyError, Exchange};
use pyo3::exceptions::{PyConnectionResetError, PyOSError, PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::Gil;
use crate::gevent;

/// Bytes asked of the connection at once.
const CHUNK: usize = 64 * 1024;

#[pyclass(frozen, module = "imperator_python")]
pub(super) struct Input {
    exchange: Arc<Exchange>,
    /// Taken out while a method runs, because a wait for the client releases the interpreter and
    /// another thread may come in; it never waits for this lock with the interpreter held.
    body: Mutex<Option<Body>>,
}

/// What came and was not handed out yet.
struct Body {
    ahead: Vec<u8>,
    /// Where in `ahead` the next byte is.
    at: usize,
    /// Bytes that the connection still owes; `None` for a chunked body.
    owed: Option<u64>,
    ended: bool,
}

impl Input {
    pub(super) fn new(exchange: &Arc<Exchange>) -> Self {
        Self {
            exchange: Arc::clone(exchange),
            body: Mutex::new(Some(Body {
                ahead: Vec::new(),
                at: 0,
                owed: (!exchange.is_chunked()).then(|| exchange.content_length()),
                ended: false,
            })),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Body, &Exchange) -> PyResult<T>) -> PyResult<T> {
        let taken = self.lock().take();
        let Some(mut body) = taken else {
            return Err(PyRuntimeError::new_err(
                "another thread reads this wsgi.input",
            ));
        };
        let result = act(&mut body, &self.exchange);
        *self.lock() = Some(body);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Body>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.with(|body, exchange| body.read(py, exchange, limit(size)))
    }

    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        self.with(|body, exchange| body.line(py, exchange, limit(size)))
    }

    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        // As io.IOBase: 0 means no limit too.
        let hint = limit(hint.filter(|&hint| hint != 0));
        self.with(|body, exchange| {
            let lines = PyList::empty(py);
            let mut total = 0;
            while total < hint {
                let line = body.line(py, exchange, usize::MAX)?;
                if line.as_bytes().is_empty() {
                    break;
                }
                total += line.as_bytes().len();
                lines.append(line)?;
            }
            Ok(lines)
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.with(|body, exchange| body.line(py, exchange, usize::MAX))?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    /// Some frameworks close what they have read; the connection is not theirs.
    #[expect(clippy::unused_self, reason = "a method of the file interface")]
    fn close(&self) {}
}

/// `None` and negative numbers mean everything.
fn limit(size: Option<i64>) -> usize {
    size.and_then(|size| usize::try_from(size).ok())
        .unwrap_or(usize::MAX)
}

impl Body {
    /// Exactly `size` bytes, or what there is until the end.
    fn read<'py>(
        &mut self,
        py: Python<'py>,
        exchange: &Exchange,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        if size <= self.ready() {
            return Ok(self.hand_out(py, size));
        }
        let wanted = match self.owed {
            Some(owed) => {
                let owed = usize::try_from(owed).unwrap_or(usize::MAX);
                size.min(self.ready().saturating_add(owed))
            }
            None => size,
        };
        if self.owed.is_some() && wanted > CHUNK {
            return self.read_large(py, exchange, wanted);
        }
        while self.ready() < wanted && self.more(exchange, wanted - self.ready())? {}
        Ok(self.hand_out(py, wanted.min(self.ready())))
    }

    /// Straight into the object that the app gets, so that a large body is in memory once.
    fn read_large<'py>(
        &mut self,
        py: Python<'py>,
        exchange: &Exchange,
        wanted: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let length = isize::try_from(wanted).unwrap_or(isize::MAX);
        // SAFETY: NULL asks for an object with uninitialised content, which only we know yet.
        let object = unsafe { pyo3::ffi::PyBytes_FromStringAndSize(std::ptr::null(), length) };
        // SAFETY: a new reference, or NULL with MemoryError set.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
        // SAFETY: `object` is a bytes object.
        let start: *mut u8 = unsafe { pyo3::ffi::PyBytes_AsString(object.as_ptr()) }.cast();
        let mut filled = 0;
        loop {
            let part = &self.ahead[self.at..];
            let part = &part[..part.len().min(wanted - filled)];
            // SAFETY: `filled + part.len()` never passes `wanted`, the object's size.
            let target = unsafe { start.add(filled) };
            // SAFETY: both are valid for `part.len()` bytes, and a fresh object overlaps nothing.
            unsafe { target.copy_from_nonoverlapping(part.as_ptr(), part.len()) };
            filled += part.len();
            self.at += part.len();
            if filled == wanted {
                break;
            }
            if !self.more(exchange, CHUNK.min(wanted - filled))? {
                // SAFETY: `filled` bytes from `start` were written.
                let got = unsafe { std::slice::from_raw_parts(start, filled) };
                return Ok(PyBytes::new(py, got));
            }
        }
        // SAFETY: PyBytes_FromStringAndSize makes a bytes object; all of it is written.
        Ok(unsafe { object.cast_into_unchecked() })
    }

    /// Up to and with the next newline, at most `size` bytes.
    fn line<'py>(
        &mut self,
        py: Python<'py>,
        exchange: &Exchange,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut searched = 0;
        loop {
            let ready = &self.ahead[self.at..];
            if let Some(place) = ready[searched..].iter().position(|&byte| byte == b'\n') {
                return Ok(self.hand_out(py, (searched + place + 1).min(size)));
            }
            searched = ready.len();
            if searched >= size || !self.more(exchange, CHUNK)? {
                return Ok(self.hand_out(py, searched.min(size)));
            }
        }
    }

    /// Bytes that came and were not handed out.
    fn ready(&self) -> usize {
        self.ahead.len() - self.at
    }

    fn hand_out<'py>(&mut self, py: Python<'py>, length: usize) -> Bound<'py, PyBytes> {
        let bytes = PyBytes::new(py, &self.ahead[self.at..self.at + length]);
        self.at += length;
        bytes
    }

    /// Gets at least one byte more, at most `at_most`. `false`: the body has ended.
    fn more(&mut self, exchange: &Exchange, at_most: usize) -> PyResult<bool> {
        if self.at > 0 {
            self.ahead.drain(..self.at);
            self.at = 0;
        }
        let at_most = match self.owed {
            Some(owed) => at_most.min(usize::try_from(owed).unwrap_or(usize::MAX)),
            None => at_most,
        };
        if self.ended || at_most == 0 {
            return Ok(false);
        }
        match exchange.read(&Gil, &mut self.ahead, at_most) {
            Ok(0) => {
                self.ended = true;
                Ok(false)
            }
            Ok(came) => {
                if let Some(owed) = &mut self.owed {
                    *owed = owed.saturating_sub(came as u64);
                }
                Ok(true)
            }
            Err(error) => Err(raised(error)),
        }
    }
}

fn raised(error: BodyError) -> PyErr {
    if let (BodyError::TimedOut { .. }, Err(interrupted)) = (error, gevent::interrupted()) {
        return interrupted;
    }
    let text = error.to_string();
    match error {
        BodyError::Busy => PyRuntimeError::new_err(text),
        BodyError::TimedOut { .. } => PyTimeoutError::new_err(text),
        BodyError::Gone { .. } => PyConnectionResetError::new_err(text),
        BodyError::Ended | BodyError::Malformed | BodyError::TooBig { .. } => {
            PyOSError::new_err(text)
        }
    }
}
