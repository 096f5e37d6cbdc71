//! A log file: opened with no more rights than its app has where the app could put something in
//! its way, rotated by size or on demand, followed when somebody moves it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imperator_core::settings::logs::LogFile;
use imperator_process::as_user::{as_user, may_place};
use imperator_process::privileges::{self, Identity};
use imperator_process::time;

use crate::clock;

/// A file that was moved away is noticed when it is written to, this long after the last look.
const LOOK: Duration = Duration::from_secs(1);

/// What holds for all files of an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// The app's user, when it is another one than ours.
    pub user: Option<Identity>,
    pub chown: bool,
    pub chmod: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Rotating {
    file: File,
    path: PathBuf,
    settings: LogFile,
    rules: Rules,
    /// Only these can be rotated: no terminals, no pipes.
    is_regular: bool,
    size: u64,
    /// No rotation before the file has this size: the last one failed.
    not_before: u64,
    /// Our stderr, which somebody else opened and moves.
    is_inherited: bool,
    looked: Instant,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As the config asks at the start.
    First {
        truncate: bool,
    },
    Again,
}

impl Rotating {
    /// # Errors
    /// What open(2) says.
    pub(crate) fn open(settings: &LogFile, rules: &Rules, truncate: bool) -> io::Result<Self> {
        let path = settings.path.clone();
        let file = open(&path, settings, rules, How::First { truncate })?;
        let found = file.metadata()?;
        Ok(Self {
            is_regular: found.is_file(),
            size: found.len(),
            file,
            path,
            settings: settings.clone(),
            rules: rules.clone(),
            not_before: 0,
            is_inherited: false,
            looked: clock::now(),
        })
    }

    /// A file that we were started with; `None`: it has no name.
    pub(crate) fn inherited(file: &File) -> io::Result<Option<Self>> {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let (here, there) = (file.metadata()?, path.metadata());
        let is_named = there.is_ok_and(|it| (it.dev(), it.ino()) == (here.dev(), here.ino()));
        if !is_named {
            return Ok(None);
        }
        Ok(Some(Self {
            file: file.try_clone()?,
            settings: LogFile::at(&path),
            path,
            rules: Rules::default(),
            is_regular: here.is_file(),
            size: here.len(),
            not_before: 0,
            is_inherited: true,
            looked: clock::now(),
        }))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn has(&self, rules: &Rules) -> bool {
        self.rules == *rules
    }

    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.size += bytes as u64;
    }

    pub(crate) fn is_too_big(&self) -> bool {
        let limit = self.settings.max_size;
        self.is_regular
            && limit.is_some_and(|limit| self.size > limit)
            && self.size >= self.not_before
    }

    /// Before a write, at most once a second.
    pub(crate) fn follow_now_and_then(&mut self) {
        let now = clock::now();
        if now.saturating_duration_since(self.looked) >= LOOK {
            self.looked = now;
            self.follow();
        }
    }

    /// Somebody may have moved the file away, or cut it (copytruncate).
    pub(crate) fn follow(&mut self) {
        let Ok(here) = self.file.metadata() else {
            return;
        };
        self.size = here.len();
        let there = self.path.metadata();
        let is_same = there.is_ok_and(|it| (it.dev(), it.ino()) == (here.dev(), here.ino()));
        if self.is_inherited {
            // Whoever moved it makes the new one; what another user has put there is none.
            let new = open_ours(&self.path, false, false);
            if !is_same
                && let Ok(new) = new
                && new.metadata().is_ok_and(|it| it.uid() == here.uid())
            {
                self.file = new;
            }
        } else if !is_same {
            // Not possible now, perhaps a second later: until then into the old one.
            let _ = self.reopen();
        }
    }

    /// # Errors
    /// The file cannot be opened again; the old one is written on.
    pub(crate) fn reopen(&mut self) -> Result<(), String> {
        if self.is_inherited {
            self.follow();
            return Ok(());
        }
        let new = open(&self.path, &self.settings, &self.rules, How::Again);
        self.file = new.map_err(|error| {
            let path = self.path.display();
            format!("cannot open the log file {path} again: {error}; the old one is written on")
        })?;
        self.size = self.file.metadata().map_or(0, |it| it.len());
        Ok(())
    }

