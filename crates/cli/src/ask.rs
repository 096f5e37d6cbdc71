//! The commands that ask a running emperor: status, why, reload, stop and their like. Some of them
//! ask the masters themselves while no emperor is there.

mod commands;
mod history;
mod logs;
mod numbers;
mod shown;
mod upgrade;
mod wait;
mod why;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use imperator_core::history::{Entry, What};
use imperator_core::nearest::nearest;
use imperator_emperor::chronicle;
use imperator_emperor::control::{self, AppLine, EmperorStatus, Reason, Reply, Request, is_nobody};
use imperator_emperor::orphans::{self, Orphan};
use imperator_emperor::runtime::Stopped;
use imperator_emperor::supervisor::{DEFAULT_MERCY, STOP_MARGIN};
use serde_json::{Value, json};

use crate::terminal::{USAGE, parse, print};
use crate::{place, table};

/// Exit codes, in part as init scripts have them (LSB). `docs/commands.md` lists them.
const FAILING: u8 = 1;
const UNKNOWN: u8 = 2;
const NOT_RUNNING: u8 = 3;
const NO_PERMISSION: u8 = 4;
const LATE: u8 = 5;

/// Whether one of the commands stands first, or behind `--runtime-dir DIR`.
pub(crate) fn is_asking(arguments: &[OsString]) -> bool {
    let mut words = arguments
        .iter()
        .map(|word| word.to_str().unwrap_or_default());
    let first = match words.next() {
        Some("--runtime-dir") => words.nth(1),
        Some(joined) if joined.starts_with("--runtime-dir=") => words.next(),
        first => first,
    };
    first.is_some_and(|word| commands::ALL.iter().any(|entry| entry.name == word))
}

/// What the commands are called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    commands::ALL.iter().map(|entry| entry.name)
}

/// What was typed.
struct Question {
    runtime: PathBuf,
    apps: Vec<String>,
    json: bool,
    matches: ArgMatches,
}

impl Question {
    fn has(&self, flag: &str) -> bool {
        self.matches.try_get_one::<bool>(flag).ok().flatten() == Some(&true)
    }

    fn timeout(&self) -> Duration {
        let seconds = self.matches.try_get_one::<u64>("timeout").ok().flatten();
        Duration::from_secs(seconds.copied().unwrap_or_default())
    }
}

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let matches = match parse(commands::parser(), arguments) {
        Ok(matches) => matches,
        Err(code) => return Ok(code),
    };
    let Some((verb, matches)) = matches.subcommand() else {
        return Ok(ExitCode::from(USAGE));
    };
    if verb == "upgrade" {
        let given = matches.get_one::<PathBuf>("runtime-dir").cloned();
        let json = matches.get_flag("json");
        return upgrade::run(&place::asked_directory(given), json);
    }
    let apps = matches.get_many::<String>("app").into_iter().flatten();
    let question = Question {
        runtime: place::asked_directory(matches.get_one::<PathBuf>("runtime-dir").cloned()),
        apps: apps.cloned().collect(),
        json: matches.get_flag("json"),
        matches: matches.clone(),
    };
    let code = match verb {
        "status" => status(&question),
        "why" => why::run(&question),
        "history" => history::run(&question),
        "logs" => logs::run(&question),
        "wait-ready" => wait::ready(&question),
        verb => order(&question, verb),
    };
    Ok(ExitCode::from(code.unwrap_or_else(|code| code)))
}

/// An exit code; `Err` where the command can do no more.
type Code = Result<u8, u8>;

/// An emperor's whole answer, taken apart.
#[derive(Default)]
struct Answered {
    emperor: Option<EmperorStatus>,
    apps: Vec<AppLine>,
    done: Vec<Done>,
    refused: Vec<(String, Reason)>,
    histories: Vec<(String, Vec<Entry>)>,
    guest: Option<(String, std::os::fd::OwnedFd)>,
}

struct Done {
    text: String,
    app: Option<String>,
    order: u64,
}

