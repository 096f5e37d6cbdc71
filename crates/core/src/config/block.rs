//! `if-…`, `for…`, `end…`: which options of a block count, and how often (core/config.c). A block is
//! applied option by option: its condition is asked again for each of them, and it cannot be nested.

use std::path::Path;
use std::rc::Rc;

use super::load::MAX_ENTRIES;
use super::world::{Kind, World};
use crate::finding::Place;
use crate::ini::text;
use crate::pattern::Pattern;

/// One value of `%(_)` for each time that an option of the block counts; `None` leaves it alone.
pub(super) type Turns = Rc<Vec<Option<Vec<u8>>>>;

/// An open block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// What it is, as the table names it.
    pub kind: Start,
    /// As it is written.
    pub key: String,
    pub value: Vec<u8>,
    pub place: Place,
    /// Kept when no option of the block can change them.
    turns: Option<Turns>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    For,
    ForGlob,
    ForReadline,
    ForTimes,
    If(Condition, Wanted),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    True,
    False,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Directory,
    Env,
    Exists,
    File,
    Hostname,
    HostnameMatch,
    Opt,
    Plugin,
    Reload,
}

pub(super) fn is_end(key: &str) -> bool {
    matches!(key, "end" | "endfor" | "end-for" | "endif" | "end-if")
}

impl Start {
    /// The block that a row of this name begins.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "for" => return Some(Self::For),
            "for-glob" => return Some(Self::ForGlob),
            "for-readline" => return Some(Self::ForReadline),
            "for-times" => return Some(Self::ForTimes),
            _ => {}
        }
        let condition = name.strip_prefix("if-")?;
        let (condition, wanted) = match condition.strip_prefix("not-") {
            Some(condition) => (condition, Wanted::False),
            None => (condition, Wanted::True),
        };
        let condition = match condition {
            "dir" => Condition::Directory,
            "env" => Condition::Env,
            "exists" => Condition::Exists,
            "file" => Condition::File,
            "hostname" => Condition::Hostname,
            "hostname-match" => Condition::HostnameMatch,
            "opt" => Condition::Opt,
            "plugin" => Condition::Plugin,
            "reload" => Condition::Reload,
            _ => return None,
        };
        Some(Self::If(condition, wanted))
    }

    /// Whether an option of the block may change what its condition says.
    fn may_change(self) -> bool {
        matches!(self, Self::If(Condition::Env | Condition::Opt, _))
    }
}

/// What conditions may look at.
pub(super) struct Sight<'a> {
    pub world: &'a dyn World,
    pub first_value: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    pub env: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    pub plugins: &'a [String],
}

