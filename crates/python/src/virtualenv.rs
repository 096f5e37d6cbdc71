//! Whether the interpreter that runs and the app's virtualenv belong together. One that has no
//! packages for this version of Python is what a distribution's upgrade leaves behind, or a mistake
//! in the config: without a word the app would miss its packages, or run with others.

use std::fs;
use std::path::{Path, PathBuf};

use imperator_core::settings::Settings;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Of another version than the interpreter that runs.
pub(crate) struct Stranger {
    pub(crate) why: String,
    pub(crate) hint: String,
}

enum Found {
    /// Nothing is to be done, or nothing is known.
    Settled,
    /// Its packages for this version; the interpreter that runs stands elsewhere.
    Beside(PathBuf),
    /// It has packages for these versions only.
    Foreign(Vec<String>),
}

/// Makes the packages of the app's virtualenv importable when `python` stands elsewhere.
///
/// # Errors
/// The outer one is Python's own; the inner one, a virtualenv of another version.
pub(crate) fn enter(
    py: Python<'_>,
    settings: &Settings,
    cwd: &Path,
) -> PyResult<Result<(), Stranger>> {
    let sys = py.import(intern!(py, "sys"))?;
    let prefix: PathBuf = sys.getattr(intern!(py, "prefix"))?.extract()?;
    let base: PathBuf = sys.getattr(intern!(py, "base_prefix"))?.extract()?;
    let home = match &settings.virtualenv {
        Some(home) => cwd.join(home),
        None if prefix != base => prefix.clone(),
        None => return Ok(Ok(())),
    };
    let version: (u32, u32, u32) = sys
        .getattr(intern!(py, "version_info"))?
        .get_item(pyo3::types::PySlice::new(py, 0, 3, 1))?
        .extract()?;
    match look(&home, &prefix, (version.0, version.1)) {
        Found::Settled => Ok(Ok(())),
        Found::Beside(_) if settings.interpreter.no_site => Ok(Ok(())),
        Found::Beside(packages) => add(py, &packages).map(Ok),
        Found::Foreign(versions) => {
            let executable: Option<String> = sys.getattr(intern!(py, "executable"))?.extract()?;
            let executable = executable.unwrap_or_else(|| "the interpreter".to_owned());
            let (major, minor, micro) = version;
            let shown = home.display();
            Ok(Err(Stranger {
                why: format!(
                    "virtualenv {shown} has packages of Python {}, and {executable} is Python {major}.{minor}.{micro}",
                    versions.join(" and ")
                ),
                hint: match &settings.python {
                    Some(_) if settings.virtualenv.is_some() => format!(
                        "set python to one of its version, or remove one of the two lines, or make it \
                         anew: {executable} -m venv --clear {shown}, and install what the app needs"
                    ),
                    Some(_) | None => format!(
                        "make it anew: python3 -m venv --clear {shown}, and install what the app needs"
                    ),
                },
            }))
        }
    }
}

fn look(home: &Path, prefix: &Path, (major, minor): (u32, u32)) -> Found {
    let Ok(config) = fs::read_to_string(home.join("pyvenv.cfg")) else {
        return Found::Settled;
    };
    let is_inside = prefix == home
        || matches!((prefix.canonicalize(), home.canonicalize()), (Ok(a), Ok(b)) if a == b);
    let packages = home.join(format!("lib/python{major}.{minor}/site-packages"));
    if packages.is_dir() {
        return match is_inside {
            true => Found::Settled,
            false => Found::Beside(packages),
        };
    }
    // The app's packages may be the system's.
    if is_inside && sees_the_system(&config) {
        return Found::Settled;
    }
    let libraries = fs::read_dir(home.join("lib"));
    let mut versions: Vec<String> = libraries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("site-packages").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("python").map(str::to_owned))
        .collect();
    versions.sort();
    match versions.is_empty() {
        true => Found::Settled,
        false => Found::Foreign(versions),
    }
}

fn sees_the_system(config: &str) -> bool {
    config.lines().any(|line| {
        line.split_once('=').is_some_and(|(key, value)| {
            key.trim() == "include-system-site-packages" && value.trim() == "true"
        })
    })
}

/// As a virtualenv does that is entered late: its packages, and what their `.pth` files name, come
/// before the interpreter's own.
fn add(py: Python<'_>, packages: &Path) -> PyResult<()> {
    let path = py.import(intern!(py, "sys"))?.getattr("path")?;
    let path = path.cast::<PyList>()?;
    let before = path.len();
    py.import("site")?
        .call_method1("addsitedir", (packages.as_os_str(),))?;
    let added: Vec<Bound<'_, PyAny>> = path.iter().skip(before).collect();
    for (place, entry) in added.into_iter().enumerate() {
        path.del_item(before + place)?;
        path.insert(place, entry)?;
    }
    Ok(())
}
