//! What masters say and how they end, as events for the supervisor; and what it wants of them.

use std::collections::VecDeque;
use std::time::Duration;

use imperator_core::history::What;
use imperator_core::message::{AppState, Failure, FromMaster, VERSION};
use imperator_process::reap;
use tracing::{debug, error, info, warn};

use super::{Emperor, now, unix_millis, unix_seconds};
use crate::runtime::AppRecord;
use crate::supervisor::{Action, Event, Name, Pid};

impl Emperor {
    /// Lets the supervisor decide and carries out what it says, until nothing follows.
    pub(super) fn handle(&mut self, event: Event) {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            for action in self.supervisor.step(event, now()) {
                queue.extend(self.carry_out(action));
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn(name) => Some(self.spawn(name)),
            Action::Order(name, order) => {
                self.effects.order(&name, order);
                None
            }
            Action::Succeed(name) => Some(self.spawn_heir(name)),
            Action::Promote(name) => {
                self.effects.promote(&name);
                self.includes_changed = true;
                None
            }
            Action::Dismiss(name) => {
                self.effects.dismiss(&name);
                None
            }
            Action::OrderHeir(name, order) => {
                self.effects.order_heir(&name, order);
                None
            }
            Action::Press(pid) => {
                self.effects.press(pid);
                None
            }
            Action::Kill(name, pid) => {
                self.effects.kill(&name, pid);
                None
            }
            Action::Doze(name) => {
                let note = |record: &mut AppRecord| record.dozing = true;
                self.effects.runtime.amend(&name, note);
                None
            }
            Action::Release(name) => {
                self.effects.release(&name);
                None
            }
            Action::Forget(name) => {
                self.effects.forget(&name);
                self.told.remove(&name);
                self.first.remove(&name);
                self.chronicle.gone(&name);
                self.includes_changed = true;
                None
            }
        }
    }

    fn spawn(&mut self, name: Name) -> Event {
        let Some(app) = self.plan.app(&name).cloned() else {
            return Event::SpawnFailed(name);
        };
        match self.effects.spawn(&name, &app, self.seen(&name), now()) {
            Ok(pid) => {
                info!("[emperor] vassal {name} has been spawned (pid {pid})");
                Event::Spawned(name, pid)
            }
            Err(why) => {
                error!("[emperor] cannot start the master of {name}: {why}");
                let summary = format!("cannot start its master: {why}");
                self.note_death(&name, summary);
                Event::SpawnFailed(name)
            }
        }
    }

    fn spawn_heir(&mut self, name: Name) -> Event {
        let Some(app) = self.plan.app(&name).cloned() else {
            return Event::HeirFailed(name);
        };
        match self
            .effects
            .spawn_heir(&name, &app, self.seen(&name), now())
        {
            Ok(pid) => {
                info!("[emperor] a new master of {name} comes up (pid {pid})");
                Event::HeirSpawned(name, pid)
            }
            Err(why) => {
                error!("[emperor] cannot start a new master of {name}: {why}");
                Event::HeirFailed(name)
            }
        }
    }

    fn note_death(&mut self, name: &str, summary: String) {
        self.record(name, What::Died, &summary, None);
        let kept = self.effects.kept.entry(name.to_owned()).or_default();
        kept.death = Some(Failure {
            cause: imperator_core::why::by_text(&summary).unwrap_or_default(),
            summary,
            hint: None,
            detail: None,
            at: unix_seconds(),
            ..Failure::default()
        });
    }

    /// For the next emperor: how long this app waits for its next master.
    fn note_back_off(&self, name: &str) {
        let waits = self.supervisor.backing_off(now()).into_iter();
        let wait = waits.into_iter().find(|(of, ..)| of == name);
        if let Some((_, deaths, millis)) = wait {
            let retry_at = unix_millis().saturating_add(millis);
            self.effects.runtime.amend(name, |record| {
                record.deaths = deaths;
                record.retry_at = retry_at;
            });
        }
    }

    /// Reads all that a master has said.
    pub(super) fn listen_to(&mut self, name: &str) {
        while let Some(message) = self.effects.receive(name) {
            self.hear(name, message);
        }
        let Some(master) = self.effects.masters.get(name) else {
            return;
        };
        if !master.hung_up {
            return;
        }
        let pid = master.pid;
        if master.pidfd.is_some() {
            self.ended(name, "ended, status unknown: it was not our child");
            self.handle(Event::Ended(pid));
            self.note_back_off(name);
        } else {
            self.handle(Event::HungUp(pid));
        }
    }

