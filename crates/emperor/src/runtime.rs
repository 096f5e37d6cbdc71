//! The runtime directory: one emperor's by its lock, one directory below for each app.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use imperator_core::address::MAX_UNIX_PATH;
use imperator_core::message::{Config, Owner};
use imperator_process::lock::Lock;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::seen::Seen;
use crate::store::Stored;

/// A longer encoded name is cut and told apart by a hash.
const MAX_NAME: usize = 60;
/// The shortest useful cut name: a few letters, `~` and the hash.
const MIN_NAME: usize = 24;
/// The name of a master's socket in its app's directory.
pub const MASTER_SOCKET: &str = "master.sock";
/// Held by the directory's emperor.
pub(crate) const LOCK: &str = "lock";
/// The emperor's control socket.
pub const CONTROL_SOCKET: &str = "emperor.sock";

#[derive(Debug)]
pub enum RuntimeError {
    /// The lock is held by another emperor.
    Taken {
        path: PathBuf,
        pid: Option<i32>,
    },
    /// Its sockets would not fit `sockaddr_un`.
    TooLong(PathBuf),
    /// Somebody else could put files there.
    Foreign {
        path: PathBuf,
        owner: u32,
    },
    Io {
        path: PathBuf,
        error: io::Error,
    },
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { path, pid } => {
                write!(f, "another emperor ")?;
                if let Some(pid) = pid {
                    write!(f, "(pid {pid}) ")?;
                }
                write!(
                    f,
                    "runs with the runtime directory {}\n  hint: stop it, or give this one its \
                     own with --runtime-dir",
                    path.display()
                )
            }
            Self::TooLong(path) => write!(
                f,
                "the path of the runtime directory {} is too long for the sockets in it\n  hint: \
                 give a shorter one with --runtime-dir",
                path.display()
            ),
            Self::Foreign { path, owner } => write!(
                f,
                "the runtime directory {} belongs to user {owner}, not to us\n  hint: give \
                 another one with --runtime-dir",
                path.display()
            ),
            Self::Io { path, error } => write!(
                f,
                "cannot use the runtime directory {}: {error}\n  hint: give another one with \
                 --runtime-dir",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RuntimeError {}

/// The runtime directory, ours as long as this value lives.
#[derive(Debug)]
pub struct Runtime {
    path: PathBuf,
    lock: Lock,
}

/// Stopped by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// `uid N`, perhaps with more.
    pub by: String,
    /// Unix seconds.
    pub at: u64,
}

/// What the emperor remembers of an app, in its directory: for the next emperor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRecord {
    pub name: String,
    pub config: Config,
    /// Stopped by hand.
    #[serde(default)]
    pub halted: bool,
    /// By whom and when.
    #[serde(default)]
    pub stopped: Option<Stopped>,
    /// Its sockets that systemd keeps.
    #[serde(default)]
    pub stored: Vec<Stored>,
    /// Whose they are, under `emperor-tyrant`.
    #[serde(default)]
    pub owner: Option<Owner>,
    #[serde(default)]
    pub last_generation: u32,
    /// It sleeps without a master, and the emperor watches `stored`.
    #[serde(default)]
    pub dozing: bool,
    /// How often its master has died in a row, and until when it waits (Unix milliseconds).
    #[serde(default)]
    pub deaths: u32,
    #[serde(default)]
    pub retry_at: u64,
    /// Its file, when an emperor last acted on it.
    #[serde(default)]
    pub seen: Option<Seen>,
}

impl AppRecord {
    pub fn new(name: &str, config: &Config) -> Self {
        Self {
            name: name.to_owned(),
            config: config.clone(),
            halted: false,
            stopped: None,
            stored: Vec::new(),
            owner: None,
            last_generation: 0,
            dozing: false,
            deaths: 0,
            retry_at: 0,
            seen: None,
        }
    }
}

