//! The hooks of a generation's start, in the original's order: what root does, what the user does,
//! then the sockets, then what comes before the app. The old generation serves meanwhile.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use imperator_core::message::Failure;
use imperator_core::settings::Settings;
use imperator_core::settings::hooks::{Performed, Phase, Step};
use imperator_process::privileges::{self, Identity};

use super::perform::{Performing, Request};
use super::{Purpose, job};
use crate::effects::children::app_env;
use crate::effects::{Effects, Ready};
use crate::event::{Event, Shape};
use crate::identity;
use crate::release::Release;

/// What root does before anything else of a generation exists.
const ROOT: [Phase; 7] = [
    Phase::Asap,
    Phase::PreJail,
    Phase::PostJail,
    Phase::InJail,
    Phase::Files,
    Phase::Waits,
    Phase::AsRoot,
];
/// The user's part of the same, in the same process.
const USER: [Phase; 2] = [Phase::AsUser, Phase::Sockets];

/// A generation on its way to its first process.
#[derive(Debug)]
pub(crate) struct Pending {
    pub generation: u32,
    settings: Settings,
    files: Vec<PathBuf>,
    notes: Vec<String>,
    stage: Stage,
    cwd: PathBuf,
    env: Vec<(String, Option<String>)>,
    ready: Option<Box<Ready>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Hooks,
    Sockets,
    App,
    Done,
}

impl Pending {
    pub(crate) fn new(
        generation: u32,
        settings: Settings,
        files: Vec<PathBuf>,
        notes: Vec<String>,
        cwd: PathBuf,
    ) -> Self {
        Self {
            generation,
            settings,
            files,
            notes,
            stage: Stage::Hooks,
            cwd,
            env: Vec::new(),
            ready: None,
        }
    }

    /// Steps of this stage; empty when there is nothing to be done.
    fn steps(&self, identity: Option<&Identity>) -> Vec<Step> {
        let hooks = &self.settings.hooks;
        match self.stage {
            Stage::Hooks => {
                // Nothing is done as root by who is not; the original leaves it out as silently.
                let reached = |phase: &&Phase| **phase != Phase::AsRoot || privileges::is_root();
                let root: Vec<Phase> = ROOT.iter().filter(reached).copied().collect();
                let mut steps = hooks.steps(&root);
                let user = hooks.steps(&USER);
                if let Some(identity) = identity.filter(|_| !user.is_empty()) {
                    steps.push(Step::Become {
                        uid: identity.uid,
                        gid: identity.gid,
                        groups: identity.groups.clone(),
                    });
                }
                steps.extend(user);
                steps
            }
            Stage::App => {
                let pidfile = self.settings.outside.pidfile2.as_ref();
                let pidfile = pidfile.map(|path| Step::Pid {
                    path: path.clone(),
                    pid: std::process::id(),
                });
                let app = hooks.steps(&[Phase::PreApp]);
                pidfile.into_iter().chain(app).collect()
            }
            Stage::Sockets | Stage::Done => Vec::new(),
        }
    }
}

impl Effects {
    /// Goes on until a job has to be waited for, or the generation is prepared.
    pub(crate) fn advance(&mut self, mut pending: Pending, now: Instant) -> Vec<Event> {
        let generation = pending.generation;
        loop {
            let result = match pending.stage {
                Stage::Hooks | Stage::App => match self.start_stage(&pending, now) {
                    Ok(Some(performing)) => {
                        let until = performing.deadline;
                        self.helpers.insert(performing.pid);
                        let purpose = Purpose::Start(Box::new(pending));
                        self.beside.performing.push((performing, purpose));
                        return vec![Event::Busy { generation, until }];
                    }
                    Ok(None) => Ok(()),
                    Err(failure) => Err(failure),
                },
                Stage::Sockets => {
                    let settings = pending.settings.clone();
                    let files = std::mem::take(&mut pending.files);
                    let notes = std::mem::take(&mut pending.notes);
                    self.look_up(settings, files, notes).map(|mut ready| {
                        ready.cwd = match &ready.settings.chdir {
                            Some(chdir) => pending.cwd.join(chdir),
                            None => pending.cwd.clone(),
                        };
                        pending.ready = Some(Box::new(ready));
                    })
                }
                Stage::Done => Ok(()),
            };
            if let Err(failure) = result {
                return vec![self.unprepared(generation, failure)];
            }
            pending.stage = match pending.stage {
                Stage::Hooks => Stage::Sockets,
                Stage::Sockets => Stage::App,
                Stage::App => Stage::Done,
                Stage::Done => return self.finish_start(pending),
            };
        }
    }

