//! Hooks that the original runs in its workers: after the app is loaded, after a fork, before the
//! first accept. Run in this process, because what they change is its own.

use imperator_core::message::{FromWorker, Setup};
use imperator_core::settings::hooks::{Phase, Step};
use imperator_hooks::Stage;
use pyo3::prelude::*;

use crate::line::Line;
use crate::log;
use crate::mold::Birth;

/// uWSGI: UWSGI_FAILED_APP_CODE.
const FAILED_APP: i32 = 22;

/// `hook-post-app`: once for each generation, and with `lazy-apps` in each worker.
pub(crate) fn after_load(py: Python<'_>, setup: &Setup, line: &Line) {
    if setup.loads_first || setup.settings.lazy_apps {
        run(py, setup, line, &[Phase::PostApp]);
    }
}

pub(crate) fn before_accept(py: Python<'_>, setup: &Setup, birth: &Birth) {
    let mut phases = vec![Phase::PostFork, Phase::Accepting];
    if birth.first {
        phases.push(Phase::AcceptingOnce);
    }
    if birth.worker == 1 {
        phases.push(Phase::Accepting1);
    }
    if birth.worker == 1 && birth.first {
        phases.push(Phase::Accepting1Once);
    }
    run(py, setup, &birth.line, &phases);
}

/// Ends the process at the first failure. The generation's deadline ends one that hangs.
fn run(py: Python<'_>, setup: &Setup, line: &Line, phases: &[Phase]) {
    let steps: Vec<Step> = setup.settings.hooks.steps(phases);
    if steps.is_empty() {
        return;
    }
    let hooks = &setup.settings.hooks;
    let result = py.detach(|| {
        let mut stage = Stage::new(hooks);
        steps.iter().try_for_each(|step| stage.step(step))
    });
    if let Err(summary) = result {
        line.say(&FromWorker::LoadFailed {
            summary,
            traceback: String::new(),
            error: None,
        });
        log::end(py, FAILED_APP);
    }
}
