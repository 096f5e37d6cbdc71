//! Where log lines go: our stderr, files, datagrams. Nothing here blocks the master; what a slow
//! reader does not take is dropped by whole lines and counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use imperator_core::settings::LogTarget;
use imperator_process::poll::{self, Interest};

use super::command::Command;
use super::datagram::Datagrams;
use super::file::{Rotating, Rules};
use super::way::Arrived;

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
    File(Box<Rotating>),
    Datagrams(Box<Datagrams>),
    Command(Box<Command>),
}

/// How sinks are opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opening {
    /// Of the app: the tag in syslog and journal.
    pub name: String,
    /// Stands before each line on a stderr that apps share.
    pub prefix: Vec<u8>,
    pub rules: Rules,
    pub truncate: bool,
    /// log-json: our own words are an object, too.
    pub json: bool,
}

#[derive(Debug)]
pub(crate) struct Sink {
    pub target: LogTarget,
    out: Out,
    pending: Vec<u8>,
    prefix: Vec<u8>,
    json: bool,
    /// Lines that nobody has seen.
    dropped: u64,
    told: u64,
    is_blocked: bool,
    /// A rotation that failed, until somebody asks.
    problem: Option<String>,
    /// Why the last write came to nothing; a write that succeeds forgets it.
    refused: Option<i32>,
}

impl Sink {
    /// # Errors
    /// The target cannot be opened; the text names it.
    pub(crate) fn open(target: &LogTarget, opening: &Opening) -> Result<Self, String> {
        let mut prefix = Vec::new();
        let out = match target {
            LogTarget::Stderr | LogTarget::Stdio => {
                prefix.clone_from(&opening.prefix);
                stderr().map_err(|error| format!("cannot log to stderr: {error}"))?
            }
            LogTarget::File(settings) => {
                let file = Rotating::open(settings, &opening.rules, opening.truncate);
                let path = settings.path.display();
                Out::File(Box::new(
                    file.map_err(|error| format!("cannot log to {path}: {error}"))?,
                ))
            }
            LogTarget::Pipe(command) => {
                let started = Command::start(command, opening.rules.user.as_ref());
                let cannot = |error| format!("cannot log to the command {command}: {error}");
                Out::Command(Box::new(started.map_err(cannot)?))
            }
            datagrams @ (LogTarget::Udp(_)
            | LogTarget::Unix(_)
            | LogTarget::Syslog { .. }
            | LogTarget::Rsyslog { .. }
            | LogTarget::Journal) => match Datagrams::open(datagrams, &opening.name) {
                Some(opened) => Out::Datagrams(Box::new(opened?)),
                None => return Err("no such log".to_owned()),
            },
        };
        Ok(Self {
            target: target.clone(),
            out,
            pending: Vec::new(),
            prefix,
            json: opening.json,
            dropped: 0,
            told: 0,
            is_blocked: false,
            problem: None,
            refused: None,
        })
    }

    /// Whether a sink opened like this would be this one.
    pub(crate) fn is(&self, target: &LogTarget, opening: &Opening) -> bool {
        let same_rules = match &self.out {
            Out::File(file) => !self.is_file() || file.has(&opening.rules),
            Out::Plain(_)
            | Out::Careful(_)
            | Out::Socket(_)
            | Out::Datagrams(_)
            | Out::Command(_) => true,
        };
        self.target == *target && same_rules && self.json == opening.json
    }

    /// Queues one line. `flush` writes.
    pub(crate) fn take(&mut self, line: Arrived<'_>) {
        let text = line.text;
        let is_ended = line.is_made && text.ends_with(b"\n");
        if let Out::Datagrams(datagrams) = &mut self.out {
            // A line has an end, unless the config has made it another one.
            let sent = match line.is_made {
                true => datagrams.send(text),
                false => datagrams.send(&[text, b"\n"].concat()),
            };
            self.dropped += u64::from(sent.is_err());
            return;
        }
        if self.pending.len() + self.prefix.len() + text.len() + 1 > MAX_PENDING {
            self.dropped += 1;
            return;
        }
        if !line.is_made {
            self.pending.extend_from_slice(&self.prefix);
        }
        self.pending.extend_from_slice(text);
        if !is_ended {
            self.pending.push(b'\n');
        }
    }

