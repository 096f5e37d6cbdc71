//! Values that the original takes as they are written, and that are probably meant otherwise: quotes,
//! comments behind a value, `${NAME}`.

use super::load::Entry;
use crate::finding::Finding;
use crate::options::{Opt, Value};

/// What is to be said of one option's value.
pub(super) fn tell(row: &Opt, entry: &Entry, value: &str) -> Option<Finding> {
    // Shells, patterns and formats have quotes, signs and variables of their own.
    if entry.bare || SPEAKS.iter().any(|word| row.name.contains(word)) {
        return None;
    }
    let key = &entry.key;
    let warning = |text: String, hint: String, mark: &str| {
        let finding = Finding::warning(entry.place.known(), text);
        finding.with_hint(hint).with_mark(mark)
    };
    if let Some(inner) = unquoted(value) {
        let text = format!("the quotes are a part of the value of \"{key}\"");
        return Some(warning(text, format!("write {key} = {inner}"), value));
    }
    if let Some(variable) = braced(value) {
        let text = format!("\"{variable}\" stays as it is");
        let name = variable[2..variable.len() - 1].split(':').next();
        let name = name.unwrap_or_default();
        let hint = format!("write $({name}) for a variable of the environment");
        return Some(warning(text, hint, variable));
    }
    let is_plain = match row.value {
        Value::Path | Value::Pair => true,
        Value::Text => PLAIN.contains(&row.name),
        // These read what they need and tell what is left.
        Value::Flag
        | Value::Number
        | Value::Milliseconds
        | Value::Seconds
        | Value::Bytes
        | Value::Kibibytes
        | Value::Mebibytes
        | Value::Mode
        | Value::Address
        | Value::Nothing => false,
    };
    let at = value
        .match_indices([';', '#'])
        .map(|(at, _)| at)
        .find(|&at| at > 0 && value[..at].ends_with([' ', '\t']))
        .filter(|_| is_plain)?;
    let text = format!("the comment is a part of the value of \"{key}\"");
    let hint = "write the comment on a line of its own".to_owned();
    Some(warning(text, hint, &value[at..]))
}

/// Parts of names whose values are read by somebody else.
const SPEAKS: &[&str] = &[
    "alarm", "call", "cron", "daemon", "exec", "expires", "format", "header", "hook", "log",
    "match", "print", "rewrite", "route", "set",
];

/// Texts that never hold a blank.
const PLAIN: &[&str] = &[
    "callable",
    "chown-socket",
    "gid",
    "module",
    "plugins",
    "uid",
];

fn unquoted(value: &str) -> Option<&str> {
    let inner = |quote: char| {
        value
            .strip_prefix(quote)?
            .strip_suffix(quote)
            .filter(|inner| !inner.contains(quote))
    };
    inner('"').or_else(|| inner('\''))
}

/// `${NAME}` and the shell's `${NAME:-default}`.
fn braced(value: &str) -> Option<&str> {
    let start = value.find("${")?;
    let end = start + value[start..].find('}')?;
    Some(&value[start..=end])
}
