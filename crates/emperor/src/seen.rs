//! What a vassal file was when an emperor last acted on it, noted for the next emperor: what somebody
//! does while none runs is done when one comes. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::monitor::file::Stamp;
use crate::supervisor::{Event, Name};

/// One app's file, and its part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    inode: (u64, u64),
    modified: (i64, i64),
    /// Of the whole file. Another build of us may count otherwise: then an edit is seen where there
    /// was none, and the settings turn out to be equal.
    content: u64,
    /// Of the app's own section.
    section: u64,
}

/// What happened to an app's file while no emperor looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    Nothing,
    Touched,
    /// Its own section.
    Edited,
    /// Something else in its file.
    Beside,
}

impl Meanwhile {
    /// What that is for an app which an earlier emperor knew; `up`: its master is here to serve.
    pub fn event(self, name: Name, up: bool) -> Option<Event> {
        match self {
            Self::Touched => Some(Event::Touched(name)),
            Self::Edited => Some(Event::Changed(name)),
            Self::Beside => Some(Event::Beside(name)),
            // A file that it includes may have changed.
            Self::Nothing => up.then_some(Event::Changed(name)),
        }
    }
}

impl Seen {
    /// `stamp` and `content`: of the file; `section`: the app's own lines.
    pub fn new(stamp: &Stamp, content: u64, section: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        section.hash(&mut hasher);
        Self {
            inode: stamp.inode,
            modified: stamp.modified,
            content,
            section: hasher.finish(),
        }
    }

    pub fn since(&self, before: &Self) -> Meanwhile {
        if self.section != before.section {
            Meanwhile::Edited
        } else if self.content != before.content {
            Meanwhile::Beside
        } else if self.inode != before.inode || self.modified != before.modified {
            Meanwhile::Touched
        } else {
            Meanwhile::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &[u8] = b"module = app";

    fn seen(inode: u64, modified: i64, content: u64, section: &[u8]) -> Seen {
        Seen {
            inode: (1, inode),
            modified: (modified, 0),
            content,
            section: Seen::new(&Stamp::default(), 0, section).section,
        }
    }

    #[test]
    fn a_touch_an_edit_and_an_edit_beside_are_told_apart() {
        let before = seen(1, 1, 1, SECTION);
        for (after, expected) in [
            (before, Meanwhile::Nothing),
            (seen(1, 2, 1, SECTION), Meanwhile::Touched),
            (seen(2, 1, 1, SECTION), Meanwhile::Touched),
            (seen(1, 2, 2, SECTION), Meanwhile::Beside),
            (seen(2, 2, 2, b"module = other"), Meanwhile::Edited),
        ] {
            assert_eq!(after.since(&before), expected, "{after:?}");
        }
    }
}
