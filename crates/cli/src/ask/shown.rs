//! The status as a table: one line an app, cut to the terminal; more about apps that were named.

use std::fmt::Write as _;

use imperator_core::history::Entry;
use imperator_core::message::AppStatus;
use imperator_core::why::is_long;
use imperator_emperor::control::{AppLine, Condition, EmperorStatus};

use super::numbers;
use crate::table::{idle, requests};

/// How it is shown.
pub(super) struct Look {
    pub colour: bool,
    /// `None`: nothing is cut.
    pub columns: Option<usize>,
    /// Unix seconds.
    pub now: u64,
}

/// A longer name is cut, in a narrow terminal earlier: its line tells the rest all the same.
const WIDEST: usize = 24;
const WIDEST_OF_NARROW: usize = 16;
const NARROW: usize = 100;
const HEADS: [&str; COLUMNS] = [
    "APP",
    "STATE",
    "GEN",
    "BUSY",
    "REQ/S",
    "QUEUE",
    "MEMORY",
    "UP",
    "LAST TROUBLE",
];
const COLUMNS: usize = 9;

pub(super) fn text(
    emperor: Option<&EmperorStatus>,
    apps: &[&AppLine],
    details: bool,
    look: &Look,
) -> String {
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
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(apps.iter().map(|app| row(app, look.now)));
    let longest_name = match look.columns {
        Some(columns) if columns < NARROW => WIDEST_OF_NARROW,
        Some(_) => WIDEST,
        None => usize::MAX,
    };
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        let width = cells.max().unwrap_or(0);
        if column == 0 {
            width.min(longest_name)
        } else {
            width
        }
    };
    let widths: Vec<usize> = (0..COLUMNS - 1).map(widest).collect();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let cell = cut(cell, width);
            // Words stand to the left, numbers to the right.
            let _ = match column {
                0 | 1 => write!(line, "{cell:width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
        }
        let columns = look.columns.unwrap_or(usize::MAX);
        let room = columns.saturating_sub(line.chars().count());
        line.push_str(&cut(&row[COLUMNS - 1], room));
        let line = line.trim_end();
        let app = index.checked_sub(1).map(|index| apps[index]);
        match app.map_or("", |app| tint(app.condition)) {
            tint if look.colour && !tint.is_empty() => {
                let _ = writeln!(text, "{tint}{line}\u{1b}[0m");
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
        if let Some(app) = app.filter(|_| details) {
            more(&mut text, app);
        }
    }
    if apps.iter().any(|app| app.failure.is_some()) && !details {
        text.push_str("imperator why APP tells the whole cause and the way out\n");
    }
    text
}

fn row(app: &AppLine, now: u64) -> [String; COLUMNS] {
    let dash = || "-".to_owned();
    // What a stopped app's master said last is over.
    let status = app.status.as_ref();
    let status = status.filter(|_| app.condition != Condition::Stopped);
    let show = |value: Option<String>| value.unwrap_or_else(dash);
    let since = status.and_then(|it| it.since);
    [
        app.name.clone(),
        app.condition.word().to_owned(),
        show(status.and_then(|it| it.generation).map(|it| it.to_string())),
        show(status.map(|it| format!("{}/{}", it.busy, it.busy + idle(it)))),
        show(status.and_then(|it| it.rate_milli).map(rate)),
        show(status.and_then(queue)),
        show(status.and_then(|it| it.memory).map(size)),
        show(since.map(|since| span(now.saturating_sub(since)))),
        trouble(app, now),
    ]
}

/// Beside what may wait, where that is nearly reached.
fn queue(status: &AppStatus) -> Option<String> {
    let queue = status.queue?;
    let limit = status.queue_limit.filter(|&limit| is_long(queue, limit));
    Some(match limit {
        Some(limit) => format!("{queue}/{limit}"),
        None => queue.to_string(),
    })
}

/// What is wrong now, or was last, with its age.
fn trouble(app: &AppLine, now: u64) -> String {
    let by = app
        .stopped
        .as_ref()
        .filter(|_| app.condition == Condition::Stopped);
    if let Some(stopped) = by {
        let ago = span(now.saturating_sub(stopped.at));
        return format!("{ago} ago: stopped by {}", numbers::named(&stopped.by));
    }
    if let Some(failure) = &app.failure {
        return cause(&failure.summary).to_owned();
    }
    let dropped = app.status.as_ref().map_or(0, |status| status.dropped);
    let past = |entry: &Entry| {
        let ago = span(now.saturating_sub(entry.at / 1_000_000));
        format!("{ago} ago: {}", cause(&entry.text))
    };
    match (&app.trouble, dropped) {
        (Some(entry), 0) => past(entry),
        (None, 0) => String::new(),
        (_, dropped) => format!("{dropped} log lines were dropped"),
    }
}

/// Without the generation and the place in front, which `why` tells.
fn cause(text: &str) -> &str {
    let text = match text.strip_prefix("generation ") {
        Some(rest) => rest.split_once(": ").map_or(text, |(_, rest)| rest),
        None => text,
    };
    match text.split_once(": ") {
        Some((place, rest)) if place.contains(['/', ':']) && !place.contains(' ') => rest,
        Some(_) | None => text,
    }
}

/// What does not fit a line of the table.
fn more(text: &mut String, app: &AppLine) {
    let mut say = |what: &str, value: &str| {
        let _ = writeln!(text, "    {what:9} {value}");
    };
    if let Some(config) = &app.config {
        say("config", &config.to_string());
    }
    if let Some(status) = &app.status {
        facts(&mut say, app, status);
    }
    if let Some(pid) = app.pid {
        let adopted = if app.adopted { ", adopted" } else { "" };
        say("master", &format!("pid {pid}{adopted}"));
    }
    if let Some(entry) = &app.trouble {
        say("trouble", &entry.text);
    }
    if let Some(failure) = &app.failure {
        let _ = writeln!(text, "    {}{}", who_failed(app), failure.summary);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(text, "    hint: {hint}");
        }
    }
    if let Some(millis) = app.retry_in_ms {
        let _ = writeln!(text, "    retried in {} s", millis.div_ceil(1000));
    }
}

