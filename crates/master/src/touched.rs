//! `touch-reload`: files whose change, creation or removal reloads the app. Looked at once a second.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device, inode, mtime with its nanoseconds, size; `None`: not there.
pub(crate) type Seen = Option<(u64, u64, i64, i64, u64)>;

#[derive(Debug, Default)]
pub(crate) struct Touched {
    files: Vec<(PathBuf, Seen)>,
}

impl Touched {
    pub(crate) fn watch(&mut self, files: &[PathBuf], cwd: &Path) {
        let old = std::mem::take(&mut self.files);
        for file in files.iter().map(|file| cwd.join(file)) {
            // What was watched before keeps what was seen: a touch in between still counts.
            let known = old.iter().find(|(other, _)| *other == file);
            let seen = known.map_or_else(|| look(&file), |&(_, seen)| seen);
            self.files.push((file, seen));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The first file that is another one than before.
    pub(crate) fn check(&mut self) -> Option<PathBuf> {
        let mut found = None;
        for (file, seen) in &mut self.files {
            let now = look(file);
            if now != *seen {
                *seen = now;
                found = found.or_else(|| Some(file.clone()));
            }
        }
        found
    }
}

pub(crate) fn look(file: &Path) -> Seen {
    let it = file.metadata().ok()?;
    Some((it.dev(), it.ino(), it.mtime(), it.mtime_nsec(), it.size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_and_removal_count_as_a_touch() {
        let directory = tempfile::tempdir().unwrap();
        let mut touched = Touched::default();
        touched.watch(&["flag".into()], directory.path());
        assert_eq!(touched.check(), None);
        let flag = directory.path().join("flag");
        std::fs::write(&flag, "").unwrap();
        assert_eq!(touched.check(), Some(flag.clone()));
        assert_eq!(touched.check(), None);
        std::fs::remove_file(&flag).unwrap();
        assert_eq!(touched.check(), Some(flag));
    }
}
