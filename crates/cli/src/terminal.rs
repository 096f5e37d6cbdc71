//! What every command does with the words behind its name, and with its text.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command};

/// Of a command line that makes no sense.
pub(crate) const USAGE: u8 = 2;

/// `arguments` are those behind the parser's name. For `--help` and mistakes clap says what it has to
/// say, and this is the exit code: 0 or 2.
pub(crate) fn parse(parser: Command, arguments: &[OsString]) -> Result<ArgMatches, ExitCode> {
    let program = OsString::from(parser.get_name());
    let words = std::iter::once(&program).chain(arguments);
    parser.try_get_matches_from(words).map_err(|error| {
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
    })
}

/// A pager or another reader that was closed early is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
