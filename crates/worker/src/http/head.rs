//! The head of an HTTP/1.1 request into the variables that uWSGI's http-socket makes of it. httparse
//! splits it; what is ambiguous there (RFC 9112 §11) is refused here. Pure.

use std::mem::MaybeUninit;

use httparse::{Error, Status};
use imperator_core::packet::MAX_VARS;

use super::framing::framing;
use super::target::Target;
use super::vars::{Local, Vars};
use crate::refusal::Refusal;
use crate::request::{Limits, Request};
use crate::response::is_token;
use crate::uwsgi::Progress;

/// As nginx's large_client_header_buffers: nobody sends more in earnest.
const MAX_HEADERS: usize = 128;

/// Reads the head at the start of `request.buffer`.
pub(crate) fn parse(
    request: &mut Request,
    limits: &Limits,
    local: &Local<'_>,
) -> Result<Progress, Refusal> {
    // Moved out and back, because what is parsed borrows it while the request changes.
    let buffer = std::mem::take(&mut request.buffer);
    let progress = read(request, &buffer, limits, local);
    request.buffer = buffer;
    progress
}

fn read(
    request: &mut Request,
    buffer: &[u8],
    limits: &Limits,
    local: &Local<'_>,
) -> Result<Progress, Refusal> {
    // RFC 9112 §2.2: an empty line or two before a request are tolerated.
    let mut start = 0;
    while start < 4 && buffer[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let Some(end) = head_end(&buffer[start..], limits)? else {
        // One more byte may be enough.
        return Ok(Progress::Incomplete {
            total: buffer.len() + 1,
        });
    };
    let head = &buffer[start..start + end];
    // Not filled with 4 KB of empty ones for each request.
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut headers) {
        Ok(Status::Complete(used)) if used == head.len() => (),
        Ok(Status::Complete(_) | Status::Partial) => {
            return Err(Refusal::bad("the request's head ends where it should not"));
        }
        Err(Error::TooManyHeaders) => {
            return Err(Refusal::new(
                431,
                format!("more than {MAX_HEADERS} header lines"),
            ));
        }
        Err(Error::Version) => {
            let mut words = head.trim_ascii_start().split(|&byte| byte == b' ');
            if !words.nth(2).is_some_and(|word| word.starts_with(b"HTTP/")) {
                return Err(Refusal::bad(
                    "the request line is no method, path and version",
                ));
            }
            return Err(Refusal::new(
                505,
                "only HTTP/1.0 and HTTP/1.1 are spoken here",
            ));
        }
        Err(error) => return Err(Refusal::bad(format!("no HTTP request: {error}"))),
    }
    let (Some(method), Some(uri), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::bad("no HTTP request"));
    };
    request.http11 = minor == 1;
    let framed = framing(parsed.headers, request.http11)?;
    let target = Target::parse(method, uri)?;
    let mut text = request.lend_text();
    let added = Vars {
        request,
        text: &mut text,
        limit: MAX_VARS,
    }
    .fill(method, uri, &target, parsed.headers, local);
    request.set_text(text);
    added?;
    request.body_start = start + end;
    request.received_bytes = end;
    request.framing = framed.framing;
    request.expects_continue = framed.expects_continue;
    request.keep_alive = local.keep_alive && framed.keep_alive;
    request.head_only = method == "HEAD";
    request.check(limits)?;
    Ok(Progress::Whole)
}

/// Where the head ends; `None`: not yet. What cannot become a head is refused at once.
fn head_end(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
    match bytes.first() {
        Some(0x16) => {
            return Err(Refusal::bad(
                "this is an http-socket, and the client speaks TLS",
            ));
        }
        Some(b'\r') if bytes.len() == 1 => return Ok(None),
        Some(&first) if !is_token(first) => {
            return Err(Refusal::bad(
                "no HTTP request: this is an http-socket, which speaks no uwsgi",
            ));
        }
        Some(_) | None => (),
    }
    let mut line_start = 0;
    for newline in memchr::memchr_iter(b'\n', bytes) {
        if newline == 0 || bytes[newline - 1] != b'\r' {
            return Err(Refusal::bad("a line ends with LF alone"));
        }
        let line = &bytes[line_start..newline - 1];
        if line.is_empty() && line_start > 0 {
            let end = newline + 1;
            return if end > limits.head {
                Err(too_big(bytes, limits))
            } else {
                Ok(Some(end))
            };
        }
        if line_start > 0 && matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Refusal::bad("a header is folded over two lines"));
        }
        line_start = newline + 1;
    }
    if bytes.len() > limits.head {
        return Err(too_big(bytes, limits));
    }
    Ok(None)
}

