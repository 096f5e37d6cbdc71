//! Decides when a file that was seen is taken for finished. Pure: time is an argument.
//!
//! Editors, `rsync`, `cp` and configuration management write a file in many ways. What is complete
//! (closed after writing, renamed into place) is taken at once. What may still be written, and
//! what means nothing yet, waits for quiet. A file that is gone may be half of a rename.

use std::time::{Duration, Instant};

/// So long nothing may change in a file that is perhaps still being written.
pub const QUIET: Duration = Duration::from_millis(100);
/// So long a file is missing before it counts as removed: editors move the old one away first.
pub const VANISHED: Duration = Duration::from_millis(50);
/// The same, in a directory that was itself just made again: it is being filled.
pub const REFILLED: Duration = Duration::from_secs(1);

/// What a look at one file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// A hash of text or problem; stamps do not count.
    pub content: u64,
    /// It means something: a text with at least one app in it.
    pub sound: bool,
    /// The kernel told that its writer closed it, or it was renamed into place.
    pub complete: bool,
}

/// Whether to act on what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Take,
    /// Look again then.
    Wait(Instant),
}

/// What is remembered of one path between looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settling {
    /// The content that is in force.
    taken: Option<u64>,
    /// The content that is awaited, and since when it is the same.
    awaited: Option<(u64, Instant)>,
    missing_since: Option<Instant>,
}

impl Settling {
    /// The file is there.
    pub fn see(&mut self, look: &Look, now: Instant) -> Verdict {
        self.missing_since = None;
        let known = self.taken == Some(look.content);
        let since = match self.awaited {
            Some((content, since)) if content == look.content => since,
            Some(_) | None => now,
        };
        if known || (look.complete && look.sound) || now >= since + QUIET {
            self.taken = Some(look.content);
            self.awaited = None;
            return Verdict::Take;
        }
        self.awaited = Some((look.content, since));
        Verdict::Wait(since + QUIET)
    }

    /// The file is not there. `patience`: [`VANISHED`] or [`REFILLED`].
    pub fn miss(&mut self, patience: Duration, now: Instant) -> Verdict {
        self.awaited = None;
        let since = *self.missing_since.get_or_insert(now);
        if now >= since + patience {
            Verdict::Take
        } else {
            Verdict::Wait(since + patience)
        }
    }

    /// At the start of the emperor there is nothing to wait for.
    pub fn take(content: u64) -> Self {
        Self {
            taken: Some(content),
            ..Self::default()
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]
mod tests {
    use super::*;

    const COMPLETE: bool = true;
    const OPEN: bool = false;

    fn look(content: u64, complete: bool) -> Look {
        Look {
            content,
            sound: content != 0,
            complete,
        }
    }

    #[test]
    fn a_closed_file_is_taken_at_once_and_an_open_one_after_quiet() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut file = Settling::default();
        assert_eq!(file.see(&look(1, OPEN), at(0)), Verdict::Wait(at(100)));
        assert_eq!(file.see(&look(2, OPEN), at(90)), Verdict::Wait(at(190)));
        assert_eq!(file.see(&look(2, COMPLETE), at(95)), Verdict::Take);
        assert_eq!(file.see(&look(3, OPEN), at(200)), Verdict::Wait(at(300)));
        assert_eq!(file.see(&look(3, OPEN), at(300)), Verdict::Take);
        assert_eq!(file.see(&look(3, OPEN), at(301)), Verdict::Take);
    }

    #[test]
    fn an_empty_file_waits_even_when_it_is_closed() {
        let start = Instant::now();
        let mut file = Settling::take(1);
        let wait = Verdict::Wait(start + QUIET);
        assert_eq!(file.see(&look(0, COMPLETE), start), wait);
        assert_eq!(file.see(&look(1, OPEN), start), Verdict::Take);
    }

    #[test]
    fn a_file_that_is_gone_for_a_moment_is_not_removed() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut file = Settling::take(1);
        assert_eq!(file.miss(VANISHED, at(0)), Verdict::Wait(at(50)));
        assert_eq!(file.see(&look(1, OPEN), at(10)), Verdict::Take);
        assert_eq!(file.miss(VANISHED, at(40)), Verdict::Wait(at(90)));
        assert_eq!(file.miss(VANISHED, at(90)), Verdict::Take);
    }
}
