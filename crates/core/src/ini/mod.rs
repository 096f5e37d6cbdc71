//! From the bytes of an ini file to its options, each with its place: magic variables, uWSGI's line
//! rules, rust-ini on the normalised text. Pure; `config` calls it with what it has read.

pub mod lines;

/// The text of a config in our types: UTF-8 as it is, anything else read as latin-1, so that no
/// byte is lost and two different names stay different.
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// A UTF-8 byte order mark, which hides the first section from the original.
pub const BOM: &[u8] = b"\xef\xbb\xbf";
