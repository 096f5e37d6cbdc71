//! The tables of a run, as Markdown and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::rows::{Metric, Scene, Series};
use super::verdict::{Budget, Spread};
use super::{Results, by_round, ratios, was_played};

/// What each budget says, and below it everything that was measured.
pub fn tables(results: &Results) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for line in &results.about {
        let _ = writeln!(out, "- {line}");
    }
    for line in &results.absent {
        let _ = writeln!(out, "- left out: {line}");
    }
    let _ = writeln!(
        out,
        "- {} requests failed\n\n\
         | work | budget | ours | peer | ratio | spread | verdict |\n\
         |---|---|---:|---:|---:|---:|---|",
        results.failed()
    );
    for row in &results.rows {
        let budget = match row.budget {
            Budget::AtMost(limit) => format!("≤ {limit:.2}"),
            Budget::AtLeast(limit) => format!("≥ {limit:.2}"),
        };
        let median = |series| {
            let values = by_round(&results.all, series, row.metric);
            Spread::of(values.into_iter().map(|(_, value)| value)).map(|it| it.median)
        };
        let Some(spread) = Spread::of(ratios(&results.all, row)) else {
            if was_played(results, row.ours.scene) {
                let _ = writeln!(out, "| {} | {budget} | | | | | not measured |", row.work);
            }
            continue;
        };
        let _ = writeln!(
            out,
            "| {} | {budget} | {} | {} | {:.2} | {:.2} … {:.2} | **{}** |",
            row.work,
            shown(row.metric, median(row.ours)),
            shown(row.metric, median(row.peer)),
            spread.median,
            spread.low,
            spread.high,
            spread.judge(row.budget).name(),
        );
    }
    for scene in &results.scenes {
        scene_table(&mut out, results, scene);
    }
    out
}

fn shown(metric: Metric, value: Option<f64>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    match metric {
        Metric::Cpu | Metric::User => format!("{value:.2} µs"),
        Metric::PerSecond => format!("{value:.0} /s"),
        Metric::P99 => format!("{:.1} ms", value / 1000.0),
        Metric::Memory => format!("{:.1} MiB", value / f64::from(1 << 20)),
    }
}

fn scene_table(out: &mut String, results: &Results, scene: &Scene) {
    let _ = writeln!(
        out,
        "\n{}:\n\n\
         | request | side | requests/s | p50 µs | p99 µs | CPU µs | spread | user µs | system µs | PSS MiB | failed |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        scene.title
    );
    for (kind, _) in &scene.kinds {
        for &side in scene.sides {
            let series = Series {
                scene: scene.name,
                side,
                kind: *kind,
            };
            let of = |metric| {
                let values = by_round(&results.all, series, metric);
                Spread::of(values.into_iter().map(|(_, value)| value))
            };
            let rounds = || results.all.iter().filter(|it| it.series == series);
            let p50 = rounds().map(|it| it.outcome.latencies.percentile(50.0).as_nanos() as f64);
            let (Some(cpu), Some(user), Some(p50)) =
                (of(Metric::Cpu), of(Metric::User), Spread::of(p50))
            else {
                continue;
            };
            let median = |metric| of(metric).map_or(f64::NAN, |it| it.median);
            let failed: u64 = rounds().map(|it| it.outcome.failed()).sum();
            let _ = writeln!(
                out,
                "| {kind} | {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} … {:.2} | {:.2} | {:.2} | {:.1} | {failed} |",
                side.name(),
                median(Metric::PerSecond),
                p50.median / 1000.0,
                median(Metric::P99),
                cpu.median,
                cpu.low,
                cpu.high,
                user.median,
                cpu.median - user.median,
                median(Metric::Memory) / f64::from(1 << 20),
            );
        }
    }
}

/// Every round, and the budgets.
pub fn to_json(results: &Results) -> Value {
    let rounds: Vec<Value> = results
        .all
        .iter()
        .map(|measured| {
            json!({
                "scene": format!("{:?}", measured.series.scene),
                "side": measured.series.side.name(),
                "kind": measured.series.kind.to_string(),
                "round": measured.round,
                "memory_bytes": measured.memory,
                "outcome": crate::report::to_json(&measured.outcome),
            })
        })
        .collect();
    let rows: Vec<Value> = results
        .rows
        .iter()
        .filter_map(|row| {
            let spread = Spread::of(ratios(&results.all, row))?;
            Some(json!({
                "work": row.work,
                "ratio": spread.median,
                "low": spread.low,
                "high": spread.high,
                "verdict": spread.judge(row.budget).name(),
            }))
        })
        .collect();
    json!({"about": results.about, "absent": results.absent, "rows": rows, "rounds": rounds})
}
