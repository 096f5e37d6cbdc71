//! The app's two log pipes: what the app prints, and the workers' request lines. The master reads
//! both and writes whole lines to the targets of the config.

mod command;
mod datagram;
mod file;
mod ring;
mod sink;
mod way;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::message::LogSource;
use imperator_core::pattern::Matcher;
use imperator_core::settings::logs::{LogDate, LogRoute, Logger};
use imperator_core::settings::{LogTarget, Logs};
use imperator_process::privileges::Identity;
use imperator_process::{fds, time};
use nix::fcntl::{FcntlArg, fcntl};

use crate::alarms::Alarms;
use crate::clock;
use crate::lines::Lines;
use file::Rules;
pub(crate) use ring::Kept;
use sink::{Opening, Sink};
use way::{Exit, Source, Way};

/// Lines kept for the text of a failure.
const RECENT_LINES: usize = 60;
const RECENT_BYTES: usize = 512;
/// Reads of one pipe in one turn: a flood must not keep the master from its other work.
const READS: usize = 4;
/// Room of the request pipe: what all workers write while the master is busy or rests.
const REQUEST_ROOM: i32 = 256 * 1024;
/// Lines are read together where more of them come: so fast can they come before the pipe is full,
/// in bytes per microsecond.
const FASTEST: u64 = 64;

