//! The emperor's loop: waits for signals, files, masters and clients, and lets the pure parts
//! decide. The only place here that reads the clock.

mod beginning;
mod clock;
mod masters;
mod news;
mod requests;
mod restart;
mod upgrading;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imperator_core::history::What;
use imperator_core::message::{AppStatus, Config};
use imperator_core::signals::{self, Act, Who};
use imperator_process::estate::{self, Estate};
use imperator_process::poll::{Interest, PollSet};
use imperator_process::signals::SignalSet;
use imperator_process::{limits, reap};
use tracing::{info, warn};

use crate::chronicle::Chronicle;
use crate::control::{Control, Rights};
use crate::effects::others::Peer;
use crate::effects::{Effects, Kept, SILENCE};
use crate::monitor::Monitor;
use crate::monitor::source::Source;
use crate::options::{Fatal, Options};
use crate::own_log::OwnLog;
use crate::plan::Plan;
use crate::question::Question;
use crate::runtime::Runtime;
use crate::stats::Stats;
use crate::supervisor::{Event, Name, Supervisor};
use crate::systemd::Systemd;
use crate::upgrade::{self, State};
use clock::{now, unix_micros, unix_millis, unix_seconds, wall_clock};
use upgrading::Upgrade;

/// An included file that changed so shortly before we heard of it may have changed after it was read.
const READ_BEFORE: Duration = Duration::from_secs(10);
/// The loop wakes at least this often, whatever the deadlines say.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs until a signal stops it and all apps are gone.
///
/// # Errors
/// Before any app is started: a source that does not exist, a runtime directory that is another
/// emperor's. Later: only what makes waiting impossible.
pub fn run(options: &Options, mut estate: Estate) -> Result<(), Fatal> {
    let state = understand(&mut estate);
    let mut emperor = Emperor::new(options, state.as_ref(), &mut estate)?;
    estate::hear_signals();
    for path in options.pidfiles() {
        let text = format!("{}\n", std::process::id());
        std::fs::write(path, text).map_err(|error| Fatal::Io {
            doing: "write the pidfile",
            error,
        })?;
    }
    emperor.begin(state, &mut estate);
    drop(estate);
    while !emperor.supervisor.is_finished() {
        emperor.turn()?;
    }
    for path in options.pidfiles() {
        // Somebody removed it already: good.
        let _ = std::fs::remove_file(path);
    }
    info!("The Emperor is buried.");
    Ok(())
}

/// What this very process knew under another binary, if anything of it can be read.
fn understand(estate: &mut Estate) -> Option<State> {
    let text = estate.text.take()?;
    match upgrade::read(&text) {
        Ok(state) => Some(state),
        Err(why) => {
            warn!(
                "[emperor] cannot use the state of the binary before: {why}; masters are looked \
                 for as after a crash"
            );
            // With it the lock, which is taken anew.
            *estate = Estate::default();
            None
        }
    }
}

/// What was logged of an app, so that each news is logged once.
#[derive(Default)]
struct Told {
    generation: Option<u32>,
    failing: bool,
    problem: Option<String>,
}

struct Emperor {
    cwd: PathBuf,
    executable: PathBuf,
    args: Vec<OsString>,
    start: PathBuf,
    upgrade: Upgrade,
    /// Until the files were looked at.
    reload_after_resume: Vec<Name>,
    /// What systemd was asked.
    question: Option<Question>,
    supervisor: Supervisor,
    plan: Plan,
    effects: Effects,
    monitor: Monitor,
    control: Control,
    chronicle: Chronicle,
    stats: Option<Stats>,
    own_log: Option<OwnLog>,
    systemd: Systemd,
    signals: SignalSet,
    told: BTreeMap<Name, Told>,
    /// Apps that were there at start and have not settled.
    first: BTreeSet<Name>,
    /// Adopted apps that are not yet held against their files.
    adopted: Vec<(Name, Config)>,
    adopted_at: Instant,
    silence_told: bool,
    deep_scan_at: Instant,
    scan_again_at: Option<Instant>,
    includes_changed: bool,
    /// Masters that were asked for their numbers and have not told them.
    unreported: BTreeSet<Name>,
}

