//! A uwsgi packet into a [`Request`], in place: the variables stay where they were received. Pure.

use imperator_core::packet::{self, HEADER_BYTES, Header, MAX_BLOCK, decode};

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
    let span = |span: packet::Span| Span {
        start: u32::from(span.start) + HEADER_BYTES as u32,
        len: span.len.into(),
    };
    for var in decode(&packet[HEADER_BYTES..]) {
        let var = var?;
        request.received_vars += 1;
        request.add(packet, span(var.key), span(var.value));
    }
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
