//! What `--help` says.

use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
Runs many Python web apps on one machine: uWSGI's Emperor, with reloads that lose no request.

Usage:
  imperator DIR…                 run every app of the .ini files in these directories
  imperator FILE.ini             run what this file says: one app, several, or an emperor
  imperator FILE.ini:SECTION     run this one app
  imperator --emperor DIR|GLOB   as uWSGI writes it; may be given several times
  imperator [OPTIONS OF UWSGI]   run one app from the command line: --http-socket :8000 --module app

Before anything runs:
  imperator check FILE|DIR…      all that is wrong with configs; --import also loads each app
  imperator migrate FILE|DIR…    what becomes of what runs under uWSGI today

Ask a running emperor:
  imperator status [APP…]        how every app is, one line each
  imperator why [APP…]           why an app does not run, with its traceback
  imperator reload [APP…]        new generations beside the old ones; no request is lost
  imperator stop APP…            stop apps until somebody starts them; --all
  imperator start APP…           start what was stopped
  imperator restart APP…         stop and start, with a new master
  imperator retry [APP…]         try again now what waits after a failure
  imperator history [APP…]       what happened when and by whom
  imperator logs APP             what it printed last; -f follows
  imperator wait-ready [APP…]    return when they serve: for deploy scripts and probes
  imperator upgrade              put the program that is installed now in the emperor's place
  Each has --help with examples; all but upgrade have --json. docs/commands.md has the rest.

Ask about options:
  imperator explain OPTION       what it does here, what it did in uWSGI, unit, default
  imperator options [WORD]       all of them, or those about a word

Options:
  --runtime-dir DIR   where sockets and locks live
                      [default: $RUNTIME_DIRECTORY, /run/imperator, $XDG_RUNTIME_DIR/imperator]
  -h, --help          this text
  --version           the version

Environment:
  IMPERATOR_PYTHON_EXTENSION   the extension module, when it is not beside the command
  IMPERATOR_LOG                what is logged: error, warn, info (default), debug
  NO_COLOR                     no colour
";

pub(crate) fn print() -> anyhow::Result<ExitCode> {
    // A pager that was closed early is no failure.
    let _ = std::io::stdout().write_all(HELP.as_bytes());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_version() -> anyhow::Result<ExitCode> {
    let _ = writeln!(std::io::stdout(), "imperator {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}
