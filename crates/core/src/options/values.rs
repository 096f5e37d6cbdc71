//! Values as uWSGI reads them (core/uwsgi.c, uwsgi_opt_*): C's `atoi`, a liberal bool, no units.

use std::path::PathBuf;

use super::Invalid;
use crate::address::Address;

/// The truth, and whether it was written in a usual way.
pub(super) fn flag(text: &str) -> (bool, bool) {
    match text.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" => (false, true),
        "" | "true" | "on" | "yes" | "1" => (true, true),
        _ => (true, false),
    }
}

/// The number at the start, 0 without one, and whether something else follows it.
pub(super) fn leading_number(text: &str) -> Result<(u64, bool), Invalid> {
    let text = text.trim_start();
    let digits = text.strip_prefix('+').unwrap_or(text);
    if let Some(rest) = text.strip_prefix('-')
        && rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Invalid::new(format!("\"{text}\" is negative")));
    }
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let number = match &digits[..end] {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    Ok((number, !digits[end..].is_empty()))
}

/// Exactly three octal digits, or `1`, which is 666.
pub(super) fn mode(text: &str) -> Result<u32, Invalid> {
    let octal = |text: &str| {
        let all = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        all.then(|| u32::from_str_radix(text, 8).ok()).flatten()
    };
    match (text, octal(text)) {
        ("1", _) => Ok(0o666),
        (text, Some(mode)) if text.len() == 3 => Ok(mode),
        (text, Some(mode)) if text.len() == 4 && mode <= 0o777 => Err(Invalid::with_hint(
            format!("\"{text}\" is no mode of three octal digits"),
            format!("write {}", &text[1..]),
        )),
        (text, _) => Err(Invalid::with_hint(
            format!("\"{text}\" is no mode of three octal digits"),
            "write 660, for example",
        )),
    }
}

pub(super) fn address(text: &str) -> Result<Address, Invalid> {
    text.parse::<Address>()
        .map_err(|error| Invalid::new(error.to_string()))
}

/// An address up to the end of its port: the original reads the port with `atoi`, so a comment
/// behind it does no harm there.
pub(super) fn address_before_text(text: &str) -> Option<&str> {
    let (host, port) = text.split_once(':')?;
    let digits = port.bytes().take_while(u8::is_ascii_digit).count();
    let plain_host = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    (plain_host && digits > 0 && digits < port.len()).then(|| &text[..host.len() + 1 + digits])
}

/// What precedes a variable that is not set, in a port's place: to the original's `atoi` it is 0.
pub(super) fn host_without_port(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    let is_plain = !host.contains(['/', ':', '@', '\\']);
    (is_plain && port.starts_with("$(")).then_some(host)
}

/// A file by name; the original also takes schemes here.
pub(super) fn file(text: &str) -> Result<PathBuf, Invalid> {
    match text {
        "" => Err(Invalid::new("needs a path")),
        text if text.contains("://") => Err(Invalid::with_hint(
            format!("\"{text}\" is no file"),
            "code is loaded from files only",
        )),
        text => Ok(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        assert_eq!(leading_number("30"), Ok((30, false)));
        assert_eq!(leading_number(" 30s"), Ok((30, true)));
        assert_eq!(leading_number("true"), Ok((0, true)));
        assert_eq!(leading_number(""), Ok((0, false)));
        assert_eq!(
            leading_number("99999999999999999999"),
            Ok((u64::MAX, false))
        );
        assert!(leading_number("-1").is_err());
    }

    #[test]
    fn anything_but_four_words_is_true() {
        for (text, truth) in [
            ("FALSE", false),
            ("off", false),
            ("0", false),
            ("no", false),
        ] {
            assert_eq!(flag(text), (truth, true));
        }
        assert_eq!(flag(""), (true, true));
        assert_eq!(flag("true ; note"), (true, false));
        assert_eq!(flag("disabled"), (true, false));
    }

    #[test]
    fn a_mode_of_four_digits_is_refused_with_the_three_that_are_meant() {
        assert_eq!(mode("660"), Ok(0o660));
        assert_eq!(mode("1"), Ok(0o666));
        assert_eq!(mode("0660").unwrap_err().hint.as_deref(), Some("write 660"));
        assert!(mode("rw").is_err());
        assert!(mode("").is_err());
        assert!(mode("888").is_err());
    }
}
