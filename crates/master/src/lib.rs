//! One app: its sockets, its generations of workers, its back-off. One thread, no app code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use imperator_core::message::Start;

/// `imperator master NAME`: the channel to the emperor is descriptor 3, its first message `Start`.
pub fn under_emperor(_name: &str) -> ExitCode {
    ExitCode::FAILURE
}

/// A master of its own in the foreground: `imperator app.ini`. `start.runtime` exists and is ours.
pub fn alone(_start: Start) -> ExitCode {
    ExitCode::FAILURE
}
