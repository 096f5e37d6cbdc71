//! uWSGI's command line: long and short options, `--opt=value`, `--opt value`, positional config
//! files. Pure: an argument becomes an option by the table alone.

use crate::finding::Finding;
use crate::options::{self, Value};

/// One option of the command line; `value` is `true` for one that takes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    pub value: String,
}

/// Splits arguments into options. A positional argument becomes `ini`, `wsgi-file` or `socket` by
/// its look, and counts after all options, wherever it stands (getopt_long moves it to the end).
pub fn parse(args: &[String], findings: &mut Vec<Finding>) -> Vec<Argument> {
    let mut arguments = Vec::new();
    let mut last = Vec::new();
    let mut rest = args.iter().map(String::as_str).peekable();
    let mut only_positional = false;
    while let Some(arg) = rest.next() {
        if only_positional || !arg.starts_with('-') || arg == "-" {
            last.extend(positional(arg, findings));
        } else if arg == "--" {
            only_positional = true;
        } else if let Some(long) = arg.strip_prefix("--") {
            let (typed, joined) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let Some(name) = full_name(typed, findings) else {
                continue;
            };
            let value = joined.or_else(|| {
                (!takes_none(&name))
                    .then(|| rest.next_if(|next| !next.starts_with('-')))
                    .flatten()
                    .map(str::to_owned)
            });
            arguments.push(Argument {
                value: value.unwrap_or_else(|| bare_value(&name)),
                name,
            });
        } else {
            shorts(&arg[1..], &mut rest, &mut arguments, findings);
        }
    }
    arguments.append(&mut last);
    arguments
}

/// `-MTp 4`, `-p4`.
fn shorts<'a>(
    letters: &str,
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    arguments: &mut Vec<Argument>,
    findings: &mut Vec<Finding>,
) {
    for (at, letter) in letters.char_indices() {
        let Some(row) = options::find_short(letter) else {
            findings.push(Finding::error(
                None,
                format!("unknown option \"-{letter}\""),
            ));
            return;
        };
        let name = row.name.to_owned();
        if matches!(row.value, Value::Flag | Value::Nothing) {
            let value = bare_value(&name);
            arguments.push(Argument { name, value });
            continue;
        }
        let joined = &letters[at + letter.len_utf8()..];
        let value = if joined.is_empty() {
            rest.next_if(|next| !next.starts_with('-'))
                .map(str::to_owned)
        } else {
            Some(joined.to_owned())
        };
        arguments.push(Argument {
            value: value.unwrap_or_else(|| bare_value(&name)),
            name,
        });
        return;
    }
}

/// A name as typed, or the one name that it abbreviates (getopt_long).
fn full_name(typed: &str, findings: &mut Vec<Finding>) -> Option<String> {
    if options::find(typed).is_some() {
        return Some(typed.to_owned());
    }
    let mut candidates =
        options::names().filter(|name| !typed.is_empty() && name.starts_with(typed));
    if let (Some(only), None) = (candidates.next(), candidates.next()) {
        return Some(only.to_owned());
    }
    let mut finding = Finding::error(None, format!("unknown option \"--{typed}\""));
    if let Some(nearest) = options::nearest(typed) {
        finding = finding.with_hint(format!("did you mean \"--{nearest}\"?"));
    }
    findings.push(finding);
    None
}

fn takes_none(name: &str) -> bool {
    options::find(name).is_some_and(|row| matches!(row.value, Value::Flag | Value::Nothing))
}

/// Without a value the original takes 1 for a number and true for a flag.
fn bare_value(name: &str) -> String {
    options::find(name)
        .map_or("", |row| match row.value {
            Value::Flag | Value::Nothing => "true",
            Value::Number
            | Value::Milliseconds
            | Value::Seconds
            | Value::Bytes
            | Value::Kibibytes
            | Value::Mebibytes => "1",
            Value::Mode => "1",
            Value::Text | Value::Path | Value::Address | Value::Pair => "",
        })
        .to_owned()
}

fn positional(arg: &str, findings: &mut Vec<Finding>) -> Option<Argument> {
    let named = |name: &str| {
        Some(Argument {
            name: name.to_owned(),
            value: arg.to_owned(),
        })
    };
    // `file.ini:section` too, which the original only takes behind --ini.
    let is_ini = arg.ends_with(".ini") || arg.contains(".ini:");
    if is_ini {
        named("ini")
    } else if arg.ends_with(".py") || arg.ends_with(".wsgi") {
        named("wsgi-file")
    } else if arg.parse::<crate::address::Address>().is_ok() && arg.contains(':') {
        named("socket")
    } else {
        findings.push(
            Finding::error(None, format!("cannot tell what \"{arg}\" is"))
                .with_hint("name a config file that ends in .ini, or write --ini FILE"),
        );
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut findings = Vec::new();
        let mut found: Vec<String> = parse(&args, &mut findings)
            .iter()
            .map(|argument| format!("{}={}", argument.name, argument.value))
            .collect();
        found.extend(findings.iter().map(|finding| finding.text.clone()));
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn options_are_read_as_uwsgi_reads_them() {
        check(
            "--master --processes 4 a.ini",
            "master=true processes=4 ini=a.ini",
        );
        check(
            "--processes=4 -p2 -p 3",
            "processes=4 processes=2 processes=3",
        );
        check(
            "-MTs /run/a.sock",
            "master=true enable-threads=true socket=/run/a.sock",
        );
        check("--ini a.ini:b", "ini=a.ini:b");
        check(
            "a.ini:b app.py :3031",
            "ini=a.ini:b wsgi-file=app.py socket=:3031",
        );
        check("--chmod-socket --vacuum", "chmod-socket=1 vacuum=true");
        check(
            "--ini-section=uwsgi:b --ini-file=a:b.ini",
            "ini-section=uwsgi:b ini-file=a:b.ini",
        );
    }

    #[test]
    fn names_may_be_cut_where_they_stay_clear() {
        check("--wsgi-fi x.py", "wsgi-file=x.py");
        check(
            "--proceses 4",
            "unknown option \"--proceses\" cannot tell what \"4\" is",
        );
    }
}
