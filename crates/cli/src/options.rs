//! `imperator explain OPTION…` and `imperator options`: what the option table says, for people at a
//! terminal and for programs. Every fact comes from the table and from `docs/differences.md`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use imperator_core::options::{self, Opt, Support, TABLES, Value, families};
use serde_json::json;

use crate::terminal::{parse, print};

/// Nobody reads more of what could have been meant.
const MAX_NEAREST: usize = 5;
/// Longer names do not push the other columns off the screen.
const NAME_WIDTH: usize = 34;
const SUPPORT_WIDTH: usize = 8;

const DIFFERENCES: &str = include_str!("../../../docs/differences.md");

fn explain_parser() -> Command {
    Command::new("imperator explain")
        .about("Tells what an option does here and what it did in uWSGI")
        .after_help("Example: imperator explain harakiri --listen -p")
        .arg(
            Arg::new("option")
                .value_name("OPTION")
                .action(ArgAction::Append)
                .required(true)
                .allow_hyphen_values(true)
                .help("As in a config (processes), or as on the command line (--processes, -p)"),
        )
}

fn options_parser() -> Command {
    Command::new("imperator options")
        .about("Lists all options, with what they do and how well they are supported")
        .after_help(
            "Examples:\n  imperator options log       what has to do with logs\n  \
             imperator options --json    everything, for programs",
        )
        .arg(
            Arg::new("word")
                .value_name("WORD")
                .action(ArgAction::Append)
                .help("Only options that have this word in their name, text or topic"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("For programs"),
        )
}

/// Exits with 1 when one of the options is unknown.
pub(crate) fn explain(arguments: &[OsString]) -> ExitCode {
    let words = match words(explain_parser(), arguments, "option") {
        Ok((_, words)) => words,
        Err(code) => return code,
    };
    let (mut text, mut code) = (String::new(), ExitCode::SUCCESS);
    for word in &words {
        if !text.is_empty() {
            text.push('\n');
        }
        match row_of(word) {
            Some(row) => text.push_str(&explanation(row)),
            None => {
                text.push_str(&unknown(word));
                code = ExitCode::FAILURE;
            }
        }
    }
    print(&text);
    code
}

pub(crate) fn list(arguments: &[OsString]) -> ExitCode {
    let (json, words) = match words(options_parser(), arguments, "word") {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let wanted = |topic: &str, row: &Opt| {
        words.iter().all(|word| {
            let word = word.trim_start_matches('-').to_ascii_lowercase();
            let has = |text: &str| text.to_ascii_lowercase().contains(&word);
            row.names().any(has) || has(row.help) || has(topic)
        })
    };
    let topics: Vec<(&str, Vec<&Opt>)> = topics()
        .into_iter()
        .map(|(topic, rows)| {
            let rows = rows.into_iter().filter(|row| wanted(topic, row));
            (topic, rows.collect())
        })
        .filter(|(_, rows): &(&str, Vec<&Opt>)| !rows.is_empty())
        .collect();
    if json {
        let rows = topics.iter().flat_map(|(topic, rows)| {
            let rows = rows.iter();
            rows.map(|row| as_json(topic, row))
        });
        let rows: Vec<serde_json::Value> = rows.collect();
        print(&format!("{:#}\n", json!({ "options": rows })));
        return ExitCode::SUCCESS;
    }
    if topics.is_empty() {
        print(&format!("no option has \"{}\" in it\n", words.join(" ")));
        return ExitCode::FAILURE;
    }
    print(&table(&topics));
    ExitCode::SUCCESS
}

/// Whether `--json` stands there, and the words; or the exit code of a line that makes no sense.
fn words(
    parser: Command,
    arguments: &[OsString],
    name: &str,
) -> Result<(bool, Vec<String>), ExitCode> {
    let matches = parse(parser, arguments)?;
    let json = matches.try_get_one::<bool>("json").ok().flatten() == Some(&true);
    let words = matches.get_many::<String>(name).unwrap_or_default();
    Ok((json, words.cloned().collect()))
}

/// The row of `processes`, `--processes`, `-p`, `-p4` or `processes = 4`.
fn row_of(word: &str) -> Option<&'static Opt> {
    let name = word.split('=').next().unwrap_or(word).trim();
    if let Some(row) = options::find(name.trim_start_matches("--")) {
        return Some(row);
    }
    let mut letters = name.strip_prefix('-')?.chars();
    options::find_short(letters.next()?)
}

fn unknown(word: &str) -> String {
    let name = word.trim_start_matches('-');
    let mut nearest = options::alike(name);
    // A part of a name is a good question, too.
    if name.len() > 2 {
        let within = options::rows().filter(|row| row.name.contains(name));
        nearest.extend(within.map(|row| row.name));
    }
    nearest.dedup();
    let more = match nearest.len() > MAX_NEAREST {
        true => format!(" (and more: imperator options {name})"),
        false => String::new(),
    };
    nearest.truncate(MAX_NEAREST);
    let hint = match nearest.as_slice() {
        [] => "imperator options lists all".to_owned(),
        nearest => format!("did you mean {}?{more}", nearest.join(", ")),
    };
    format!("neither uWSGI nor Imperator has an option \"{name}\"\n  hint: {hint}\n")
}

fn explanation(row: &Opt) -> String {
    let mut text = names(row);
    text.push('\n');
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<10}{value}");
    };
    match row.support {
        Support::Full if row.ours => {
            field("here", &format!("{}; uWSGI has no such option", row.help))
        }
        Support::Full => field("does", &format!("{}, here as in uWSGI", row.help)),
        Support::Differs(how) => {
            field("does", row.help);
            field("differs", how);
        }
        Support::Ignored(why) => {
            field("in uWSGI", row.help);
            field("here", &format!("no effect, and no harm: {why}"));
        }
        Support::Later(meanwhile) => {
            field("in uWSGI", row.help);
            field("here", "no effect: it is not supported yet");
            field("meanwhile", meanwhile);
        }
        Support::Refused {
            why,
            instead,
            stops,
        } => {
            field("in uWSGI", row.help);
            let effect = match stops {
                true => "a config with it is refused",
                false => "no effect",
            };
            field("here", &format!("{effect}: {why}"));
            field("instead", instead);
        }
    }
    field("value", form(row.value));
    if row.immediate {
        field(
            "",
            "acted on as soon as it is read: without $( ), @( ) and %( )",
        );
    }
    match (row.default, row.was) {
        ("", None) => field("default", unset(row.value)),
        ("", Some(was)) => field("default", &format!("none; in uWSGI {was}")),
        (default, None) => field("default", default),
        (default, Some(was)) => field("default", &format!("{default}; in uWSGI {was}")),
    }
    let notes = notes(row);
    if !notes.is_empty() {
        text.push_str("  what differs around it (uWSGI → here: why):\n");
        for note in notes {
            let _ = writeln!(text, "    {note}");
        }
    }
    text
}

