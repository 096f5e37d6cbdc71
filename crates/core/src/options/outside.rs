//! Rows: how an app is steered from outside: FIFOs, touched files, pidfiles.

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, nothing, opt};
use crate::settings::outside::Touch;
use std::time::Duration;

/// The original has slots 0 to 9.
const MAX_FIFOS: usize = 10;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "exit-on-reload",
        Value::Flag,
        Differs("a reload by an emperor is a reload: it would only start the app again"),
        "end instead of reloading",
        set!(outside.exit_on_reload, flag),
    ),
    opt(
        "fs-reload",
        Value::Path,
        Differs("fs-brutal-reload is as graceful as fs-reload"),
        "reload at each change of this file or in this directory",
        |draft, given| {
            let path = Draft::path(given)?;
            draft.settings.outside.watched.push(path);
            Ok(())
        },
    )
    .aka(&["fs-brutal-reload"]),
    opt(
        "fs-signal",
        Value::Text,
        SIGNALS,
        "raise a signal of uWSGI's own when a file changes",
        nothing,
    ),
    opt(
        "master-fifo",
        Value::Path,
        Differs("reloads lose no request; B, E and S have nothing to do here"),
        "named pipe whose letters tell the master what to do",
        |draft, given| {
            let path = Draft::path(given)?;
            if draft.settings.outside.fifos.len() < MAX_FIFOS {
                draft.settings.outside.fifos.push(path);
            } else {
                let hint = "ten of them, 0 to 9, are enough: remove this line".to_owned();
                draft.warn("is the eleventh, and no digit reaches it", hint);
            }
            Ok(())
        },
    ),
    opt(
        "pidfile2",
        Value::Path,
        Full,
        "write the master's pid as the app's user",
        set!(outside.pidfile2, path),
    ),
    ignored(
        "propagate-touch",
        Value::Flag,
        "pass the signals of reloads on",
        "no reload here depends on a signal",
    ),
    opt(
        "reload-mercy",
        Value::Seconds,
        Differs("is for daemons and crons; worker-reload-mercy is for workers"),
        "how long what runs beside the app may take to end",
        |draft, given| {
            let mercy = draft.some(given)?.map(Duration::from_secs);
            draft.settings.outside.reload_mercy = mercy;
            Ok(())
        },
    ),
    opt(
        "safe-pidfile",
        Value::Path,
        SAFE,
        "write the master's pid once the app serves",
        safe_pidfile,
    )
    .aka(&["safe-pidfile2"]),
    opt(
        "touch-chain-reload",
        Value::Path,
        Full,
        "replace one worker after another when this file is touched",
        |draft, given| touch(draft, given, Touch::ReloadChain),
    ),
    opt(
        "touch-exec",
        Value::Text,
        Full,
        "run a command when a file is touched, FILE COMMAND",
        |draft, given| {
            let text = Draft::some_text(given)?;
            // A file alone is its own command.
            let (file, command) = text.split_once(' ').unwrap_or((&text, &text));
            let touch = Touch::Exec(command.to_owned());
            draft.settings.outside.touches.push((file.into(), touch));
            Ok(())
        },
    ),
    opt(
        "touch-logreopen",
        Value::Path,
        Full,
        "open the log files again when this file is touched",
        |draft, given| touch(draft, given, Touch::ReopenLogs),
    ),
    opt(
        "touch-logrotate",
        Value::Path,
        Full,
        "rotate the log files when this file is touched",
        |draft, given| touch(draft, given, Touch::RotateLogs),
    ),
    ignored(
        "touch-mules-reload",
        Value::Path,
        "reload mules when this file is touched",
        "there are no mules",
    ),
    opt(
        "touch-signal",
        Value::Text,
        SIGNALS,
        "raise a signal of uWSGI's own when a file is touched",
        nothing,
    ),
    ignored(
        "touch-spoolers-reload",
        Value::Path,
        "reload spoolers when this file is touched",
        "there are no spoolers",
    ),
    opt(
        "touch-workers-reload",
        Value::Path,
        Differs("no worker goes before its replacement accepts"),
        "replace all workers when this file is touched",
        |draft, given| touch(draft, given, Touch::ReloadWorkers),
    ),
];

const SAFE: super::Support =
    Differs("both are written as the app's user, when the first generation serves");
const SIGNALS: super::Support = super::Support::Refused {
    why: "uWSGI's own signals are not here",
    instead: "use touch-exec or hook-touch",
    stops: false,
};

fn safe_pidfile(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    let path = Draft::path(given)?;
    draft.settings.outside.safe_pidfiles.push(path);
    Ok(())
}

fn touch(draft: &mut Draft, given: &Given<'_>, what: Touch) -> Result<(), Invalid> {
    let path = Draft::path(given)?;
    draft.settings.outside.touches.push((path, what));
    Ok(())
}
