//! What a master does beside running workers: hooks, attached daemons, crons, FIFOs, touched files,
//! pidfiles. The decisions stand in `daemons.rs` and `crons.rs`, and in the tables of `core`; this
//! file carries them out. Nothing here runs app code, and whatever may hang is a child's.

mod alarms;
mod commands;
mod crons;
pub(crate) mod daemons;
mod end;
mod fifo;
mod orders;
mod perform;
mod start;
mod watched;

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use imperator_core::command::Command;
use imperator_core::settings::cron::Minute;
use imperator_core::settings::hooks::{Hooks, Job, Phase, Step};
use imperator_core::settings::outside::Touch;
use imperator_core::signals::CHLD;
use imperator_process::local_time::local_time;
use imperator_process::privileges::Identity;
use imperator_process::reap::End;
use imperator_process::signals;

use crate::clock;
use crate::effects::Effects;
use crate::effects::children::app_env;
use crate::event::Event;
use crate::touched;
use crons::Crons;
use daemons::Daemons;
use fifo::Fifo;
use perform::{Performing, Request};
pub(crate) use start::{Pending, extend_env};
use watched::{Touches, Watched, Wish};

/// Jobs that nobody waits for, at one time; more are told and left out.
const MAX_JOBS: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Beside {
    daemons: Daemons,
    crons: Crons,
    fifo: Fifo,
    touches: Touches,
    watched: Watched,
    performing: Vec<(Performing, Purpose)>,
    /// What the master is to do, from FIFOs, touched files and hooks; with who said so.
    commands: Vec<(Command, String)>,
    /// Where the commands of the configured generation run, and as whom.
    home: Home,
    /// Written as the app's user; removed at the end.
    pidfiles: Vec<PathBuf>,
    next_minute: Option<Instant>,
    end: end::Ending,
    /// The generation whose code the daemons run.
    daemons_of: Option<u32>,
    has_served: bool,
}

/// Why a job was started.
#[derive(Debug)]
enum Purpose {
    /// A generation waits for it.
    Start(Box<Pending>),
    /// Only its failure is told.
    Other(&'static str),
}

/// Where commands beside the app run, and as whom.
#[derive(Debug, Clone, Default)]
struct Home {
    cwd: PathBuf,
    env: Vec<(OsString, OsString)>,
    identity: Option<Identity>,
    hooks: Hooks,
    /// How long a daemon or a cron may take to end.
    mercy: Duration,
    honour_stdin: bool,
    /// `env = TZ=…`: crons go by the app's clock.
    zone: Option<String>,
}

impl Beside {
    /// To be read when ready.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let performing = self.performing.iter().map(|(it, _)| it.as_fd());
        performing.chain(self.fifo.fd()).chain(self.watched.fd())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let performing = self.performing.iter().map(|(it, _)| it.deadline);
        performing
            .chain(self.daemons.deadline())
            .chain(self.crons.deadline())
            .chain(self.next_minute.filter(|_| !self.crons.is_empty()))
            .min()
    }

    /// This generation serves, and none did: after a sleep the daemons go on as they are.
    pub(crate) fn wakes(&mut self, generation: u32) {
        if self.has_served {
            self.daemons_of = Some(generation);
        }
    }

    /// No daemon and no cron runs, and none will be started.
    pub(crate) fn is_done(&self) -> bool {
        self.daemons.is_done() && self.crons.is_done()
    }

    /// Nothing here needs a master while the app sleeps.
    pub(crate) fn is_idle(&self) -> bool {
        let no_daemon = self.daemons.current().next().is_none();
        let no_cron = self.crons.is_empty() && self.crons.is_done();
        let waits = self.performing.is_empty() && self.commands.is_empty();
        let watches = self.fifo.fd().is_some() || self.watched.fd().is_some();
        no_daemon
            && no_cron
            && waits
            && !watches
            && self.touches.is_empty()
            && self.pidfiles.is_empty()
            && !self.home.hooks.has(Phase::AsUserAtexit)
    }

