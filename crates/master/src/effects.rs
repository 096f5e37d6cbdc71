//! Carries out what `app.rs` decided: processes, sockets, messages. Answers with events, never
//! with decisions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use imperator_core::counters::{self, Counters};
use imperator_core::message::{
    Config, Failure, FromWorker, Held, Pem, Setup, ToWorker, VERSION, fd,
};
use imperator_core::settings::Settings;
use imperator_process::channel::{Channel, Received};
use imperator_process::privileges::Identity;
use imperator_process::reap::End;
use imperator_process::shared::{self, SharedWords};
use imperator_process::signals;
use imperator_process::spawn::{self, Plan};

use crate::clock;
use crate::event::{Action, Event, Order, Parting, ProcessId};
use crate::failure;
use crate::log::Log;
use crate::resolve::Resolving;
use crate::sockets::{Look, Sockets};
use crate::stats::Stats;
use crate::touched::Touched;

const BOOT: &str = include_str!("boot.py");
/// Messages of one process read in one turn.
const MESSAGES: usize = 64;

/// Which app this is; fixed for the master's life.
#[derive(Debug)]
pub(crate) struct Origin {
    pub name: String,
    pub config: Config,
    pub resolve: Vec<String>,
    pub cwd: PathBuf,
    pub nofile_soft: u64,
    pub is_alone: bool,
}

/// A generation's config with all that was looked up for it.
#[derive(Debug)]
pub(crate) struct Ready {
    pub settings: Settings,
    pub files: Vec<PathBuf>,
    pub notes: Vec<String>,
    pub interpreter: PathBuf,
    pub identity: Option<Identity>,
    pub python: Option<String>,
    pub load_seconds: f64,
    pub look: Look,
    /// Of HTTPS sockets, beside `settings.listens`.
    pub tls: Vec<Option<Pem>>,
}

/// A mold or worker, as long as the machine knows it.
pub(crate) struct Child {
    pub channel: Channel,
    pub is_open: bool,
    pub generation: u32,
    /// `None`: a mold.
    pub worker: Option<u32>,
    pub pid: Option<i32>,
    pub counters: Option<SharedWords>,
    counters_fd: Option<OwnedFd>,
    /// Forks that a mold was asked for, in order.
    forks: VecDeque<(u32, ProcessId)>,
    pub born: u64,
    pub harakiri: crate::harakiri::Watch,
}

pub(crate) struct Effects {
    pub origin: Origin,
    /// `None`: not found so far.
    pub extension: Option<OwnedFd>,
    pub generations: BTreeMap<u32, Ready>,
    pub serving: Option<u32>,
    /// The generation whose config the edge follows: logs, stats, pidfile.
    pub configured: Option<u32>,
    pub resolving: Option<Resolving>,
    pub sockets: Sockets,
    pub log: Log,
    pub stats: Stats,
    pub children: BTreeMap<ProcessId, Child>,
    /// The last failure; cleared by the next generation that becomes ready.
    pub failure: Option<Failure>,
    /// The generation that failed last.
    pub failing: Option<u32>,
    pub failed_to_prepare: bool,
    /// Processes of ours that are neither mold nor worker.
    pub helpers: BTreeSet<i32>,
    /// Every file that the last config was read from.
    pub files: Vec<PathBuf>,
    pub touched: Touched,
    /// What an operator should know, in the order in which it came up.
    pub notes: Vec<String>,
    pub sockets_changed: bool,
    pub respawns: BTreeMap<u32, u64>,
    pub harakiris: BTreeMap<u32, u64>,
    pub pidfile: Option<PathBuf>,
    pub stop_reason: Option<String>,
    pub ended: bool,
}

/// Notes beyond this are only logged.
const MAX_NOTES: usize = 50;

impl Effects {
    pub(crate) fn carry_out(&mut self, action: Action, now: Instant) -> Vec<Event> {
        match action {
            Action::Prepare {
                generation,
                only_if_changed,
            } => self.prepare(generation, only_if_changed, now),
            Action::Abandon { generation } => {
                self.abandon(generation);
                Vec::new()
            }
            Action::SpawnMold {
                process,
                generation,
            } => vec![self.spawn(process, generation, None)],
            Action::SpawnWorker {
                process,
                generation,
                worker,
            } => vec![self.spawn(process, generation, Some(worker))],
            Action::Fork {
                process,
                mold,
                generation,
                worker,
            } => self.fork(process, mold, generation, worker),
            Action::Say { process, order } => {
                self.say(process, order);
                Vec::new()
            }
            Action::Kill { pid, .. } => {
                // A process that just ended is a zombie until we reap it: its pid is still its own.
                let _ = signals::send_group(pid, nix::libc::SIGKILL);
                Vec::new()
            }
            Action::Serve { generation } => {
                self.serve(generation);
                Vec::new()
            }
            Action::Failed { generation, cause } => {
                self.failed(generation, &cause);
                Vec::new()
            }
            Action::Forget {
                process,
                end,
                parting,
            } => {
                self.forget(process, end, parting);
                Vec::new()
            }
            Action::UnlinkSockets => {
                let vacuum = self.newest().is_none_or(|it| it.settings.vacuum);
                if vacuum {
                    self.sockets.unlink();
                }
                self.stats.close();
                Vec::new()
            }
            Action::End => {
                self.ended = true;
                Vec::new()
            }
        }
    }

