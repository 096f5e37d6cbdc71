//! What happened to the apps, as the emperor saw it and as their masters told it: in memory for
//! who asks, and in a file of the runtime directory for the next emperor, and for who asks while
//! there is none.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use imperator_core::history::{Entry, History};
use serde::{Deserialize, Serialize};

use crate::supervisor::Name;

/// In the runtime directory.
pub const FILE: &str = "history";
/// Apps that are gone and whose history is still known.
const MAX_GONE: usize = 200;
/// No more of a file is read.
const MAX_FILE: u64 = 64 << 20;
/// The file is written anew when it has more lines than this beside those that are still known.
const MAX_STALE: usize = 2000;

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line<E> {
    app: Name,
    #[serde(flatten)]
    entry: E,
}

#[derive(Debug, Default)]
pub struct Chronicle {
    apps: BTreeMap<Name, History>,
    /// In the order in which they went.
    gone: VecDeque<Name>,
    path: PathBuf,
    /// `None`: nothing is written, now or for want of room.
    file: Option<File>,
    lines: usize,
}

impl Chronicle {
    /// Goes on with what earlier emperors of this directory wrote.
    pub fn open(runtime: &Path) -> Self {
        let path = runtime.join(FILE);
        let (apps, lines) = read(&path);
        let mut chronicle = Self {
            apps,
            path,
            lines,
            ..Self::default()
        };
        chronicle.file = append(&chronicle.path).ok();
        chronicle.tidy();
        chronicle
    }

    pub fn tell(&mut self, name: &str, entry: Entry) {
        let Some(history) = self.apps.get_mut(name) else {
            let history = self.apps.entry(name.to_owned()).or_default();
            history.add(entry.clone());
            return self.write(name, &entry);
        };
        if history.add(entry.clone()) {
            self.write(name, &entry);
        }
    }

    /// What its master told; much of it may be known.
    pub fn hear(&mut self, name: &str, entries: Vec<Entry>) {
        for entry in entries {
            self.tell(name, entry);
        }
    }

    /// The app is no longer wanted; its history stays for a while.
    pub fn gone(&mut self, name: &str) {
        self.gone.retain(|it| it != name);
        self.gone.push_back(name.to_owned());
        if self.gone.len() > MAX_GONE
            && let Some(oldest) = self.gone.pop_front()
        {
            self.apps.remove(&oldest);
        }
    }

    pub fn found(&mut self, name: &str) {
        self.gone.retain(|it| it != name);
    }

    /// Apps of earlier emperors of which nobody speaks any more.
    pub fn settle(&mut self, is_wanted: impl Fn(&str) -> bool) {
        let strangers: Vec<Name> = self
            .apps
            .keys()
            .filter(|it| !is_wanted(it))
            .cloned()
            .collect();
        for name in strangers {
            self.gone(&name);
        }
    }

    pub fn of(&self, name: &str) -> Option<&History> {
        self.apps.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.apps.keys()
    }

    fn write(&mut self, app: &str, entry: &Entry) {
        let app = app.to_owned();
        let Ok(mut text) = serde_json::to_vec(&Line { app, entry }) else {
            return;
        };
        text.push(b'\n');
        let whole = self.file.as_mut().map(|file| file.write(&text));
        self.lines += 1;
        // A line that was cut (a full disk) would spoil the next one: begin the file anew.
        if !matches!(whole, Some(Ok(count)) if count == text.len()) {
            self.lines = usize::MAX / 2;
        }
        self.tidy();
    }

    /// Leaves out what is forgotten.
    fn tidy(&mut self) {
        let known: usize = self.apps.values().map(|it| it.entries().count()).sum();
        if self.lines <= known + MAX_STALE {
            return;
        }
        self.lines = known;
        // Where even this fails the next events try again; those before are in memory.
        self.file = self.rewrite().ok();
    }

    fn rewrite(&self) -> io::Result<File> {
        let new = self.path.with_extension("new");
        let mut text = Vec::new();
        for (app, history) in &self.apps {
            for entry in history.entries() {
                let app = app.clone();
                serde_json::to_writer(&mut text, &Line { app, entry })?;
                text.push(b'\n');
            }
        }
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&text)?;
        fs::rename(&new, &self.path)?;
        append(&self.path)
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o600).open(path)
}

/// What stands in the file; lines that are none are left out.
pub fn read(path: &Path) -> (BTreeMap<Name, History>, usize) {
    let mut apps: BTreeMap<Name, History> = BTreeMap::new();
    let mut count = 0;
    let Ok(file) = File::open(path) else {
        return (apps, count);
    };
    for line in BufReader::new(file.take(MAX_FILE)).split(b'\n') {
        let Ok(line) = line else {
            break;
        };
        count += 1;
        if let Ok(Line { app, entry }) = serde_json::from_slice::<Line<Entry>>(&line) {
            apps.entry(app).or_default().add(entry);
        }
    }
    (apps, count)
}

/// Adds an event to the file while no emperor does.
///
/// # Errors
/// What open(2) or write(2) says.
pub fn note(runtime: &Path, app: &str, entry: &Entry) -> io::Result<()> {
    let app = app.to_owned();
    let mut text = serde_json::to_vec(&Line { app, entry })?;
    text.push(b'\n');
    append(&runtime.join(FILE))?.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::history::{MAX_ENTRIES, What};

    fn entry(at: u64) -> Entry {
        Entry::new(at, What::Started, "x").by("uid 7")
    }

    #[test]
    fn the_next_emperor_knows_what_happened_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Chronicle::open(folder.path());
        for at in 0..10_000 {
            first.tell("blog", entry(at));
        }
        first.tell("shop", entry(1));
        // Killed: nothing is closed in order, and a line may be cut.
        File::options()
            .append(true)
            .open(folder.path().join(FILE))
            .and_then(|mut file| file.write_all(b"{\"app\":\"blog\",\"at"))
            .unwrap();
        let second = Chronicle::open(folder.path());
        let blog: Vec<_> = second.of("blog").unwrap().entries().cloned().collect();
        assert_eq!(blog.len(), MAX_ENTRIES);
        assert_eq!(blog.last(), Some(&entry(9_999)));
        assert_eq!(second.of("shop").unwrap().last(), Some(&entry(1)));
        let size = fs::metadata(folder.path().join(FILE)).unwrap().len();
        assert!(size < 400_000, "{size}");
        note(folder.path(), "shop", &entry(2)).unwrap();
        let (apps, _) = read(&folder.path().join(FILE));
        assert!(apps.contains_key("shop"));
    }

    #[test]
    fn apps_that_come_and_go_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut chronicle = Chronicle::open(folder.path());
        for index in 0..1000 {
            let name = format!("app{index}");
            chronicle.tell(&name, entry(index));
            chronicle.gone(&name);
        }
        assert_eq!(chronicle.names().count(), MAX_GONE);
        // Who is here again is none of those that went, however many more go.
        chronicle.found("app999");
        chronicle.tell("stranger", entry(1));
        chronicle.settle(|name| name == "app999");
        for index in 0..MAX_GONE {
            let name = format!("later{index}");
            chronicle.tell(&name, entry(1));
            chronicle.gone(&name);
        }
        assert!(chronicle.of("app999").is_some());
        assert!(chronicle.of("stranger").is_none() && chronicle.of("app998").is_none());
    }
}
