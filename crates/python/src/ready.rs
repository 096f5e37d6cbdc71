//! `ready-request`: a worker of a generation that has not served yet asks its app before it accepts.

use std::sync::Arc;

use imperator_core::message::FromWorker;
use imperator_worker::{WorkerContext, ready};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::load::Mounted;
use crate::log;
use crate::wsgi::WsgiApp;

/// uWSGI: UWSGI_FAILED_APP_CODE.
const FAILED_APP: i32 = 22;

/// Ends the process when the app does not answer as it must. The generation's deadline ends one
/// that does not answer at all.
pub(crate) fn prove(
    py: Python<'_>,
    worker: &Arc<WorkerContext>,
    apps: &Arc<Vec<Mounted>>,
) -> PyResult<()> {
    let readiness = &worker.settings().readiness;
    let Some(path) = &readiness.request else {
        return Ok(());
    };
    let host = &readiness.host;
    let app = WsgiApp::new(py, Arc::clone(worker), Arc::clone(apps), 0)?;
    let (summary, hint, detail) = match ready::ask(worker, &app, path, host) {
        Ok(said) if said.is_well() => return Ok(()),
        Ok(said) => {
            let refuses = refuses_host(py, host).unwrap_or(false);
            let (summary, hint) = said.verdict(path, host, refuses);
            (summary, hint, said.excerpt().to_owned())
        }
        Err(why) => (
            format!("ready-request = {path} cannot be asked: {why}"),
            "correct ready-request and ready-host".to_owned(),
            String::new(),
        ),
    };
    worker.tell(&FromWorker::Unready {
        summary,
        hint,
        detail,
    });
    log::end(py, FAILED_APP)
}

/// Whether Django, where the app is one of its, does not know this host: outside of its debug mode
/// its answer does not say so.
fn refuses_host(py: Python<'_>, host: &str) -> PyResult<bool> {
    let modules = py.import("sys")?.getattr("modules")?;
    let (Ok(request), Ok(conf)) = (
        modules.get_item("django.http.request"),
        modules.get_item("django.conf"),
    ) else {
        return Ok(false);
    };
    let settings = conf.getattr("settings")?;
    let known = settings.getattr("ALLOWED_HOSTS")?;
    if known.is_empty()? && settings.getattr("DEBUG")?.is_truthy()? {
        // It knows this machine's names then.
        return Ok(false);
    }
    let parts = request.call_method1("split_domain_port", (host,))?;
    let domain = parts.cast::<PyTuple>()?.get_item(0)?;
    let knows = request.call_method1("validate_host", (domain, known))?;
    Ok(!knows.is_truthy()?)
}
