//! What a run found, as text for a person and as JSON for a program.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Outcome;

pub fn text(title: &str, outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{title}: {:.0} requests/s ({} answered, {} failed, {:.1} s)",
        outcome.per_second(),
        outcome.answered,
        outcome.failed(),
        outcome.elapsed.as_secs_f64(),
    );
    let latencies = &outcome.latencies;
    let _ = writeln!(
        out,
        "  latency  p50 {}  p90 {}  p99 {}  max {}",
        short(latencies.percentile(50.0)),
        short(latencies.percentile(90.0)),
        short(latencies.percentile(99.0)),
        short(latencies.max()),
    );
    if let Some(cpu) = outcome.cpu_per_request() {
        let _ = writeln!(out, "  server CPU per request  {}", short(cpu));
    }
    for (failure, count) in &outcome.failures {
        let _ = writeln!(out, "  failed: {count} × {}", name(failure));
    }
    for (at, what) in &outcome.described {
        let _ = writeln!(out, "    at {at:.3} s: {what}");
    }
    out
}

pub fn to_json(outcome: &Outcome) -> Value {
    let micros = |duration: Duration| duration.as_nanos() as f64 / 1000.0;
    let latencies = &outcome.latencies;
    let failures: serde_json::Map<String, Value> = outcome
        .failures
        .iter()
        .map(|(failure, count)| (name(failure), json!(count)))
        .collect();
    json!({
        "requests_per_second": outcome.per_second(),
        "answered": outcome.answered,
        "failed": outcome.failed(),
        "failures": failures,
        "seconds": outcome.elapsed.as_secs_f64(),
        "body_bytes": outcome.received,
        "latency_us": {
            "mean": micros(latencies.mean()),
            "p50": micros(latencies.percentile(50.0)),
            "p90": micros(latencies.percentile(90.0)),
            "p99": micros(latencies.percentile(99.0)),
            "max": micros(latencies.max()),
        },
        "server_cpu_us_per_request": outcome.cpu_per_request().map(micros),
        "server_user_us_per_request": outcome.user_per_request().map(micros),
        "client_cpu_seconds": outcome.client_cpu.as_secs_f64(),
    })
}

/// Three digits are all that a measurement here is worth.
pub fn short(duration: Duration) -> String {
    let micros = duration.as_nanos() as f64 / 1000.0;
    match micros {
        _ if micros < 100.0 => format!("{micros:.1} µs"),
        _ if micros < 1000.0 => format!("{micros:.0} µs"),
        _ if micros < 100_000.0 => format!("{:.1} ms", micros / 1000.0),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

fn name(failure: &crate::answer::Failure) -> String {
    match serde_json::to_value(failure) {
        Ok(Value::String(name)) => name,
        _ => format!("{failure:?}"),
    }
}