    /// The config that serves, or the last one that was prepared.
    pub(crate) fn newest(&self) -> Option<&Ready> {
        let serving = self
            .serving
            .and_then(|serving| self.generations.get(&serving));
        serving.or_else(|| self.generations.values().next_back())
    }

    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.log.note(&text);
            self.keep_note(text);
        }
    }

    pub(crate) fn keep_note(&mut self, text: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn spawn(&mut self, process: ProcessId, generation: u32, worker: Option<u32>) -> Event {
        match self.try_spawn(process, generation, worker) {
            Ok(pid) => Event::Spawned { process, pid },
            Err(failure) => {
                let failure = Box::new(failure);
                Event::SpawnFailed { process, failure }
            }
        }
    }

    fn try_spawn(
        &mut self,
        process: ProcessId,
        generation: u32,
        worker: Option<u32>,
    ) -> Result<i32, Failure> {
        let Some(ready) = self.generations.get(&generation) else {
            return Err(failure::plain("its generation is gone", None));
        };
        let system = |error: io::Error| {
            let hint = "look at the limits of this machine: processes, memory, open files";
            failure::plain(
                format!("cannot start an interpreter: {error}"),
                Some(hint.to_owned()),
            )
        };
        let Some(extension) = &self.extension else {
            return Err(failure::plain("the Python extension is missing", None));
        };
        let (ours, theirs) = Channel::pair().map_err(system)?;
        ours.set_nonblocking(true).map_err(system)?;
        let null = std::fs::File::open("/dev/null").map_err(system)?;
        let (counters_fd, counters) = match worker {
            Some(_) => {
                let (fd, words) = counters(&ready.settings).map_err(system)?;
                (Some(fd), Some(words))
            }
            None => (None, None),
        };
        let cwd = &self.origin.cwd;
        let mut plan = plan(&ready.interpreter, &ready.settings, cwd);
        plan.fds = vec![
            (null.as_fd(), 0),
            (self.log.app.write.as_fd(), 1),
            (self.log.app.write.as_fd(), 2),
            (theirs.as_fd(), fd::CHANNEL),
            (extension.as_fd(), fd::EXTENSION),
            (self.log.requests.write.as_fd(), fd::REQUEST_LOG),
        ];
        plan.identity.clone_from(&ready.identity);
        plan.nofile = Some(self.origin.nofile_soft);
        let pid = spawn::spawn(&plan).map_err(|error| failure::spawn(&ready.settings, &error))?;
        self.children.insert(
            process,
            Child {
                channel: ours,
                is_open: true,
                generation,
                worker,
                pid: Some(pid),
                counters,
                counters_fd,
                forks: VecDeque::new(),
                born: clock::epoch(),
                harakiri: Default::default(),
            },
        );
        Ok(pid)
    }

    /// The worker's pid comes with the mold's `Forked`.
    fn fork(
        &mut self,
        process: ProcessId,
        mold: ProcessId,
        generation: u32,
        worker: u32,
    ) -> Vec<Event> {
        let result = self.try_fork(process, mold, generation, worker);
        let Err(error) = result else {
            return Vec::new();
        };
        let text = format!("cannot order a worker from the mold: {error}");
        let failure = Box::new(failure::plain(text, None));
        vec![Event::SpawnFailed { process, failure }]
    }

    fn try_fork(
        &mut self,
        process: ProcessId,
        mold: ProcessId,
        generation: u32,
        worker: u32,
    ) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let ready = self.generations.get(&generation).ok_or_else(gone)?;
        let (ours, theirs) = Channel::pair()?;
        ours.set_nonblocking(true)?;
        let (counters_fd, words) = counters(&ready.settings)?;
        let parent = self.children.get_mut(&mold).ok_or_else(gone)?;
        let order = ToWorker::Fork { worker };
        parent
            .channel
            .send(&order, &[theirs.as_fd(), counters_fd.as_fd()])?;
        parent.forks.push_back((worker, process));
        self.children.insert(
            process,
            Child {
                channel: ours,
                is_open: true,
                generation,
                worker: Some(worker),
                pid: None,
                counters: Some(words),
                counters_fd: None,
                forks: VecDeque::new(),
                born: clock::epoch(),
                harakiri: Default::default(),
            },
        );
        Ok(())
    }

    fn say(&mut self, process: ProcessId, order: Order) {
        let Some(child) = self.children.get_mut(&process) else {
            return;
        };
        let message = match order {
            Order::Drain => ToWorker::Drain,
            Order::Finish => ToWorker::Finish,
            Order::Pause => ToWorker::Pause,
            Order::Resume => ToWorker::Resume,
            Order::Heard => ToWorker::Heard,
        };
        if child.channel.send(&message, &[]).is_ok() || child.pid.is_none() {
            return;
        }
        // It ended, or does not read: its signals mean the same, and its deadline runs anyway.
        if let (Some(pid), Order::Drain | Order::Finish) = (child.pid, order) {
            let _ = signals::send(pid, nix::libc::SIGTERM);
        }
    }

    fn forget(&mut self, process: ProcessId, end: Option<End>, parting: Parting) {
        let Some(child) = self.children.remove(&process) else {
            return;
        };
        let pid = child.pid.unwrap_or_default();
        let who = match child.worker {
            Some(worker) => format!("worker {worker} (pid {pid})"),
            None => format!("the mold (pid {pid})"),
        };
        match (end, parting) {
            (Some(end), Parting::Unexpected) => {
                if let Some(worker) = child.worker {
                    *self.respawns.entry(worker).or_default() += 1;
                }
                self.log.note(&format!("{who} died: {end}"));
            }
            (Some(_), Parting::Late) => {
                let text = format!("{who} did not finish in time and was killed");
                self.log.note(&text);
            }
            (Some(end), Parting::Ordered) if !end.is_success() && child.worker.is_some() => {
                self.log.note(&format!("{who} ended: {end}"));
            }
            (Some(_), Parting::Ordered | Parting::Told) => (),
            (None, _) if child.pid.is_some() => {
                let text = format!("{who} was killed and does not end: it hangs in the kernel");
                self.note(text);
            }
            (None, _) => (),
        }
        self.drop_old_generations();
    }

    /// A config is kept as long as a process or a decision may need it.
    fn drop_old_generations(&mut self) {
        let children = &self.children;
        let last = self.generations.keys().next_back().copied();
        let serving = self.serving;
        self.generations.retain(|&generation, _| {
            Some(generation) == last
                || Some(generation) == serving
                || children.values().any(|it| it.generation == generation)
        });
    }

    /// Everything that this process said.
    pub(crate) fn hear(&mut self, process: ProcessId) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..MESSAGES {
            let Some(child) = self.children.get_mut(&process) else {
                break;
            };
            if !child.is_open {
                break;
            }
            match child.channel.receive::<FromWorker>() {
                Ok(Received::Message(message, _)) => {
                    events.extend(self.understand(process, message));
                }
                Ok(Received::Empty) => break,
                Ok(Received::Closed) => child.is_open = false,
                Err(error) => {
                    child.is_open = false;
                    let text = format!("process {process} said nonsense: {error}");
                    self.note(text);
                }
            }
        }
        events
    }

    fn understand(&mut self, process: ProcessId, message: FromWorker) -> Option<Event> {
        let child = self.children.get_mut(&process)?;
        let ready = self.generations.get_mut(&child.generation)?;
        match message {
            FromWorker::Hello { version, python } => {
                ready.python = Some(python);
                let result = if version == VERSION {
                    self.set_up(process).map_err(|error| error.to_string())
                } else {
                    Err(format!(
                        "it speaks version {version} of our messages, not {VERSION}"
                    ))
                };
                result.err().map(|why| {
                    let text = format!("cannot set up a worker: {why}");
                    let failure = Box::new(failure::plain(text, None));
                    Event::LoadFailed { process, failure }
                })
            }
            FromWorker::Unfit { why, .. } => {
                let failure = Box::new(failure::unfit(&ready.settings, &why));
                Some(Event::LoadFailed { process, failure })
            }
            FromWorker::Loaded {
                threads,
                notes,
                seconds,
            } => {
                ready.load_seconds = seconds;
                let has_threads = !threads.is_empty();
                let mut fresh = notes;
                if child.worker.is_none() && has_threads {
                    fresh.push(format!(
                        "the app starts threads while it loads ({}): each worker loads it itself",
                        threads.join(", ")
                    ));
                }
                fresh.retain(|note| !ready.notes.contains(note));
                ready.notes.extend(fresh.iter().cloned());
                for note in fresh {
                    self.note(note);
                }
                let threads = has_threads;
                Some(Event::Loaded { process, threads })
            }
            FromWorker::LoadFailed { summary, traceback } => {
                let failure = failure::load(&ready.settings, &summary, &traceback);
                let failure = Box::new(failure);
                Some(Event::LoadFailed { process, failure })
            }
            FromWorker::Forked { worker, pid } => {
                let process = take_fork(&mut child.forks, worker)?;
                self.children.get_mut(&process)?.pid = Some(pid);
                Some(Event::Spawned { process, pid })
            }
            FromWorker::ForkFailed { worker, why } => {
                let process = take_fork(&mut child.forks, worker)?;
                let text = format!("the mold cannot fork worker {worker}: {why}");
                let hint = "look at the limits of this machine: processes, memory";
                let failure = Box::new(failure::plain(text, Some(hint.to_owned())));
                Some(Event::SpawnFailed { process, failure })
            }
            FromWorker::Accepting => {
                // A replacement that failed before has come up after all.
                if self.serving == Some(child.generation) && self.failing == self.serving {
                    self.failure = None;
                    self.failing = None;
                }
                Some(Event::Accepting { process })
            }
            FromWorker::WantsToDrain { why } => {
                if let (Some(worker), Some(pid)) = (child.worker, child.pid) {
                    self.log.note(&format!(
                        "worker {worker} (pid {pid}) is to be replaced: {why}"
                    ));
                }
                Some(Event::WantsToDrain { process })
            }
            FromWorker::IgnoredVar { name } => {
                self.note(format!("a request tried to set {name}: ignored"));
                None
            }
            FromWorker::Note { text } => {
                self.note(text);
                None
            }
        }
    }

    fn set_up(&mut self, process: ProcessId) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let child = self.children.get_mut(&process).ok_or_else(gone)?;
        let ready = self.generations.get(&child.generation).ok_or_else(gone)?;
        let mut listeners = Vec::new();
        let mut fds: Vec<BorrowedFd<'_>> = child.counters_fd.iter().map(AsFd::as_fd).collect();
        for listen in &ready.settings.listens {
            let listener = self.sockets.get(&listen.address).ok_or_else(gone)?;
            listeners.push(Held {
                protocol: listen.protocol,
                address: listen.address.clone(),
            });
            fds.push(listener.fd.as_fd());
        }
        let setup = Setup {
            version: VERSION,
            name: self.origin.name.clone(),
            generation: child.generation,
            worker: child.worker,
            settings: ready.settings.clone(),
            listeners,
            tls: ready.tls.clone(),
            mercy: ready.settings.worker_reload_mercy,
            cwd: self.origin.cwd.clone(),
        };
        child.channel.send(&ToWorker::Setup(Box::new(setup)), &fds)
    }
}

