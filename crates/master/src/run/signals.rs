//! What signals mean to the master: the operator's, and the one that says that a child has ended.

use imperator_core::signals::{self as table, Act, Who};
use imperator_process::{reap, signals};

use super::Master;
use crate::event::Event;
use crate::{clock, status};

impl Master {
    pub(super) fn hear_signal(&mut self, signal: i32) {
        let name = signals::name(signal);
        if let Some(command) = self.effects.beside.meaning(signal) {
            return self.obey(command, &name, clock::now());
        }
        match table::act(Who::Master, signal) {
            Act::Reap => self.reap(),
            Act::Reload => {
                let event = self.reload_for(&name);
                self.queue.push_back(event);
            }
            Act::Stop => {
                self.stop_signals += 1;
                // The first one may follow an emperor's order; only a second one means "now".
                let event = if self.stop_signals == 1 {
                    let text = format!("{name}: stop, requests are finished");
                    self.effects.log.note(&text);
                    Event::Stop
                } else {
                    self.effects.log.note(&format!("{name} again: stop now"));
                    Event::StopNow
                };
                self.stop_for(&format!("stopped by {name}"));
                self.queue.push_back(event);
            }
            Act::Status => {
                self.effects.look_at_numbers();
                let status = status::status(&self.app, &self.effects, clock::now());
                let text = status::readable(&self.effects.origin.name, &status);
                self.effects.log.note(&text);
            }
            Act::Log => {
                self.effects.log.note(&format!("{name}: requests that run"));
                self.note_requests();
            }
            Act::Pause => {
                let what = if self.app.is_paused() {
                    "go on"
                } else {
                    "pause"
                };
                self.effects.log.note(&format!("{name}: {what}"));
                self.queue.push_back(Event::Pause);
            }
            Act::Retry => self.queue.push_back(Event::Retry),
            Act::Rescan | Act::Drain | Act::Stacks | Act::Ignore | Act::Default => (),
        }
    }

    /// What each worker does right now.
    fn note_requests(&mut self) {
        for line in self.effects.running_requests() {
            self.effects.log.note(&line);
        }
    }

    /// One SIGCHLD may mean many ends. What a process said before it ended comes before its end.
    fn reap(&mut self) {
        let mut ended = Vec::new();
        while let Some(reaped) = reap::next() {
            let pid = reaped.pid;
            self.effects.log.alarms.running.remove(&pid);
            self.effects.note_crash(pid, reaped.end);
            let known = self.effects.helpers.remove(&pid)
                || self.effects.log.runs(pid)
                || self.effects.beside_ended(pid, reaped.end, clock::now());
            if !known {
                ended.push(reaped);
            }
        }
        if ended.is_empty() {
            return;
        }
        self.effects.log.read_app();
        let all: Vec<_> = self.effects.children.keys().copied().collect();
        for id in all {
            self.queue.extend(self.effects.hear(id));
        }
        let exited = ended.into_iter().map(|it| Event::Exited {
            pid: it.pid,
            end: it.end,
        });
        self.queue.extend(exited);
    }
}
