//! Carries out what `app.rs` decided: processes, sockets, messages. Answers with events, never
//! with decisions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

use imperator_core::message::{Config, Failure, Pem, Stuck};
use imperator_core::settings::Settings;
use imperator_process::channel::Channel;
use imperator_process::privileges::Identity;
use imperator_process::shared::SharedWords;
use imperator_process::signals;

use crate::beside::Beside;
use crate::chronicle::Chronicle;
use crate::event::{Action, Event, ProcessId};
use crate::log::Log;
use crate::modules::Modules;
use crate::release::Release;
use crate::resolve::Resolving;
use crate::sockets::{Look, Sockets};
use crate::sources::Sources;
use crate::stats::Stats;
use crate::succession::Succession;
use crate::touched::Touched;
use crate::troubles::Troubles;
pub(crate) use queues::Queues;
pub(crate) use stacks::{LOOK as STACKS_LOOK, Stacks};

pub(crate) mod children;
mod crew;
mod hearing;
mod queues;
pub(crate) mod sampling;
mod stacks;

/// What is looked up only for who asks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Numbers {
    /// Connections that wait.
    pub queue: Option<u64>,
    /// Requests in a second, in thousandths.
    pub rate: Option<u64>,
    /// Resident bytes.
    pub memory: Option<u64>,
}

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
    /// Where its processes work.
    pub cwd: PathBuf,
    /// The same without symlinks: what `current` means is decided once for a generation.
    pub place: PathBuf,
    /// Its code, likewise.
    pub release: Release,
    /// What hooks changed in its environment.
    pub env: Vec<(String, Option<String>)>,
    pub has_served: bool,
    /// Workers that were started before; 0 stands for whoever loads the app.
    pub born: BTreeSet<u32>,
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
    /// Its app is imported.
    pub has_loaded: bool,
    /// The kernel is to kill it before others (`oom.rs`).
    pub is_raised: bool,
    pub harakiri: crate::harakiri::Watch,
    pub stacks: Stacks,
    /// They are for the status, not for the log.
    pub is_asked_quietly: bool,
    pub stuck: Option<Stuck>,
    /// When somebody asked last what it does (CLOCK_MONOTONIC milliseconds).
    pub shown_since: Option<u64>,
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
    /// What the last config names for the case that it fails.
    pub fallback: Option<String>,
    /// The generation that runs that one instead.
    pub falling: Option<u32>,
    /// Processes of ours that are neither mold nor worker.
    pub helpers: BTreeSet<i32>,
    /// Every file that the last config was read from.
    pub files: Vec<PathBuf>,
    pub sources: Sources,
    pub touched: Touched,
    /// For `uwsgi.lock()`.
    pub locks: OwnedFd,
    pub modules: Modules,
    /// What an operator should know, in the order in which it came up.
    pub notes: Vec<String>,
    pub sockets_changed: bool,
    pub respawns: BTreeMap<u32, u64>,
    /// What workers that have ended answered.
    pub gone_requests: u64,
    pub harakiris: BTreeMap<u32, u64>,
    /// A worker said something that a look at all of them goes into.
    pub look_now: bool,
    /// The umask of the start, where the app's config has another one.
    pub own_umask: Option<u32>,
    pub kernel: crate::backlog::Diagnosis,
    pub queues: Queues,
    /// As they were when somebody asked last.
    pub numbers: Numbers,
    pub chronicle: Chronicle,
    pub troubles: Troubles,
    /// Where ps reads the master's name, once a config wants one.
    pub title: Option<imperator_process::title::Area>,
    pub pidfile: Option<PathBuf>,
    pub beside: Beside,
    pub stop_reason: Option<String>,
    pub ended: bool,
    pub succession: Succession,
}

/// Notes beyond this are only logged.
const MAX_NOTES: usize = 50;

impl Effects {
    pub(crate) fn carry_out(&mut self, action: Action, now: Instant) -> Vec<Event> {
        match action {
            Action::Prepare {
                generation,
                only_if_changed,
                fallback,
            } => {
                self.falling = fallback.then_some(generation);
                self.prepare(generation, only_if_changed, now)
            }
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
            Action::Stacks { process, pid } => {
                self.ask_who_is_late(process, pid);
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
            Action::Sleep { prepared, ends } => {
                self.sleep(prepared, ends);
                Vec::new()
            }
            Action::Scaled { from, to } => {
                self.scaled(from, to);
                Vec::new()
            }
            Action::UnlinkSockets => {
                self.unlink_sockets();
                Vec::new()
            }
            Action::Cede => {
                self.cede(now);
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
