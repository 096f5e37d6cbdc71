//! The commands that ask a running emperor: status, why, reload, retry, stop.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use imperator_emperor::control::{self, AppLine, EmperorStatus, Reply, Request};

use crate::{place, table};

/// Exit codes as init scripts have them (LSB): 3 is "not running".
const FAILING: u8 = 1;
const NOT_RUNNING: u8 = 3;
const NO_PERMISSION: u8 = 4;

const COMMANDS: &[&str] = &["status", "why", "reload", "retry", "stop", "upgrade"];

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
    first.is_some_and(|word| COMMANDS.contains(&word))
}

fn parser() -> Command {
    let runtime = Arg::new("runtime-dir")
        .long("runtime-dir")
        .value_name("DIR")
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help("The runtime directory of the emperor that is asked");
    let apps = |required| {
        Arg::new("app")
            .value_name("APP")
            .action(ArgAction::Append)
            .required(required)
            .help("An app's name as status shows it; a stanza's own name where that is enough")
    };
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("For programs");
    Command::new("imperator")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(runtime)
        .subcommand_required(true)
        .subcommand(
            Command::new("status")
                .about("Shows how every app is")
                .arg(json)
                .arg(apps(false)),
        )
        .subcommand(
            Command::new("why")
                .about("Tells why an app does not run")
                .arg(apps(false)),
        )
        .subcommand(
            Command::new("reload")
                .about("Brings up new generations; all apps without a name")
                .arg(apps(false)),
        )
        .subcommand(
            Command::new("retry")
                .about("Tries again now what waits after a failure")
                .arg(apps(false)),
        )
        .subcommand(
            Command::new("stop")
                .about("Stops apps until they are reloaded, retried or changed")
                .arg(apps(true)),
        )
        .subcommand(
            Command::new("upgrade")
                .about("Puts the emperor's file on disk in the place of the one that runs")
                .after_help(
                    "Example: apt-get install imperator && imperator upgrade\n\nThe new file must \
                     answer a self-check, else nothing changes. No app is touched: each gets a master \
                     of the new version at its next reload.",
                ),
        )
}

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let program = OsString::from("imperator");
    let words = std::iter::once(&program).chain(arguments);
    let matches = match parser().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return Ok(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    let Some((verb, matches)) = matches.subcommand() else {
        return Ok(ExitCode::from(2));
    };
    let runtime = place::runtime_directory(matches.get_one::<PathBuf>("runtime-dir").cloned());
    if verb == "upgrade" {
        return crate::upgrade::run(&runtime);
    }
    let apps: Vec<String> = matches
        .get_many::<String>("app")
        .map(|apps| apps.cloned().collect())
        .unwrap_or_default();
    let request = match verb {
        "reload" => Request::Reload { apps: apps.clone() },
        "retry" => Request::Retry { apps: apps.clone() },
        "stop" => Request::Stop { apps: apps.clone() },
        _ => Request::Status,
    };
    let replies = match control::ask(&runtime, &request) {
        Ok(replies) => replies,
        Err(error) => return Ok(unreachable(&runtime, &error)),
    };
    match verb {
        "status" => status(&replies, &apps, matches),
        "why" => why(&replies, &apps),
        _ => done(&replies),
    }
}

pub(crate) fn unreachable(runtime: &Path, error: &io::Error) -> ExitCode {
    let place = runtime.display();
    let kind = error.kind();
    let (text, code) =
        if kind == io::ErrorKind::NotFound || kind == io::ErrorKind::ConnectionRefused {
            let text = format!(
                "no emperor runs with the runtime directory {place}\n  hint: name another one with \
             --runtime-dir"
            );
            (text, NOT_RUNNING)
        } else if kind == io::ErrorKind::PermissionDenied {
            let text = format!("the emperor in {place} answers only its own user and root");
            (text, NO_PERMISSION)
        } else {
            let text = format!("the emperor in {place} does not answer: {error}");
            (text, FAILING)
        };
    complain(&text);
    ExitCode::from(code)
}

pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "imperator: {text}");
}

/// Prints data; a reader that was closed early is no failure.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// An emperor's answer to `Status`, taken apart.
fn sorted(replies: &[Reply]) -> (Option<&EmperorStatus>, Vec<&AppLine>) {
    let mut emperor = None;
    let mut apps = Vec::new();
    for reply in replies {
        match reply {
            Reply::Emperor(status) => emperor = Some(status),
            Reply::App(line) => apps.push(&**line),
            Reply::Done { .. } | Reply::Refused { .. } | Reply::End => (),
        }
    }
    (emperor, apps)
}

fn status(replies: &[Reply], wanted: &[String], matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (emperor, mut apps) = sorted(replies);
    if !wanted.is_empty() {
        apps.retain(|app| wanted.iter().any(|name| is_named(app, name)));
        if apps.is_empty() {
            complain(&format!("no app is named {}", wanted.join(" or ")));
            return Ok(ExitCode::from(2));
        }
    }
    if matches.get_flag("json") {
        print(&format!("{:#}\n", table::json(emperor, &apps)));
    } else {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&table::text(emperor, &apps, colour));
    }
    let failing = apps.iter().any(|app| app.condition.is_failure());
    Ok(ExitCode::from(if failing { FAILING } else { 0 }))
}

fn why(replies: &[Reply], wanted: &[String]) -> anyhow::Result<ExitCode> {
    let (_, mut apps) = sorted(replies);
    if wanted.is_empty() {
        apps.retain(|app| app.failure.is_some());
        if apps.is_empty() {
            print("every app runs as its files say\n");
        }
    } else {
        apps.retain(|app| wanted.iter().any(|name| is_named(app, name)));
        if apps.is_empty() {
            complain(&format!("no app is named {}", wanted.join(" or ")));
            return Ok(ExitCode::from(2));
        }
    }
    for app in &apps {
        print(&table::why(app));
    }
    let failing = apps.iter().any(|app| app.failure.is_some());
    Ok(ExitCode::from(if failing { FAILING } else { 0 }))
}

/// The whole name, the file's name, or a stanza's own name.
fn is_named(app: &AppLine, name: &str) -> bool {
    let own = app.name.split_once(':').map(|(_, own)| own);
    app.name == name || app.id == name || own == Some(name)
}

fn done(replies: &[Reply]) -> anyhow::Result<ExitCode> {
    let mut code = 0;
    for reply in replies {
        match reply {
            Reply::Done { text } => print(&format!("{text}\n")),
            Reply::Refused { why } => {
                complain(why);
                code = FAILING;
            }
            Reply::Emperor(_) | Reply::App(_) | Reply::End => (),
        }
    }
    Ok(ExitCode::from(code))
}
