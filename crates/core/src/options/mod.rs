//! The one table of options: reading a config, the command line, help, suggestions and docs all come
//! from these rows. Names are uWSGI's, and every name of uWSGI's has a row.

/// What a row does that sets one field of the settings: `set!(hooks.jailed, flag)`.
macro_rules! set {
    ($($field:ident).+, flag) => {
        |draft, given| {
            draft.settings.$($field).+ = draft.flag(given);
            Ok(())
        }
    };
    ($($field:ident).+, text) => {
        |draft, given| {
            draft.settings.$($field).+ = Some(Draft::some_text(given)?);
            Ok(())
        }
    };
    ($($field:ident).+, path) => {
        |draft, given| {
            draft.settings.$($field).+ = Some(Draft::path(given)?);
            Ok(())
        }
    };
    // One of the draft's own readers.
    ($($field:ident).+, $reader:ident) => {
        |draft, given| {
            draft.settings.$($field).+ = draft.$reader(given)?;
            Ok(())
        }
    };
}

mod alarms;
mod command;
mod daemons;
mod draft;
mod empire;
mod gevent;
mod hooks;
mod http;
mod language;
mod later;
mod limits;
mod listens;
mod loggers;
mod logging;
mod outside;
mod page;
mod process;
mod python;
mod recycling;
mod request;
mod rights;
mod routes;
mod scaling;
mod socket;
mod static_files;
mod values;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

pub use draft::{Draft, Given, Invalid};
pub use later::{Family, families};
pub use page::markdown;

/// The option that names a config file whole: unlike `--ini FILE:SECTION`, nothing in it is cut at a
/// colon.
pub const INI_FILE: &str = "ini-file";
/// The option, before [`INI_FILE`], that names the section, colons and all (`uwsgi:blog`).
pub const INI_SECTION: &str = "ini-section";
/// The option that names a socket at which the app starts: an address, `file://PATH` or
/// `exec://COMMAND`.
pub const ON_DEMAND_SOCKET: &str = "on-demand-socket";

/// One option.
#[derive(Debug)]
pub struct Opt {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub short: Option<char>,
    pub value: Value,
    /// Executed as soon as it is read, so its value gets no `$( )`, `@( )` or `%( )`.
    pub immediate: bool,
    pub support: Support,
    /// What it does; where it does nothing here, what it did in uWSGI. One line, lower case, no full
    /// stop.
    pub help: &'static str,
    /// As it would be written in a config; empty when there is none.
    pub default: &'static str,
    /// The original's default, where it is another one.
    pub was: Option<&'static str>,
    /// An option that uWSGI does not have.
    pub ours: bool,
    pub apply: fn(&mut Draft, &Given<'_>) -> Result<(), Invalid>,
}

/// What an option's value is, in uWSGI's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// False for `false`, `off`, `no` and `0`; anything else is true. No value on the command line.
    Flag,
    Number,
    Milliseconds,
    Seconds,
    Bytes,
    Kibibytes,
    Mebibytes,
    /// Three octal digits.
    Mode,
    Text,
    Path,
    Address,
    /// `K=V`
    Pair,
    /// Takes no value.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Full,
    /// Works, with this difference.
    Differs(&'static str),
    /// Accepted without effect, because that is harmless: …
    Ignored(&'static str),
    /// Has no effect yet, and an app could miss it; what to do meanwhile ("let nginx …").
    Later(&'static str),
    /// Not here, and not to come.
    Refused {
        /// Why ("there is one language here").
        why: &'static str,
        /// What to do instead ("let nginx …").
        instead: &'static str,
        /// Whether a config that has it is not run: it would be unsafe, or the app could not work.
        /// Otherwise the app runs without it, with a warning.
        stops: bool,
    },
}

/// Rows of one topic, sorted by name.
#[derive(Debug)]
pub struct Table {
    pub title: &'static str,
    pub rows: &'static [Opt],
}

/// All tables; what has no effect stands in [`families`].
pub static TABLES: &[Table] = &[
    table("Sockets", socket::OPTIONS),
    table("Processes", process::OPTIONS),
    table("Hooks", hooks::OPTIONS),
    table("Daemons and crons", daemons::OPTIONS),
    table("From outside", outside::OPTIONS),
    table("Scaling", scaling::OPTIONS),
    table("Recycling and harakiri", recycling::OPTIONS),
    table("Identity and limits", limits::OPTIONS),
    table("Python", python::OPTIONS),
    table("HTTP", http::OPTIONS),
    table("WSGI and gevent", gevent::OPTIONS),
    table("Requests", request::OPTIONS),
    table("Routes", routes::OPTIONS),
    table("Static files", static_files::OPTIONS),
    table("Logs and numbers", logging::OPTIONS),
    table("Alarms", alarms::OPTIONS),
    table("The emperor", empire::OPTIONS),
    table("Rights", rights::OPTIONS),
    table("The config language", language::OPTIONS),
    table("The command line", command::OPTIONS),
];

const fn table(title: &'static str, rows: &'static [Opt]) -> Table {
    Table { title, rows }
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Opt> {
    let tables = TABLES.iter().flat_map(|table| table.rows);
    tables.chain(later::rows())
}

/// The row of this name or alias.
pub fn find(name: &str) -> Option<&'static Opt> {
    static BY_NAME: LazyLock<HashMap<&str, &Opt>> = LazyLock::new(|| {
        let mut names = HashMap::new();
        for row in rows() {
            for name in row.names() {
                names.entry(name).or_insert(row);
            }
        }
        names
    });
    BY_NAME.get(name).copied()
}

/// The row of a short option.
pub fn find_short(letter: char) -> Option<&'static Opt> {
    rows().find(|row| row.short == Some(letter))
}

/// uWSGI's bool: anything is true but four words.
pub fn is_true(text: &str) -> bool {
    values::flag(text).0
}

/// Every name that the original or we know.
pub fn names() -> impl Iterator<Item = &'static str> {
    rows().flat_map(Opt::names)
}

/// The known name that is most like this one, when it is like enough to be what was meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    alike(name).into_iter().next()
}