    /// Gives the file its other name and begins a new one.
    ///
    /// # Errors
    /// That was not possible; lines go on into the file that is open.
    pub(crate) fn rotate(&mut self) -> Result<(), String> {
        if !self.is_regular || self.is_inherited {
            let path = self.path.display();
            return Err(format!("cannot rotate {path}: it is no log file of ours"));
        }
        let epoch = clock::epoch();
        let backup = match &self.settings.backup {
            Some(name) => name.clone(),
            None => free_name(&self.path, epoch),
        };
        let shown = backup.display().to_string();
        let stamp = time::ctime(i64::try_from(epoch).unwrap_or(0));
        let note = format!("{stamp} - {} bytes, rotated to {shown}\n", self.size);
        let failed = |error: io::Error| {
            format!(
                "cannot rotate the log file {} to {shown}: {error}",
                self.path.display()
            )
        };
        let rename = || std::fs::rename(&self.path, &backup);
        let renamed = match self.guard() {
            Some(user) => as_user(user, rename),
            None => rename(),
        };
        if let Err(error) = renamed {
            // The next try when there is as much again.
            self.not_before = self.size + self.settings.max_size.unwrap_or(0).max(1);
            return Err(failed(error));
        }
        let _ = (&self.file).write_all(note.as_bytes());
        self.not_before = 0;
        let new = open(&self.path, &self.settings, &self.rules, How::Again);
        match new {
            Ok(file) => {
                self.file = file;
                self.size = 0;
                Ok(())
            }
            Err(error) => {
                self.not_before = self.size + self.settings.max_size.unwrap_or(0).max(1);
                Err(failed(error))
            }
        }
    }

    fn guard(&self) -> Option<&Identity> {
        guard(&self.path, &self.rules)
    }
}

/// With whose rights this path is used after the start; `None`: ours.
fn guard<'a>(path: &Path, rules: &'a Rules) -> Option<&'a Identity> {
    let user = rules.user.as_ref().filter(|_| privileges::is_root())?;
    (user.uid != 0 && may_place(user, path)).then_some(user)
}

fn open(path: &Path, settings: &LogFile, rules: &Rules, how: How) -> io::Result<File> {
    let (truncate, is_first) = match how {
        How::First { truncate } => (truncate, true),
        How::Again => (false, false),
    };
    // Without its user the app is we; then a link is the operator's.
    let follows = is_first || rules.user.is_none();
    let file = match guard(path, rules) {
        None => open_ours(path, true, follows)?,
        Some(user) => as_user(user, || open_ours(path, true, true)).or_else(|error| {
            // Made by root before, or in a directory of root's below one of the app's. Only a new
            // file at the start is made where the app could have led us elsewhere.
            let ours = open_ours(path, is_first, false).ok();
            let is_one = |file: &File| file.metadata().is_ok_and(|it| it.nlink() == 1);
            ours.filter(is_one).ok_or(error)
        })?,
    };
    let found = file.metadata()?;
    if truncate && found.is_file() {
        file.set_len(0)?;
    }
    if found.is_file() && found.nlink() == 1 {
        // The owner first: chown(2) clears mode bits. Whoever may not give it away keeps it.
        let is_root = privileges::is_root();
        let gives = rules.chown || settings.as_user;
        if let Some(user) = rules.user.as_ref().filter(|_| gives && is_root)
            && (found.uid(), found.gid()) != (user.uid, user.gid)
        {
            let _ = std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid));
        }
        if let Some(mode) = rules.chmod {
            let _ = file.set_permissions(PermissionsExt::from_mode(mode));
        }
    }
    Ok(file)
}

/// Opens with the rights that this thread has now.
fn open_ours(path: &Path, creates: bool, follows: bool) -> io::Result<File> {
    let mut flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    if !follows {
        flags |= nix::libc::O_NOFOLLOW;
    }
    OpenOptions::new()
        .append(true)
        .create(creates)
        .mode(0o640)
        .custom_flags(flags)
        .open(path)
}

