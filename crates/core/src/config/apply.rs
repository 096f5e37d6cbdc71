//! From the flat list to `Settings`: each option by its row, what is unknown told, and the list itself
//! as the original prints it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::load::{Entry, Loader};
use super::{Reading, STARTS_NOTHING, Shown, World};
use crate::finding::Finding;
use crate::ini::text;
use crate::options::{self, Draft, Given, Opt, Support, Value};
use crate::settings::{Resolved, Settings};

const ORIGINAL_DEFAULTS: &str = "original-defaults";

/// What has to be known after the last option.
#[derive(Default)]
struct Applied {
    draft: Draft,
    unknown: Vec<Entry>,
    /// `envdir`s count after all options, wherever they stand.
    envdirs: Vec<Entry>,
    show_config: bool,
    no_server: bool,
    /// `get`: what is only to be printed.
    get: Vec<Vec<u8>>,
    /// How many of the loader's early options were applied.
    early: usize,
}

pub(super) fn all(mut loader: Loader<'_>) -> Reading {
    let broken = loader.findings.iter().any(Finding::is_error) || loader.exit.is_some();
    let mut applied = Applied::default();
    // Wherever it stands: options that are given count, whichever come first.
    let defaults = loader.first_value(ORIGINAL_DEFAULTS.as_bytes());
    if defaults.is_some_and(|value| options::is_true(&text(&value))) {
        applied.draft.settings = Settings::of_uwsgi();
    }
    applied.early_ones(&mut loader);
    // By index: `inherit` adds to the list while it is walked.
    let mut index = 0;
    while let Some(entry) = loader.entries.get(index).cloned() {
        index += 1;
        // Fifty thousand options are wrong as a whole; nobody reads what is wrong with each.
        if loader.full {
            break;
        }
        if !entry.done {
            applied.one(&entry, &mut loader, 0);
            applied.early_ones(&mut loader);
        }
    }
    applied.on_demand(&mut loader);
    let Applied {
        mut draft,
        unknown,
        envdirs,
        show_config,
        no_server,
        get,
        early: _,
    } = applied;
    for name in &get {
        if let Some(value) = loader.first_value(name) {
            loader.print(&text(&value));
        }
    }
    let starts_nothing = match (get.is_empty(), no_server) {
        (false, _) => Some("get"),
        (true, true) => Some("no-server"),
        (true, false) => None,
    };
    let broken = tell_unknown(&unknown, &mut loader) || broken;
    // What `early-envdir` has changed, every option may change again; what `envdir` does, none.
    draft.environment(std::mem::take(&mut loader.env), false);
    for entry in envdirs {
        loader.envdir(&entry.value, &entry.place);
    }
    draft.environment(std::mem::take(&mut loader.env), true);
    let mut exit = None;
    if let Some((code, place)) = loader.exit.take() {
        exit = Some(code);
        let text = format!("the config says \"exit\" here, with code {code}");
        let finding = Finding::error(place.known(), text);
        loader
            .findings
            .push(finding.with_hint("what asks for it stands above this line"));
    } else if let Some(option) = starts_nothing {
        // As far as the original reads values, they are wrong only once something starts.
        exit = Some(i32::from(broken));
        let failed = loader.findings.iter().any(Finding::is_error);
        if !failed {
            let text = format!("option \"{option}\" {STARTS_NOTHING}");
            let finding = Finding::error(None, text).with_hint("remove it to run the app");
            loader.findings.push(finding);
        }
    } else {
        loader.findings.extend(loader.lost.take());
    }
    draft.settings.given = given(&loader.entries);
    let settings = draft.finish(loader.app.as_ref(), &mut loader.findings);
    let findings = without_repeats(loader.findings);
    let failed = findings.iter().any(Finding::is_error);
    let shown = |entry: Entry| Shown {
        value: if entry.bare {
            b"true".to_vec()
        } else {
            entry.value
        },
        key: entry.key,
    };
    Reading {
        options: (!broken).then(|| loader.entries.into_iter().map(shown).collect()),
        printed: loader.printed,
        resolved: Resolved {
            settings: (!failed).then_some(settings),
            findings,
            files: loader.files,
            exit,
            show_config,
        },
    }
}

impl Applied {
    fn early_ones(&mut self, loader: &mut Loader<'_>) {
        while let Some(entry) = loader.early.get(self.early).cloned() {
            self.early += 1;
            self.one(&entry, loader, 0);
        }
    }

