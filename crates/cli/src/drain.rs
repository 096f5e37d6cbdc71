//! `imperator drain`: ends masters that an emperor left behind, gracefully. systemd runs it when
//! the unit stops (`ExecStopPost=`), except after a crash: then they wait for the next emperor.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use crate::{line, log, place};

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let words: Option<Vec<String>> = arguments
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect();
    let line =
        line::parse(&words.context("an argument is not UTF-8")?).map_err(|why| anyhow!(why))?;
    log::start();
    // systemd.exec(5): how the main process ended. After anything but a clean stop there is a
    // restart, which adopts; also when that one failed (its directory is away for a moment).
    let failed = std::env::var("SERVICE_RESULT").is_ok_and(|result| result != "success");
    if failed {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime: PathBuf = place::runtime_directory(line.runtime);
    if !runtime.exists() {
        return Ok(ExitCode::SUCCESS);
    }
    let left = imperator_emperor::drain::run(&runtime)?;
    Ok(ExitCode::from(u8::from(left > 0)))
}
