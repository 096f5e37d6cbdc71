//! `docs/options.md`, written from the table.

use super::{Opt, Support, TABLES, Value, families};

pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for table in TABLES {
        text.push_str(&format!("\n## {}\n\n{TABLE_HEAD}", table.title));
        for row in table.rows {
            text.push_str(&line(row));
        }
    }
    text.push_str(FAMILIES_HEAD);
    for (family, rows) in families() {
        text.push_str(&format!(
            "\n### {}\n\n{}.\n\n{FAMILY_HEAD}",
            family.title,
            capitalised(&family.support.to_string())
        ));
        for row in rows {
            let value = with_default(row);
            text.push_str(&format!("| {} | {value} | {} |\n", names(row), row.help));
        }
    }
    text
}

fn line(row: &Opt) -> String {
    let default = match (row.default, row.was) {
        ("", None) => String::new(),
        ("", Some(was)) => format!("uWSGI: `{was}`"),
        (default, None) => format!("`{default}`"),
        (default, Some(was)) => format!("`{default}`; uWSGI: `{was}`"),
    };
    let support = match (row.ours, row.support) {
        (true, Support::Full) => "ours".to_owned(),
        (false, Support::Full) => String::new(),
        (true | false, other) => other.to_string(),
    };
    format!(
        "| {} | {} | {default} | {} | {support} |\n",
        names(row),
        row.value.unit(),
        row.help
    )
}

fn names(row: &Opt) -> String {
    let long = row.names().map(|name| format!("`{name}`"));
    let short = row.short.map(|short| format!("`-{short}`"));
    long.chain(short).collect::<Vec<_>>().join(", ")
}

fn with_default(row: &Opt) -> String {
    match row.default {
        "" => row.value.unit().to_owned(),
        default => format!("{}, `{default}`", row.value.unit()),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

impl Value {
    /// In words: what a value of this kind is written as.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "number",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::Mode => "three octal digits",
            Self::Text => "text",
            Self::Path => "path",
            Self::Address => "address",
            Self::Pair => "K=V",
            Self::Nothing => "no value",
        }
    }
}

const HEAD: &str = "# Options

Made from the table in `crates/core/src/options`; a test compares the two, and writes this page anew \
when `UPDATE=1` is set. `imperator explain OPTION` tells the same of one option, `imperator options` \
lists them.

Values are read as uWSGI reads them: a number has no unit, and anything but `false`, `off`, `no` and \
`0` is true. Where the last column is empty, an option does what it does in uWSGI.
";

const TABLE_HEAD: &str = "\
| option | value | default | what it does | support |
|---|---|---|---|---|
";

const FAMILIES_HEAD: &str = "
## Without an effect

What the rest of uWSGI's options did there, by what to use instead.
";

const FAMILY_HEAD: &str = "| option | value | in uWSGI |\n|---|---|---|\n";
