//! A request as one JSON object, for `log-json`: always whole, always valid, whatever the client
//! sends. Pure.

use imperator_process::time;

use super::MAX_LINE;
use super::line::{Line, print};
use crate::request::Known;

pub(super) fn write(line: &Line<'_>, out: &mut Vec<u8>) {
    let outcome = line.outcome;
    let request = line.request;
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(time::utc(line.started).as_bytes());
    print(
        out,
        format_args!("\",\"source\":\"request\",\"status\":{}", outcome.status),
    );
    // Together with their escapes these texts, the names and the numbers are shorter than MAX_LINE.
    for (name, text, limit) in [
        ("method", request.known(Known::Method), 50),
        ("uri", request.known(Known::Uri), 1900),
        ("protocol", request.known(Known::Protocol), 50),
        ("addr", line.addr(), 200),
        ("user", request.known(Known::RemoteUser), 100),
        ("host", request.known(Known::Host), 250),
        ("referer", request.known(Known::Referer), 500),
        ("agent", request.known(Known::UserAgent), 400),
    ] {
        if !text.is_empty() {
            print(out, format_args!(",\"{name}\":\""));
            escape(out, text, limit);
            out.push(b'"');
        }
    }
    print(
        out,
        format_args!(
            ",\"bytes\":{},\"micros\":{},\"pid\":{},\"worker\":{},\"core\":{}}}",
            outcome.body_bytes, outcome.micros, line.pid, line.worker, line.core
        ),
    );
    debug_assert!(out.len() < MAX_LINE);
}

/// Appends at most `limit` bytes, never half an escape or half a character.
fn escape(out: &mut Vec<u8>, text: &[u8], limit: usize) {
    let text = &text[..text.len().min(limit)];
    let end = out.len() + limit;
    for letter in String::from_utf8_lossy(text).chars() {
        let room = end - out.len();
        match letter {
            '"' | '\\' if room >= 2 => print(out, format_args!("\\{letter}")),
            '"' | '\\' => return,
            control if control.is_control() => {
                if room < 6 {
                    return;
                }
                print(out, format_args!("\\u{:04x}", u32::from(control)));
            }
            other if room >= other.len_utf8() => print(out, format_args!("{other}")),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_a_client_sends_is_a_json_text_and_is_cut_between_characters() {
        for (text, limit, expected) in [
            (&b"/a?b=c"[..], 10, "/a?b=c"),
            (b"say \"x\\\"", 20, r#"say \"x\\\""#),
            (b"\x01\n\x7f", 20, r"\u0001\u000a\u007f"),
            (b"\xff", 20, "\u{fffd}"),
            ("\u{e4}\u{e4}".as_bytes(), 4, "\u{e4}\u{e4}"),
            // Never longer than the limit, never half of anything.
            (b"abcdef", 3, "abc"),
            (b"ab\"", 4, r#"ab\""#),
            (b"ab\"", 3, "ab"),
            (b"\x01", 6, r"\u0001"),
            (b"\x01", 5, ""),
            (b"\xff\xff", 3, "\u{fffd}"),
        ] {
            let mut out = b"before ".to_vec();
            escape(&mut out, text, limit);
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out, format!("before {expected}"), "{text:?} {limit}");
            let json = format!("\"{out}\"");
            assert!(serde_json::from_str::<String>(&json).is_ok(), "{json}");
        }
    }
}