impl Runtime {
    /// Makes and locks the directory.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub fn take(path: &Path) -> Result<Self, RuntimeError> {
        Self::take_with(path, None)
    }

    /// As [`Runtime::take`], with a lock that this process has already.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub fn take_with(path: &Path, lock: Option<OwnedFd>) -> Result<Self, RuntimeError> {
        let failed = |error| RuntimeError::Io {
            path: path.to_owned(),
            error,
        };
        if room(path) < MIN_NAME {
            return Err(RuntimeError::TooLong(path.to_owned()));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(failed)?;
        let owner = fs::metadata(path).map_err(failed)?.uid();
        let me = nix::unistd::geteuid().as_raw();
        if owner != me && me != 0 {
            return Err(RuntimeError::Foreign {
                path: path.to_owned(),
                owner,
            });
        }
        let lock = match lock {
            Some(lock) => Some(Lock::from(lock)),
            None => Lock::try_take(&path.join(LOCK)).map_err(failed)?,
        };
        let Some(lock) = lock else {
            let pid = fs::read_to_string(path.join("emperor.pid")).ok();
            return Err(RuntimeError::Taken {
                path: path.to_owned(),
                pid: pid.and_then(|pid| pid.trim().parse().ok()),
            });
        };
        fs::write(
            path.join("emperor.pid"),
            format!("{}\n", std::process::id()),
        )
        .map_err(failed)?;
        let runtime = Self {
            path: path.to_owned(),
            lock,
        };
        make_private(&runtime.apps()).map_err(failed)?;
        Ok(runtime)
    }

    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// What is noted of an app.
    pub fn record(&self, name: &str) -> Option<AppRecord> {
        record_in(&self.app_directory(name))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn control_socket(&self) -> PathBuf {
        self.path.join(CONTROL_SOCKET)
    }

    /// The directories of all apps that have one.
    pub fn app_directories(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.apps()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    pub fn app_directory(&self, name: &str) -> PathBuf {
        self.apps()
            .join(encode(name, room(&self.path).min(MAX_NAME)))
    }

    /// Makes an app's directory and notes whose it is.
    ///
    /// # Errors
    /// What mkdir(2) or write(2) says.
    pub fn remember(&self, record: &AppRecord) -> io::Result<PathBuf> {
        let directory = self.app_directory(&record.name);
        make_private(&directory)?;
        write_record(&directory, record)?;
        Ok(directory)
    }

    /// Changes what is noted of an app that is known.
    pub fn amend(&self, name: &str, change: impl FnOnce(&mut AppRecord)) {
        let Some(old) = self.record(name) else {
            return;
        };
        let mut new = old.clone();
        change(&mut new);
        if new != old
            && let Err(error) = self.remember(&new)
        {
            warn!("[emperor] cannot note what is known of {name}: {error}");
        }
    }

    pub fn forget(&self, name: &str) {
        // What cannot be removed is stale, and told as such by the next start.
        let _ = fs::remove_dir_all(self.app_directory(name));
    }

    fn apps(&self) -> PathBuf {
        self.path.join("apps")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.control_socket());
        let _ = fs::remove_file(self.path.join("emperor.pid"));
    }
}

/// # Errors
/// What write(2) or rename(2) says.
pub fn write_record(directory: &Path, record: &AppRecord) -> io::Result<()> {
    let new = directory.join("state.json.new");
    fs::write(&new, serde_json::to_vec(record)?)?;
    fs::rename(new, directory.join("state.json"))
}

/// What an earlier emperor noted in an app's directory.
pub fn record_in(directory: &Path) -> Option<AppRecord> {
    let text = fs::read(directory.join("state.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

fn make_private(path: &Path) -> io::Result<()> {
    // With its parents: somebody may have cleaned up below a running emperor.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// The bytes that remain for an app's directory name so that its socket's path fits.
fn room(runtime: &Path) -> usize {
    let rest = "/apps/".len() + "/".len() + MASTER_SOCKET.len();
    MAX_UNIX_PATH.saturating_sub(runtime.as_os_str().len() + rest)
}

/// A file name that stands for an app's name: percent-encoded, and cut when it is long.
fn encode(name: &str, limit: usize) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b':' | b'@' | b'+' | b',')
            || (byte == b'.' && index > 0);
        if plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.len() <= limit {
        return encoded;
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let hash = format!("~{:016x}", hasher.finish());
    // All ASCII, so any cut is a boundary.
    encoded.truncate(limit.saturating_sub(hash.len()));
    encoded + &hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_file_names_that_differ() {
        assert_eq!(encode("blog", 60), "blog");
        assert_eq!(encode("shop/uwsgi:api v2", 60), "shop%2Fuwsgi:api%20v2");
        assert_eq!(encode("../x", 60), "%2E.%2Fx");
        assert_eq!(encode(".", 60), "%2E");
        let (one, two) = ("x".repeat(300), "x".repeat(301));
        assert_eq!(encode(&one, 60).len(), 60);
        assert_ne!(encode(&one, 60), encode(&two, 60));
    }

    #[test]
    fn the_directory_has_one_emperor_and_the_second_is_told_which() {
        let base = tempfile::tempdir().unwrap();
        let first = Runtime::take(base.path()).unwrap();
        let second = Runtime::take(base.path()).unwrap_err().to_string();
        let pid = format!("(pid {})", std::process::id());
        assert!(second.contains(&pid), "{second}");
        let config = Config {
            file: "/v/a.ini".into(),
            section: None,
        };
        let mut record = AppRecord::new("a/b", &config);
        record.halted = true;
        let directory = first.remember(&record).unwrap();
        assert_eq!(first.app_directories(), std::slice::from_ref(&directory));
        assert_eq!(record_in(&directory), Some(record));
        first.forget("a/b");
        assert!(first.app_directories().is_empty());
        drop(first);
        Runtime::take(base.path()).unwrap();
        let long = base.path().join("x".repeat(90));
        assert!(matches!(
            Runtime::take(&long),
            Err(RuntimeError::TooLong(_))
        ));
    }
}
