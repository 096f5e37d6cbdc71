//! `py-autoreload`: the files of the modules that the app has loaded, as its processes report them.
//! inotify wakes us, and a look at the files decides; where inotify is silent (bind mounts of other
//! machines, network file systems) the look every N seconds finds the change.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use imperator_process::inotify::Inotify;

use crate::touched::{Seen, look};

/// A change is acted on this long after it was told: a checkout changes many files in one go.
const SETTLE: Duration = Duration::from_millis(40);
/// More files of one app than this are not watched.
const MAX_FILES: usize = 20_000;
/// Who edits a file does so after it was loaded; an app that writes to its own modules does it while
/// it loads them, or right after.
const HURRY: Duration = Duration::from_secs(2);
/// So often in a row a file may be in a hurry; then it may be the app's own doing, and is waited for:
/// twice as long each time, so that the last of many edits is served, and an app that rewrites its own
/// file does little else than load only at first.
const HURRIES: u32 = 5;
const MAX_REST: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(crate) struct Modules {
    notify: Option<Inotify>,
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Watched>,
    every: Duration,
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct Watched {
    seen: Seen,
    /// The newest generation that has loaded it.
    last: u32,
    /// When that was told.
    told: Instant,
    /// Changes in a row that came in a hurry.
    hurries: u32,
    /// A change that is acted on only then.
    later: Option<Instant>,
}

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is another one than when it was loaded.
    Changed(PathBuf),
    /// It changes each time when the app is loaded: told once, and a reason for a reload only later.
    Restless(PathBuf),
}

impl Modules {
    /// A process of this generation had loaded these files at that time (microseconds since 1970).
    /// What was watched before keeps what was seen: a change while the generation was loading still
    /// counts. Returns what an operator should know.
    pub(crate) fn add(
        &mut self,
        (generation, every): (u32, Duration),
        files: Vec<PathBuf>,
        at: u64,
        now: Instant,
    ) -> Option<String> {
        self.every = every;
        let mut problem = None;
        for file in files {
            if let Some(watched) = self.files.get_mut(&file) {
                watched.last = generation.max(watched.last);
                watched.told = now;
                continue;
            }
            if self.files.len() >= MAX_FILES {
                return Some(format!("py-autoreload watches {MAX_FILES} files, no more"));
            }
            if let Some(directory) = file.parent()
                && !self.directories.contains(directory)
            {
                self.directories.insert(directory.to_owned());
                if let Err(error) = self.watch(directory) {
                    let seconds = every.as_secs();
                    problem = Some(format!(
                        "py-autoreload is told of no changes ({error}): it looks every {seconds} s"
                    ));
                }
            }
            let mut seen = look(&file);
            // It changed before we heard of it: what was loaded is not known, but it is another.
            if let Some((_, _, second, nanos, _)) = &mut seen
                && second
                    .saturating_mul(1_000_000)
                    .saturating_add(*nanos / 1000)
                    >= i64::try_from(at).unwrap_or(i64::MAX)
            {
                *second = 0;
                self.next_look = Some(now);
            }
            let watched = Watched {
                seen,
                last: generation,
                told: now,
                hurries: 0,
                later: None,
            };
            self.files.insert(file, watched);
        }
        self.next_look.get_or_insert(now + every);
        problem
    }

    fn watch(&mut self, directory: &std::path::Path) -> std::io::Result<()> {
        if self.notify.is_none() {
            self.notify = Some(Inotify::new()?);
        }
        self.notify
            .as_ref()
            .map_or(Ok(()), |it| it.watch(directory))
    }

    /// This generation serves: what only earlier ones had loaded is not the app's any more.
    pub(crate) fn forget_before(&mut self, generation: u32) {
        self.files.retain(|_, watched| watched.last >= generation);
        if self.files.is_empty() {
            *self = Self::default();
        }
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.notify.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next_look
    }

    /// inotify has something to tell.
    pub(crate) fn told(&mut self, now: Instant) {
        if let Some(notify) = &self.notify {
            notify.hush();
        }
        let soon = now + SETTLE;
        self.next_look = Some(self.next_look.map_or(soon, |at| at.min(soon)));
    }

    /// The first file that is another one than when it was loaded. One that is away for the moment
    /// will be back: editors and checkouts replace files.
    pub(crate) fn check(&mut self, now: Instant) -> Option<Found> {
        if self.next_look.is_none_or(|at| at > now) {
            return None;
        }
        let mut next_look = now + self.every;
        let mut found = None;
        for (file, watched) in &mut self.files {
            let is = look(file);
            if is.is_some() && is != watched.seen {
                watched.seen = is;
                watched.changed(now);
                if watched.later.is_some() && watched.hurries == HURRIES {
                    found.get_or_insert_with(|| Found::Restless(file.clone()));
                }
                if watched.later.is_none() {
                    found = Some(Found::Changed(file.clone()));
                }
            }
            match watched.later {
                Some(at) if at <= now => {
                    watched.later = None;
                    // What the load that follows writes is in a hurry again.
                    watched.told = now;
                    found = Some(Found::Changed(file.clone()));
                }
                Some(at) => next_look = next_look.min(at),
                None => (),
            }
        }
        self.next_look = Some(next_look);
        found
    }
}

