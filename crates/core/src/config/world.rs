//! What reading a config may see of the world. `imperator resolve` implements it on the real system,
//! in a process of its own with a deadline; tests implement it in memory.

use std::path::{Path, PathBuf};

use crate::ini::magic::Facts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Missing,
    File,
    Directory,
    /// A FIFO, a device, a socket.
    Other,
}

/// Relative paths start from [`Facts::cwd`].
pub trait World {
    fn facts(&self) -> &Facts;

    /// The whole content. Regular files and FIFOs only, not more than [`crate::ini::MAX_FILE`]
    /// bytes and one.
    ///
    /// # Errors
    /// A lower-case phrase: why not.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// The output of a shell command, for `@(exec://…)`.
    ///
    /// # Errors
    /// A lower-case phrase: why not.
    fn run(&self, command: &str) -> Result<Vec<u8>, String>;

    /// What a plain HTTP GET of `host[:port]/path` gives, for `@(http://…)`.
    ///
    /// # Errors
    /// A lower-case phrase: why not.
    fn fetch(&self, _url: &str) -> Result<Vec<u8>, String> {
        Err("there is no network".to_owned())
    }

    /// Whether this config file belongs to the user that reads it (or to root): only such a file may
    /// run commands and ask the network.
    fn is_own(&self, _config: &Path) -> bool {
        true
    }

    fn kind(&self, path: &Path) -> Kind;

    /// Of the path itself, not of what a link points to; 0 when there is none.
    fn inode(&self, path: &Path) -> u64;

    /// Absolute, without links and dots; but a path that is a link itself stays that.
    fn absolute(&self, path: &Path) -> PathBuf {
        self.facts().cwd.join(path)
    }

    /// The paths that a glob(3) pattern stands for, sorted, directories with a slash behind them; not
    /// more than `limit`.
    fn glob(&self, _pattern: &str, _limit: usize) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// The names of the regular files in a directory, sorted; hidden ones left out.
    ///
    /// # Errors
    /// A lower-case phrase: why not.
    fn names(&self, _directory: &Path) -> Result<Vec<String>, String> {
        Err("no such file or directory".to_owned())
    }

    /// An address of this host.
    ///
    /// # Errors
    /// A lower-case phrase: why not.
    fn look_up(&self, _host: &str) -> Result<String, String> {
        Err("there is no network".to_owned())
    }

    /// The first address of this machine's interfaces that begins so: `192.168.` finds
    /// `192.168.0.7`.
    fn interface(&self, _prefix: &str) -> Option<String> {
        None
    }

    /// One variable of the environment.
    fn env(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// The variables whose names start with `UWSGI_`, in the environment's order.
    fn uwsgi_env(&self) -> Vec<(String, Vec<u8>)>;
}
