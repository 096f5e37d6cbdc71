//! The emperor's own binary is replaced while it runs: asked for, checked, done; and what the new one
//! makes of the state that it finds.

use std::io;

use std::time::Instant;

use imperator_process::estate::{self, Estate};
use imperator_process::{image, signals};
use tracing::{error, info, warn};

use super::{Emperor, now};
use crate::supervisor::{Event, Name};
use crate::upgrade::{self, Answer, Check, State, number};

/// What is under way.
#[derive(Default)]
pub(super) struct Upgrade {
    pub(super) check: Option<Check>,
    /// All apps are to be reloaded when it is over, however it ends.
    reload_all: bool,
    /// The file that has answered, to be executed when no signal comes in between.
    checked: Option<String>,
    /// Apps whose reload was put off for it.
    reload: Vec<Name>,
    /// Why the last one changed nothing.
    pub(super) failure: Option<String>,
}

impl Upgrade {
    pub(super) fn is_under_way(&self) -> bool {
        self.check.is_some() || self.checked.is_some()
    }
}

impl Emperor {
    /// Whether the file on disk is another one than this process runs on.
    fn is_outdated(&self) -> bool {
        let on_disk = image::of(&self.executable).ok();
        on_disk.is_some() && on_disk != self.effects.build
    }

    /// Asks the file on disk whether it could take this one's place. `reload_all`: after it, however
    /// it ends.
    ///
    /// # Errors
    /// One line: nothing was begun.
    pub(super) fn begin_upgrade(&mut self, reload_all: bool) -> Result<(), String> {
        let file = self.executable.display();
        if self.supervisor.is_stopping() {
            return Err("the emperor stops".to_owned());
        }
        if self.upgrade.is_under_way() {
            self.upgrade.reload_all |= reload_all;
            return Ok(());
        }
        if !self.is_outdated() {
            return Err(format!("{file} is what runs already"));
        }
        info!("[emperor] {file} is another file than this process runs on: asking it");
        self.upgrade.failure = None;
        let check = Check::start(&self.executable, &self.args, &self.start, now());
        match check {
            Ok(check) => {
                self.upgrade.check = Some(check);
                self.upgrade.reload_all = reload_all;
                Ok(())
            }
            Err(why) => {
                let why = self.refuse_upgrade(&why);
                Err(why)
            }
        }
    }

    fn refuse_upgrade(&mut self, why: &str) -> String {
        let text = format!(
            "{} is not taken, nothing has changed: {why}",
            self.executable.display()
        );
        error!("[emperor] {text}");
        self.upgrade.failure = Some(text.clone());
        text
    }

