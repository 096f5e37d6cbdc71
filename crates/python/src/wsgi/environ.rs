//! The environ dict of a request: a copy of a template with what never changes, and the request's
//! variables under keys that are made once.

use std::cell::RefCell;
use std::collections::HashMap;

use imperator_core::settings::Settings;
use imperator_worker::Exchange;
use imperator_worker::mount::route;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::{FileWrapper, Input};
use crate::load::Mounted;

/// The `uwsgi.version` of the interface that apps find here; the original's has a third number.
const UWSGI_VERSION: &[u8] = b"2.0";
/// Names that are remembered; a client chooses the names of headers, so there is a limit.
const MAX_NAMES: usize = 256;
/// Longer values are not remembered.
const MAX_REMEMBERED: usize = 128;

/// What one app thread needs to make environs.
pub(super) struct Environ {
    template: Py<PyDict>,
    names: RefCell<Names>,
}

/// Every name seen, with the value it had last: most values are the same in the next request.
#[derive(Default)]
struct Names {
    known: Vec<Name>,
    by_bytes: HashMap<Box<[u8]>, usize>,
    /// Which name stood at each place of the last request: front ends keep their order.
    order: Vec<usize>,
}

struct Name {
    bytes: Box<[u8]>,
    key: Py<PyString>,
    last: Option<(Box<[u8]>, Py<PyString>)>,
}

impl Environ {
    pub(super) fn new(py: Python<'_>, settings: &Settings, core: usize) -> PyResult<Self> {
        let template = PyDict::new(py);
        // Front ends leave some of these out: Debian's uwsgi_params has no SCRIPT_NAME.
        for name in [
            "SCRIPT_NAME",
            "PATH_INFO",
            "QUERY_STRING",
            "SERVER_NAME",
            "SERVER_PORT",
        ] {
            template.set_item(PyString::intern(py, name), "")?;
        }
        template.set_item("REQUEST_METHOD", "GET")?;
        template.set_item("SERVER_PROTOCOL", "HTTP/1.0")?;
        template.set_item("wsgi.version", (1, 0))?;
        template.set_item("wsgi.url_scheme", "http")?;
        template.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
        template.set_item("wsgi.multithread", settings.threads > 1)?;
        template.set_item("wsgi.multiprocess", settings.processes != 1)?;
        template.set_item("wsgi.run_once", false)?;
        template.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
        // `read` ends at the end of the body, with a Content-Length or chunks.
        template.set_item("wsgi.input_terminated", true)?;
        template.set_item("uwsgi.version", PyBytes::new(py, UWSGI_VERSION))?;
        template.set_item("uwsgi.node", PyBytes::new(py, &host_name()))?;
        if settings.threads > 1 {
            template.set_item("uwsgi.core", core)?;
        }
        Ok(Self {
            template: template.unbind(),
            names: RefCell::default(),
        })
    }

    /// A fresh dict, which the app may keep and change.
    pub(super) fn build<'py>(
        &self,
        py: Python<'py>,
        exchange: &std::sync::Arc<Exchange>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.template.bind(py).copy()?;
        let mut is_https = false;
        let mut scheme = None;
        {
            let mut names = self.names.borrow_mut();
            for (place, (name, value)) in exchange.vars().enumerate() {
                names.set(py, &environ, place, name, value)?;
                match name {
                    b"HTTPS" => is_https |= matches!(value, b"on" | b"1"),
                    b"REQUEST_SCHEME" => is_https |= value == b"https",
                    // The front end's last word.
                    b"UWSGI_SCHEME" => scheme = Some(value == b"https"),
                    _ => (),
                }
            }
        }
        if scheme.unwrap_or(is_https) {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        environ.set_item(
            intern!(py, "wsgi.input"),
            Bound::new(py, Input::new(exchange))?,
        )?;
        Ok(environ)
    }

    /// Which app the request is for; SCRIPT_NAME and PATH_INFO are made as that app expects them.
    pub(super) fn route(
        &self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        exchange: &Exchange,
        apps: &[Mounted],
        manage: bool,
    ) -> PyResult<Option<usize>> {
        let found = route(
            apps,
            manage,
            exchange.var(b"SCRIPT_NAME").unwrap_or_default(),
            exchange.var(b"PATH_INFO").unwrap_or_default(),
        );
        environ.set_item(intern!(py, "SCRIPT_NAME"), latin1(py, found.script_name)?)?;
        environ.set_item(intern!(py, "PATH_INFO"), latin1(py, found.path_info)?)?;
        Ok(found.mount)
    }
}

impl Names {
    fn set(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        place: usize,
        name: &[u8],
        value: &[u8],
    ) -> PyResult<()> {
        let Some(index) = self.find(py, place, name)? else {
            return environ.set_item(latin1(py, name)?, latin1(py, value)?);
        };
        let known = &mut self.known[index];
        if let Some((bytes, text)) = &known.last
            && **bytes == *value
        {
            return environ.set_item(known.key.bind(py), text.bind(py));
        }
        let text = latin1(py, value)?;
        environ.set_item(known.key.bind(py), &text)?;
        if value.len() <= MAX_REMEMBERED {
            known.last = Some((value.into(), text.unbind()));
        }
        Ok(())
    }

    /// `None`: one name too many.
    fn find(&mut self, py: Python<'_>, place: usize, name: &[u8]) -> PyResult<Option<usize>> {
        if let Some(&index) = self.order.get(place)
            && *self.known[index].bytes == *name
        {
            return Ok(Some(index));
        }
        let index = match self.by_bytes.get(name) {
            Some(&index) => index,
            None if self.known.len() >= MAX_NAMES => return Ok(None),
            None => {
                // Dict lookups compare interned names by address.
                let key = match std::str::from_utf8(name) {
                    Ok(name) if name.is_ascii() => PyString::intern(py, name),
                    Ok(_) | Err(_) => latin1(py, name)?,
                };
                let index = self.known.len();
                self.known.push(Name {
                    bytes: name.into(),
                    key: key.unbind(),
                    last: None,
                });
                self.by_bytes.insert(name.into(), index);
                index
            }
        };
        if place < self.order.len() {
            self.order[place] = index;
        } else if place == self.order.len() {
            self.order.push(index);
        }
        Ok(Some(index))
    }
}

/// PEP 3333's native string: each byte is the character of its number.
fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = isize::try_from(bytes.len()).unwrap_or(isize::MAX);
    // SAFETY: the pointer is valid for `length` bytes, and NULL errors means "strict", which
    // Latin-1 never needs. The interpreter is held: `py`.
    let text = unsafe {
        pyo3::ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null())
    };
    // SAFETY: a new reference, or NULL with an exception set.
    let text = unsafe { Bound::from_owned_ptr_or_err(py, text) }?;
    // SAFETY: PyUnicode_DecodeLatin1 makes a str.
    Ok(unsafe { text.cast_into_unchecked() })
}

fn host_name() -> Vec<u8> {
    let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_ascii().to_vec()
}
