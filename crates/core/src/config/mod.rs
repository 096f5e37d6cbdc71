//! From a command line to one app's `Settings`: `imperator resolve` calls it with the world it may
//! read. Pure: files, environment and facts come through that world.

pub mod args;
mod load;
mod logic;
mod passes;
pub mod world;

use std::collections::BTreeSet;
use std::path::Path;

use crate::finding::Finding;
use crate::ini::text;
use crate::message::Config;
use crate::options::{self, Draft, Given, Opt, Support, known};
use crate::settings::Resolved;
use load::{Entry, Loader};
pub use load::{MAX_DEPTH, MAX_ENTRIES, MAX_LOADS};
use passes::{Endless, Found};
pub use world::{Kind, World};

/// The option that names a config file whole: unlike `--ini FILE:SECTION`, nothing in it is cut at a
/// colon.
pub const INI_FILE: &str = "ini-file";
/// The option, before [`INI_FILE`], that names the section, colons and all (`uwsgi:blog`).
pub const INI_SECTION: &str = "ini-section";

/// The arguments of `imperator resolve` for one config. The original cuts `--ini a.ini:b` at the last
/// colon, so `[uwsgi:blog]` could not be asked for, nor a file with a colon in its name; hence two
/// options of our own, each with its value behind `=`.
pub fn resolve_args(config: &Config) -> Vec<String> {
    let mut args = Vec::new();
    if let Some(section) = &config.section {
        args.push(format!("--{INI_SECTION}={section}"));
    }
    args.push(format!("--{INI_FILE}={}", config.file.display()));
    args
}

/// Reads the config that a command line asks for, with everything that it includes.
pub fn resolve(args: &[String], world: &dyn World) -> Resolved {
    let mut loader = expanded(args, world);
    let mut draft = Draft::default();
    let mut unknown = Vec::new();
    // By index: `inherit` adds to the list while it is walked.
    let mut index = 0;
    while let Some(entry) = loader.entries.get(index).cloned() {
        index += 1;
        apply(&entry, &mut draft, &mut loader, &mut unknown);
    }
    tell_unknown(&unknown, &mut loader);
    let settings = draft.finish(loader.app.as_ref(), &mut loader.findings);
    let findings = without_repeats(loader.findings);
    let failed = findings.iter().any(Finding::is_error);
    Resolved {
        settings: (!failed).then_some(settings),
        findings,
        files: loader.files,
    }
}

/// The flat list of options after all substitutions, as the original prints it with
/// `--show-config`; what is wrong stands among the findings.
pub fn list(args: &[String], world: &dyn World) -> (Vec<(String, Vec<u8>)>, Vec<Finding>) {
    let loader = expanded(args, world);
    let pairs = loader.entries.into_iter();
    (
        pairs.map(|entry| (entry.key, entry.value)).collect(),
        loader.findings,
    )
}

/// Environment, then command line with its files, then `$( )`, `@( )`, `%( )`.
fn expanded<'w>(args: &[String], world: &'w dyn World) -> Loader<'w> {
    let mut loader = Loader::new(world);
    for (name, value) in world.uwsgi_env() {
        if NOT_OPTIONS.contains(&name.as_str()) {
            continue;
        }
        if let Some(option) = name.strip_prefix("UWSGI_") {
            let key = option.to_ascii_lowercase().replace('_', "-");
            loader.add(&key, &value, &load::nowhere("environment"));
        }
    }
    let mut findings = Vec::new();
    let arguments = args::parse(args, &mut findings);
    loader.findings.append(&mut findings);
    for argument in arguments {
        let place = load::nowhere("command line");
        loader.add(&argument.name, argument.value.as_bytes(), &place);
    }
    loader.end_of_input();
    dollar_pass(&mut loader);
    at_pass(&mut loader);
    percent_pass(&mut loader);
    loader
}