    /// Applies one option to the draft; what nobody knows is kept for [`tell_unknown`].
    fn one(&mut self, entry: &Entry, loader: &mut Loader<'_>, depth: usize) {
        let place = entry.place.known();
        let key = &entry.key;
        let value = text(&entry.value);
        let row = match options::find(key) {
            Some(row) => row,
            None if loader.custom.contains_key(key) => {
                for one in loader.unfold(entry, depth) {
                    self.one(&one, loader, depth + 1);
                }
                return;
            }
            None => {
                self.unknown.push(entry.clone());
                return;
            }
        };
        match row.name {
            "inherit" => return loader.include(&entry.value, &entry.place),
            "declare-option2" => return loader.declare(&entry.value, &entry.place),
            "print" => return loader.print(&value),
            "get" => return self.get.push(entry.value.clone()),
            "envdir" => return self.envdirs.push(entry.clone()),
            "show-config" => self.show_config = options::is_true(&value),
            "no-server" => self.no_server = options::is_true(&value),
            _ => {}
        }
        if let Some(finding) = without_effect(row, entry, &value, loader) {
            loader.findings.extend(finding);
            return;
        }
        loader.findings.extend(super::odd::tell(row, entry, &value));
        if std::str::from_utf8(&entry.value).is_err() {
            let text = format!("the value of \"{key}\" is not UTF-8 and is read as latin-1");
            let finding = Finding::warning(place.clone(), text);
            loader
                .findings
                .push(finding.with_hint("save the file as UTF-8"));
        }
        let numbered = (row.value == Value::Address)
            .then(|| located(&value, loader.world))
            .flatten();
        let value = numbered.unwrap_or(value);
        let draft = &mut self.draft;
        let given = Given {
            name: key,
            text: &value,
            place: &entry.place,
        };
        let applied = (row.apply)(draft, &given);
        for (text, hint) in draft.take_odd() {
            let finding = Finding::warning(place.clone(), format!("option \"{key}\" {text}"));
            let finding = finding.with_hint(hint);
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
}

impl Applied {
    /// The socket at which the app starts, beside those that its config names.
    fn on_demand(&mut self, loader: &mut Loader<'_>) {
        let Some((address, place)) = loader.on_demand.take() else {
            return;
        };
        let address = located(&address, loader.world).unwrap_or(address);
        let given = Given {
            name: options::ON_DEMAND_SOCKET,
            text: &address,
            place: &place,
        };
        let applied = self.draft.listen_on_demand(&given);
        for (text, hint) in self.draft.take_odd() {
            let text = format!("the socket on demand {text}");
            let finding = Finding::warning(place.known(), text);
            loader.findings.push(finding.with_hint(hint));
        }
        if let Err(invalid) = applied {
            let text = format!("the socket on demand: {}", invalid.text);
            let mut finding = Finding::error(place.known(), text);
            finding.hint = invalid.hint;
            loader.findings.push(finding.with_mark(&*address));
        }
    }
}

/// What is to be said of an option that does nothing here, if it is one: nothing when it is switched
/// off anyway.
fn without_effect(
    row: &Opt,
    entry: &Entry,
    value: &str,
    loader: &Loader<'_>,
) -> Option<Option<Finding>> {
    let key = &entry.key;
    let place = entry.place.known();
    // What a %( ) uses is a placeholder.
    let is_missed = options::is_true(value) && !loader.used.contains(key.as_bytes());
    match row.support {
        Support::Full | Support::Differs(_) | Support::Ignored(_) => None,
        Support::Later(_) if key.starts_with("route") && value.contains("auth:") => {
            let text = format!("option \"{key}\" asks for a password, which is not supported yet");
            let hint = "let nginx or Apache ask for it, and remove this line";
            Some(Some(Finding::error(place, text).with_hint(hint)))
        }
        Support::Later(meanwhile) => {
            let text = format!("option \"{key}\" is not supported yet and has no effect");
            let hint = format!("meanwhile {meanwhile}");
            Some(is_missed.then(|| Finding::warning(place, text).with_hint(hint)))
        }
        Support::Refused {
            why,
            instead,
            stops: true,
        } => {
            let text = format!("option \"{key}\" is refused: {why}");
            Some(Some(Finding::error(place, text).with_hint(instead)))
        }
        Support::Refused {
            why,
            instead,
            stops: false,
        } => {
            let text = format!("option \"{key}\" has no effect here: {why}");
            Some(is_missed.then(|| Finding::warning(place, text).with_hint(instead)))
        }
    }
}

/// An address whose host is a name, or the beginning of an interface's address (`192.168.*`), with
/// its number instead (uWSGI: core/socket.c, bind_to_tcp). `None`: it needs none, or has none, and then
/// the address itself is told as wrong.
fn located(text: &str, world: &dyn World) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if let Some(prefix) = host.strip_suffix('*').filter(|prefix| !prefix.is_empty()) {
        return Some(format!("{}:{port}", world.interface(prefix)?));
    }
    let is_other = matches!(host, "" | "localhost") || host.parse::<IpAddr>().is_ok();
    if is_other || !host.bytes().all(is_name) {
        return None;
    }
    Some(format!("{}:{port}", world.look_up(host).ok()?))
}

/// An unknown key is a placeholder when something uses it; otherwise it is probably a typo. Whether
/// one is an error, under `strict`.
fn tell_unknown(unknown: &[Entry], loader: &mut Loader<'_>) -> bool {
    let mut failed = false;
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
        if place.known().is_none() && nearest.is_none() {
            continue;
        }
        let text = format!("unknown option \"{key}\", and no %({key}) uses it");
        failed |= loader.strict;
        let mut finding = if loader.strict {
            Finding::error(place.known(), text)
        } else {
            Finding::warning(place.known(), text)
        };
        finding.hint = match nearest {
            Some(nearest) => Some(format!("did you mean \"{nearest}\"?")),
            None => without_sign(key),
        };
        loader.findings.push(finding);
    }
    failed
}

/// `socket /run/a.sock` and `socket: /run/a.sock` are keys without a value.
fn without_sign(key: &str) -> Option<String> {
    let (name, rest) = key.split_once([' ', '\t', ':'])?;
    let known = options::find(name).is_some();
    known.then(|| {
        format!(
            "write {name} = {}",
            rest.trim_start_matches([' ', '\t', ':'])
        )
    })
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

/// What `uwsgi.opt` shows to the app: every option in order, as far as a message holds it.
fn given(entries: &[Entry]) -> Vec<(String, String)> {
    let mut room = MAX_GIVEN;
    let mut given = Vec::new();
    for entry in entries {
        let value = text(&entry.value);
        let Some(left) = room.checked_sub(entry.key.len() + value.len()) else {
            continue;
        };
        room = left;
        given.push((entry.key.clone(), value));
    }
    given
}

/// Bytes of keys and values in [`given`]: a message that holds them has a limit, too.
const MAX_GIVEN: usize = 32 * 1024;
