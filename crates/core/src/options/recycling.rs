//! Rows: when a worker is replaced, and what happens to requests that take too long.

use std::time::Duration;

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};
use crate::finding::Finding;
use crate::settings::Settings;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "evil-reload-on-as",
        Value::Mebibytes,
        Full,
        "kill a worker whose address space exceeds this many MiB",
        set!(recycling.evil_address_space, mebibytes),
    ),
    opt(
        "evil-reload-on-rss",
        Value::Mebibytes,
        Full,
        "kill a worker whose resident memory exceeds this many MiB",
        set!(recycling.evil_rss, mebibytes),
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
    opt(
        "harakiri-grace",
        Value::Seconds,
        Full,
        "time to end for who was interrupted by harakiri; 0: none",
        |draft, given| {
            draft.settings.harakiri_options.grace = draft.seconds(given)?;
            Ok(())
        },
    )
    .default("5")
    .ours(),
    opt(
        "harakiri-graceful-signal",
        Value::Number,
        Full,
        "signal that a worker gets before harakiri kills it",
        graceful_signal,
    )
    .default("15"),
    opt(
        "harakiri-graceful-timeout",
        Value::Seconds,
        Full,
        "time between that signal and the kill; 0: no signal",
        |draft, given| {
            let timeout = draft.some(given)?.map(Duration::from_secs);
            draft.settings.harakiri_options.graceful_timeout = timeout;
            Ok(())
        },
    ),
    ignored(
        "harakiri-no-arh",
        Value::Flag,
        "no harakiri while hooks run after a request",
        "harakiri ends with the answer",
    )
    .aka(&["no-harakiri-after-req-hook", "no-harakiri-arh"]),
    opt(
        "harakiri-queue-threshold",
        Value::Number,
        Differs("counts on Unix sockets, too"),
        "no harakiri while fewer connections than this wait",
        set!(harakiri_options.queue_threshold, some),
    ),
    opt(
        "harakiri-verbose",
        Value::Flag,
        Full,
        "tell at a harakiri in which system call the worker is",
        set!(harakiri_options.verbose, flag),
    ),
    opt(
        "lazy",
        Value::Flag,
        Differs("a reload reads the config again, too"),
        "as lazy-apps; deprecated in uWSGI",
        |draft, given| {
            draft.settings.lazy_apps = draft.flag(given);
            draft.warn("is deprecated", "write lazy-apps = true");
            Ok(())
        },
    ),
    opt(
        "max-requests",
        Value::Number,
        Differs("the next worker accepts first, one at a time, spread by recycle-jitter"),
        "replace a worker after this many requests",
        set!(max_requests, some),
    )
    .short('R'),
    opt(
        "max-requests-delta",
        Value::Number,
        Full,
        "added to max-requests once more for each next worker",
        set!(max_requests_delta, number),
    ),
    opt(
        "max-worker-lifetime",
        Value::Seconds,
        Differs("the next worker accepts first, one at a time, spread by recycle-jitter"),
        "replace a worker at this age",
        |draft, given| {
            let lifetime = draft.some(given)?.map(Duration::from_secs);
            draft.settings.recycling.max_lifetime = lifetime;
            Ok(())
        },
    ),
    opt(
        "max-worker-lifetime-delta",
        Value::Seconds,
        Full,
        "added to max-worker-lifetime once more for each next worker",
        set!(recycling.max_lifetime_delta, seconds),
    ),
    opt(
        "mem-collector-freq",
        Value::Seconds,
        Full,
        "how often memory is looked at for evil-reload-on-*",
        |draft, given| {
            let interval = draft.seconds(given)?.max(Duration::from_secs(1));
            draft.settings.recycling.memory_interval = interval;
            Ok(())
        },
    )
    .default("3"),
    opt(
        "min-worker-lifetime",
        Value::Seconds,
        Full,
        "replace no worker, whatever its limits, before this age",
        set!(min_worker_lifetime, seconds),
    )
    .default("10"),
    opt(
        "recycle-jitter",
        Value::Number,
        Full,
        "percent by which workers' limits are spread; 0: as uWSGI",
        |draft, given| {
            draft.settings.recycling.jitter = draft.number(given)?.min(100);
            Ok(())
        },
    )
    .default("10")
    .ours(),
    opt(
        "reload-on-as",
        Value::Mebibytes,
        Full,
        "replace a worker whose address space reaches this many MiB",
        set!(recycling.on_address_space, mebibytes),
    ),
    opt(
        "reload-on-exception",
        Value::Flag,
        Differs("the client gets its answer, and the next worker accepts first"),
        "replace a worker after an exception of the app",
        set!(recycling.on_exception, flag),
    ),
    opt(
        "reload-on-exception-repr",
        Value::Text,
        Differs("compares type and text; uWSGI 2.0 by mistake the text alone"),
        "replace a worker after the exception \"Type: text\"",
        |draft, given| {
            let text = Draft::some_text(given)?;
            draft.settings.recycling.exception_reprs.push(text);
            Ok(())
        },
    ),
    opt(
        "reload-on-exception-type",
        Value::Text,
        Differs("compares the type; uWSGI 2.0 by mistake the text"),
        "replace a worker after an exception of this type",
        |draft, given| {
            let text = Draft::some_text(given)?;
            draft.settings.recycling.exception_types.push(text);
            Ok(())
        },
    ),
    opt(
        "reload-on-exception-value",
        Value::Text,
        Full,
        "replace a worker after an exception with this text",
        |draft, given| {
            let text = Draft::some_text(given)?;
            draft.settings.recycling.exception_values.push(text);
            Ok(())
        },
    ),
    opt(
        "reload-on-rss",
        Value::Mebibytes,
        Differs("the next worker accepts first, one at a time"),
        "replace a worker whose resident memory reaches this many MiB",
        set!(reload_on_rss, mebibytes),
    ),
    opt(
        "stuck-timeout",
        Value::Seconds,
        Full,
        "replace a worker that could answer nobody for this long",
        |draft, given| {
            let timeout = draft.some(given)?.map(Duration::from_secs);
            draft.settings.harakiri_options.stuck_timeout = timeout;
            Ok(())
        },
    )
    .ours(),
    opt(
        "worker-reload-mercy",
        Value::Seconds,
        Full,
        "how long a worker may finish its requests before it is killed",
        set!(worker_reload_mercy, seconds),
    )
    .default("60"),
];

