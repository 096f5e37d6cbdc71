//! Rows: how many workers there are at a time.

use std::time::Duration;

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};
use crate::finding::Finding;
use crate::settings::Settings;
use crate::settings::scaling::Algorithm;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "cheap",
        Value::Flag,
        Differs("the app is not loaded either before the first connection"),
        "start no worker before the first connection",
        set!(scaling.cheap, flag),
    ),
    opt(
        "cheaper",
        Value::Number,
        Full,
        "the least workers; more are started as they are needed",
        |draft, given| {
            let least = draft.number32(given)?;
            draft.settings.scaling.least = Some(least).filter(|&least| least > 0);
            Ok(())
        },
    ),
    opt(
        "cheaper-algo",
        Value::Text,
        Differs("busyness and spare2 are built in, and no plugins are needed"),
        "what decides: spare, spare2, backlog, busyness or manual",
        algorithm,
    )
    .default("spare"),
    opt(
        "cheaper-busyness-backlog-alert",
        Value::Number,
        Differs("counts on Unix sockets, too; and a value of 0 switches it off"),
        "waiting connections above which a worker is started at once",
        set!(scaling.busyness.backlog_alert, number),
    )
    .default("33"),
    opt(
        "cheaper-busyness-backlog-multiplier",
        Value::Number,
        Full,
        "windows before a worker of a backlog alert is ended again",
        set!(scaling.busyness.backlog_multiplier, number),
    )
    .default("3"),
    opt(
        "cheaper-busyness-backlog-nonzero",
        Value::Seconds,
        Differs("counts on Unix sockets, too"),
        "start a worker when connections wait for longer than this",
        set!(scaling.busyness.backlog_nonzero, seconds),
    )
    .default("60"),
    opt(
        "cheaper-busyness-backlog-step",
        Value::Number,
        Full,
        "workers that a backlog alert starts",
        |draft, given| {
            draft.settings.scaling.busyness.backlog_step = draft.number32(given)?.max(1);
            Ok(())
        },
    )
    .default("1"),
    opt(
        "cheaper-busyness-max",
        Value::Number,
        Full,
        "busyness in percent above which a worker is started",
        set!(scaling.busyness.max, number),
    )
    .default("50"),
    opt(
        "cheaper-busyness-min",
        Value::Number,
        Full,
        "busyness in percent below which a worker is ended",
        set!(scaling.busyness.min, number),
    )
    .default("25"),
    opt(
        "cheaper-busyness-multiplier",
        Value::Number,
        Full,
        "windows of low busyness before a worker is ended",
        |draft, given| {
            draft.settings.scaling.busyness.multiplier = draft.number(given)?.max(1);
            Ok(())
        },
    )
    .default("10"),
    opt(
        "cheaper-busyness-penalty",
        Value::Number,
        Full,
        "added to the multiplier when a worker was ended too soon",
        set!(scaling.busyness.penalty, number),
    )
    .default("2"),
    opt(
        "cheaper-busyness-verbose",
        Value::Flag,
        Differs("words of our own"),
        "write the busyness of each window to the log",
        set!(scaling.busyness.verbose, flag),
    ),
    opt(
        "cheaper-idle",
        Value::Number,
        Full,
        "seconds with too many idle workers before one ends, for spare2",
        set!(scaling.idle_cycles, number),
    )
    .default("10"),
    opt(
        "cheaper-initial",
        Value::Number,
        Full,
        "workers at the start, with cheaper",
        |draft, given| {
            draft.settings.scaling.initial = Some(draft.number32(given)?).filter(|&it| it > 0);
            Ok(())
        },
    ),
    opt(
        "cheaper-overload",
        Value::Number,
        Full,
        "seconds or waiting connections that mean more or fewer workers",
        set!(scaling.overload, number),
    )
    .default("3"),
    opt(
        "cheaper-rss-limit-hard",
        Value::Bytes,
        Differs("needs no memory-report"),
        "end a worker when all of them hold more resident memory",
        set!(scaling.rss_hard, some),
    ),
    opt(
        "cheaper-rss-limit-soft",
        Value::Bytes,
        Differs("needs no memory-report"),
        "start no worker when all of them hold more resident memory",
        set!(scaling.rss_soft, some),
    ),
    opt(
        "cheaper-step",
        Value::Number,
        Full,
        "workers that are started at a time",
        |draft, given| {
            draft.settings.scaling.step = draft.number32(given)?.max(1);
            Ok(())
        },
    )
    .default("1"),
    opt(
        "die-on-idle",
        Value::Flag,
        Differs("only an app that runs alone ends; a vassal sleeps, and its socket wakes it"),
        "end when the app is idle, instead of waiting",
        set!(scaling.die_on_idle, flag),
    ),
    opt(
        "idle",
        Value::Seconds,
        Differs("nothing of the app stays loaded, and running requests are finished"),
        "end all workers after this time without a request",
        |draft, given| {
            draft.settings.scaling.idle = draft.some(given)?.map(Duration::from_secs);
            Ok(())
        },
    ),
    opt(
        "on-demand",
        Value::Flag,
        Full,
        "run nothing of the app while nobody asks: cheap, with idle = 300",
        |draft, given| {
            let is_wanted = draft.flag(given);
            let scaling = &mut draft.settings.scaling;
            scaling.cheap = is_wanted;
            if is_wanted {
                scaling.idle.get_or_insert(ON_DEMAND_IDLE);
            }
            Ok(())
        },
    )
    .ours(),
    opt(
        super::ON_DEMAND_SOCKET,
        Value::Text,
        Full,
        "start at the first connection here; file:// and exec:// tell where",
        super::nothing,
    )
    .ours()
    .immediate(),
    ignored(
        "vassal-sos",
        Value::Number,
        "call the emperor for help when all workers are busy",
        "there is no broodlord; status tells what is busy",
    ),
    ignored(
        "vassal-sos-backlog",
        Value::Number,
        "call the emperor for help when connections wait",
        "there is no broodlord; status tells what waits",
    ),
];