    /// The self-check may have ended.
    pub(super) fn continue_upgrade(&mut self, now: Instant) {
        let result = self.upgrade.check.as_mut().and_then(|it| it.result(now));
        let checked = match (self.upgrade.checked.take(), result) {
            (Some(build), _) => Ok(build),
            (None, Some(result)) => self.checked(result),
            (None, None) => return,
        };
        let on_disk = image::of(&self.executable).ok();
        let result = match checked {
            Ok(build) if on_disk.as_ref() != Some(&build) => {
                Err("it was replaced by yet another one meanwhile".to_owned())
            }
            Ok(_) if self.supervisor.is_stopping() => Err("the emperor stops".to_owned()),
            Ok(build) => match self.replace() {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    // The signal is heard first.
                    self.upgrade.checked = Some(build);
                    return;
                }
                Err(error) => Err(format!("cannot execute it: {error}")),
            },
            Err(why) => Err(why),
        };
        if let Err(why) = result {
            self.refuse_upgrade(&why);
        }
        for name in std::mem::take(&mut self.upgrade.reload) {
            self.handle(Event::Touched(name));
        }
        if std::mem::take(&mut self.upgrade.reload_all) {
            self.handle(Event::ReloadAll);
        }
    }

    fn checked(&mut self, result: Result<Answer, String>) -> Result<String, String> {
        let check = self.upgrade.check.take().ok_or("nobody was asked")?;
        let answer = result.inspect_err(|_| {
            if !check.is_reaped {
                // It leads a group of its own.
                let _ = signals::send_group(check.pid, signals::KILL);
            }
        })?;
        info!(
            "[emperor] upgrading to version {} of {}",
            answer.imperator,
            self.executable.display()
        );
        Ok(check.build)
    }

    /// Comes back only when it was not done.
    fn replace(&mut self) -> io::Result<()> {
        // Heirs of this version are of no use any more; their apps reload later.
        for name in self.supervisor.with_heirs() {
            self.handle(Event::GiveUpHeir(name.clone()));
            self.upgrade.reload.push(name);
        }
        let mut reload = self.supervisor.waiting_for_reload();
        reload.extend(self.upgrade.reload.iter().cloned());
        if self.upgrade.reload_all {
            reload = self.supervisor.reloadable();
        }
        let now = now();
        let mut fds = Vec::new();
        let (masters, retired, kept) = self.effects.hand_over(&mut fds);
        let state = State {
            version: upgrade::VERSION,
            start: self.start.clone(),
            lock: number(&mut fds, self.effects.runtime.lock()),
            control: number(&mut fds, self.control.own_listener()),
            masters,
            retired,
            kept,
            halted: self.supervisor.halted(),
            dozing: self.supervisor.dozing().cloned().collect(),
            waiting: self.supervisor.backing_off(now),
            reload,
            store_max: self.effects.store.max,
            stored: self.effects.store.keys(),
            ready: self.systemd.is_ready(),
            reloading: self.systemd.is_reloading(),
        };
        let text = serde_json::to_vec(&state)?;
        let is_calm = || !self.signals.is_pending();
        estate::replace(&self.executable, &self.args, &text, &fds, is_calm)
    }

    /// Goes on where this very process was under another binary.
    pub(super) fn resume(&mut self, state: State, estate: &mut Estate) {
        let now = now();
        info!(
            "[emperor] upgraded to version {}: {} masters serve on",
            env!("CARGO_PKG_VERSION"),
            state.masters.len()
        );
        for name in state.halted {
            self.handle(Event::Halt(name));
        }
        self.effects.store.resume(state.store_max, state.stored);
        for (name, failures, millis) in state.waiting {
            let wait = std::time::Duration::from_millis(millis);
            self.handle(Event::Failed(name, failures, wait));
        }
        for kept in state.kept {
            if let Some(status) = &kept.status {
                self.told.entry(kept.name.clone()).or_default().generation = status.generation;
            }
            self.effects.resume_kept(kept, estate);
        }
        for name in state.dozing {
            let kept = self.effects.kept.get(&name);
            if kept.is_some_and(|kept| !kept.listeners.is_empty()) {
                self.handle(Event::Dozed(name));
            }
        }
        for master in state.masters {
            let (name, pid) = (master.name.clone(), master.pid);
            let Some(record) = self.effects.runtime.record(&name) else {
                warn!("[emperor] {name} (pid {pid}): nothing is noted of it; left alone");
                continue;
            };
            if !self.effects.resume_master(master, estate, now) {
                continue;
            }
            self.adopted.push((name.clone(), record.config));
            self.handle(Event::Adopted(name.clone(), pid));
            // It began under the binary before; its own word may come after the next reload.
            self.handle(Event::Outdated(name.clone()));
            if record.halted {
                self.handle(Event::Halt(name));
            }
        }
        for master in state.retired {
            let (name, pid) = (master.name.clone(), master.pid);
            if self.effects.resume_retired(master, estate, now) {
                self.handle(Event::Retired(name, pid));
            }
        }
        self.reload_after_resume = state.reload;
        self.systemd.resume(state.ready, state.reloading);
    }

    /// What was to be reloaded before the upgrade; and whoever ended while nobody looked.
    pub(super) fn finish_resume(&mut self) {
        for name in std::mem::take(&mut self.reload_after_resume) {
            self.handle(Event::Touched(name));
        }
        self.reap();
    }
}
