//! Native strings of PEP 3333 ("Unicode Issues"): each byte is the character of its number.

use std::ffi::c_char;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

unsafe extern "C" {
    /// Of the stable ABI since 3.10, which is why pyo3 hides it from a build for 3.9; that has the
    /// same function.
    fn PyUnicode_AsUTF8AndSize(text: *mut PyObject, size: *mut Py_ssize_t) -> *const c_char;
}

/// Bytes as a str.
pub(super) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = isize::try_from(bytes.len()).unwrap_or(isize::MAX);
    // SAFETY: the pointer is valid for `length` bytes, and NULL errors means "strict", which
    // Latin-1 never needs. The interpreter is held: `py`.
    let text =
        unsafe { ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null()) };
    // SAFETY: a new reference, or NULL with an exception set.
    let text = unsafe { Bound::from_owned_ptr_or_err(py, text) }?;
    // SAFETY: PyUnicode_DecodeLatin1 makes a str.
    Ok(unsafe { text.cast_into_unchecked() })
}

/// A str as bytes. Those of an ASCII str are where the str has them.
pub(super) struct Latin1<'py> {
    /// What owns the bytes: the str, or a bytes object. Neither ever changes.
    _owner: Bound<'py, PyAny>,
    start: *const u8,
    length: usize,
}

impl<'py> Latin1<'py> {
    /// # Errors
    /// TypeError, or UnicodeEncodeError when a character has no byte. `what` it is, for a person.
    pub(super) fn of(text: &Bound<'py, PyAny>, what: &str) -> PyResult<Self> {
        let Ok(text) = text.cast::<PyString>() else {
            let kind = text.get_type();
            return Err(PyTypeError::new_err(format!(
                "{what} must be str, not {kind}"
            )));
        };
        match Self::ascii(text) {
            Some(bytes) => Ok(bytes),
            None => Self::encoded(text),
        }
    }

    /// Where UTF-8 has one byte for each character, they are ASCII.
    fn ascii(text: &Bound<'py, PyString>) -> Option<Self> {
        let mut size = 0;
        // SAFETY: `text` is a str, the interpreter is held, and `size` outlives the call.
        let start = unsafe { PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut size) };
        if start.is_null() {
            // A surrogate: the encoding below says it as PEP 3333 has it.
            drop(PyErr::take(text.py()));
            return None;
        }
        // SAFETY: `text` is a str, and the interpreter is held.
        let characters = unsafe { ffi::PyUnicode_GetLength(text.as_ptr()) };
        (characters == size).then(|| Self {
            _owner: text.clone().into_any(),
            start: start.cast(),
            length: usize::try_from(size).unwrap_or(0),
        })
    }

    fn encoded(text: &Bound<'py, PyString>) -> PyResult<Self> {
        // SAFETY: `text` is a str, and the interpreter is held.
        let bytes = unsafe { ffi::PyUnicode_AsLatin1String(text.as_ptr()) };
        // SAFETY: a new reference, or NULL with UnicodeEncodeError set.
        let bytes = unsafe { Bound::from_owned_ptr_or_err(text.py(), bytes) }?;
        let bytes = bytes.cast_into::<PyBytes>()?;
        let (start, length) = (bytes.as_bytes().as_ptr(), bytes.as_bytes().len());
        Ok(Self {
            _owner: bytes.into_any(),
            start,
            length,
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes of the object that `_owner` keeps alive, which never change.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}
