//! `touch-reload`: files whose change, creation or removal reloads the app. Looked at once a second.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use imperator_process::elsewhere::Elsewhere;

/// Device, inode, mtime with its nanoseconds, size; `None`: not there.
pub(crate) type Seen = Option<(u64, u64, i64, i64, u64)>;

/// Looks at files by the clock. One whose file system hangs is left as it was: it holds a thread, not
/// the master.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    elsewhere: Elsewhere,
    hanging: Vec<PathBuf>,
    news: Vec<PathBuf>,
}

impl Lookout {
    /// `None`: nobody knows.
    pub(crate) fn look(&mut self, file: &Path) -> Option<Seen> {
        let path = file.to_owned();
        let seen = self.elsewhere.ask(file, move || look(&path));
        let known = self.hanging.iter().position(|it| it == file);
        match (seen, known) {
            (Some(_), Some(at)) => drop(self.hanging.swap_remove(at)),
            (None, None) => {
                self.hanging.push(file.to_owned());
                self.news.push(file.to_owned());
            }
            (Some(_), None) | (None, Some(_)) => (),
        }
        seen
    }

    /// Files that have begun to hang since the last call.
    pub(crate) fn take_hanging(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.news)
    }
}

/// What an operator is told of one that hangs.
pub(crate) fn hanging(file: &Path) -> String {
    format!(
        "cannot look whether {} was touched: its file system does not answer; a touch counts when it \
         does",
        file.display()
    )
}

#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// With what was seen last; `None`: nothing so far.
    files: Vec<(PathBuf, Option<Seen>)>,
    lookout: Lookout,
}

impl Touched {
    pub(crate) fn watch(&mut self, files: &[PathBuf], cwd: &Path) {
        let old = std::mem::take(&mut self.files);
        for file in files.iter().map(|file| cwd.join(file)) {
            // What was watched before keeps what was seen: a touch in between still counts.
            let known = old.iter().find(|(other, _)| *other == file);
            let seen = known.map_or_else(|| self.lookout.look(&file), |&(_, seen)| seen);
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
            let Some(now) = self.lookout.look(file) else {
                continue;
            };
            let before = seen.replace(now);
            if before.is_some_and(|before| before != now) {
                found = found.or_else(|| Some(file.clone()));
            }
        }
        found
    }

    pub(crate) fn take_hanging(&mut self) -> Vec<PathBuf> {
        self.lookout.take_hanging()
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
