//! Rows: logs and numbers.

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt, values};
use crate::settings::LogTarget;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "daemonize",
        Value::Path,
        Differs("under an emperor it only names the log file"),
        "go to the background and log to this file",
        |draft, given| {
            draft.settings.daemonize = Some(values::log_file(given.text)?);
            Ok(())
        },
    )
    .aka(&["daemonize2"])
    .short('d'),
    opt(
        "disable-logging",
        Value::Flag,
        Full,
        "write no line for each request",
        |draft, given| {
            draft.settings.disable_logging = draft.flag(given);
            Ok(())
        },
    )
    .short('L'),
    opt(
        "log-format",
        Value::Text,
        Full,
        "how a request is logged, with %(variables)",
        |draft, given| {
            draft.settings.log_format = Some(given.text.to_owned());
            Ok(())
        },
    )
    .aka(&["logformat"]),
    ignored(
        "log-master",
        Value::Flag,
        "let the master write the log",
        "the master always writes the log, and in whole lines",
    ),
    opt(
        "logger",
        Value::Text,
        Differs("file:, socket:, syslog: and stdio: are known"),
        "where log lines go",
        |draft, given| {
            let target = logger(draft, given)?;
            draft.settings.loggers.extend(target);
            Ok(())
        },
    ),
    opt(
        "logto",
        Value::Path,
        Full,
        "append the log to this file, or send it to host:port by UDP",
        |draft, given| {
            draft.settings.logto = Some(values::log_file(given.text)?);
            Ok(())
        },
    )
    .aka(&["logto2"]),
    opt(
        "memory-report",
        Value::Flag,
        Full,
        "put memory use into request lines",
        |draft, given| {
            draft.settings.memory_report = draft.flag(given);
            Ok(())
        },
    )
    .short('m'),
    opt(
        "req-logger",
        Value::Text,
        Differs("file:, socket:, syslog: and stdio: are known"),
        "where request lines go",
        |draft, given| {
            let target = logger(draft, given)?;
            draft.settings.req_loggers.extend(target);
            Ok(())
        },
    ),
    opt(
        "stats",
        Value::Address,
        Full,
        "serve statistics as JSON on this address",
        |draft, given| {
            draft.settings.stats = Some(values::address(given.text)?);
            Ok(())
        },
    )
    .aka(&["stats-server"]),
];

/// A log plugin that we lack must not keep an app from running: its lines go where the others go.
fn logger(draft: &mut Draft, given: &Given<'_>) -> Result<Option<LogTarget>, Invalid> {
    match Draft::logger(given) {
        Ok(target) => Ok(Some(target)),
        Err(Invalid { text, hint }) => {
            draft.warn(text, hint);
            Ok(None)
        }
    }
}
