//! Sets the interpreter up as the app expects it under uWSGI: `sys.path`, the standard streams.

use imperator_core::settings::Settings;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};

/// Before the app is imported, after chdir.
///
/// # Errors
/// Any Python error: an interpreter whose `sys` is not as usual.
pub(crate) fn prepare(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    extend_path(py, settings)?;
    let sys = py.import(intern!(py, "sys"))?;
    let python = &settings.interpreter;
    if !python.argv.is_empty() {
        sys.getattr("argv")?
            .call_method1("extend", (&python.argv,))?;
    }
    if let Some(executable) = &python.executable {
        sys.setattr("executable", executable)?;
    }
    for name in ["stdout", "stderr"] {
        set_stream(py, name)?;
    }
    Ok(())
}

/// A module of ours that is written in Python. It stands in no `sys.modules`.
///
/// # Errors
/// A mistake in it.
pub(crate) fn helper<'py>(
    py: Python<'py>,
    name: &str,
    source: &str,
) -> PyResult<Bound<'py, PyModule>> {
    let module = PyModule::new(py, name)?;
    let builtins = py.import("builtins")?;
    let file = format!("<{name}>");
    let code = builtins.call_method1("compile", (source, file, "exec"))?;
    builtins.call_method1("exec", (code, module.dict()))?;
    Ok(module)
}

/// The original's order: each `pythonpath` goes to the front, so the last comes first; then the
/// working directory; then what the interpreter has by itself.
fn extend_path(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    let path = py.import(intern!(py, "sys"))?.getattr("path")?;
    let path = path.cast::<PyList>()?;
    // Absolute, where the original has ".": a module that is imported late is still found after
    // the app has changed its directory.
    match std::env::current_dir() {
        Ok(directory) => path.insert(0, directory.into_os_string())?,
        Err(_) => path.insert(0, ".")?,
    }
    for entry in &settings.pythonpath {
        for found in expand(py, entry)? {
            path.insert(0, found)?;
        }
    }
    Ok(())
}

/// A `pythonpath` is a glob, as in the original; one that matches nothing stands for itself.
fn expand<'py>(py: Python<'py>, entry: &std::path::Path) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let is_glob = entry
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|byte| b"*?[".contains(byte));
    let entry = entry.as_os_str().into_pyobject(py)?.into_any();
    if is_glob {
        let found = py
            .import("glob")?
            .call_method1("glob", (&entry,))?
            .extract::<Vec<Bound<'py, PyAny>>>()?;
        if !found.is_empty() {
            let sorted = PyList::new(py, found)?;
            sorted.sort()?;
            return Ok(sorted.iter().collect());
        }
    }
    Ok(vec![entry])
}

/// Line by line into the log, and no character of the app can make a `print` fail.
fn set_stream(py: Python<'_>, name: &str) -> PyResult<()> {
    let stream = py.import(intern!(py, "sys"))?.getattr(name)?;
    if stream.is_none() {
        return Ok(());
    }
    let options = PyDict::new(py);
    options.set_item("encoding", "utf-8")?;
    options.set_item("errors", "backslashreplace")?;
    options.set_item("line_buffering", true)?;
    stream.call_method("reconfigure", (), Some(&options))?;
    Ok(())
}
