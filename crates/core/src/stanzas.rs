//! Which apps an ini file holds: reads section and key names, never values, by the rules of
//! `docs/architecture.md`. The emperor calls it for each file; what an app's options are is decided
//! by `imperator resolve`, in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;

use crate::carriers::Carrier;
use crate::ini::lines::{self, Line};
use crate::ini::{BOM, text};

/// One app of an ini file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// `None`: the file's own app, section `uwsgi`.
    pub section: Option<String>,
    /// What follows `file:` in the app's name; `None` for the file's own app.
    pub name: Option<String>,
    /// Where its section starts (the first time).
    pub line: u32,
    /// Its option lines without blanks and comments: while they stay the same, this stanza itself
    /// was not edited (what it includes may have been).
    pub body: Vec<u8>,
}

impl Stanza {
    /// The app's name for a file at `relative` to its monitor: the path without extension, and the
    /// stanza's name behind a colon.
    pub fn app_name(&self, relative: &Path) -> String {
        let file = file_name(relative);
        match &self.name {
            Some(name) => format!("{file}:{name}"),
            None => file,
        }
    }
}

/// The name of a file's own app: its path relative to the monitor, without the extension.
pub fn file_name(relative: &Path) -> String {
    relative.with_extension("").to_string_lossy().into_owned()
}

/// The apps in an ini file, in the order of their first lines.
///
/// `[uwsgi]` is the file's own app. `[uwsgi:NAME]` in any file is one more. In a file without
/// `[uwsgi]`, every section whose keys name something to run or to listen on is an app of its own.
pub fn apps(bytes: &[u8]) -> Vec<Stanza> {
    let sections = sections(bytes);
    let has_own = sections.iter().any(|section| section.name == b"uwsgi");
    let mut stanzas: Vec<Stanza> = sections
        .into_iter()
        .filter_map(|section| {
            let named = section
                .name
                .strip_prefix(b"uwsgi:".as_slice())
                .filter(|name| !name.is_empty());
            let (name, in_file) = match (section.name.as_slice(), named) {
                (b"uwsgi", _) => (None, None),
                (_, Some(name)) => (Some(text(name)), Some(text(&section.name))),
                (name, None) if !has_own && section.runs => (Some(text(name)), Some(text(name))),
                _ => return None,
            };
            Some(Stanza {
                section: in_file,
                name,
                line: section.line,
                body: section.body,
            })
        })
        .collect();
    tell_apart(&mut stanzas);
    stanzas
}

/// The apps in a config file of any kind: json, yaml and xml hold one, as for the original.
pub fn of_file(file: &Path, bytes: &[u8]) -> Vec<Stanza> {
    match Carrier::of_file(file) {
        Some(Carrier::Json | Carrier::Xml | Carrier::Yaml) => vec![Stanza {
            section: None,
            name: None,
            line: 1,
            body: bytes.to_vec(),
        }],
        Some(Carrier::Ini) | None => apps(bytes),
    }
}

/// Whether a key of this name gives an app something to run or to listen on.
pub fn runs_or_listens(key: &str) -> bool {
    RUN_OR_LISTEN.binary_search(&key).is_ok()
}

struct Section {
    name: Vec<u8>,
    line: u32,
    runs: bool,
    body: Vec<u8>,
}

/// Sections of one name are one section, as for the original.
fn sections(bytes: &[u8]) -> Vec<Section> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let mut sections: Vec<Section> = Vec::new();
    let mut known: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut current = None;
    for (number, line) in logical_lines(bytes) {
        match lines::read(&line) {
            Line::Nothing => {}
            Line::Section(name) => {
                let index = *known.entry(name.to_vec()).or_insert_with(|| {
                    sections.push(Section {
                        name: name.to_vec(),
                        line: number,
                        runs: false,
                        body: Vec::new(),
                    });
                    sections.len() - 1
                });
                current = Some(index);
            }
            Line::Option { key, value } => {
                let Some(section) = current.and_then(|index: usize| sections.get_mut(index)) else {
                    continue; // before any section: ignored, as the original does
                };
                section.runs |= std::str::from_utf8(key).is_ok_and(runs_or_listens);
                section.body.extend_from_slice(key);
                section.body.push(b'=');
                section.body.extend_from_slice(value);
                section.body.push(b'\n');
            }
        }
    }
    sections
}

/// Lines as they are after the magic variables: a `%` right before a line's end joins it with the
/// next one. Other magic variables hold no newline, and values are not read here.
fn logical_lines(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut lines: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut joined: Option<(u32, Vec<u8>)> = None;
    for (number, line) in (1_u32..).zip(bytes.split(|&byte| byte == b'\n')) {
        let (first, mut whole) = joined.take().unwrap_or((number, Vec::new()));
        whole.extend_from_slice(line);
        if ends_in_magic(line) {
            whole.pop();
            joined = Some((first, whole));
        } else {
            lines.push((first, whole));
        }
    }
    lines.extend(joined);
    lines
}