impl Answered {
    /// Says what was refused; the exit code for it.
    fn complain(&self) -> u8 {
        let code = |(why, reason): &(String, Reason)| {
            complain(why);
            match reason {
                Reason::Unknown => UNKNOWN,
                Reason::Forbidden => NO_PERMISSION,
                Reason::Failed => FAILING,
            }
        };
        self.refused.iter().map(code).max().unwrap_or(0)
    }
}

fn ask(runtime: &Path, request: &Request) -> io::Result<Answered> {
    let mut answered = Answered::default();
    for (reply, beside) in control::ask(runtime, request)? {
        match reply {
            Reply::Emperor(status) => answered.emperor = Some(status),
            Reply::App(line) => answered.apps.push(*line),
            Reply::Done { text, app, order } => answered.done.push(Done { text, app, order }),
            Reply::Refused { why, reason } => answered.refused.push((why, reason)),
            Reply::History { app, entries } => answered.histories.push((app, entries)),
            Reply::Guest { app } => answered.guest = beside.map(|channel| (app, channel)),
            Reply::End => (),
        }
    }
    Ok(answered)
}

/// The masters that are there without an emperor; with the exit code when there are none.
fn left(question: &Question, error: &io::Error) -> Result<Vec<Orphan>, u8> {
    if !is_nobody(error) {
        return Err(unreachable(&question.runtime, error));
    }
    match orphans::find(&question.runtime) {
        Ok(orphans) if orphans.is_empty() => Err(unreachable(&question.runtime, error)),
        Ok(orphans) => Ok(orphans),
        Err(other) if is_nobody(&other) => Err(unreachable(&question.runtime, error)),
        Err(other) => Err(unreachable(&question.runtime, &other)),
    }
}

pub(crate) fn unreachable(runtime: &Path, error: &io::Error) -> u8 {
    let place = runtime.display();
    let (text, code) = if is_nobody(error) {
        let text = format!(
            "no emperor runs with the runtime directory {place}\n  hint: name another one with \
             --runtime-dir"
        );
        (text, NOT_RUNNING)
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        let text = format!(
            "the emperor in {place} answers only its own user, root, and the group that its option \
             control-group names"
        );
        (text, NO_PERMISSION)
    } else {
        let text = format!("the emperor in {place} does not answer: {error}");
        (text, FAILING)
    };
    complain(&text);
    code
}

pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "imperator: {text}");
}

/// Prints data; a reader that was closed early is no failure.
fn print_json(value: &Value) {
    print(&format!("{value:#}\n"));
}

/// How the apps are: all, or those that were named.
struct View {
    emperor: Option<EmperorStatus>,
    apps: Vec<AppLine>,
    /// For names that nobody knows.
    code: u8,
}

fn view(question: &Question) -> Result<View, u8> {
    view_of(question, &question.apps)
}

fn view_of(question: &Question, apps: &[String]) -> Result<View, u8> {
    let request = Request::Status {
        apps: apps.to_vec(),
    };
    match ask(&question.runtime, &request) {
        Ok(answered) => Ok(View {
            code: answered.complain(),
            emperor: answered.emperor,
            apps: answered.apps,
        }),
        Err(error) => {
            let orphans = left(question, &error)?;
            let (orphans, code) = choose(orphans, apps);
            complain(&format!(
                "no emperor runs with the runtime directory {}: this is what its masters say\n  \
                 hint: start it again; it takes them over as they run",
                question.runtime.display()
            ));
            Ok(View {
                emperor: None,
                apps: orphans::lines(&orphans, false),
                code: code.max(FAILING),
            })
        }
    }
}

/// Those of these names, all without any; and the exit code for names that nobody has.
fn choose(mut orphans: Vec<Orphan>, names: &[String]) -> (Vec<Orphan>, u8) {
    let mut code = 0;
    for name in names {
        if !orphans.iter().any(|it| is_named(&it.record.name, name)) {
            let all = orphans.iter().map(|it| it.record.name.as_str());
            let meant = nearest(name, all).map(|meant| format!(", did you mean {meant}?"));
            let meant = meant.unwrap_or_default();
            complain(&format!("no app is named \"{name}\"{meant}"));
            code = UNKNOWN;
        }
    }
    if !names.is_empty() {
        orphans.retain(|it| names.iter().any(|name| is_named(&it.record.name, name)));
    }
    (orphans, code)
}

