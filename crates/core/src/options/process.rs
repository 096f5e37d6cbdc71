//! Rows: processes, identity, life cycle, the emperor.

use std::time::Duration;

use super::Support::{Differs, Full};
use super::{Draft, Invalid, Opt, Value, ignored, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "auto-procname",
        Value::Flag,
        Differs("is on unless switched off"),
        "give processes names that ps shows",
        |draft, given| {
            draft.settings.auto_procname = draft.flag(given);
            Ok(())
        },
    )
    .default("true")
    .was("false"),
    opt(
        "chdir",
        Value::Path,
        Full,
        "directory that the app is loaded and runs in",
        |draft, given| {
            draft.settings.chdir = Some(Draft::path(given)?);
            Ok(())
        },
    ),
    ignored(
        "die-on-term",
        Value::Flag,
        "stop at SIGTERM",
        "SIGTERM always stops gracefully",
    ),
    opt(
        "emperor",
        Value::Text,
        Full,
        "watch this directory or glob for config files of apps",
        |draft, given| {
            let watched = Draft::some_text(given)?;
            draft.settings.emperor.push(watched);
            Ok(())
        },
    ),
    opt(
        "env",
        Value::Pair,
        Full,
        "set an environment variable of the app, NAME=value",
        |draft, given| {
            let Some((name, value)) = given.text.split_once('=') else {
                return Err(Invalid::with_hint(
                    format!("\"{}\" has no \"=\"", given.text),
                    "write env = NAME=value",
                ));
            };
            if name.is_empty() || name.contains('\0') {
                return Err(Invalid::new(format!("\"{}\" has no name", given.text)));
            }
            let pair = (name.to_owned(), value.to_owned());
            draft.settings.env.push(pair);
            Ok(())
        },
    ),
    opt(
        "gid",
        Value::Text,
        Full,
        "group, by name or number, that the app runs as",
        |draft, given| {
            draft.settings.gid = Some(Draft::some_text(given)?);
            Ok(())
        },
    ),
    opt(
        "harakiri",
        Value::Seconds,
        Differs("is counted for each request, not for each worker"),
        "end a request that runs longer than this",
        |draft, given| {
            draft.settings.harakiri = draft.some(given)?.map(Duration::from_secs);
            Ok(())
        },
    )
    .short('t'),
    ignored(
        "harakiri-verbose",
        Value::Flag,
        "say more at a harakiri",
        "a harakiri always names request and Python stack",
    ),
    ignored(
        "master",
        Value::Flag,
        "run a master process",
        "every app has a master",
    )
    .short('M'),
    opt(
        "max-requests",
        Value::Number,
        Full,
        "replace a worker after this many requests",
        |draft, given| {
            draft.settings.max_requests = draft.some(given)?;
            Ok(())
        },
    )
    .short('R'),
    opt(
        "max-requests-delta",
        Value::Number,
        Full,
        "added to max-requests once more for each next worker",
        |draft, given| {
            draft.settings.max_requests_delta = draft.number(given)?;
            Ok(())
        },
    ),
    opt(
        "min-worker-lifetime",
        Value::Seconds,
        Full,
        "replace no worker, whatever its limits, before this age",
        |draft, given| {
            draft.settings.min_worker_lifetime = draft.seconds(given)?;
            Ok(())
        },
    )
    .default("10"),
    ignored(
        "no-orphans",
        Value::Flag,
        "end workers without a master",
        "a worker whose master died finishes its requests and ends",
    ),
    opt(
        "pidfile",
        Value::Path,
        Full,
        "write the master's pid to this file",
        |draft, given| {
            draft.settings.pidfile = Some(Draft::path(given)?);
            Ok(())
        },
    ),
    opt(
        "processes",
        Value::Number,
        Full,
        "number of workers",
        |draft, given| {
            draft.settings.processes = draft.count(given)?;
            Ok(())
        },
    )
    .default("1")
    .aka(&["workers"])
    .short('p'),
    opt(
        "ready-timeout",
        Value::Seconds,
        Full,
        "how long a new generation may take until it serves",
        |draft, given| {
            draft.settings.ready_timeout = draft.seconds(given)?.max(Duration::from_secs(1));
            Ok(())
        },
    )
    .default("60")
    .ours(),
    opt(
        "reload-on-rss",
        Value::Mebibytes,
        Full,
        "replace a worker whose resident memory reaches this many MiB",
        |draft, given| {
            draft.settings.reload_on_rss = draft.mebibytes(given)?;
            Ok(())
        },
    ),
    opt(
        "threads",
        Value::Number,
        Full,
        "number of threads in each worker",
        |draft, given| {
            draft.settings.threads = draft.count(given)?;
            Ok(())
        },
    )
    .default("1"),
    opt(
        "touch-reload",
        Value::Path,
        Full,
        "reload when this file is touched, made or removed",
        |draft, given| {
            let path = Draft::path(given)?;
            draft.settings.touch_reload.push(path);
            Ok(())
        },
    ),
    opt(
        "uid",
        Value::Text,
        Full,
        "user, by name or number, that the app runs as",
        |draft, given| {
            draft.settings.uid = Some(Draft::some_text(given)?);
            Ok(())
        },
    ),
    opt(
        "worker-reload-mercy",
        Value::Seconds,
        Full,
        "how long a worker may finish its requests before it is killed",
        |draft, given| {
            draft.settings.worker_reload_mercy = draft.seconds(given)?;
            Ok(())
        },
    )
    .default("60"),
];
