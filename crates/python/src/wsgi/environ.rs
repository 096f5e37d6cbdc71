//! The environ dict of a request: a copy of a template with what never changes, and the request's
//! variables under keys that are made once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use imperator_core::settings::Settings;
use imperator_core::settings::trust::Peer;
use imperator_worker::Exchange;
use imperator_worker::mount::{Rules, route};
use imperator_worker::same;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::latin1::latin1;
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
    /// Whose X-Forwarded-Proto counts; empty without the option.
    trusted: Vec<Peer>,
}

/// Every name seen, with the value it had last: most values are the same in the next request.
#[derive(Default)]
struct Names {
    known: Vec<Name>,
    by_bytes: HashMap<Box<[u8]>, usize>,
    /// Which name stood at each place of the last request: front ends keep their order.
    order: Vec<usize>,
    /// The last request's dict without what is that request's alone. A copy of it is one
    /// allocation of the right size, where a dict that grows is several.
    last: Option<Last>,
}

struct Last {
    environ: Py<PyDict>,
    values: Values,
    is_https: bool,
    /// Of its names, see [`Exchange::shape`].
    shape: u64,
    /// Of its values, too, see [`Exchange::content`].
    content: u64,
}

/// The values of the last request, one behind the other: they are read in this order.
#[derive(Default)]
struct Values {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Values {
    fn keep(&mut self, exchange: &Exchange) {
        self.text.clear();
        self.ends.clear();
        for (_, value) in exchange.vars() {
            self.text.extend_from_slice(value);
            self.ends.push(self.text.len());
        }
    }
}

struct Name {
    bytes: Box<[u8]>,
    /// Its value tells the scheme.
    tells_scheme: bool,
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
        if !settings.interpreter.wsgi.no_file_wrapper {
            template.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
        }
        // `read` ends at the end of the body, with a Content-Length or chunks.
        template.set_item("wsgi.input_terminated", true)?;
        template.set_item("uwsgi.version", PyBytes::new(py, UWSGI_VERSION))?;
        template.set_item("uwsgi.node", PyBytes::new(py, &host_name()))?;
        if settings.cores() > 1 {
            template.set_item("uwsgi.core", core)?;
        }
        Ok(Self {
            template: template.unbind(),
            names: RefCell::default(),
            trusted: settings.http.trusted.clone(),
        })
    }

    /// A fresh dict, which the app may keep and change.
    pub(super) fn build<'py>(
        &self,
        py: Python<'py>,
        exchange: &Arc<Exchange>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = {
            let mut names = self.names.borrow_mut();
            match names.build_like_last(py, exchange) {
                Ok(Some(environ)) => environ,
                Ok(None) => names.build(py, self.template.bind(py), exchange)?,
                Err(error) => {
                    // It may be half of this request's.
                    names.last = None;
                    return Err(error);
                }
            }
        };
        if !self.trusted.is_empty()
            && let Some(scheme) = self.forwarded(exchange)
        {
            environ.set_item(intern!(py, "wsgi.url_scheme"), scheme)?;
        }
        environ.set_item(
            intern!(py, "wsgi.input"),
            Bound::new(py, Input::new(exchange))?,
        )?;
        Ok(environ)
    }

    /// The scheme that a trusted peer names; of several, the one that it added itself.
    fn forwarded(&self, exchange: &Exchange) -> Option<&'static str> {
        let peer = exchange.var(b"REMOTE_ADDR").unwrap_or_default();
        let named = exchange.var(b"HTTP_X_FORWARDED_PROTO")?;
        let named = named.rsplit(|&byte| byte == b',').next()?.trim_ascii();
        let is_trusted = self.trusted.iter().any(|trusted| trusted.is(peer));
        match (is_trusted, named) {
            (true, b"https") => Some("https"),
            (true, b"http") => Some("http"),
            (true | false, _) => None,
        }
    }

    /// Which app the request is for; SCRIPT_NAME and PATH_INFO are made as that app expects them.
    pub(super) fn route(
        &self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        exchange: &Exchange,
        apps: &[Mounted],
        rules: Rules,
    ) -> PyResult<Option<usize>> {
        let found = route(
            apps,
            rules,
            exchange.var(b"SCRIPT_NAME").unwrap_or_default(),
            exchange.var(b"PATH_INFO").unwrap_or_default(),
        );
        environ.set_item(intern!(py, "SCRIPT_NAME"), latin1(py, found.script_name)?)?;
        environ.set_item(intern!(py, "PATH_INFO"), latin1(py, found.path_info)?)?;
        Ok(found.mount)
    }
}

