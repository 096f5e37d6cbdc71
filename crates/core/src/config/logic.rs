//! `if-…`, `for…`, `end…`: which options of a block count, and how often (core/config.c). A block is
//! applied option by option and cannot be nested.

use std::path::{Path, PathBuf};

use super::world::{Kind, World};
use crate::ini::text;

pub(super) type Turns = Vec<Option<Vec<u8>>>;

/// An open block.
#[derive(Debug)]
pub(super) struct Block {
    pub key: String,
    /// One value of `%(_)` for each time that an option of the block counts; `None` leaves it.
    pub values: Turns,
    pub line: u32,
    pub file: PathBuf,
}

/// A `for` of more is a mistake.
const MAX_TURNS: u64 = 10_000;

pub(super) fn is_end(key: &str) -> bool {
    matches!(key, "end" | "endfor" | "end-for" | "endif" | "end-if")
}

pub(super) fn is_start(key: &str) -> bool {
    let condition = key.strip_prefix("if-").or_else(|| key.strip_prefix("if"));
    matches!(key, "for" | "for-times")
        || condition.is_some_and(|what| {
            let what = what.strip_prefix("not-").unwrap_or(what);
            CONDITIONS.contains(&what)
        })
}

const CONDITIONS: &[&str] = &[
    "dir",
    "directory",
    "env",
    "exists",
    "file",
    "hostname",
    "opt",
    "plugin",
    "reload",
];

/// What conditions may look at.
pub(super) struct Logic<'a> {
    pub world: &'a dyn World,
    pub first_value: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
}

impl Logic<'_> {
    /// The values of `%(_)`, none when the condition is false; and the option that was asked for.
    pub(super) fn values(&self, key: &str, value: &[u8]) -> (Turns, Option<Vec<u8>>) {
        match key {
            "for" => {
                let words = value.split(|&byte| byte == b' ');
                let words = words.filter(|word| !word.is_empty());
                return (words.map(|word| Some(word.to_vec())).collect(), None);
            }
            "for-times" => {
                let times = text(value).trim().parse().unwrap_or(0_u64).min(MAX_TURNS);
                return (
                    (1..=times)
                        .map(|n| Some(n.to_string().into_bytes()))
                        .collect(),
                    None,
                );
            }
            _ => {}
        }
        let what = key.strip_prefix("if-").or_else(|| key.strip_prefix("if"));
        let what = what.unwrap_or(key);
        let (what, negated) = match what.strip_prefix("not-") {
            Some(what) => (what, true),
            None => (what, false),
        };
        let mut asked = None;
        let holds: Option<Vec<u8>> = match what {
            "env" => self.matches(value, |name| self.world.env(name)),
            "opt" => {
                asked = value.split(|&byte| byte == b'=').next().map(<[u8]>::to_vec);
                self.matches(value, self.first_value)
            }
            "exists" => self.kind_is(value, |kind| kind != Kind::Missing),
            "file" => self.kind_is(value, |kind| kind == Kind::File),
            "dir" | "directory" => self.kind_is(value, |kind| kind == Kind::Directory),
            "hostname" => (self.world.facts().hostname.as_bytes() == value).then(|| value.to_vec()),
            "plugin" => {
                let name = text(value);
                let built_in = name.starts_with("python") || name == "http";
                built_in.then(|| value.to_vec())
            }
            // A reload resolves the config in a new process, as a first start does.
            _ => None,
        };
        let values = match (holds, negated) {
            (Some(found), false) => vec![Some(found)],
            // There is no value to speak of when a variable or an option must be absent.
            (None, true) => vec![(!matches!(what, "env" | "opt")).then(|| value.to_vec())],
            (Some(_), true) | (None, false) => Vec::new(),
        };
        (values, asked)
    }

    /// `NAME` is there, or `NAME=value` is so; `%(_)` is then the value.
    fn matches(&self, value: &[u8], find: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        match value.iter().position(|&byte| byte == b'=') {
            None => find(value),
            Some(at) => find(&value[..at]).filter(|found| found == &value[at + 1..]),
        }
    }

    fn kind_is(&self, value: &[u8], is: impl Fn(Kind) -> bool) -> Option<Vec<u8>> {
        let path = text(value);
        is(self.world.kind(Path::new(&path))).then(|| value.to_vec())
    }
}
