//! Picks the WSGI app out of a module that was loaded: a name, names with dots between them, or a
//! factory that is called. What cannot be one is refused here, not with a 500 for each request.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// Of a code object's `co_flags`.
const VARARGS: u32 = 0x04;
const COROUTINE: u32 = 0x80;
const ASYNC_GENERATOR: u32 = 0x200;

/// Why there is no app.
pub(crate) enum Refused {
    /// The app's code raised this.
    Raised(PyErr),
    /// The module lacks the name.
    Lacks(String),
    Because(String),
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

pub(crate) fn pick(module: &Bound<'_, PyAny>, callable: &str) -> Result<Py<PyAny>, Refused> {
    let callable = callable.trim();
    let (name, is_factory) = match callable.strip_suffix("()") {
        Some(name) => (name, true),
        None => (callable, false),
    };
    if let Some((factory, _)) = name.split_once('(') {
        let module = module.getattr(intern!(module.py(), "__name__"))?;
        return Err(Refused::Because(format!(
            "\"{callable}\" is no name: a factory is called without arguments, as {factory}(); with \
             arguments set eval = from {module} import {factory}; application = {callable}"
        )));
    }
    let mut found = module.clone();
    for part in name.split('.') {
        let Some(next) = found.getattr_opt(part)? else {
            return Err(Refused::Lacks(lacks(module, name)));
        };
        found = next;
    }
    if is_factory {
        if is_async(&found) {
            return Err(Refused::Because(format!(
                "the factory \"{name}\" is async def, and nothing here awaits what it returns: make it \
                 a plain def"
            )));
        }
        found = found.call0()?;
    }
    if !found.is_callable() {
        let kind = found.get_type().name()?;
        return Err(Refused::Because(format!(
            "\"{callable}\" is no WSGI app but of type {kind}"
        )));
    }
    if is_async(&found) {
        return Err(Refused::Because(format!(
            "\"{callable}\" is an ASGI app (async def), and WSGI is served here: name the framework's \
             WSGI app, or wrap this one, as a2wsgi.ASGIMiddleware does"
        )));
    }
    if let Some(takes) = wrong_arguments(&found) {
        let factory = match takes.least {
            0 if !is_factory => format!("; if it is a factory, set callable = {name}()"),
            _ => String::new(),
        };
        return Err(Refused::Because(format!(
            "\"{callable}\" takes {}, and a WSGI app is called with two, environ and \
             start_response{factory}",
            takes.text
        )));
    }
    Ok(found.unbind())
}

/// Of a function or a method; of an object by its class.
fn is_async(found: &Bound<'_, PyAny>) -> bool {
    let flags = |of: &Bound<'_, PyAny>| {
        let code = of.getattr(intern!(of.py(), "__code__")).ok()?;
        let flags = code.getattr(intern!(of.py(), "co_flags")).ok()?;
        flags.extract::<u32>().ok()
    };
    let own = flags(found).or_else(|| {
        let call = found.get_type().getattr(intern!(found.py(), "__call__"));
        flags(&call.ok()?)
    });
    own.is_some_and(|flags| flags & (COROUTINE | ASYNC_GENERATOR) != 0)
}

struct Takes {
    least: usize,
    text: String,
}

/// What a plain function takes, if that is not two. Of all else only a call tells.
fn wrong_arguments(found: &Bound<'_, PyAny>) -> Option<Takes> {
    let py = found.py();
    let kind: Bound<'_, PyString> = found.get_type().name().ok()?;
    if kind.to_string_lossy() != "function" {
        return None;
    }
    let code = found.getattr(intern!(py, "__code__")).ok()?;
    let most: usize = code.getattr("co_argcount").ok()?.extract().ok()?;
    let flags: u32 = code.getattr("co_flags").ok()?.extract().ok()?;
    let defaults = found.getattr("__defaults__").ok()?;
    let defaults = defaults.cast::<PyTuple>().map_or(0, |it| it.len());
    let least = most - defaults.min(most);
    let any_more = flags & VARARGS != 0;
    if least <= 2 && (most >= 2 || any_more) {
        return None;
    }
    let text = match (least, most) {
        (0, 0) => "no arguments".to_owned(),
        (1, 1) => "one argument".to_owned(),
        (least, most) if least == most => format!("{most} arguments"),
        (least, most) => format!("{least} to {most} arguments"),
    };
    Some(Takes { least, text })
}

fn lacks(module: &Bound<'_, PyAny>, name: &str) -> String {
    let place = match module.getattr("__file__") {
        Ok(file) => file.to_string(),
        Err(_) => "the code of eval".to_owned(),
    };
    let usual = ["application", "app", "wsgi_app", "wsgi", "api"];
    let factories = ["create_app", "make_app", "create_application", "get_app"];
    let has = |other: &&str| {
        let found = module.getattr(*other);
        *other != name && found.is_ok_and(|found| found.is_callable())
    };
    if let Some(other) = usual.into_iter().find(has) {
        return format!("{place} has no \"{name}\"; it has \"{other}\": set callable = {other}");
    }
    match factories.into_iter().find(has) {
        Some(other) => {
            format!("{place} has no \"{name}\"; it has \"{other}\": set callable = {other}()")
        }
        None => format!("{place} has no \"{name}\""),
    }
}