/// What holds where nothing is set.
fn unset(value: Value) -> &'static str {
    match value {
        Value::Flag => "false",
        Value::Number
        | Value::Milliseconds
        | Value::Seconds
        | Value::Bytes
        | Value::Kibibytes
        | Value::Mebibytes
        | Value::Mode
        | Value::Text
        | Value::Path
        | Value::Address
        | Value::Pair
        | Value::Nothing => "none",
    }
}

/// What to write, and its unit.
fn form(value: Value) -> &'static str {
    match value {
        Value::Flag => "true or false: false, off, no and 0 are false, anything else is true",
        Value::Number => "a number",
        Value::Milliseconds => "a number of milliseconds, without a unit",
        Value::Seconds => "a number of seconds, without a unit",
        Value::Bytes => "a number of bytes, without a unit",
        Value::Kibibytes => "a number of KiB, without a unit",
        Value::Mebibytes => "a number of MiB, without a unit",
        Value::Mode => "three octal digits, 660 for example",
        Value::Text => "text, as it stands: no quotes, no comment behind it",
        Value::Path => "a path",
        Value::Address => "a Unix path, @name, :port or ip:port",
        Value::Pair => "K=V",
        Value::Nothing => "none",
    }
}

/// Rows of `docs/differences.md` that name the option.
fn notes(row: &Opt) -> Vec<String> {
    let lines = DIFFERENCES.lines().filter(|line| line.starts_with("| "));
    let mut notes = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, there, here, why] = cells[..] else {
            continue;
        };
        if row.names().any(|name| what.contains(&format!("`{name}`"))) {
            notes.push(format!("{what}: {there} → {here}: {why}"));
        }
    }
    notes
}