impl Watched {
    fn changed(&mut self, now: Instant) {
        self.hurries = match now.duration_since(self.told) < HURRY {
            true => self.hurries.saturating_add(1),
            false => 0,
        };
        self.later = self.hurries.checked_sub(HURRIES).map(|beyond| {
            let rest = HURRY.saturating_mul(2_u32.saturating_pow(beyond.saturating_add(1)));
            now + rest.min(MAX_REST)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const EVERY: Duration = Duration::from_secs(3);

    #[test]
    fn a_changed_file_is_found_once_and_a_file_that_is_away_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.py");
        std::fs::write(&file, "1").unwrap();
        let mut modules = Modules::default();
        let now = clock::now();
        assert_eq!(
            modules.add((1, EVERY), vec![file.clone()], u64::MAX, now),
            None
        );
        assert_eq!(modules.check(now + EVERY), None);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(modules.check(now + 2 * EVERY), None);
        std::fs::write(&file, "2 + 2").unwrap();
        // Not before it is due, and then once.
        assert_eq!(modules.check(now + 2 * EVERY), None);
        modules.told(now + 2 * EVERY);
        assert_eq!(modules.check(now + 2 * EVERY), None);
        let found = modules.check(now + 2 * EVERY + SETTLE);
        assert_eq!(found, Some(Found::Changed(file)));
        assert_eq!(modules.check(now + 4 * EVERY), None);
    }

    #[test]
    fn a_change_before_the_report_came_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.py");
        std::fs::write(&file, "1").unwrap();
        let mut modules = Modules::default();
        let now = clock::now();
        assert_eq!(modules.add((1, EVERY), vec![file.clone()], 1, now), None);
        assert_eq!(modules.check(now), Some(Found::Changed(file)));
        assert_eq!(modules.check(now + EVERY), None);
    }

    #[test]
    fn a_file_that_the_app_itself_rewrites_is_loaded_ever_more_rarely_and_an_edit_counts_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("version.py");
        let mut modules = Modules::default();
        let mut now = clock::now();
        let load = |modules: &mut Modules, generation, now| {
            std::fs::write(&file, "x".repeat(generation as usize)).unwrap();
            modules.add((generation, EVERY), vec![file.clone()], u64::MAX, now);
            modules.told(now);
            modules.check(now + SETTLE)
        };
        assert_eq!(load(&mut modules, 1, now), None);
        for generation in 2..=5 {
            let found = load(&mut modules, generation, now);
            assert!(matches!(found, Some(Found::Changed(_))), "{generation}");
        }
        let found = load(&mut modules, 6, now);
        assert!(matches!(found, Some(Found::Restless(_))));
        assert_eq!(modules.check(now + 2 * HURRY), None);
        now += SETTLE + 2 * HURRY;
        // The last of the edits is served, and what that load writes waits for longer.
        assert!(matches!(modules.check(now), Some(Found::Changed(_))));
        std::fs::write(&file, "while it loads").unwrap();
        modules.told(now);
        assert_eq!(modules.check(now + SETTLE), None);
        modules.add((7, EVERY), vec![file.clone()], u64::MAX, now);
        assert_eq!(modules.check(now + SETTLE + 3 * HURRY), None);
        now += SETTLE + 4 * HURRY;
        assert!(matches!(modules.check(now), Some(Found::Changed(_))));
        now += HURRY;
        std::fs::write(directory.path().join("version.py"), "an edit").unwrap();
        modules.told(now);
        let found = modules.check(now + SETTLE);
        assert!(matches!(found, Some(Found::Changed(_))));
    }

    #[test]
    fn what_the_serving_generation_has_not_loaded_is_forgotten() {
        let mut modules = Modules::default();
        let now = clock::now();
        let files = vec!["/old.py".into(), "/both.py".into()];
        modules.add((1, EVERY), files, u64::MAX, now);
        modules.add((2, EVERY), vec!["/both.py".into()], u64::MAX, now);
        modules.forget_before(2);
        let files: Vec<_> = modules.files.keys().collect();
        assert_eq!(files, [&PathBuf::from("/both.py")]);
        modules.forget_before(3);
        assert_eq!(modules.deadline(), None);
    }
}
