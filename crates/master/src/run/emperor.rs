//! What the emperor says, and what is done when there is none any more.

use imperator_core::message::ToMaster;
use imperator_core::settings::hooks::Phase;

use super::Master;
use crate::clock;
use crate::event::Event;

impl Master {
    pub(super) fn hear_emperor(&mut self) {
        let now = clock::now();
        self.control.accept();
        for message in self.control.hear() {
            let event = match message {
                ToMaster::Start(_) => continue,
                ToMaster::Adopt { .. } => {
                    // Only a master that has succeeded is found by another emperor.
                    self.effects.inherit(now);
                    self.effects.succession.is_outdated = false;
                    let origin = &self.effects.origin;
                    self.control.introduce(&origin.name, &origin.config);
                    self.effects.sockets_changed = true;
                    self.reported = None;
                    continue;
                }
                ToMaster::Report { stacks } => {
                    self.effects.look_at_numbers();
                    if stacks {
                        self.effects.ask_what_is_done();
                    }
                    self.reported = None;
                    continue;
                }
                ToMaster::Reload { at } => {
                    self.effects.chronicle.order(at);
                    let phase = Phase::EmperorReload;
                    self.effects.start_phase("hook-emperor-reload", phase, now);
                    self.ordered_to_reload();
                    Event::Reload
                }
                // The channels answer them.
                ToMaster::Guest | ToMaster::Logs { .. } | ToMaster::History => continue,
                // An emperor that has just come does not know. Whoever starts goes on with it, who
                // failed waits for its time, and who serves is not read again.
                ToMaster::Changed if self.effects.sources.are_the_same() => continue,
                ToMaster::Changed => {
                    self.effects.chronicle.because("its config changed");
                    Event::Changed
                }
                ToMaster::Outdated => {
                    self.effects.succession.is_outdated = true;
                    continue;
                }
                ToMaster::Retry => Event::Retry,
                ToMaster::Pause => Event::Pause,
                ToMaster::Stop => {
                    let phase = Phase::EmperorStop;
                    self.effects.start_phase("hook-emperor-stop", phase, now);
                    self.stop_for("stopped by the emperor");
                    Event::Stop
                }
                ToMaster::StopNow => {
                    self.stop_for("stopped at once by the emperor");
                    Event::StopNow
                }
                ToMaster::Succeed => {
                    if let Err(error) = self.control.succeed() {
                        let text = format!("no emperor will find this master: {error}");
                        self.effects.note(text);
                    }
                    continue;
                }
                ToMaster::Inherit => {
                    self.effects.inherit(now);
                    continue;
                }
                ToMaster::Retire => self.retire("another master takes over"),
            };
            self.queue.push_back(event);
        }
    }

    /// An heir that was not told to succeed is known to nobody any more, as a master that was
    /// succeeded and not told to retire.
    pub(super) fn lose_emperor(&mut self) {
        self.reload_without_emperor();
        if self.control.waits_to_succeed() {
            self.stop_for("its emperor is gone before it could take over");
            self.queue.push_back(Event::StopNow);
        } else if self.control.is_superseded() {
            let event = self.retire("another master has taken over");
            self.queue.push_back(event);
        }
    }

    fn retire(&mut self, why: &str) -> Event {
        self.stop_for(why);
        self.control.hide();
        Event::Retire
    }
}
