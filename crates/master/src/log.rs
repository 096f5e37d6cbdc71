//! The app's two log pipes: what the app prints, and the workers' request lines. The master reads
//! both and writes whole lines to the targets of the config.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use imperator_core::settings::{LogTarget, Settings};
use imperator_process::fds;

use crate::lines::Lines;
use crate::sink::Sink;

/// Lines kept for the text of a failure.
const RECENT_LINES: usize = 60;
const RECENT_BYTES: usize = 512;
/// Reads of one pipe in one turn: a flood must not keep the master from its other work.
const READS: usize = 4;

/// A pipe whose both ends the master keeps: it never ends, and outlives a master (the emperor has
/// a copy of the read end).
#[derive(Debug)]
pub(crate) struct Pipe {
    pub read: OwnedFd,
    pub write: OwnedFd,
    lines: Lines,
}

#[derive(Debug)]
pub(crate) struct Log {
    name: String,
    prefix: Vec<u8>,
    pub app: Pipe,
    /// Its write end does not block.
    pub requests: Pipe,
    sinks: Vec<Sink>,
    app_sinks: Vec<usize>,
    request_sinks: Vec<usize>,
    recent: VecDeque<String>,
    buffer: Vec<u8>,
}

impl Log {
    /// `read_ends`: those that a dead master of this app left with the emperor.
    ///
    /// # Errors
    /// What pipe2(2) or open(2) says.
    pub(crate) fn new(
        name: &str,
        is_alone: bool,
        read_ends: Option<(OwnedFd, OwnedFd)>,
    ) -> io::Result<Self> {
        let (app, requests) = match read_ends {
            Some((app, requests)) => (Pipe::adopt(app)?, Pipe::adopt(requests)?),
            None => (Pipe::new()?, Pipe::new()?),
        };
        fds::set_nonblocking(&app.write, false)?;
        let prefix = if is_alone {
            Vec::new()
        } else {
            format!("[{name}] ").into_bytes()
        };
        let mut log = Self {
            name: name.to_owned(),
            prefix,
            app,
            requests,
            sinks: Vec::new(),
            app_sinks: Vec::new(),
            request_sinks: Vec::new(),
            recent: VecDeque::new(),
            buffer: vec![0; 64 * 1024],
        };
        log.route(&[LogTarget::Stderr], &[LogTarget::Stderr]);
        Ok(log)
    }

    /// Sends lines where the config says from now on; returns what cannot be opened.
    pub(crate) fn configure(&mut self, settings: &Settings) -> Vec<String> {
        let all = match settings.logto.as_ref().or(settings.daemonize.as_ref()) {
            Some(target) => vec![target.clone()],
            None => vec![LogTarget::Stderr],
        };
        let pick = |targets: &[LogTarget], other: &[LogTarget]| match targets {
            [] => other.to_vec(),
            some => some.to_vec(),
        };
        let app = pick(&settings.loggers, &all);
        let requests = pick(&settings.req_loggers, &app);
        self.route(&app, &requests)
    }

    fn route(&mut self, app: &[LogTarget], requests: &[LogTarget]) -> Vec<String> {
        self.flush();
        let mut problems = Vec::new();
        let mut old = std::mem::take(&mut self.sinks);
        let mut sinks: Vec<Sink> = Vec::new();
        let mut index_of = |target: &LogTarget| -> Option<usize> {
            if let Some(index) = sinks.iter().position(|sink| sink.target == *target) {
                return Some(index);
            }
            let kept = old.iter().position(|sink| sink.target == *target);
            let sink = match kept {
                Some(index) => Ok(old.swap_remove(index)),
                None => Sink::open(target, &self.name, &self.prefix),
            };
            match sink {
                Ok(sink) => {
                    sinks.push(sink);
                    Some(sinks.len() - 1)
                }
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            }
        };
        self.app_sinks = app.iter().filter_map(&mut index_of).collect();
        // Never mute: what has no target of its own left is for stderr.
        if self.app_sinks.is_empty() {
            self.app_sinks = index_of(&LogTarget::Stderr).into_iter().collect();
        }
        self.request_sinks = requests.iter().filter_map(&mut index_of).collect();
        if self.request_sinks.is_empty() {
            self.request_sinks = self.app_sinks.clone();
        }
        self.sinks = sinks;
        problems.dedup();
        problems
    }

    /// The master's own words, among the app's.
    pub(crate) fn note(&mut self, text: &str) {
        for line in text.lines() {
            for &index in &self.app_sinks {
                self.sinks[index].line(line.as_bytes());
            }
        }
        self.flush();
    }

    /// Reads what the app printed; `flush` writes it.
    pub(crate) fn read_app(&mut self) {
        let Self {
            app,
            sinks,
            app_sinks,
            recent,
            buffer,
            ..
        } = self;
        app.read_lines(buffer, |line| {
            if recent.len() == RECENT_LINES {
                recent.pop_front();
            }
            let kept = &line[..line.len().min(RECENT_BYTES)];
            recent.push_back(String::from_utf8_lossy(kept).into_owned());
            app_sinks.iter().for_each(|&index| sinks[index].line(line));
        });
        self.flush();
    }

    pub(crate) fn read_requests(&mut self) {
        let Self {
            requests,
            sinks,
            request_sinks,
            buffer,
            ..
        } = self;
        requests.read_lines(buffer, |line| {
            request_sinks
                .iter()
                .for_each(|&index| sinks[index].line(line));
        });
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        self.sinks.iter_mut().for_each(Sink::flush);
    }

    pub(crate) fn blocked(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sinks.iter().filter_map(Sink::blocked)
    }

    /// Once a second: log files that were moved away.
    pub(crate) fn follow(&mut self) {
        self.sinks.iter_mut().for_each(Sink::follow);
    }

    pub(crate) fn has_files(&self) -> bool {
        let is_file = |sink: &Sink| matches!(sink.target, LogTarget::File(_));
        self.sinks.iter().any(is_file)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.sinks.iter().map(Sink::dropped).sum()
    }

    /// The last lines that the app printed since [`Log::forget_recent`].
    pub(crate) fn recent(&self) -> String {
        let mut text = String::new();
        for line in &self.recent {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let flags = nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK;
        let (read, write) = nix::unistd::pipe2(flags)?;
        Ok(Self {
            read,
            write,
            lines: Lines::default(),
        })
    }

    fn adopt(read: OwnedFd) -> io::Result<Self> {
        fds::set_nonblocking(&read, true)?;
        let write = fds::reopen_nonblocking(&read)?;
        Ok(Self {
            read,
            write,
            lines: Lines::default(),
        })
    }

    /// The app's user may open `/dev/stderr`.
    pub(crate) fn give_to(&self, uid: u32, gid: u32) {
        let (uid, gid) = (
            nix::unistd::Uid::from_raw(uid),
            nix::unistd::Gid::from_raw(gid),
        );
        let _ = nix::unistd::fchown(self.write.as_fd(), Some(uid), Some(gid));
    }

    fn read_lines(&mut self, buffer: &mut [u8], mut line: impl FnMut(&[u8])) {
        for _ in 0..READS {
            match nix::unistd::read(&self.read, buffer) {
                Ok(0) => return,
                Ok(count) => self.lines.push(&buffer[..count], &mut line),
                Err(nix::Error::EINTR) => continue,
                Err(_) => return,
            }
        }
    }
}
