//! What stands behind `logger`, `log-encoder`, `log-route` and their like. Pure: text in, settings
//! out.

use std::path::PathBuf;

use super::values;
use super::{Draft, Given, Invalid};
use crate::pattern::Pattern;
use crate::settings::LogTarget;
use crate::settings::logs::{
    Datagrams, Encoding, LogDate, LogEncoder, LogFile, LogRoute, Logger, Piece,
};

const KNOWN_LOGGERS: &str = "file:, socket:, syslog:, rsyslog:, systemd, pipe: and stdio are known; \
     these lines go where the others go";

/// `host:port` is UDP, anything else a file.
pub(super) fn log_file(text: &str) -> Result<LogTarget, Invalid> {
    match text {
        "" => Err(Invalid::new("needs a path")),
        text if text.contains(':') => Ok(LogTarget::Udp(Datagrams {
            to: text.to_owned(),
            prefix: String::new(),
        })),
        text => Ok(LogTarget::File(LogFile::at(text))),
    }
}

/// `[id ]plugin:args`
pub(super) fn logger(text: &str) -> Result<Logger, Invalid> {
    let (id, spec) = match text.split_once(' ') {
        Some((id, rest)) if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (Some(id.to_owned()), rest.trim_start())
        }
        Some(_) | None => (None, text),
    };
    let (plugin, rest) = spec.split_once(':').unwrap_or((spec, ""));
    let target = match plugin {
        "file" => LogTarget::File(file(rest)?),
        "stdio" => LogTarget::Stdio,
        // Ours are the log of all others, so they mean what they were when we were started.
        "fd" if matches!(rest, "1" | "2") => LogTarget::Stderr,
        "systemd" => LogTarget::Journal,
        "syslog" => syslog(rest)?,
        "rsyslog" => rsyslog(rest)?,
        "socket" => socket(rest)?,
        "pipe" => LogTarget::Pipe(some(rest, "a command behind \"pipe:\"")?.to_owned()),
        "fd" => {
            return Err(Invalid::with_hint(
                format!("cannot write to descriptor \"{rest}\""),
                "only fd:1 and fd:2 can be meant here; these lines go where the others go",
            ));
        }
        _ => {
            return Err(Invalid::with_hint(
                format!("has no log plugin \"{plugin}\""),
                KNOWN_LOGGERS,
            ));
        }
    };
    Ok(Logger { id, target })
}

fn some<'a>(text: &'a str, what: &str) -> Result<&'a str, Invalid> {
    match text {
        "" => Err(Invalid::new(format!("needs {what}"))),
        text => Ok(text),
    }
}

/// A path, or `logfile=…,maxsize=…,backupname=…`.
fn file(text: &str) -> Result<LogFile, Invalid> {
    let text = some(text, "a path behind \"file:\"")?;
    if !text.contains('=') {
        return Ok(LogFile {
            as_user: true,
            ..LogFile::at(text)
        });
    }
    let mut file = LogFile {
        as_user: true,
        ..LogFile::default()
    };
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.trim() {
            "logfile" => file.path = PathBuf::from(value),
            "backupname" => file.backup = Some(PathBuf::from(value)),
            "maxsize" => {
                file.max_size = Some(values::leading_number(value)?.0).filter(|&it| it > 0);
            }
            other => {
                return Err(Invalid::with_hint(
                    format!("does not know \"{other}\" of a file"),
                    "logfile=, maxsize= and backupname= are known",
                ));
            }
        }
    }
    match file.path.as_os_str().is_empty() {
        true => Err(Invalid::new("needs logfile=")),
        false => Ok(file),
    }
}

/// `[ident][,facility]`
fn syslog(text: &str) -> Result<LogTarget, Invalid> {
    let (tag, facility) = match text.split_once(',') {
        Some((tag, name)) => (tag, facility(name)?),
        None => (text, facility("daemon")?),
    };
    Ok(LogTarget::Syslog {
        tag: tag.to_owned(),
        facility,
    })
}

/// The original's names; the numbers are of RFC 3164, times eight.
fn facility(name: &str) -> Result<u8, Invalid> {
    const NAMES: [(&str, u8); 22] = [
        ("auth", 4),
        ("authpriv", 10),
        ("cron", 9),
        ("daemon", 3),
        ("ftp", 11),
        ("kern", 0),
        ("lpr", 6),
        ("mail", 2),
        ("news", 7),
        ("security", 4),
        ("syslog", 5),
        ("user", 1),
        ("uucp", 8),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
        ("", 3),
    ];
    let found = NAMES.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, number)| number * 8)
        .ok_or_else(|| Invalid::with_hint(format!("\"{name}\" is no facility"), "write daemon"))
}

/// `host[:port][,tag[,priority]]`
fn rsyslog(text: &str) -> Result<LogTarget, Invalid> {
    let mut parts = some(text, "a host behind \"rsyslog:\"")?.splitn(3, ',');
    let to = parts.next().unwrap_or_default().to_owned();
    let tag = parts.next().map(str::to_owned);
    let priority = match parts.next() {
        Some(text) => u32::try_from(values::leading_number(text)?.0).unwrap_or(29),
        None => 29,
    };
    Ok(LogTarget::Rsyslog { to, tag, priority })
}

/// `host:port[,prefix]` or `/path[,prefix]`
fn socket(text: &str) -> Result<LogTarget, Invalid> {
    let text = some(text, "an address behind \"socket:\"")?;
    let (to, prefix) = text.split_once(',').unwrap_or((text, ""));
    let datagrams = Datagrams {
        to: to.to_owned(),
        prefix: prefix.to_owned(),
    };
    Ok(match to.contains(':') {
        true => LogTarget::Udp(datagrams),
        false => LogTarget::Unix(datagrams),
    })
}

