//! The processes of the app: started, forked, set up, told, forgotten.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use imperator_core::counters::{self, Counters};
use imperator_core::message::{Failure, Held, Setup, ToWorker, VERSION, fd};
use imperator_core::settings::Settings;
use imperator_core::settings::hooks::Phase as HookPhase;
use imperator_process::channel::Channel;
use imperator_process::reap::End;
use imperator_process::shared::{self, SharedWords};
use imperator_process::signals;
use imperator_process::spawn::{self, Limit, Plan};

use super::{Child, Effects, Stacks, own_env};
use crate::beside::extend_env;
use crate::clock;
use crate::event::{Event, Order, Parting, ProcessId};
use crate::{failure, obstacle, oom};

const BOOT: &str = include_str!("../boot.py");

impl Child {
    /// A mold that nobody has started yet.
    fn new(generation: u32, channel: Channel, stacks: Stacks) -> Self {
        Self {
            channel,
            is_open: true,
            generation,
            worker: None,
            pid: None,
            counters: None,
            counters_fd: None,
            forks: VecDeque::new(),
            born: clock::epoch(),
            has_loaded: false,
            is_raised: false,
            harakiri: Default::default(),
            stacks,
            is_asked_quietly: false,
            stuck: None,
            shown_since: None,
        }
    }
}

impl Effects {
    pub(super) fn spawn(
        &mut self,
        process: ProcessId,
        generation: u32,
        worker: Option<u32>,
    ) -> Event {
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
        let system = |error: io::Error| failure::system("start an interpreter", &error);
        let Some(extension) = &self.extension else {
            return Err(failure::plain("the Python extension is missing", None));
        };
        let (ours, theirs) = Channel::pair().map_err(system)?;
        ours.set_nonblocking(true).map_err(system)?;
        let input: OwnedFd = match ready.settings.limits.honour_stdin {
            true => io::stdin().as_fd().try_clone_to_owned(),
            false => std::fs::File::open("/dev/null").map(OwnedFd::from),
        }
        .map_err(system)?;
        let (counters_fd, counters) = match worker {
            Some(_) => {
                let (fd, words) = counters(&ready.settings).map_err(system)?;
                (Some(fd), Some(words))
            }
            None => (None, None),
        };
        let stacks = Stacks::new().map_err(system)?;
        let cwd = &self.origin.cwd;
        let mut plan = plan(&ready.interpreter, &ready.settings, cwd);
        plan.chdir = Some(ready.place.clone());
        extend_env(&mut plan.env, &ready.env);
        plan.fds = vec![
            (input.as_fd(), 0),
            (self.log.app.write.as_fd(), 1),
            (self.log.app.write.as_fd(), 2),
            (theirs.as_fd(), fd::CHANNEL),
            (extension.as_fd(), fd::EXTENSION),
            (self.log.requests.write.as_fd(), fd::REQUEST_LOG),
            (self.locks.as_fd(), fd::LOCKS),
        ];
        plan.identity.clone_from(&ready.identity);
        plan.nofile = Some(self.origin.nofile_soft);
        let pid = spawn::spawn(&plan).map_err(|error| {
            let mut failure = failure::spawn(&ready.settings, &error);
            obstacle::look_at_start(&mut failure, ready, &error);
            failure
        })?;
        let is_raised = oom::raise(pid);
        let child = Child {
            worker,
            pid: Some(pid),
            counters,
            counters_fd,
            is_raised,
            ..Child::new(generation, ours, stacks)
        };
        self.children.insert(process, child);
        Ok(pid)
    }

    /// The worker's pid comes with the mold's `Forked`.
    pub(super) fn fork(
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
        let failure = Box::new(failure::system("order a worker from the mold", &error));
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
        let ready = self.generations.get_mut(&generation).ok_or_else(gone)?;
        let first = ready.born.insert(worker);
        let (ours, theirs) = Channel::pair()?;
        ours.set_nonblocking(true)?;
        let (counters_fd, words) = counters(&ready.settings)?;
        let stacks = Stacks::new()?;
        let parent = self.children.get_mut(&mold).ok_or_else(gone)?;
        let unproven = !ready.has_served;
        let order = ToWorker::Fork {
            worker,
            first,
            unproven,
        };
        parent.channel.send(
            &order,
            &[theirs.as_fd(), counters_fd.as_fd(), stacks.as_fd()],
        )?;
        parent.forks.push_back((worker, process));
        let child = Child {
            worker: Some(worker),
            counters: Some(words),
            has_loaded: true,
            is_raised: parent.is_raised,
            ..Child::new(generation, ours, stacks)
        };
        self.children.insert(process, child);
        Ok(())
    }

