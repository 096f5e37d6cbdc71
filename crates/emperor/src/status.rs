//! How the apps are, for `imperator status`, the log and systemd. Pure.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use imperator_core::message::{AppState, AppStatus, Config, Failure};

use crate::control::{AppLine, Condition, EmperorStatus};
use crate::effects::{Effects, Kept, Master};
use crate::monitor::source::Source;
use crate::plan::Plan;
use crate::supervisor::{Situation, Supervisor};

/// All apps, and files that cannot be used, by name.
pub fn lines(
    plan: &Plan,
    supervisor: &Supervisor,
    effects: &Effects,
    now: Instant,
) -> Vec<AppLine> {
    let problems: BTreeMap<&str, (&Path, &str)> = plan
        .problems()
        .map(|(name, path, why)| (name, (path, why)))
        .collect();
    let mut lines: Vec<AppLine> = problems
        .iter()
        .filter(|(name, _)| plan.app(name).is_none())
        .map(|(name, (path, why))| AppLine {
            name: (*name).to_owned(),
            id: (Config {
                file: path.to_path_buf(),
                section: None,
            })
            .id(),
            condition: Condition::Failing,
            config: None,
            pid: None,
            adopted: false,
            failure: Some(problem(why)),
            retry_in_ms: None,
            status: None,
            stopped: None,
            trouble: None,
        })
        .collect();
    for (name, app) in plan.apps() {
        let kept = effects.kept.get(name);
        let master = effects.masters.get(name);
        let situation = supervisor.situation(name, now);
        let (condition, failure, retry_in_ms) = judge(situation, kept, master, now);
        let mut line = AppLine {
            name: name.clone(),
            id: app.config.id(),
            condition,
            config: Some(app.config.clone()),
            pid: master.map(|master| master.pid),
            adopted: master.is_some_and(|master| master.pidfd.is_some()),
            failure,
            retry_in_ms,
            status: kept.and_then(|kept| kept.status.clone()),
            stopped: kept.and_then(|kept| kept.stopped.clone()),
            trouble: None,
        };
        if let Some((_, why)) = problems.get(name.as_str()) {
            line.failure = Some(problem(why));
            if line.condition == Condition::Serving {
                line.condition = Condition::ServingOld;
            }
        }
        lines.push(line);
    }
    // No longer wanted, and not yet ended.
    let leaving = supervisor
        .names()
        .into_iter()
        .filter(|name| plan.app(name).is_none());
    lines.extend(leaving.map(|name| AppLine {
        id: name.clone(),
        condition: Condition::Stopping,
        config: None,
        pid: effects.masters.get(&name).map(|master| master.pid),
        adopted: effects.is_adopted(&name),
        failure: None,
        retry_in_ms: None,
        status: effects.kept.get(&name).and_then(|kept| kept.status.clone()),
        stopped: None,
        trouble: None,
        name,
    }));
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    lines
}

pub fn emperor(
    lines: &[AppLine],
    runtime: &Path,
    sources: &[Source],
    stopping: bool,
) -> EmperorStatus {
    EmperorStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        runtime: runtime.display().to_string(),
        sources: sources.iter().map(|source| source.text.clone()).collect(),
        stopping,
        apps: lines.len(),
        failing: lines
            .iter()
            .filter(|line| line.condition.is_failure())
            .count(),
        build: None,
        upgrading: false,
        upgrade_failure: None,
    }
}

/// `http://127.0.0.1:8001, 2 workers, Python 3.11.7, generation 1`
pub fn summary(status: &AppStatus) -> String {
    let workers = match status.workers.len() {
        1 => "1 worker".to_owned(),
        count => format!("{count} workers"),
    };
    let mut parts = status.sockets.clone();
    parts.push(workers);
    parts.extend(
        status
            .python
            .as_ref()
            .map(|python| format!("Python {python}")),
    );
    parts.extend(
        status
            .generation
            .map(|generation| format!("generation {generation}")),
    );
    parts.join(", ")
}

