//! Reads options into one flat list, as uWSGI does: config files are expanded where they stand,
//! logic decides option by option, and what acts at once acts here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::logic::{Block, Logic};
use super::world::{Kind, World};
use crate::finding::{Finding, Place};
use crate::ini::magic::{FileFacts, Magic};
use crate::ini::{self, Document, text};
use crate::options::{self, known};

/// Files within files within files; deeper is a mistake.
pub const MAX_DEPTH: usize = 16;
/// Inclusions in one config; without a limit, files that include each other multiply.
pub const MAX_LOADS: usize = 500;
/// More options in one config, loops and includes unrolled, are a mistake.
pub const MAX_ENTRIES: usize = 50_000;

/// One option in the flat list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    /// Line 0: the command line or the environment.
    pub place: Place,
    /// Acted on when it was read; its value is never expanded.
    pub immediate: bool,
}

pub(super) struct Loader<'w> {
    pub world: &'w dyn World,
    pub entries: Vec<Entry>,
    pub findings: Vec<Finding>,
    /// Absolute, in the order they were read.
    pub files: Vec<PathBuf>,
    /// Keys that may stand unused: placeholders set on purpose.
    pub placeholders: BTreeSet<String>,
    /// Names that a condition or a placeholder has asked for.
    pub used: BTreeSet<Vec<u8>>,
    pub strict: bool,
    /// Where the first section that was read begins: the app's own.
    pub app: Option<Place>,
    /// Bytes that substitutions have made so far.
    pub expanded: usize,
    /// Where each key stands first.
    index: BTreeMap<String, usize>,
    first: Option<FileFacts>,
    last: Option<PathBuf>,
    /// What was read stays as it was: a FIFO gives its text only once.
    contents: BTreeMap<PathBuf, Vec<u8>>,
    stack: Vec<(PathBuf, Vec<u8>)>,
    section: Option<String>,
    block: Option<Block>,
    full: bool,
    loads: usize,
}

/// A place that is no file's.
pub(super) fn nowhere(what: &str) -> Place {
    Place {
        file: PathBuf::from(what),
        line: 0,
    }
}

impl<'w> Loader<'w> {
    pub(super) fn new(world: &'w dyn World) -> Self {
        Self {
            world,
            entries: Vec::new(),
            findings: Vec::new(),
            files: Vec::new(),
            placeholders: BTreeSet::new(),
            used: BTreeSet::new(),
            strict: false,
            app: None,
            expanded: 0,
            index: BTreeMap::new(),
            first: None,
            last: None,
            contents: BTreeMap::new(),
            stack: Vec::new(),
            section: None,
            block: None,
            full: false,
            loads: 0,
        }
    }

    /// Adds one option: through the block it stands in, if any.
    pub(super) fn add(&mut self, key: &str, value: &[u8], place: &Place) {
        let Some(block) = self.block.take() else {
            self.add_plain(key, value, place);
            return;
        };
        if super::logic::is_end(key) {
            self.push(key, value, place, true);
            return;
        }
        if super::logic::is_start(key) {
            self.error(
                place,
                format!("\"{key}\" inside a block that began in line {}", block.line),
                "blocks cannot be nested; write endif or endfor first",
            );
        } else {
            for one in &block.values {
                match one {
                    Some(one) => self.add_plain(key, &replace(value, b"%(_)", one), place),
                    None => self.add_plain(key, value, place),
                }
            }
        }
        self.block = Some(block);
    }

    /// A block must not go on in another file.
    pub(super) fn end_of_input(&mut self) {
        if let Some(block) = self.block.take() {
            let place = Place {
                file: block.file,
                line: block.line,
            };
            let text = format!("\"{}\" has no end", block.key);
            self.findings
                .push(Finding::warning(known(&place), text).with_hint("write endif or endfor"));
        }
    }

    pub(super) fn error(&mut self, place: &Place, text: impl Into<String>, hint: &str) {
        self.findings
            .push(Finding::error(known(place), text).with_hint(hint));
    }

    fn push(&mut self, key: &str, value: &[u8], place: &Place, immediate: bool) {
        if self.entries.len() >= MAX_ENTRIES {
            if !self.full {
                self.full = true;
                let text = format!("the config has more than {MAX_ENTRIES} options");
                self.findings.push(Finding::error(known(place), text));
            }
            return;
        }
        let position = self.entries.len();
        self.index.entry(key.to_owned()).or_insert(position);
        self.entries.push(Entry {
            key: key.to_owned(),
            value: value.to_vec(),
            place: place.clone(),
            immediate,
        });
    }

    fn add_plain(&mut self, key: &str, value: &[u8], place: &Place) {
        let row = options::find(key);
        self.push(key, value, place, row.is_some_and(|row| row.immediate));
        if self.full {
            return;
        }
        match row.map_or("", |row| row.name) {
            "ini" => {
                let (file, section) = self.target(&text(value), place);
                self.load(&file, section, place);
            }
            super::INI_SECTION => self.section = Some(text(value)),
            super::INI_FILE => {
                let section = self.section.take();
                self.load(Path::new(&text(value)), section, place);
            }
            "include" => self.include(value, place),
            "set" => match split(value) {
                Some((key, value)) => self.add_plain(&text(key), value, place),
                None => self.error(place, "\"set\" needs K=V", "write set = name=value"),
            },
            "set-placeholder" => match split(value) {
                Some((key, value)) => {
                    let key = text(key);
                    self.placeholders.insert(key.clone());
                    self.push(&key, value, place, false);
                }
                None => {
                    self.error(place, "\"set-placeholder\" needs K=V", "write name=value");
                }
            },
            "strict" => self.strict = options::is_true(&text(value)),
            name if super::logic::is_start(name) => self.start_block(name, value, place),
            _ => {}
        }
    }