/// In front of a cause: which generation has it, and which one serves on.
fn who_failed(app: &AppLine) -> String {
    let failed = app.failure.as_ref().and_then(|it| it.generation);
    let serving = app.status.as_ref().and_then(|it| it.generation);
    match (serving, failed) {
        (Some(serving), Some(failed)) if failed > serving => {
            format!("serving generation {serving}; generation {failed} failed: ")
        }
        (_, _) => String::new(),
    }
}

fn facts(say: &mut impl FnMut(&str, &str), app: &AppLine, status: &AppStatus) {
    for socket in &status.sockets {
        say("socket", socket);
    }
    if let Some(python) = &status.python {
        say("python", python);
    }
    say("requests", &requests(app).to_string());
    for worker in &status.workers {
        let (id, pid, state) = (worker.id, worker.pid, &worker.state);
        let (generation, requests) = (worker.generation, worker.requests);
        let value =
            format!("{id}  pid {pid}, generation {generation}, {state}, {requests} requests");
        say("worker", &value);
    }
    if status.dropped > 0 {
        say(
            "dropped",
            &format!("{} log lines: nobody took them in time", status.dropped),
        );
    }
    for line in &status.beside {
        say("beside", line);
    }
    for note in &status.notes {
        say("note", note);
    }
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

/// The beginning of a text that is too long, with a sign that it goes on. One line in any case.
fn cut(text: &str, width: usize) -> String {
    let plain = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter });
    match text.chars().count() > width {
        true if width > 0 => plain.take(width - 1).chain(['…']).collect(),
        true => String::new(),
        false => plain.collect(),
    }
}

