//! Where log lines go: our stderr, files, UDP, syslog. Nothing here blocks the master; what a slow
//! reader does not take is dropped by whole lines and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imperator_core::settings::LogTarget;
use imperator_process::poll::{self, Interest};

/// Bytes that wait for a slow reader; what comes on top is dropped.
const MAX_PENDING: usize = 1024 * 1024;
/// A write of at most this size to a pipe that is writable does not block (pipe(7), PIPE_BUF).
const PIPE_BUF: usize = 4096;

#[derive(Debug)]
enum Out {
    /// A description of our own that does not block, or a file.
    Plain(File),
    /// Others have the same description: blocking, so write only what surely fits.
    Careful(File),
    Socket(OwnedFd),
    File {
        file: File,
        path: PathBuf,
    },
    Udp(UdpSocket),
    Syslog {
        socket: UnixDatagram,
        tag: String,
    },
}

#[derive(Debug)]
pub(crate) struct Sink {
    pub target: LogTarget,
    out: Out,
    pending: Vec<u8>,
    prefix: Vec<u8>,
    /// Lines that nobody has seen.
    dropped: u64,
    told: u64,
    is_blocked: bool,
}

impl Sink {
    /// `name` stands before each line on a stderr that apps share, and is the tag in the syslog.
    ///
    /// # Errors
    /// The target cannot be opened; the text names it.
    pub(crate) fn open(target: &LogTarget, name: &str, prefix: &[u8]) -> Result<Self, String> {
        let failed = |what: &dyn std::fmt::Display, error: &dyn std::fmt::Display| {
            format!("cannot log to {what}: {error}")
        };
        let mut line_prefix = Vec::new();
        let out = match target {
            LogTarget::Stderr => {
                line_prefix = prefix.to_vec();
                stderr().map_err(|error| failed(&"stderr", &error))?
            }
            LogTarget::File(path) => {
                let file = append(path).map_err(|error| failed(&path.display(), &error))?;
                let path = path.clone();
                Out::File { file, path }
            }
            LogTarget::Udp(text) => {
                let address =
                    numeric(text).ok_or_else(|| failed(text, &"no IP address and port"))?;
                Out::Udp(udp(address).map_err(|error| failed(text, &error))?)
            }
            LogTarget::Syslog(tag) => {
                let socket = syslog().map_err(|error| failed(&"/dev/log", &error))?;
                let tag = if tag.is_empty() { name } else { tag }.to_owned();
                Out::Syslog { socket, tag }
            }
        };
        Ok(Self {
            target: target.clone(),
            out,
            pending: Vec::new(),
            prefix: line_prefix,
            dropped: 0,
            told: 0,
            is_blocked: false,
        })
    }

    /// Queues one line. `flush` writes.
    pub(crate) fn line(&mut self, line: &[u8]) {
        let sent = match &self.out {
            Out::Udp(socket) => socket.send(line).map(|_| ()),
            Out::Syslog { socket, tag } => {
                // Facility daemon, severity info, as the original's plugin.
                let mut text = format!("<30>{tag}: ").into_bytes();
                text.extend_from_slice(&line[..line.len().min(8 * 1024)]);
                socket.send(&text).map(|_| ())
            }
            Out::Plain(_) | Out::Careful(_) | Out::Socket(_) | Out::File { .. } => {
                if self.pending.len() + self.prefix.len() + line.len() + 1 > MAX_PENDING {
                    self.dropped += 1;
                    return;
                }
                self.pending.extend_from_slice(&self.prefix);
                self.pending.extend_from_slice(line);
                self.pending.push(b'\n');
                return;
            }
        };
        if sent.is_err() {
            self.dropped += 1;
        }
    }

