//! Sections that nobody reads, mostly because their name has a slip: uWSGI says nothing about them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use imperator_core::finding::Place;
use imperator_core::ini::lines::{self, Line};
use imperator_core::ini::{MAX_FILE, text};

use super::account::Item;

/// The sections of this file in which no line of `used` stands. The resolver has read it before.
pub(crate) fn sections(file: &Path, used: &BTreeSet<u32>) -> Vec<Item> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    if let Ok(open) = std::fs::File::open(file) {
        // What cannot be read was told already.
        let _ = open.take(limit).read_to_end(&mut bytes);
    }
    let found = unread(&bytes, used).into_iter();
    let item = |(line, name): (u32, String)| Item {
        option: None,
        place: Some(Place {
            file: file.to_owned(),
            line,
        }),
        text: format!("section [{name}] is read by nobody"),
        hint: Some("remove it, or name it where it is meant: ini = :NAME".to_owned()),
        also: Vec::new(),
    };
    found.map(item).collect()
}

/// Line and name of each section that has options, none of them used.
fn unread(bytes: &[u8], used: &BTreeSet<u32>) -> Vec<(u32, String)> {
    struct Section {
        name: String,
        line: u32,
        options: usize,
        used: bool,
    }
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in (1_u32..).zip(bytes.split(|&byte| byte == b'\n')) {
        match lines::read(line) {
            Line::Nothing => (),
            Line::Section(name) => sections.push(Section {
                name: text(name),
                line: number,
                options: 0,
                used: false,
            }),
            Line::Option { .. } => {
                if let Some(section) = sections.last_mut() {
                    section.options += 1;
                    section.used |= used.contains(&number);
                }
            }
        }
    }
    let unread = sections
        .into_iter()
        .filter(|section| section.options > 0 && !section.used);
    unread.map(|section| (section.line, section.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sections_with_lines_that_nobody_uses_are_lost() {
        let text = b"[uwsgi]\nx = 1\n[empty]\n[lost]\ny = 2\n[base]\nz = 3\n";
        let used = BTreeSet::from([2, 7]);
        assert_eq!(unread(text, &used), [(4, "lost".to_owned())]);
    }
}
