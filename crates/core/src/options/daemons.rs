//! Rows: commands that run beside an app: attached daemons and crons.

use std::time::Duration;

use super::Support::Differs;
use super::{Draft, Given, Invalid, Opt, Value, nothing, opt};
use crate::action::atoi;
use crate::nearest::nearest;
use crate::settings::cron::{Cron, Harakiri};
use crate::settings::daemons::Daemon;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "attach-control-daemon",
        Value::Text,
        DAEMON,
        "run this command beside the app; its end stops the app",
        |draft, given| {
            let command = Draft::some_text(given)?;
            let mut daemon = Daemon::new(command, given.place.clone());
            daemon.control = true;
            draft.settings.daemons.push(daemon);
            Ok(())
        },
    ),
    opt(
        "attach-daemon",
        Value::Text,
        DAEMON,
        "run this command beside the app, again whenever it ends",
        |draft, given| {
            let command = Draft::some_text(given)?;
            let daemon = Daemon::new(command, given.place.clone());
            draft.settings.daemons.push(daemon);
            Ok(())
        },
    ),
    opt(
        "attach-daemon2",
        Value::Text,
        DAEMON,
        "as attach-daemon, with key=value,cmd=COMMAND",
        |draft, given| {
            let daemon = by_keys(draft, given)?;
            draft.settings.daemons.push(daemon);
            Ok(())
        },
    ),
    opt(
        "cron",
        Value::Text,
        CRON,
        "run a command by the clock, MINUTE HOUR DAY MONTH WEEKDAY COMMAND",
        |draft, given| {
            let cron = by_fields(given)?;
            draft.settings.crons.push(cron);
            Ok(())
        },
    ),
    opt(
        "cron-harakiri",
        Value::Seconds,
        Differs("holds for all crons, also of the plain syntax"),
        "kill a cron command that runs longer than this",
        |draft, given| {
            let limit = draft.some(given)?.map(Duration::from_secs);
            draft.settings.outside.cron_harakiri = limit;
            Ok(())
        },
    ),
    opt(
        "cron2",
        Value::Text,
        CRON,
        "run a command by the clock, [minute=M,hour=H,…] COMMAND",
        |draft, given| {
            let cron = cron_by_keys(draft, given)?;
            draft.settings.crons.push(cron);
            Ok(())
        },
    ),
    opt(
        "daemons-honour-stdin",
        Value::Flag,
        super::Support::Full,
        "leave the standard input to attached daemons",
        set!(outside.honour_stdin, flag),
    ),
    opt(
        "legion-attach-daemon",
        Value::Text,
        LEGION,
        "attach-daemon of a legion's lord",
        nothing,
    ),
    opt(
        "legion-cron",
        Value::Text,
        LEGION_CRON,
        "cron of a legion's lord",
        nothing,
    )
    .aka(&["cron-legion", "unique-cron-legion", "unique-legion-cron"]),
    opt(
        "legion-smart-attach-daemon",
        Value::Text,
        LEGION,
        "smart-attach-daemon of a legion's lord",
        nothing,
    )
    .aka(&["legion-smart-attach-daemon2"]),
    opt(
        "smart-attach-daemon",
        Value::Text,
        SMART,
        "run a command that goes to the background, PIDFILE[,FREQ] COMMAND",
        |draft, given| {
            let daemon = smart(draft, given, false)?;
            draft.settings.daemons.push(daemon);
            Ok(())
        },
    ),
    opt(
        "smart-attach-daemon2",
        Value::Text,
        SMART,
        "put a command to the background, PIDFILE[,FREQ] COMMAND",
        |draft, given| {
            let daemon = smart(draft, given, true)?;
            draft.settings.daemons.push(daemon);
            Ok(())
        },
    ),
    opt(
        "unique-cron",
        Value::Text,
        CRON,
        "as cron, but never twice at the same time",
        |draft, given| {
            let mut cron = by_fields(given)?;
            cron.unique = true;
            draft.settings.crons.push(cron);
            Ok(())
        },
    ),
];

const DAEMON: super::Support = Differs(
    "starts before the app is loaded, is restarted once a reload serves, and ends after the last worker",
);
const SMART: super::Support =
    Differs("is looked for in its pidfile; a pid of another user counts too");
