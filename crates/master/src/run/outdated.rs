//! A master that runs on another file than its emperor: the app's next reload, whoever asks for it, is
//! left to the emperor, which starts a new master beside this one. Without an emperor, or when that
//! master comes to nothing, this one reloads as it can.

use std::time::{Duration, Instant};

use super::Master;
use crate::event::Event;

/// An emperor gives an heir up before that, and then orders the reload; one that says nothing for so
/// long hangs.
const LIMIT: Duration = Duration::from_secs(660);

/// What a master left to its emperor.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The emperor has ordered a reload: none that could be left to it.
    pub ordered: bool,
    /// Until when its answer is waited for.
    pub until: Option<Instant>,
}

impl Master {
    /// Whether the emperor sees to this event.
    pub(crate) fn leaves_to_emperor(&mut self, event: &Event, now: Instant) -> bool {
        let is_reload = matches!(event, Event::Reload | Event::ReloadNow)
            || (*event == Event::Changed && self.app.has_failed());
        if !is_reload || std::mem::take(&mut self.left.ordered) {
            return false;
        }
        if !self.effects.succession.is_outdated || !self.control.ask_for_reload() {
            return false;
        }
        let text = "a newer version is there: the emperor starts its master for this reload";
        self.effects.log.note(text);
        self.left.until = Some(now + LIMIT);
        true
    }

    pub(crate) fn ordered_to_reload(&mut self) {
        self.left.ordered = true;
        self.left.until = None;
    }

    /// The emperor is gone, or has said nothing for too long.
    pub(crate) fn reload_without_emperor(&mut self) {
        if self.left.until.take().is_some() {
            self.left.ordered = true;
            self.queue.push_back(Event::Reload);
        }
    }
}