/// One app in one line of the log.
pub fn one_line(line: &AppLine) -> String {
    let mut text = format!("{}: {}", line.name, line.condition.word());
    if let Some(status) = &line.status {
        let requests: u64 = status.workers.iter().map(|worker| worker.requests).sum();
        text.push_str(&format!(", {}, {requests} requests", summary(status)));
    }
    if let Some(failure) = &line.failure {
        text.push_str(&format!(", fails: {}", failure.summary));
    }
    if let Some(millis) = line.retry_in_ms {
        text.push_str(&format!(", retried in {} s", millis.div_ceil(1000)));
    }
    text
}

fn judge(
    situation: Option<(Situation, Option<std::time::Duration>)>,
    kept: Option<&Kept>,
    master: Option<&Master>,
    now: Instant,
) -> (Condition, Option<Failure>, Option<u64>) {
    let status = kept.and_then(|kept| kept.status.as_ref());
    let death = kept.and_then(|kept| kept.death.clone());
    match situation {
        None | Some((Situation::Waiting, _)) => (Condition::Waiting, None, None),
        Some((Situation::Halted, _)) => (Condition::Stopped, None, None),
        Some((Situation::Dozing, _)) => (Condition::Asleep, None, None),
        Some((Situation::Stopping, _)) => (Condition::Stopping, None, None),
        Some((Situation::BackingOff(_), wait)) => {
            let millis = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            (Condition::Failing, death, millis)
        }
        Some((Situation::Up, _)) => {
            let silent = master.is_some_and(|master| master.is_silent(now));
            let Some(status) = status else {
                let condition = if silent {
                    Condition::Silent
                } else {
                    Condition::Starting
                };
                return (condition, None, None);
            };
            (
                condition(status),
                status.failure.clone(),
                status.retry_in_ms,
            )
        }
    }
}

/// How an app is, as its master tells.
pub fn condition(status: &AppStatus) -> Condition {
    match status.state {
        AppState::Starting => Condition::Starting,
        AppState::Serving if status.next.is_some() => Condition::Reloading,
        AppState::Serving if status.failure.is_some() => Condition::ServingOld,
        AppState::Serving => Condition::Serving,
        AppState::Failing => Condition::Failing,
        AppState::Paused => Condition::Paused,
        AppState::Asleep => Condition::Asleep,
        AppState::Stopping => Condition::Stopping,
    }
}

/// The way out for a file that cannot be used at all.
pub(crate) const MEND: &str =
    "mend the file, or remove it, or give it a name that does not end in .ini";

fn problem(why: &str) -> Failure {
    Failure {
        summary: why.to_owned(),
        hint: Some(MEND.to_owned()),
        detail: None,
        at: 0,
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_serves_is_told_with_what_starts_or_failed_beside_it() {
        let of = |state, next, failure: Option<&str>| {
            let mut status: AppStatus = serde_json::from_str(r#"{"state": "serving"}"#).unwrap();
            (status.state, status.next, status.failure) = (state, next, failure.map(problem));
            condition(&status)
        };
        assert_eq!(of(AppState::Serving, None, None), Condition::Serving);
        assert_eq!(of(AppState::Serving, Some(2), None), Condition::Reloading);
        let failed = of(AppState::Serving, None, Some("config"));
        assert_eq!(failed, Condition::ServingOld);
        let again = of(AppState::Serving, Some(3), Some("config"));
        assert_eq!(again, Condition::Reloading);
        let down = of(AppState::Failing, Some(2), Some("config"));
        assert_eq!(down, Condition::Failing);
        for condition in [Condition::Failing, Condition::ServingOld] {
            assert!(condition.is_failure());
        }
        for condition in [Condition::Serving, Condition::Reloading, Condition::Asleep] {
            assert!(!condition.is_failure());
        }
    }
}