/// `on-demand` without `idle`.
const ON_DEMAND_IDLE: Duration = Duration::from_secs(300);

fn algorithm(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    draft.settings.scaling.algorithm = match given.text {
        "spare" => Algorithm::Spare,
        "spare2" => Algorithm::Spare2,
        // `backlog2` only counts other sockets.
        "backlog" | "backlog2" => Algorithm::Backlog,
        "busyness" => Algorithm::Busyness,
        "manual" => Algorithm::Manual,
        other => {
            let text = format!("knows no \"{other}\", and spare decides");
            let hint = "write spare, spare2, backlog, busyness or manual";
            draft.warn(text, hint);
            Algorithm::Spare
        }
    };
    Ok(())
}

/// What only the whole config can tell.
pub(super) fn check(settings: &Settings, findings: &mut Vec<Finding>) {
    let scaling = &settings.scaling;
    let place = |name: &str| settings.places.get(name).cloned();
    let processes = settings.processes;
    if let Some(least) = scaling.least {
        if least >= processes {
            let text = format!(
                "\"cheaper\" is {least}, and must be lower than \"processes\", which is {processes}"
            );
            let fewer = match processes {
                0 | 1 => "remove cheaper".to_owned(),
                more => format!("write cheaper = {}", more - 1),
            };
            let hint = format!("{fewer}, or processes = {}", least.saturating_add(1));
            findings.push(Finding::error(place("cheaper"), text).with_hint(hint));
        } else if let Some(initial) = scaling.initial.filter(|&it| it > processes) {
            let text = format!(
                "\"cheaper-initial\" is {initial}, and \"processes\" only {processes}: {processes} are started"
            );
            let hint = format!("write cheaper-initial = {processes}");
            findings.push(Finding::warning(place("cheaper-initial"), text).with_hint(hint));
        } else if let Some(initial) = scaling.initial.filter(|&it| it < least) {
            let text = format!(
                "\"cheaper-initial\" is {initial}, and \"cheaper\" {least}: more are started at once"
            );
            let hint = format!("write cheaper-initial = {least}");
            findings.push(Finding::warning(place("cheaper-initial"), text).with_hint(hint));
        }
    } else {
        let with_cheaper = settings
            .places
            .iter()
            .find(|(name, _)| name.starts_with("cheaper-") && *name != "cheaper-rss-limit-soft");
        if let Some((name, at)) = with_cheaper {
            let text = format!("\"{name}\" has no effect without \"cheaper\"");
            let hint = "add cheaper = 1, or remove it";
            findings.push(Finding::warning(at.known(), text).with_hint(hint));
        }
    }
    if scaling.die_on_idle && scaling.idle.is_none() {
        let text = "\"die-on-idle\" has no effect without \"idle\"";
        findings.push(Finding::warning(place("die-on-idle"), text).with_hint("add idle = 60"));
    }
}
