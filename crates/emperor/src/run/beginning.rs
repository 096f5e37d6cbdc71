//! The emperor's first look: at what an earlier emperor left, and at what became of the files since.

use std::time::Duration;

use imperator_core::history::What;
use imperator_core::message::Config;
use imperator_process::estate::Estate;
use tracing::info;

use super::Emperor;
use super::clock::{now, unix_millis};
use crate::adopt;
use crate::question::{Question, Topic};
use crate::seen::{Meanwhile, Seen};
use crate::supervisor::{Event, Name};
use crate::upgrade::State;

impl Emperor {
    /// Goes on with what this process had under another binary, or adopts what an earlier emperor
    /// left; and looks at all files for the first time.
    pub(super) fn begin(&mut self, state: Option<State>, estate: &mut Estate) {
        let now = now();
        // Each adopted master's time to answer begins now.
        self.adopted_at = now;
        for source in self.monitor.sources() {
            info!("*** starting Imperator's Emperor on {} ***", source.text);
        }
        match state {
            Some(state) => self.resume(state, estate),
            None => {
                self.adopt(estate);
                self.question = Question::ask(Topic::StoreMax, now);
            }
        }
        let (changes, again) = self.monitor.scan(true, now);
        self.scan_again_at = again;
        self.deep_scan_at = now + self.monitor.scan_every();
        let events = self
            .plan
            .apply(changes, self.monitor.sources(), &self.cwd, &|_| Vec::new());
        self.place_adopted();
        for name in self.supervisor.without_master() {
            if self.plan.app(&name).is_some() {
                continue;
            }
            // Stopped by hand, asleep, backing off: it stays so until its directory is back.
            let config = self.effects.runtime.record(&name).map(|it| it.config);
            match config.filter(|config| self.monitor.is_away(&config.file, now)) {
                Some(config) => self.adopted.push((name, config)),
                None => self.handle(Event::Gone(name)),
            }
        }
        self.renew_resting();
        self.drop_stored_of_nobody(estate);
        self.first = self.plan.apps().keys().cloned().collect();
        self.record_all(&events);
        let (plan, supervisor) = (&self.plan, &self.supervisor);
        let is_wanted = |name: &str| plan.app(name).is_some() || supervisor.contains(name);
        self.chronicle.settle(is_wanted);
        for event in events {
            self.handle(event);
        }
        self.finish_resume();
        self.tell_problems();
        if self.plan.apps().is_empty() {
            info!("[emperor] no vassal yet; waiting for .ini files");
        }
    }

    fn adopt(&mut self, estate: &mut Estate) {
        let now = now();
        let left = adopt::find(&self.effects.runtime);
        for record in left.halted {
            self.stopped_before(record);
        }
        for record in left.known {
            let stored = |key: &str| estate.take_stored(key);
            let has_all = self.effects.take_stored(&record, stored);
            if record.dozing && has_all {
                info!(
                    "[emperor] {} sleeps on until a connection wakes it",
                    record.name
                );
                self.handle(Event::Dozed(record.name));
                continue;
            }
            let wait = record.retry_at.saturating_sub(unix_millis());
            if record.deaths > 0 && wait > 0 {
                let wait = Duration::from_millis(wait);
                self.handle(Event::Failed(record.name, record.deaths, wait));
            }
        }
        let by = format!("by the emperor, pid {}", std::process::id());
        for orphan in left.orphans {
            // Its master tells its sockets again.
            if let Some(record) = self.effects.runtime.record(&orphan.name) {
                let stored = |key: &str| estate.take_stored(key);
                self.effects.take_stored(&record, stored);
            }
            info!(
                "[emperor] adopting vassal {} (master pid {})",
                orphan.name, orphan.pid
            );
            self.record(&orphan.name, What::Adopted, &by, None);
            self.adopted.push((orphan.name.clone(), orphan.config));
            self.effects
                .adopt(&orphan.name, orphan.pid, orphan.channel, orphan.pidfd, now);
            self.handle(Event::Adopted(orphan.name, orphan.pid));
            if let Some(record) = orphan.stopped {
                // Its requests were being finished when the emperor before was killed.
                self.stopped_before(record);
            }
        }
    }

    /// Holds adopted apps against their files. One whose directory is away serves on until that is
    /// back.
    pub(super) fn place_adopted(&mut self) {
        let now = now();
        let is_away = |(_, config): &(Name, Config)| self.monitor.is_away(&config.file, now);
        let (away, placed) = std::mem::take(&mut self.adopted)
            .into_iter()
            .partition(is_away);
        self.adopted = away;
        let placed: Vec<(Name, Config)> = placed;
        for (name, config) in placed {
            let sources = self.monitor.sources();
            if self.plan.keep(&name, &config, sources, &self.cwd) {
                continue;
            }
            match self.plan.app(&name) {
                Some(app) if app.config == config => {
                    let up = self.supervisor.pid(&name).is_some();
                    let event = self.meanwhile(&name).event(name.clone(), up);
                    event.into_iter().for_each(|event| self.handle(event));
                    self.note_seen(&name);
                }
                Some(_) | None => self.handle(Event::Gone(name)),
            }
        }
    }

    /// Who edits the file of an app that was stopped, or that waits after a failure, wants it: also
    /// while no emperor runs.
    fn renew_resting(&mut self) {
        for name in self.supervisor.without_master() {
            let event = self.meanwhile(&name).event(name, false);
            event.into_iter().for_each(|event| self.handle(event));
        }
    }

    fn meanwhile(&self, name: &str) -> Meanwhile {
        let record = self.effects.runtime.record(name);
        let before = record.and_then(|record| record.seen);
        match (before, self.seen(name)) {
            (Some(before), Some(now)) => now.since(&before),
            // An emperor of an earlier version noted nothing.
            (None, _) | (_, None) => Meanwhile::Nothing,
        }
    }

    pub(super) fn seen(&self, name: &str) -> Option<Seen> {
        self.plan.seen(name, |path| self.monitor.told(path))
    }

    /// For the next emperor: this state of the app's file is dealt with.
    pub(super) fn note_seen(&self, name: &str) {
        let seen = self.seen(name);
        self.effects
            .runtime
            .amend(name, |record| record.seen = seen);
    }
}
