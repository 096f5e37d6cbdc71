//! The three substitutions over the whole list, once everything is read: `$( )`, `@( )`, `%( )`. What
//! acted when it was read is left alone.

use std::path::Path;

use super::load::Loader;
use super::passes::{self, Budget, Endless, Found};
use crate::finding::Finding;
use crate::ini::text;
use crate::options::{self, Opt};

pub(super) fn all(loader: &mut Loader<'_>) {
    let mut budget = Budget::default();
    dollar_pass(loader, &mut budget);
    at_pass(loader, &mut budget);
    percent_pass(loader, &mut budget);
}

fn dollar_pass(loader: &mut Loader<'_>, budget: &mut Budget) {
    for index in candidates(loader, b'$') {
        if loader.endless {
            return;
        }
        let mut unset = Vec::new();
        let expanded = passes::expand(b'$', &loader.entries[index].value, budget, |name| {
            loader.variable(name).map_or_else(
                || {
                    unset.push(text(name));
                    Found::Nothing
                },
                Found::Value,
            )
        });
        store(loader, index, expanded);
        for name in unset {
            let place = loader.entries[index].place.known();
            loader.findings.push(
                Finding::warning(
                    place,
                    format!("\"$({name})\" is not set in the environment and stays as it is"),
                )
                .with_hint("there is no default; set the variable for the whole server")
                .with_mark(format!("$({name})")),
            );
        }
    }
}

fn at_pass(loader: &mut Loader<'_>, budget: &mut Budget) {
    for index in candidates(loader, b'@') {
        if loader.endless {
            return;
        }
        let entry = loader.entries[index].clone();
        let mut failed = Vec::new();
        let expanded = passes::expand(b'@', &entry.value, budget, |name| {
            let name = text(name);
            match loader.open(&name, Path::new(&name), &entry.place) {
                Ok(mut bytes) => {
                    if matches!(bytes.last(), Some(b'\n' | b'\r')) {
                        bytes.pop();
                    }
                    // A NUL ends a string in C.
                    let end = bytes.iter().position(|&byte| byte == 0);
                    bytes.truncate(end.unwrap_or(bytes.len()));
                    Found::Value(bytes)
                }
                Err(why) => {
                    failed.push((name, why));
                    Found::Nothing
                }
            }
        });
        store(loader, index, expanded);
        for (name, (why, hint)) in failed {
            let text = format!("cannot read \"@({name})\": {why}");
            let mut finding = Finding::error(entry.place.known(), text);
            finding.hint = hint;
            let finding = finding.with_mark(format!("@({name})"));
            loader.findings.push(finding);
        }
    }
}

fn percent_pass(loader: &mut Loader<'_>, budget: &mut Budget) {
    let mut used = std::mem::take(&mut loader.used);
    for index in candidates(loader, b'%') {
        if loader.endless {
            break;
        }
        let mut missing = Vec::new();
        let expanded = passes::expand(b'%', &loader.entries[index].value, budget, |name| {
            let found = passes::placeholder(name, |name| loader.first_value(name), &mut used);
            if matches!(found, Found::Nothing) {
                missing.push(text(name));
            }
            found
        });
        store(loader, index, expanded);
        let entry = &loader.entries[index];
        // Log formats have %(variables) of their own, in variables for Python's logging too, and
        // unknown options mean nothing.
        let is_format = entry.key.contains("log") || entry.key == "env";
        let has_effect = options::find(&entry.key).is_some_and(Opt::has_effect);
        if has_effect && !is_format {
            let place = entry.place.known();
            loader.findings.extend(missing.into_iter().map(|name| {
                Finding::warning(
                    place.clone(),
                    format!("no option is named \"{name}\", so \"%({name})\" stays as it is"),
                )
                .with_mark(format!("%({name})"))
            }));
        }
    }
    loader.used = used;
}

/// Options that were not acted on yet and whose values hold the symbol.
fn candidates(loader: &Loader<'_>, symbol: u8) -> Vec<usize> {
    let entries = loader.entries.iter().enumerate();
    entries
        .filter(|(_, entry)| !entry.done && !entry.bare && entry.value.contains(&symbol))
        .map(|(index, _)| index)
        .collect()
}

fn store(loader: &mut Loader<'_>, index: usize, expanded: Result<Vec<u8>, Endless>) {
    let grown = |value: &Vec<u8>| loader.expanded.saturating_add(value.len()) > MAX_EXPANDED;
    match expanded.map(|value| (!grown(&value)).then_some(value)) {
        Ok(Some(value)) => {
            loader.expanded += value.len();
            loader.entries[index].value = value;
        }
        Ok(None) | Err(Endless) => {
            let place = loader.entries[index].place.clone();
            let key = &loader.entries[index].key;
            let text = format!("the value of \"{key}\" holds itself or grows without end");
            loader.error(&place, text, "break the circle");
            loader.endless = true;
        }
    }
}

/// Bytes of all values together that substitutions may make.
const MAX_EXPANDED: usize = 8 << 20;
