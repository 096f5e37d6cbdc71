//! Which files a config reads, and which section of them: `--ini`, `include`, `inherit` and their
//! kin, schemes, `envdir`.

use std::path::{Path, PathBuf};

use super::load::{Loader, MAX_DEPTH, MAX_LOADS};
use super::world::Kind;
use crate::carriers::{self, Carrier};
use crate::finding::{Finding, Place};
use crate::ini::magic::{FileFacts, Magic};
use crate::ini::{self, Document, text};

/// Bytes of all files together that one config reads.
pub const MAX_READ: usize = 8 << 20;

/// Options in all files together, sections that are not asked for included.
pub const MAX_LINES: usize = 2 * super::MAX_ENTRIES;

/// What is asked for: a file, and a section of it.
struct Asked {
    file: PathBuf,
    section: Option<String>,
    /// As `%o` gives it.
    given: PathBuf,
    /// As it was written, section and all: what `%O` becomes when the file is read.
    whole: PathBuf,
}

impl Loader<'_> {
    /// `ini = file:section`, `json = file`, …
    pub(super) fn load_named(&mut self, carrier: Carrier, value: &str, place: &Place) {
        let asked = self.target(value, place);
        self.load(carrier, &asked, place);
    }

    /// Our own `ini-file`: nothing is cut off, and the extension tells what it is.
    pub(super) fn load_whole(&mut self, file: &Path, section: Option<String>, place: &Place) {
        let carrier = Carrier::of_file(file).unwrap_or(Carrier::Ini);
        let asked = Asked {
            file: file.to_owned(),
            section,
            given: file.to_owned(),
            whole: file.to_owned(),
        };
        self.load(carrier, &asked, place);
    }

    /// `include`, `config` and `inherit` tell by the extension what they read. They leave the
    /// upper-case letters to the file that the app was started with.
    pub(super) fn include(&mut self, value: &[u8], place: &Place) {
        let name = text(value);
        let asked = self.target(&name, place);
        let carrier = Carrier::of_file(&asked.file).unwrap_or(Carrier::Ini);
        let first = self.first.clone();
        self.first.get_or_insert_with(|| nothing(&asked));
        self.load(carrier, &asked, place);
        self.first = first;
    }

    /// `file`, `file:section`, `:section`: cut at the last colon, as the original does; a file that
    /// is there with the colon in its name, and a section that holds one, are found too.
    fn target(&mut self, value: &str, place: &Place) -> Asked {
        let section = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let asked = |file: &str, section: Option<String>| Asked {
            file: PathBuf::from(file),
            section,
            given: PathBuf::from(file),
            whole: PathBuf::from(value),
        };
        if let Some(name) = value.strip_prefix(':') {
            let Some(last) = self.last.clone() else {
                let text = format!("\"{value}\" names a section of no file");
                self.error(place, text, "write FILE:SECTION");
                return asked("", section(name));
            };
            return Asked {
                file: last,
                section: section(name),
                given: PathBuf::new(),
                whole: PathBuf::from(value),
            };
        }
        // The colon of `exec://` cuts nothing; one behind its last slash does.
        if Scheme::of(value).is_some() {
            let from = value.rfind('/').unwrap_or(0);
            return match value[from..].rfind(':') {
                Some(at) => asked(&value[..from + at], section(&value[from + at + 1..])),
                None => asked(value, None),
            };
        }
        let is_there = |file: &str| self.world.kind(Path::new(file)) != Kind::Missing;
        let cuts = || value.match_indices(':').map(|(at, _)| at).rev();
        if cuts().next().is_none() || is_there(value) {
            return asked(value, None);
        }
        let cut = cuts()
            .find(|&at| is_there(&value[..at]))
            .or_else(|| cuts().next());
        match cut {
            Some(at) => asked(&value[..at], section(&value[at + 1..])),
            None => asked(value, None),
        }
    }

    fn load(&mut self, carrier: Carrier, asked: &Asked, place: &Place) {
        let file = &asked.file;
        if file.as_os_str().is_empty() {
            if self.findings.is_empty() {
                self.error(place, "no config file is named", "write --ini FILE");
            }
            return;
        }
        let by_name = asked.section.is_some();
        let section = asked.section.as_deref().unwrap_or("uwsgi");
        let here = (file.clone(), section.as_bytes().to_vec());
        if self.stack.contains(&here) || self.stack.len() >= MAX_DEPTH {
            let text = format!("\"{}\" includes itself, or too deep", file.display());
            self.error(place, text, "remove this line");
            return;
        }
        self.loads += 1;
        if self.loads > MAX_LOADS {
            if self.loads == MAX_LOADS + 1 {
                let text = format!("the config reads more than {MAX_LOADS} files and sections");
                self.error(place, text, "include each one once");
            }
            return;
        }
        let Some(bytes) = self.content(file, place) else {
            return;
        };
        let facts = FileFacts {
            given: asked.given.clone(),
            file: file.clone(),
            path: self.world.absolute(file),
            inode: self.world.inode(file),
            section: asked.section.clone().map(String::into_bytes),
        };
        let is_first = self.first.is_none();
        let first = self.first.get_or_insert_with(|| facts.clone()).clone();
        let mut document = carriers::read(
            carrier,
            &bytes,
            section,
            &Magic {
                facts: self.world.facts(),
                file: &facts,
                first: &first,
            },
        );
        if carrier == Carrier::Ini {
            self.last = Some(file.clone());
        }
        let broken = document.findings.iter().any(Finding::is_error);
        self.findings.append(&mut document.findings);
        if broken {
            return;
        }
        // While a file is read, those that include it wait with all their options.
        self.lines = self.lines.saturating_add(document.options.len());
        if self.lines > MAX_LINES {
            let text = format!("the files of the config have more than {MAX_LINES} options");
            self.error(place, text, "split it, or include less");
            return;
        }
        let section = self.section_of(&document, section, file, by_name, place);
        self.stack.push(here);
        for option in document.options {
            if option.section == section {
                let place = Place {
                    file: file.clone(),
                    line: option.line,
                };
                self.add(&text(&option.key), Some(&option.value), &place);
            }
        }
        self.stack.pop();
        if let Some(first) = self.first.as_mut().filter(|_| is_first) {
            first.given.clone_from(&asked.whole);
        }
    }

    /// The section as the file writes it: `blog` also finds `[uwsgi:blog]`. Says when it is missing.
    fn section_of(
        &mut self,
        document: &Document,
        wanted: &str,
        file: &Path,
        by_name: bool,
        place: &Place,
    ) -> Vec<u8> {
        // Section names are compared as text: a name on the command line is text.
        let find = |wanted: &str| {
            let mut sections = document.sections.iter();
            sections.find(|(name, _)| text(name) == wanted).cloned()
        };
        let by_app_name = || {
            let from_outside = by_name && place.known().is_none();
            from_outside
                .then(|| find(&format!("uwsgi:{wanted}")))
                .flatten()
        };
        if let Some((section, line)) = find(wanted).or_else(by_app_name) {
            self.app.get_or_insert_with(|| Place {
                file: file.to_owned(),
                line,
            });
            return section;
        }
        let text = format!("no section [{wanted}] in {}", file.display());
        let hint = if document.sections.is_empty() {
            "start the file with a line [uwsgi]".to_owned()
        } else {
            let shown = document.sections.iter().take(8);
            let names: Vec<String> = shown
                .map(|(name, _)| format!("[{}]", ini::text(name)))
                .collect();
            format!("it has {}", names.join(", "))
        };
        // What the command line asks for must be there, if something is to run; the original lets an
        // include go.
        if place.known().is_none() {
            self.lost = Some(Finding::error(None, text).with_hint(hint));
        } else {
            let finding = Finding::warning(place.known(), text).with_hint(hint);
            self.findings.push(finding);
        }
        wanted.as_bytes().to_vec()
    }

    fn content(&mut self, file: &Path, place: &Place) -> Option<Vec<u8>> {
        if let Some(bytes) = self.contents.get(file) {
            return Some(bytes.clone());
        }
        match self.open(&file.to_string_lossy(), file, place) {
            Ok(bytes) => {
                self.contents.insert(file.to_owned(), bytes.clone());
                Some(bytes)
            }
            Err((why, hint)) => {
                let text = format!("cannot read {}: {why}", file.display());
                let mut finding = Finding::error(place.known(), text);
                finding.hint = hint;
                self.findings.push(finding);
                None
            }
        }
    }

    /// A file, or what a scheme gives: `@( )` and every option that loads a config take both.
    pub(super) fn open(
        &mut self,
        name: &str,
        file: &Path,
        place: &Place,
    ) -> Result<Vec<u8>, (String, Option<String>)> {
        let plain = |why: String| (why, None);
        let Some((scheme, rest)) = Scheme::of(name) else {
            return self.read(file).map_err(plain);
        };
        let way_out = || Some("write the value into a file, and name that".to_owned());
        match scheme {
            Scheme::Exec | Scheme::Http => {
                // Who may write a config must not thereby run commands as somebody else.
                if place.known().is_some() && !self.world.is_own(&place.file) {
                    let why = format!("{} belongs to another user", place.file.display());
                    let hint = "make the file the emperor's own with chown, or put the value in it";
                    return Err((why, Some(hint.to_owned())));
                }
                let text = format!("\"{name}\" is a part of this config");
                let hint = "it is asked again at every start and reload of the app";
                self.warn(place, text, hint);
                let bytes = if scheme == Scheme::Exec {
                    self.world.run(rest)
                } else {
                    self.world.fetch(rest)
                };
                self.count(bytes.map_err(plain)?).map_err(plain)
            }
            Scheme::Stdin => Err((
                "standard input can be read only once, and a reload reads the config again"
                    .to_owned(),
                way_out(),
            )),
            Scheme::OfBinary => Err(("nothing is built into this program".to_owned(), way_out())),
            Scheme::Emperor => Err((
                "the emperor hands out files, not texts".to_owned(),
                way_out(),
            )),
        }
    }

    /// Reads a file and notes that its change concerns the app.
    pub(super) fn read(&mut self, file: &Path) -> Result<Vec<u8>, String> {
        let absolute = self.world.facts().cwd.join(file);
        let volatile = ["/proc/", "/sys/", "/dev/"];
        let lasting = !volatile.iter().any(|root| absolute.starts_with(root));
        if lasting && !self.files.contains(&absolute) {
            self.files.push(absolute);
        }
        let bytes = self.world.read(file)?;
        self.count(bytes)
    }

    fn count(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MAX_READ {
            return Err(format!("the config reads more than {MAX_READ} bytes"));
        }
        Ok(bytes)
    }

    /// A directory of files that are each one variable; an empty one removes it (daemontools).
    pub(super) fn envdir(&mut self, value: &[u8], place: &Place) {
        let directory = PathBuf::from(text(value));
        let names = match self.world.names(&directory) {
            Ok(names) => names,
            Err(why) => {
                let text = format!("cannot read the envdir {}: {why}", directory.display());
                self.error(place, text, "make the directory, or remove this line");
                return;
            }
        };
        for name in names.into_iter().take(MAX_VARIABLES) {
            let file = directory.join(&name);
            match self.read(&file) {
                Ok(bytes) => {
                    let content = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                    let end = content
                        .iter()
                        .rposition(|byte| !matches!(byte, b'\r' | b'\n' | b'\t' | b' '));
                    let content = content[..end.map_or(0, |end| end + 1)].to_vec();
                    let content = (!bytes.is_empty()).then_some(content);
                    self.env.insert(name.into_bytes(), content);
                }
                Err(why) => {
                    let text = format!("cannot read {}: {why}", file.display());
                    self.error(place, text, "mend it, or move it out of the envdir");
                }
            }
        }
    }
}

/// More variables than this are no environment.
const MAX_VARIABLES: usize = 1000;

/// Where a text comes from when it is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Exec,
    Http,
    Stdin,
    /// Parts of the program itself: data, symbols, functions.
    OfBinary,
    Emperor,
}

impl Scheme {
    pub(super) fn of(name: &str) -> Option<(Self, &str)> {
        if name == "-" {
            return Some((Self::Stdin, ""));
        }
        let (scheme, rest) = name.split_once("://")?;
        let scheme = match scheme {
            "exec" => Self::Exec,
            "http" => Self::Http,
            "fd" => Self::Stdin,
            "data" | "sym" | "section" | "call" | "callint" => Self::OfBinary,
            "emperor" => Self::Emperor,
            _ => return None,
        };
        Some((scheme, rest))
    }
}

/// The upper-case letters before any file was loaded by name.
fn nothing(asked: &Asked) -> FileFacts {
    FileFacts {
        given: PathBuf::new(),
        file: asked.file.clone(),
        path: PathBuf::new(),
        inode: 0,
        section: None,
    }
}