    /// Writes what the reader takes now.
    pub(crate) fn flush(&mut self) {
        self.is_blocked = false;
        let mut written = 0;
        while written < self.pending.len() {
            match self.write(&self.pending[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                // A full disk or a reader that is gone: these lines are lost, later ones may not be.
                Err(_) => {
                    let lines = self.pending[written..]
                        .iter()
                        .filter(|&&byte| byte == b'\n');
                    self.dropped += lines.count() as u64;
                    written = self.pending.len();
                }
            }
        }
        self.pending.drain(..written);
        if self.pending.is_empty() && self.dropped > self.told && !self.is_blocked {
            let news = self.dropped - self.told;
            self.told = self.dropped;
            self.line(
                format!("{news} log lines were dropped: nobody read them in time").as_bytes(),
            );
        }
    }

    /// The descriptor to wait for before the next `flush`.
    pub(crate) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        if !self.is_blocked {
            return None;
        }
        match &self.out {
            Out::Plain(file) | Out::Careful(file) | Out::File { file, .. } => Some(file.as_fd()),
            Out::Socket(socket) => Some(socket.as_fd()),
            Out::Udp(_) | Out::Syslog { .. } => None,
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// logrotate has moved the file away: go on in a new one.
    pub(crate) fn follow(&mut self) {
        let Out::File { file, path } = &mut self.out else {
            return;
        };
        let here = file.metadata().map(|it| (it.dev(), it.ino()));
        let there = path.metadata().map(|it| (it.dev(), it.ino()));
        let same = matches!((&here, &there), (Ok(here), Ok(there)) if here == there);
        if !same && let Ok(new) = append(path) {
            *file = new;
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.out {
            Out::Plain(file) | Out::File { file, .. } => (&*file).write(bytes),
            Out::Careful(file) => {
                if !poll::wait_one(file, Interest::Write, Duration::ZERO)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                (&*file).write(&bytes[..bytes.len().min(PIPE_BUF)])
            }
            Out::Socket(socket) => {
                use nix::sys::socket::{MsgFlags, send};
                use std::os::fd::AsRawFd;
                // journald takes a stream in pieces; a datagram socket gets one line at a time.
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(socket.as_raw_fd(), bytes, flags)?)
            }
            Out::Udp(_) | Out::Syslog { .. } => Ok(bytes.len()),
        }
    }
}

fn stderr() -> io::Result<Out> {
    let fd = io::stderr().as_fd().try_clone_to_owned()?;
    let file = File::from(fd);
    let kind = file.metadata()?.file_type();
    if kind.is_socket() {
        return Ok(Out::Socket(file.into()));
    }
    if kind.is_file() {
        return Ok(Out::Plain(file));
    }
    // The emperor and other masters have the same description: O_NONBLOCK on it would be theirs.
    if (kind.is_fifo() || kind.is_char_device())
        && let Ok(own) = imperator_process::fds::reopen_nonblocking(&file)
    {
        return Ok(Out::Plain(own.into()));
    }
    Ok(Out::Careful(file))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)
}

/// Only numbers: a name server that does not answer would stop the master.
fn numeric(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host {
        "" | "localhost" => "127.0.0.1",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port))
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if address.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    Ok(socket)
}

fn syslog() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect("/dev/log")?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_reader_that_sleeps_costs_lines_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NONBLOCK);
        let mut reader = options.open(&path).unwrap();
        let mut sink = Sink::open(&LogTarget::File(path), "app", b"").unwrap();
        let line = vec![b'x'; 10_000];
        for _ in 0..1000 {
            sink.line(&line);
            sink.flush();
        }
        assert!(sink.blocked().is_some());
        assert!(sink.pending.len() <= MAX_PENDING);
        let lost = sink.dropped();
        assert!((800..1000).contains(&lost), "{lost}");
        let mut text = Vec::new();
        while sink.blocked().is_some() || !sink.pending.is_empty() {
            let mut buffer = [0; 65536];
            let count = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..count]);
            sink.flush();
        }
        let mut rest = [0; 65536];
        while let Ok(count @ 1..) = reader.read(&mut rest) {
            text.extend_from_slice(&rest[..count]);
            sink.flush();
        }
        let text = String::from_utf8(text).unwrap();
        let told = format!("{lost} log lines were dropped: nobody read them in time");
        let (notes, whole): (Vec<_>, Vec<_>) = text.lines().partition(|it| !it.starts_with('x'));
        assert_eq!(notes, [told.as_str()]);
        assert_eq!(whole.len() as u64, 1000 - lost);
        assert!(
            whole.iter().all(|it| it.len() == 10_000),
            "only whole lines"
        );
    }

    #[test]
    fn a_host_name_is_no_log_address() {
        assert!(numeric("127.0.0.1:514").is_some());
        assert!(numeric("[::1]:514").is_some());
        assert!(numeric("localhost:514").is_some());
        assert!(numeric("logs.example.org:514").is_none());
    }
}
