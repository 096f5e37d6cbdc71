//! From the bytes of an ini file to its options, each with its place: magic variables, uWSGI's line
//! rules, rust-ini on the normalised text. Pure; `config` calls it with what it has read.

pub mod canonical;
pub mod lines;
pub mod magic;

use std::collections::BTreeSet;
use std::path::Path;

use crate::finding::{Finding, Place};
use canonical::Property;
use lines::Line;
use magic::{FileFacts, Magic, Swallowed};

/// A larger "ini" is something else.
pub const MAX_FILE: usize = 1 << 20;
/// More options in one file are a mistake or an attack.
pub const MAX_OPTIONS: usize = 50_000;
/// A UTF-8 byte order mark, which hides the first section from the original.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// One file, read.
#[derive(Debug, Default)]
pub struct Document {
    /// Of all sections, in file order.
    pub options: Vec<IniOption>,
    /// Section names and where they stand first, in that order.
    pub sections: Vec<(Vec<u8>, u32)>,
    pub findings: Vec<Finding>,
}

/// One option line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IniOption {
    pub section: Vec<u8>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub line: u32,
}

/// The text of a config in our types: UTF-8 as it is, anything else read as latin-1, so that no
/// byte is lost and two different names stay different.
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// Reads one file. Never fails: what is wrong is among the findings.
pub fn read(bytes: &[u8], magic: &Magic<'_>) -> Document {
    let mut document = Document::default();
    let file = &magic.file.file;
    if let Some(refusal) = refuse(bytes, file) {
        document.findings.push(refusal);
        return document;
    }
    let bytes = match bytes.strip_prefix(BOM) {
        Some(rest) => {
            document.findings.push(
                Finding::warning(
                    Some(place(file, 1)),
                    "the file starts with a byte order mark",
                )
                .with_hint("save it without one: it hides the first section from uWSGI"),
            );
            rest
        }
        None => bytes,
    };
    let substituted = magic.substitute(bytes);
    match template(bytes) {
        // Its signs are no magic variables, and to tell each of them would hide what is wrong.
        Some((line, mark)) => {
            let text = format!("this is a template: \"{mark}\" stands where a value belongs");
            let finding = Finding::warning(Some(place(file, line)), text);
            let hint = "fill it in first; the app gets the text as it is";
            document
                .findings
                .push(finding.with_hint(hint).with_mark(mark));
        }
        None => tell_all_swallowed(&substituted, file, &mut document.findings),
    }

    let (properties, spans) = read_lines(&substituted, &mut document, file);
    if properties.len() > MAX_OPTIONS {
        document.findings.push(Finding::error(
            Some(place(file, 1)),
            format!("the file has more than {MAX_OPTIONS} options"),
        ));
        return document;
    }
    match canonical::through_rust_ini(&properties) {
        Ok(read) => {
            document.options = read
                .into_iter()
                .zip(spans)
                .map(|(property, line)| IniOption {
                    section: property.section,
                    key: property.key,
                    value: property.value,
                    line,
                })
                .collect();
        }
        Err(why) => document
            .findings
            .push(Finding::error(Some(place(file, 1)), why)),
    }
    document
}

/// The facts of a file of which only the name matters.
pub fn plain_file(given: &Path) -> FileFacts {
    FileFacts {
        given: given.to_owned(),
        file: given.to_owned(),
        path: given.to_owned(),
        inode: 0,
        section: None,
    }
}

fn place(file: &Path, line: u32) -> Place {
    Place {
        file: file.to_owned(),
        line,
    }
}

fn refuse(bytes: &[u8], file: &Path) -> Option<Finding> {
    let refusal = |text: String| {
        let hint = "an ini file is a short text with a line [uwsgi]";
        Finding::error(Some(place(file, 1)), text).with_hint(hint)
    };
    if bytes.len() > MAX_FILE {
        return Some(refusal(format!("the file is larger than {MAX_FILE} bytes")));
    }
    // Text may hold a stray NUL or latin-1; a program or an image is full of control bytes.
    let control = |byte: &&u8| **byte < 9 || matches!(**byte, 14..=26 | 28..=31);
    let odd = bytes.iter().filter(control).count();
    (odd > 16 && odd * 20 > bytes.len()).then(|| refusal("the file is binary, not text".to_owned()))
}

