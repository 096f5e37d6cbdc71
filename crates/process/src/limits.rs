//! Resource limits: the soft limit of descriptors goes up for us, and back down for the apps.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one; returns the soft limit as it was, which
/// the apps get back (select(2) breaks above 1024).
///
/// # Errors
/// What getrlimit(2) or setrlimit(2) says.
pub fn raise_nofile() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(soft)
}
