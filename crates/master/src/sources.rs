//! The files that the last config was read from, as they were then. The next emperor does not know
//! what changed while nobody watched, and says of each app that something may have.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device, inode, size, mtime and ctime with their nanoseconds; `None`: not there.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

/// A file's times come from a clock that stands still for some milliseconds.
const TICK_MICROS: u64 = 20_000;

#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Unix microseconds at which the reading began.
    begun: u64,
    /// `None`: they are being read.
    seen: Option<Vec<(PathBuf, Stamp)>>,
}

impl Sources {
    pub(crate) fn begin(&mut self, now: u64) {
        *self = Self {
            begun: now,
            seen: None,
        };
    }

    pub(crate) fn were_read(&mut self, files: &[PathBuf]) {
        let seen = files.iter().map(|file| (file.clone(), stamp(file)));
        self.seen = Some(seen.collect());
    }

    /// Whether each file is what was read. One that changed while it was read counts as another one.
    pub(crate) fn are_the_same(&self) -> bool {
        let is_same = |(file, seen): &(PathBuf, Stamp)| {
            // What was not there may be named for the day on which it is.
            let before = seen.is_none_or(|(.., [_, _, seconds, nanos])| {
                let seconds = u64::try_from(seconds).unwrap_or(0);
                let changed = seconds * 1_000_000 + u64::try_from(nanos / 1000).unwrap_or(0);
                changed + TICK_MICROS < self.begun
            });
            before && stamp(file) == *seen
        };
        let seen = self.seen.as_ref();
        seen.is_some_and(|seen| !seen.is_empty() && seen.iter().all(is_same))
    }
}

fn stamp(file: &Path) -> Stamp {
    let it = file.metadata().ok()?;
    let times = [it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()];
    Some((it.dev(), it.ino(), it.size(), times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn files_are_the_same_until_one_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.ini");
        std::fs::write(&file, "one").unwrap();
        let mut sources = Sources::default();
        assert!(!sources.are_the_same(), "nothing was read");
        sources.begin(clock::epoch_micros() + 1_000_000);
        assert!(!sources.are_the_same(), "they are being read");
        sources.were_read(std::slice::from_ref(&file));
        assert!(sources.are_the_same());
        let other = directory.path().join("b.ini");
        std::fs::write(&other, "one").unwrap();
        std::fs::rename(other, &file).unwrap();
        assert!(!sources.are_the_same(), "another file of the same text");
        sources.were_read(std::slice::from_ref(&file));
        std::fs::remove_file(&file).unwrap();
        assert!(!sources.are_the_same());
        sources.were_read(std::slice::from_ref(&file));
        assert!(sources.are_the_same(), "it is away as it was");
        std::fs::write(&file, "one").unwrap();
        assert!(!sources.are_the_same());
    }

    #[test]
    fn what_changed_while_it_was_read_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.ini");
        let mut sources = Sources::default();
        sources.begin(clock::epoch_micros());
        std::fs::write(&file, "one").unwrap();
        sources.were_read(std::slice::from_ref(&file));
        assert!(!sources.are_the_same());
    }
}
