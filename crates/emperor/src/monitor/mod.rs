//! Sees what happens to the ini files: each scan looks at all of them and tells what changed.
//! `run.rs` calls it when inotify rang, when a file is to be looked at again, and every 3 s.

pub mod file;
mod look;
pub mod settle;
pub mod source;
pub mod wake;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use imperator_core::settings::empire::Empire;
use imperator_core::stanzas;
use imperator_process::elsewhere::Elsewhere;
use tracing::{info, warn};

use self::file::{Stamp, Text, hash, read_included};
use self::look::Found;
use self::settle::{Look, REFILLED, Settling, VANISHED, Verdict};
use self::source::Source;
use self::wake::{Hints, Wake};

/// The quiet time that a changed file needs; with it a scan stays below `emperor-freq`.
const QUIET: Duration = Duration::from_millis(200);
/// A file whose file system did not answer is looked at again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// More files are reported and left out.
pub const MAX_FILES: usize = 50_000;

/// What happened to a file. Paths are as the source lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Appeared {
        path: PathBuf,
        source: usize,
        text: Text,
        /// The file had this path before.
        from: Option<PathBuf>,
    },
    Edited {
        path: PathBuf,
        text: Text,
    },
    Touched(PathBuf),
    Removed(PathBuf),
    /// A file that some config reads.
    IncludeEdited(PathBuf),
}

struct Tracked {
    source: usize,
    settling: Settling,
    /// The last look.
    stamp: Stamp,
    content: u64,
    sound: bool,
    /// Of the symlink itself, when it is one.
    link: Option<(u64, u64)>,
    dangling: bool,
    /// Under `emperor-tyrant`.
    owner: Option<(u32, u32)>,
    /// What was told; `None`: nothing yet.
    told: Option<(u64, Stamp)>,
}

#[derive(Default)]
struct Included {
    settling: Settling,
    stamp: Option<Stamp>,
    content: u64,
    told: u64,
    /// Nobody could look at it so far.
    unseen: bool,
}

/// The base directory of a source, as the last scan found it.
#[derive(Default)]
struct Base {
    inode: Option<(u64, u64)>,
    gone: bool,
    refilled_until: Option<Instant>,
}

pub struct Monitor {
    sources: Vec<Source>,
    bases: Vec<Base>,
    /// For symlink targets, NFS and other things that inotify does not tell.
    scan_every: Duration,
    empire: Arc<Empire>,
    elsewhere: Elsewhere,
    /// Paths whose file systems do not answer.
    hanging: BTreeSet<PathBuf>,
    wake: Wake,
    files: BTreeMap<PathBuf, Tracked>,
    included: BTreeMap<PathBuf, Included>,
    first: bool,
    overflow_told: bool,
}

impl Monitor {
    /// # Errors
    /// What eventfd(2) says.
    pub fn new(sources: Vec<Source>, empire: &Empire) -> io::Result<Self> {
        let bases = sources.iter().map(|_| Base::default()).collect();
        Ok(Self {
            sources,
            bases,
            scan_every: empire.freq.saturating_sub(QUIET),
            empire: Arc::new(empire.clone()),
            elsewhere: Elsewhere::default(),
            hanging: BTreeSet::new(),
            wake: Wake::new()?,
            files: BTreeMap::new(),
            included: BTreeMap::new(),
            first: true,
            overflow_told: false,
        })
    }

