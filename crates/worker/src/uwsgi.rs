//! A uwsgi packet into a [`Request`], in place: the variables stay where they were received. Pure.

use imperator_core::packet::{self, HEADER_BYTES, Header, MAX_BLOCK, MAX_VARS, decode};

use crate::refusal::Refusal;
use crate::request::{Known, Limits, Request, Span};

/// How far a head is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// `total`: bytes that the buffer must hold before it is worth looking again.
    Incomplete { total: usize },
    /// The variables are read; the body starts at `body_start`.
    Whole,
}

/// The modifiers that we answer: WSGI, and WSGI with SCRIPT_NAME taken from PATH_INFO.
const ANSWERED: [u8; 2] = [0, STRIP_SCRIPT_NAME];
const STRIP_SCRIPT_NAME: u8 = 30;

/// Reads the packet at the start of `request.buffer`.
pub(crate) fn parse(request: &mut Request, limits: &Limits) -> Result<Progress, Refusal> {
    let Some(header) = request.buffer.first_chunk::<HEADER_BYTES>() else {
        return Ok(Progress::Incomplete {
            total: HEADER_BYTES,
        });
    };
    let header = Header::from_bytes(*header);
    header
        .check(limits.head.min(MAX_BLOCK))
        .map_err(Refusal::from)?;
    if !ANSWERED.contains(&header.modifier1) {
        return Err(Refusal::new(
            400,
            format!(
                "modifier {} is not answered here: only 0 and 30 (WSGI) are",
                header.modifier1
            ),
        ));
    }
    let end = HEADER_BYTES + usize::from(header.size);
    if request.buffer.len() < end {
        return Ok(Progress::Incomplete { total: end });
    }
    if header.size == 0 {
        return Err(Refusal::bad("a uwsgi request without variables"));
    }
    // Moved out and back, because the spans borrow it while the request changes.
    let buffer = std::mem::take(&mut request.buffer);
    let read = read_vars(request, &buffer[..end]);
    request.buffer = buffer;
    read?;
    request.modifier1 = header.modifier1;
    request.received_bytes = header.size.into();
    request.body_start = end;
    if header.modifier1 == STRIP_SCRIPT_NAME {
        let script_name = request.known(Known::ScriptName);
        if request.known(Known::PathInfo).starts_with(script_name) {
            request.cut_known(Known::PathInfo, script_name.len());
        }
    }
    request.check(limits)?;
    Ok(Progress::Whole)
}