    pub(crate) fn wants_seconds(&self) -> bool {
        !self.touches.is_empty()
    }

    pub(crate) fn take_commands(&mut self) -> Vec<(Command, String)> {
        std::mem::take(&mut self.commands)
    }

    /// What a signal is to mean, when a hook said so.
    pub(crate) fn meaning(&self, signal: i32) -> Option<Command> {
        let mut all = self.home.hooks.signals.iter().rev();
        all.find(|(number, _)| *number == signal && signal != CHLD)
            .map(|&(_, command)| command)
    }

    /// How long the end may take after the last worker's.
    pub(crate) fn mercy(&self) -> Duration {
        let waits = !self.daemons.is_done() || !self.crons.is_done();
        let mercy = if waits {
            self.home.mercy
        } else {
            Duration::ZERO
        };
        let atexit = self.home.hooks.has(Phase::AsUserAtexit);
        mercy
            + if atexit {
                end::ATEXIT_LIMIT
            } else {
                Duration::ZERO
            }
    }

    /// A line for each daemon, and for each cron that runs.
    pub(crate) fn lines(&self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, daemon, pid, restarts) in self.daemons.current() {
            let how = match (pid, self.daemons.waits(id, now)) {
                (Some(pid), _) => format!("pid {pid}"),
                (None, Some(_)) => "ended early, waits to be started again".to_owned(),
                (None, None) => "does not run".to_owned(),
            };
            let again = match restarts {
                0 => String::new(),
                count => format!(", started again {count} times"),
            };
            lines.push(format!("daemon \"{}\": {how}{again}", daemon.command));
        }
        for (cron, running) in self.crons.all() {
            let how = match running {
                Some((pid, _)) => format!("runs, pid {pid}"),
                None => "waits".to_owned(),
            };
            lines.push(format!(
                "cron \"{}\" at {}: {how}",
                cron.command,
                cron.schedule()
            ));
        }
        lines
    }

    /// `daemons` and `crons` of the stats, as the original has them.
    pub(crate) fn numbers(&self, now: Instant) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
        let daemons = self.daemons.current().map(|(_, daemon, pid, restarts)| {
            serde_json::json!({
                "cmd": daemon.command, "pid": pid.unwrap_or(0), "respawns": restarts,
            })
        });
        let crons = self.crons.all().map(|(cron, running)| {
            let started = running.map(|(_, since)| {
                clock::epoch().saturating_sub(now.saturating_duration_since(since).as_secs())
            });
            serde_json::json!({
                "minute": cron.minute, "hour": cron.hour, "day": cron.day, "month": cron.month,
                "week": cron.week, "command": cron.command, "unique": u8::from(cron.unique),
                "pid": running.map_or(-1, |(pid, _)| pid), "started_at": started.unwrap_or(0),
            })
        });
        (daemons.collect(), crons.collect())
    }
}

