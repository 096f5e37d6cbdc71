//! Files that are served before the app is asked (uWSGI: core/static.c).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StaticFiles {
    /// `check-static`: directories whose files PATH_INFO names. They are looked at first.
    pub check: Vec<PathBuf>,
    /// `static-map`: `/prefix` → directory or file; the rest of PATH_INFO is looked for there.
    pub maps: Vec<(String, PathBuf)>,
    /// `static-map2`: the same with all of PATH_INFO.
    pub whole_maps: Vec<(String, PathBuf)>,
    /// Files to look for in a directory.
    pub index: Vec<String>,
    /// What links may lead to, beside the directory itself.
    pub safe: Vec<PathBuf>,
    /// Ends of paths that are the app's in any case.
    pub skip: Vec<String>,
    pub expires: Vec<Expires>,
    pub compressed: Compressed,
    /// Instead of /etc/mime.types.
    pub mime_files: Vec<PathBuf>,
    /// `honour-range`
    pub ranges: bool,
    pub serve: Serve,
}

/// One `static-expires…` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expires {
    pub of: Of,
    pub from: From,
    pub seconds: u64,
}

/// What a line looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    File(Pattern),
    PathInfo(Pattern),
    Uri(Pattern),
    /// A whole Content-Type.
    Type(String),
}

/// What the seconds count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    Now,
    /// The file's last change.
    Change,
}

/// `static-gzip…`: files for which `FILE.br` or `FILE.gz` is sent to who understands it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compressed {
    pub all: bool,
    pub below: Vec<String>,
    pub ends: Vec<String>,
    pub patterns: Vec<Pattern>,
}

/// `file-serve-mode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    /// The file itself.
    #[default]
    Body,
    /// A header that tells nginx which file to send.
    AccelRedirect,
    /// A header that tells Apache's mod_xsendfile which file to send.
    Sendfile,
}

impl StaticFiles {
    /// Whether any request can be answered by a file.
    pub fn is_used(&self) -> bool {
        !(self.check.is_empty() && self.maps.is_empty() && self.whole_maps.is_empty())
    }
}