/// The option lines and, beside them, their line numbers in the file.
fn read_lines(
    substituted: &magic::Substituted,
    document: &mut Document,
    file: &Path,
) -> (Vec<Property>, Vec<u32>) {
    let mut properties = Vec::new();
    let mut spans = Vec::new();
    let mut section: Option<&[u8]> = None;
    let mut homeless = None;
    let mut known = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    let lines = substituted.bytes.split(|&byte| byte == b'\n');
    for (&number, line) in substituted.lines.iter().zip(lines) {
        if properties.len() > MAX_OPTIONS {
            break;
        }
        match lines::read(line) {
            Line::Nothing => {}
            Line::Section(name) => {
                if known.insert(name) {
                    document.sections.push((name.to_vec(), number));
                } else if repeated.insert(name) {
                    document.findings.push(
                        Finding::warning(
                            Some(place(file, number)),
                            format!("section [{}] stands here again", text(name)),
                        )
                        .with_hint("both are read as one; give one of them another name"),
                    );
                }
                section = Some(name);
                document
                    .findings
                    .extend(odd_section(line, name, &place(file, number)));
            }
            Line::Option { key, value } => match section {
                Some(section) => {
                    properties.push(Property {
                        section: section.to_vec(),
                        key: key.to_vec(),
                        value: value.to_vec(),
                    });
                    spans.push(number);
                }
                None => homeless = homeless.or(Some(number)),
            },
        }
    }
    if let Some(number) = homeless {
        document.findings.push(
            Finding::warning(
                Some(place(file, number)),
                "options before the first section are ignored",
            )
            .with_hint("put a line [uwsgi] above them"),
        );
    }
    (properties, spans)
}

/// `[uwsgi] ; main` and `[ uwsgi ]` name other sections than `uwsgi`, and nothing says so.
fn odd_section(line: &[u8], name: &[u8], place: &Place) -> Option<Finding> {
    let shown = text(name);
    let meant = shown.split(']').next().unwrap_or_default().trim();
    let closed = line.trim_ascii().ends_with(b"]");
    let odd = !closed || meant != shown;
    (odd && !meant.is_empty()).then(|| {
        Finding::warning(
            Some(place.clone()),
            format!("the section is named \"{shown}\""),
        )
        .with_hint(format!(
            "write [{meant}] alone on the line, if that is meant"
        ))
    })
}

/// The first sign of a template language that stands outside comments.
fn template(bytes: &[u8]) -> Option<(u32, &'static str)> {
    let lines = (1_u32..).zip(bytes.split(|&byte| byte == b'\n'));
    lines
        .filter(|(_, line)| !matches!(line.trim_ascii_start().first(), Some(b';' | b'#')))
        .find_map(|(number, line)| {
            // `<%(x)` and `{%n}` are the original's own.
            let marks = ["{{", "{% ", "{%- ", "<% ", "<%= "].into_iter();
            let mut found = marks.filter(|mark| {
                let mut windows = line.windows(mark.len());
                windows.any(|window| window == mark.as_bytes())
            });
            found.next().map(|mark| (number, mark.trim_ascii_end()))
        })
}

pub(crate) fn tell_all_swallowed(
    substituted: &magic::Substituted,
    file: &Path,
    findings: &mut Vec<Finding>,
) {
    for swallowed in substituted.swallowed.iter().take(MAX_SWALLOWED) {
        findings.push(tell_swallowed(swallowed, file));
    }
}

fn tell_swallowed(swallowed: &Swallowed, file: &Path) -> Finding {
    let place = Some(place(file, swallowed.line));
    if swallowed.letter == b'\n' {
        return Finding::warning(
            place,
            "\"%\" at the end of the line joins it with the next one",
        )
        .with_hint("write %%")
        .with_mark("%");
    }
    let letter = text(&[swallowed.letter]);
    Finding::warning(
        place,
        format!(
            "\"%{letter}\" is read as a magic variable and becomes \"{}\"",
            text(&swallowed.value)
        ),
    )
    .with_hint(format!("write %%{letter} for a plain percent sign"))
    .with_mark(format!("%{letter}"))
}

