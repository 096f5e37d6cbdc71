//! Actions that wait, each with a limit. This process has nothing else to do, so it looks again
//! after a short pause.

use std::io::{self, Write};
use std::net::ToSocketAddrs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::action::Wanted;
use nix::fcntl::OFlag;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// One try to connect.
const CONNECT: Duration = Duration::from_secs(1);

pub(crate) fn pause(span: Duration) {
    let millis = i32::try_from(span.as_millis()).unwrap_or(i32::MAX);
    let timeout = nix::poll::PollTimeout::try_from(millis).unwrap_or(nix::poll::PollTimeout::MAX);
    // A signal that cuts it short does no harm.
    let _ = nix::poll::poll(&mut [], timeout);
}

/// Whether `is_there` within the limit; looks at least once.
fn until(limit: Duration, mut is_there: impl FnMut() -> bool) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "this process only waits: it is its own run loop"
    )]
    let now = Instant::now;
    let end = now() + limit;
    loop {
        if is_there() {
            return true;
        }
        if now() >= end {
            return false;
        }
        pause(LOOK);
    }
}

pub(crate) fn for_fs(path: &Path, wanted: Wanted, limit: Duration) -> Result<(), String> {
    crate::say(&format!(
        "waiting for {} (max {} seconds) ...",
        path.display(),
        limit.as_secs()
    ));
    let found = until(limit, || match (path.metadata(), wanted) {
        (Err(_), _) => false,
        (Ok(_), Wanted::Anything) => true,
        (Ok(it), Wanted::File) => it.is_file(),
        (Ok(it), Wanted::Directory) => it.is_dir(),
        (Ok(it), Wanted::Mountpoint) => {
            let above = path.join("..").metadata();
            it.is_dir() && above.is_ok_and(|above| above.dev() != it.dev())
        }
    });
    let why = || {
        format!(
            "{} is not there after {} s",
            path.display(),
            limit.as_secs()
        )
    };
    found.then_some(()).ok_or_else(why)
}

pub(crate) fn for_socket(address: &str, limit: Duration) -> Result<(), String> {
    crate::say(&format!(
        "waiting for {address} (max {} seconds) ...",
        limit.as_secs()
    ));
    let found = until(limit, || {
        if !address.contains(':') {
            return UnixStream::connect(address).is_ok();
        }
        // ":3031" is this machine.
        let address = match address.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.to_owned(),
        };
        let addresses = address.to_socket_addrs().into_iter().flatten();
        addresses
            .take(4)
            .any(|it| std::net::TcpStream::connect_timeout(&it, CONNECT).is_ok())
    });
    let why = || format!("nobody listens on {address} after {} s", limit.as_secs());
    found.then_some(()).ok_or_else(why)
}

/// Without a reader nothing is written, and that is no failure, as in the original.
pub(crate) fn write_fifo(path: &Path, text: &str, limit: Duration) -> Result<(), String> {
    let mut failure = None;
    let done = until(limit, || {
        let opened = std::fs::File::options()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path);
        let error = match opened.and_then(|mut fifo| fifo.write_all(text.as_bytes())) {
            Ok(()) => return true,
            Err(error) => error,
        };
        let no_reader = [nix::Error::ENXIO, nix::Error::ENODEV]
            .iter()
            .any(|errno| error.raw_os_error() == Some(*errno as i32));
        let not_yet = error.kind() == io::ErrorKind::NotFound && !limit.is_zero();
        if no_reader || not_yet {
            return false;
        }
        failure = Some(error.to_string());
        true
    });
    match failure {
        Some(why) => Err(why),
        None if done || limit.is_zero() => Ok(()),
        None => Err(format!("nobody reads it after {} s", limit.as_secs())),
    }
}
