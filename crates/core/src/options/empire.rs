//! Rows: the emperor's own, and what it gives its vassals.

use std::time::Duration;

use super::Support::{Differs, Full};
use super::{Draft, Opt, Value, ignored, opt, values};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "control-group",
        Value::Text,
        Full,
        "whose members may ask this emperor, and order it, beside root",
        set!(empire.control_group, text),
    )
    .ours(),
    ignored(
        "emperor-curse-tolerance",
        Value::Seconds,
        "kill a vassal that does not stop within this time",
        "a stopping app has its own worker-reload-mercy, and is killed then",
    )
    .was("30"),
    opt(
        "emperor-freq",
        Value::Seconds,
        Differs("only for what inotify does not tell; other changes are seen at once"),
        "how often all vassal files are looked at",
        |draft, given| {
            let freq = draft.seconds(given)?;
            draft.settings.empire.freq = freq.max(MIN_FREQ);
            Ok(())
        },
    )
    .default("3"),
    ignored(
        "emperor-graceful-shutdown",
        Value::Flag,
        "stop vassals gracefully",
        "the emperor always stops its apps gracefully",
    ),
    ignored(
        "emperor-max-throttle",
        Value::Milliseconds,
        "longest pause before a dying vassal is started again, in ms",
        "each app has a back-off of its own, at most 60 s, that ends when its files change",
    )
    .was("180000"),
    ignored(
        "emperor-no-blacklist",
        Value::Flag,
        "start dying vassals again without a pause",
        "each app has a back-off of its own, at most 60 s, that ends when its files change",
    ),
    opt(
        "emperor-nofollow",
        Value::Flag,
        Full,
        "a symlink to a vassal file counts as itself",
        set!(empire.nofollow, flag),
    ),
    opt(
        "emperor-on-demand-directory",
        Value::Path,
        Differs("its mode is 666 only where the vassal names neither mode nor another socket"),
        "vassals start when asked at NAME.socket in this directory",
        set!(empire.vassals.on_demand.directory, text),
    )
    .aka(&["emperor-on-demand-dir"]),
    opt(
        "emperor-on-demand-exec",
        Value::Text,
        Differs("is asked anew at each start and reload of the vassal"),
        "this command prints sockets at which vassals start when asked",
        set!(empire.vassals.on_demand.exec, text),
    ),
    opt(
        "emperor-on-demand-extension",
        Value::Text,
        Differs("is read anew at each start and reload, and when it changes"),
        "files of this extension name sockets at which vassals start when asked",
        set!(empire.vassals.on_demand.extension, text),
    )
    .aka(&["emperor-on-demand-ext"]),
    opt(
        "emperor-pidfile",
        Value::Path,
        Full,
        "write the emperor's pid to this file",
        set!(empire.pidfile, path),
    ),
    ignored(
        "emperor-procname",
        Value::Text,
        "title of the emperor's process",
        "it is called imperator, and nothing depends on it",
    ),
    ignored(
        "emperor-required-heartbeat",
        Value::Seconds,
        "kill a vassal whose heartbeat is older",
        "an app whose master does not answer is shown silent, and no app sends heartbeats",
    )
    .was("30"),
    opt(
        "emperor-stats",
        Value::Address,
        Differs("failing vassals stay among the vassals, and stand in the blacklist, too"),
        "serve statistics of the vassals as JSON on this address",
        |draft, given| {
            draft.settings.empire.stats = Some(values::address(given.text)?);
            Ok(())
        },
    )
    .aka(&["emperor-stats-server"]),
    ignored(
        "emperor-subreaper",
        Value::Flag,
        "reap what vassals leave behind",
        "the emperor always does",
    ),
    ignored(
        "emperor-throttle",
        Value::Milliseconds,
        "pause between starts of vassals, in ms",
        "few apps start at once, and each has a back-off of its own",
    )
    .was("1000"),
    opt(
        "emperor-tyrant",
        Value::Flag,
        Differs("what the owner may not do is told in the status, not only in the log"),
        "each vassal runs as the owner of its file",
        set!(empire.tyrant, flag),
    ),
    opt(
        "emperor-tyrant-initgroups",
        Value::Flag,
        Full,
        "tyrant: with the supplementary groups of the owner",
        set!(empire.tyrant_initgroups, flag),
    ),
    opt(
        "emperor-tyrant-nofollow",
        Value::Flag,
        Full,
        "tyrant: as the owner of the symlink, not of its target",
        set!(empire.tyrant_nofollow, flag),
    ),
    opt(
        "vassals-include",
        Value::Path,
        Full,
        "config file that every vassal reads after its own",
        |draft, given| {
            let file = Draft::some_text(given)?;
            draft.settings.empire.vassals.include.push(file);
            Ok(())
        },
    ),
    opt(
        "vassals-include-before",
        Value::Path,
        Full,
        "config file that every vassal reads before its own",
        |draft, given| {
            let file = Draft::some_text(given)?;
            draft.settings.empire.vassals.include_before.push(file);
            Ok(())
        },
    ),
    opt(
        "vassals-inherit",
        Value::Path,
        Full,
        "config file that every vassal inherits",
        |draft, given| {
            let file = Draft::some_text(given)?;
            draft.settings.empire.vassals.inherit.push(file);
            Ok(())
        },
    ),
    opt(
        "vassals-inherit-before",
        Value::Path,
        Full,
        "config file that every vassal inherits before its own",
        |draft, given| {
            let file = Draft::some_text(given)?;
            draft.settings.empire.vassals.inherit_before.push(file);
            Ok(())
        },
    ),
    opt(
        "vassals-set",
        Value::Pair,
        Full,
        "set this option or placeholder in every vassal, K=V",
        |draft, given| {
            let pair = Draft::some_text(given)?;
            draft.settings.empire.vassals.set.push(pair);
            Ok(())
        },
    )
    .aka(&["vassal-set"]),
    opt(
        "vassals-start-hook",
        Value::Path,
        Full,
        "program that is run with the name of a vassal before it starts",
        set!(empire.start_hook, path),
    ),
    opt(
        "vassals-stop-hook",
        Value::Path,
        Differs("runs when the vassal has ended, once, and nobody waits for it"),
        "program that is run with the name of a vassal that was stopped",
        set!(empire.stop_hook, path),
    ),
];

/// More often is of no use beside inotify.
const MIN_FREQ: Duration = Duration::from_secs(1);
