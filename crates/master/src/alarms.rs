//! Which alarms are raised, and how often. Pure: the caller runs the commands.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use imperator_core::pattern::Matcher;
use imperator_core::settings::alarms::{self, Way};

/// More in one turn are not told.
const MAX_RAISED: usize = 32;

/// One alarm to tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raised {
    pub name: String,
    pub way: Way,
    pub message: String,
}

#[derive(Debug, Default)]
pub(crate) struct Alarms {
    settings: alarms::Alarms,
    /// Beside `settings.on_line`; what core has checked.
    patterns: Vec<Option<Matcher>>,
    /// What each alarm told last, and when.
    told: HashMap<String, (String, Instant)>,
    /// What lines raised and is not told yet.
    pub raised: Vec<Raised>,
    /// Commands that tell.
    pub running: BTreeSet<i32>,
}

impl Alarms {
    pub(crate) fn configure(&mut self, settings: &alarms::Alarms) {
        let lines = settings.on_line.iter();
        self.patterns = lines.map(|line| line.pattern.compile()).collect();
        self.settings = settings.clone();
    }

    pub(crate) fn watches_crashes(&self) -> bool {
        !self.settings.on_crash.is_empty()
    }

    pub(crate) fn watches_backlog(&self) -> bool {
        !self.settings.on_backlog.is_empty()
    }

    /// This line is for the log. Nobody asks for the time when nobody watches lines.
    pub(crate) fn look(&mut self, line: &[u8], now: &dyn Fn() -> Instant) {
        if !self.patterns.is_empty() {
            self.line(line, now());
        }
    }

    fn line(&mut self, line: &[u8], now: Instant) {
        let mut names = Vec::new();
        for (pattern, alarm) in self.patterns.iter().zip(&self.settings.on_line) {
            if !pattern.as_ref().is_some_and(|it| it.is_match(line)) {
                continue;
            }
            if alarm.names.is_empty() {
                break;
            }
            names.extend_from_slice(&alarm.names);
        }
        if !names.is_empty() {
            self.raise(&names, &String::from_utf8_lossy(line), now);
        }
    }

    /// A worker ended by a signal that nobody sent on purpose.
    pub(crate) fn crash(&mut self, message: &str, now: Instant) {
        let names = self.settings.on_crash.clone();
        self.raise(&names, message, now);
    }

    /// A listen queue is full.
    pub(crate) fn backlog(&mut self, message: &str, now: Instant) {
        let names = self.settings.on_backlog.clone();
        self.raise(&names, message, now);
    }

    /// By name, as the original's hooks do (`alarm:NAME MESSAGE`).
    pub(crate) fn raise(&mut self, names: &[String], message: &str, now: Instant) {
        for name in names {
            let found = self.settings.alarms.iter().find(|it| it.name == *name);
            let Some(alarm) = found else { continue };
            let told = self.told.get(name);
            if told.is_some_and(|last| is_repeated(last, message, self.settings.quiet, now)) {
                continue;
            }
            self.told.insert(name.clone(), (message.to_owned(), now));
            if self.raised.len() >= MAX_RAISED {
                return;
            }
            self.raised.push(Raised {
                name: name.clone(),
                way: alarm.way.clone(),
                message: message.to_owned(),
            });
        }
    }
}

fn is_repeated(last: &(String, Instant), message: &str, quiet: Duration, now: Instant) -> bool {
    last.0 == message && now < last.1 + quiet
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]
mod tests {
    use super::*;
    use imperator_core::pattern::Pattern;
    use imperator_core::settings::alarms::{Alarm, LineAlarm};

    fn alarms() -> Alarms {
        let alarm = |name: &str| Alarm {
            name: name.to_owned(),
            way: Way::Log,
        };
        let on = |names: &[&str], pattern: &str| LineAlarm {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            pattern: Pattern::new(pattern).unwrap(),
        };
        let mut alarms = Alarms::default();
        alarms.configure(&alarms::Alarms {
            alarms: vec![alarm("a"), alarm("b")],
            on_crash: vec!["b".to_owned(), "unknown".to_owned()],
            on_line: vec![
                on(&["a"], "^BAD"),
                on(&[], "but harmless"),
                on(&["a", "b"], "thing$"),
            ],
            ..alarms::Alarms::default()
        });
        alarms
    }

    fn names(alarms: &mut Alarms) -> Vec<String> {
        alarms.raised.drain(..).map(|it| it.name).collect()
    }

    #[test]
    fn lines_raise_what_matches_up_to_an_exception() {
        let now = Instant::now();
        let line = |text: &str| {
            let mut alarms = alarms();
            alarms.line(text.as_bytes(), now);
            names(&mut alarms)
        };
        assert_eq!(line("BAD"), ["a"]);
        assert_eq!(line("some thing"), ["a", "b"]);
        assert_eq!(line("a but harmless thing"), [""; 0]);
        assert_eq!(line("BAD but harmless thing"), ["a"]);
    }

    #[test]
    fn the_same_message_is_told_once_in_three_seconds() {
        let mut alarms = alarms();
        let start = Instant::now();
        for (text, seconds, told) in [("x", 0, 1), ("x", 2, 0), ("y", 2, 1), ("y", 5, 1)] {
            alarms.crash(text, start + Duration::from_secs(seconds));
            assert_eq!(names(&mut alarms), vec!["b"; told], "{text} at {seconds}");
        }
    }

    #[test]
    fn a_flood_of_different_lines_is_cut() {
        let mut alarms = alarms();
        let now = Instant::now();
        for number in 0..1000 {
            alarms.line(format!("BAD {number}").as_bytes(), now);
        }
        assert_eq!(alarms.raised.len(), MAX_RAISED);
    }
}