fn too_big(bytes: &[u8], limits: &Limits) -> Refusal {
    let limit = limits.head;
    let first_line = memchr::memchr(b'\n', bytes).unwrap_or(usize::MAX);
    if first_line > limit {
        let reason = format!("the request's URI is longer than buffer-size allows: {limit} bytes");
        return Refusal::new(414, reason);
    }
    let reason = format!("the request's head is longer than buffer-size allows: {limit} bytes");
    Refusal::new(431, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Peer;
    use crate::request::Framing;
    use imperator_core::settings::Protocol;
    use imperator_core::settings::http::Http;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    const LIMITS: Limits = Limits {
        head: 1000,
        body: Some(100),
        strict_vars: false,
    };

    fn parsed(bytes: &[u8]) -> Result<(Progress, Request), Refusal> {
        let mut request = Request::new(4096);
        request.clear(Protocol::Http);
        request.buffer.extend_from_slice(bytes);
        let peer = Peer::from("[::ffff:9.8.7.6]:4711".parse::<SocketAddr>().unwrap());
        let local = Local {
            hostname: "box",
            port: "8000",
            peer: Some(&peer),
            secure: false,
            settings: &Http::default(),
            keep_alive: true,
        };
        let progress = parse(&mut request, &LIMITS, &local)?;
        Ok((progress, request))
    }

    fn whole(bytes: &str) -> Request {
        let (progress, request) = parsed(bytes.as_bytes()).unwrap();
        assert_eq!(progress, Progress::Whole, "{bytes:?}");
        request
    }

    fn value(request: &Request, name: &str) -> String {
        String::from_utf8(request.var(name.as_bytes()).expect(name).to_vec()).unwrap()
    }

    #[test]
    fn a_request_becomes_the_variables_of_uwsgi() {
        let request = whole(
            "POST /a%20b/%C3%A4?x=%20&y HTTP/1.1\r\nHost: example.org\r\nContent-Type: text/x\r\n\
             Content-Length: 3\r\nAccept: a\r\nCookie: a=1\r\nX_Evil: 1\r\nProxy: evil\r\n\
             X-Multi: 1\r\naccept: b\r\ncookie: b=2\r\nX-Empty:\r\n\r\nabc",
        );
        let text: Vec<(String, String)> = request
            .vars()
            .map(|(key, value)| {
                (
                    String::from_utf8(key.to_vec()).unwrap(),
                    value.escape_ascii().to_string(),
                )
            })
            .collect();
        let text: Vec<(&str, &str)> = text
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            text,
            [
                ("REQUEST_METHOD", "POST"),
                ("REQUEST_URI", "/a%20b/%C3%A4?x=%20&y"),
                ("PATH_INFO", "/a b/\\xc3\\xa4"),
                ("QUERY_STRING", "x=%20&y"),
                ("SERVER_PROTOCOL", "HTTP/1.1"),
                ("SCRIPT_NAME", ""),
                ("SERVER_NAME", "box"),
                ("SERVER_PORT", "8000"),
                ("REMOTE_ADDR", "9.8.7.6"),
                ("REMOTE_PORT", "4711"),
                ("HTTP_HOST", "example.org"),
                ("CONTENT_TYPE", "text/x"),
                ("CONTENT_LENGTH", "3"),
                ("HTTP_ACCEPT", "a, b"),
                ("HTTP_COOKIE", "a=1; b=2"),
                ("HTTP_X_MULTI", "1"),
                ("HTTP_X_EMPTY", ""),
            ]
        );
        assert_eq!(request.body_here(), b"abc");
        assert_eq!(request.framing, Framing::Length(3));
        assert!(request.keep_alive && !request.head_only);
        assert!(whole("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head_only);
    }

    proptest! {
        /// Pieces of requests in any order and cut anywhere: no panic, and what is accepted has one
        /// end that does not depend on how it arrived.
        #[test]
        fn any_bytes_are_refused_or_have_one_meaning(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "GET ", "POST ", "/", "/a%4", "%00", "?q", " HTTP/1.1", " HTTP/1.0", "\r\n", "\n",
                    "\r", "Host: x\r\n", "Content-Length: 3\r\n", "Content-Length: ", "12",
                    "Transfer-Encoding: chunked\r\n", ": ", " ", "\t", "abc", "\0", "\u{e4}",
                    "\r\n\r\n", "Connection: close\r\n", "http://h", "*",
                ]),
                0..14,
            ),
            cut in 0usize..60,
        ) {
            let bytes = pieces.concat().into_bytes();
            let Ok((Progress::Whole, whole)) = parsed(&bytes) else { return Ok(()) };
            let early = parsed(&bytes[..cut.min(bytes.len())]);
            if let Ok((Progress::Whole, early)) = early {
                prop_assert_eq!(early.body_start, whole.body_start);
                prop_assert!(early.vars().eq(whole.vars()));
            } else {
                prop_assert!(early.is_ok(), "refused early, accepted later");
                prop_assert!(cut < whole.body_start);
            }
        }
    }

    #[test]
    fn targets_have_their_forms() {
        let request = whole("GET http://other:81/p?q HTTP/1.1\r\nHost: x\r\nAccept: a\r\n\r\n");
        assert_eq!(value(&request, "HTTP_ACCEPT"), "a");
        assert_eq!(value(&request, "HTTP_HOST"), "other:81");
        assert_eq!(value(&request, "PATH_INFO"), "/p");
        assert_eq!(value(&request, "QUERY_STRING"), "q");
        assert_eq!(
            value(&whole("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "PATH_INFO"),
            "*"
        );
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for (head, status) in [
            ("GET / HTTP/1.1\nHost: x\n\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            ("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
            ("\0\x05\0\0", 400),
            ("\x16\x03\x01", 400),
            ("\rGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ] {
            let status_of = |head: &str| parsed(head.as_bytes()).unwrap_err().status;
            assert_eq!(status_of(head), status, "{head:?}");
        }
        for (headers, status) in [
            ("Content-Length: 1\r\nContent-Length: 1", 400),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
            ("Content-Length: 1, 1", 400),
            ("Content-Length: +1", 400),
            ("Content-Length:", 400),
            ("Content-Length: 0x1", 400),
            ("Content-Length: 99999999999999999999", 400),
            ("Content-Length: 101", 413),
            ("Transfer-Encoding: gzip, chunked", 501),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                400,
            ),
            ("Transfer-Encoding: xchunked", 501),
            ("Transfer-Encoding:", 501),
            ("Expect: 200-ok", 417),
            ("Content-Type: a\r\nContent-Type: b", 400),
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
            assert_eq!(
                parsed(head.as_bytes()).unwrap_err().status,
                status,
                "{headers}"
            );
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parsed(old.as_bytes()).unwrap_err().status, 400);
    }

    #[test]
    fn limits_have_their_statuses() {
        let long = "x".repeat(1001);
        let status = |head: String| parsed(head.as_bytes()).unwrap_err().status;
        assert_eq!(status(format!("GET /{long}")), 414);
        assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: {long}")), 431);
        assert_eq!(
            status(format!("GET / HTTP/1.1\r\nHost: {long}\r\n\r\n")),
            431
        );
        let many = "a:\r\n".repeat(MAX_HEADERS);
        assert_eq!(
            status(format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
            431
        );
    }

    #[test]
    fn a_head_is_incomplete_until_its_empty_line() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..head.len() {
            let (progress, _) = parsed(&head[..end]).unwrap();
            assert!(matches!(progress, Progress::Incomplete { .. }), "{end}");
        }
        assert_eq!(parsed(head).unwrap().0, Progress::Whole);
    }

    #[test]
    fn connections_are_kept_as_the_client_wants() {
        for (head, keep) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n", true),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n",
                false,
            ),
            ("GET / HTTP/1.0\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: x\r\n", false),
        ] {
            assert_eq!(whole(&format!("{head}\r\n")).keep_alive, keep, "{head}");
        }
        let chunked = whole("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert_eq!(chunked.framing, Framing::Chunked);
        let post = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n";
        assert!(whole(&format!("{post}Content-Length: 1\r\n\r\n")).expects_continue);
        assert!(!whole(&format!("{post}\r\n")).expects_continue);
    }
}
