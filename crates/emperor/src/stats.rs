//! `emperor-stats`: JSON about the vassals, in the original's shape (uWSGI: core/emperor.c,
//! emperor_send_stats), for the tools that read it.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use imperator_core::address::Address;
use imperator_process::documents::Documents;
use imperator_process::fds;
use serde_json::{Value, json};

use crate::control::{AppLine, Condition};
use crate::effects::Effects;
use crate::monitor::source::Source;
use crate::tyrant;

/// The socket and its readers.
#[derive(Debug)]
pub(crate) struct Stats {
    listener: OwnedFd,
    pub(crate) documents: Documents,
    /// Of a Unix socket, removed at the end.
    path: Option<PathBuf>,
}

impl Stats {
    /// # Errors
    /// What bind(2) says.
    pub(crate) fn bind(address: &Address) -> io::Result<Self> {
        let listener = match address {
            Address::Tcp(address) => OwnedFd::from(TcpListener::bind(address)?),
            Address::Abstract(name) => {
                let name = SocketAddr::from_abstract_name(name)?;
                OwnedFd::from(UnixListener::bind_addr(&name)?)
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                OwnedFd::from(UnixListener::bind(path)?)
            }
        };
        fds::set_nonblocking(&listener, true)?;
        Ok(Self {
            listener,
            documents: Documents::default(),
            path: match address {
                Address::Unix(path) => Some(path.clone()),
                Address::Tcp(_) | Address::Abstract(_) => None,
            },
        })
    }

    /// `None`: as many readers are served as may be.
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.documents.has_room().then(|| self.listener.as_fd())
    }

    pub(crate) fn serve(&mut self, now: Instant, text: impl Fn() -> Vec<u8>) {
        self.documents.accept(self.listener.as_fd(), now, text);
        self.documents.write(now);
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Somebody removed it already: good.
            let _ = fs::remove_file(path);
        }
    }
}

/// A socket that nobody listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// What the document is made of beside the apps.
pub(crate) struct View<'a> {
    pub lines: &'a [AppLine],
    pub effects: &'a Effects,
    pub sources: &'a [Source],
    pub cwd: &'a Path,
    pub now: Instant,
    /// Unix seconds.
    pub epoch: u64,
}

pub(crate) fn document(view: &View<'_>) -> Vec<u8> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let sources = view.sources.iter().map(|source| source.text.as_str());
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uid": uid.as_raw(),
        "gid": gid.as_raw(),
        "cwd": view.cwd.display().to_string(),
        "emperor": sources.collect::<Vec<_>>(),
        "emperor_tyrant": u8::from(view.effects.empire.tyrant),
        "throttle_level": 0,
        "vassals": view.lines.iter().map(|line| vassal(view, line)).collect::<Vec<_>>(),
        "blacklist": view.lines.iter().filter_map(|line| throttled(view, line)).collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_vec(&document).unwrap_or_default();
    text.push(b'\n');
    text
}

fn vassal(view: &View<'_>, line: &AppLine) -> Value {
    let master = view.effects.masters.get(&line.name);
    let started = master.map_or(0, |it| before(view, view.now - it.started));
    let file = line.config.as_ref().map(|config| config.file.as_path());
    let written = file.map_or(0, mtime);
    let status = line.status.as_ref();
    let serves = status.is_some_and(|status| status.generation.is_some());
    let since = |so: bool| if so { started } else { 0 };
    let source = view
        .sources
        .iter()
        .find(|source| file.is_some_and(|file| file.starts_with(source.base())));
    let owner = file.and_then(|file| tyrant::owner_of(file, &view.effects.empire));
    let (uid, gid) = owner.unwrap_or_default();
    let is_cursed = line.condition == Condition::Stopping;
    json!({
        "id": line.id,
        "pid": line.pid.unwrap_or(-1),
        "born": written,
        "last_mod": written,
        "last_heartbeat": 0,
        "loyal": u8::from(serves),
        "ready": u8::from(serves),
        "accepting": u8::from(serves),
        "last_loyal": since(serves),
        "last_ready": since(serves),
        "last_accepting": since(serves),
        "first_run": started,
        "last_run": started,
        "cursed": since(is_cursed),
        "zerg": 0,
        "on_demand": "",
        "uid": uid,
        "gid": gid,
        "monitor": source.map_or("", |source| source.text.as_str()),
        "respawns": status.and_then(|it| it.generation).map_or(0, |it| it.saturating_sub(1)),
    })
}

/// An app that waits until it is tried again.
fn throttled(view: &View<'_>, line: &AppLine) -> Option<Value> {
    let level = line.retry_in_ms?;
    let failure = line.failure.as_ref();
    Some(json!({
        "id": line.id,
        "throttle_level": level,
        "attempt": line.status.as_ref().map_or(1, |status| status.failures),
        "first_attempt": failure.map_or(view.epoch, |it| it.at),
        "last_attempt": failure.map_or(view.epoch, |it| it.at),
    }))
}

fn before(view: &View<'_>, span: std::time::Duration) -> u64 {
    view.epoch.saturating_sub(span.as_secs())
}

fn mtime(path: &Path) -> u64 {
    let seconds = fs::metadata(path).map_or(0, |it| it.mtime());
    u64::try_from(seconds).unwrap_or(0)
}
