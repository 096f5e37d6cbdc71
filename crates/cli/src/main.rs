//! The command. Only this package prints, decides exit codes and knows argv.

#![forbid(unsafe_code)]

mod resolve;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some("resolve") => resolve::run(&arguments[1..]),
        Some("master") => {
            let name = arguments.get(1).map(|name| name.to_string_lossy());
            imperator_master::under_emperor(&name.unwrap_or_default())
        }
        _ => ExitCode::FAILURE,
    }
}