/// `name[:logger][ arguments]`
pub(super) fn encoder(text: &str) -> Result<LogEncoder, Invalid> {
    let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
    let (name, only) = match name.split_once(':') {
        Some((name, only)) => (name, Some(only.to_owned())),
        None => (name, None),
    };
    let how = match name {
        "prefix" => Encoding::Prefix(arguments.to_owned()),
        "suffix" => Encoding::Suffix(arguments.to_owned()),
        "nl" => Encoding::Newline,
        "format" => Encoding::Format(template(arguments)),
        "json" => Encoding::Json(template(arguments)),
        _ => {
            return Err(Invalid::with_hint(
                format!("has no encoder \"{name}\""),
                "prefix, suffix, nl, format and json are known; the lines stay as they are",
            ));
        }
    };
    Ok(LogEncoder { only, how })
}

/// Text with `${variables}`; one that nobody knows gives nothing.
fn template(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, name, after)) = rest.split_once("${").and_then(|(before, rest)| {
        let (name, after) = rest.split_once('}')?;
        Some((before, name, after))
    }) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let piece = match name {
            "msg" => Some(Piece::Message),
            "msgnl" => Some(Piece::MessageWithEnd),
            "unix" => Some(Piece::Seconds),
            "millis" => Some(Piece::Millis),
            "micros" => Some(Piece::Micros),
            name => name
                .strip_prefix("strftime:")
                .map(|format| Piece::Strftime(format.to_owned())),
        };
        pieces.extend(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// `id regex`
pub(super) fn route(text: &str) -> Result<LogRoute, Invalid> {
    let Some((id, regex)) = text.split_once(' ') else {
        return Err(Invalid::with_hint(
            format!("\"{text}\" names no regular expression"),
            "write: id regular-expression",
        ));
    };
    Ok(LogRoute {
        id: id.to_owned(),
        pattern: pattern(regex)?,
    })
}

pub(super) fn pattern(text: &str) -> Result<Pattern, Invalid> {
    Pattern::new(text).map_err(|error| {
        let text = format!("\"{text}\" is no regular expression: {error}");
        let hint = "put a \\ before each of ( ) [ ] * + ? that is meant as it is";
        Invalid::with_hint(text, hint)
    })
}

/// `true`, or a strftime(3) format.
pub(super) fn date(draft: &mut Draft, given: &Given<'_>) -> Option<LogDate> {
    match given.text.to_ascii_lowercase().as_str() {
        "" | "true" | "on" | "yes" | "1" => Some(LogDate::Ctime),
        "false" | "off" | "no" | "0" => {
            let text = format!("is not written for \"{}\"", given.text);
            let hint = "uWSGI puts that word before each line; remove the option";
            draft.warn(text, hint);
            None
        }
        _ => Some(LogDate::Strftime(given.text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> LogTarget {
        logger(text).unwrap().target
    }

    #[test]
    fn loggers_are_plugin_and_arguments_perhaps_behind_an_id() {
        let plain = LogTarget::File(LogFile {
            as_user: true,
            ..LogFile::at("/x")
        });
        assert_eq!(target("file:/x"), plain);
        assert_eq!(logger("main file:/x").unwrap().id.as_deref(), Some("main"));
        assert_eq!(target("main file:/x"), plain);
        assert_eq!(
            target("file:logfile=/x,maxsize=10,backupname=/y"),
            LogTarget::File(LogFile {
                backup: Some("/y".into()),
                max_size: Some(10),
                as_user: true,
                ..LogFile::at("/x")
            })
        );
        assert_eq!(target("systemd"), LogTarget::Journal);
        assert_eq!(target("default stdio"), LogTarget::Stdio);
        assert_eq!(
            target("syslog:shop,local3"),
            LogTarget::Syslog {
                tag: "shop".to_owned(),
                facility: 19 * 8
            }
        );
        assert_eq!(
            target("rsyslog:10.0.0.1:1514,shop,134"),
            LogTarget::Rsyslog {
                to: "10.0.0.1:1514".to_owned(),
                tag: Some("shop".to_owned()),
                priority: 134
            }
        );
        assert_eq!(
            target("socket:/run/log.sock,web "),
            LogTarget::Unix(Datagrams {
                to: "/run/log.sock".to_owned(),
                prefix: "web ".to_owned()
            })
        );
        for bad in ["redislog", "file:", "file:size=1", "syslog:a,b", "fd:7", ""] {
            assert!(logger(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn encoders_have_a_name_perhaps_a_logger_and_a_template() {
        assert_eq!(
            encoder("json:app {\"t\":${unix}, \"x\":\"${strftime:%Y}\", \"m\":\"${msg}\"${no}}")
                .unwrap(),
            LogEncoder {
                only: Some("app".to_owned()),
                how: Encoding::Json(vec![
                    Piece::Text("{\"t\":".to_owned()),
                    Piece::Seconds,
                    Piece::Text(", \"x\":\"".to_owned()),
                    Piece::Strftime("%Y".to_owned()),
                    Piece::Text("\", \"m\":\"".to_owned()),
                    Piece::Message,
                    Piece::Text("\"".to_owned()),
                    Piece::Text("}".to_owned()),
                ]),
            }
        );
        assert_eq!(encoder("nl").unwrap().how, Encoding::Newline);
        assert!(encoder("msgpack x").is_err());
    }

    #[test]
    fn routes_take_what_real_files_write() {
        assert!(route("default ^((?!\\{).)*$").is_ok());
        assert!(route("applogger {").is_ok());
        assert!(route("lonely").is_err());
        let error = route("a (").unwrap_err();
        assert!(error.text.contains("is no regular expression"), "{error:?}");
    }
}