    fn start_block(&mut self, key: &str, value: &[u8], place: &Place) {
        let logic = Logic {
            world: self.world,
            first_value: &|name: &[u8]| self.first_value(name),
        };
        let (values, asked) = logic.values(key, value);
        if let Some(name) = asked {
            self.used.insert(name);
        }
        self.block = Some(Block {
            key: key.to_owned(),
            values,
            line: place.line,
            file: place.file.clone(),
        });
    }

    /// The first value of an option, as `%(name)` sees it.
    pub(super) fn first_value(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = text(name);
        let entry = self.entries.get(*self.index.get(&name)?)?;
        Some(entry.value.clone())
    }

    /// `include`, `config` and `inherit` take any kind of config; we know one.
    pub(super) fn include(&mut self, value: &[u8], place: &Place) {
        let name = text(value);
        let foreign = [".xml", ".yml", ".yaml", ".json", ".js"];
        if foreign.iter().any(|end| name.ends_with(end)) {
            self.error(
                place,
                format!("cannot read \"{name}\" yet"),
                "write it as an ini file",
            );
            return;
        }
        let (file, section) = self.target(&name, place);
        self.load(&file, section, place);
    }

    /// `file`, `file:section`, `:section`: cut at the last colon, as the original does; a file that
    /// is there with the colon in its name, and a section that holds one, are found too.
    fn target(&mut self, value: &str, place: &Place) -> (PathBuf, Option<String>) {
        let section = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if let Some(asked) = value.strip_prefix(':') {
            let Some(last) = self.last.clone() else {
                self.error(
                    place,
                    format!("\"{value}\" names a section of no file"),
                    "write FILE:SECTION",
                );
                return (PathBuf::new(), section(asked));
            };
            return (last, section(asked));
        }
        let is_there = |file: &str| self.world.kind(Path::new(file)) != Kind::Missing;
        if value.contains("://") || is_there(value) {
            return (PathBuf::from(value), None);
        }
        let cuts = || value.match_indices(':').map(|(at, _)| at).rev();
        let cut = cuts()
            .find(|&at| is_there(&value[..at]))
            .or_else(|| cuts().next());
        match cut {
            Some(at) => (PathBuf::from(&value[..at]), section(&value[at + 1..])),
            None => (PathBuf::from(value), None),
        }
    }

    fn load(&mut self, file: &Path, section: Option<String>, place: &Place) {
        if file.as_os_str().is_empty() {
            if known(place).is_none() && self.findings.is_empty() {
                self.error(place, "no config file is named", "write --ini FILE");
            }
            return;
        }
        let asked = section.as_deref().unwrap_or("uwsgi").as_bytes().to_vec();
        let here = (file.to_owned(), asked.clone());
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
            given: file.to_owned(),
            inode: self.world.inode(file),
            section: section.clone().map(String::into_bytes),
        };
        let first = self.first.get_or_insert_with(|| facts.clone()).clone();
        let mut document = ini::read(
            &bytes,
            &Magic {
                facts: self.world.facts(),
                file: &facts,
                first: &first,
            },
        );
        self.last = Some(file.to_owned());
        let broken = document.findings.iter().any(Finding::is_error);
        self.findings.append(&mut document.findings);
        if broken {
            return;
        }
        let section = self.section_of(&document, &asked, file, section.is_some(), place);
        self.stack.push(here);
        for option in document.options {
            if option.section == section {
                let place = Place {
                    file: file.to_owned(),
                    line: option.line,
                };
                self.add(&text(&option.key), &option.value, &place);
            }
        }
        self.stack.pop();
    }

    /// The section as the file writes it: `blog` also finds `[uwsgi:blog]`. Says when it is missing.
    fn section_of(
        &mut self,
        document: &Document,
        asked: &[u8],
        file: &Path,
        by_name: bool,
        place: &Place,
    ) -> Vec<u8> {
        // Section names are compared as text: a name on the command line is text.
        let wanted = text(asked);
        let find = |wanted: &str| {
            let mut sections = document.sections.iter();
            sections.find(|(name, _)| text(name) == wanted).cloned()
        };
        let by_app_name = || {
            let from_outside = by_name && known(place).is_none();
            from_outside
                .then(|| find(&format!("uwsgi:{wanted}")))
                .flatten()
        };
        if let Some((section, line)) = find(&wanted).or_else(by_app_name) {
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
        // What the command line asks for must be there; the original lets an include go.
        let finding = if known(place).is_none() {
            Finding::error(None, text)
        } else {
            Finding::warning(known(place), text)
        };
        self.findings.push(finding.with_hint(hint));
        asked.to_vec()
    }

    fn content(&mut self, file: &Path, place: &Place) -> Option<Vec<u8>> {
        if let Some(bytes) = self.contents.get(file) {
            return Some(bytes.clone());
        }
        let read = match file.to_string_lossy().split_once("://") {
            Some(("exec", command)) => self.world.run(command),
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported yet")),
            None => self.read(file),
        };
        match read {
            Ok(bytes) => {
                self.contents.insert(file.to_owned(), bytes.clone());
                Some(bytes)
            }
            Err(why) => {
                let finding = Finding::error(
                    known(place),
                    format!("cannot read {}: {why}", file.display()),
                );
                self.findings.push(finding);
                None
            }
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
        self.world.read(file)
    }
}

/// `K=V`
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().position(|&byte| byte == b'=')?;
    Some((&value[..at], &value[at + 1..]))
}

fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(what) {
            out.extend_from_slice(by);
            rest = behind;
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}