/// The whole name, or a stanza's own name.
fn is_named(app: &str, name: &str) -> bool {
    app == name || app.split_once(':').is_some_and(|(_, own)| own == name)
}

fn status(question: &Question) -> Code {
    let view = view(question)?;
    let apps: Vec<&AppLine> = view.apps.iter().collect();
    if question.json {
        print_json(&table::json(view.emperor.as_ref(), &apps));
    } else {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let details = !question.apps.is_empty();
        let look = shown::Look {
            colour,
            columns: numbers::columns(),
            now: numbers::unix_seconds(),
        };
        print(&shown::text(view.emperor.as_ref(), &apps, details, &look));
    }
    let failing = apps.iter().any(|app| app.condition.is_failure());
    Ok(view.code.max(if failing { FAILING } else { 0 }))
}

/// reload, retry, start, restart, stop.
fn order(question: &Question, verb: &str) -> Code {
    let apps = question.apps.clone();
    let all = question.has("all");
    let request = match verb {
        "reload" => Request::Reload { apps },
        "retry" => Request::Retry { apps },
        "start" => Request::Start { apps },
        "restart" => Request::Restart { apps },
        _ => Request::Stop { apps, all },
    };
    let answered = match ask(&question.runtime, &request) {
        Ok(answered) => answered,
        Err(error) if verb == "stop" => return stop_left(question, &error),
        Err(error) => return Err(unreachable(&question.runtime, &error)),
    };
    let code = answered.complain();
    if question.has("wait") {
        let waited = wait::obeyed(question, verb, answered.done)?;
        return Ok(code.max(waited));
    }
    if question.json {
        let done = answered
            .done
            .iter()
            .map(|done| json!({"app": done.app, "done": done.text}));
        let refused = answered.refused.iter();
        let refused = refused.map(|(why, reason)| json!({"why": why, "reason": reason}));
        let (done, refused): (Vec<_>, Vec<_>) = (done.collect(), refused.collect());
        print_json(&json!({ "done": done, "refused": refused }));
    } else {
        for done in &answered.done {
            print(&format!("{}\n", done.text));
        }
        if answered.done.is_empty() && answered.refused.is_empty() {
            print("there is no app for this\n");
        }
    }
    Ok(code)
}

/// Stops masters that have no emperor, and waits for their end: nobody else does.
fn stop_left(question: &Question, error: &io::Error) -> Code {
    let orphans = left(question, error)?;
    let (orphans, code) = choose(orphans, &question.apps);
    let names: Vec<String> = orphans.iter().map(|it| it.record.name.clone()).collect();
    let by = Stopped {
        by: numbers::who(),
        at: numbers::unix_seconds(),
    };
    for name in &names {
        let entry = Entry::new(by.at * 1_000_000, What::StopAsked, "without an emperor");
        // It is stopped all the same.
        let _ = chronicle::note(&question.runtime, name, &entry.by(by.by.clone()));
    }
    let patience = match question.has("wait") {
        true => question.timeout(),
        false => DEFAULT_MERCY + STOP_MARGIN,
    };
    let left = orphans::stop(orphans, &by, patience);
    let stopped: Vec<&String> = names.iter().filter(|name| !left.contains(name)).collect();
    if question.json {
        print_json(&json!({ "stopped": stopped, "late": left }));
    } else {
        for name in stopped {
            print(&format!(
                "{name} has stopped; imperator start {name} starts it again\n"
            ));
        }
        for name in &left {
            complain(&format!("{name} still finishes its requests"));
        }
    }
    Ok(code.max(if left.is_empty() { 0 } else { LATE }))
}
