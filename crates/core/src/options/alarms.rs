//! Rows: alarms.

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};
use crate::pattern::Pattern;
use crate::settings::alarms::{Alarm, LineAlarm, Way};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "alarm",
        Value::Text,
        Differs("cmd: and log: are known"),
        "define an alarm, NAME plugin:args",
        |draft, given| {
            let alarm = alarm(draft, given)?;
            draft.settings.alarms.alarms.extend(alarm);
            Ok(())
        },
    ),
    opt(
        "alarm-backlog",
        Value::Text,
        Differs("counts Unix sockets, too"),
        "raise this alarm when the listen queue is full",
        |draft, given| {
            let name = Draft::some_text(given)?;
            draft.settings.alarms.on_backlog.push(name);
            Ok(())
        },
    )
    .aka(&[
        "alarm-listen-queue",
        "alarm-lq",
        "backlog-alarm",
        "listen-queue-alarm",
        "lq-alarm",
    ]),
    opt(
        "alarm-freq",
        Value::Seconds,
        Full,
        "the same message raises an alarm at most so often",
        set!(alarms.quiet, seconds),
    )
    .default("3"),
    ignored(
        "alarm-msg-size",
        Value::Bytes,
        "longest message of an alarm",
        "a message is at most a log line",
    ),
    opt(
        "alarm-segfault",
        Value::Text,
        Differs(
            "every signal that ends a worker counts; the message names it, without a backtrace",
        ),
        "raise this alarm when a worker crashes",
        |draft, given| {
            let name = Draft::some_text(given)?;
            draft.settings.alarms.on_crash.push(name);
            Ok(())
        },
    )
    .aka(&["segfault-alarm"]),
    opt(
        "log-alarm",
        Value::Text,
        Full,
        "raise alarms for lines of the log, NAME[,NAME] regex",
        |draft, given| {
            let line = line(given)?;
            draft.settings.alarms.on_line.push(line);
            Ok(())
        },
    )
    .aka(&["alarm-log"]),
    opt(
        "not-log-alarm",
        Value::Text,
        Full,
        "lines of the log that raise no alarm, NAME regex",
        |draft, given| {
            let line = LineAlarm {
                names: Vec::new(),
                ..line(given)?
            };
            draft.settings.alarms.on_line.push(line);
            Ok(())
        },
    )
    .aka(&["not-alarm-log"]),
];

/// What a shell or the log is told; of other plugins the app loses a message, not its service.
fn alarm(draft: &mut Draft, given: &Given<'_>) -> Result<Option<Alarm>, Invalid> {
    const FORM: &str = "write NAME cmd:COMMAND, or NAME log:";
    let text = || format!("\"{}\" is no alarm", given.text);
    let (name, spec) = given
        .text
        .split_once(' ')
        .ok_or_else(|| Invalid::with_hint(text(), FORM))?;
    let (plugin, args) = spec.trim_start().split_once(':').unwrap_or((spec, ""));
    let way = match plugin {
        "cmd" if args.trim().is_empty() => {
            return Err(Invalid::with_hint(text(), FORM));
        }
        "cmd" => Way::Command(args.to_owned()),
        "log" => Way::Log,
        other => {
            let text = format!("has no alarm plugin \"{other}\": \"{name}\" is never raised");
            draft.warn(
                text,
                format!("write {name} cmd:COMMAND with a command that sends it, or {name} log:"),
            );
            return Ok(None);
        }
    };
    Ok(Some(Alarm {
        name: name.to_owned(),
        way,
    }))
}

/// `NAME[,NAME] PATTERN`
fn line(given: &Given<'_>) -> Result<LineAlarm, Invalid> {
    let (names, pattern) = given
        .text
        .split_once(' ')
        .filter(|(_, pattern)| !pattern.trim().is_empty())
        .ok_or_else(|| {
            let text = format!("\"{}\" names no pattern", given.text);
            Invalid::with_hint(text, "write NAME regex, for example mail ^ERROR")
        })?;
    let pattern = Pattern::new(pattern).map_err(|error| {
        Invalid::new(format!("\"{pattern}\" is no regular expression: {error}"))
    })?;
    Ok(LineAlarm {
        names: names.split(',').map(str::to_owned).collect(),
        pattern,
    })
}
