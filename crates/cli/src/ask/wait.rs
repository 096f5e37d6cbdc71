//! Waiting for apps: `--wait` of the orders, and `wait-ready`.

use std::time::{Duration, Instant};

use imperator_emperor::control::{AppLine, Condition, Request, is_nobody};
use serde_json::json;

use super::{
    Answered, Code, Done, FAILING, LATE, NOT_RUNNING, Question, ask, complain, numbers, print,
    print_json, unreachable,
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What has become of an app that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// One line about it.
    Done(String),
    Failed,
    Pending(String),
}

/// Waits until orders were obeyed.
pub(super) fn obeyed(question: &Question, verb: &str, done: Vec<Done>) -> Code {
    let mut waiting: Vec<(String, u64)> = Vec::new();
    for it in done {
        waiting.extend(it.app.map(|app| (app, it.order)));
    }
    let deadline = now() + question.timeout();
    let mut outcomes = Vec::new();
    loop {
        let apps: Vec<String> = waiting.iter().map(|(app, _)| app.clone()).collect();
        let answered = match apps.is_empty() {
            true => Answered::default(),
            false => look(question, apps)?,
        };
        let mut pending = Vec::new();
        waiting.retain(|(app, order)| {
            let line = answered.apps.iter().find(|line| line.name == *app);
            let outcome = match (line, verb) {
                // While the emperor is away, nobody knows.
                (None, _) if answered.emperor.is_none() => Outcome::Pending("?".to_owned()),
                (None, "stop") => Outcome::Done("is gone".to_owned()),
                (None, _) => Outcome::Failed,
                (Some(line), "stop") => stopped(line),
                (Some(line), "start") => serves(line, false),
                (Some(line), _) => reloaded(line, *order),
            };
            match outcome {
                Outcome::Pending(state) => {
                    pending.push((app.clone(), state));
                    true
                }
                outcome @ (Outcome::Done(_) | Outcome::Failed) => {
                    tell(question, app, &outcome, line);
                    outcomes.push((app.clone(), outcome, line.cloned()));
                    false
                }
            }
        });
        if waiting.is_empty() || now() >= deadline {
            return Ok(finish(question, &outcomes, &pending));
        }
        rest(deadline);
    }
}

/// `wait-ready`
pub(super) fn ready(question: &Question) -> Code {
    let deadline = now() + question.timeout();
    let patient = question.has("patient");
    loop {
        let is_last = now() >= deadline;
        let request = Request::Status {
            apps: question.apps.clone(),
        };
        let answered = match ask(&question.runtime, &request) {
            Ok(answered) => answered,
            Err(error) if is_nobody(&error) && !is_last => {
                rest(deadline);
                continue;
            }
            Err(error) => return Err(unreachable(&question.runtime, &error)),
        };
        let mut outcomes = Vec::new();
        let mut pending = Vec::new();
        for line in &answered.apps {
            match serves(line, patient) {
                Outcome::Pending(state) => pending.push((line.name.clone(), state)),
                outcome @ (Outcome::Done(_) | Outcome::Failed) => {
                    outcomes.push((line.name.clone(), outcome, Some(line.clone())));
                }
            }
        }
        let failed = outcomes
            .iter()
            .any(|(_, outcome, _)| *outcome == Outcome::Failed);
        let unknown = !answered.refused.is_empty();
        if failed || is_last || (pending.is_empty() && !unknown) {
            // Who was named and is unknown so far may have been about to come.
            let code = answered.complain();
            for (name, outcome, line) in &outcomes {
                if failed == (*outcome == Outcome::Failed) {
                    tell(question, name, outcome, line.as_ref());
                }
            }
            return Ok(code.max(finish(question, &outcomes, &pending)));
        }
        rest(deadline);
    }
}

/// The status of these apps; without an emperor, nothing: the next one may be about to come.
fn look(question: &Question, apps: Vec<String>) -> Result<Answered, u8> {
    match ask(&question.runtime, &Request::Status { apps }) {
        Ok(answered) => Ok(answered),
        Err(error) if is_nobody(&error) => Ok(Answered::default()),
        Err(error) => Err(unreachable(&question.runtime, &error)),
    }
}

fn stopped(line: &AppLine) -> Outcome {
    if line.condition == Condition::Stopped {
        Outcome::Done("has stopped".to_owned())
    } else {
        Outcome::Pending(line.condition.word().to_owned())
    }
}

