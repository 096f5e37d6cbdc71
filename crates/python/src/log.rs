//! Lines for the app's log, on descriptor 2.

use std::io::Write;

use pyo3::prelude::*;

/// Writes one line. A log that is gone is no reason to fail, where `eprintln!` would panic.
pub(crate) fn line(text: &str) {
    let mut whole = String::with_capacity(text.len() + 1);
    whole.push_str(text);
    if !text.ends_with('\n') {
        whole.push('\n');
    }
    let _ = std::io::stderr().write_all(whole.as_bytes());
}

/// Ends this process without the interpreter's finalisation, which would wait for the app's
/// threads and run its atexit hooks; what the app printed is flushed.
pub(crate) fn end(py: Python<'_>, code: i32) -> ! {
    if let Ok(sys) = py.import("sys") {
        for name in ["stdout", "stderr"] {
            let _ = sys
                .getattr(name)
                .and_then(|stream| stream.call_method0("flush"));
        }
    }
    // SAFETY: ends the process; nothing of it is used after.
    unsafe { libc::_exit(code) }
}