fn dollar_pass(loader: &mut Loader<'_>) {
    for index in candidates(loader, b'$') {
        let world = loader.world;
        let mut unset = Vec::new();
        let expanded = passes::expand(b'$', &loader.entries[index].value, |name| {
            world.env(name).map_or_else(
                || {
                    unset.push(text(name));
                    Found::Nothing
                },
                Found::Value,
            )
        });
        store(loader, index, expanded);
        for name in unset {
            let place = known(&loader.entries[index].place);
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

fn at_pass(loader: &mut Loader<'_>) {
    for index in candidates(loader, b'@') {
        let value = loader.entries[index].value.clone();
        let mut failed = Vec::new();
        let expanded = passes::expand(b'@', &value, |name| {
            let name = text(name);
            let read = match name.split_once("://") {
                Some(("exec", command)) => loader.world.run(command),
                Some((scheme, _)) => Err(format!("{scheme}:// is not supported yet")),
                None => loader.read(Path::new(&name)),
            };
            match read {
                Ok(mut bytes) => {
                    if bytes.last() == Some(&b'\n') {
                        bytes.pop();
                    }
                    Found::Value(bytes)
                }
                Err(why) => {
                    failed.push((name, why));
                    Found::Nothing
                }
            }
        });
        store(loader, index, expanded);
        for (name, why) in failed {
            let place = known(&loader.entries[index].place);
            let text = format!("cannot read \"@({name})\": {why}");
            let finding = Finding::error(place, text).with_mark(format!("@({name})"));
            loader.findings.push(finding);
        }
    }
}

fn percent_pass(loader: &mut Loader<'_>) {
    let mut used = std::mem::take(&mut loader.used);
    for index in candidates(loader, b'%') {
        let mut missing = Vec::new();
        let expanded = passes::expand(b'%', &loader.entries[index].value, |name| {
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
            let place = known(&entry.place);
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
        .filter(|(_, entry)| !entry.immediate && entry.value.contains(&symbol))
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
        }
    }
}

/// Bytes of all values together that substitutions may make.
const MAX_EXPANDED: usize = 16 << 20;

/// Names of variables that look like options and are not (core/utils.c, parse_sys_envs).
const NOT_OPTIONS: &[&str] = &[
    "UWSGI_BROODLORD_NUM",
    "UWSGI_EMPEROR_FD",
    "UWSGI_EMPEROR_FD_CONFIG",
    "UWSGI_EMPEROR_PROXY",
    "UWSGI_JAIL_PID",
    "UWSGI_ORIGINAL_PROC_NAME",
    "UWSGI_RELOADS",
    "UWSGI_VASSALS_DIR",
];

/// Applies one option to the draft; what nobody knows is kept for [`tell_unknown`].
fn apply(entry: &Entry, draft: &mut Draft, loader: &mut Loader<'_>, unknown: &mut Vec<Entry>) {
    let place = known(&entry.place);
    let key = &entry.key;
    let value = text(&entry.value);
    let Some(row) = options::find(key) else {
        unknown.push(entry.clone());
        return;
    };
    if row.name == "inherit" {
        loader.include(&entry.value, &entry.place);
        return;
    }
    // What is switched off anyway is not missed, and what a %( ) uses is a placeholder.
    let is_missed = options::is_true(&value) && !loader.used.contains(key.as_bytes());
    match row.support {
        Support::Full | Support::Differs(_) | Support::Ignored(_) => (),
        Support::Later(_) if key.starts_with("route") && value.contains("auth:") => {
            let text = format!("option \"{key}\" asks for a password, which is not supported yet");
            let finding = Finding::error(place, text);
            let hint = "let nginx or Apache ask for it, and remove this line";
            loader.findings.push(finding.with_hint(hint));
            return;
        }
        Support::Later(meanwhile) => {
            if is_missed {
                let text = format!("option \"{key}\" is not supported yet and has no effect");
                let hint = format!("meanwhile {meanwhile}");
                let finding = Finding::warning(place, text).with_hint(hint);
                loader.findings.push(finding);
            }
            return;
        }
        Support::Refused {
            why,
            instead,
            stops: true,
        } => {
            let text = format!("option \"{key}\" is refused: {why}");
            let finding = Finding::error(place, text).with_hint(instead);
            loader.findings.push(finding);
            return;
        }
        Support::Refused {
            why,
            instead,
            stops: false,
        } => {
            if is_missed {
                let text = format!("option \"{key}\" has no effect here: {why}");
                let finding = Finding::warning(place, text).with_hint(instead);
                loader.findings.push(finding);
            }
            return;
        }
    }
    if std::str::from_utf8(&entry.value).is_err() {
        let text = format!("the value of \"{key}\" is not UTF-8 and is read as latin-1");
        let finding = Finding::warning(place.clone(), text);
        loader
            .findings
            .push(finding.with_hint("save the file as UTF-8"));
    }
    let given = Given {
        name: key,
        text: &value,
        place: &entry.place,
    };
    let applied = (row.apply)(draft, &given);
    for (text, hint) in draft.take_odd() {
        let mut finding = Finding::warning(place.clone(), format!("option \"{key}\" {text}"));
        finding.hint = hint;
        loader.findings.push(finding.with_mark(&*value));
    }
    match applied {
        Ok(()) => {
            if let Some(place) = place {
                draft.settings.places.insert(row.name.to_owned(), place);
            }
        }
        Err(invalid) => {
            let text = format!("option \"{key}\": {}", invalid.text);
            let mut finding = Finding::error(place, text);
            finding.hint = invalid.hint;
            loader.findings.push(finding.with_mark(&*value));
        }
    }
}

/// An unknown key is a placeholder when something uses it; otherwise it is probably a typo.
fn tell_unknown(unknown: &[Entry], loader: &mut Loader<'_>) {
    let mut told = BTreeSet::new();
    for Entry { key, place, .. } in unknown {
        // Where a key stands again, its first place is enough; and nobody reads hundreds.
        if !told.insert(key) || told.len() > MAX_FINDINGS {
            continue;
        }
        if loader.placeholders.contains(key) || loader.used.contains(key.as_bytes()) {
            continue;
        }
        let nearest = options::nearest(key);
        // The environment is shared with others; only what looks like a typo is worth a word.
        if known(place).is_none() && nearest.is_none() {
            continue;
        }
        let text = format!("unknown option \"{key}\", and no %({key}) uses it");
        let mut finding = if loader.strict {
            Finding::error(known(place), text)
        } else {
            Finding::warning(known(place), text)
        };
        finding.hint = nearest.map(|nearest| format!("did you mean \"{nearest}\"?"));
        loader.findings.push(finding);
    }
}

/// A section that is read twice says everything twice.
fn without_repeats(findings: Vec<Finding>) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<Finding> = findings
        .into_iter()
        .filter(|finding| seen.insert(finding.to_string()))
        .collect();
    if kept.len() > MAX_FINDINGS {
        kept.sort_by_key(|finding| !finding.is_error());
        kept.truncate(MAX_FINDINGS);
    }
    kept
}

/// Nobody reads more, and the document must fit into a pipe's patience.
const MAX_FINDINGS: usize = 200;
