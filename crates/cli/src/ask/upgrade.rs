//! `imperator upgrade`: asks the emperor to put the file on disk in its own place, and waits for what
//! comes of it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use imperator_emperor::control::{self, EmperorStatus, Reply, Request};
use serde_json::json;

use super::{complain, unreachable};

/// The self-check has 20 s; the rest is the new binary's start.
const PATIENCE: Duration = Duration::from_secs(45);
/// How often the emperor is asked.
const EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(runtime: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let before = match status(runtime) {
        Ok(status) => status,
        Err(error) => return Ok(ExitCode::from(unreachable(runtime, &error))),
    };
    let Some(before) = before.filter(|it| it.build.is_some()) else {
        return Ok(failed(
            "the emperor that runs is too old to be upgraded in place\n  hint: restart it; apps serve on",
            json,
        ));
    };
    if let Err(error) = control::ask(runtime, &Request::Upgrade) {
        return Ok(ExitCode::from(unreachable(runtime, &error)));
    }
    let end = now() + PATIENCE;
    while now() < end {
        // Between two binaries nobody answers for a moment.
        if let Ok(Some(after)) = status(runtime) {
            if after.build != before.build {
                let (version, pid) = (&after.version, after.pid);
                let text = match json {
                    true => json!({ "upgraded": true, "version": version, "pid": pid }).to_string(),
                    false => format!(
                        "upgraded: version {version} runs with pid {pid}; each app follows at its \
                         next reload"
                    ),
                };
                let _ = writeln!(io::stdout(), "{text}");
                return Ok(ExitCode::SUCCESS);
            }
            if let Some(why) = after.upgrade_failure.filter(|_| !after.upgrading) {
                return Ok(failed(&why, json));
            }
        }
        rest();
    }
    Ok(failed(
        "nothing came of it in time; see the emperor's log",
        json,
    ))
}

fn failed(why: &str, json: bool) -> ExitCode {
    if json {
        let _ = writeln!(io::stdout(), "{}", json!({ "upgraded": false, "why": why }));
    }
    complain(why);
    ExitCode::FAILURE
}

fn status(runtime: &Path) -> io::Result<Option<EmperorStatus>> {
    let replies = control::ask(runtime, &Request::Status { apps: Vec::new() })?;
    let emperor = replies.into_iter().find_map(|(reply, _)| match reply {
        Reply::Emperor(status) => Some(status),
        Reply::App(_)
        | Reply::Done { .. }
        | Reply::Refused { .. }
        | Reply::History { .. }
        | Reply::Guest { .. }
        | Reply::End => None,
    });
    Ok(emperor)
}

#[expect(clippy::disallowed_methods, reason = "the edge reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells when it has happened"
)]
fn rest() {
    std::thread::sleep(EVERY);
}