impl Effects {
    /// The config of this generation is the one that counts from now on.
    pub(crate) fn configure_beside(
        &mut self,
        generation: u32,
        again: bool,
        now: Instant,
    ) -> Vec<String> {
        // A first generation that fails and is tried again restarts no daemon, until one serves.
        let anew = self.serving == Some(generation) && self.beside.daemons_of != Some(generation);
        let crons_wait = self.serving.is_some() && self.beside.next_minute.is_none();
        if again && !anew && !crons_wait {
            return Vec::new();
        }
        if anew || self.beside.daemons_of.is_none() {
            self.beside.daemons_of = Some(generation);
        }
        let Some(ready) = self.generations.get(&generation) else {
            return Vec::new();
        };
        let settings = &ready.settings;
        let mut env = app_env(settings);
        extend_env(&mut env, &ready.env);
        let zone = settings.env.iter().rev().find(|(name, _)| name == "TZ");
        let outside = settings.outside.clone();
        self.beside.home = Home {
            cwd: ready.cwd.clone(),
            env,
            identity: ready.identity.clone(),
            hooks: settings.hooks.clone(),
            mercy: outside.reload_mercy.unwrap_or(settings.worker_reload_mercy),
            honour_stdin: outside.honour_stdin,
            zone: zone.map(|(_, zone)| zone.clone()),
        };
        let daemons = settings.daemons.clone();
        let crons = settings.crons.clone();
        let Home {
            cwd,
            identity,
            mercy,
            ..
        } = &self.beside.home;
        let mercy = *mercy;
        let mut problems = self.beside.watched.configure(&outside.watched, cwd);
        let fifo = self
            .beside
            .fifo
            .configure(&outside.fifos, cwd, identity.as_ref());
        problems.extend(fifo.err());
        self.beside.crons.configure(crons, outside.cron_harakiri);
        // As the original: not before the app serves.
        if self.serving.is_some() {
            self.beside.next_minute.get_or_insert(now);
        }
        let pidfile2 = outside.pidfile2.iter();
        let pidfile2 = pidfile2.map(|it| self.beside.home.cwd.join(it));
        for path in pidfile2 {
            if !self.beside.pidfiles.contains(&path) {
                self.beside.pidfiles.push(path);
            }
        }
        let configure = daemons::Event::Configure {
            daemons,
            mercy,
            anew,
        };
        self.daemons(configure, now);
        let cwd = &self.beside.home.cwd;
        let config = outside.touches.into_iter();
        let config = config.map(|(file, touch)| (cwd.join(file), Wish::Config(touch)));
        let of_daemons = self.beside.daemons.current().flat_map(|(id, daemon, ..)| {
            let files = daemon.touch.iter();
            files.map(move |file| (cwd.join(file), Wish::Daemon(id)))
        });
        let wishes: Vec<_> = config.chain(of_daemons).collect();
        self.beside.touches.watch(wishes.into_iter());
        problems
    }

    /// Something of [`Beside::fds`] is ready, or its deadline passed.
    pub(crate) fn hear_beside(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        let mut index = 0;
        while index < self.beside.performing.len() {
            let Some(result) = self.beside.performing[index].0.read(now) else {
                index += 1;
                continue;
            };
            let (_, purpose) = self.beside.performing.swap_remove(index);
            events.extend(self.performed(purpose, result, now));
        }
        let (commands, problems) = self.beside.fifo.read();
        let by = |command| (command, "master-fifo".to_owned());
        self.beside.commands.extend(commands.into_iter().map(by));
        problems.iter().for_each(|text| self.log.note(text));
        if self.beside.watched.check() {
            let order = (Command::Reload, "fs-reload".to_owned());
            self.beside.commands.push(order);
        }
        if self.beside.daemons.deadline().is_some_and(|at| at <= now) {
            self.daemons(daemons::Event::Tick, now);
        }
        self.look_at_crons(now);
        events
    }

    /// Once a second.
    pub(crate) fn check_touches(&mut self, now: Instant) {
        let mut hanging = self.touched.take_hanging();
        hanging.extend(self.beside.touches.take_hanging());
        for file in hanging {
            self.log.note(&touched::hanging(&file));
        }
        for (file, wish) in self.beside.touches.check() {
            let text = format!("{} was touched", file.display());
            self.log.note(&text);
            match wish {
                Wish::Daemon(id) => self.daemons(daemons::Event::Touched { id }, now),
                Wish::Config(Touch::ReloadWorkers) => {
                    self.beside.commands.push((Command::ReloadWorkers, text));
                }
                Wish::Config(Touch::ReloadChain) => {
                    self.beside.commands.push((Command::ReloadChain, text));
                }
                Wish::Config(Touch::RotateLogs) => {
                    self.beside.commands.push((Command::RotateLogs, text));
                }
                Wish::Config(Touch::ReopenLogs) => {
                    self.beside.commands.push((Command::ReopenLogs, text));
                }
                Wish::Config(Touch::Exec(command)) => self.run_once(&command),
                Wish::Config(Touch::Hook(action)) => {
                    let step = Step::Act {
                        phase: Phase::Touch,
                        action,
                        place: None,
                    };
                    self.start_job("hook-touch", vec![step], now);
                }
            }
        }
    }