const CRON: super::Support =
    Differs("runs in the first second of its minute, and at the start when that minute runs");
const LEGION: super::Support = legion("use attach-daemon on one machine");
const LEGION_CRON: super::Support = legion("use cron on one machine");

const fn legion(instead: &'static str) -> super::Support {
    super::Support::Refused {
        why: "there are no legions: one master runs one app on one machine",
        instead,
        stops: false,
    }
}

/// `PIDFILE[,FREQ] COMMAND`
fn smart(draft: &mut Draft, given: &Given<'_>, daemonize: bool) -> Result<Daemon, Invalid> {
    let parts = given.text.split_once(' ');
    let Some((pidfile, command)) = parts.filter(|(file, _)| !file.is_empty()) else {
        return Err(Invalid::with_hint(
            format!("\"{}\" names no command", given.text),
            format!("write {} = PIDFILE COMMAND", given.name),
        ));
    };
    let mut daemon = Daemon::new(command.to_owned(), given.place.clone());
    daemon.daemonize = daemonize;
    match pidfile.split_once(',') {
        Some((pidfile, freq)) => {
            daemon.pidfile = Some(pidfile.into());
            daemon.freq = draft.number32(&Given {
                text: freq,
                ..*given
            })?;
        }
        None => daemon.pidfile = Some(pidfile.into()),
    }
    Ok(daemon)
}

/// `key=value,key=value`: a comma or backslash of a value stands behind a backslash.
fn keys(text: &str) -> Vec<(String, String)> {
    let mut items = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ',' => items.push(String::new()),
            '\\' => {
                let next = letters.next();
                if let Some(item) = items.last_mut() {
                    item.extend(next);
                }
            }
            other => {
                if let Some(item) = items.last_mut() {
                    item.push(other);
                }
            }
        }
    }
    let pairs = items.iter().filter_map(|item| item.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn by_keys(draft: &mut Draft, given: &Given<'_>) -> Result<Daemon, Invalid> {
    let mut daemon = Daemon::new(String::new(), given.place.clone());
    for (key, value) in keys(given.text) {
        let number = Given {
            text: &value,
            ..*given
        };
        match key.as_str() {
            "command" | "cmd" | "exec" => daemon.command = value,
            "freq" => daemon.freq = draft.number32(&number)?,
            "pidfile" => daemon.pidfile = Some(value.into()),
            "control" => daemon.control = true,
            "daemonize" | "daemon" => daemon.daemonize = true,
            "touch" => {
                let files = value.split(';').filter(|file| !file.is_empty());
                daemon.touch = files.map(Into::into).collect();
            }
            "stopsignal" | "stop_signal" => {
                daemon.stop_signal = signal(draft, &number)?.unwrap_or(15);
            }
            "reloadsignal" | "reload_signal" => {
                daemon.reload_signal = signal(draft, &number)?;
            }
            "stdin" => daemon.stdin = true,
            // 0 is "as everything else here", as in the original.
            "uid" => daemon.uid = Some(draft.number32(&number)?).filter(|&uid| uid != 0),
            "gid" => daemon.gid = Some(draft.number32(&number)?).filter(|&gid| gid != 0),
            "ns_pid" => {
                let hint = "run it as a systemd service with PrivatePIDs=yes if it needs that";
                let text = "gives no pid namespace here: the daemon sees the machine's processes";
                draft.warn(text, hint);
            }
            "chdir" => daemon.chdir = Some(value.into()),
            "max_throttle" => daemon.max_throttle = draft.number32(&number)?,
            "notifypid" => daemon.notify = true,
            other => stranger(draft, other, &DAEMON_KEYS),
        }
    }
    if daemon.command.is_empty() {
        return Err(Invalid::with_hint(
            format!("\"{}\" names no command", given.text),
            "write attach-daemon2 = cmd=COMMAND",
        ));
    }
    if daemon.daemonize && daemon.pidfile.is_none() {
        let hint = "add pidfile=FILE, or leave daemonize out";
        return Err(Invalid::with_hint("daemonize needs a pidfile", hint));
    }
    Ok(daemon)
}

/// A number that a signal may have.
fn signal(draft: &mut Draft, given: &Given<'_>) -> Result<Option<i32>, Invalid> {
    let number = draft.number(given)?;
    match i32::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number) if number <= 64 => Ok(Some(number)),
        Ok(_) | Err(_) => Err(Invalid::with_hint(
            format!("{number} is no signal"),
            "write 15 for SIGTERM, for example",
        )),
    }
}

