//! Templates of routes, filled in for one request.

use imperator_core::pattern::Groups;
use imperator_core::template::{self, Part};

use crate::clock;
use crate::context::WorkerContext;
use crate::request::Request;
use crate::static_files::{Files, date};

/// A text that grows beyond this is cut: nobody's header or path is longer.
const MAX_TEXT: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

/// What a pattern matched, for `$1` and its like.
#[derive(Debug, Default)]
pub(super) struct Matched {
    subject: Vec<u8>,
    groups: Groups,
}

impl Matched {
    pub(super) fn new(subject: &[u8], groups: Groups) -> Self {
        // Without groups only `$0` is left to ask for, and it is a group, too.
        Self {
            subject: subject.to_vec(),
            groups,
        }
    }

    fn group(&self, index: usize) -> &[u8] {
        let range = self.groups.get(index).cloned().flatten();
        range
            .and_then(|range| self.subject.get(range))
            .unwrap_or_default()
    }
}

impl Template {
    pub(super) fn new(text: &str) -> Self {
        Self(template::parse(text))
    }

    /// Of a condition: nothing has matched yet, and `$1` stands for itself, as in the original.
    pub(super) fn of_condition(text: &str) -> Self {
        let parts = template::parse(text).into_iter().map(|part| match part {
            Part::Group(index) => Part::Text(format!("${index}")),
            Part::Text(_) | Part::Variable(_) | Part::Call { .. } => part,
        });
        Self(parts.collect())
    }

    pub(super) fn fill(
        &self,
        worker: &WorkerContext,
        files: &Files,
        request: &Request,
        matched: &Matched,
    ) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.extend_from_slice(plain.as_bytes()),
                Part::Group(index) => text.extend_from_slice(matched.group(*index)),
                Part::Variable(name) => {
                    let value = request.var(name.as_bytes()).unwrap_or_default();
                    text.extend_from_slice(value);
                }
                Part::Call { function, argument } => {
                    let value = call(worker, files, request, function, argument);
                    text.extend_from_slice(&value.unwrap_or_default());
                }
            }
        }
        text.truncate(MAX_TEXT);
        text
    }
}

/// `${function[argument]}`
fn call(
    worker: &WorkerContext,
    files: &Files,
    request: &Request,
    function: &str,
    argument: &str,
) -> Option<Vec<u8>> {
    let now = || clock::epoch_micros();
    let variable = || request.var(argument.as_bytes());
    let text = match (function, argument) {
        ("cookie", name) => {
            let cookies = request.var(b"HTTP_COOKIE")?;
            return pair(cookies, b';', name.as_bytes()).map(<[u8]>::to_vec);
        }
        ("qs", name) => {
            let query = request.var(b"QUERY_STRING")?;
            return pair(query, b'&', name.as_bytes()).map(<[u8]>::to_vec);
        }
        ("hex", _) => variable()?
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect(),
        ("base64", _) => base64(variable()?),
        ("mime", _) => files.type_of(variable()?)?.to_owned(),
        ("time", "unix") => (now() / 1_000_000).to_string(),
        ("time", "micros") => now().to_string(),
        ("httptime", seconds) => {
            let later: u64 = seconds.trim().parse().unwrap_or(0);
            date::format((now() / 1_000_000).saturating_add(later).min(MAX_DATE))
        }
        ("uwsgi", "wid") => worker.id().to_string(),
        ("uwsgi", "pid") => worker.pid.to_string(),
        _ => return None,
    };
    Some(text.into_bytes())
}

/// The end of the year 9999.
const MAX_DATE: u64 = 253_402_300_799;

/// The value of `name=value` in a list.
fn pair<'a>(list: &'a [u8], between: u8, name: &[u8]) -> Option<&'a [u8]> {
    list.split(|&byte| byte == between)
        .filter_map(|item| item.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
        .next()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            text.push(match place <= three.len() {
                true => char::from(DIGITS[digit as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648s() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}\u{ff}", "w7/Dvw=="),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn cookies_and_queries_are_lists_of_pairs() {
        assert_eq!(pair(b"a=1; bc=2;c=3", b';', b"c"), Some(&b"3"[..]));
        assert_eq!(pair(b"a=1&b=", b'&', b"b"), Some(&b""[..]));
        assert_eq!(pair(b"ab=1", b'&', b"a"), None);
    }
}
