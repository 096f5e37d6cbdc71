//! What the emperor tells: news in the log, each once, and systemd.

use std::time::Instant;

use imperator_core::message::{AppState, AppStatus};
use tracing::{error, info, warn};

use super::{Emperor, now};
use crate::control::AppLine;
use crate::effects::SILENCE;
use crate::status;
use crate::supervisor::Name;

impl Emperor {
    /// Logs what is new about an app.
    pub(super) fn tell(&mut self, name: &str, status: &AppStatus) {
        let adopted = self.effects.is_adopted(name);
        let told = self.told.entry(name.to_owned()).or_default();
        if status.state == AppState::Serving && told.generation != status.generation {
            told.generation = status.generation;
            // Its master logged where, with how many workers, and what it runs on; one that is
            // adopted said so to an earlier emperor.
            let details = if adopted {
                format!(": {}", status::summary(status))
            } else {
                String::new()
            };
            info!("[emperor] vassal {name} is ready to accept requests{details}");
        }
        if status.failure.is_some() && !told.failing {
            warn!("[emperor] vassal {name} fails: imperator why {name}");
        }
        told.failing = status.failure.is_some();
    }

    /// Logs files that cannot be used, each once.
    pub(super) fn tell_problems(&mut self) {
        let problems: Vec<(Name, String)> = self
            .plan
            .problems()
            .map(|(name, _, why)| (name.to_owned(), why.to_owned()))
            .collect();
        let supervisor = &self.supervisor;
        self.told.retain(|name, told| {
            // What comes again after it was mended is news.
            if !problems.iter().any(|(problem, _)| problem == name) {
                told.problem = None;
            }
            told.problem.is_some() || supervisor.contains(name)
        });
        for (name, why) in problems {
            let told = self.told.entry(name.clone()).or_default();
            if told.problem.as_ref() != Some(&why) {
                told.problem = Some(why.clone());
                let serves = if self.supervisor.contains(&name) {
                    " (it serves on as before)"
                } else {
                    ""
                };
                error!(
                    "[emperor] vassal {name} fails{serves}: {why}; hint: {}",
                    status::MEND
                );
            }
        }
    }

    pub(super) fn tell_silence(&mut self, now: Instant) {
        if self.silence_told || now < self.adopted_at + SILENCE {
            return;
        }
        self.silence_told = true;
        for (name, master) in &self.effects.masters {
            if master.is_silent(now) {
                warn!(
                    "[emperor] the master of {name} (pid {}) does not answer; its workers are \
                     left alone\n  hint: look at it, or kill -9 it: then it is replaced on the \
                     same address",
                    master.pid
                );
                self.first.remove(name);
            }
        }
    }

    pub(super) fn update_systemd(&mut self) {
        self.first.retain(|name| !self.supervisor.has_settled(name));
        if self.first.is_empty() && !self.supervisor.is_stopping() {
            self.systemd.ready();
        }
        let is_busy = self.supervisor.is_busy() || self.upgrade.is_under_way();
        if self.systemd.is_reloading() && !is_busy {
            self.systemd.reloaded();
        }
        let now = now();
        if self.systemd.wants_status(now) {
            let lines = self.lines(now);
            let failing = lines
                .iter()
                .filter(|line| line.condition.is_failure())
                .count();
            self.systemd.status(self.plan.apps().len(), failing, now);
        }
        self.systemd.turn(now);
    }

    pub(super) fn lines(&self, now: Instant) -> Vec<AppLine> {
        status::lines(&self.plan, &self.supervisor, &self.effects, now)
    }

    pub(super) fn log_status(&self) {
        let lines = self.lines(now());
        info!("[emperor] {} vassals:", lines.len());
        for line in &lines {
            info!("[emperor]   {}", status::one_line(line));
        }
    }
}
