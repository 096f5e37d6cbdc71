//! Rows: processes and threads, and the start and end of an app.

use std::time::Duration;

use super::Support::Full;
use super::{Draft, Invalid, Opt, Value, ignored, opt};

pub(super) static OPTIONS: &[Opt] = &[
    ignored(
        "check-interval",
        Value::Seconds,
        "how often the master looks after everything",
        "the master is woken by what happens, and needs no cycle",
    )
    .was("1"),
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
    ignored(
        "forkbomb-delay",
        Value::Seconds,
        "pause of the master when workers end too fast",
        "each worker is replaced at a pace of its own, and the master never sleeps",
    )
    .was("2"),
    ignored(
        "ftok",
        Value::Path,
        "file whose key names shared memory and locks",
        "no System V memory or locks are used",
    ),
    ignored(
        "heartbeat",
        Value::Seconds,
        "tell the emperor that the app lives",
        "the emperor knows each master by its channel",
    ),
    ignored(
        "master",
        Value::Flag,
        "run a master process",
        "every app has a master",
    )
    .short('M'),
    ignored(
        "no-orphans",
        Value::Flag,
        "end workers without a master",
        "a worker whose master died finishes its requests and ends",
    ),
    ignored(
        "no-threads-wait",
        Value::Flag,
        "do not wait for threads when a worker ends",
        "running requests are always finished, within worker-reload-mercy",
    ),
    opt(
        "pidfile",
        Value::Path,
        Full,
        "write the master's pid to this file",
        set!(pidfile, path),
    ),
    opt(
        "processes",
        Value::Number,
        Full,
        "number of workers",
        |draft, given| {
            draft.settings.processes = draft.count(given, 1)?;
            Ok(())
        },
    )
    .default("1")
    .aka(&["workers"])
    .short('p'),
    opt(
        "ready-host",
        Value::Text,
        Full,
        "the Host of ready-request",
        |draft, given| {
            draft.settings.readiness.host = Draft::some_text(given)?;
            Ok(())
        },
    )
    .default("localhost")
    .ours(),
    opt(
        "ready-request",
        Value::Text,
        Full,
        "path that a generation must answer before it serves",
        |draft, given| {
            let path = Draft::some_text(given)?;
            let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
            if !path.starts_with('/') || !is_plain {
                return Err(Invalid::with_hint(
                    format!("\"{path}\" is no path of a URL"),
                    "write ready-request = /path, with %XX for other characters",
                ));
            }
            draft.settings.readiness.request = Some(path);
            Ok(())
        },
    )
    .ours(),
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
        "reload-overlap",
        Value::Number,
        Full,
        "a reload starts at most so many workers at a time",
        |draft, given| {
            let overlap = draft.number32(given)?;
            draft.settings.readiness.overlap = Some(overlap).filter(|&overlap| overlap > 0);
            Ok(())
        },
    )
    .ours(),
    opt(
        "threads",
        Value::Number,
        Full,
        "number of threads in each worker",
        |draft, given| {
            draft.settings.threads = draft.count(given, 1)?;
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
];
