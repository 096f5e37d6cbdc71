//! Regular expressions of configs, matched as the original's PCRE matches them: byte by byte, with
//! look-around and back-references, and with a limit where PCRE could run for ever.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Steps back that one match may take; a pattern that needs more does not match.
const BACKTRACKS: usize = 100_000;
/// Bytes that one compiled pattern may have.
const COMPILED_BYTES: usize = 4 << 20;

/// A pattern as it is written in a config. Two equal texts are one pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPattern(String);

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPattern {}

impl Pattern {
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        compile(text)?;
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` when it was not made by [`Pattern::new`] and is none.
    pub fn compile(&self) -> Option<Matcher> {
        compile(&self.0).ok().map(Matcher)
    }
}

fn compile(text: &str) -> Result<fancy_regex::Regex, InvalidPattern> {
    fancy_regex::RegexBuilder::new(&plain_braces(&characters(text.as_bytes())))
        .backtrack_limit(BACKTRACKS)
        .delegate_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            InvalidPattern(last.unwrap_or("no pattern").trim().to_owned())
        })
}

/// One character per byte, for patterns and subjects alike: what matches is what PCRE matches
/// without its UTF mode.
fn characters(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// To PCRE a brace that begins no `{2}`, `{2,}` or `{2,3}` is a brace.
fn plain_braces(text: &str) -> String {
    let counts = |rest: &str| {
        let inner = rest.split_once('}').map(|(inner, _)| inner);
        inner.is_some_and(|inner| {
            let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            !low.is_empty() && digits(low) && digits(high)
        })
    };
    let mut out = String::with_capacity(text.len());
    let mut letters = text.char_indices();
    let mut in_class = false;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                out.push(letter);
                out.extend(letters.next().map(|(_, next)| next));
                // \p{Greek}, \x{2026}: these braces belong to the escape.
                if matches!(
                    text.as_bytes().get(at + 1),
                    Some(b'p' | b'P' | b'x' | b'k' | b'g')
                ) && text.as_bytes().get(at + 2) == Some(&b'{')
                {
                    out.extend(letters.next().map(|(_, next)| next));
                }
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '{' if !in_class && !counts(&text[at + 1..]) => out.push('\\'),
            _ => (),
        }
        out.push(letter);
    }
    out
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Matcher(fancy_regex::Regex);

/// Where a pattern and its groups matched: ranges of bytes, the whole match first.
pub type Groups = Vec<Option<Range<usize>>>;

impl Matcher {
    pub fn is_match(&self, subject: &[u8]) -> bool {
        self.0.is_match(&characters(subject)).unwrap_or(false)
    }

    pub fn groups(&self, subject: &[u8]) -> Option<Groups> {
        let text = characters(subject);
        let found = self.0.captures(&text).ok()??;
        // Each character stands for one byte, but characters above ASCII have two here.
        let bytes = |at: usize| match text {
            Cow::Borrowed(_) => at,
            Cow::Owned(ref text) => text[..at].chars().count(),
        };
        let range = |index| {
            let group = found.get(index)?;
            Some(bytes(group.start())..bytes(group.end()))
        };
        Some((0..found.len()).map(range).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(text: &str) -> Matcher {
        Pattern::new(text).unwrap().compile().unwrap()
    }

    #[test]
    fn patterns_are_pcres() {
        for (pattern, subject, expected) in [
            ("^/static/.*", "/static/a.css", true),
            ("^/(?!static|health)", "/admin", true),
            ("^/(?!static|health)", "/health/", false),
            (r"(?<=/v)\d+$", "/api/v12", true),
            (r"^(\w+)-\1$", "ab-ab", true),
            ("(?i)^GET", "get", true),
            (r"\.(css|js)$", "/x.json", false),
            ("", "anything", true),
        ] {
            let found = matcher(pattern).is_match(subject.as_bytes());
            assert_eq!(found, expected, "{pattern} on {subject}");
        }
        for (pattern, plain) in [
            ("{", "\\{"),
            ("^{a}", "^\\{a}"),
            ("a{2}b{2,}c{,2}", "a{2}b{2,}c\\{,2}"),
            ("[{]\\x{41}{3}\\{", "[{]\\x{41}{3}\\{"),
        ] {
            assert_eq!(plain_braces(pattern), plain);
        }
        assert!(Pattern::new("(unclosed").is_err());
        assert!(Pattern::new("*").is_err());
    }

    #[test]
    fn groups_are_ranges_of_bytes() {
        let groups = matcher("^/(.)(x)?(.+)")
            .groups("/\u{e9}/a".as_bytes())
            .unwrap();
        assert_eq!(groups, [Some(0..5), Some(1..2), None, Some(2..5)]);
        let groups = matcher("/é").groups("/é".as_bytes()).unwrap();
        assert_eq!(groups, [Some(0..3)]);
        assert!(matcher("^.$").is_match(b"\xff"));
    }

    #[test]
    fn a_pattern_that_explodes_ends() {
        let subject = "a".repeat(5_000);
        assert!(!matcher(r"^(a+)+\1b$").is_match(subject.as_bytes()));
    }
}
