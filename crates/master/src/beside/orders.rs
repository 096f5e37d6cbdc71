//! What the master does when a FIFO, a touched file, a hook or a redefined signal tells it to.

use std::time::Instant;

use imperator_core::command::Command;

use crate::event::Event;
use crate::run::Master;
use crate::status;

impl Master {
    pub(crate) fn obey_all(&mut self, now: Instant) {
        for (command, who) in self.effects.beside.take_commands() {
            self.obey(command, &who, now);
        }
    }

    pub(crate) fn obey(&mut self, command: Command, who: &str, now: Instant) {
        match command {
            Command::Reload => {
                let event = self.reload_for(who);
                self.queue.push_back(event);
            }
            Command::ReloadNow => {
                let event = self.reload_for(who);
                let is_reload = event == Event::Reload;
                self.queue
                    .push_back(if is_reload { Event::ReloadNow } else { event });
            }
            Command::ReloadWorkers => self.queue_and_note(
                Event::ReloadWorkers { brutal: false },
                &format!("{who}: all workers are replaced"),
            ),
            Command::ReloadWorkersNow => self.queue_and_note(
                Event::ReloadWorkers { brutal: true },
                &format!("{who}: all workers are replaced, and what they do is cut"),
            ),
            Command::ReloadChain => self.queue_and_note(
                Event::ReloadChain,
                &format!("{who}: workers are replaced one after another"),
            ),
            Command::Stop => {
                self.effects
                    .log
                    .note(&format!("{who}: stop, requests are finished"));
                self.stop_for(&format!("stopped by {who}"));
                self.queue.push_back(Event::Stop);
            }
            Command::StopNow => {
                self.effects.log.note(&format!("{who}: stop now"));
                self.stop_for(&format!("stopped at once by {who}"));
                self.queue.push_back(Event::StopNow);
            }
            Command::Pause => {
                let paused = self.app.is_paused();
                let what = if paused { "go on" } else { "pause" };
                self.effects.log.note(&format!("{who}: {what}"));
                self.queue.push_back(Event::Pause);
            }
            Command::Status => {
                let status = status::status(&self.app, &self.effects, now);
                let text = status::readable(&self.effects.origin.name, &status);
                self.effects.log.note(&text);
            }
            Command::Pidfiles => self.effects.rewrite_pidfiles(now),
            Command::ReopenLogs => self.effects.log.reopen(),
            Command::RotateLogs => self.effects.log.rotate(),
            Command::MoreWorkers => {
                self.queue_and_note(Event::More, &format!("{who}: one worker more"));
            }
            Command::FewerWorkers => {
                self.queue_and_note(Event::Fewer, &format!("{who}: one worker fewer"));
            }
            Command::Cheap => {
                self.queue_and_note(Event::Cheap, &format!("{who}: sleep until a request comes"));
            }
            Command::Slot(_) => (),
            Command::Nothing => {
                let text = format!("{who}: nothing here answers to that");
                self.effects.log.note(&text);
            }
        }
    }

    fn queue_and_note(&mut self, event: Event, text: &str) {
        self.effects.log.note(text);
        self.queue.push_back(event);
    }

    /// A reload, or the end with `exit-on-reload`; an emperor's reload is always one.
    pub(crate) fn reload_for(&mut self, who: &str) -> Event {
        let newest = self.effects.newest();
        if newest.is_some_and(|it| it.settings.outside.exit_on_reload) {
            let text = format!("{who}: reload, and exit-on-reload makes it a stop");
            self.effects.log.note(&text);
            self.stop_for(&format!("ended by {who} and exit-on-reload"));
            return Event::Stop;
        }
        self.effects.log.note(&format!("{who}: reload"));
        self.effects.chronicle.asked(who);
        Event::Reload
    }
}