/// The start of an app's interpreter, but for its user and its descriptors.
pub(crate) fn plan<'a>(interpreter: &Path, settings: &Settings, cwd: &Path) -> Plan<'a> {
    let mut plan = Plan::new(interpreter);
    plan.args = crate::interpreter::flags(settings);
    plan.args.extend(["-c".into(), BOOT.into()]);
    plan.env = app_env(settings);
    plan.chdir = Some(match &settings.chdir {
        Some(chdir) => cwd.join(chdir),
        None => cwd.to_owned(),
    });
    plan
}

fn take_fork(forks: &mut VecDeque<(u32, ProcessId)>, worker: u32) -> Option<ProcessId> {
    let index = forks.iter().position(|&(asked, _)| asked == worker)?;
    forks.remove(index).map(|(_, process)| process)
}

fn counters(settings: &Settings) -> io::Result<(OwnedFd, SharedWords)> {
    let cores = settings.cores();
    let fd = shared::create("imperator-counters", counters::words(cores))?;
    let words = SharedWords::map(&fd)?;
    // Readers of a worker that has not begun see zeros.
    Counters::init(words.words(), cores);
    Ok((fd, words))
}

/// The environment of an app: ours without what is meant for us, and with its `env` options.
fn app_env(settings: &Settings) -> Vec<(OsString, OsString)> {
    let mut env = own_env(false);
    env.retain(|(key, _)| !settings.unset_env.iter().any(|name| *key == **name));
    for (key, value) in &settings.env {
        env.retain(|(other, _)| *other != **key);
        env.push((key.into(), value.into()));
    }
    env
}

/// `configs`: with `UWSGI_*`, which are options to whoever resolves the config.
pub(crate) fn own_env(configs: bool) -> Vec<(OsString, OsString)> {
    let is_ours = |key: &str| {
        let of_uwsgi = key.starts_with("UWSGI_") && !configs;
        let of_systemd = ["WATCHDOG_", "LISTEN_"]
            .iter()
            .any(|it| key.starts_with(it));
        let of_imperator = key.starts_with("IMPERATOR_");
        key == "NOTIFY_SOCKET" || of_systemd || of_imperator || of_uwsgi
    };
    std::env::vars_os()
        .filter(|(key, _)| !is_ours(&key.to_string_lossy()))
        .collect()
}
