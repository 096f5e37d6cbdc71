//! What happened to an app, when and by whom. The emperor and each master keep such a list, always
//! bounded, and `imperator history` shows both as one. Pure; times are the caller's.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Entries of one app; older ones are forgotten.
pub const MAX_ENTRIES: usize = 100;
/// A longer text is cut.
pub const MAX_TEXT: usize = 300;

/// What kind of event it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Its file appeared.
    Found,
    /// Its file went.
    Gone,
    /// Its file has another text.
    Changed,
    /// An emperor came and took it over as it ran.
    Adopted,
    /// Somebody asked for a reload, or something that the config names did.
    ReloadAsked,
    StopAsked,
    StartAsked,
    RestartAsked,
    RetryAsked,
    /// A generation, or a master, begins.
    Started,
    /// The first generation serves.
    Ready,
    /// A later one does.
    Reloaded,
    /// A generation, a config or a start came to nothing.
    Failed,
    /// A process ended that nobody had asked to.
    Died,
    /// A process did not end, or not do, what it should, and was killed for it.
    Killed,
    /// The kernel killed a process for want of memory.
    Oom,
    Scaled,
    Asleep,
    Woken,
    Stopped,
    /// A newer version's.
    #[serde(other)]
    Other,
}

impl What {
    /// Whether an operator calls it a trouble.
    pub fn is_trouble(self) -> bool {
        match self {
            Self::Failed | Self::Died | Self::Killed | Self::Oom => true,
            Self::Found
            | Self::Gone
            | Self::Changed
            | Self::Adopted
            | Self::ReloadAsked
            | Self::StopAsked
            | Self::StartAsked
            | Self::RestartAsked
            | Self::RetryAsked
            | Self::Started
            | Self::Ready
            | Self::Reloaded
            | Self::Scaled
            | Self::Asleep
            | Self::Woken
            | Self::Stopped
            | Self::Other => false,
        }
    }

    /// As a person reads it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Adopted => "adopted",
            Self::ReloadAsked => "reload",
            Self::StopAsked => "stop",
            Self::StartAsked => "start",
            Self::RestartAsked => "restart",
            Self::RetryAsked => "retry",
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Reloaded => "reloaded",
            Self::Failed => "failed",
            Self::Died => "died",
            Self::Killed => "killed",
            Self::Oom => "OOM",
            Self::Scaled => "scaled",
            Self::Asleep => "asleep",
            Self::Woken => "woken",
            Self::Stopped => "stopped",
            Self::Other => "?",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Unix microseconds.
    pub at: u64,
    pub what: What,
    /// One line.
    #[serde(default)]
    pub text: String,
    /// Who asked for it; `None`: it came of itself. Users are `uid N`.
    #[serde(default)]
    pub by: Option<String>,
}

impl Entry {
    pub fn new(at: u64, what: What, text: &str) -> Self {
        let text = text.trim().lines().next().unwrap_or_default();
        let end = text.floor_char_boundary(MAX_TEXT);
        Self {
            at,
            what,
            text: text[..end].to_owned(),
            by: None,
        }
    }

    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }
}

/// The last events of one app, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    entries: VecDeque<Entry>,
}

impl History {
    /// Adds an event at its time; one that is known already changes nothing. Tells whether it was
    /// news.
    pub fn add(&mut self, entry: Entry) -> bool {
        let after = self.entries.iter().rposition(|it| it.at <= entry.at);
        let place = after.map_or(0, |index| index + 1);
        let same_time = self.entries.iter().take(place).rev();
        if same_time
            .take_while(|it| it.at == entry.at)
            .any(|it| *it == entry)
        {
            return false;
        }
        if self.entries.len() == MAX_ENTRIES {
            if place == 0 {
                return false;
            }
            self.entries.pop_front();
            self.entries.insert(place - 1, entry);
        } else {
            self.entries.insert(place, entry);
        }
        true
    }

    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub fn last(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// The last event that an operator calls a trouble.
    pub fn trouble(&self) -> Option<&Entry> {
        self.entries.iter().rev().find(|it| it.what.is_trouble())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> Entry {
        Entry::new(at, What::Died, &format!("worker {at}\nmore"))
    }

    #[test]
    fn events_stand_in_the_order_of_their_times_and_once() {
        let mut history = History::default();
        for at in [3, 1, 2, 3, 1] {
            history.add(entry(at));
        }
        let times: Vec<u64> = history.entries().map(|it| it.at).collect();
        assert_eq!(times, [1, 2, 3]);
        assert!(history.add(Entry::new(2, What::Scaled, "")));
        assert_eq!(history.trouble().map(|it| it.at), Some(3));
        assert_eq!(
            history.trouble().map(|it| it.text.as_str()),
            Some("worker 3")
        );
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut history = History::default();
        let all = 10..10 + MAX_ENTRIES as u64 + 5;
        for at in all.clone() {
            assert!(history.add(entry(at)));
        }
        assert_eq!(history.entries().count(), MAX_ENTRIES);
        assert_eq!(history.last(), Some(&entry(all.end - 1)));
        assert!(!history.add(entry(1)), "older than all that is kept");
    }

    #[test]
    fn a_kind_of_a_newer_version_is_read() {
        let text = r#"{"at":1,"what":"teleported","text":"x","colour":"red"}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.what, What::Other);
    }
}
