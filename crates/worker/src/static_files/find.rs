//! Where a static file is. Everything is looked up anew for each request: a deploy that moves a
//! symbolic link is seen at once.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A regular file, open.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    /// With all links followed.
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) modified: u64,
}

/// What may be served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) index: &'a [String],
    pub(super) safe: &'a [PathBuf],
}

impl Rules<'_> {
    /// Finds what `rest` names below `root`, by the original's rule: the path is appended as it is,
    /// and the result, with all links followed, must still be the root, below it or below a safe
    /// directory. A root that is a file is that file, whatever the rest says.
    pub(super) fn find(self, root: &Path, rest: &[u8]) -> io::Result<Option<Found>> {
        let root = root.canonicalize()?;
        if root.is_file() {
            return self.open(&root, &root);
        }
        let mut asked = root.clone().into_os_string();
        // The join of the original: "/static" and "/a" as well as "/static/" and "a".
        if !rest.is_empty() && !rest.starts_with(b"/") {
            asked.push("/");
        }
        asked.push(OsStr::from_bytes(rest));
        let path = Path::new(&asked).canonicalize()?;
        if !path.is_dir() {
            return self.open(&root, &path);
        }
        for name in self.index {
            if let Ok(path) = path.join(name).canonicalize()
                && path.is_file()
            {
                return self.open(&root, &path);
            }
        }
        Ok(None)
    }

    /// The file of exactly this path: one that leads elsewhere by a link or by `..` must lead to a
    /// safe directory.
    pub(super) fn exactly(self, path: &[u8]) -> io::Result<Option<Found>> {
        let asked = Path::new(OsStr::from_bytes(path));
        let real = asked.canonicalize()?;
        self.open(asked, &real)
    }

    /// `FILE.br` or `FILE.gz` beside a file that was found.
    pub(super) fn beside(self, found: &Found, end: &str) -> Option<Found> {
        let mut path = found.path.clone().into_os_string();
        path.push(end);
        let path = PathBuf::from(path);
        self.open(&path, &path).ok().flatten()
    }

    /// `path` has no links in it any more.
    fn open(self, root: &Path, path: &Path) -> io::Result<Option<Found>> {
        let base = if path.starts_with(root) {
            root.to_owned()
        } else {
            let mut safe = self.safe.iter().filter_map(|it| it.canonicalize().ok());
            match safe.find(|safe| path.starts_with(safe)) {
                Some(safe) => safe,
                None => return Ok(None),
            }
        };
        // By whole components: "/srv/static-secret" is not below "/srv/static".
        let Ok(below) = path.strip_prefix(&base) else {
            return Ok(None);
        };
        let file = open_below(&base, below, path)?;
        let stat = file.metadata()?;
        Ok(stat.is_file().then(|| Found {
            size: stat.size(),
            modified: u64::try_from(stat.mtime()).unwrap_or(0),
            file,
            path: path.to_owned(),
        }))
    }
}

/// Opens without following links: none was there a moment ago, and one that is there now may lead
/// outside. Never blocks on a FIFO.
fn open_below(root: &Path, below: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !below.as_os_str().is_empty() {
        let dir = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&dir, below, flags, Mode::empty(), resolve) {
            Ok(file) => return Ok(file.into()),
            // Forbidden by an old container runtime's filter.
            Err(Errno::NOSYS | Errno::PERM) => (),
            Err(error) => return Err(error.into()),
        }
    }
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
}

/// A path as the file system takes it.
pub(super) fn os(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("static");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir(dir.path().join("static-secret")).unwrap();
        std::fs::write(dir.path().join("static-secret/s"), "secret").unwrap();
        std::fs::write(dir.path().join("outside"), "secret").unwrap();
        std::fs::write(root.join("sub/a.txt"), "hello").unwrap();
        std::os::unix::fs::symlink("sub/a.txt", root.join("inside")).unwrap();
        std::os::unix::fs::symlink(root.join("sub"), root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("escape")).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(root.join("fifo"))
            .status()
            .unwrap();
        assert!(status.success());
        (dir, root)
    }

    fn size(rules: Rules<'_>, root: &Path, rest: &str) -> Option<u64> {
        let found = rules.find(root, rest.as_bytes());
        found.ok().flatten().map(|found| found.size)
    }

    const PLAIN: Rules<'static> = Rules {
        index: &[],
        safe: &[],
    };

    #[test]
    fn only_regular_files_below_the_root_are_found() {
        let (_dir, root) = tree();
        for rest in [
            "/sub/a.txt",
            "sub/a.txt",
            "/sub/../inside",
            "/absolute/a.txt",
        ] {
            assert_eq!(size(PLAIN, &root, rest), Some(5), "{rest}");
        }
        for rest in [
            "",
            "/",
            "/sub",
            "/none",
            "/escape",
            "/../outside",
            "/../static-secret/s",
            "-secret/s",
            "/sub/a.txt/",
            "/fifo",
            "/sub/a.txt\0",
        ] {
            assert_eq!(size(PLAIN, &root, rest), None, "{rest}");
        }
        let file = root.join("sub/a.txt");
        assert_eq!(size(PLAIN, &file, ""), Some(5));
        assert_eq!(size(PLAIN, &file, "/whatever"), Some(5));
    }

    #[test]
    fn an_index_is_looked_for_in_directories_and_must_not_escape_either() {
        let (_dir, root) = tree();
        let index = ["none.html".to_owned(), "a.txt".to_owned()];
        let rules = Rules {
            index: &index,
            safe: &[],
        };
        assert_eq!(size(rules, &root, "/sub"), Some(5));
        assert_eq!(size(rules, &root, "/sub/"), Some(5));
        assert_eq!(size(rules, &root, "/"), None);
        std::os::unix::fs::symlink("../outside", root.join("a.txt")).unwrap();
        assert_eq!(size(rules, &root, "/"), None);
    }

    #[test]
    fn a_link_may_lead_to_a_safe_directory_and_its_namesakes_stay_closed() {
        let (dir, root) = tree();
        let safe = [dir.path().join("outside")];
        let rules = Rules {
            index: &[],
            safe: &safe,
        };
        assert_eq!(size(rules, &root, "/escape"), Some(6));
        assert_eq!(size(rules, &root, "/../static-secret/s"), None);
        let named = root.join("../outside");
        let found = PLAIN.exactly(named.as_os_str().as_bytes());
        assert!(found.unwrap().is_none());
        assert!(
            rules
                .exactly(named.as_os_str().as_bytes())
                .unwrap()
                .is_some()
        );
        let plain = root.canonicalize().unwrap().join("sub/a.txt");
        assert!(
            PLAIN
                .exactly(plain.as_os_str().as_bytes())
                .unwrap()
                .is_some()
        );
    }
}