/// The known names that are like enough to be what was meant, the most likely first.
pub fn alike(name: &str) -> Vec<&'static str> {
    let folded = name.to_ascii_lowercase().replace('_', "-");
    let allowed = match folded.len() {
        0..=2 => return Vec::new(),
        3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    // No distance is below the difference of the lengths: a long key costs no comparison.
    let letters = folded.chars().count();
    let counts = letter_counts(&folded);
    let mut found: Vec<(usize, bool, &str)> = names()
        .filter(|known| known.len().abs_diff(letters) <= allowed)
        // One change makes two counts differ by one at most: few names are left to compare.
        .filter(|known| {
            let pairs = counts.iter().zip(letter_counts(known));
            let differ: usize = pairs.map(|(one, other)| one.abs_diff(other)).sum();
            differ <= 2 * allowed
        })
        .map(|known| (strsim::damerau_levenshtein(&folded, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(distance, known)| {
            // What works is more likely meant, among equals.
            let works = find(known).is_some_and(Opt::has_effect);
            (distance, !works, known)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, _, known)| known).collect()
}

/// How often each letter stands in a name; all that are no letters count as one.
fn letter_counts(name: &str) -> [usize; 27] {
    let mut counts = [0; 27];
    for letter in name.chars() {
        let index = match letter {
            'a'..='z' => u32::from(letter) - u32::from('a'),
            _ => 26,
        };
        if let Some(count) = usize::try_from(index)
            .ok()
            .and_then(|index| counts.get_mut(index))
        {
            *count += 1;
        }
    }
    counts
}

impl fmt::Display for Support {
    /// How the page and the commands tell it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("works as in uWSGI"),
            Self::Differs(how) => write!(f, "differs: {how}"),
            Self::Ignored(why) => write!(f, "no effect, no harm: {why}"),
            Self::Later(meanwhile) => write!(f, "not yet; meanwhile {meanwhile}"),
            Self::Refused {
                why,
                instead,
                stops,
            } => {
                let word = if *stops { "refused" } else { "left out" };
                write!(f, "{word}: {why}; {instead}")
            }
        }
    }
}

impl Support {
    /// One word, for programs and narrow columns.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Differs(_) => "differs",
            Self::Ignored(_) => "ignored",
            Self::Later(_) => "later",
            Self::Refused { .. } => "refused",
        }
    }
}

