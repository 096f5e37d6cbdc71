//! Python's exceptions as text for the log and the master.

use imperator_core::message::MAX_TEXT;
use pyo3::prelude::*;

/// The whole traceback as Python prints it, cut in its middle to what a message may hold.
pub(crate) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let lines = py.import("traceback").and_then(|module| {
        module.call_method1(
            "format_exception",
            (error.get_type(py), error.value(py), app_frames(py, error)),
        )
    });
    let text = match lines.and_then(|lines| lines.extract::<Vec<String>>()) {
        Ok(lines) => lines.concat(),
        Err(_) => error.to_string(),
    };
    cut(text)
}

/// Logs an exception of the app below a line that says where it happened.
pub(crate) fn report(py: Python<'_>, error: &PyErr, context: &str) {
    let text = format!("{context}\n{}", traceback(py, error));
    let written = py.import("sys").and_then(|sys| {
        let stream = sys.getattr("stderr")?;
        stream.call_method1("write", (&text,))?;
        stream.call_method0("flush")
    });
    if written.is_err() {
        crate::log::line(&text);
    }
}

/// The traceback without the import machinery's frames above the app's first one.
fn app_frames<'py>(py: Python<'py>, error: &PyErr) -> Option<Bound<'py, PyAny>> {
    let mut next = error.traceback(py).map(Bound::into_any);
    while let Some(frame) = &next {
        let code = frame
            .getattr("tb_frame")
            .and_then(|at| at.getattr("f_code"));
        let file: String = code.ok()?.getattr("co_filename").ok()?.extract().ok()?;
        let is_import =
            file.starts_with("<frozen importlib") || file.ends_with("/importlib/__init__.py");
        if !is_import {
            break;
        }
        let after = frame.getattr("tb_next").ok()?;
        next = (!after.is_none()).then_some(after);
    }
    next
}

/// The start tells where, the end tells what.
fn cut(text: String) -> String {
    const HEAD: usize = MAX_TEXT / 4;
    if text.len() <= MAX_TEXT {
        return text;
    }
    let head = text.floor_char_boundary(HEAD);
    let tail = text.ceil_char_boundary(text.len() - (MAX_TEXT - HEAD - 64));
    format!(
        "{}\n[… {} bytes cut …]\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
}
