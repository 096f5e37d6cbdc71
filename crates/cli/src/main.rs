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
            ExitCode::from(u8::try_from(imperator_master::run_under_emperor()).unwrap_or(1))
        }
        _ => {
            let arguments = arguments.iter().map(|it| it.to_string_lossy().into_owned());
            let code = imperator_master::run_alone(arguments.collect());
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
    }
}
