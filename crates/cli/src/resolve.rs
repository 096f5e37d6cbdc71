//! `imperator resolve ARGS…`: reads a config and prints `Resolved` as JSON, in a process of its own
//! that its caller ends at a deadline. A FIFO, a hung file system or a slow `@(exec://…)` hurts
//! nobody else.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use imperator_core::config;

use crate::world::RealWorld;

/// `arguments` are uWSGI's command-line syntax, without `resolve` itself. What is wrong with the
/// config is part of the answer; the exit code is about the answer itself.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    match print(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "imperator resolve: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(arguments: &[OsString]) -> anyhow::Result<()> {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let reading = config::read(&arguments, &RealWorld::look()?);
    tell(&reading).context("print what the config says")?;
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, &reading.resolved).context("print the settings")?;
    writeln!(stdout).context("print the settings")?;
    stdout.flush().context("print the settings")
}

/// What the config itself asks to print goes to stderr: into the log of the app, or to who asked.
fn tell(reading: &config::Reading) -> std::io::Result<()> {
    let mut text = Vec::new();
    for line in &reading.printed {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    if reading.resolved.show_config {
        text.extend(reading.block().unwrap_or_default());
    }
    std::io::stderr().write_all(&text)
}