/// A pipe whose both ends the master keeps: it never ends, and outlives a master (the emperor has
/// a copy of the read end).
#[derive(Debug)]
pub(crate) struct Pipe {
    pub read: OwnedFd,
    pub write: OwnedFd,
    lines: Lines,
    /// Between two reads.
    pause: Duration,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub app: Pipe,
    /// Its write end does not block.
    pub requests: Pipe,
    /// Until then nobody waits for request lines: each would wake the master.
    pub rests_until: Option<Instant>,
    /// When request lines were there last.
    last_requests: Option<Instant>,
    opening: Opening,
    sinks: Vec<Sink>,
    way: Way,
    /// `None`: request lines go the way of all others.
    request_way: Option<Way>,
    /// The sink of lines that no logger takes, when there is one.
    main: Option<usize>,
    date: Option<LogDate>,
    /// Log files were opened before: they are not emptied again.
    has_begun: bool,
    recent: VecDeque<String>,
    /// How many of these were printed after the last death.
    since_death: usize,
    /// The last lines, wherever they go.
    pub kept: Kept,
    buffer: Vec<u8>,
    pub alarms: Alarms,
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
        let has_begun = read_ends.is_some();
        let (app, requests) = match read_ends {
            Some((app, requests)) => (Pipe::adopt(app)?, Pipe::adopt(requests)?),
            None => (Pipe::new()?, Pipe::new()?),
        };
        fds::set_nonblocking(&app.write, false)?;
        let requests = requests.with_room(REQUEST_ROOM);
        let prefix = if is_alone {
            Vec::new()
        } else {
            format!("[{name}] ").into_bytes()
        };
        let mut log = Self {
            app,
            requests,
            rests_until: None,
            last_requests: None,
            opening: Opening {
                name: name.to_owned(),
                prefix,
                ..Opening::default()
            },
            sinks: Vec::new(),
            way: Way::default(),
            request_way: None,
            main: None,
            date: None,
            has_begun,
            recent: VecDeque::new(),
            since_death: 0,
            kept: Kept::default(),
            buffer: vec![0; 64 * 1024],
            alarms: Alarms::default(),
        };
        log.build(&Logs::default(), Path::new(""));
        Ok(log)
    }

    /// Sends lines where the config says from now on; returns what cannot be opened. `user`: the
    /// app's, when it is another one than ours; `home`: its directory, from which the files of
    /// loggers are named.
    pub(crate) fn configure(
        &mut self,
        logs: &Logs,
        user: Option<&Identity>,
        home: &Path,
    ) -> Vec<String> {
        self.flush();
        self.opening.rules = Rules {
            user: user.cloned(),
            chown: logs.files.chown,
            chmod: logs.files.chmod,
        };
        self.opening.json = logs.json;
        self.opening.truncate = logs.files.truncate && !self.has_begun;
        self.has_begun = true;
        self.date.clone_from(&logs.date);
        let mut problems = self.build(logs, home);
        problems.extend(way::lost_routes(logs));
        problems
    }

    fn build(&mut self, logs: &Logs, home: &Path) -> Vec<String> {
        let mut main = logs.main();
        if let LogTarget::File(file) = &mut main {
            file.max_size = logs.files.max_size;
            file.backup.clone_from(&logs.files.backup);
        }
        let mut opener = Opener {
            opening: &self.opening,
            main: main.clone(),
            home,
            old: std::mem::take(&mut self.sinks),
            sinks: Vec::new(),
            problems: Vec::new(),
        };
        let app = opener.exits(&logs.loggers);
        let requests = opener.exits(&logs.req_loggers);
        let json = logs.json.then(|| self.opening.name.clone());
        let ids: Vec<Exit> = app.iter().chain(&requests).cloned().collect();
        self.way = Way {
            drain: matchers(&logs.drain),
            filter: matchers(&logs.filter),
            routes: routes(&logs.routes, &ids),
            plain: opener.plain(&app),
            encoders: logs.encoders.clone(),
            json: json.clone(),
        };
        self.request_way = logs.splits_requests().then(|| Way {
            routes: routes(&logs.req_routes, &ids),
            plain: opener.plain(&requests),
            encoders: logs.req_encoders.clone(),
            json,
            ..Way::default()
        });
        self.sinks = opener.sinks;
        self.main = self.sinks.iter().position(|sink| sink.target == main);
        let mut problems = opener.problems;
        problems.dedup();
        problems
    }

    /// The master's own words, among the app's.
    pub(crate) fn note(&mut self, text: &str) {
        self.say(text);
        self.flush();
    }

    fn say(&mut self, text: &str) {
        let stamp = match &self.date {
            None => String::new(),
            Some(date) => {
                let now = i64::try_from(clock::epoch()).unwrap_or(0);
                let text = match date {
                    LogDate::Ctime => time::ctime(now),
                    LogDate::Strftime(format) => time::strftime(format, now),
                };
                format!("{text} - ")
            }
        };
        let Self {
            way, sinks, kept, ..
        } = self;
        let at = clock::epoch_micros();
        for line in text.lines() {
            kept.push(line.as_bytes(), LogSource::Imperator, at);
            let line = format!("{stamp}{line}");
            way.take(
                line.as_bytes(),
                Source::Master,
                &clock::epoch_micros,
                |it| {
                    sinks[it.sink].take(it);
                },
            );
        }
        self.flush();
    }

    /// Reads what the app printed; `flush` writes it.
    pub(crate) fn read_app(&mut self) {
        let Self {
            app,
            sinks,
            way,
            recent,
            since_death,
            kept,
            buffer,
            alarms,
            ..
        } = self;
        let at = clock::epoch_micros();
        app.read_lines(buffer, |line| {
            alarms.look(line, &clock::now);
            kept.push(line, LogSource::App, at);
            if recent.len() == RECENT_LINES {
                recent.pop_front();
            }
            *since_death = RECENT_LINES.min(*since_death + 1);
            let start = &line[..line.len().min(RECENT_BYTES)];
            recent.push_back(String::from_utf8_lossy(start).into_owned());
            way.take(line, Source::App, &clock::epoch_micros, |it| {
                sinks[it.sink].take(it);
            });
        });
        self.flush();
    }

    /// Reads request lines. Where they come thick and fast it rests, so that the next ones come
    /// together.
    pub(crate) fn read_requests(&mut self) {
        let before = self.kept.newest();
        self.read_request_lines();
        self.rests_until = None;
        if self.kept.newest() > before {
            let (now, pause) = (clock::now(), self.requests.pause);
            let last = self.last_requests.replace(now);
            let is_soon = last.is_some_and(|last| now < last + 2 * pause);
            self.rests_until = is_soon.then_some(now + pause);
        }
    }

    fn read_request_lines(&mut self) {
        let Self {
            requests,
            sinks,
            way,
            request_way,
            kept,
            buffer,
            alarms,
            ..
        } = self;
        let at = clock::epoch_micros();
        let way = request_way.as_ref().unwrap_or(way);
        requests.read_lines(buffer, |line| {
            alarms.look(line, &clock::now);
            kept.push(line, LogSource::Request, at);
            way.take(line, Source::Request, &clock::epoch_micros, |it| {
                sinks[it.sink].take(it);
            });
        });
        self.flush();
    }

    /// Gives the log file its other name and begins a new one; without `logto` the files of all
    /// loggers. For log-maxsize, touch-logrotate and the fifo's `L`.
    pub(crate) fn rotate(&mut self) {
        self.flush();
        let main = self.main.filter(|&main| self.sinks[main].is_file());
        match main {
            Some(main) => self.sinks[main].rotate(),
            None => self.sinks.iter_mut().for_each(Sink::rotate),
        }
        self.tell_problems();
    }

    /// Opens all log files again by their names: for touch-logreopen and the fifo's `l`.
    pub(crate) fn reopen(&mut self) {
        self.flush();
        self.sinks.iter_mut().for_each(Sink::reopen);
        self.tell_problems();
    }

    fn tell_problems(&mut self) {
        let problems = self.sinks.iter_mut().filter_map(Sink::take_problem);
        let problems: Vec<_> = problems.collect();
        for problem in &problems {
            self.say(problem);
        }
        // A problem of this write is told at the next one.
        if !problems.is_empty() {
            self.sinks.iter_mut().for_each(Sink::flush);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.sinks.iter_mut().for_each(Sink::flush);
        self.tell_problems();
    }

    /// Whether this process is a logger's command.
    pub(crate) fn runs(&self, pid: i32) -> bool {
        self.sinks.iter().any(|sink| sink.runs(pid))
    }

    pub(crate) fn blocked(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sinks.iter().filter_map(Sink::blocked)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.sinks.iter().map(Sink::dropped).sum()
    }

    /// Log files that take nothing now.
    pub(crate) fn refused(&self) -> Vec<(String, i32)> {
        self.sinks.iter().filter_map(Sink::refused).collect()
    }

    /// The last lines that the app printed since [`Log::forget_recent`].
    pub(crate) fn recent(&self) -> String {
        whole(self.recent.iter())
    }

    /// Those of them that belong to a death now: what was printed since the one before it.
    pub(crate) fn last_words(&mut self) -> String {
        let count = std::mem::take(&mut self.since_death).min(self.recent.len());
        whole(self.recent.range(self.recent.len() - count..))
    }

    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
    }
}

