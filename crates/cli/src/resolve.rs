//! `imperator resolve ARGS…`: reads a config and prints `Resolved` as JSON, in a process of its own.

use std::ffi::OsString;
use std::process::ExitCode;

/// `arguments` are uWSGI's command-line syntax, without `resolve` itself.
pub(crate) fn run(_arguments: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}
