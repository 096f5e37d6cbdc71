//! What molds and workers say, as events for the machine.

use std::collections::VecDeque;

use imperator_core::message::{FromWorker, VERSION, WORKERS};
use imperator_process::channel::Received;

use super::Effects;
use crate::event::{Event, ProcessId};
use crate::{failure, obstacle};

/// Messages of one process read in one turn.
const MESSAGES: usize = 64;

impl Effects {
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
        let is_serving = self.serving == Some(child.generation);
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
            FromWorker::Unfit { why, hint, .. } => {
                let failure = Box::new(failure::unfit(&ready.settings, &why, hint));
                Some(Event::LoadFailed { process, failure })
            }
            FromWorker::Loaded {
                threads,
                notes,
                seconds,
            } => {
                ready.load_seconds = seconds;
                child.has_loaded = true;
                let has_threads = !threads.is_empty();
                let is_mold = child.worker.is_none();
                let mut fresh = notes;
                if is_mold && has_threads {
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
                if is_serving {
                    self.calm(process);
                    if is_mold {
                        self.log.note("the mold is there again");
                    }
                }
                let threads = has_threads;
                Some(Event::Loaded { process, threads })
            }
            FromWorker::LoadFailed {
                summary,
                traceback,
                error,
            } => {
                let path = error.as_ref().and_then(|error| error.path.clone());
                let module = error.as_ref().and_then(|error| error.module.clone());
                let mut failure = failure::load(&ready.settings, &summary, &traceback, error);
                obstacle::look(&mut failure, ready, path, module);
                let failure = Box::new(failure);
                Some(Event::LoadFailed { process, failure })
            }
            FromWorker::Unready {
                summary,
                hint,
                detail,
            } => {
                let failure = failure::unready(&ready.settings, summary, hint, &detail);
                let failure = Box::new(failure);
                Some(Event::LoadFailed { process, failure })
            }
            FromWorker::Forked { worker, pid } => {
                let process = take_fork(&mut child.forks, worker)?;
                let child = self.children.get_mut(&process)?;
                child.pid = Some(pid);
                if self.serving == Some(child.generation) {
                    self.calm(process);
                }
                Some(Event::Spawned { process, pid })
            }
            FromWorker::ForkFailed { worker, why } => {
                let process = take_fork(&mut child.forks, worker)?;
                let text = format!("the mold cannot fork worker {worker}: {why}");
                let failure = Box::new(failure::fork(&ready.settings, text, &why));
                Some(Event::SpawnFailed { process, failure })
            }
            FromWorker::Modules { files, at } => {
                let generation = child.generation;
                let every = ready.settings.interpreter.autoreload.as_ref()?.every;
                let now = crate::clock::now();
                let added = self.modules.add((generation, every), files, at, now);
                added.into_iter().for_each(|problem| self.note(problem));
                None
            }
            FromWorker::Asks { what } if what == WORKERS => {
                self.tell_workers(process);
                None
            }
            FromWorker::Asks { what } => {
                let worker = child.worker.unwrap_or_default();
                self.log
                    .note(&format!("the app asks for {what} in worker {worker}"));
                match &*what {
                    "reload" => {
                        self.chronicle.asked("the app itself");
                        Some(Event::Reload)
                    }
                    "stop" => {
                        let why = "stopped by the app itself".to_owned();
                        self.stop_reason.get_or_insert(why);
                        Some(Event::Stop)
                    }
                    _ => None,
                }
            }
            FromWorker::Accepting => {
                if is_serving {
                    self.calm(process);
                }
                // A replacement that failed before has come up after all.
                if is_serving && self.failing == self.serving {
                    self.failure = None;
                    self.failing = None;
                }
                Some(Event::Accepting { process })
            }
            FromWorker::WantsToDrain { why, patient } => {
                if let (Some(worker), Some(pid)) = (child.worker, child.pid) {
                    self.log.note(&format!(
                        "worker {worker} (pid {pid}) is to be replaced: {why}"
                    ));
                }
                Some(Event::WantsToDrain { process, patient })
            }
            FromWorker::Overdue { by, .. } => {
                // It has asked for its stacks itself.
                child.stacks.expect(crate::clock::monotonic_millis());
                child.is_asked_quietly = false;
                self.look_now = true;
                if let (Some(worker), Some(pid)) = (child.worker, child.pid) {
                    let text = format!("worker {worker} (pid {pid}): a request ran past {by}");
                    self.log.note(&text);
                }
                None
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
}

fn take_fork(forks: &mut VecDeque<(u32, ProcessId)>, worker: u32) -> Option<ProcessId> {
    let index = forks.iter().position(|&(asked, _)| asked == worker)?;
    forks.remove(index).map(|(_, process)| process)
}