/// Thousandths as `0`, `0.2`, `17`, `12k`.
fn rate(milli: u64) -> String {
    match milli {
        0 => "0".to_owned(),
        1..=9_949 => format!("{:.1}", milli as f64 / 1000.0),
        9_950..=9_999_499 => milli.saturating_add(500).div_euclid(1000).to_string(),
        _ => format!("{}k", milli / 1_000_000),
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{}K", bytes >> 10),
        mebi @ 1..=9_999 => format!("{mebi}M"),
        mebi => format!("{}G", mebi >> 10),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5_999 => format!("{}m", seconds / 60),
        6_000..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::history::What;

    fn app(name: &str, condition: Condition) -> AppLine {
        let status = r#"{"state":"serving","generation":7,"busy":3,"queue":12,"rate_milli":1234567,
            "memory":9876543210,"since":1000,"workers":[]}"#;
        AppLine {
            name: name.to_owned(),
            id: format!("{name}.ini"),
            condition,
            config: None,
            pid: Some(77),
            adopted: false,
            failure: None,
            retry_in_ms: None,
            status: serde_json::from_str(status).ok(),
            stopped: None,
            trouble: None,
        }
    }

    #[test]
    fn one_line_an_app_in_a_hundred_columns_whatever_their_names() {
        let mut apps = [
            app("blog", Condition::Serving),
            app(&"a-very-long-name".repeat(5), Condition::ServingOld),
            app("shop", Condition::Paused),
        ];
        let long = "/etc/vassals/blog.ini:4: cannot load module = blog: ".to_owned();
        apps[1].trouble = Some(Entry::new(0, What::Failed, &(long + &"x".repeat(200))));
        let look = Look {
            colour: false,
            columns: Some(100),
            now: 1_000_000,
        };
        let all: Vec<&AppLine> = apps.iter().collect();
        let text = text(None, &all, false, &look);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        // Aligned: each number ends where its head ends.
        for head in ["GEN", "BUSY", "REQ/S", "QUEUE", "MEMORY", "UP"] {
            let end = lines[0].find(head).unwrap() + head.len();
            for line in &lines[1..] {
                let cells: Vec<char> = line.chars().collect();
                assert!(
                    cells[end - 1] != ' ' && cells.get(end).is_none_or(|&cell| cell == ' '),
                    "{head} in\n{text}"
                );
            }
        }
        assert!(
            lines[1].contains(" 7   3/3   1235     12   9419M  11d"),
            "{text}"
        );
        assert!(lines[2].contains("11d ago: cannot load m…"), "{text}");
    }

    #[test]
    fn a_terminal_is_filled_and_nothing_is_cut_for_a_program() {
        let name = "customer-portal-production";
        let mut apps = [
            app(name, Condition::Serving),
            app("shop", Condition::Stopped),
        ];
        apps[0].trouble = Some(Entry::new(0, What::Failed, &"x".repeat(200)));
        let all: Vec<&AppLine> = apps.iter().collect();
        let shown = |columns| {
            let look = Look {
                colour: false,
                columns,
                now: 1_000_000,
            };
            text(None, &all, false, &look)
        };
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest(&shown(Some(80))), Some(80));
        assert_eq!(widest(&shown(Some(132))), Some(132));
        let whole = shown(None);
        assert!(whole.contains(name) && whole.contains(&"x".repeat(200)));
        let stopped = whole.lines().nth(2).unwrap_or_default();
        let cells: Vec<&str> = stopped.split_whitespace().collect();
        assert_eq!(cells, ["shop", "stopped", "-", "-", "-", "-", "-", "-"]);
    }

    #[test]
    fn numbers_are_short() {
        let rates = [0, 40, 1_500, 9_960, 12_345_678].map(rate);
        assert_eq!(rates, ["0", "0.0", "1.5", "10", "12k"]);
        assert_eq!(
            [500 << 10, 3 << 20, 20_000 << 20].map(size),
            ["500K", "3M", "19G"]
        );
        assert_eq!([5, 120, 7200, 864_000].map(span), ["5s", "2m", "2h", "10d"]);
    }
}