impl Block {
    pub(super) fn new(kind: Start, key: &str, value: &[u8], place: &Place) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            value: value.to_vec(),
            place: place.clone(),
            turns: None,
        }
    }

    /// Whether the next call of `turns` needs the file that `for-readline` names.
    pub(super) fn wants_file(&self) -> bool {
        self.kind == Start::ForReadline && self.turns.is_none()
    }

    /// How often the next option of the block counts.
    pub(super) fn turns(&mut self, sight: &Sight<'_>, file: Option<Vec<u8>>) -> Turns {
        if let Some(turns) = &self.turns {
            return Rc::clone(turns);
        }
        let turns = Rc::new(match self.kind {
            Start::For => words(&self.value).map(|word| Some(word.to_vec())).collect(),
            Start::ForGlob => self.paths(sight.world),
            Start::ForReadline => lines(&file.unwrap_or_default()),
            Start::ForTimes => {
                let times = super::passes::number(&self.value);
                let times = usize::try_from(times).unwrap_or(0);
                (1..=times.min(MAX_ENTRIES + 1))
                    .map(|turn| Some(turn.to_string().into_bytes()))
                    .collect()
            }
            Start::If(condition, wanted) => {
                let truth = self.truth(condition, sight);
                let holds = match wanted {
                    Wanted::True => truth.holds,
                    Wanted::False => !truth.holds,
                };
                if holds { vec![truth.value] } else { Vec::new() }
            }
        });
        if !self.kind.may_change() {
            self.turns = Some(Rc::clone(&turns));
        }
        turns
    }

    /// Without a match the pattern stands for itself.
    fn paths(&self, world: &dyn World) -> Vec<Option<Vec<u8>>> {
        let found = world.glob(&text(&self.value), MAX_ENTRIES + 1);
        if found.is_empty() {
            return vec![Some(self.value.clone())];
        }
        found.into_iter().map(Some).collect()
    }

    fn truth(&self, condition: Condition, sight: &Sight<'_>) -> Truth {
        let value = self.value.as_slice();
        let plain = |holds: bool| Truth {
            holds,
            value: Some(value.to_vec()),
        };
        // An empty path is no path, though it would stand for the working directory.
        let found = || match value {
            [] => Kind::Missing,
            value => sight.world.kind(Path::new(&text(value))),
        };
        let kind = |is: fn(Kind) -> bool| plain(is(found()));
        match condition {
            Condition::Env => matches(value, sight.env),
            Condition::Opt => matches(value, sight.first_value),
            Condition::Exists => kind(|kind| kind != Kind::Missing),
            Condition::File => kind(|kind| kind == Kind::File),
            Condition::Directory => kind(|kind| kind == Kind::Directory),
            Condition::Hostname => plain(sight.world.facts().hostname.as_bytes() == value),
            Condition::HostnameMatch => {
                let pattern = Pattern::new(&text(value)).ok();
                let matcher = pattern.and_then(|pattern| pattern.compile());
                let host = sight.world.facts().hostname.as_bytes();
                plain(matcher.is_some_and(|matcher| matcher.is_match(host)))
            }
            Condition::Plugin => {
                let name = text(value);
                let built_in = name == "python" || name == "http";
                plain(built_in || sight.plugins.contains(&name))
            }
            // A reload resolves the config in a new process, as a first start does.
            Condition::Reload => Truth {
                holds: false,
                value: None,
            },
        }
    }
}

struct Truth {
    holds: bool,
    /// What `%(_)` is in the block.
    value: Option<Vec<u8>>,
}

/// `NAME` is there, or `NAME=value` is so; `%(_)` is what is there.
fn matches(value: &[u8], find: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Truth {
    let (found, holds) = match value.iter().position(|&byte| byte == b'=') {
        None => {
            let found = find(value);
            let holds = found.is_some();
            (found, holds)
        }
        Some(at) => {
            let found = find(&value[..at]);
            let holds = found.as_deref() == Some(&value[at + 1..]);
            (found, holds)
        }
    };
    Truth {
        holds,
        value: found,
    }
}

/// The option that the condition asks for, if it asks for one.
pub(super) fn asked(kind: Start, value: &[u8]) -> Option<Vec<u8>> {
    matches!(kind, Start::If(Condition::Opt, _))
        .then(|| value.split(|&byte| byte == b'=').next().map(<[u8]>::to_vec))
        .flatten()
}

pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
}

/// As `fgets` with room for 1023 bytes gives them, without the line's end.
fn lines(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        for piece in line.chunks(1023) {
            let end = piece
                .iter()
                .rposition(|byte| !matches!(byte, b'\r' | b'\n'));
            let piece = &piece[..end.map_or(0, |end| end + 1)];
            // A NUL ends a string in C.
            let piece = piece.split(|&byte| byte == 0).next().unwrap_or_default();
            lines.push(Some(piece.to_vec()));
            if lines.len() > MAX_ENTRIES {
                return lines;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_long_ones_are_cut() {
        let long = vec![b'x'; 1030];
        let mut text = b"a\r\n\nb".to_vec();
        text.extend_from_slice(b"\n");
        text.extend_from_slice(&long);
        let lengths: Vec<usize> = lines(&text).iter().flatten().map(Vec::len).collect();
        assert_eq!(lengths, [1, 0, 1, 1023, 7]);
    }

    #[test]
    fn blocks_begin_by_the_names_of_their_rows() {
        assert_eq!(
            Start::of("if-not-hostname-match"),
            Some(Start::If(Condition::HostnameMatch, Wanted::False))
        );
        assert_eq!(Start::of("if"), None);
        assert_eq!(Start::of("if-x"), None);
    }
}