    /// Writes what the reader takes now.
    pub(crate) fn flush(&mut self) {
        self.is_blocked = false;
        if let Out::File(file) = &mut self.out
            && !self.pending.is_empty()
        {
            file.follow_now_and_then();
        }
        let mut written = 0;
        while written < self.pending.len() {
            match write(&mut self.out, &self.pending[written..]) {
                Ok(0) => break,
                Ok(count) => {
                    written += count;
                    self.refused = None;
                    if let Out::File(file) = &mut self.out {
                        file.wrote(count);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                // A full disk or a reader that is gone: these lines are lost, later ones may not be.
                Err(error) => {
                    self.refused = error.raw_os_error();
                    let lines = self.pending[written..]
                        .iter()
                        .filter(|&&byte| byte == b'\n');
                    self.dropped += lines.count() as u64;
                    written = self.pending.len();
                }
            }
        }
        self.pending.drain(..written);
        let takes = self.refused.is_none() && !self.is_blocked;
        if self.pending.is_empty() && self.dropped > self.told && takes {
            let news = self.dropped - self.told;
            self.told = self.dropped;
            let text = format!("{news} log lines were dropped: nobody read them in time");
            let text = match self.json {
                true => format!("{{\"source\":\"imperator\",\"message\":\"{text}\"}}"),
                false => text,
            };
            self.take(Arrived {
                sink: 0,
                text: text.as_bytes(),
                is_made: self.json,
            });
            // At once: the next line may be long in coming.
            return self.flush();
        }
        if let Out::File(file) = &mut self.out
            && file.is_too_big()
        {
            self.rotate();
        }
    }

    /// Gives a file its other name and begins a new one.
    pub(crate) fn rotate(&mut self) {
        if self.is_file()
            && let Out::File(file) = &mut self.out
        {
            self.problem = file.rotate().err();
        }
    }

    /// Opens a file again by its name.
    pub(crate) fn reopen(&mut self) {
        if let Out::File(file) = &mut self.out {
            self.problem = file.reopen().err();
        }
    }

    /// What went wrong with a file, once.
    pub(crate) fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// Whether this is a process of ours.
    pub(crate) fn runs(&self, pid: i32) -> bool {
        matches!(&self.out, Out::Command(command) if command.is(pid))
    }

    /// Whether it is a file that the config names.
    pub(crate) fn is_file(&self) -> bool {
        self.target.path().is_some()
    }

    /// The descriptor to wait for before the next `flush`.
    pub(crate) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        if !self.is_blocked {
            return None;
        }
        match &self.out {
            Out::Plain(file) | Out::Careful(file) => Some(file.as_fd()),
            Out::File(file) => Some(file.file().as_fd()),
            Out::Socket(socket) => Some(socket.as_fd()),
            Out::Command(command) => Some(command.stdin().as_fd()),
            Out::Datagrams(_) => None,
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The file that takes nothing now, and why.
    pub(crate) fn refused(&self) -> Option<(String, i32)> {
        let errno = self.refused?;
        let path = self.target.path()?.display().to_string();
        Some((path, errno))
    }
}

fn write(out: &mut Out, bytes: &[u8]) -> io::Result<usize> {
    match out {
        Out::Plain(file) => (&*file).write(bytes),
        Out::File(file) => file.file().write(bytes),
        Out::Careful(file) => {
            if !poll::wait_one(&*file, Interest::Write, Duration::ZERO)? {
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
        Out::Command(command) => command.write(bytes),
        Out::Datagrams(_) => Ok(bytes.len()),
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
        let named = Rotating::inherited(&file)?;
        return Ok(named.map_or(Out::Plain(file), |named| Out::File(Box::new(named))));
    }
    // The emperor and other masters have the same description: O_NONBLOCK on it would be theirs.
    if (kind.is_fifo() || kind.is_char_device())
        && let Ok(own) = imperator_process::fds::reopen_nonblocking(&file)
    {
        return Ok(Out::Plain(own.into()));
    }
    Ok(Out::Careful(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::settings::logs::LogFile;
    use std::io::Read;

    #[test]
    fn a_reader_that_sleeps_costs_lines_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), nix::libc::O_NONBLOCK);
        let mut reader = options.open(&path).unwrap();
        let mut sink =
            Sink::open(&LogTarget::File(LogFile::at(path)), &Opening::default()).unwrap();
        let line = vec![b'x'; 10_000];
        for _ in 0..1000 {
            sink.take(Arrived {
                sink: 0,
                text: &line,
                is_made: false,
            });
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
}
