//! Text that rust-ini reads without any of its own ideas: every section and key gets a guard at
//! both ends, everything that rust-ini could trim, join or unquote is escaped.
//!
//! rust-ini reads a key over line ends, takes `:` for `=`, joins lines at a `\`, trims Unicode
//! blanks and refuses an empty key; uWSGI does none of that. The line rules have already decided
//! what is a key; this module only carries it through rust-ini unharmed.

use ini::{Ini, ParseOption};

/// One option line, in a section of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    pub section: Vec<u8>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Writes the properties as canonical text and lets rust-ini read it.
///
/// # Errors
/// When rust-ini refuses the text or reads another number of properties than were written: a bug
/// here, told as a text because a config file must not end the process.
pub fn through_rust_ini(properties: &[Property]) -> Result<Vec<Property>, String> {
    let mut text = String::new();
    let mut section = None;
    for property in properties {
        if section != Some(&property.section) {
            section = Some(&property.section);
            text.push_str("[k");
            escape(&property.section, &mut text);
            text.push_str(".]\n");
        }
        text.push('k');
        escape(&property.key, &mut text);
        text.push_str(".=\"");
        escape(&property.value, &mut text);
        text.push_str("\"\n");
    }
    let parsed = Ini::load_from_str_opt(&text, ParseOption::default())
        .map_err(|error| format!("the ini reader refuses its own text: {error}"))?;
    let mut read = Vec::with_capacity(properties.len());
    for (section, entries) in &parsed {
        for (key, value) in entries {
            let unguarded = (
                section.and_then(|name| name.strip_prefix('k')?.strip_suffix('.')),
                key.strip_prefix('k').and_then(|key| key.strip_suffix('.')),
            );
            let (Some(section), Some(key)) = unguarded else {
                return Err(format!("the ini reader lost the guard of key \"{key}\""));
            };
            read.push(Property {
                section: bytes(section),
                key: bytes(key),
                value: bytes(value),
            });
        }
    }
    if read.len() == properties.len() {
        Ok(read)
    } else {
        Err(format!(
            "the ini reader found {} options of {}",
            read.len(),
            properties.len()
        ))
    }
}

/// Each byte becomes one character (latin-1), and all but plain ones four hexadecimal digits, the
/// only length that rust-ini knows.
fn escape(bytes: &[u8], text: &mut String) {
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b',' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("\\x{byte:04x}")),
        }
    }
}

/// The inverse of [`escape`]'s latin-1. No other character can come out of rust-ini.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// rust-ini gives back, in order, exactly what the line rules have read.
        #[test]
        fn nothing_is_lost_or_changed_on_the_way_through_rust_ini(
            properties in prop::collection::vec(
                (any::<Vec<u8>>(), any::<Vec<u8>>(), any::<Vec<u8>>()),
                0..20,
            )
        ) {
            let properties: Vec<Property> = properties
                .into_iter()
                .map(|(section, key, value)| Property { section, key, value })
                .collect();
            prop_assert_eq!(through_rust_ini(&properties), Ok(properties.clone()));
        }
    }
}