fn read_vars(request: &mut Request, packet: &[u8]) -> Result<(), Refusal> {
    let block = &packet[HEADER_BYTES..];
    let mut at = HEADER_BYTES;
    request.begin_packet();
    while at < packet.len() {
        request.received_vars += 1;
        if let Some(length) = request.repeat(packet, at) {
            at += length;
            continue;
        }
        let Some(Ok(var)) = decode(&packet[at..]).next() else {
            break;
        };
        let span = |span: packet::Span| Span {
            start: u32::from(span.start) + at as u32,
            len: span.len.into(),
        };
        let (key, value) = (span(var.key), span(var.value));
        request.add_record(packet, key, value);
        at = (value.start + value.len) as usize;
    }
    if at < packet.len() || request.received_vars > MAX_VARS {
        request.forget_packet();
        // What is wrong, and where, as seen from the start.
        return match decode(block).find_map(Result::err) {
            Some(error) => Err(error.into()),
            None => Err(Refusal::new(400, "a malformed uwsgi packet")),
        };
    }
    request.end_packet(block);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::LOADER_VARS;
    use imperator_core::packet::encode;
    use imperator_core::settings::Protocol;

    const LIMITS: Limits = Limits {
        head: 4096,
        body: Some(100),
        strict_vars: false,
    };

    fn request(modifier1: u8, vars: &[(&str, &str)]) -> Request {
        let mut request = Request::new(8192);
        request.clear(Protocol::Uwsgi);
        encode(modifier1, vars.iter().copied(), &mut request.buffer).unwrap();
        request
    }

    fn refused(modifier1: u8, vars: &[(&str, &str)], limits: &Limits) -> (u16, String) {
        let refusal = parse(&mut request(modifier1, vars), limits).unwrap_err();
        (refusal.status, refusal.reason)
    }

    fn text(vars: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut request = request(0, vars);
        assert_eq!(parse(&mut request, &LIMITS), Ok(Progress::Whole));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        request
            .vars()
            .map(|(key, value)| (text(key), text(value)))
            .collect()
    }

    #[test]
    fn a_packet_that_arrives_byte_by_byte_is_whole_at_its_last_byte() {
        let whole = request(0, &[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "3")]);
        let mut request = Request::new(8192);
        request.clear(Protocol::Uwsgi);
        for &byte in &whole.buffer {
            let Ok(Progress::Incomplete { total }) = parse(&mut request, &LIMITS) else {
                panic!("whole after {} bytes", request.buffer.len());
            };
            assert!(total > request.buffer.len());
            request.buffer.push(byte);
        }
        request.buffer.extend(b"ab");
        assert_eq!(parse(&mut request, &LIMITS), Ok(Progress::Whole));
        assert_eq!(request.framing, crate::request::Framing::Length(3));
        assert_eq!(request.body_here(), b"ab");
    }

    #[test]
    fn the_last_of_duplicates_wins_and_pep_3333_stays_valid() {
        assert_eq!(
            text(&[
                ("A", "1"),
                ("HTTP_CONTENT_LENGTH", "5"),
                ("HTTP_CONTENT_TYPE", "text/x"),
                ("CONTENT_LENGTH", ""),
                ("CONTENT_TYPE", ""),
                ("B", "2"),
                ("A", "3"),
            ]),
            [
                ("A", "3"),
                ("CONTENT_LENGTH", ""),
                ("CONTENT_TYPE", ""),
                ("B", "2")
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn loader_variables_are_dropped_and_named_and_refused_under_strict_vars() {
        let vars = LOADER_VARS.map(|name| (name, "exec://id"));
        let mut request = request(0, &vars);
        parse(&mut request, &LIMITS).unwrap();
        assert_eq!(request.vars().count(), 0);
        assert_eq!(request.ignored_names().collect::<Vec<_>>(), LOADER_VARS);
        let strict = Limits {
            strict_vars: true,
            ..LIMITS
        };
        let (status, reason) = refused(0, &[("UWSGI_FILE", "x")], &strict);
        assert_eq!(status, 403);
        assert!(reason.ends_with("the variable UWSGI_FILE"), "{reason}");
    }

    #[test]
    fn modifier_30_takes_script_name_from_path_info_and_others_are_refused() {
        let vars = [("SCRIPT_NAME", "/app"), ("PATH_INFO", "/app/x")];
        let mut request = request(30, &vars);
        parse(&mut request, &LIMITS).unwrap();
        assert_eq!(request.var(b"PATH_INFO"), Some(&b"/x"[..]));
        assert_eq!(request.var(b"SCRIPT_NAME"), Some(&b"/app"[..]));
        for modifier in [1, 17, 18, 100, 110, 111, 173, 255] {
            assert_eq!(refused(modifier, &vars, &LIMITS).0, 400);
        }
    }

    /// One step of a sequence: a packet, or an HTTP request between.
    fn sent(request: &mut Request, step: &Step) -> Found {
        let (is_http, cut, vars) = step;
        let vars = vars.iter().map(|&(key, value)| (NAMES[key], VALUES[value]));
        if *is_http {
            request.clear(Protocol::Http);
            let mut text = request.lend_text();
            text.clear();
            for (key, value) in vars {
                let (start, middle) = (text.len() as u32, (text.len() + key.len()) as u32);
                text.extend_from_slice(key.as_bytes());
                text.extend_from_slice(value.as_bytes());
                let key = Span {
                    start,
                    len: key.len() as u32,
                };
                let value = Span {
                    start: middle,
                    len: value.len() as u32,
                };
                request.add(&text, key, value);
            }
            request.set_text(text);
        } else {
            request.clear(Protocol::Uwsgi);
            encode(0, vars, &mut request.buffer).unwrap();
            if *cut && request.buffer.len() > 5 {
                // Its last byte is no more than the first half of a length.
                request.buffer.pop();
                let size = (request.buffer.len() - 4) as u16;
                request.buffer[1..3].copy_from_slice(&size.to_le_bytes());
            }
        }
        let read = match is_http {
            true => request.check(&LIMITS).map(|()| Progress::Whole),
            false => parse(request, &LIMITS),
        };
        match read {
            Ok(progress) => {
                assert_eq!(progress, Progress::Whole);
                let vars = request.vars();
                let vars: Vec<_> = vars
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .collect();
                for (key, value) in &vars {
                    assert_eq!(request.var(key), Some(&value[..]));
                }
                (vars, request.known(Known::Uri).to_vec(), request.ignored)
            }
            Err(refusal) => (Vec::new(), refusal.reason.into(), refusal.status),
        }
    }

    /// All variables, one that we know ourselves, and what was dropped; or why it was refused.
    type Found = (Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>, u16);
    /// HTTP instead of a packet; a packet whose last byte is missing; names and values.
    type Step = (bool, bool, Vec<(usize, usize)>);
    const NAMES: [&str; 8] = [
        "A",
        "B",
        "REQUEST_URI",
        "HTTP_X",
        "HTTP_CONTENT_TYPE",
        "UWSGI_FILE",
        "HTTP_Y",
        "SCRIPT_NAME",
    ];
    const VALUES: [&str; 4] = ["", "/", "/other", "a value of some length"];

    proptest::proptest! {
        #[test]
        fn what_was_sent_before_changes_no_request(
            steps in proptest::collection::vec(
                (
                    proptest::bool::weighted(0.2),
                    proptest::bool::weighted(0.2),
                    proptest::collection::vec((0..NAMES.len(), 0..VALUES.len()), 1..6),
                ),
                1..6,
            ),
            picks in proptest::collection::vec((0usize..6, 0usize..6, 0..VALUES.len()), 1..12),
        ) {
            let mut request = Request::new(4096);
            let mut contents = std::collections::BTreeMap::new();
            for (pick, place, value) in picks {
                // Mostly one that came before, often with another value.
                let mut step = steps[pick % steps.len()].clone();
                if let Some(var) = step.2.get_mut(place) {
                    var.1 = value;
                }
                for _ in 0..2 {
                    let found = sent(&mut request, &step);
                    assert_eq!(found, sent(&mut Request::new(4096), &step));
                    if request.content() != 0 && !step.1 {
                        let before = contents.entry(request.content()).or_insert(found.clone());
                        assert_eq!(*before, found);
                    }
                }
            }
        }
    }

    #[test]
    fn a_packet_that_comes_again_has_the_number_of_the_first() {
        let mut request = request(0, &[("A", "1"), ("B", "2")]);
        let packet = request.buffer.clone();
        let mut number = |packet: &[u8]| {
            request.clear(Protocol::Uwsgi);
            request.buffer.extend_from_slice(packet);
            parse(&mut request, &LIMITS).unwrap();
            request.content()
        };
        let first = number(&packet);
        assert_ne!(first, 0);
        assert_eq!(number(&packet), first);
        let mut other = packet.clone();
        *other.last_mut().unwrap() = b'3';
        assert_ne!(number(&other), first);
        assert_ne!(number(&packet), 0);
    }

    #[test]
    fn each_limit_has_its_status() {
        let long = "x".repeat(5000);
        let (status, reason) = refused(0, &[("HTTP_COOKIE", &long)], &LIMITS);
        assert_eq!(status, 431);
        assert!(reason.contains("buffer-size allows 4096"), "{reason}");
        assert_eq!(refused(0, &[("CONTENT_LENGTH", "101")], &LIMITS).0, 413);
        assert_eq!(refused(0, &[("CONTENT_LENGTH", "1x")], &LIMITS).0, 400);
        assert_eq!(refused(0, &[], &LIMITS).0, 400);
    }
}
