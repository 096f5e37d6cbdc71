//! The results as Markdown, to be committed as they are.

use std::fmt::Write;

use crate::lifecycle::adoption::Adoption;
use crate::lifecycle::crowd::Crowd;
use crate::lifecycle::leaks::{Leaks, State};
use crate::lifecycle::reaction::Reaction;
use crate::lifecycle::rows::Row;
use crate::lifecycle::silence::{Silences, median, worst};

const ROWS: &str = "\
| what happens | workers | server | times | sent | failed | of these cut by a kill | retried | longest wait s | started again by hand | logs agree |
|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---|
";

pub fn rows(rows: &[Row]) -> String {
    let mut text = ROWS.to_owned();
    let mut sorted: Vec<&Row> = rows.iter().collect();
    // By event in the order of the first server, then by workers.
    let order = |row: &Row| rows.iter().position(|other| other.event == row.event);
    sorted.sort_by_key(|row| (order(row), row.workers, row.server));
    for row in sorted {
        let account = &row.account;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {} | {} |",
            row.event,
            row.workers,
            row.server.name(),
            row.times,
            account.sent,
            account.failed,
            account.cut,
            account.retried,
            account.longest_seconds,
            row.rescued,
            agreement(row),
        );
    }
    text
}

pub(super) fn agreement(row: &Row) -> String {
    let account = &row.account;
    let mut parts = Vec::new();
    if account.not_in_app > 0 {
        parts.push(format!("{} not in the app's", account.not_in_app));
    }
    if account.twice > 0 {
        parts.push(format!("{} run twice", account.twice));
    }
    if account.not_in_log > 0 {
        parts.push(format!("{} not in the server's", account.not_in_log));
    }
    if parts.is_empty() {
        "yes".to_owned()
    } else {
        parts.join(", ")
    }
}

pub fn silences(all: &[Silences]) -> String {
    let mut text = "\
| what happens | workers | server | runs | requests/s | median of the longest silences s | control | worst s | control | within 50 and 250 ms | sent | failed |
|---|---:|---|---:|---:|---:|---:|---:|---:|---|---:|---:|
"
    .to_owned();
    for row in all {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {:.3} | {:.3} | {:.3} | {:.3} | {} | {} | {} |",
            row.event,
            row.workers,
            row.server.name(),
            row.with.len(),
            row.rate,
            median(&row.with),
            median(&row.without),
            worst(&row.with),
            worst(&row.without),
            if row.holds() { "yes" } else { "no" },
            row.sent,
            row.failed,
        );
    }
    text
}

pub fn leaks(all: &[Leaks]) -> String {
    let mut text = "\
| what | times | | processes | files | emperor: fds | threads | memory KiB | master: fds | threads | memory KiB |
|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|
"
    .to_owned();
    for row in all {
        for (word, state) in [("before", &row.before), ("after", &row.after)] {
            let _ = writeln!(
                text,
                "| {} | {} | {word} | {} |",
                row.what,
                row.times,
                cells(state)
            );
        }
    }
    text
}

fn cells(state: &State) -> String {
    let (emperor, master) = (state.emperor, state.master);
    [
        state.processes.to_string(),
        state.files.to_string(),
        emperor.descriptors.to_string(),
        emperor.threads.to_string(),
        emperor.memory.to_string(),
        master.descriptors.to_string(),
        master.threads.to_string(),
        master.memory.to_string(),
    ]
    .join(" | ")
}

pub fn reactions(all: &[Reaction]) -> String {
    let mut text = "\
| server | rounds | first answer after, median ms | interpreter and import alone, median ms | difference ms |
|---|---:|---:|---:|---:|
"
    .to_owned();
    for row in all {
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} | {:.0} |",
            row.server.name(),
            row.answered.len(),
            median(&row.answered) * 1000.0,
            median(&row.alone) * 1000.0,
            row.added() * 1000.0,
        );
    }
    text
}

pub fn crowds(all: &[Crowd]) -> String {
    let mut text = "\
| server | apps | that fail, and that hang | until all serve s | CPU time of the machine s | most runnable tasks | memory MiB | `status` of all: median s | worst s |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
"
    .to_owned();
    for row in all {
        let [middle, worst] = match row.status_seconds.as_slice() {
            [] => ["–".to_owned(), "–".to_owned()],
            seconds => [median(seconds), worst(seconds)].map(|it| format!("{it:.3}")),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} + {} | {:.1} | {:.1} | {} | {} | {middle} | {worst} |",
            row.server.name(),
            row.apps,
            row.failing,
            row.failing,
            row.seconds,
            row.cpu_seconds,
            row.runnable,
            row.memory,
        );
    }
    text
}

pub fn adoptions(all: &[Adoption]) -> String {
    let mut text = "\
| apps | emperors killed | the next one has all after s, in the middle | at most | requests meanwhile | failed |
|---:|---:|---:|---:|---:|---:|
"
    .to_owned();
    for row in all {
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {} | {} |",
            row.apps,
            row.seconds.len(),
            median(&row.seconds),
            worst(&row.seconds),
            row.requests,
            row.failed,
        );
    }
    text
}
