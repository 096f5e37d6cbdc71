//! `start_response` and `write`.

use std::sync::Arc;

use imperator_core::settings::Settings;
use imperator_worker::{Exchange, StartError, WriteError};
use pyo3::exceptions::{PyAssertionError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::latin1::Latin1;
use super::{Gil, written};

/// The callable that an app gets with each request.
#[pyclass(frozen, module = "imperator_python")]
pub(super) struct StartResponse {
    exchange: Arc<Exchange>,
    write_exception: bool,
    early_head: bool,
}

/// What `start_response` returns.
#[pyclass(frozen, module = "imperator_python")]
struct Write {
    exchange: Arc<Exchange>,
    write_exception: bool,
}

impl StartResponse {
    pub(super) fn new(exchange: &Arc<Exchange>, settings: &Settings) -> Self {
        Self {
            exchange: Arc::clone(exchange),
            write_exception: settings.write_exception,
            early_head: settings.interpreter.wsgi.early_head,
        }
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info=None, /))]
    fn __call__(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Write> {
        if let Some(exc_info) = exc_info
            && self.exchange.head_sent()
        {
            return Err(original_error(exc_info)?);
        }
        let status = Latin1::of(status, "the status")?;
        let headers = headers.cast::<PyList>().map_err(|_| {
            let kind = headers.get_type();
            PyTypeError::new_err(format!("headers must be a list, not {kind}"))
        })?;
        let mut fields = Vec::with_capacity(headers.len());
        for header in headers.iter() {
            fields.push(field(&header)?);
        }
        let fields: Vec<(&[u8], &[u8])> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .filter(|(name, _)| !is_hop_by_hop(name))
            .collect();
        self.exchange
            .start(status.as_bytes(), &fields, exc_info.is_some())
            .map_err(|error| raised(&error))?;
        if self.early_head {
            written(self.exchange.send_head(&Gil))?;
        }
        Ok(Write {
            exchange: Arc::clone(&self.exchange),
            write_exception: self.write_exception,
        })
    }
}

#[pymethods]
impl Write {
    fn __call__(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(data) = data.cast::<PyBytes>() else {
            let kind = data.get_type();
            return Err(PyTypeError::new_err(format!(
                "write() needs bytes, not {kind}"
            )));
        };
        match self.exchange.write(&Gil, data.as_bytes()) {
            Err(error @ (WriteError::Gone | WriteError::TimedOut)) if self.write_exception => {
                Err(PyOSError::new_err(error.to_string()))
            }
            result => written(result),
        }
    }
}

/// One header as Latin-1 bytes.
fn field<'py>(header: &Bound<'py, PyAny>) -> PyResult<(Latin1<'py>, Latin1<'py>)> {
    let pair = header.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
    let Some(pair) = pair else {
        let text = header.repr()?.to_string();
        return Err(PyTypeError::new_err(format!(
            "a header must be a tuple (name, value), not {text}"
        )));
    };
    Ok((
        Latin1::of(&pair.get_item(0)?, "a header's name")?,
        Latin1::of(&pair.get_item(1)?, "a header's value")?,
    ))
}

/// PEP 3333 forbids apps these; the connection is the server's. They are left out, where the
/// original passes them on, because a front end may believe them.
fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ];
    NAMES.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// The exception of `exc_info`, to be raised again with its own traceback.
fn original_error(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let py = exc_info.py();
    let (kind, value, traceback): (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>) =
        exc_info.extract()?;
    let value = if value.is_none() {
        kind.call0()?
    } else {
        value
    };
    if !traceback.is_none() {
        value.call_method1(intern!(py, "with_traceback"), (traceback,))?;
    }
    Ok(PyErr::from_value(value))
}

fn raised(error: &StartError) -> PyErr {
    let text = error.to_string();
    match error {
        StartError::Twice | StartError::HeadSent => PyAssertionError::new_err(text),
        StartError::Busy | StartError::Ended => PyRuntimeError::new_err(text),
        StartError::Status
        | StartError::HeaderName(_)
        | StartError::HeaderValue(_)
        | StartError::ContentLength
        | StartError::TooBig => PyValueError::new_err(text),
    }
}