fn serves(line: &AppLine, patient: bool) -> Outcome {
    match line.condition {
        Condition::Serving => Outcome::Done(generation(line)),
        Condition::Asleep => Outcome::Done("sleeps: its first request starts it".to_owned()),
        // What serves is not what its files say.
        Condition::Failing | Condition::ServingOld if !patient => Outcome::Failed,
        Condition::Stopped if !patient => Outcome::Failed,
        Condition::Failing
        | Condition::ServingOld
        | Condition::Stopped
        | Condition::Reloading
        | Condition::Starting
        | Condition::Waiting
        | Condition::Paused
        | Condition::Stopping
        | Condition::Silent => Outcome::Pending(line.condition.word().to_owned()),
    }
}

/// Whether the generation that this order led to serves, or came to nothing.
fn reloaded(line: &AppLine, order: u64) -> Outcome {
    let pending = Outcome::Pending(line.condition.word().to_owned());
    let master_died = line.condition == Condition::Failing && line.status.is_none();
    if master_died && line.failure.is_some() {
        return Outcome::Failed;
    }
    let Some(status) = line.status.as_ref().filter(|status| status.heard >= order) else {
        return pending;
    };
    let wanted = status.heard_for;
    let failed = status.failure.as_ref().and_then(|it| it.generation);
    if failed.is_some() && failed >= wanted {
        return Outcome::Failed;
    }
    if line.condition == Condition::Asleep {
        return Outcome::Done("sleeps: its first request starts it".to_owned());
    }
    match status.generation.is_some() && status.generation >= wanted {
        true => Outcome::Done(generation(line)),
        false => pending,
    }
}

fn generation(line: &AppLine) -> String {
    let status = line.status.as_ref();
    let generation = status.and_then(|status| status.generation).unwrap_or(0);
    format!("serves generation {generation}")
}

fn tell(question: &Question, app: &str, outcome: &Outcome, line: Option<&AppLine>) {
    if question.json {
        return;
    }
    match (outcome, line) {
        (Outcome::Done(text), _) => print(&format!("{app} {text}\n")),
        (Outcome::Failed, Some(line)) => {
            if line.condition == Condition::Stopped {
                let by = line.stopped.as_ref().map(|it| numbers::named(&it.by));
                let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
                complain(&format!(
                    "{app} was stopped{by}; imperator start {app} starts it"
                ));
            } else {
                complain(super::why::Account::of(line, None).text().trim_end());
            }
        }
        (Outcome::Failed, None) => complain(&format!("{app} is gone")),
        (Outcome::Pending(_), _) => (),
    }
}

fn finish(
    question: &Question,
    outcomes: &[(String, Outcome, Option<AppLine>)],
    pending: &[(String, String)],
) -> u8 {
    if question.json {
        let apps = outcomes.iter().map(|(app, outcome, line)| {
            let failure = line.as_ref().and_then(|line| line.failure.as_ref());
            let status = line.as_ref().and_then(|line| line.status.as_ref());
            json!({
                "app": app,
                "ok": *outcome != Outcome::Failed,
                "generation": status.and_then(|status| status.generation),
                "failure": failure,
            })
        });
        let late = pending
            .iter()
            .map(|(app, state)| json!({"app": app, "condition": state}));
        let (apps, late): (Vec<_>, Vec<_>) = (apps.collect(), late.collect());
        print_json(&json!({ "apps": apps, "late": late }));
    } else {
        let seconds = question.timeout().as_secs();
        for (app, state) in pending.iter().filter(|_| seconds > 0) {
            complain(&format!("{app} is still {state} after {seconds} s"));
        }
        for (app, state) in pending.iter().filter(|_| seconds == 0) {
            complain(&format!("{app} is {state}"));
        }
    }
    let failed = outcomes
        .iter()
        .any(|(_, outcome, _)| *outcome == Outcome::Failed);
    let unknown = pending.iter().any(|(_, state)| state == "?");
    match (failed, unknown, pending.is_empty()) {
        (true, _, _) => FAILING,
        (false, true, _) => NOT_RUNNING,
        (false, false, false) => LATE,
        (false, false, true) => 0,
    }
}

fn rest(deadline: Instant) {
    let left = deadline.saturating_duration_since(now());
    sleep(LOOK.min(left));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client that asks again and again has nothing to wait for in between"
)]
fn sleep(span: Duration) {
    std::thread::sleep(span);
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client waits for itself: it has no loop that reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}
