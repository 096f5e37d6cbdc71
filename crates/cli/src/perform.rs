//! `imperator perform`: does the steps that it reads as JSON on its standard input, and writes what
//! came of them to descriptor 3. Started by a master, which ends it at a deadline; its own output
//! is the app's log.

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use imperator_core::message::fd;
use imperator_core::settings::hooks::Job;
use imperator_hooks::Stage;

/// No config has more steps than fit into this.
const MAX_JOB: u64 = 8 * 1024 * 1024;

const NOT_BY_HAND: &str = "hooks are performed for a master, not by hand";

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    std::io::stdin().take(MAX_JOB).read_to_end(&mut text)?;
    let job: Job = serde_json::from_slice(&text).context(NOT_BY_HAND)?;
    let answer = imperator_process::fds::take_inherited(fd::CHANNEL).context(NOT_BY_HAND)?;
    let performed = Stage::perform(job);
    let mut answer = std::fs::File::from(answer);
    answer.write_all(&serde_json::to_vec(&performed)?)?;
    Ok(match performed.failure {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}
