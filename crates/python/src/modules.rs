//! `py-autoreload`: tells the master which files the app has loaded.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imperator_core::message::FromWorker;
use imperator_core::settings::python::Autoreload;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Bytes of paths in one message.
const MESSAGE: usize = 32 * 1024;
/// The kernel's times of files are so much behind the clock.
const COARSE: Duration = Duration::from_millis(10);

/// What was told already.
#[derive(Default)]
pub(crate) struct Modules {
    /// `sys.modules` had so many at the last look: it seldom loses one.
    count: usize,
    told: HashSet<String>,
}

/// Forked workers go on where their mold was.
static MODULES: LazyLock<Mutex<Modules>> = LazyLock::new(Mutex::default);

/// Tells what was loaded since the last call, and `more`.
pub(crate) fn tell(
    py: Python<'_>,
    autoreload: &Autoreload,
    more: &[String],
    say: &mut dyn FnMut(&FromWorker),
) {
    // Who holds it may wait for the interpreter, which this thread holds.
    let Ok(mut modules) = MODULES.try_lock() else {
        return;
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the time of a report, no decision"
    )]
    let now = SystemTime::now();
    let at = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(at.saturating_sub(COARSE).as_micros()).unwrap_or(0);
    let files = modules.fresh(py, autoreload, more).unwrap_or_default();
    let mut message: Vec<PathBuf> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.len() + 8;
        message.push(file.into());
        if bytes > MESSAGE {
            bytes = 0;
            let files = std::mem::take(&mut message);
            say(&FromWorker::Modules { files, at });
        }
    }
    if !message.is_empty() {
        let files = message;
        say(&FromWorker::Modules { files, at });
    }
}

impl Modules {
    fn fresh(
        &mut self,
        py: Python<'_>,
        autoreload: &Autoreload,
        more: &[String],
    ) -> PyResult<Vec<String>> {
        let modules = py.import(intern!(py, "sys"))?.getattr("modules")?;
        let modules = modules.cast::<PyDict>()?;
        let mut fresh: Vec<String> = Vec::new();
        let mut add = |file: &str| {
            if file.starts_with('/') && self.told.insert(file.to_owned()) {
                fresh.push(file.to_owned());
            }
        };
        more.iter().for_each(|file| add(file));
        if modules.len() != self.count {
            self.count = modules.len();
            for (name, module) in modules.copy()?.iter() {
                let is_ignored = name
                    .extract::<String>()
                    .is_ok_and(|name| autoreload.ignored.contains(&name));
                if is_ignored {
                    continue;
                }
                // A module may be anything, and lazy ones import when they are asked.
                let Ok(file) = module.getattr("__dict__") else {
                    continue;
                };
                if let Ok(Some(file)) = file
                    .cast::<PyDict>()
                    .map_or(Ok(None), |dict| dict.get_item(intern!(py, "__file__")))
                    && let Ok(file) = file.extract::<String>()
                {
                    add(&file);
                }
            }
        }
        Ok(fresh)
    }
}
