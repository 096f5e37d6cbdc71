//! What is said about a config file: an error or a warning with its place, its cause and the way out.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A place in a config file. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    pub file: PathBuf,
    pub line: u32,
}

impl Place {
    /// `None`: the command line or the environment, which have no lines.
    pub fn known(&self) -> Option<Self> {
        (self.line > 0).then(|| self.clone())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A text is cut to this many bytes: a config may hold a key of a megabyte, a log line and a status
/// may not.
pub const MAX_TEXT: usize = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The app runs as the file says; the operator probably means something else.
    Warning,
    /// The app cannot be run from this file.
    Error,
}

/// One thing to say about a config. Text is a lower-case phrase without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// `None` for what has no line: the command line, the environment, a missing file.
    pub place: Option<Place>,
    pub text: String,
    pub hint: Option<String>,
    /// The word of that line that is meant; the line's key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

impl Finding {
    pub fn warning(place: Option<Place>, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            place,
            text: cut(text.into()),
            hint: None,
            mark: None,
        }
    }

    pub fn error(place: Option<Place>, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            text: cut(text.into()),
            hint: None,
            mark: None,
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = Some(cut(mark.into()));
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match self.severity {
            Severity::Warning => write!(f, "warning: {}", self.text)?,
            Severity::Error => write!(f, "error: {}", self.text)?,
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}