/// `MINUTE HOUR DAY MONTH WEEKDAY COMMAND`, the numbers as `scanf` reads them.
fn by_fields(given: &Given<'_>) -> Result<Cron, Invalid> {
    let mut rest = given.text.trim_start();
    let mut fields = [0; 5];
    for field in &mut fields {
        let end = rest
            .find(|letter: char| letter.is_ascii_whitespace())
            .unwrap_or(rest.len());
        *field = rest[..end].parse().map_err(|_| {
            let hint = match &rest[..end] {
                "*" => "write -1 for any".to_owned(),
                interval if interval.starts_with("*/") => format!("write -{}", &interval[2..]),
                _ => {
                    "write MINUTE HOUR DAY MONTH WEEKDAY COMMAND; -1 is any, -5 every fifth".into()
                }
            };
            Invalid::with_hint(
                format!("\"{}\" is no number of \"{}\"", &rest[..end], given.text),
                hint,
            )
        })?;
        rest = rest[end..].trim_start();
    }
    let [minute, hour, day, month, week] = fields;
    finish(
        Cron {
            minute,
            hour,
            day,
            month,
            week,
            command: rest.to_owned(),
            unique: false,
            harakiri: Harakiri::Common,
            place: given.place.clone(),
        },
        given,
    )
}

fn cron_by_keys(draft: &mut Draft, given: &Given<'_>) -> Result<Cron, Invalid> {
    let (options, command) = match given.text.split_once(' ') {
        Some((options, command)) if options.contains('=') => (options, command),
        Some(_) => ("", given.text),
        None if given.text.contains('=') => ("", ""),
        None => ("", given.text),
    };
    let mut cron = Cron {
        minute: -1,
        hour: -1,
        day: -1,
        month: -1,
        week: -1,
        command: command.to_owned(),
        unique: false,
        harakiri: Harakiri::Common,
        place: given.place.clone(),
    };
    for (key, value) in keys(options) {
        let number = atoi(&value);
        if number.to_string() != value {
            let text = format!("reads only the leading number of \"{value}\": {number}");
            draft.warn(text, format!("write {number}"));
        }
        match key.as_str() {
            "minute" => cron.minute = number,
            "hour" => cron.hour = number,
            "day" => cron.day = number,
            "month" => cron.month = number,
            "week" => cron.week = number,
            "unique" => cron.unique = number != 0,
            "harakiri" => {
                cron.harakiri = match u64::try_from(number) {
                    Ok(0) | Err(_) => Harakiri::Never,
                    Ok(seconds) => Harakiri::After(Duration::from_secs(seconds)),
                };
            }
            "legion" => {
                let hint = "use cron on one machine";
                return Err(Invalid::with_hint("there are no legions", hint));
            }
            other => stranger(draft, other, &CRON_KEYS),
        }
    }
    if let Some(minutes) = cron.minute.checked_neg().filter(|&it| it > 59) {
        let hint = format!(
            "for every {} hours write minute=0,hour=-{}",
            minutes / 60,
            minutes / 60
        );
        draft.warn("runs once an hour: a minute is at most 59", hint);
    }
    finish(cron, given)
}

fn finish(cron: Cron, given: &Given<'_>) -> Result<Cron, Invalid> {
    if cron.command.is_empty() {
        return Err(Invalid::new(format!("\"{}\" names no command", given.text)));
    }
    Ok(cron)
}

/// The keys of `attach-daemon2` and its like that do something here.
const DAEMON_KEYS: [&str; 15] = [
    "cmd",
    "exec",
    "freq",
    "pidfile",
    "control",
    "daemonize",
    "touch",
    "stopsignal",
    "reloadsignal",
    "stdin",
    "uid",
    "gid",
    "chdir",
    "max_throttle",
    "notifypid",
];
const CRON_KEYS: [&str; 7] = [
    "minute", "hour", "day", "month", "week", "unique", "harakiri",
];

