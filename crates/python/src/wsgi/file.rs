//! `wsgi.file_wrapper`: a file as an iterable, sent by sendfile(2) where that is the same.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use imperator_worker::{Exchange, WriteError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};

use super::{Gil, written};

#[pyclass(frozen, module = "imperator_python")]
pub(super) struct FileWrapper {
    file: Py<PyAny>,
    block_size: Py<PyAny>,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (file, block_size=None, /))]
    fn new(py: Python<'_>, file: Py<PyAny>, block_size: Option<Py<PyAny>>) -> PyResult<Self> {
        let block_size = match block_size {
            Some(size) => size,
            None => 32768_u32.into_pyobject(py)?.into_any().unbind(),
        };
        Ok(Self { file, block_size })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self
            .file
            .bind(py)
            .call_method1(intern!(py, "read"), (&self.block_size,))?;
        Ok(block.is_truthy()?.then_some(block))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(close) = self.file.bind(py).getattr_opt(intern!(py, "close"))? {
            close.call0()?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.file)?;
        visit.call(&self.block_size)
    }
}

impl FileWrapper {
    /// Sends the file from its position. `false`: it must be read; nothing was sent.
    pub(super) fn send(&self, py: Python<'_>, exchange: &Arc<Exchange>) -> PyResult<bool> {
        if !exchange.started() {
            return Ok(false);
        }
        let Some((file, offset)) = self.plain_file(py)? else {
            return Ok(false);
        };
        match exchange.send_file(&Gil, std::os::fd::AsFd::as_fd(&file), offset, None) {
            Ok(_) => Ok(true),
            Err(WriteError::File(_)) if !exchange.head_sent() => Ok(false),
            Err(error) => written(Err(error)).map(|()| true),
        }
    }

    /// The file's descriptor and position, when what `read` would give is what the descriptor
    /// gives: exactly Python's own binary readers, on a regular file. A subclass, a socket, a
    /// decompressing reader are read.
    fn plain_file(&self, py: Python<'_>) -> PyResult<Option<(OwnedFd, u64)>> {
        static BUFFERED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        static RAW: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let file = self.file.bind(py);
        let raw = RAW.import(py, "io", "FileIO")?;
        let is_plain = file.get_type().is(raw)
            || (file
                .get_type()
                .is(BUFFERED.import(py, "io", "BufferedReader")?)
                && file.getattr(intern!(py, "raw"))?.get_type().is(raw));
        if !is_plain {
            return Ok(None);
        }
        let fd: i32 = file.call_method0(intern!(py, "fileno"))?.extract()?;
        // SAFETY: the file object, which we hold, owns the descriptor and is open: `fileno` raises
        // for a closed one, and nothing runs Python code before the copy below.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        // A copy: another thread of the app may close its own while we wait for the client.
        let Ok(copy) = fd.try_clone_to_owned() else {
            return Ok(None);
        };
        let copy = std::fs::File::from(copy);
        if !copy.metadata().is_ok_and(|found| found.is_file()) {
            return Ok(None);
        }
        let offset: u64 = file.call_method0(intern!(py, "tell"))?.extract()?;
        Ok(Some((copy.into(), offset)))
    }
}