const fn opt(
    name: &'static str,
    value: Value,
    support: Support,
    help: &'static str,
    apply: fn(&mut Draft, &Given<'_>) -> Result<(), Invalid>,
) -> Opt {
    Opt {
        name,
        aliases: &[],
        short: None,
        value,
        immediate: false,
        support,
        help,
        default: "",
        was: None,
        ours: false,
        apply,
    }
}

/// A row whose value has no effect.
const fn ignored(
    name: &'static str,
    value: Value,
    help: &'static str,
    because: &'static str,
) -> Opt {
    opt(name, value, Support::Ignored(because), help, nothing)
}

/// The value is not even read: nothing depends on it.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a row as an `apply`")]
fn nothing(_draft: &mut Draft, _given: &Given<'_>) -> Result<(), Invalid> {
    Ok(())
}

impl Opt {
    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether it does what it says.
    pub fn has_effect(&self) -> bool {
        match self.support {
            Support::Full | Support::Differs(_) => true,
            Support::Ignored(_) | Support::Later(_) | Support::Refused { .. } => false,
        }
    }

    const fn aka(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn short(self, letter: char) -> Self {
        Self {
            short: Some(letter),
            ..self
        }
    }

    const fn immediate(self) -> Self {
        Self {
            immediate: true,
            ..self
        }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// The original's default, where it is another one.
    const fn was(self, original: &'static str) -> Self {
        Self {
            was: Some(original),
            ..self
        }
    }

    const fn ours(self) -> Self {
        Self { ours: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;
    use crate::settings::Settings;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_sorted_and_every_name_stands_once() {
        let tables = TABLES.iter().map(|table| table.rows);
        let all = tables.chain(families().iter().map(|(_, rows)| rows.as_slice()));
        let (mut seen, mut shorts) = (BTreeSet::new(), BTreeSet::new());
        for rows in all {
            let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
            assert!(names.is_sorted(), "{names:?}");
            for row in rows {
                for name in row.names() {
                    let hint = "a row of its own replaces the line of a family in options/later";
                    assert!(seen.insert(name), "\"{name}\" stands twice: {hint}");
                }
                if let Some(short) = row.short {
                    assert!(shorts.insert(short), "-{short} stands twice");
                }
            }
        }
    }

    #[test]
    fn help_is_one_short_line() {
        for row in rows() {
            assert!(row.help.len() <= 72, "{}: {}", row.name, row.help);
            assert!(
                !row.help.ends_with('.') && !row.help.contains('\n'),
                "{}",
                row.name
            );
            assert!(!row.help.is_empty(), "{}", row.name);
        }
    }

    /// Rows whose default is what happens without a setting.
    const UNSEEN: &[&str] = &["auto-procname", "callable", "mimefile"];

    #[test]
    fn the_default_that_a_row_tells_is_the_one_that_settings_have() {
        let mut problems = Vec::new();
        for row in rows().filter(|row| row.has_effect()) {
            let text = match (row.default, row.value) {
                ("", Value::Flag) => "false",
                (text, _) => text,
            };
            if text.is_empty() || UNSEEN.contains(&row.name) {
                continue;
            }
            let place = Place {
                file: "app.ini".into(),
                line: 1,
            };
            let given = Given {
                name: row.name,
                text,
                place: &place,
            };
            let mut draft = Draft::default();
            match (row.apply)(&mut draft, &given) {
                Err(invalid) => problems.push(format!("{} = {text}: {}", row.name, invalid.text)),
                Ok(()) if draft.settings != Settings::default() => {
                    problems.push(format!("{} = {text} is not the default", row.name));
                }
                Ok(()) => (),
            }
        }
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn the_page_of_options_is_made_from_the_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/options.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(page, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(written == markdown(), "run this test with UPDATE=1");
    }

    #[test]
    fn typos_find_the_name_that_was_meant() {
        for (typo, meant) in [
            ("proceses", Some("processes")),
            ("vaccum", Some("vacuum")),
            ("enable_threads", Some("enable-threads")),
            ("project_root", None),
            ("zzzzzz", None),
        ] {
            assert_eq!(nearest(typo), meant, "{typo}");
        }
    }
}
