//! How a status looks: JSON for programs, a failure with its way out. `shown.rs` has the table.

use imperator_core::message::AppStatus;
use imperator_emperor::control::{AppLine, Condition, EmperorStatus};
use serde_json::{Value, json};

pub(crate) fn json(emperor: Option<&EmperorStatus>, apps: &[&AppLine]) -> Value {
    let apps: Vec<Value> = apps
        .iter()
        .map(|app| {
            let mut value = json!(app);
            value["state"] = json!(coarse(app.condition));
            value["requests"] = json!(requests(app));
            let status = app.status.as_ref();
            value["idle"] = json!(status.map(idle));
            let rate = status.and_then(|status| status.rate_milli);
            value["requests_per_second"] = json!(rate.map(|rate| rate as f64 / 1000.0));
            value
        })
        .collect();
    json!({ "emperor": emperor, "apps": apps })
}

/// The state in few words: a program asks whether an app serves before it asks how well.
fn coarse(condition: Condition) -> &'static str {
    match condition {
        Condition::Serving | Condition::Reloading | Condition::ServingOld => "serving",
        Condition::Starting => "starting",
        Condition::Waiting => "waiting",
        Condition::Failing => "failing",
        Condition::Paused => "paused",
        Condition::Asleep => "asleep",
        Condition::Stopping => "stopping",
        Condition::Stopped => "stopped",
        Condition::Silent => "silent",
    }
}

/// Workers that accept and have nothing to do.
pub(crate) fn idle(status: &AppStatus) -> u32 {
    let accepting = status
        .workers
        .iter()
        .filter(|it| it.state == "accepting")
        .count();
    u32::try_from(accepting)
        .unwrap_or(u32::MAX)
        .saturating_sub(status.busy)
}

pub(crate) fn requests(app: &AppLine) -> u64 {
    let workers = app.status.iter().flat_map(|status| &status.workers);
    workers.map(|worker| worker.requests).sum()
}