    fn hear(&mut self, name: &str, message: FromMaster) {
        match message {
            FromMaster::Hello {
                version,
                pid,
                build,
                ..
            } => {
                // One without a build knows nothing of heirs.
                if build.is_some() && build != self.effects.build {
                    self.handle(Event::Outdated(name.to_owned()));
                    self.effects.tell_outdated(name);
                }
                if version != VERSION {
                    warn!("[emperor] {name}: its master (pid {pid}) speaks version {version}");
                }
            }
            FromMaster::Holding { .. }
            | FromMaster::Goodbye { .. }
            | FromMaster::Ceded
            | FromMaster::Logs { .. } => (),
            FromMaster::Happened { entries } => self.chronicle.hear(name, entries),
            FromMaster::WantsReload => self.handle(Event::Touched(name.to_owned())),
            FromMaster::Report(status) => {
                self.unreported.remove(name);
                self.tell(name, &status);
                self.includes_changed = true;
                self.handle(Event::Reported {
                    name: name.to_owned(),
                    state: status.state,
                    changing: status.next.is_some(),
                    mercy: status.mercy_ms.map(Duration::from_millis),
                });
                if status.dispensable && self.effects.is_stored(name) {
                    self.handle(Event::Dispensable(name.to_owned()));
                }
            }
        }
    }

    pub(super) fn listen_to_heir(&mut self, name: &str) {
        while let Some(message) = self.effects.receive_of_heir(name) {
            if let FromMaster::Report(status) = message {
                let state = status.state;
                self.handle(Event::HeirReported(name.to_owned(), state));
                if state == AppState::Serving {
                    self.tell(name, &status);
                }
            } else if let FromMaster::Happened { entries } = message {
                self.chronicle.hear(name, entries);
            }
        }
    }

    pub(super) fn listen_to_retired(&mut self, pid: Pid) {
        let has_closed = self.effects.listen_to_retired(pid);
        let retired = self.effects.retired.get(&pid);
        if has_closed && retired.is_some_and(|(_, master)| master.pidfd.is_some()) {
            self.bury(pid);
        }
    }

    /// The end of a master that is not its app's, or not any more.
    fn bury(&mut self, pid: Pid) -> bool {
        let heirs = &mut self.effects.heirs;
        let is_heir = heirs.iter().find(|(_, heir)| heir.master.pid == pid);
        let name = is_heir.map(|(name, _)| name.clone());
        if let Some(name) = &name {
            warn!("[emperor] the new master of {name} (pid {pid}) died before it could take over");
            heirs.remove(name);
        }
        let name = name.or_else(|| self.effects.bury_retired(pid));
        if let Some(name) = &name {
            debug!("[emperor] an old or new master of {name} (pid {pid}) has ended");
            self.handle(Event::Ended(pid));
        }
        name.is_some()
    }

    /// Takes a master that ended from the list.
    fn ended(&mut self, name: &str, how: &str) {
        while let Some(message) = self.effects.receive(name) {
            self.hear(name, message);
        }
        self.unreported.remove(name);
        let Some(master) = self.effects.masters.remove(name) else {
            return;
        };
        let why = master
            .goodbye
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        if self.supervisor.is_ending(name) {
            debug!(
                "[emperor] master of {name} (pid {}) ended: {how}{why}",
                master.pid
            );
        } else {
            warn!(
                "[emperor] master of {name} (pid {}) died: {how}{why}; its workers finish what \
                 they have",
                master.pid
            );
            self.note_death(name, format!("its master died: {how}{why}"));
        }
    }

    pub(super) fn reap(&mut self) {
        while let Some(reaped) = reap::next() {
            if let Some(question) = &mut self.question {
                question.is_reaped |= question.pid == reaped.pid;
            }
            if let Some(check) = &mut self.upgrade.check {
                check.is_reaped |= check.pid == reaped.pid;
            }
            let name = self.effects.masters.iter().find_map(|(name, master)| {
                (master.pid == reaped.pid && master.pidfd.is_none()).then(|| name.clone())
            });
            match name {
                Some(name) => {
                    self.ended(&name, &reaped.end.to_string());
                    self.handle(Event::Ended(reaped.pid));
                    self.note_back_off(&name);
                }
                None if self.bury(reaped.pid) => (),
                // A worker whose master died came to us, as the subreaper.
                None => debug!("[emperor] reaped {}: {}", reaped.pid, reaped.end),
            }
        }
    }
}