    fn finish_start(&mut self, pending: Pending) -> Vec<Event> {
        let generation = pending.generation;
        let Some(mut ready) = pending.ready else {
            return Vec::new();
        };
        ready.env = pending.env;
        // What cannot be looked at is told by the start that fails there.
        ready.place = std::fs::canonicalize(&ready.cwd).unwrap_or_else(|_| ready.cwd.clone());
        ready.release = {
            let (start, cwd) = (&self.origin.cwd, &ready.cwd);
            Release::of(&ready.settings, start, cwd, &ready.place)
        };
        let settings = &ready.settings;
        let workers = settings.processes.max(1);
        let mut scaling = settings.scaling;
        // A vassal sleeps: its master keeps the socket that wakes it.
        scaling.die_on_idle &= self.origin.is_alone;
        let shape = Shape {
            workers,
            scaling,
            direct: workers == 1 || settings.lazy_apps,
            mercy: settings.worker_reload_mercy,
            ready_timeout: settings.ready_timeout,
            overlap: settings.readiness.overlap,
            fallback: settings.readiness.fallback.is_some(),
        };
        self.generations.insert(generation, *ready);
        if self.serving.is_none() {
            self.configure(generation);
        }
        vec![Event::Prepared { generation, shape }]
    }

    fn start_stage(&self, pending: &Pending, now: Instant) -> Result<Option<Performing>, Failure> {
        let identity = identity::of(&pending.settings)?;
        let steps = pending.steps(identity.as_ref());
        if steps.is_empty() {
            return Ok(None);
        }
        let mut env = app_env(&pending.settings);
        extend_env(&mut env, &pending.env);
        let as_user = pending.stage == Stage::App;
        let cwd = match &pending.ready {
            Some(ready) => &ready.cwd,
            None => &pending.cwd,
        };
        let request = Request {
            job: &job(&pending.settings.hooks, steps),
            cwd,
            env,
            identity: identity.filter(|_| as_user),
            log: self.log.app.write.as_fd(),
            nofile: self.origin.nofile_soft,
            limit: pending.settings.hooks.timeout,
        };
        Performing::start(request, now).map(Some)
    }

    /// What came of a job.
    pub(super) fn performed(
        &mut self,
        purpose: Purpose,
        result: Result<Performed, Failure>,
        now: Instant,
    ) -> Vec<Event> {
        self.log.read_app();
        match (purpose, result) {
            (Purpose::Start(mut pending), Ok(performed)) => {
                let by = |command| (command, "a hook".to_owned());
                self.beside
                    .commands
                    .extend(performed.commands.into_iter().map(by));
                for (name, value) in performed.env {
                    pending.env.retain(|(other, _)| *other != name);
                    pending.env.push((name, value));
                }
                match (performed.cwd, &mut pending.ready) {
                    (Some(cwd), Some(ready)) => ready.cwd = cwd,
                    (Some(cwd), None) => pending.cwd = cwd,
                    (None, _) => (),
                }
                pending.stage = match pending.stage {
                    Stage::Hooks => Stage::Sockets,
                    Stage::Sockets | Stage::App | Stage::Done => Stage::Done,
                };
                self.advance(*pending, now)
            }
            (Purpose::Start(pending), Err(failure)) => {
                vec![self.unprepared(pending.generation, failure)]
            }
            (Purpose::Other(_), Ok(performed)) => {
                let by = |command| (command, "a hook".to_owned());
                self.beside
                    .commands
                    .extend(performed.commands.into_iter().map(by));
                Vec::new()
            }
            (Purpose::Other(name), Err(failure)) => {
                self.note(format!("{name}: {}", failure.summary));
                Vec::new()
            }
        }
    }

    /// Nobody waits for this generation any more.
    pub(crate) fn abandon_start(&mut self, generation: u32) {
        self.beside
            .performing
            .retain(|(performing, purpose)| match purpose {
                Purpose::Start(pending) if pending.generation == generation => {
                    performing.kill();
                    false
                }
                Purpose::Start(_) | Purpose::Other(_) => true,
            });
    }
}

/// What `putenv` of hooks changed.
pub(crate) fn extend_env(
    env: &mut Vec<(OsString, OsString)>,
    changes: &[(String, Option<String>)],
) {
    for (name, value) in changes {
        env.retain(|(other, _)| *other != **name);
        if let Some(value) = value {
            env.push((name.into(), value.into()));
        }
    }
}