fn whole<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// Opens the sinks of one config, each target once; what was open before and fits is kept.
struct Opener<'a> {
    opening: &'a Opening,
    main: LogTarget,
    home: &'a Path,
    old: Vec<Sink>,
    sinks: Vec<Sink>,
    problems: Vec<String>,
}

impl Opener<'_> {
    fn exits(&mut self, loggers: &[Logger]) -> Vec<Exit> {
        let mut exits = Vec::new();
        for logger in loggers {
            let mut target = logger.target.clone();
            if let LogTarget::File(file) = &mut target {
                file.path = self.home.join(&file.path);
                file.backup = file.backup.as_ref().map(|it| self.home.join(it));
            }
            let sink = self.sink(&target);
            let id = logger.id.clone();
            exits.extend(sink.map(|sink| Exit { id, sink }));
        }
        exits
    }

    /// The exits of lines that no route takes: loggers without an id, else the main log. Never
    /// mute: where that cannot be opened either it is stderr.
    fn plain(&mut self, exits: &[Exit]) -> Vec<Exit> {
        let plain: Vec<Exit> = exits.iter().filter(|it| it.id.is_none()).cloned().collect();
        if !plain.is_empty() {
            return plain;
        }
        let main = self.main.clone();
        let sink = self.sink(&main).or_else(|| self.sink(&LogTarget::Stderr));
        sink.map(|sink| Exit { id: None, sink })
            .into_iter()
            .collect()
    }

    fn sink(&mut self, target: &LogTarget) -> Option<usize> {
        let target = if *target == LogTarget::Stdio {
            self.main.clone()
        } else {
            target.clone()
        };
        if let Some(index) = self.sinks.iter().position(|sink| sink.target == target) {
            return Some(index);
        }
        let kept = self
            .old
            .iter()
            .position(|sink| sink.is(&target, self.opening));
        let sink = match kept {
            Some(index) => Ok(self.old.swap_remove(index)),
            None => Sink::open(&target, self.opening),
        };
        match sink {
            Ok(sink) => {
                self.sinks.push(sink);
                Some(self.sinks.len() - 1)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

fn matchers(patterns: &[imperator_core::pattern::Pattern]) -> Vec<Matcher> {
    patterns.iter().filter_map(|it| it.compile()).collect()
}

fn routes(routes: &[LogRoute], exits: &[Exit]) -> Vec<(Matcher, Exit)> {
    let leads = |route: &LogRoute| {
        let exit = exits
            .iter()
            .find(|exit| exit.id.as_ref() == Some(&route.id))?;
        Some((route.pattern.compile()?, exit.clone()))
    };
    routes.iter().filter_map(leads).collect()
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let flags = nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK;
        let (read, write) = nix::unistd::pipe2(flags)?;
        Ok(Self::of(read, write))
    }

    fn adopt(read: OwnedFd) -> io::Result<Self> {
        fds::set_nonblocking(&read, true)?;
        let write = fds::reopen_nonblocking(&read)?;
        Ok(Self::of(read, write))
    }

    fn of(read: OwnedFd, write: OwnedFd) -> Self {
        Self {
            read,
            write,
            lines: Lines::default(),
            pause: Duration::ZERO,
        }
    }

    /// With so much room, or as much as it has where the user has too many such pipes already.
    fn with_room(mut self, bytes: i32) -> Self {
        let _ = fcntl(&self.write, FcntlArg::F_SETPIPE_SZ(bytes));
        let room = fcntl(&self.write, FcntlArg::F_GETPIPE_SZ).unwrap_or(0);
        self.pause = Duration::from_micros(u64::try_from(room).unwrap_or(0) / FASTEST);
        self
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_that_come_thick_and_fast_are_read_together() {
        let mut log = Log::new("x", true, None).unwrap();
        // However slow this machine is.
        log.requests.pause = Duration::from_secs(3600);
        let write = |log: &Log, text: &[u8]| {
            assert_eq!(
                nix::unistd::write(&log.requests.write, text),
                Ok(text.len())
            );
        };
        let look = |log: &mut Log| {
            log.read_requests();
            (log.kept.newest(), log.rests_until.is_some())
        };
        write(&log, b"one\n");
        assert_eq!(look(&mut log), (1, false), "a line of its own");
        write(&log, b"two\n");
        assert_eq!(look(&mut log), (2, true));
        write(&log, b"three\nfour\n");
        assert_eq!(look(&mut log), (4, true));
        assert_eq!(
            look(&mut log),
            (4, false),
            "from now on the next line wakes us"
        );
    }
}