fn stranger(draft: &mut Draft, key: &str, known: &[&str]) {
    let hint = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("remove it; known are {}", known.join(", ")),
    };
    draft.warn(format!("knows no key \"{key}\""), hint);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;

    fn apply(name: &'static str, text: &str) -> Result<Draft, Invalid> {
        let place = Place {
            file: "app.ini".into(),
            line: 3,
        };
        let mut draft = Draft::default();
        let row = OPTIONS.iter().find(|row| row.name == name).unwrap();
        let given = Given {
            name,
            text,
            place: &place,
        };
        (row.apply)(&mut draft, &given).map(|()| draft)
    }

    #[test]
    fn a_daemon_is_told_by_keys_and_commas_are_escaped() {
        let text = r"cmd=celery -A a\,b worker,pidfile=/run/c.pid,freq=3,stopsignal=2,touch=/a;/b,uid=33,color=red";
        let mut draft = apply("attach-daemon2", text).unwrap();
        let odd = draft.take_odd();
        assert!(odd[0].0.contains("\"color\""), "{odd:?}");
        let daemon = &draft.settings.daemons[0];
        assert_eq!(daemon.command, "celery -A a,b worker");
        assert_eq!(daemon.pidfile.as_deref(), Some("/run/c.pid".as_ref()));
        assert_eq!((daemon.freq, daemon.stop_signal), (3, 2));
        assert_eq!(daemon.uid, Some(33));
        assert_eq!(daemon.touch.len(), 2);
        for (bad, why) in [
            ("freq=3", "names no command"),
            ("cmd=x,stopsignal=900", "900 is no signal"),
            ("cmd=x,daemonize=1", "needs a pidfile"),
        ] {
            let error = apply("attach-daemon2", bad).unwrap_err();
            assert!(error.text.contains(why), "{bad}: {error:?}");
        }
    }

    #[test]
    fn a_smart_daemon_has_its_pidfile_first() {
        let draft = apply(
            "smart-attach-daemon",
            "/run/r.pid,5 redis-server /etc/r.conf",
        )
        .unwrap();
        let daemon = &draft.settings.daemons[0];
        assert_eq!(daemon.pidfile.as_deref(), Some("/run/r.pid".as_ref()));
        assert_eq!((daemon.freq, daemon.daemonize), (5, false));
        assert_eq!(daemon.command, "redis-server /etc/r.conf");
        assert!(apply("smart-attach-daemon", "/run/r.pid").is_err());
    }

    #[test]
    fn crons_are_read_as_the_original_reads_them() {
        let draft = apply("cron", "-10 8 -1 -1 -1 python3 -m app.spider").unwrap();
        let cron = &draft.settings.crons[0];
        assert_eq!(cron.schedule(), "-10 8 -1 -1 -1");
        assert_eq!(cron.command, "python3 -m app.spider");
        let error = apply("cron", "*/5 * * * * x").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("write -5"));
        assert!(apply("cron", "0 0 0 0").is_err());
        assert!(apply("cron", "1 2 3 4 5").is_err());
        assert!(apply("cron", "").is_err());

        let draft = apply("cron2", "minute=-5,unique=1,harakiri=0 curl -l a=b").unwrap();
        let cron = &draft.settings.crons[0];
        assert_eq!(cron.schedule(), "-5 -1 -1 -1 -1");
        assert_eq!((cron.unique, cron.harakiri), (true, Harakiri::Never));
        assert_eq!(cron.command, "curl -l a=b");
        let plain = apply("cron2", "sync").unwrap();
        assert_eq!(plain.settings.crons[0].command, "sync");
        assert!(apply("cron2", "minute=5").is_err());
    }

    #[test]
    fn a_minute_over_59_is_told() {
        let mut draft = apply("cron2", "minute=-1440 curl -l x").unwrap();
        assert!(draft.take_odd()[0].0.contains("once an hour"));
    }
}