fn names(row: &Opt) -> String {
    let short = row.short.map(|short| format!("-{short}"));
    let names: Vec<String> = row.names().map(str::to_owned).chain(short).collect();
    names.join(", ")
}

/// All rows by topic, as the page has them.
fn topics() -> Vec<(&'static str, Vec<&'static Opt>)> {
    let tables = TABLES.iter().map(|table| (table.title, table.rows));
    let families = families().iter();
    let families = families.map(|(family, rows)| (family.title, rows.as_slice()));
    tables
        .chain(families)
        .map(|(title, rows)| (title, rows.iter().collect()))
        .collect()
}

fn table(topics: &[(&str, Vec<&Opt>)]) -> String {
    let mut text = String::new();
    for (topic, rows) in topics {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{topic}");
        for row in rows {
            let names = names(row);
            let support = match row.support {
                Support::Full => "",
                Support::Differs(_)
                | Support::Ignored(_)
                | Support::Later(_)
                | Support::Refused { .. } => row.support.word(),
            };
            // What is too long has a line of its own.
            let names = match names.chars().count() < NAME_WIDTH {
                true => format!("{names:<NAME_WIDTH$}"),
                false => format!("{names}\n  {:NAME_WIDTH$}", ""),
            };
            let _ = writeln!(text, "  {names}{support:<SUPPORT_WIDTH$} {}", row.help);
        }
    }
    text
}

fn as_json(topic: &str, row: &Opt) -> serde_json::Value {
    let (why, instead) = match row.support {
        Support::Full => (None, None),
        Support::Differs(how) => (Some(how), None),
        Support::Ignored(why) => (Some(why), None),
        Support::Later(meanwhile) => (None, Some(meanwhile)),
        Support::Refused { why, instead, .. } => (Some(why), Some(instead)),
    };
    let stops = matches!(row.support, Support::Refused { stops: true, .. });
    let default = Some(row.default).filter(|default| !default.is_empty());
    json!({
        "name": row.name,
        "aliases": row.aliases,
        "short": row.short,
        "topic": topic,
        "value": row.value.unit(),
        "default": default,
        "default_in_uwsgi": row.was.or(default).filter(|_| !row.ours),
        "immediate": row.immediate,
        "ours": row.ours,
        "what": row.help,
        "support": row.support.word(),
        "why": why,
        "instead": instead,
        "refuses_the_config": stops,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_however_it_is_written() {
        for word in [
            "processes",
            "--processes",
            "workers",
            "-p",
            "-p4",
            "processes = 4",
        ] {
            assert_eq!(row_of(word).unwrap().name, "processes", "{word}");
        }
        assert!(row_of("-").is_none());
        assert!(row_of("--").is_none());
        assert!(row_of("proceses").is_none());
    }

    #[test]
    fn a_row_tells_all_that_the_table_knows() {
        let text = explanation(options::find("listen").unwrap());
        for part in [
            "listen, -l\n",
            "a number",
            "1024; in uWSGI 100",
            "somaxconn",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let spooler = explanation(options::find("spooler").unwrap());
        assert!(
            spooler.contains("no effect: there is no spooler"),
            "{spooler}"
        );
        let chroot = explanation(options::find("chroot").unwrap());
        assert!(chroot.contains("a config with it is refused"), "{chroot}");
    }

    #[test]
    fn what_nobody_knows_gets_the_nearest_names() {
        assert!(unknown("--proceses").contains("did you mean processes?"));
        assert!(unknown("logrotate").contains("touch-logrotate"));
        assert!(unknown("zzzzzz").contains("imperator options lists all"));
    }

    #[test]
    fn every_name_stands_in_one_topic() {
        let mut names: Vec<&str> = topics()
            .into_iter()
            .flat_map(|(_, rows)| rows)
            .map(|row| row.name)
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(all, names.len());
    }
}