    /// How long after a deep scan the next one is due.
    pub fn scan_every(&self) -> Duration {
        self.scan_every
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Files that configs read besides the vassal files themselves. Tells those among the new ones
    /// that changed after `since`: perhaps after they were read.
    pub fn include(&mut self, paths: BTreeSet<PathBuf>, since: SystemTime) -> Vec<PathBuf> {
        let mut fresh = Vec::new();
        self.included.retain(|path, _| paths.contains(path));
        for path in paths {
            if self.files.contains_key(&path) || self.included.contains_key(&path) {
                continue;
            }
            let there = path.clone();
            let found = self.elsewhere.ask(&path, move || {
                let modified = fs::metadata(&there).and_then(|metadata| metadata.modified());
                (read_included(&there), modified.ok())
            });
            let unseen = found.is_none();
            let ((content, stamp), modified) = found.unwrap_or_default();
            if modified.is_some_and(|modified| modified > since) {
                fresh.push(path.clone());
            }
            let included = Included {
                settling: Settling::take(content),
                stamp,
                content,
                told: content,
                unseen,
            };
            self.included.insert(path, included);
        }
        fresh
    }

    /// The state of a vassal file that was told last, and the hash of what stood in it.
    pub fn told(&self, path: &Path) -> Option<(u64, Stamp)> {
        self.files.get(path)?.told
    }

    /// Looks at everything. `deep`: also reads files whose stamp is the same. Tells what changed,
    /// and when to look again because something has not settled.
    pub fn scan(&mut self, deep: bool, now: Instant) -> (Vec<Change>, Option<Instant>) {
        let hints = self.wake.take();
        let mut directories = BTreeSet::new();
        for source in &self.sources {
            let there = source.clone();
            let found = self
                .elsewhere
                .ask(source.base(), move || there.directories());
            directories.extend(found.into_iter().flatten());
        }
        let included = self.included.keys().filter_map(|path| path.parent());
        let included: BTreeSet<PathBuf> = included.map(Path::to_owned).collect();
        for directory in included {
            let there = directory.clone();
            if self.elsewhere.ask(&directory, move || there.is_dir()) == Some(true) {
                directories.insert(directory);
            }
        }
        // Before looking: what happens between watch and look is then told again, not lost.
        self.wake.watch(&directories);
        let listed = self.list(now);
        let missing = self
            .files
            .iter()
            .filter(|(path, _)| !listed.contains_key(*path));
        let mut scan = Scan {
            deep,
            hints,
            now,
            moved: missing
                .map(|(path, file)| (file.stamp.inode, path.clone()))
                .collect(),
            present: BTreeSet::new(),
            changes: Vec::new(),
            again: None,
        };
        for (path, source) in &listed {
            self.look(*source, path, &mut scan);
        }
        self.look_for_missing(&listed, &mut scan);
        self.look_at_included(&mut scan);
        let (files, included) = (&self.files, &self.included);
        self.hanging.retain(|path| {
            listed.contains_key(path) || files.contains_key(path) || included.contains_key(path)
        });
        self.first = false;
        (scan.changes, scan.again)
    }

    /// Whether nothing can be known of this file, because its file system does not answer, or the
    /// directory of its source cannot be read or has just come back.
    pub fn is_away(&self, path: &Path, now: Instant) -> bool {
        if self.hanging.contains(path) {
            return true;
        }
        let mut sources = self.sources.iter().zip(&self.bases);
        sources.any(|(source, base)| {
            let refills = base.refilled_until.is_some_and(|until| now < until);
            (base.gone || refills) && path.starts_with(source.base())
        })
    }

    /// The paths of all sources, and the first source that names each.
    fn list(&mut self, now: Instant) -> BTreeMap<PathBuf, usize> {
        let mut listed = BTreeMap::new();
        for (index, (source, base)) in self.sources.iter().zip(&mut self.bases).enumerate() {
            let there = source.clone();
            let answer = self.elsewhere.ask(source.base(), move || {
                let metadata = fs::metadata(there.base()).ok();
                let inode = metadata.map(|metadata| (metadata.dev(), metadata.ino()));
                there.list().map(|paths| (paths, inode))
            });
            let silent = || Err(io::Error::other("its file system does not answer"));
            let (paths, inode) = match answer.unwrap_or_else(silent) {
                Ok(found) => found,
                Err(error) => {
                    if !std::mem::replace(&mut base.gone, true) {
                        warn!(
                            "cannot read {}: {error}; its apps serve on, and it is waited for",
                            source.base().display()
                        );
                    }
                    continue;
                }
            };
            if base.gone {
                info!("{} is back", source.base().display());
            }
            if base.gone || (base.inode.is_some() && base.inode != inode) {
                base.refilled_until = Some(now + REFILLED);
            }
            base.gone = false;
            base.inode = inode;
            for path in paths {
                if listed.len() < MAX_FILES {
                    listed.entry(path).or_insert(index);
                } else if !std::mem::replace(&mut self.overflow_told, true) {
                    warn!("more than {MAX_FILES} vassal files: the rest is ignored");
                }
            }
        }
        listed
    }

    /// Looks at one file.
    fn look(&mut self, source: usize, path: &Path, scan: &mut Scan) {
        let complete = scan.hints.complete.contains(path);
        let known = self.files.get(path);
        let seen = known.filter(|known| {
            !scan.deep && !complete && known.told == Some((known.content, known.stamp))
        });
        let seen = seen.map(|known| (known.stamp, known.owner));
        let Some(found) = self.find(path, seen) else {
            // What it is now nobody knows: what serves goes on.
            scan.present.insert(path.to_owned());
            scan.again(scan.now + AGAIN);
            return;
        };
        let Found {
            link,
            stand: Some(stand),
            owner,
            text,
        } = found
        else {
            return;
        };
        let itself = link.as_ref().filter(|_| self.empire.nofollow);
        let stamp = stand.stamp;
        let known = self.files.get(path);
        // As in the original the file went with the target; the link is shown from the next look on.
        if stand.dangling && known.is_some_and(|known| !known.dangling) {
            return;
        }
        scan.present.insert(path.to_owned());
        let mut known = known;
        if known.is_some_and(|known| known.owner != owner && known.told.is_some()) {
            // Under a tyrant it is another app then.
            self.files.remove(path);
            scan.changes.push(Change::Removed(path.to_owned()));
            known = None;
        }
        let Some(text) = text else {
            return;
        };
        // With `emperor-nofollow` what a link leads to may change unseen.
        let content = itself.map_or_else(|| hash(&text), |link| hash(&link.target));
        let sound = match (known, &text) {
            (Some(known), _) if known.content == content => known.sound,
            (_, Ok(text)) => !stanzas::of_file(path, text).is_empty(),
            (_, Err(_)) => false,
        };
        let from = scan.moved.get(&stamp.inode).filter(|_| known.is_none());
        let first = self.first;
        let tracked = self
            .files
            .entry(path.to_owned())
            .or_insert_with(|| Tracked {
                source,
                settling: if first {
                    Settling::take(content)
                } else {
                    Settling::default()
                },
                stamp,
                content,
                sound,
                link: None,
                dangling: false,
                owner,
                told: None,
            });
        tracked.stamp = stamp;
        tracked.content = content;
        tracked.sound = sound;
        tracked.dangling = stand.dangling;
        // A symlink is never half-written: what it leads to was there before.
        let inode = link.map(|link| link.stamp.inode);
        let new_link = inode.is_some() && inode != tracked.link;
        tracked.link = inode;
        let look = Look {
            content,
            sound,
            complete: complete || new_link || from.is_some(),
        };
        let path = path.to_owned();
        match tracked.settling.see(&look, scan.now) {
            Verdict::Wait(until) => scan.again(until),
            Verdict::Take => match tracked.told.replace((content, stamp)) {
                None => scan.changes.push(Change::Appeared {
                    path,
                    source,
                    text,
                    from: from.cloned(),
                }),
                Some((told, _)) if told != content => {
                    scan.changes.push(Change::Edited { path, text });
                }
                Some((_, told)) if stamp.is_touched_since(&told) => {
                    scan.changes.push(Change::Touched(path));
                }
                Some(_) => (),
            },
        }
    }

    /// `None`: its file system does not answer.
    fn find(&mut self, path: &Path, seen: Option<(Stamp, Option<(u32, u32)>)>) -> Option<Found> {
        // Its own directory has just answered; what it leads to may lie anywhere.
        let leads_elsewhere = path.is_symlink();
        let found = if leads_elsewhere {
            let (there, empire) = (path.to_owned(), Arc::clone(&self.empire));
            let look = move || look::find(&there, &empire, seen);
            self.elsewhere.ask(path, look)
        } else {
            Some(look::find(path, &self.empire, seen))
        };
        note(&mut self.hanging, path, found.is_none());
        found
    }

    fn look_for_missing(&mut self, listed: &BTreeMap<PathBuf, usize>, scan: &mut Scan) {
        let renamed: BTreeSet<PathBuf> = scan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Appeared { from, .. } => from.clone(),
                Change::Edited { .. }
                | Change::Touched(_)
                | Change::Removed(_)
                | Change::IncludeEdited(_) => None,
            })
            .collect();
        let mut removed = Vec::new();
        for (path, tracked) in &mut self.files {
            let base = &self.bases[tracked.source];
            // Nothing is known about a directory that cannot be read, so its files stay.
            if scan.present.contains(path) || (base.gone && !listed.contains_key(path)) {
                continue;
            }
            let patience = if base.refilled_until.is_some_and(|until| scan.now < until) {
                REFILLED
            } else {
                VANISHED
            };
            if renamed.contains(path) {
                removed.push(path.clone());
                continue;
            }
            match tracked.settling.miss(patience, scan.now) {
                Verdict::Wait(until) => scan.again(until),
                Verdict::Take => removed.push(path.clone()),
            }
        }
        for path in removed {
            let file = self.files.remove(&path);
            if file.is_some_and(|file| file.told.is_some()) {
                scan.changes.push(Change::Removed(path));
            }
        }
    }

    fn look_at_included(&mut self, scan: &mut Scan) {
        for (path, included) in &mut self.included {
            let complete = scan.hints.complete.contains(path);
            let settled = included.content == included.told && !included.unseen;
            let known = (settled && !scan.deep && !complete).then_some(included.stamp);
            let there = path.clone();
            let found = self.elsewhere.ask(path, move || {
                let stamp = fs::metadata(&there).ok();
                let stamp = stamp.map(|metadata| Stamp::of(&metadata));
                (known != Some(stamp)).then(|| read_included(&there))
            });
            note(&mut self.hanging, path, found.is_none());
            let Some(found) = found else {
                scan.again(scan.now + AGAIN);
                continue;
            };
            let Some((content, stamp)) = found else {
                continue;
            };
            if std::mem::take(&mut included.unseen) {
                included.told = content;
            }
            included.content = content;
            included.stamp = stamp;
            let look = Look {
                content,
                sound: stamp.is_some_and(|stamp| stamp.size > 0),
                complete,
            };
            match included.settling.see(&look, scan.now) {
                Verdict::Wait(until) => scan.again(until),
                Verdict::Take if included.told != content => {
                    included.told = content;
                    scan.changes.push(Change::IncludeEdited(path.clone()));
                }
                Verdict::Take => (),
            }
        }
    }
}

/// Tells once of a file that hangs, and once when it does so no more.
fn note(hanging: &mut BTreeSet<PathBuf>, path: &Path, hangs: bool) {
    if hangs && hanging.insert(path.to_owned()) {
        warn!(
            "[emperor] {}: its file system does not answer; what serves goes on, and it is waited for",
            path.display()
        );
    } else if !hangs && hanging.remove(path) {
        info!("[emperor] {} answers again", path.display());
    }
}

/// One scan on its way.
struct Scan {
    deep: bool,
    hints: Hints,
    now: Instant,
    /// Files that are missing, by inode: one that appears with it was renamed.
    moved: BTreeMap<(u64, u64), PathBuf>,
    present: BTreeSet<PathBuf>,
    changes: Vec<Change>,
    again: Option<Instant>,
}

impl Scan {
    fn again(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]
mod tests;
