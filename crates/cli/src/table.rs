//! How a status looks: a table for people, JSON for programs, a failure with its way out.

use std::fmt::Write as _;

use imperator_core::message::Failure;
use imperator_emperor::control::{AppLine, Condition, EmperorStatus};
use serde_json::{Value, json};

pub(crate) fn json(emperor: Option<&EmperorStatus>, apps: &[&AppLine]) -> Value {
    let apps: Vec<Value> = apps
        .iter()
        .map(|app| {
            let mut value = json!(app);
            value["state"] = json!(coarse(app.condition));
            value["requests"] = json!(requests(app));
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

/// One app with a very long name does not push all others' columns off the screen.
const WIDEST: usize = 40;

pub(crate) fn text(emperor: Option<&EmperorStatus>, apps: &[&AppLine], colour: bool) -> String {
    let mut text = String::new();
    if let Some(emperor) = emperor {
        let failing = match emperor.failing {
            0 => String::new(),
            failing => format!(", {failing} failing"),
        };
        let _ = writeln!(
            text,
            "Emperor {} (pid {}) over {}: {} {}{failing}",
            emperor.version,
            emperor.pid,
            emperor.sources.join(", "),
            emperor.apps,
            if emperor.apps == 1 { "app" } else { "apps" },
        );
    }
    if apps.is_empty() {
        return text;
    }
    let mut rows = vec![
        [
            "APP",
            "STATE",
            "GEN",
            "WORKERS",
            "REQUESTS",
            "PYTHON",
            "LISTENS ON",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(apps.iter().map(|app| row(app)));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
                .min(WIDEST)
        })
        .collect();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let line = line.trim_end();
        let app = index.checked_sub(1).map(|index| apps[index]);
        let tint = app.filter(|_| colour).map_or("", |app| tint(app.condition));
        if tint.is_empty() {
            let _ = writeln!(text, "{line}");
        } else {
            let _ = writeln!(text, "{tint}{line}\u{1b}[0m");
        }
        if let Some(failure) = app.and_then(|app| app.failure.as_ref()) {
            explain(&mut text, failure);
        }
        if let Some(millis) = app.and_then(|app| app.retry_in_ms) {
            let _ = writeln!(text, "    retried in {} s", millis.div_ceil(1000));
        }
    }
    if apps
        .iter()
        .any(|app| app.failure.as_ref().is_some_and(|it| it.detail.is_some()))
    {
        text.push_str("imperator why APP shows the traceback\n");
    }
    text
}

fn row(app: &AppLine) -> Vec<String> {
    let dash = || "-".to_owned();
    let status = app.status.as_ref();
    let number = |value: Option<u32>| value.map_or_else(dash, |value| value.to_string());
    vec![
        app.name.clone(),
        app.condition.word().to_owned(),
        number(status.and_then(|status| status.generation)),
        status.map_or_else(dash, |status| status.workers.len().to_string()),
        status.map_or_else(dash, |_| requests(app).to_string()),
        status
            .and_then(|status| status.python.clone())
            .unwrap_or_else(dash),
        status.map_or_else(dash, |status| status.sockets.join(" ")),
    ]
}

fn requests(app: &AppLine) -> u64 {
    let workers = app.status.iter().flat_map(|status| &status.workers);
    workers.map(|worker| worker.requests).sum()
}

fn tint(condition: Condition) -> &'static str {
    match condition {
        Condition::Serving => "\u{1b}[32m",
        Condition::Reloading | Condition::Starting | Condition::Waiting | Condition::Asleep => "",
        Condition::ServingOld | Condition::Paused | Condition::Stopping | Condition::Stopped => {
            "\u{1b}[33m"
        }
        Condition::Failing | Condition::Silent => "\u{1b}[31m",
    }
}

fn explain(text: &mut String, failure: &Failure) {
    let _ = writeln!(text, "    {}", failure.summary);
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "    hint: {hint}");
    }
}

/// One app's failure with all that is known.
pub(crate) fn why(app: &AppLine) -> String {
    let mut text = format!("{} is {}", app.name, app.condition.word());
    if let Some(config) = &app.config {
        let _ = write!(text, " ({config})");
    }
    text.push('\n');
    match &app.failure {
        None => text.push_str("  nothing is wrong with it\n"),
        Some(failure) => {
            explain(&mut text, failure);
            if let Some(detail) = &failure.detail {
                for line in detail.lines() {
                    let _ = writeln!(text, "      {line}");
                }
            }
        }
    }
    for line in app.status.iter().flat_map(|status| &status.beside) {
        let _ = writeln!(text, "    {line}");
    }
    for note in app.status.iter().flat_map(|status| &status.notes) {
        let _ = writeln!(text, "    note: {note}");
    }
    if let Some(millis) = app.retry_in_ms {
        let _ = writeln!(
            text,
            "    retried in {} s, at once when its files change, or by: imperator retry {}",
            millis.div_ceil(1000),
            app.name
        );
    }
    text
}