fn graceful_signal(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    let number = draft.number(given)?;
    let signal = i32::try_from(number)
        .ok()
        .filter(|it| (1..=64).contains(it));
    let Some(signal) = signal else {
        let text = format!("{number} is no signal");
        return Err(Invalid::with_hint(text, "write 15 (TERM), or 6 (ABRT)"));
    };
    draft.settings.harakiri_options.graceful_signal = signal;
    Ok(())
}

/// What only the whole config can tell.
pub(super) fn check(settings: &Settings, findings: &mut Vec<Finding>) {
    let place = |name: &str| settings.places.get(name).cloned();
    let least = settings.min_worker_lifetime;
    if let Some(most) = settings.recycling.max_lifetime
        && least >= most
    {
        let (least, most) = (least.as_secs(), most.as_secs());
        let text = format!(
            "\"max-worker-lifetime\" is {most}, and must be higher than \"min-worker-lifetime\", which is {least}"
        );
        let hint = format!(
            "write min-worker-lifetime = {}, or max-worker-lifetime = {}",
            most.saturating_sub(1),
            least.saturating_add(1)
        );
        findings.push(Finding::error(place("max-worker-lifetime"), text).with_hint(hint));
    }
    let options = &settings.harakiri_options;
    let of_harakiri = [
        (
            "harakiri-graceful-timeout",
            options.graceful_timeout.is_some(),
        ),
        (
            "harakiri-queue-threshold",
            options.queue_threshold.is_some(),
        ),
        ("harakiri-verbose", options.verbose),
    ];
    for (name, _) in of_harakiri.iter().filter(|(_, is_set)| *is_set) {
        if settings.harakiri.is_none() {
            let text = format!("\"{name}\" has no effect without \"harakiri\"");
            let hint = "add harakiri = 60, or remove it";
            findings.push(Finding::warning(place(name), text).with_hint(hint));
        }
    }
}
