//! uWSGI's command line, as getopt_long reads it: long and short options, `--opt=value`,
//! `--opt value`, abbreviations, positional config files. Pure: an argument becomes an option by the
//! table alone, and by the options that the config has declared so far.

use crate::finding::Finding;
use crate::options::{self, Value};

/// One option of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    /// `None`: given without a value.
    pub value: Option<String>,
    /// Stood alone, without an option before it.
    pub positional: bool,
}

/// Whether the next word belongs to an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// Only behind `=`, or joined to a short option: `-C660`.
    Joined,
    /// Always, whatever it looks like.
    Word,
}

/// Reads a command line option by option: a config that an option names may declare new options,
/// which later words then use.
pub struct Line<'a> {
    rest: std::slice::Iter<'a, String>,
    /// What is left of a cluster of short options.
    letters: &'a str,
    positional: Vec<&'a str>,
}

impl<'a> Line<'a> {
    pub fn new(args: &'a [String]) -> Self {
        Self {
            rest: args.iter(),
            letters: "",
            positional: Vec::new(),
        }
    }

    /// The next option; `declared` tells what an option of the config's own takes.
    ///
    /// # Errors
    /// An unknown option, or one without its value.
    pub fn next(
        &mut self,
        declared: &dyn Fn(&str) -> Option<Takes>,
    ) -> Option<Result<Argument, Finding>> {
        if !self.letters.is_empty() {
            return Some(self.short());
        }
        loop {
            let arg = self.rest.next()?;
            if arg == "--" {
                self.positional
                    .extend(self.rest.by_ref().map(String::as_str));
                return None;
            }
            if let Some(long) = arg.strip_prefix("--") {
                return Some(self.long(long, declared));
            }
            match arg.strip_prefix('-') {
                Some(letters) if !letters.is_empty() => {
                    self.letters = letters;
                    return Some(self.short());
                }
                Some(_) | None => self.positional.push(arg),
            }
        }
    }

    /// What stood alone. It counts after all options, wherever it stands.
    pub fn positional(self, findings: &mut Vec<Finding>) -> Vec<Argument> {
        let words = self.positional.into_iter();
        words
            .filter_map(|word| positional(word, findings))
            .collect()
    }

    fn long(
        &mut self,
        long: &'a str,
        declared: &dyn Fn(&str) -> Option<Takes>,
    ) -> Result<Argument, Finding> {
        let (typed, joined) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let (name, takes) = match declared(typed) {
            Some(takes) if options::find(typed).is_none() => (typed.to_owned(), takes),
            Some(_) | None => {
                let name = full_name(typed)?;
                let takes = takes(&name);
                (name, takes)
            }
        };
        let value = match (joined, takes) {
            (Some(value), _) => Some(value),
            (None, Takes::Word) => Some(self.word(&format!("--{name}"))?),
            (None, Takes::Nothing | Takes::Joined) => None,
        };
        Ok(Argument {
            name,
            value,
            positional: false,
        })
    }

    /// `-MTp 4`, `-p4`.
    fn short(&mut self) -> Result<Argument, Finding> {
        let mut letters = self.letters.chars();
        let letter = letters.next().unwrap_or_default();
        let joined = letters.as_str();
        self.letters = "";
        let Some(row) = options::find_short(letter) else {
            let text = format!("unknown option \"-{letter}\"");
            return Err(Finding::error(None, text));
        };
        // The original lists it under the first of its names that has the letter.
        let name = match letter {
            'H' => "home".to_owned(),
            _ => row.name.to_owned(),
        };
        let value = match takes(&name) {
            Takes::Nothing => {
                self.letters = joined;
                None
            }
            Takes::Joined => (!joined.is_empty()).then(|| joined.to_owned()),
            Takes::Word if joined.is_empty() => Some(self.word(&format!("-{letter}"))?),
            Takes::Word => Some(joined.to_owned()),
        };
        Ok(Argument {
            name,
            value,
            positional: false,
        })
    }

    fn word(&mut self, shown: &str) -> Result<String, Finding> {
        self.rest.next().cloned().ok_or_else(|| {
            let text = format!("option \"{shown}\" needs a value");
            Finding::error(None, text).with_hint(format!("write {shown} VALUE"))
        })
    }
}

/// What a known option takes on the command line.
pub fn takes(name: &str) -> Takes {
    if JOINED.binary_search(&name).is_ok() {
        return Takes::Joined;
    }
    if WORD.contains(&name) {
        return Takes::Word;
    }
    match options::find(name) {
        Some(row) if matches!(row.value, Value::Flag | Value::Nothing) => Takes::Nothing,
        Some(_) | None => Takes::Word,
    }
}

/// What an option means that is given without a value.
pub fn bare_value(name: &str) -> &'static str {
    options::find(name).map_or("", |row| match row.value {
        Value::Flag | Value::Nothing => "true",
        Value::Number
        | Value::Milliseconds
        | Value::Seconds
        | Value::Bytes
        | Value::Kibibytes
        | Value::Mebibytes
        | Value::Mode => "1",
        Value::Text | Value::Path | Value::Address | Value::Pair => "",
    })
}

