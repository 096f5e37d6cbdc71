//! The extension that the app's own interpreter loads: it imports the WSGI app, forks workers from
//! a mold, and serves requests through `imperator_worker`. The only crate that knows Python.
//!
//! [`imperator_python::main`] is called by `crates/master/src/boot.py` and returns the exit code.
//! Nothing here links libpython, and no panic unwinds into the interpreter uncaught: pyo3 turns
//! one into a `PanicException`.

use pyo3::prelude::*;

mod callable;
mod errors;
mod gevent;
mod hooks;
mod interpreter;
mod line;
mod load;
mod log;
mod modules;
mod mold;
mod overdue;
mod place;
mod ready;
mod run;
mod stray;
mod title;
mod uwsgi;
mod virtualenv;
mod worker;
mod wsgi;

#[pymodule]
mod imperator_python {
    use super::{PyResult, Python, pyfunction};

    /// Serves the app of the Setup that the master sends on descriptor 3.
    #[pyfunction]
    fn main(py: Python<'_>) -> PyResult<i32> {
        Ok(crate::run::run(py))
    }
}
