//! The answer that a static file is: headers first, then as much of the file as the client takes
//! at once. The I/O thread sends the rest.

use imperator_core::settings::static_files::{From, Serve};

use super::find::Found;
use super::range::{Part, part};
use super::{Files, Look, date};
use crate::app::Free;
use crate::clock;
use crate::exchange::Exchange;
use crate::request::{Known, Request};

/// Ends of compressed files, with the name of their coding, in the order of preference.
const CODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

pub(super) fn send(files: &Files, exchange: &Exchange, found: Found) -> Option<()> {
    let request = &exchange.request;
    let mime = files.types().of(&found.path);
    let (found, coding) = compressed(files, request, found);
    let asked = request.known(Known::IfModifiedSince);
    if date::parse(asked).is_some_and(|since| found.modified <= since) {
        exchange.start(b"304 Not Modified", &[], false).ok()?;
        let _ = exchange.write_last(&Free, b"");
        return Some(());
    }
    let asked = match files.settings.ranges && still_the_same(request, &found) {
        true => request.var(b"HTTP_RANGE").unwrap_or_default(),
        false => b"",
    };
    let mut headers = Vec::new();
    let (status, from, length): (&[u8], u64, u64) = match part(asked, found.size) {
        Part::Whole => (b"200 OK", 0, found.size),
        Part::Bytes { from, length } => (b"206 Partial Content", from, length),
        Part::Nothing => {
            let range = format!("bytes */{}", found.size);
            let range: (&[u8], &[u8]) = (b"Content-Range", range.as_bytes());
            let status = b"416 Requested Range Not Satisfiable";
            exchange.start(status, &[range], false).ok()?;
            let _ = exchange.write_last(&Free, b"");
            return Some(());
        }
    };
    let expires = expires(files, request, &found, mime);
    let by_type = expires.as_ref().is_some_and(|(_, by_type)| *by_type);
    let expires = expires.map(|(when, _)| date::format(when));
    let expires = expires.as_ref().map(|when| header("Expires", when));
    if !by_type {
        headers.extend(expires);
    }
    headers.extend(coding.map(|coding| header("Content-Encoding", coding)));
    headers.extend(mime.map(|mime| header("Content-Type", mime)));
    if by_type {
        headers.extend(expires);
    }
    let path = found.path.as_os_str().as_encoded_bytes();
    let modified = date::format(found.modified);
    let length_text = length.to_string();
    let range = format!("bytes {from}-{}/{}", (from + length).max(1) - 1, found.size);
    let elsewhere: Option<&[u8]> = match files.settings.serve {
        Serve::AccelRedirect => Some(b"X-Accel-Redirect"),
        Serve::Sendfile => Some(b"X-Sendfile"),
        Serve::Body => None,
    };
    match elsewhere {
        Some(name) => headers.push((name, path)),
        None => {
            headers.push(header("Content-Length", &length_text));
            if length < found.size {
                headers.push(header("Content-Range", &range));
            }
        }
    }
    headers.push(header("Last-Modified", &modified));
    exchange.start(status, &headers, false).ok()?;
    if request.head_only || length == 0 || elsewhere.is_some() {
        let _ = exchange.write_last(&Free, b"");
    } else {
        // What goes wrong from here on is the client's loss and stands in the counters.
        let _ = exchange.send_file_at_once(found.file, from, length);
    }
    Some(())
}

fn header<'a>(name: &'static str, value: &'a str) -> (&'static [u8], &'a [u8]) {
    (name.as_bytes(), value.as_bytes())
}

/// The file's compressed neighbour, if it has one that the client understands, and its coding.
fn compressed(files: &Files, request: &Request, found: Found) -> (Found, Option<&'static str>) {
    let wanted = &files.settings.compressed;
    let path = found.path.as_os_str().as_encoded_bytes();
    let is_wanted = wanted.all
        || wanted
            .below
            .iter()
            .any(|start| path.starts_with(start.as_bytes()))
        || wanted.ends.iter().any(|end| path.ends_with(end.as_bytes()))
        || files
            .compressed
            .iter()
            .any(|pattern| pattern.is_match(path));
    if !is_wanted {
        return (found, None);
    }
    let accepted = request.var(b"HTTP_ACCEPT_ENCODING").unwrap_or_default();
    for (coding, end) in CODINGS {
        let accepts = memchr::memmem::find(accepted, coding.as_bytes()).is_some();
        if accepts && let Some(neighbour) = files.rules().beside(&found, end) {
            return (neighbour, Some(coding));
        }
    }
    (found, None)
}

/// A part of a file is of use only to who has the other parts of the same file.
fn still_the_same(request: &Request, found: &Found) -> bool {
    match request.var(b"HTTP_IF_RANGE") {
        None | Some(b"") => true,
        // An ETag is never ours: we send none.
        Some(text) => date::parse(text).is_some_and(|when| when >= found.modified),
    }
}

/// When the file's copies expire, and whether its type says so.
fn expires(
    files: &Files,
    request: &Request,
    found: &Found,
    mime: Option<&str>,
) -> Option<(u64, bool)> {
    let path = found.path.as_os_str().as_encoded_bytes();
    let rank = |look: &Look| match look {
        Look::File(_) => 0,
        Look::PathInfo(_) => 1,
        Look::Uri(_) => 2,
        Look::Type(_) => 3,
    };
    let line = files
        .expires
        .iter()
        .filter(|line| match &line.of {
            Look::File(pattern) => pattern.is_match(path),
            Look::PathInfo(pattern) => pattern.is_match(request.known(Known::PathInfo)),
            Look::Uri(pattern) => pattern.is_match(request.known(Known::Uri)),
            Look::Type(wanted) => mime == Some(wanted),
        })
        .min_by_key(|line| (rank(&line.of), line.from == From::Change))?;
    let start = match line.from {
        From::Now => clock::epoch_micros() / 1_000_000,
        From::Change => found.modified,
    };
    let when = start.saturating_add(line.seconds).min(MAX_DATE);
    Some((when, matches!(line.of, Look::Type(_))))
}

/// The end of the year 9999.
const MAX_DATE: u64 = 253_402_300_799;