    pub(super) fn say(&mut self, process: ProcessId, order: Order) {
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
        if matches!(order, Order::Drain | Order::Finish) {
            child.harakiri.is_draining = true;
        }
        if child.channel.send(&message, &[]).is_ok() || child.pid.is_none() {
            return;
        }
        // It ended, or does not read: its signals mean the same, and its deadline runs anyway.
        if let (Some(pid), Order::Drain | Order::Finish) = (child.pid, order) {
            let _ = signals::send(pid, nix::libc::SIGTERM);
        }
    }

    /// It is up, and no likelier than others to be killed for want of memory.
    pub(super) fn calm(&mut self, process: ProcessId) {
        if let Some(child) = self.children.get_mut(&process)
            && let Some(pid) = child.pid.filter(|_| child.is_raised)
        {
            // Where the kernel refuses, nothing else helps: it stays a likelier victim.
            oom::calm(pid);
            child.is_raised = false;
        }
    }

    /// Those of a generation that serves.
    pub(crate) fn calm_all(&mut self, generation: u32) {
        let all = self.children.iter();
        let its = all.filter(|(_, child)| child.generation == generation);
        let its: Vec<_> = its.map(|(&process, _)| process).collect();
        its.into_iter().for_each(|process| self.calm(process));
    }

    /// What it does is logged before it is killed. faulthandler needs no lock for that.
    pub(super) fn ask_who_is_late(&mut self, process: ProcessId, pid: i32) {
        let who = match self.children.get(&process).map(|child| child.worker) {
            Some(Some(worker)) => format!("worker {worker} (pid {pid})"),
            Some(None) => format!("the mold (pid {pid})"),
            None => return,
        };
        let text = format!("{who} is late and will be killed; what it does now:");
        self.log.note(&text);
        for line in self.running_of(process) {
            self.log.note(&line);
        }
        self.ask_for_stacks(process);
    }

    pub(super) fn forget(&mut self, process: ProcessId, end: Option<End>, parting: Parting) {
        let awaited = self.children.get(&process);
        if awaited.is_some_and(|child| child.stacks.is_expected()) {
            self.tell_stacks(process);
        }
        let Some(child) = self.children.remove(&process) else {
            return;
        };
        self.gone_requests += super::crew::requests(&child);
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
                self.note_death(&who, pid, end);
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
        let is_kept = |generation: u32| {
            Some(generation) == last
                || Some(generation) == serving
                || children.values().any(|it| it.generation == generation)
        };
        let mut goodbyes = Vec::new();
        self.generations.retain(|&generation, ready| {
            let kept = is_kept(generation);
            if !kept && ready.has_served {
                goodbyes.extend(ready.settings.hooks.steps(&[HookPhase::AsUserAtexit]));
            }
            kept
        });
        self.retired(goodbyes, clock::now());
    }

    pub(super) fn set_up(&mut self, process: ProcessId) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let child = self.children.get_mut(&process).ok_or_else(gone)?;
        let ready = self.generations.get_mut(&child.generation);
        let ready = ready.ok_or_else(gone)?;
        let loads_first = ready.born.insert(0);
        let first = child.worker.is_some_and(|worker| ready.born.insert(worker));
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
        fds.push(child.stacks.as_fd());
        let mut settings = ready.settings.clone();
        ready.release.fix(&mut settings);
        let setup = Setup {
            version: VERSION,
            name: self.origin.name.clone(),
            generation: child.generation,
            worker: child.worker,
            settings,
            listeners,
            tls: ready.tls.clone(),
            mercy: ready.settings.worker_reload_mercy,
            cwd: self.origin.cwd.clone(),
            first,
            loads_first,
            unproven: !ready.has_served,
        };
        child.channel.send(&ToWorker::Setup(Box::new(setup)), &fds)
    }
}

/// The start of an app's interpreter, but for its user and its descriptors.
pub(crate) fn plan<'a>(interpreter: &Path, settings: &Settings, cwd: &Path) -> Plan<'a> {
    let limits = &settings.limits;
    let mut plan = Plan::new(interpreter);
    plan.args = crate::interpreter::flags(settings);
    plan.args.extend(["-c".into(), BOOT.into()]);
    plan.env = app_env(settings);
    let start = match &limits.force_cwd {
        Some(start) => cwd.join(start),
        None => cwd.to_owned(),
    };
    plan.chdir = Some(match &settings.chdir {
        Some(chdir) => start.join(chdir),
        None => start,
    });
    plan.umask = limits.umask;
    plan.nice = limits.priority;
    plan.limits = [
        (Limit::AddressSpace, limits.address_space),
        (Limit::Processes, limits.processes),
        (Limit::OpenFiles, limits.open_files),
    ]
    .into_iter()
    .filter_map(|(limit, value)| Some((limit, value?)))
    .collect();
    plan
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
pub(crate) fn app_env(settings: &Settings) -> Vec<(OsString, OsString)> {
    let mut env = own_env(false);
    env.retain(|(key, _)| !settings.unset_env.iter().any(|name| *key == **name));
    for (key, value) in &settings.env {
        env.retain(|(other, _)| *other != **key);
        env.push((key.into(), value.into()));
    }
    env
}
