//! Rows: logs.

use std::time::Duration;

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, loggers, opt, values};
use crate::settings::logs::{LogEncoder, Logger};

const OPENED_EARLY: &str = "under an emperor it only names the log file";
const KINDS: &str = "file:, socket:, syslog:, rsyslog:, systemd, pipe: and stdio are known";
const ENCODERS: &str = "prefix, suffix, nl, format and json are known; lines of a file always end";
const REGEX: &str = "a line is what stands between two line ends";

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "daemonize",
        Value::Path,
        Differs(OPENED_EARLY),
        "go to the background and log to this file",
        |draft, given| {
            draft.settings.logs.daemonize = Some(loggers::log_file(given.text)?);
            Ok(())
        },
    )
    .short('d'),
    opt(
        "daemonize2",
        Value::Path,
        Differs("as daemonize: the terminal is free before the app is loaded"),
        "go to the background when the app is loaded, and log to this file",
        |draft, given| {
            draft.settings.logs.daemonize = Some(loggers::log_file(given.text)?);
            Ok(())
        },
    ),
    opt(
        "disable-logging",
        Value::Flag,
        Full,
        "write no line for each request",
        set!(logs.requests.disabled, flag),
    )
    .short('L'),
    opt(
        "log-4xx",
        Value::Flag,
        Full,
        "log requests answered 4xx even with disable-logging",
        set!(logs.requests.status_4xx, flag),
    ),
    opt(
        "log-5xx",
        Value::Flag,
        Full,
        "log requests answered 5xx even with disable-logging",
        set!(logs.requests.status_5xx, flag),
    ),
    opt(
        "log-backupname",
        Value::Path,
        Full,
        "the name of a rotated log file",
        set!(logs.files.backup, path),
    ),
    opt(
        "log-big",
        Value::Bytes,
        Full,
        "log bodies of this size or more even with disable-logging",
        set!(logs.requests.big, some),
    ),
    opt(
        "log-date",
        Value::Text,
        Differs("false is no date, but off"),
        "put the time before the server's own lines; a strftime format",
        |draft, given| {
            draft.settings.logs.date = loggers::date(draft, given);
            Ok(())
        },
    )
    .aka(&["log-prefix", "logdate"]),
    opt(
        "log-drain",
        Value::Text,
        Differs(REGEX),
        "drop the lines that match this regular expression",
        |draft, given| {
            let pattern = loggers::pattern(given.text)?;
            draft.settings.logs.drain.push(pattern);
            Ok(())
        },
    ),
    opt(
        "log-encoder",
        Value::Text,
        Differs(ENCODERS),
        "do this to each line: name[:logger] arguments",
        |draft, given| {
            let encoder = encoder(draft, given);
            draft.settings.logs.encoders.extend(encoder);
            Ok(())
        },
    ),
    opt(
        "log-filter",
        Value::Text,
        Differs(REGEX),
        "keep only the lines that match this regular expression",
        |draft, given| {
            let pattern = loggers::pattern(given.text)?;
            draft.settings.logs.filter.push(pattern);
            Ok(())
        },
    ),
    opt(
        "log-format",
        Value::Text,
        Full,
        "how a request is logged, with %(variables)",
        |draft, given| {
            draft.settings.logs.requests.format = Some(given.text.to_owned());
            Ok(())
        },
    )
    .aka(&["logformat"]),
    opt(
        "log-format-strftime",
        Value::Flag,
        Full,
        "write %(ftime) as log-date says",
        |draft, given| {
            draft.log_ftime = draft.flag(given);
            Ok(())
        },
    )
    .aka(&["logformat-strftime"]),
    opt(
        "log-ioerror",
        Value::Flag,
        Differs("a read or a write error is enough; uWSGI wants both"),
        "log requests with input or output errors even with disable-logging",
        set!(logs.requests.ioerror, flag),
    ),
    opt(
        "log-json",
        Value::Flag,
        Full,
        "ours: write each line of the log as one JSON object",
        set!(logs.json, flag),
    )
    .ours(),
    ignored(
        "log-master",
        Value::Flag,
        "let the master write the log",
        "the master always writes the log, and in whole lines",
    ),
    ignored(
        "log-master-bufsize",
        Value::Bytes,
        "the longest message that the master takes",
        "a line may be 64 KiB, and a longer one comes in pieces",
    )
    .was("8192"),
    ignored(
        "log-master-req-stream",
        Value::Flag,
        "take request lines through a stream socket",
        "lines always come through a pipe, whole",
    ),
    ignored(
        "log-master-stream",
        Value::Flag,
        "take log lines through a stream socket",
        "lines always come through a pipe, whole",
    ),
    opt(
        "log-maxsize",
        Value::Bytes,
        Full,
        "rotate the log file when it is bigger",
        set!(logs.files.max_size, some),
    ),
    opt(
        "log-micros",
        Value::Flag,
        Full,
        "tell microseconds in request lines",
        set!(logs.requests.micros, flag),
    ),
    ignored(
        "log-reopen",
        Value::Flag,
        "open the log file again at a reload",
        "a log file that was moved away is made anew within a second",
    ),
    opt(
        "log-req-encoder",
        Value::Text,
        Differs(ENCODERS),
        "do this to each line of a req-logger",
        |draft, given| {
            let encoder = encoder(draft, given);
            draft.settings.logs.req_encoders.extend(encoder);
            Ok(())
        },
    ),
    opt(
        "log-req-route",
        Value::Text,
        Differs("the id may also be a req-logger's, which uWSGI never finds"),
        "send request lines that match to one logger: id regex",
        |draft, given| {
            let route = loggers::route(given.text)?;
            draft.settings.logs.req_routes.push(route);
            Ok(())
        },
    ),
    opt(
        "log-route",
        Value::Text,
        Differs(REGEX),
        "send lines that match to one logger: id regex",
        |draft, given| {
            let route = loggers::route(given.text)?;
            draft.settings.logs.routes.push(route);
            Ok(())
        },
    ),
    opt(
        "log-sendfile",
        Value::Flag,
        Full,
        "log answers by sendfile even with disable-logging",
        set!(logs.requests.sendfile, flag),
    ),
    opt(
        "log-slow",
        Value::Milliseconds,
        Full,
        "log requests of so many milliseconds even with disable-logging",
        |draft, given| {
            let slow = draft.some(given)?;
            draft.settings.logs.requests.slow = slow.map(Duration::from_millis);
            Ok(())
        },
    ),
    opt(
        "log-socket",
        Value::Text,
        Full,
        "send log lines to this UDP address or Unix socket",
        |draft, given| {
            let logger = known_logger(draft, &format!("socket:{}", given.text));
            draft.settings.logs.loggers.extend(logger);
            Ok(())
        },
    ),
    opt(
        "log-syslog",
        Value::Text,
        Full,
        "send log lines to syslog: name,facility",
        |draft, given| {
            // Bare in a config it is "true" to the original as well; nobody means that name.
            let text = match given.text {
                "true" => "",
                text => text,
            };
            let logger = known_logger(draft, &format!("syslog:{text}"));
            draft.settings.logs.loggers.extend(logger);
            Ok(())
        },
    ),
    opt(
        "log-truncate",
        Value::Flag,
        Full,
        "empty the log file at the start",
        set!(logs.files.truncate, flag),
    ),
    opt(
        "log-x-forwarded-for",
        Value::Flag,
        Full,
        "log the address that X-Forwarded-For names",
        set!(logs.requests.forwarded, flag),
    ),
    opt(
        "log-zero",
        Value::Flag,
        Full,
        "log answers without a body even with disable-logging",
        set!(logs.requests.zero, flag),
    ),
    opt(
        "logfile-chmod",
        Value::Mode,
        Full,
        "the mode of log files",
        |draft, given| {
            draft.settings.logs.files.chmod = Some(values::mode(given.text)?);
            Ok(())
        },
    ),
    opt(
        "logfile-chown",
        Value::Flag,
        Full,
        "give log files to the app's user",
        set!(logs.files.chown, flag),
    ),
    opt(
        "logger",
        Value::Text,
        Differs(KINDS),
        "where log lines go: [id ]plugin:arguments",
        |draft, given| {
            let logger = known_logger(draft, given.text);
            draft.settings.logs.loggers.extend(logger);
            Ok(())
        },
    ),
    ignored(
        "logger-list",
        Value::Flag,
        "print the names of the log plugins",
        "it prints a list at the start, and no more",
    )
    .aka(&["loggers-list"]),
    opt(
        "logto",
        Value::Path,
        Full,
        "append the log to this file, or send it to host:port by UDP",
        |draft, given| {
            draft.settings.logs.logto = Some(loggers::log_file(given.text)?);
            Ok(())
        },
    ),
    opt(
        "logto2",
        Value::Path,
        Full,
        "as logto, but opened with the rights of the app's user",
        |draft, given| {
            let mut target = loggers::log_file(given.text)?;
            if let crate::settings::LogTarget::File(file) = &mut target {
                file.as_user = true;
            }
            draft.settings.logs.logto2 = Some(target);
            Ok(())
        },
    ),
    opt(
        "memory-report",
        Value::Flag,
        Differs("2 tells no more than 1"),
        "put memory use into request lines",
        |draft, given| {
            draft.settings.logs.requests.memory = match given.text {
                "2" => true,
                _ => draft.flag(given),
            };
            Ok(())
        },
    )
    .short('m'),
    opt(
        "req-logger",
        Value::Text,
        Differs(KINDS),
        "where request lines go: [id ]plugin:arguments",
        |draft, given| {
            let logger = known_logger(draft, given.text);
            draft.settings.logs.req_loggers.extend(logger);
            Ok(())
        },
    )
    .aka(&["logger-req"]),
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
    opt(
        "stats-http",
        Value::Flag,
        Full,
        "put an HTTP head before the statistics",
        set!(logs.stats.http, flag),
    ),
    opt(
        "stats-minified",
        Value::Flag,
        Full,
        "write the statistics without spaces",
        set!(logs.stats.minified, flag),
    )
    .aka(&["stats-min"]),
    opt(
        "stats-no-cores",
        Value::Flag,
        Full,
        "leave the threads out of the statistics",
        set!(logs.stats.no_cores, flag),
    ),
    ignored(
        "stats-no-metrics",
        Value::Flag,
        "leave the metrics out of the statistics",
        "there are no metrics in the statistics",
    ),
    ignored(
        "threaded-logger",
        Value::Flag,
        "write the log in a thread of the master",
        "the master never waits for a log",
    ),
];

/// A log plugin that we lack must not keep an app from running: its lines go where the others go.
fn known_logger(draft: &mut Draft, text: &str) -> Option<Logger> {
    or_warn(draft, loggers::logger(text))
}

fn encoder(draft: &mut Draft, given: &Given<'_>) -> Option<LogEncoder> {
    or_warn(draft, loggers::encoder(given.text))
}

fn or_warn<T>(draft: &mut Draft, result: Result<T, Invalid>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Invalid { text, hint }) => {
            draft.warn(text, hint.unwrap_or_else(|| "remove the line".to_owned()));
            None
        }
    }
}
