//! The command. Only this package prints, decides exit codes and knows argv.

#![forbid(unsafe_code)]

mod ask;
mod check;
mod drain;
mod emperor;
mod help;
mod line;
mod log;
mod migrate;
mod options;
mod own;
mod perform;
mod pidfile;
mod place;
mod resolve;
mod table;
mod terminal;
mod world;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let code = match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to hear of a stderr that is closed.
            let _ = writeln!(std::io::stderr(), "imperator: {error:#}");
            ExitCode::FAILURE
        }
    };
    let _ = std::io::stdout().flush();
    code
}

fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let first = arguments.first().and_then(|first| first.to_str());
    let rest = arguments.get(1..).unwrap_or_default();
    if let Some((name, signal, file)) = pidfile::order(arguments) {
        return pidfile::send(name, signal, file.as_ref());
    }
    match first {
        // Started by an emperor or a master, never by hand.
        Some("resolve") => Ok(resolve::run(rest)),
        Some("master") => Ok(exit_code(imperator_master::run_under_emperor())),
        Some("perform") => perform::run(),
        Some("drain") => drain::run(rest),
        Some(imperator_emperor::upgrade::SELF_CHECK) => emperor::self_check(rest),
        Some("check") => check::run(rest),
        Some("explain") => Ok(options::explain(rest)),
        Some("options") => Ok(options::list(rest)),
        Some("migrate") => migrate::run(rest),
        Some(_) if ask::is_asking(arguments) => ask::run(arguments),
        Some("help") => help::print(),
        Some(_) | None => emperor::run(arguments),
    }
}

/// A process that was killed has no exit code of its own.
fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