/// So many warnings of this kind tell enough.
const MAX_SWALLOWED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use magic::Facts;
    use proptest::prelude::*;

    fn read_text(bytes: &[u8]) -> Document {
        let file = plain_file(Path::new("a.ini"));
        read(
            bytes,
            &Magic {
                facts: &Facts::default(),
                file: &file,
                first: &file,
            },
        )
    }

    #[test]
    fn a_byte_order_mark_is_told_and_hides_nothing() {
        let document = read_text(b"\xef\xbb\xbf[uwsgi]\nfoo = 1\n");
        assert_eq!(document.options.len(), 1);
        assert_eq!(document.findings.len(), 1);
    }

    #[test]
    fn what_is_too_large_or_binary_is_an_error_in_words() {
        let large = read_text(&vec![b'x'; MAX_FILE + 1]);
        assert!(large.findings[0].is_error());
        let binary = read_text(&[1; 100]);
        assert!(binary.findings[0].text.contains("binary"));
        let latin = read_text(b"[uwsgi]\nfoo = caf\xe9\0\n");
        assert_eq!(latin.findings, []);
        assert_eq!(latin.options[0].value, b"caf\xe9");
    }

    #[test]
    fn a_section_with_a_comment_behind_it_is_told() {
        let document = read_text(b"[uwsgi] ; main\nfoo = 1\n");
        assert_eq!(
            document.findings[0].to_string(),
            "a.ini:1: warning: the section is named \"uwsgi] ; mai\"\n  \
             hint: write [uwsgi] alone on the line, if that is meant"
        );
    }

    #[test]
    fn a_section_that_stands_twice_is_told_and_read_as_one() {
        let document = read_text(b"[a]\nx = 1\n[b]\n[a]\ny = 2\n[a]\n");
        assert_eq!(document.sections.len(), 2);
        assert_eq!(document.findings.len(), 1);
        assert_eq!(
            document.findings[0].place.as_ref().map(|place| place.line),
            Some(4)
        );
    }

    #[test]
    fn options_keep_their_lines_when_magic_joins_lines() {
        let document = read_text(b"[uwsgi]\na = 100%\nb = 1\nc = 2\n");
        let lines: Vec<_> = document
            .options
            .iter()
            .map(|o| (text(&o.value), o.line))
            .collect();
        assert_eq!(lines, [("100b = 1".to_owned(), 2), ("2".to_owned(), 4)]);
    }

    proptest! {
        /// Any bytes give a document; each option's line holds its key.
        #[test]
        fn any_bytes_are_read(bytes in any::<Vec<u8>>()) {
            let document = read_text(&bytes);
            let lines = bytes.split(|&byte| byte == b'\n').count();
            for option in &document.options {
                prop_assert!(usize::try_from(option.line).unwrap_or(usize::MAX) <= lines);
            }
        }

        /// Ini-like text: the options are those that a plain reading of the lines gives.
        #[test]
        fn ini_like_text_gives_the_keys_of_its_lines(
            text in "(\\[[a-z:]{1,4}\\]\n|[ \t]{0,2}[a-z;#\\[\"'\\\\:]{0,4}[ =:]{0,2}[a-z\"\\\\ ]{0,4}\r?\n){0,12}"
        ) {
            let mut expected = Vec::new();
            let mut inside = false;
            for (number, line) in (1_u32..).zip(text.as_bytes().split(|&b| b == b'\n')) {
                match lines::read(line) {
                    Line::Section(_) => inside = true,
                    Line::Option { key, .. } if inside => expected.push((key.to_vec(), number)),
                    Line::Option { .. } | Line::Nothing => {}
                }
            }
            let found: Vec<_> = read_text(text.as_bytes())
                .options
                .into_iter()
                .map(|option| (option.key, option.line))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