impl Emperor {
    fn new(options: &Options, state: Option<&State>, estate: &mut Estate) -> Result<Self, Fatal> {
        let failed = |doing| move |error| Fatal::Io { doing, error };
        let sources = options
            .sources
            .iter()
            .map(|text| Source::parse(text, &options.cwd))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Fatal::Source)?;
        let lock = state.and_then(|state| estate.fd(state.lock));
        let runtime = Runtime::take_with(&options.runtime, lock).map_err(Fatal::Runtime)?;
        let nofile_soft =
            limits::raise_nofile().map_err(failed("raise the limit of open files"))?;
        reap::become_subreaper().map_err(failed("become a subreaper"))?;
        let signals =
            SignalSet::listen(&signals::handled(Who::Emperor)).map_err(failed("handle signals"))?;
        let rights = Rights {
            group: options.control_group,
            owners: options.empire.tyrant,
        };
        let control = match state.and_then(|state| estate.fd(state.control)) {
            Some(listener) => Control::resume(listener, rights),
            None => Control::bind(&runtime.control_socket(), rights)
                .map_err(failed("bind the control socket"))?,
        };
        let chronicle = Chronicle::open(runtime.path());
        let stats = options.empire.stats.as_ref().map(Stats::bind);
        let mut stats = stats
            .transpose()
            .map_err(failed("bind the socket of emperor-stats"))?;
        if let Some(stats) = &mut stats {
            stats.documents.http = options.logs.stats.http;
        }
        let monitor = Monitor::new(sources, &options.empire).map_err(failed("watch files"))?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let now = now();
        Ok(Self {
            cwd: options.cwd.clone(),
            executable: options.executable.clone(),
            args: options.args.clone(),
            start: options.start.clone(),
            upgrade: Upgrade::default(),
            reload_after_resume: Vec::new(),
            question: None,
            // A start waits half of its time, for the disk and for its parts; and some hang.
            supervisor: Supervisor::new(4 * cpus),
            plan: Plan::default(),
            effects: Effects::new(runtime, options, nofile_soft),
            monitor,
            control,
            chronicle,
            stats,
            own_log: OwnLog::of(&options.logs),
            systemd: Systemd::new(now),
            signals,
            told: BTreeMap::new(),
            first: BTreeSet::new(),
            adopted: Vec::new(),
            adopted_at: now,
            silence_told: false,
            deep_scan_at: now,
            scan_again_at: None,
            includes_changed: false,
            unreported: BTreeSet::new(),
        })
    }

    /// One turn of the loop: waits, then handles all that came.
    fn turn(&mut self) -> Result<(), Fatal> {
        let ready = self.wait()?;
        if ready.signals {
            for number in self.signals.take() {
                self.signal(number);
            }
        }
        for name in ready.called {
            info!("[emperor] a connection wakes {name}");
            self.effects.called.insert(name.clone());
            self.handle(Event::Called(name));
        }
        for peer in &ready.writable {
            self.effects.flush(peer);
        }
        for peer in &ready.readable {
            match peer {
                Peer::Own(name) => self.listen_to(name),
                Peer::Heir(name) => self.listen_to_heir(name),
                Peer::Retired(pid) => self.listen_to_retired(*pid),
            }
        }
        let now = now();
        let rescan = self.scan_again_at.is_some_and(|at| at <= now);
        if !self.supervisor.is_stopping() && (ready.monitor || rescan || self.deep_scan_at <= now) {
            self.scan(self.deep_scan_at <= now);
        }
        self.include();
        if self.supervisor.deadline().is_some_and(|at| at <= now) {
            self.handle(Event::Tick);
        }
        self.continue_upgrade(now);
        self.hear_systemd(now);
        self.serve_clients();
        self.serve_stats();
        self.tell_silence(now);
        self.update_systemd();
        Ok(())
    }

    fn wait(&mut self) -> Result<Ready, Fatal> {
        let now = now();
        let stopping = self.supervisor.is_stopping();
        let deadline = [
            self.supervisor.deadline(),
            self.systemd.deadline(),
            self.control.deadline(),
            self.stats.as_ref().and_then(|it| it.documents.deadline()),
            (!stopping).then_some(self.deep_scan_at),
            self.scan_again_at.filter(|_| !stopping),
            (!self.silence_told).then_some(self.adopted_at + SILENCE),
            self.upgrade.check.as_ref().map(|check| check.deadline),
            self.question.as_ref().map(|question| question.deadline),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + LONGEST_WAIT);
        let mut poll = PollSet::new();
        let signals = poll.add(self.signals.as_fd(), Interest::Read);
        let monitor = (!stopping).then(|| poll.add(self.monitor.as_fd(), Interest::Read));
        if let Some(listener) = self.control.listener() {
            poll.add(listener, Interest::Read);
        }
        for (client, write) in self.control.clients() {
            let interest = if write {
                Interest::Write
            } else {
                Interest::Read
            };
            poll.add(client, interest);
        }
        if let Some(stats) = &self.stats {
            if let Some(listener) = stats.listener() {
                poll.add(listener, Interest::Read);
            }
            for (reader, interest) in stats.documents.readers() {
                poll.add(reader, interest);
            }
        }
        if let Some(check) = &self.upgrade.check {
            poll.add(check.fd(), Interest::Read);
        }
        if let Some(question) = &self.question {
            poll.add(question.fd(), Interest::Read);
        }
        let mut called = Vec::new();
        for name in self.supervisor.dozing() {
            let kept = self.effects.kept.get(name);
            for (_, listener) in kept.into_iter().flat_map(|kept| &kept.listeners) {
                called.push((poll.add(listener.as_fd(), Interest::Read), name.clone()));
            }
        }
        let mut reading = Vec::new();
        let mut writing = Vec::new();
        for (peer, master) in self.effects.peers() {
            if master.wants_write() {
                let index = poll.add(master.channel.as_fd(), Interest::Write);
                writing.push((index, peer.clone()));
            }
            reading.push((poll.add(master.channel.as_fd(), Interest::Read), peer));
        }
        poll.wait(Some(
            deadline.saturating_duration_since(now).min(LONGEST_WAIT),
        ))
        .map_err(|error| Fatal::Io {
            doing: "wait for events",
            error,
        })?;
        let peers = |fds: Vec<(usize, Peer)>| {
            let ready = fds.into_iter().filter(|(index, _)| poll.is_ready(*index));
            ready.map(|(_, peer)| peer).collect()
        };
        Ok(Ready {
            signals: poll.is_ready(signals),
            monitor: monitor.is_some_and(|index| poll.is_ready(index)),
            called: called
                .into_iter()
                .filter(|(index, _)| poll.is_ready(*index))
                .map(|(_, name)| name)
                .collect(),
            readable: peers(reading),
            writable: peers(writing),
        })
    }

    fn signal(&mut self, number: i32) {
        let name = imperator_process::signals::name(number);
        match signals::act(Who::Emperor, number) {
            Act::Reload => {
                info!("[emperor] {name}: reloading all vassals");
                self.systemd.reloading();
                self.scan(true);
                for asked in self.supervisor.names() {
                    self.record(&asked, What::ReloadAsked, "", Some(&name));
                }
                // With another binary in place of this one first, if there is one.
                if self.begin_upgrade(true).is_err() {
                    self.handle(Event::ReloadAll);
                }
            }
            Act::Stop if self.supervisor.is_stopping() => {
                warn!("[emperor] {name} again: stopping now");
                self.handle(Event::StopNow);
            }
            Act::Stop if self.is_asked_to_stop() => {
                warn!("[emperor] {name} again: stopping now");
                self.handle(Event::StopNow);
            }
            Act::Stop => {
                info!("[emperor] {name}: stopping all vassals; once more stops at once");
                self.systemd.stopping();
                self.begin_stop();
            }
            Act::Status => self.log_status(),
            Act::Log => info!("[emperor] {name}: nothing to do (USR1 logs the status)"),
            Act::Pause => {
                info!("[emperor] {name}: all vassals pause, or go on");
                self.handle(Event::PauseAll);
            }
            Act::Rescan => {
                info!("[emperor] {name}: looking at all files");
                self.scan(true);
            }
            Act::Retry => {
                info!("[emperor] {name}: retrying what waits after a failure");
                self.handle(Event::Retry(None));
            }
            Act::Reap => self.reap(),
            Act::Drain | Act::Stacks | Act::Ignore | Act::Default => (),
        }
    }

    /// Watches what the configs read, as their masters told.
    fn include(&mut self) {
        if !std::mem::take(&mut self.includes_changed) {
            return;
        }
        let kept = self.effects.kept.values();
        let statuses = kept.filter_map(|kept| kept.status.as_ref());
        let files = statuses.flat_map(|status| &status.files);
        let included = files.filter(|path| !self.plan.is_vassal_file(path));
        let since = wall_clock() - READ_BEFORE;
        let fresh = self.monitor.include(included.cloned().collect(), since);
        for path in fresh {
            for name in readers(&self.effects.kept, &path) {
                // Edited when the master had perhaps read it already: it looks again.
                self.handle(Event::Changed(name));
            }
        }
    }

    fn scan(&mut self, deep: bool) {
        if self.supervisor.is_stopping() {
            return;
        }
        let now = now();
        let (changes, again) = self.monitor.scan(deep, now);
        self.scan_again_at = again;
        if deep {
            self.deep_scan_at = now + self.monitor.scan_every();
            let own = self.own_log.as_mut().map(|it| it.look(wall_clock()));
            if let Some(Err(problem)) = own {
                warn!("{problem}");
            }
        }
        if changes.is_empty() {
            self.place_adopted();
            return;
        }
        let kept = &self.effects.kept;
        let readers = |path: &Path| readers(kept, path);
        let events = self
            .plan
            .apply(changes, self.monitor.sources(), &self.cwd, &readers);
        self.place_adopted();
        self.record_all(&events);
        for event in events {
            let renewed =
                if let Event::Changed(name) | Event::Touched(name) | Event::Beside(name) = &event {
                    Some(name.clone())
                } else {
                    None
                };
            self.handle(event);
            if let Some(name) = renewed {
                self.note_seen(&name);
            }
        }
        self.tell_problems();
    }
}

/// The apps whose config reads this file.
fn readers(kept: &BTreeMap<Name, Kept>, path: &Path) -> Vec<Name> {
    let reads = |status: &AppStatus| status.files.iter().any(|file| file == path);
    kept.iter()
        .filter(|(_, kept)| kept.status.as_ref().is_some_and(reads))
        .map(|(name, _)| name.clone())
        .collect()
}

/// What one wait found.
struct Ready {
    signals: bool,
    monitor: bool,
    /// Sleeping apps to which somebody connects.
    called: Vec<Name>,
    readable: Vec<Peer>,
    writable: Vec<Peer>,
}
