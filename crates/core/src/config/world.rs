//! What reading a config may see of the world. `imperator resolve` implements it on the real system,
//! in a process of its own with a deadline; tests implement it in memory.

use std::path::Path;

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

    fn kind(&self, path: &Path) -> Kind;

    /// Of the path itself, not of what a link points to; 0 when there is none.
    fn inode(&self, path: &Path) -> u64;

    /// One variable of the environment.
    fn env(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// The variables whose names start with `UWSGI_`, in the environment's order.
    fn uwsgi_env(&self) -> Vec<(String, Vec<u8>)>;
}