    /// Runs a phase that nobody waits for.
    pub(crate) fn start_phase(&mut self, name: &'static str, phase: Phase, now: Instant) {
        let steps = self.beside.home.hooks.steps(&[phase]);
        self.start_job(name, steps, now);
    }

    /// As the app's user, in its directory.
    fn start_job(&mut self, name: &'static str, steps: Vec<Step>, now: Instant) {
        if steps.is_empty() {
            return;
        }
        if self.beside.performing.len() >= MAX_JOBS {
            self.note(format!("{name} is left out: {MAX_JOBS} others run already"));
            return;
        }
        let home = &self.beside.home;
        let job = job(&home.hooks, steps);
        let limit = match name {
            end::ATEXIT => end::ATEXIT_LIMIT,
            _ => home.hooks.timeout,
        };
        let request = Request {
            job: &job,
            cwd: &home.cwd,
            env: home.env.clone(),
            identity: home.identity.clone(),
            log: self.log.app.write.as_fd(),
            nofile: self.origin.nofile_soft,
            limit,
        };
        match Performing::start(request, now) {
            Ok(performing) => {
                self.helpers.insert(performing.pid);
                let purpose = Purpose::Other(name);
                self.beside.performing.push((performing, purpose));
            }
            Err(failure) => self.note(format!("{name}: {}", failure.summary)),
        }
    }

    /// A child that is neither mold nor worker has ended; `false`: none of ours.
    pub(crate) fn beside_ended(&mut self, pid: i32, end: End, now: Instant) -> bool {
        if let Some(text) = self.beside.crons.ended(pid, end, now) {
            self.log.note(&text);
            return true;
        }
        let is_daemon = self.beside.daemons.has_child(pid);
        if is_daemon {
            self.log.read_app();
            self.daemons(daemons::Event::Exited { pid, end }, now);
        }
        is_daemon
    }

    fn look_at_crons(&mut self, now: Instant) {
        let mut actions = self.beside.crons.kill_overdue(now);
        if self.beside.next_minute.is_some_and(|at| at <= now) && !self.beside.crons.is_empty() {
            let epoch = clock::epoch();
            let left = 60 - epoch % 60;
            self.beside.next_minute = Some(now + Duration::from_secs(left));
            let seconds = i64::try_from(epoch).unwrap_or(i64::MAX);
            if let Some(time) = local_time(seconds, self.beside.home.zone.as_deref()) {
                let minute = Minute {
                    minute: time.minute,
                    hour: time.hour,
                    day: time.day,
                    month: time.month,
                    weekday: time.weekday,
                };
                actions.extend(self.beside.crons.look(epoch / 60, minute, now));
            }
        }
        self.carry_out_crons(actions, now);
    }

    fn carry_out_crons(&mut self, actions: Vec<crons::Action>, now: Instant) {
        for action in actions {
            match action {
                crons::Action::Run(cron) => match self.spawn_command(&cron.command) {
                    Ok(pid) => {
                        let text = format!("cron \"{}\" runs (pid {pid})", cron.command);
                        self.log.note(&text);
                        self.beside.crons.started(cron, pid, now);
                    }
                    Err(why) => {
                        let text = format!("cannot run cron \"{}\": {why}", cron.command);
                        self.note(text);
                    }
                },
                crons::Action::Signal { pid, signal } => {
                    // Not reaped yet, so the pid is still its own.
                    let _ = signals::send_group(pid, signal);
                }
                crons::Action::Note(text) => self.log.note(&text),
            }
        }
    }
}

fn job(hooks: &Hooks, steps: Vec<Step>) -> Job {
    Job {
        steps,
        fs_timeout: hooks.fs_timeout,
        socket_timeout: hooks.socket_timeout,
        shells: hooks.shells.clone(),
    }
}