/// `100%` does, `100%%` does not: the first `%` has taken the second.
fn ends_in_magic(line: &[u8]) -> bool {
    let percents = line.iter().rev().take_while(|&&byte| byte == b'%').count();
    percents % 2 == 1
}

/// `[uwsgi:blog]` and `[blog]` in one file: the longer section keeps its whole name.
fn tell_apart(stanzas: &mut [Stanza]) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for name in stanzas.iter().filter_map(|stanza| stanza.name.clone()) {
        *count.entry(name).or_default() += 1;
    }
    for stanza in stanzas {
        if let Some(name) = &stanza.name
            && count.get(name).is_some_and(|&count| count > 1)
        {
            stanza.name.clone_from(&stanza.section);
        }
    }
}

/// Sorted; checked by a test.
const RUN_OR_LISTEN: &[&str] = &[
    "eval",
    "fastcgi-socket",
    "file",
    "http",
    "http-socket",
    "http-socket-modifier1",
    "http11-socket",
    "https",
    "https-socket",
    "ini-paste",
    "ini-paste-logged",
    "module",
    "mount",
    "mountpoint",
    "paste",
    "pecan",
    "pump",
    "puwsgi-socket",
    "raw-socket",
    "scgi-socket",
    "socket",
    "suwsgi-socket",
    "uwsgi-socket",
    "web3",
    "worker-mount",
    "wsgi",
    "wsgi-file",
    "wsgi-lite",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `section name line`, one a line.
    #[track_caller]
    fn check(ini: &str, expected: &str) {
        let found: Vec<String> = apps(ini.as_bytes())
            .iter()
            .map(|stanza| {
                format!(
                    "{} {} {}",
                    stanza.section.as_deref().unwrap_or("-"),
                    stanza.app_name(Path::new("shop/site.ini")),
                    stanza.line
                )
            })
            .collect();
        let expected: Vec<&str> = expected.split('\n').map(str::trim).collect();
        let expected: Vec<&str> = expected
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(found, expected, "{ini}");
    }

    #[test]
    fn a_file_with_a_uwsgi_section_is_one_app_whatever_else_it_holds() {
        check(
            "[uwsgi]\nini = :base\n[base]\nsocket = :1\n",
            "- shop/site 1",
        );
    }

    #[test]
    fn named_uwsgi_sections_are_apps_in_any_file() {
        check(
            "[uwsgi]\n[uwsgi:a]\nini = :base\n[uwsgi:b:c]\n[base]\nsocket = :1\n[uwsgi:]\n",
            "- shop/site 1
             uwsgi:a shop/site:a 2
             uwsgi:b:c shop/site:b:c 4",
        );
    }

    #[test]
    fn without_a_uwsgi_section_what_runs_or_listens_is_an_app() {
        check(
            "x = 1\n[base]\nprocesses = 2\n[a]\nmodule = a\n[b]\n  http-socket=:1\n[a]\nuid = x\n",
            "a shop/site:a 4
             b shop/site:b 6",
        );
    }

    #[test]
    fn stanzas_of_one_name_are_told_apart_by_their_sections() {
        check(
            "[uwsgi:a]\n[a]\nmodule = x\n",
            "uwsgi:a shop/site:uwsgi:a 1
             a shop/site:a 2",
        );
    }

    #[test]
    fn a_byte_order_mark_hides_no_section_and_a_percent_at_the_end_of_a_line_does() {
        check("\u{feff}[uwsgi]\n", "- shop/site 1");
        check(
            "[a]\nmodule = 50%%\n[b]\nmodule = x\n",
            "a shop/site:a 1\nb shop/site:b 3",
        );
        check("[a]\nmodule = 50%\n[b]\nmodule = x\n", "a shop/site:a 1");
    }

    #[test]
    fn only_the_edited_stanza_has_another_body() {
        let before = apps(b"[a]\nmodule = a\n[b]\nmodule = b\n");
        let after = apps(b"# moved\n[a]\n module=a\n[b]\nmodule = c\n");
        assert_eq!(before[0].body, after[0].body);
        assert_ne!(before[1].body, after[1].body);
    }

    #[test]
    fn binary_files_hold_no_app_and_names_keep_their_bytes_apart() {
        assert_eq!(apps(&[0, 255, b'\n', 254, b'[', 0]), []);
        let names = apps(b"[uwsgi:caf\xe9]\n[uwsgi:caf\xea]\n");
        assert_ne!(names[0].section, names[1].section);
    }

    #[test]
    fn a_file_that_is_no_ini_is_one_app() {
        let text = b"{\"uwsgi\": {\"socket\": \":1\"}}\n[a]\nmodule = x\n";
        let found = of_file(Path::new("shop/site.json"), text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].app_name(Path::new("shop/site.json")), "shop/site");
        assert_eq!(of_file(Path::new("site.ini"), text).len(), 1);
    }

    #[test]
    fn the_key_list_is_sorted() {
        assert!(RUN_OR_LISTEN.is_sorted());
    }
}
