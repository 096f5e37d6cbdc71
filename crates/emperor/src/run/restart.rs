//! `systemctl restart`: a stop whose sockets wait in systemd's store for the next emperor.

use std::time::Instant;

use imperator_process::estate::Estate;
use tracing::{info, warn};

use super::{Emperor, now};
use crate::question::{Question, Topic};
use crate::supervisor::Event;

impl Emperor {
    /// Whether a stop signal came, and systemd is still asked what it means.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        let question = self.question.as_ref();
        question.is_some_and(|question| question.topic == Topic::Jobs)
    }

    /// With sockets in the store it matters whether this is the first half of a restart.
    pub(super) fn begin_stop(&mut self) {
        self.question = match self.effects.store.is_empty() {
            true => None,
            false => Question::ask(Topic::Jobs, now()),
        };
        if self.question.is_none() {
            self.handle(Event::Stop);
        }
    }

    pub(super) fn hear_systemd(&mut self, now: Instant) {
        let Some(question) = &mut self.question else {
            return;
        };
        let Some(answer) = question.answer(now) else {
            return;
        };
        let topic = question.topic;
        let stays = answer
            .as_deref()
            .is_none_or(|jobs| question.says_stop(jobs));
        self.question = None;
        match topic {
            Topic::StoreMax => {
                let max = answer.and_then(|text| text.trim().parse().ok());
                self.effects.store.max = max.unwrap_or(0);
                self.effects.store_all();
            }
            Topic::Jobs if stays => self.handle(Event::Stop),
            Topic::Jobs => {
                info!("[emperor] this is a restart: systemd keeps the sockets, connections wait");
                self.handle(Event::Leave);
            }
        }
    }

    /// What systemd has kept for apps that are gone.
    pub(super) fn drop_stored_of_nobody(&mut self, estate: &mut Estate) {
        for (key, _) in std::mem::take(&mut estate.stored) {
            self.effects.store.remove(&key);
        }
        let kept: Vec<_> = self.effects.kept.keys().cloned().collect();
        for name in kept {
            let is_known = self.plan.app(&name).is_some() || self.supervisor.contains(&name);
            let record = self.effects.runtime.record(&name);
            let is_away = record.is_some_and(|it| self.monitor.is_away(&it.config.file, now()));
            if !is_known && !is_away {
                warn!("[emperor] {name} is not wanted any more: its sockets are closed");
                self.effects.forget(&name);
            }
        }
    }
}
