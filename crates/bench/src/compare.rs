//! Ours and the original in turn, on the same app, ini and interpreter, in interleaved rounds: what
//! the machine does to one of them it does to the other.

use std::fmt::Write;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::lifecycle::processes;
use crate::load::{Outcome, Plan, run};
use crate::report;
use crate::request::Kind;
use crate::server::{Server, Setup, write_files};
use crate::{memory, target::Protocol};

#[derive(Debug, Clone)]
pub struct Options {
    /// The command and its arguments before the ini file; `None` leaves this side out.
    pub ours: Option<Vec<String>>,
    pub original: Option<Vec<String>>,
    pub setup: Setup,
    pub kinds: Vec<Kind>,
    pub connections: usize,
    pub rounds: usize,
    pub duration: Duration,
    pub warm_up: Duration,
}

/// One measurement of one side.
#[derive(Debug, Clone)]
pub struct Measured {
    pub side: &'static str,
    pub round: usize,
    pub kind: Kind,
    pub outcome: Outcome,
    /// Bytes after the measurement, see [`memory`].
    pub memory: u64,
}

const OURS: &str = "ours";
const ORIGINAL: &str = "original";

/// Starts, loads and ends both sides `rounds` times. `progress` hears one line per measurement.
///
/// # Errors
/// When a server does not start.
pub fn compare(
    options: &Options,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Measured>, anyhow::Error> {
    let directory = processes::directory("compare.")?;
    let mut sides: Vec<(&'static str, Vec<String>)> = Vec::new();
    for (side, command) in [(OURS, &options.ours), (ORIGINAL, &options.original)] {
        if let Some(command) = command {
            let ini = write_files(directory.path(), &options.setup, side == OURS)?;
            let mut command = command.clone();
            command.push(ini.display().to_string());
            sides.push((side, command));
        }
    }
    if sides.is_empty() {
        bail!("neither side is to run");
    }
    let mut all = Vec::new();
    for round in 0..options.rounds {
        let mut order = sides.clone();
        // Neither side always gets the colder machine.
        if round % 2 == 1 {
            order.reverse();
        }
        for (side, command) in order {
            let server = Server::start(&command, directory.path(), options.setup.http, side)
                .with_context(|| format!("round {round}"))?;
            for kind in &options.kinds {
                let measured = measure(options, &server, side, round, *kind)?;
                progress(report::text(&format!("{side} {kind}"), &measured.outcome).trim_end());
                all.push(measured);
            }
        }
    }
    Ok(all)
}

fn measure(
    options: &Options,
    server: &Server,
    side: &'static str,
    round: usize,
    kind: Kind,
) -> Result<Measured, anyhow::Error> {
    let protocol = if options.setup.http {
        Protocol::Http
    } else {
        Protocol::Uwsgi
    };
    let mut plan = Plan {
        target: server.target.clone(),
        message: kind.encode(protocol, None)?,
        connections: options.connections,
        duration: options.warm_up,
        requests: None,
        timeout: Duration::from_secs(10),
        status: 200,
        length: None,
        keep_alive: true,
        pace: Duration::ZERO,
        server: vec![server.pid()],
    };
    let never = AtomicBool::new(false);
    run(&plan, &never);
    plan.duration = options.duration;
    let outcome = run(&plan, &never);
    Ok(Measured {
        side,
        round,
        kind,
        outcome,
        memory: memory::of_trees(&[server.pid()]).bytes,
    })
}

/// The middle of the rounds of one side and kind.
#[derive(Debug, Clone, Copy)]
struct Middle {
    per_second: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    memory: f64,
    failed: u64,
}

fn middle(all: &[Measured], side: &str, kind: Kind) -> Option<Middle> {
    let rounds: Vec<&Measured> = all
        .iter()
        .filter(|measured| measured.side == side && measured.kind == kind)
        .collect();
    if rounds.is_empty() {
        return None;
    }
    let median = |value: &dyn Fn(&Measured) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(|measured| value(measured)).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let micros = |duration: Duration| duration.as_nanos() as f64 / 1000.0;
    Some(Middle {
        per_second: median(&|measured| measured.outcome.per_second()),
        p50: median(&|measured| micros(measured.outcome.latencies.percentile(50.0))),
        p99: median(&|measured| micros(measured.outcome.latencies.percentile(99.0))),
        cpu: median(&|measured| measured.outcome.cpu_per_request().map_or(0.0, micros)),
        memory: median(&|measured| measured.memory as f64 / (1024.0 * 1024.0)),
        failed: rounds
            .iter()
            .map(|measured| measured.outcome.failed())
            .sum(),
    })
}

/// A Markdown table: the middle round of each side, and ours divided by the original.
pub fn table(all: &[Measured], kinds: &[Kind]) -> String {
    let mut out = String::from(
        "| request | side | requests/s | p50 µs | p99 µs | server CPU µs/request | memory MiB | failed |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    // Writing to a String cannot fail.
    for kind in kinds {
        let (ours, original) = (middle(all, OURS, *kind), middle(all, ORIGINAL, *kind));
        for (side, found) in [(ORIGINAL, original), (OURS, ours)] {
            if let Some(row) = found {
                let _ = writeln!(
                    out,
                    "| {kind} | {side} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {} |",
                    row.per_second, row.p50, row.p99, row.cpu, row.memory, row.failed
                );
            }
        }
        if let (Some(ours), Some(original)) = (ours, original) {
            let ratio = |ours: f64, original: f64| ours / original.max(1e-9);
            let _ = writeln!(
                out,
                "| {kind} | **ratio** | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | |",
                ratio(ours.per_second, original.per_second),
                ratio(ours.p50, original.p50),
                ratio(ours.p99, original.p99),
                ratio(ours.cpu, original.cpu),
                ratio(ours.memory, original.memory),
            );
        }
    }
    out
}

pub fn to_json(all: &[Measured]) -> Value {
    all.iter()
        .map(|measured| {
            json!({
                "side": measured.side,
                "round": measured.round,
                "kind": measured.kind.to_string(),
                "memory_bytes": measured.memory,
                "outcome": report::to_json(&measured.outcome),
            })
        })
        .collect()
}