impl Names {
    /// The environ of a request with the same variables in the same order as the last one's:
    /// only values that differ are set.
    fn build_like_last<'py>(
        &mut self,
        py: Python<'py>,
        exchange: &Exchange,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(last) = &mut self.last else {
            return Ok(None);
        };
        let content = exchange.content();
        if content != 0 && content == last.content {
            return last.environ.bind(py).copy().map(Some);
        }
        let shape = exchange.shape();
        if shape == 0 || shape != last.shape {
            let expected = self.order.iter().map(|&index| &*self.known[index].bytes);
            if !exchange.vars().map(|(name, _)| name).eq(expected) {
                return Ok(None);
            }
            last.shape = shape;
        }
        let kept = last.environ.bind(py);
        let (mut differs, mut scheme_may_differ) = (false, false);
        let mut start = 0;
        for ((place, &end), (_, value)) in last.values.ends.iter().enumerate().zip(exchange.vars())
        {
            if !same(&last.values.text[start..end], value) {
                let known = &mut self.known[self.order[place]];
                (differs, scheme_may_differ) = (true, scheme_may_differ | known.tells_scheme);
                let text = known.text(py, value)?;
                kept.set_item(known.key.bind(py), text)?;
            }
            start = end;
        }
        last.content = content;
        if differs {
            last.values.keep(exchange);
        }
        if scheme_may_differ {
            let scheme = Scheme::of(exchange);
            if scheme.is_https() != last.is_https {
                last.is_https = scheme.is_https();
                kept.set_item(intern!(py, "wsgi.url_scheme"), scheme.text(py))?;
            }
        }
        kept.copy().map(Some)
    }

    fn build<'py>(
        &mut self,
        py: Python<'py>,
        template: &Bound<'py, PyDict>,
        exchange: &Exchange,
    ) -> PyResult<Bound<'py, PyDict>> {
        // Until it is complete there is nothing to be like.
        self.last = None;
        let environ = template.copy()?;
        let scheme = Scheme::of(exchange);
        let mut count = 0;
        let mut is_known = true;
        for (name, value) in exchange.vars() {
            match self.find(py, count, name)? {
                Some(index) => {
                    let known = &mut self.known[index];
                    let text = known.text(py, value)?;
                    environ.set_item(known.key.bind(py), text)?;
                }
                None => {
                    is_known = false;
                    environ.set_item(latin1(py, name)?, latin1(py, value)?)?;
                }
            }
            count += 1;
        }
        environ.set_item(intern!(py, "wsgi.url_scheme"), scheme.text(py))?;
        if is_known {
            self.order.truncate(count);
            let mut values = Values::default();
            values.keep(exchange);
            self.last = Some(Last {
                environ: environ.copy()?.unbind(),
                values,
                is_https: scheme.is_https(),
                shape: exchange.shape(),
                content: exchange.content(),
            });
        }
        Ok(environ)
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
                    tells_scheme: Scheme::NAMES.contains(&name),
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

impl Name {
    /// The value as text; the one of the last request when it is the same.
    fn text<'py>(&mut self, py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some((bytes, text)) = &self.last
            && **bytes == *value
        {
            return Ok(text.bind(py).clone());
        }
        let text = latin1(py, value)?;
        self.last = (value.len() <= MAX_REMEMBERED).then(|| (value.into(), text.clone().unbind()));
        Ok(text)
    }
}

/// What the front end says of its client's connection. `X-Forwarded-Proto` is the client's word.
#[derive(Default)]
struct Scheme {
    is_https: bool,
    /// `UWSGI_SCHEME`, the last word.
    named: Option<bool>,
}

impl Scheme {
    /// What [`Scheme::learn`] looks at.
    const NAMES: [&[u8]; 3] = [b"HTTPS", b"REQUEST_SCHEME", b"UWSGI_SCHEME"];

    fn of(exchange: &Exchange) -> Self {
        let mut scheme = Self::default();
        for (name, value) in exchange.vars() {
            scheme.learn(name, value);
        }
        scheme
    }

    fn learn(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"HTTPS" => self.is_https |= matches!(value, b"on" | b"1"),
            b"REQUEST_SCHEME" => self.is_https |= value == b"https",
            b"UWSGI_SCHEME" => self.named = Some(value == b"https"),
            _ => (),
        }
    }

    fn is_https(&self) -> bool {
        self.named.unwrap_or(self.is_https)
    }

    fn text<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        if self.is_https() {
            intern!(py, "https")
        } else {
            intern!(py, "http")
        }
    }
}

fn host_name() -> Vec<u8> {
    let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_ascii().to_vec()
}
