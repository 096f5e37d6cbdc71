//! Reads options into one flat list, as uWSGI does: config files are expanded where they stand,
//! logic decides option by option, and what acts at once acts here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::args::Argument;
use super::block::{self, Block, Sight, Start};
use super::custom::Custom;
use super::world::World;
use crate::finding::{Finding, Place};
use crate::ini::magic::FileFacts;
use crate::ini::text;
use crate::options;
use crate::pattern::Pattern;

/// Files within files within files; deeper is a mistake.
pub const MAX_DEPTH: usize = 16;
/// Inclusions in one config; without a limit, files that include each other multiply.
pub const MAX_LOADS: usize = 500;
/// More options in one config, loops and includes unrolled, are a mistake.
pub const MAX_ENTRIES: usize = 50_000;
/// Bytes of all keys and values, loops and includes unrolled.
pub const MAX_TOTAL: usize = 4 << 20;

/// One option in the flat list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    /// Line 0: the command line or the environment.
    pub place: Place,
    /// Acted on when it was read, or a mere placeholder: its value is never expanded, nor applied
    /// with the others.
    pub done: bool,
    /// Given without a value on the command line; the value is then what that means.
    pub bare: bool,
}

pub(super) struct Loader<'w> {
    pub world: &'w dyn World,
    pub entries: Vec<Entry>,
    /// What takes effect when it is read, before all others, in order.
    pub early: Vec<Entry>,
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
    /// One value had no end: the others are left alone.
    pub endless: bool,
    /// What is wrong when nothing of the config that was asked for is there.
    pub lost: Option<Finding>,
    /// The options that the config declares.
    pub custom: BTreeMap<String, Custom>,
    /// `exit`: the config ends here, with this code.
    pub exit: Option<(i32, Place)>,
    /// What `print` and `iprint` say.
    pub printed: Vec<String>,
    /// `fallback-config`.
    pub fallback: Option<String>,
    /// The address of the socket at which the app starts, and where it is asked for.
    pub on_demand: Option<(String, Place)>,
    /// What `envdir`s change before any other option does.
    pub env: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pub(super) first: Option<FileFacts>,
    pub(super) last: Option<PathBuf>,
    /// What was read stays as it was: a FIFO gives its text only once.
    pub(super) contents: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) stack: Vec<(PathBuf, Vec<u8>)>,
    pub(super) section: Option<String>,
    pub(super) full: bool,
    pub(super) loads: usize,
    /// Options of the files that were read.
    pub(super) lines: usize,
    /// Bytes of the files that were read.
    pub(super) bytes: usize,
    /// Where each key stands first.
    index: BTreeMap<String, usize>,
    block: Option<Block>,
    /// An option of a block is being applied: what it reads is not of the block.
    inside: bool,
    plugins: Vec<String>,
    forbidden: Option<Vec<u8>>,
    allowed: Option<Vec<u8>>,
    /// Bytes of `entries`.
    size: usize,
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
            early: Vec::new(),
            findings: Vec::new(),
            files: Vec::new(),
            placeholders: BTreeSet::new(),
            used: BTreeSet::new(),
            strict: false,
            app: None,
            expanded: 0,
            endless: false,
            lost: None,
            custom: BTreeMap::new(),
            exit: None,
            printed: Vec::new(),
            fallback: None,
            on_demand: None,
            env: BTreeMap::new(),
            first: None,
            last: None,
            contents: BTreeMap::new(),
            stack: Vec::new(),
            section: None,
            full: false,
            loads: 0,
            lines: 0,
            bytes: 0,
            index: BTreeMap::new(),
            block: None,
            inside: false,
            plugins: Vec::new(),
            forbidden: None,
            allowed: None,
            size: 0,
        }
    }

    /// What stood alone on the command line: read, but never listed.
    pub(super) fn add_positional(&mut self, argument: &Argument, place: &Place) {
        let value = argument.value.as_deref().unwrap_or_default();
        match argument.name.as_str() {
            "ini" | "ini-paste" | "ini-paste-logged" | "json" | "xmlconfig" | "yaml" => {
                let carrier = crate::carriers::Carrier::of_option(&argument.name);
                self.load_named(carrier, value, place);
            }
            name => self.add(name, Some(value.as_bytes()), place),
        }
    }

    /// Adds one option: through the block it stands in, if any. `None`: without a value.
    pub(super) fn add(&mut self, key: &str, value: Option<&[u8]>, place: &Place) {
        if self.is_over() || self.is_forbidden(key, place) {
            return;
        }
        if !self.inside {
            if block::is_end(key) {
                self.block = None;
            }
            if let Some(block) = self.block.take() {
                self.add_in(block, key, value, place);
                return;
            }
        }
        self.add_plain(key, value, place);
    }

    fn add_in(&mut self, mut block: Block, key: &str, value: Option<&[u8]>, place: &Place) {
        let file = block.wants_file().then(|| self.lines_of(&block)).flatten();
        let first_value = |name: &[u8]| self.first_value(name);
        let env = |name: &[u8]| self.variable(name);
        let sight = Sight {
            world: self.world,
            first_value: &first_value,
            env: &env,
            plugins: &self.plugins,
        };
        let turns = block.turns(&sight, file);
        self.inside = true;
        // Open while its options act: a second one in it is an error.
        self.block = Some(block);
        for one in turns.iter() {
            match (one, value) {
                (Some(one), Some(value)) => {
                    self.add_plain(key, Some(&replace(value, b"%(_)", one)), place);
                }
                (None, _) | (_, None) => self.add_plain(key, value, place),
            }
            if self.is_over() {
                break;
            }
        }
        self.inside = false;
    }

    /// What `for-readline` reads. The original goes on without it.
    fn lines_of(&mut self, block: &Block) -> Option<Vec<u8>> {
        let path = text(&block.value);
        match self.read(Path::new(&path)) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                let text = format!("cannot read \"{path}\": {why}; the loop has no turn");
                let place = block.place.clone();
                self.warn(&place, text, "make the file, or ask for it with if-file");
                None
            }
        }
    }

    /// A block must not go on in another file.
    pub(super) fn end_of_input(&mut self) {
        let open = self.block.take();
        if let Some(block) = open.filter(|_| !self.is_over()) {
            let text = format!("\"{}\" has no end", block.key);
            let finding = Finding::warning(block.place.known(), text);
            self.findings
                .push(finding.with_hint("write endif or endfor"));
        }
    }

    pub(super) fn error(&mut self, place: &Place, text: impl Into<String>, hint: &str) {
        self.findings
            .push(Finding::error(place.known(), text).with_hint(hint));
    }

    pub(super) fn warn(&mut self, place: &Place, text: impl Into<String>, hint: &str) {
        self.findings
            .push(Finding::warning(place.known(), text).with_hint(hint));
    }

    /// Nothing counts any more.
    pub(super) fn is_over(&self) -> bool {
        self.full || self.exit.is_some()
    }

    fn push(&mut self, key: &str, value: Option<&[u8]>, place: &Place, done: bool) {
        let length = key.len() + value.map_or(0, <[u8]>::len);
        self.size = self.size.saturating_add(length);
        if self.entries.len() >= MAX_ENTRIES || self.size > MAX_TOTAL {
            self.full = true;
            let text =
                format!("the config has more than {MAX_ENTRIES} options or {MAX_TOTAL} bytes");
            self.error(place, text, "loops and includes count as often as they act");
            return;
        }
        let position = self.entries.len();
        self.index.entry(key.to_owned()).or_insert(position);
        let bare = || super::args::bare_value(key).as_bytes();
        self.entries.push(Entry {
            key: key.to_owned(),
            value: value.unwrap_or_else(bare).to_vec(),
            place: place.clone(),
            done,
            bare: value.is_none(),
        });
    }

    fn add_plain(&mut self, key: &str, value: Option<&[u8]>, place: &Place) {
        let row = options::find(key);
        let custom = row.is_none() && self.custom.contains_key(key);
        let at_once = custom || row.is_some_and(|row| row.immediate);
        // Their section is read here, and the app that they name is applied like any other.
        let names_app = row.is_some_and(|row| row.name.starts_with("ini-paste"));
        self.push(key, value, place, at_once && !names_app);
        if self.full || !at_once {
            return;
        }
        let Some(entry) = self.entries.last_mut() else {
            return;
        };
        let whole = entry.clone();
        // The original leaves the section of these two cut off in its list.
        if row.is_some_and(|row| matches!(row.name, "json" | "xmlconfig"))
            && !whole.value.windows(3).any(|w| w == b"://")
        {
            let colon = entry.value.iter().rposition(|&byte| byte == b':');
            entry.value.truncate(colon.unwrap_or(entry.value.len()));
        }
        self.act(whole, 0);
    }

    /// What a row that acts at once does when it is read.
    pub(super) fn act(&mut self, entry: Entry, depth: usize) {
        let name = options::find(&entry.key).map_or("", |row| row.name);
        let Entry { value, place, .. } = &entry;
        match name {
            "ini" | "ini-paste" | "ini-paste-logged" | "json" | "xmlconfig" | "yaml" => {
                let carrier = crate::carriers::Carrier::of_option(name);
                self.load_named(carrier, &text(value), place);
            }
            options::INI_SECTION => self.section = Some(text(value)),
            options::INI_FILE => {
                let section = self.section.take();
                self.load_whole(Path::new(&text(value)), section, place);
            }
            options::ON_DEMAND_SOCKET => self.on_demand(value, place),
            "include" => self.include(value, place),
            "set" => match split(value) {
                Some((key, _)) if self.is_forbidden(&text(key), place) => {}
                Some((key, value)) => self.add_plain(&text(key), Some(value), place),
                None => self.error(place, "\"set\" needs K=V", "write set = name=value"),
            },
            "set-placeholder" => match split(value) {
                Some((key, value)) => self.place(&text(key), value, place),
                None => self.error(place, "\"set-placeholder\" needs K=V", "write name=value"),
            },
            "resolve" => self.look_up(value, place),
            "strict" => self.strict = options::is_true(&text(value)),
            "plugins" | "need-plugins" => {
                let names = text(value);
                self.plugins
                    .extend(names.split(',').map(|name| name.trim().to_owned()));
                self.early.push(entry);
            }
            "declare-option" => self.declare(value, place),
            "blacklist" => self.forbidden = Some(value.clone()),
            "end-blacklist" => self.forbidden = None,
            "whitelist" => self.allowed = Some(value.clone()),
            "end-whitelist" => self.allowed = None,
            "iprint" => self.print(&text(value)),
            "exit" => {
                let code = if entry.bare {
                    1
                } else {
                    i32::try_from(super::passes::number(value)).unwrap_or(1)
                };
                self.exit = Some((code, place.clone()));
            }
            "early-envdir" => self.envdir(value, place),
            "fallback-config" => self.fallback = Some(text(value)),
            name => match Start::of(name) {
                Some(kind) => self.start_block(kind, &entry),
                None if self.custom.contains_key(&entry.key) => self.act_custom(&entry, depth),
                None => self.early.push(entry),
            },
        }
    }

    fn start_block(&mut self, kind: Start, entry: &Entry) {
        let Entry {
            key, value, place, ..
        } = entry;
        if let Some(open) = &self.block {
            let text = format!(
                "\"{key}\" inside a block that began in line {}",
                open.place.line
            );
            let hint = "blocks cannot be nested; write endif or endfor first";
            self.error(place, text, hint);
            return;
        }
        if let Start::If(block::Condition::HostnameMatch, _) = kind
            && let Err(why) = Pattern::new(&text(value))
        {
            let text = format!("\"{key}\" cannot read its pattern: {why}");
            self.error(
                place,
                text,
                "write a regular expression, or use if-hostname",
            );
        }
        self.used.extend(block::asked(kind, value));
        self.block = Some(Block::new(kind, key, value, place));
    }

    /// `blacklist` and `whitelist` between their line and their end.
    fn is_forbidden(&mut self, key: &str, place: &Place) -> bool {
        let holds =
            |list: &[u8]| block::words(list).any(|word| word.eq_ignore_ascii_case(key.as_bytes()));
        let list = if self.forbidden.as_deref().is_some_and(holds) {
            "blacklist"
        } else if self.allowed.as_deref().is_some_and(|list| !holds(list)) {
            "whitelist"
        } else {
            return false;
        };
        let text = format!("option \"{key}\" is forbidden here by \"{list}\"");
        let hint = format!("end the list with end-{list}, or change it");
        self.error(place, text, &hint);
        true
    }

    /// A placeholder, which must not have an option's name. Nothing in it is expanded.
    fn place(&mut self, key: &str, value: &[u8], place: &Place) {
        if self.is_forbidden(key, place) {
            return;
        }
        if options::find(key).is_some() || self.custom.contains_key(key) {
            let text = format!("\"{key}\" is an option and cannot be a placeholder");
            self.error(
                place,
                text,
                &format!("write set = {key}=…, or another name"),
            );
            return;
        }
        self.placeholders.insert(key.to_owned());
        self.push(key, Some(value), place, true);
    }

    /// `resolve = placeholder=host`
    fn look_up(&mut self, value: &[u8], place: &Place) {
        let Some((key, host)) = split(value) else {
            let hint = "write resolve = placeholder=host.name";
            self.error(place, "\"resolve\" needs PLACEHOLDER=HOST", hint);
            return;
        };
        let host = text(host);
        match self.world.look_up(&host) {
            Ok(address) => self.place(&text(key), address.as_bytes(), place),
            Err(why) => {
                let text = format!("cannot resolve the name \"{host}\": {why}");
                self.error(place, text, "mend the name, or write the address itself");
            }
        }
    }

    pub(super) fn print(&mut self, line: &str) {
        if self.printed.len() < MAX_PRINTED {
            self.printed.push(line.to_owned());
        }
    }

    /// The first value of an option, as `%(name)` sees it: what was given without a value has none.
    pub(super) fn first_value(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = text(name);
        let entry = self.entries.get(*self.index.get(&name)?)?;
        (!entry.bare).then(|| entry.value.clone())
    }

    /// A variable of the environment, as `envdir`s have left it.
    pub(super) fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        match self.env.get(name) {
            Some(changed) => changed.clone(),
            None => self.world.env(name),
        }
    }
}

/// `K=V`
pub(super) fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().position(|&byte| byte == b'=')?;
    Some((&value[..at], &value[at + 1..]))
}

pub(super) fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(what) {
            out.extend_from_slice(by);
            rest = behind;
            // A loop over a long value may make more than any config holds.
            if out.len() > MAX_TOTAL {
                return out;
            }
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

/// More lines than this are no message.
const MAX_PRINTED: usize = 1000;
