//! The extension that the interpreters load: opened once per master, so that all its workers are
//! of one build, and the app's user needs no rights on the path.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use imperator_core::message::Failure;
use imperator_core::why::CauseId;

use crate::failure;

const NAME: &str = "libimperator_python.so";
const VARIABLE: &str = "IMPERATOR_PYTHON_EXTENSION";

/// Beside the executable, in `../lib/imperator`, or where the variable says.
///
/// # Errors
/// Where it was looked for, and what builds it.
pub(crate) fn open() -> Result<OwnedFd, Failure> {
    let candidates = candidates();
    for path in &candidates {
        if let Ok(file) = File::open(path) {
            return Ok(file.into());
        }
    }
    let looked: Vec<_> = candidates
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    Err(failure::plain(
        format!(
            "the Python extension {NAME} is missing: looked for {}",
            looked.join(", ")
        ),
        Some(format!(
            "build it: cargo build --release --locked; or set {VARIABLE} to its path"
        )),
    )
    .of(CauseId::MissingFile))
}

/// # Errors
/// Why no app could be run: a package that is half unpacked, most likely.
pub fn check_extension() -> Result<(), String> {
    open().map(drop).map_err(|failure| failure.summary)
}

fn candidates() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return vec![path.into()];
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let directory = executable.parent().map(PathBuf::from).unwrap_or_default();
    let installed = directory.join("../lib/imperator").join(NAME);
    vec![directory.join(NAME), installed]
}