/// A name as typed, or the one name that it abbreviates (getopt_long).
///
/// # Errors
/// It abbreviates none, or several.
pub fn full_name(typed: &str) -> Result<String, Finding> {
    if options::find(typed).is_some() {
        return Ok(typed.to_owned());
    }
    let mut candidates: Vec<&str> = options::names()
        .filter(|name| !typed.is_empty() && name.starts_with(typed))
        .collect();
    candidates.sort_unstable();
    candidates.dedup();
    match candidates.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let finding = Finding::error(None, format!("unknown option \"--{typed}\""));
            Err(match options::nearest(typed) {
                Some(nearest) => finding.with_hint(format!("did you mean \"--{nearest}\"?")),
                None => finding,
            })
        }
        several => {
            let text = format!("option \"--{typed}\" is short for more than one");
            let shown: Vec<&str> = several.iter().take(8).copied().collect();
            Err(Finding::error(None, text).with_hint(format!("write one of {}", shown.join(", "))))
        }
    }
}

fn positional(arg: &str, findings: &mut Vec<Finding>) -> Option<Argument> {
    let named = |name: &str| {
        Some(Argument {
            name: name.to_owned(),
            value: Some(arg.to_owned()),
            positional: true,
        })
    };
    // `file.ini:section` too, which the original only takes behind --ini.
    let carrier = crate::carriers::Carrier::of(arg);
    if arg.starts_with('[') {
        // The original overlooks it, too.
        None
    } else if let Some(carrier) = carrier {
        named(carrier.option())
    } else if arg.ends_with(".py") || arg.ends_with(".wsgi") {
        named("wsgi-file")
    } else if arg.parse::<crate::address::Address>().is_ok() && arg.contains(':') {
        named("socket")
    } else {
        let text = format!("cannot tell what \"{arg}\" is");
        let hint = "name a config file that ends in .ini, or write --ini FILE";
        findings.push(Finding::error(None, text).with_hint(hint));
        None
    }
}

/// Flags that the original gives a value on the command line.
const WORD: &[&str] = &[
    "alarm-cheap",
    "auto-weight",
    "http-quiet",
    "http-server-name-as-http-host",
    "log-ioerror",
    "log-sendfile",
];

/// Options whose value may be left out, so that the next word is never theirs. Sorted.
const JOINED: &[&str] = &[
    "check-cache",
    "chmod",
    "chmod-socket",
    "end-for",
    "end-if",
    "endfor",
    "endif",
    "exit",
    "http-enable-proxy-protocol",
    "http-keepalive",
    "http-manage-expect",
    "http-use-cache",
    "http-use-socket",
    "ksm",
    "log-date",
    "log-prefix",
    "log-syslog",
    "logdate",
    "mule",
    "mule-msg-size",
    "pyshell",
    "pyshell-oneshot",
    "snmp",
    "ssl-session-use-cache",
    "ssl-sessions-use-cache",
    "ssl-verify-depth",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut findings = Vec::new();
        let mut found = Vec::new();
        let mut line = Line::new(&args);
        let declared = |name: &str| (name == "own").then_some(Takes::Word);
        while let Some(next) = line.next(&declared) {
            match next {
                Ok(argument) => found.push(argument),
                Err(finding) => findings.push(finding),
            }
        }
        found.extend(line.positional(&mut findings));
        let mut found: Vec<String> = found
            .iter()
            .map(|argument| match &argument.value {
                Some(value) => format!("{}={value}", argument.name),
                None => argument.name.clone(),
            })
            .collect();
        found.extend(findings.iter().map(|finding| finding.text.clone()));
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn options_are_read_as_uwsgi_reads_them() {
        check(
            "--master --processes 4 a.ini",
            "master processes=4 ini=a.ini",
        );
        check(
            "--processes=4 -p2 -p 3",
            "processes=4 processes=2 processes=3",
        );
        check(
            "-MTs /run/a.sock",
            "master enable-threads socket=/run/a.sock",
        );
        check("-H /venv", "home=/venv");
        check("--ini a.ini:b", "ini=a.ini:b");
        check(
            "a.ini:b app.py :3031 --vacuum",
            "vacuum ini=a.ini:b wsgi-file=app.py socket=:3031",
        );
        check(
            "--ini-section=uwsgi:b --ini-file=a:b.ini",
            "ini-section=uwsgi:b ini-file=a:b.ini",
        );
        check("-- --master", "cannot tell what \"--master\" is");
    }

    #[test]
    fn a_value_is_the_next_word_whatever_it_looks_like() {
        check("--module --master", "module=--master");
        check("-w -M", "module=-M");
        check("--own -x", "own=-x");
        check("--log-sendfile --master", "log-sendfile=--master");
        check(
            "--master --module",
            "master option \"--module\" needs a value",
        );
        // A value that may be left out is never the next word.
        check("--chmod-socket --vacuum", "chmod-socket vacuum");
        check(
            "--chmod-socket 660",
            "chmod-socket cannot tell what \"660\" is",
        );
        check(
            "-C660 --chmod-socket=600",
            "chmod-socket=660 chmod-socket=600",
        );
        assert!(JOINED.is_sorted());
    }

    #[test]
    fn names_may_be_cut_where_they_stay_clear() {
        check("--wsgi-fi x.py", "wsgi-file=x.py");
        check(
            "--proceses 4",
            "unknown option \"--proceses\" cannot tell what \"4\" is",
        );
        check(
            "--chmod 1 --uwsgi",
            "chmod option \"--uwsgi-socket\" needs a value cannot tell what \"1\" is",
        );
        check("--http-s", "option \"--http-s\" is short for more than one");
    }
}
