//! What has arrived on a connection, and what to wait for. Called after each receive, by app
//! threads for the first and by the I/O thread for the others.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::connection::Connection;
use crate::context::WorkerContext;
use crate::handover::Wait;
use crate::http;
use crate::refusal::Refusal;
use crate::request::{Framing, Request};
use crate::uwsgi::{self, Progress};
use imperator_core::settings::Protocol;

/// A body up to this size is waited for before the app is called, also without post-buffering: a
/// slow client costs no app thread. A longer one is streamed.
pub(crate) const WHOLE_BODY: u64 = 64 * 1024;
/// With post-buffering, a body up to its value stands in memory, but never more than this.
const MAX_IN_MEMORY: u64 = 1024 * 1024;

/// What a head that has not come yet gets room for.
const ROOM: usize = 4096;

#[derive(Debug)]
pub(crate) enum Arrival {
    /// The app can be called.
    Whole,
    Incomplete(Wait),
}

/// Looks at what a connection that waits for a head has received.
pub(crate) fn look(
    request: &mut Request,
    worker: &WorkerContext,
    connection: &mut Connection,
) -> Result<Arrival, Refusal> {
    if connection.needs_proxy_line && !proxy_line(request, connection)? {
        request.buffer.reserve(ROOM);
        return Ok(Arrival::Incomplete(Wait::Head));
    }
    let progress = match connection.protocol {
        Protocol::Uwsgi => uwsgi::parse(request, &worker.limits)?,
        Protocol::Http => {
            let local = http::vars::Local {
                hostname: &worker.hostname,
                port: &worker.listeners[connection.listener].port,
                peer: connection.peer.as_ref(),
                secure: worker.listeners[connection.listener].tls.is_some(),
                keep_alive: worker.settings().http_keepalive.is_some(),
                settings: &worker.settings().http,
            };
            http::head::parse(request, &worker.limits, &local)?
        }
    };
    match progress {
        Progress::Incomplete { total } => {
            let more = total.saturating_sub(request.buffer.len());
            request.buffer.reserve(more);
            let wait = match connection.requests {
                1.. if request.buffer.is_empty() => Wait::Idle,
                _ => Wait::Head,
            };
            Ok(Arrival::Incomplete(wait))
        }
        Progress::Whole => body(request, worker),
    }
}

/// Takes the PROXY line from the start of a connection; `false`: it is not all there yet.
fn proxy_line(request: &mut Request, connection: &mut Connection) -> Result<bool, Refusal> {
    let Some(line) = http::proxy::line(&request.buffer)? else {
        return Ok(false);
    };
    request.buffer.drain(..line.length);
    connection.needs_proxy_line = false;
    if let Some(client) = line.client {
        connection.peer = Some(client.into());
    }
    Ok(!request.buffer.is_empty())
}

/// The head is read: decides what the app must not wait for.
fn body(request: &mut Request, worker: &WorkerContext) -> Result<Arrival, Refusal> {
    let post_buffering = worker.settings().post_buffering;
    let here = request.body_here().len() as u64;
    match request.framing {
        Framing::Length(length) if length <= here => Ok(Arrival::Whole),
        Framing::Length(length) if length <= WHOLE_BODY.max(post_buffering.min(MAX_IN_MEMORY)) => {
            // At most MAX_IN_MEMORY.
            request.buffer.reserve((length - here) as usize);
            Ok(Arrival::Incomplete(Wait::Body))
        }
        Framing::Length(length) if post_buffering > 0 => {
            let file = spool(request.body_here()).map_err(|error| {
                Refusal::new(500, format!("post-buffering cannot keep the body: {error}"))
            })?;
            let left = length - here;
            request.buffer.truncate(request.body_start);
            Ok(Arrival::Incomplete(Wait::Spool { file, left }))
        }
        Framing::Length(_) => Ok(Arrival::Whole),
        Framing::Chunked => match http::whole_chunks(request, &worker.limits)? {
            http::Chunks::Whole | http::Chunks::TooLong => Ok(Arrival::Whole),
            http::Chunks::More => {
                request.buffer.reserve(4096);
                Ok(Arrival::Incomplete(Wait::Chunks))
            }
        },
    }
}

/// A file without a name that begins with these bytes.
fn spool(bytes: &[u8]) -> io::Result<File> {
    let directory = std::env::temp_dir();
    let mut file = private()
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open(&directory)
        .or_else(|error| match error.raw_os_error() {
            // FUSE, NFS and some overlays.
            Some(libc::EOPNOTSUPP | libc::EISDIR) => named_and_removed(&directory),
            _ => Err(error),
        })?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Where a file system makes no file without a name: its name goes at once.
fn named_and_removed(directory: &Path) -> io::Result<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    // What a killed process left may have the name.
    for _ in 0..100 {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".imperator-{}-{next}", std::process::id()));
        match private().create_new(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn a_body_is_kept_where_files_without_a_name_cannot_be() {
        let directory = tempfile::tempdir().unwrap();
        let next = format!(".imperator-{}-0", std::process::id());
        std::fs::write(directory.path().join(&next), "left").unwrap();
        let mut file = named_and_removed(directory.path()).unwrap();
        file.write_all(b"body").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "body");
        let names = std::fs::read_dir(directory.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [next.as_str()]);
    }
}
