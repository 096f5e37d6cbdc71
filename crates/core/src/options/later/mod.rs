//! Rows of what has no effect: what is not here yet, what is left out by design, what is harmless
//! to ignore. Families share a reason; each name has a line of its own, in text, because a table of
//! 600 must be readable at a glance.

mod config;
mod confinement;
mod emperor;
mod left_out;
mod outside;
mod plugins;
mod requests;
mod routers;
mod sockets;
mod tools;

use std::sync::LazyLock;

use super::{Opt, Support, Value, nothing, opt};

/// Options that are not here for one reason.
#[derive(Debug)]
pub struct Family {
    pub title: &'static str,
    pub support: Support,
    /// One line for each option: `name alias -s | value=default | what it did`. A `!` behind the
    /// value: it is acted on as soon as it is read.
    rows: &'static str,
}

/// All families, by topic.
static FAMILIES: &[&[Family]] = &[
    config::FAMILIES,
    emperor::FAMILIES,
    outside::FAMILIES,
    left_out::FAMILIES,
    routers::FAMILIES,
    sockets::FAMILIES,
    confinement::FAMILIES,
    requests::FAMILIES,
    tools::FAMILIES,
    plugins::FAMILIES,
];

/// Each family with its rows. They are read once.
pub fn families() -> &'static [(&'static Family, Vec<Opt>)] {
    static READ: LazyLock<Vec<(&Family, Vec<Opt>)>> = LazyLock::new(|| {
        let families = FAMILIES.iter().copied().flatten();
        families.map(|family| (family, family.read())).collect()
    });
    &READ
}

/// The rows of all families.
pub(super) fn rows() -> impl Iterator<Item = &'static Opt> {
    families().iter().flat_map(|(_, rows)| rows)
}

impl Family {
    /// # Panics
    /// Where a line is not as [`Family::rows`] says; a test reads them all.
    fn read(&self) -> Vec<Opt> {
        let lines = self.rows.lines().filter(|line| !line.is_empty());
        lines.map(|line| read(line, self.support)).collect()
    }
}

fn read(line: &'static str, support: Support) -> Opt {
    let fields: Vec<&str> = line.split(" | ").collect();
    let [names, value, help] = fields[..] else {
        panic!("no row of three fields: {line}");
    };
    let (value, immediate) = match value.strip_suffix('!') {
        Some(value) => (value, true),
        None => (value, false),
    };
    let (value, default) = value.split_once('=').unwrap_or((value, ""));
    let short = |name: &&str| name.len() == 2 && name.starts_with('-');
    let (shorts, mut names): (Vec<&str>, Vec<&str>) = names.split(' ').partition(short);
    let name = names.remove(0);
    Opt {
        // Read once, and kept as long as the program runs.
        aliases: names.leak(),
        short: shorts.first().and_then(|short| short.chars().nth(1)),
        immediate,
        default,
        ..opt(name, value_of(value), support, help, nothing)
    }
}

fn value_of(word: &str) -> Value {
    match word {
        "address" => Value::Address,
        "bytes" => Value::Bytes,
        "flag" => Value::Flag,
        "kibibytes" => Value::Kibibytes,
        "mebibytes" => Value::Mebibytes,
        "milliseconds" => Value::Milliseconds,
        "mode" => Value::Mode,
        "none" => Value::Nothing,
        "number" => Value::Number,
        "pair" => Value::Pair,
        "path" => Value::Path,
        "seconds" => Value::Seconds,
        "text" => Value::Text,
        other => panic!("no kind of value: {other}"),
    }
}

/// Left out by design; the app runs without it.
const fn left_out(why: &'static str, instead: &'static str) -> Support {
    Support::Refused {
        why,
        instead,
        stops: false,
    }
}

const fn later(meanwhile: &'static str) -> Support {
    Support::Later(meanwhile)
}

const fn harmless(why: &'static str) -> Support {
    Support::Ignored(why)
}
