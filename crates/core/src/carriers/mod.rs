//! The kinds of text that carry a config: ini, and json, yaml and xml as the original reads them. Each
//! becomes the same flat list of options with their lines. Pure; `config` calls it with what it has
//! read.

mod json;
mod xml;
mod yaml;

use std::path::Path;

use crate::finding::{Finding, Place};
use crate::ini::magic::Magic;
use crate::ini::{self, Document, MAX_FILE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Ini,
    Json,
    Xml,
    Yaml,
}

impl Carrier {
    /// Of a word that may name a section behind a colon.
    pub fn of(word: &str) -> Option<Self> {
        let file = Path::new(word);
        Self::of_file(file).or_else(|| {
            let (file, _) = word.rsplit_once(':')?;
            Self::of(file)
        })
    }

    /// By the extension.
    pub fn of_file(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "ini" => Some(Self::Ini),
            "json" | "js" => Some(Self::Json),
            "xml" => Some(Self::Xml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The option that loads a file of this kind.
    pub fn option(self) -> &'static str {
        match self {
            Self::Ini => "ini",
            Self::Json => "json",
            Self::Xml => "xmlconfig",
            Self::Yaml => "yaml",
        }
    }

    /// What an option of this name loads.
    pub fn of_option(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "xmlconfig" => Self::Xml,
            "yaml" => Self::Yaml,
            _ => Self::Ini,
        }
    }
}

/// Reads one file. Never fails: what is wrong is among the findings. Ini gives the options of all
/// sections, the others only those of the one that is asked for.
pub fn read(carrier: Carrier, bytes: &[u8], section: &str, magic: &Magic<'_>) -> Document {
    match carrier {
        Carrier::Ini => ini::read(bytes, magic),
        Carrier::Json => json::read(bytes, section, magic),
        Carrier::Xml => xml::read(bytes, section, magic),
        Carrier::Yaml => yaml::read(bytes, section, magic),
    }
}

/// A text after its magic variables, with the lines that its bytes come from.
struct Text {
    bytes: Vec<u8>,
    /// For each line of `bytes`, the line of the file that it starts in.
    lines: Vec<u32>,
    /// Where the lines of `bytes` end.
    ends: Vec<usize>,
}

impl Text {
    /// `None` when it is no text; the finding says so.
    fn of(bytes: &[u8], magic: &Magic<'_>, document: &mut Document) -> Option<Self> {
        let file = &magic.file.file;
        if bytes.len() > MAX_FILE {
            let why = format!("the file is larger than {MAX_FILE} bytes");
            let hint = "a config is a short text";
            document.findings.push(refused(file, 1, why, hint));
            return None;
        }
        let substituted = magic.substitute(bytes);
        ini::tell_all_swallowed(&substituted, file, &mut document.findings);
        // A NUL ends a string in C.
        let bytes = c_string(&substituted.bytes);
        if let Err(error) = std::str::from_utf8(&bytes) {
            let before = bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n');
            let line = substituted.lines.get(before.count()).copied().unwrap_or(1);
            let hint = "save the file as UTF-8";
            document
                .findings
                .push(refused(file, line, "the file is not UTF-8", hint));
            return None;
        }
        let all = bytes.iter().enumerate();
        Some(Self {
            ends: all
                .filter(|&(_, &byte)| byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
            bytes,
            lines: substituted.lines,
        })
    }

    /// The line of the file that a part of `bytes` starts in.
    fn line_of(&self, part: &str) -> u32 {
        let start = (part.as_ptr() as usize).saturating_sub(self.bytes.as_ptr() as usize);
        self.line_of_line(self.ends.partition_point(|&end| end < start) + 1)
    }

    /// The line of the file for one of `bytes`, both counted from 1.
    fn line_of_line(&self, line: usize) -> u32 {
        let line = self.lines.get(line.saturating_sub(1));
        line.or(self.lines.last()).copied().unwrap_or(1)
    }
}

fn place(file: &Path, line: u32) -> Place {
    Place {
        file: file.to_owned(),
        line,
    }
}

fn refused(file: &Path, line: u32, why: impl Into<String>, hint: &str) -> Finding {
    Finding::error(Some(place(file, line)), why).with_hint(hint)
}

/// Up to the first NUL.
fn c_string(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes[..end.unwrap_or(bytes.len())].to_vec()
}
