//! What a program hands to the program that takes its place in the same process: a text and
//! descriptors. Also what systemd hands to a service that it starts (sd_listen_fds(3)).

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mask::SignalMask;
use crate::{fds, mask, shared};

/// `PID:FD`: for this process alone, whoever else has the variable.
pub const VARIABLE: &str = "IMPERATOR_STATE";
/// A longer text is none of ours.
const MAX_TEXT: u64 = 64 << 20;

/// What was handed to this program; nobody else owns any of it.
#[derive(Debug, Default)]
pub struct Estate {
    /// `None`: this program was started by another one, and took nobody's place.
    pub text: Option<Vec<u8>>,
    /// By the numbers that the text names.
    fds: BTreeMap<RawFd, OwnedFd>,
    /// From systemd: the names beside.
    pub stored: Vec<(String, OwnedFd)>,
}

impl Estate {
    /// Owns every descriptor from 3 on that this process was started with, if somebody said that they
    /// are for it. Call it before anything is opened; a second call finds nothing.
    pub fn take() -> Self {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Self::default();
        }
        let me = std::process::id();
        let state = std::env::var(VARIABLE).ok();
        let state = state.as_deref().and_then(|text| text.split_once(':'));
        let state = state.filter(|(pid, _)| pid.parse() == Ok(me));
        let state: Option<RawFd> = state.and_then(|(_, fd)| fd.parse().ok());
        let listens = std::env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(me));
        match state {
            Some(state) => Self::of_predecessor(state),
            None if listens => Self::of_systemd(),
            None => Self::default(),
        }
    }

    fn of_predecessor(state: RawFd) -> Self {
        let mut fds = BTreeMap::new();
        let listed = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        let numbers: Vec<RawFd> = listed
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&fd| fd > 2)
            .collect();
        for fd in numbers {
            // SAFETY: the first and only taking, before this program has opened anything; what is
            // listed and closed by now (the listing itself) is refused with EBADF.
            if let Ok(owned) = unsafe { fds::inherit(fd) } {
                fds.insert(fd, owned);
            }
        }
        let text = fds.remove(&state).and_then(|fd| {
            let mut text = Vec::new();
            let read = File::from(fd).take(MAX_TEXT).read_to_end(&mut text);
            read.is_ok().then_some(text)
        });
        Self {
            // Whoever took a place must know it, even when nothing can be read.
            text: Some(text.unwrap_or_default()),
            fds,
            stored: Vec::new(),
        }
    }

    fn of_systemd() -> Self {
        let count = std::env::var("LISTEN_FDS").ok();
        let count: RawFd = count.and_then(|it| it.parse().ok()).unwrap_or(0);
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut stored = Vec::new();
        for fd in 3..3_i32.saturating_add(count) {
            // SAFETY: as above; systemd opened these for us.
            let Ok(owned) = (unsafe { fds::inherit(fd) }) else {
                break;
            };
            stored.push((names.next().unwrap_or_default().to_owned(), owned));
        }
        Self {
            text: None,
            fds: BTreeMap::new(),
            stored,
        }
    }

    /// What systemd has kept under this name.
    pub fn take_stored(&mut self, name: &str) -> Option<OwnedFd> {
        let index = self.stored.iter().position(|(it, _)| it == name)?;
        Some(self.stored.swap_remove(index).1)
    }

    /// The descriptor of this number; `None`: it was not handed over, or is taken.
    pub fn fd(&mut self, number: RawFd) -> Option<OwnedFd> {
        self.fds.remove(&number)
    }
}

/// Puts another program in the place of this one: same process, same children, with `text` and `fds`
/// for its [`Estate`]. Signals wait until the next program hears them ([`hear_signals`]).
/// `is_calm` is asked when no signal can come any more; `false` leaves everything as it is.
///
/// # Errors
/// Returns only when it was not done; nothing has changed then. `Interrupted`: not calm.
pub fn replace(
    program: &Path,
    args: &[OsString],
    text: &[u8],
    fds: &[BorrowedFd<'_>],
    is_calm: impl Fn() -> bool,
) -> io::Result<()> {
    let state = shared::text("imperator-state", text)?;
    let c = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let program = c(program.as_os_str())?;
    let args = args.iter().map(|it| c(it)).collect::<Result<Vec<_>, _>>()?;
    let mut env = Vec::new();
    let is_old = |key: &OsStr| {
        let of_systemd = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
        key == VARIABLE || of_systemd.iter().any(|it| key == *it)
    };
    for (key, value) in std::env::vars_os().filter(|(key, _)| !is_old(key)) {
        let mut pair = key;
        pair.push("=");
        pair.push(value);
        env.push(c(&pair)?);
    }
    let own = format!("{VARIABLE}={}:{}", std::process::id(), state.as_raw_fd());
    env.push(c(OsStr::new(&own))?);
    let all: Vec<_> = fds.iter().copied().chain([state.as_fd()]).collect();
    let mask = SignalMask::block_all();
    let result = if is_calm() {
        keep(&all, true).and_then(|()| {
            let error = nix::unistd::execve(&program, &args, &env);
            Err(error.map_or_else(io::Error::from, |never| match never {}))
        })
    } else {
        Err(io::ErrorKind::Interrupted.into())
    };
    // What cannot be set back closes with its owner.
    let _ = keep(&all, false);
    mask.restore();
    result
}

/// The signals that waited since [`replace`] come now.
pub fn hear_signals() {
    mask::unblock_all();
}

fn keep(fds: &[BorrowedFd<'_>], over_exec: bool) -> io::Result<()> {
    use rustix::io::FdFlags;
    let flags = match over_exec {
        true => FdFlags::empty(),
        false => FdFlags::CLOEXEC,
    };
    for fd in fds {
        rustix::io::fcntl_setfd(fd, flags)?;
    }
    Ok(())
}