/// `path.1795401037`, or with a number behind it when two rotations fall into one second.
fn free_name(path: &Path, epoch: u64) -> PathBuf {
    let named = |end: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let first = named(format!(".{epoch}"));
    let more = (1..100).map(|number| named(format!(".{epoch}-{number}")));
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    std::iter::once(first.clone())
        .chain(more)
        .find(is_free)
        .unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &mut Rotating, text: &str) {
        file.file().write_all(text.as_bytes()).unwrap();
        file.wrote(text.len());
    }

    #[test]
    fn a_file_that_is_too_big_gets_another_name_and_a_successor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let settings = LogFile {
            backup: Some(folder.path().join("old")),
            max_size: Some(10),
            ..LogFile::at(&path)
        };
        let rules = Rules {
            chmod: Some(0o604),
            ..Rules::default()
        };
        let mut file = Rotating::open(&settings, &rules, false).unwrap();
        write(&mut file, "0123456789");
        assert!(!file.is_too_big());
        write(&mut file, "\n");
        assert!(file.is_too_big());
        file.rotate().unwrap();
        assert!(!file.is_too_big());
        write(&mut file, "new\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o604);
        let old = std::fs::read_to_string(folder.path().join("old")).unwrap();
        assert!(
            old.starts_with("0123456789\n") && old.contains("11 bytes, rotated to"),
            "{old}"
        );
    }

    #[test]
    fn rotations_of_one_second_lose_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut file = Rotating::open(&LogFile::at(&path), &Rules::default(), false).unwrap();
        for _ in 0..5 {
            file.rotate().unwrap();
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 6);
    }

    #[test]
    fn a_rotation_that_fails_is_not_tried_for_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let settings = LogFile {
            backup: Some(folder.path().join("no/such/folder")),
            max_size: Some(10),
            ..LogFile::at(&path)
        };
        let mut file = Rotating::open(&settings, &Rules::default(), false).unwrap();
        write(&mut file, "0123456789\n");
        let error = file.rotate().unwrap_err();
        assert!(error.starts_with("cannot rotate the log file"), "{error}");
        write(&mut file, "more\n");
        assert!(!file.is_too_big());
        write(&mut file, "0123456789\n");
        assert!(file.is_too_big());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_file_that_was_moved_or_cut_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut file = Rotating::open(&LogFile::at(&path), &Rules::default(), false).unwrap();
        write(&mut file, "one\n");
        std::fs::rename(&path, folder.path().join("b")).unwrap();
        file.follow();
        write(&mut file, "two\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        // copytruncate
        std::fs::write(&path, "").unwrap();
        file.follow();
        assert_eq!(file.size, 0);
        write(&mut file, "three\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        let again = Rotating::open(&LogFile::at(&path), &Rules::default(), true).unwrap();
        assert_eq!((again.size, path.metadata().unwrap().len()), (0, 0));
    }

    #[test]
    fn a_stderr_that_was_moved_is_followed_when_there_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("err.log");
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        let mut file = Rotating::inherited(&opened).unwrap().unwrap();
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        file.follow();
        write(&mut file, "one\n");
        assert!(!path.exists(), "who moved it makes the new one");
        std::fs::write(&path, "").unwrap();
        file.follow();
        write(&mut file, "two\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert!(file.rotate().is_err());
    }

    #[test]
    fn an_app_cannot_lead_root_to_a_file_of_another_one() {
        if !privileges::is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(61_234), Some(61_234)).unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        let path = folder.path().join("a.log");
        let rules = Rules {
            user: Some(Identity {
                uid: 61_234,
                gid: 61_234,
                groups: vec![61_234],
                name: None,
                home: None,
            }),
            ..Rules::default()
        };
        let mut file = Rotating::open(&LogFile::at(&path), &rules, false).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(secret.path(), &path).unwrap();
        file.follow();
        assert!(file.reopen().is_err());
        write(&mut file, "line\n");
        assert_eq!(secret.path().metadata().unwrap().len(), 0);
        std::fs::remove_file(&path).unwrap();
        file.follow();
        write(&mut file, "line\n");
        assert_eq!(path.metadata().unwrap().uid(), 61_234);
    }
}
