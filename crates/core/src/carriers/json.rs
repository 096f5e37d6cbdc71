//! Configs in json, as the original reads them: the object `uwsgi` (or the one that is asked for) of
//! the outermost one. Strings and numbers are values as they are written, true is 1, false and null
//! are 0, an array repeats its key; deeper objects are left out. Comments are allowed.

use std::borrow::Cow;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Text, refused};
use crate::finding::Finding;
use crate::ini::magic::Magic;
use crate::ini::{Document, IniOption, MAX_OPTIONS};

pub(super) fn read(bytes: &[u8], section: &str, magic: &Magic<'_>) -> Document {
    let mut document = Document::default();
    let file = &magic.file.file;
    let Some(mut text) = Text::of(bytes, magic, &mut document) else {
        return document;
    };
    blank_comments(&mut text.bytes);
    let outer: Pairs<'_> = match serde_json::from_slice(&text.bytes) {
        Ok(outer) => outer,
        Err(error) => {
            let line = text.line_of_line(error.line());
            let why = format!("the json is broken: {error}");
            let hint = "look for a missing quote, comma or bracket before this place";
            document.findings.push(refused(file, line, why, hint));
            return document;
        }
    };
    document.sections = outer
        .0
        .iter()
        .filter(|(_, value)| value.get().starts_with('{'))
        .map(|(name, value)| (name.as_bytes().to_vec(), text.line_of(value.get())))
        .collect();
    let found = outer.0.iter().find(|(name, _)| name == section);
    let Some((_, object)) = found.filter(|(_, value)| value.get().starts_with('{')) else {
        let why = format!("the file has no object \"{section}\"");
        let hint = "write { \"uwsgi\": { \"socket\": \":3031\" } }";
        document.findings.push(refused(file, 1, why, hint));
        return document;
    };
    let Ok(Pairs(options)) = serde_json::from_str::<Pairs<'_>>(object.get()) else {
        return document;
    };
    for (key, value) in &options {
        if document.options.len() > MAX_OPTIONS {
            break;
        }
        let line = text.line_of(value.get());
        if value.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            // One more than a config may have is told by whoever counts them.
            for item in items.into_iter().take(MAX_OPTIONS + 1) {
                let line = text.line_of(item.get());
                push(&mut document, section, key, item, line, file);
            }
        } else {
            push(&mut document, section, key, value, line, file);
        }
    }
    document
}

fn push(
    document: &mut Document,
    section: &str,
    key: &str,
    value: &RawValue,
    line: u32,
    file: &std::path::Path,
) {
    let raw = value.get();
    let value: Cow<'_, str> = match raw.as_bytes().first() {
        Some(b'"') => Cow::Owned(serde_json::from_str(raw).unwrap_or_default()),
        Some(b't') => "1".into(),
        Some(b'f' | b'n') => "0".into(),
        Some(b'{' | b'[') | None => {
            let place = super::place(file, line);
            let text = format!("the value of \"{key}\" is no plain value and is left out");
            let finding = Finding::warning(Some(place), text);
            let hint = "write a text, a number, true or false, or a list of them";
            document.findings.push(finding.with_hint(hint));
            return;
        }
        Some(_) => raw.into(),
    };
    document.options.push(IniOption {
        section: section.as_bytes().to_vec(),
        // A NUL ends a string in C.
        key: super::c_string(key.as_bytes()),
        value: super::c_string(value.as_bytes()),
        line,
    });
}

/// The pairs of an object in their order, each as often as it is written.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                    if pairs.len() > MAX_OPTIONS {
                        return Err(A::Error::custom("too many options"));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// `/* */` and `//` become blanks: every byte keeps its place.
fn blank_comments(bytes: &mut [u8]) {
    let mut at = 0;
    let mut quoted = false;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) if quoted => at += 1,
            (b'"', _) => quoted = !quoted,
            (b'/', Some(&kind @ (b'*' | b'/'))) if !quoted => {
                let end: &[u8] = if kind == b'*' { b"*/" } else { b"\n" };
                let rest = &bytes[at + 2..];
                let length = rest.windows(end.len()).position(|found| found == end);
                let Some(length) = length else {
                    // An open comment stays, and is told as what it is.
                    return;
                };
                let stop = at + 2 + length + usize::from(kind == b'*') * 2;
                for byte in &mut bytes[at..stop] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                at = stop;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}
