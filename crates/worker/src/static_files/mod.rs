//! `static-map = /prefix=dir`: GET and HEAD of a file below a directory, answered before the app.
//! What is no regular file, or lies outside once links are followed, is the app's to answer.

mod date;
mod mime;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::app::Interpreter;
use crate::context::WorkerContext;
use crate::exchange::Exchange;
use crate::request::Known;

/// Files are served without the interpreter.
struct Free;

impl Interpreter for Free {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        wait();
    }
}

/// Answers the request from a file; `false`: it is the app's.
pub(crate) fn answer(worker: &WorkerContext, exchange: &Exchange) -> bool {
    let request = &exchange.request;
    let is_get = request.known(Known::Method) == b"GET";
    if !is_get && !request.head_only {
        return false;
    }
    let path = request.known(Known::PathInfo);
    let file = worker
        .settings()
        .static_files
        .maps
        .iter()
        .filter_map(|(prefix, root)| Some((root, path.strip_prefix(prefix.as_bytes())?)))
        .find_map(|(root, rest)| open(root, rest).ok().flatten());
    let Some(file) = file else {
        return false;
    };
    send(exchange, &file).is_some()
}

struct Found {
    file: File,
    path: PathBuf,
    size: u64,
    modified: u64,
}

/// Opens what `rest` names below `root`, by the original's rule: the path is appended as it is, and
/// the result, with all links followed, must still be the root or below it.
fn open(root: &Path, rest: &[u8]) -> io::Result<Option<Found>> {
    let root = root.canonicalize()?;
    let mut asked = root.clone().into_os_string();
    // The join of the original: "/static" and "/a" as well as "/static/" and "a".
    if !rest.is_empty() && !rest.starts_with(b"/") {
        asked.push("/");
    }
    asked.push(OsStr::from_bytes(rest));
    let path = Path::new(&asked).canonicalize()?;
    // By whole components: "/srv/static-secret" is not below "/srv/static".
    let Ok(below) = path.strip_prefix(&root) else {
        return Ok(None);
    };
    let file = open_below(&root, below, &path)?;
    let stat = file.metadata()?;
    Ok(stat.is_file().then(|| Found {
        size: stat.size(),
        modified: u64::try_from(stat.mtime()).unwrap_or(0),
        file,
        path,
    }))
}

/// Opens without following links: none was there a moment ago, and one that is there now may lead
/// outside. Never blocks on a FIFO.
fn open_below(root: &Path, below: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !below.as_os_str().is_empty() {
        let dir = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&dir, below, flags, Mode::empty(), resolve) {
            Ok(file) => return Ok(file.into()),
            // Forbidden by an old container runtime's filter.
            Err(Errno::NOSYS | Errno::PERM) => (),
            Err(error) => return Err(error.into()),
        }
    }
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
}

fn send(exchange: &Exchange, found: &Found) -> Option<()> {
    let asked = exchange.request.known(Known::IfModifiedSince);
    if date::parse(asked).is_some_and(|since| found.modified <= since) {
        exchange.start(b"304 Not Modified", &[], false).ok()?;
        let _ = exchange.write_last(&Free, b"");
        return Some(());
    }
    let mut number = itoa::Buffer::new();
    let length = number.format(found.size).as_bytes();
    let modified = date::format(found.modified);
    let length: (&[u8], &[u8]) = (b"Content-Length", length);
    let modified: (&[u8], &[u8]) = (b"Last-Modified", modified.as_bytes());
    let started = match mime::of(&found.path) {
        Some(mime) => {
            let mime: (&[u8], &[u8]) = (b"Content-Type", mime.as_bytes());
            exchange.start(b"200 OK", &[mime, length, modified], false)
        }
        None => exchange.start(b"200 OK", &[length, modified], false),
    };
    started.ok()?;
    if exchange.request.head_only || found.size == 0 {
        let _ = exchange.write_last(&Free, b"");
    } else {
        // What goes wrong from here on is the client's loss and stands in the counters.
        let _ = exchange.send_file(&Free, found.file.as_fd(), 0, Some(found.size));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_below_the_root_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("static");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir(dir.path().join("static-secret")).unwrap();
        std::fs::write(dir.path().join("static-secret/s"), "secret").unwrap();
        std::fs::write(dir.path().join("outside"), "secret").unwrap();
        std::fs::write(root.join("sub/a.txt"), "hello").unwrap();
        std::os::unix::fs::symlink("sub/a.txt", root.join("inside")).unwrap();
        std::os::unix::fs::symlink(root.join("sub"), root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("escape")).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(root.join("fifo"))
            .status()
            .unwrap();
        assert!(status.success());
        let found = |rest: &str| {
            open(&root, rest.as_bytes())
                .ok()
                .flatten()
                .map(|found| found.size)
        };
        for rest in [
            "/sub/a.txt",
            "sub/a.txt",
            "/sub/../inside",
            "/absolute/a.txt",
        ] {
            assert_eq!(found(rest), Some(5), "{rest}");
        }
        for rest in [
            "",
            "/",
            "/sub",
            "/none",
            "/escape",
            "/../outside",
            "/../static-secret/s",
            "-secret/s",
            "/sub/a.txt/",
            "/fifo",
            "/sub/a.txt\0",
        ] {
            assert_eq!(found(rest), None, "{rest}");
        }
        let file = root.join("sub/a.txt");
        let single = open(&file, b"").unwrap().map(|found| found.size);
        assert_eq!(single, Some(5));
    }
}
