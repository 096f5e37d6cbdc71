//! The head of an HTTP/1.1 request into the variables that uWSGI's http-socket makes of it. httparse
//! splits it; what is ambiguous there (RFC 9112 §11) is refused here. Pure.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status};
use imperator_core::packet::MAX_VARS;
use imperator_core::settings::http::Http;

use super::target::{Target, decoded};
use crate::connection::Peer;
use crate::refusal::Refusal;
use crate::request::{Framing, Limits, Request, Span, append, content_length};
use crate::response::{has_token, is_token};
use crate::uwsgi::Progress;

/// As nginx's large_client_header_buffers: nobody sends more in earnest.
const MAX_HEADERS: usize = 128;

/// What the connection adds to a request's variables.
pub(crate) struct Local<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) port: &'a str,
    pub(crate) peer: Option<&'a Peer>,
    /// Inside TLS.
    pub(crate) secure: bool,
    /// http-keepalive is set.
    pub(crate) keep_alive: bool,
    pub(crate) settings: &'a Http,
}

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
            return Err(bad("the request's head ends where it should not"));
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
                return Err(bad("the request line is no method, path and version"));
            }
            return Err(Refusal::new(
                505,
                "only HTTP/1.0 and HTTP/1.1 are spoken here",
            ));
        }
        Err(error) => return Err(bad(&format!("no HTTP request: {error}"))),
    }
    let (Some(method), Some(uri), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(bad("no HTTP request"));
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
        Some(0x16) => return Err(bad("this is an http-socket, and the client speaks TLS")),
        Some(b'\r') if bytes.len() == 1 => return Ok(None),
        Some(&first) if !is_token(first) => {
            return Err(bad(
                "no HTTP request: this is an http-socket, which speaks no uwsgi",
            ));
        }
        Some(_) | None => (),
    }
    let mut line_start = 0;
    for newline in memchr::memchr_iter(b'\n', bytes) {
        if newline == 0 || bytes[newline - 1] != b'\r' {
            return Err(bad("a line ends with LF alone"));
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
            return Err(bad("a header is folded over two lines"));
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

fn bad(reason: &str) -> Refusal {
    Refusal::new(400, reason)
}

/// How the message ends, and what its sender expects.
struct Framed {
    framing: Framing,
    expects_continue: bool,
    keep_alive: bool,
}

/// RFC 9112 §6.3, without its tolerances: where two parsers could disagree, the request is refused.
fn framing(headers: &[Header<'_>], http11: bool) -> Result<Framed, Refusal> {
    let mut length = None;
    let mut chunked = false;
    let mut hosts = 0;
    let mut framed = Framed {
        framing: Framing::Length(0),
        expects_continue: false,
        keep_alive: http11,
    };
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let value = header.value;
            let parsed = content_length(value).filter(|_| !value.is_empty());
            let parsed = parsed.ok_or_else(|| bad("Content-Length is no decimal number"))?;
            if length.replace(parsed).is_some() {
                return Err(bad("two Content-Length headers"));
            }
        } else if is("transfer-encoding") {
            if chunked {
                return Err(bad("two Transfer-Encoding headers"));
            }
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                let reason = "the only Transfer-Encoding that is understood is \"chunked\"";
                return Err(Refusal::new(501, reason));
            }
            chunked = true;
        } else if is("host") {
            hosts += 1;
        } else if is("expect") && http11 {
            if !header.value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::new(417, "only \"100-continue\" can be expected"));
            }
            framed.expects_continue = true;
        } else if is("connection") {
            if has_token(header.value, b"close") {
                framed.keep_alive = false;
            } else if !http11 && has_token(header.value, b"keep-alive") {
                framed.keep_alive = true;
            }
        }
    }
    match (chunked, length) {
        (true, Some(_)) => return Err(bad("both Content-Length and Transfer-Encoding")),
        (true, None) if !http11 => return Err(bad("Transfer-Encoding in an HTTP/1.0 request")),
        (true, None) => framed.framing = Framing::Chunked,
        (false, length) => framed.framing = Framing::Length(length.unwrap_or(0)),
    }
    if hosts > 1 || (hosts == 0 && http11) {
        return Err(bad("an HTTP/1.1 request has exactly one Host header"));
    }
    framed.expects_continue &= framed.framing != Framing::Length(0);
    Ok(framed)
}

/// The host that the client asked for.
fn host_of<'a>(headers: &'a [Header<'_>], target: &Target<'a>) -> Option<&'a [u8]> {
    let mut named = headers
        .iter()
        .filter(|it| it.name.eq_ignore_ascii_case("host"));
    target.host.or_else(|| named.next().map(|it| it.value))
}

/// Builds a request's variables in their own text.
struct Vars<'a> {
    request: &'a mut Request,
    text: &'a mut Vec<u8>,
    limit: usize,
}

impl Vars<'_> {
    fn fill(
        mut self,
        method: &str,
        uri: &str,
        target: &Target<'_>,
        headers: &[Header<'_>],
        local: &Local<'_>,
    ) -> Result<(), Refusal> {
        let version: &[u8] = match self.request.http11 {
            true => b"HTTP/1.1",
            false => b"HTTP/1.0",
        };
        self.add(b"REQUEST_METHOD", method.as_bytes());
        self.add(b"REQUEST_URI", uri.as_bytes());
        let path = decoded(target.path)?;
        self.add(b"PATH_INFO", &path);
        self.add(b"QUERY_STRING", target.query);
        self.add(b"SERVER_PROTOCOL", version);
        self.add(b"SCRIPT_NAME", b"");
        let name = match local.settings.server_name_is_host {
            true => host_of(headers, target),
            false => None,
        };
        self.add(b"SERVER_NAME", name.unwrap_or(local.hostname.as_bytes()));
        self.add(b"SERVER_PORT", local.port.as_bytes());
        if local.secure {
            self.add(b"HTTPS", b"on");
        }
        let peer = local.peer.map(|it| (&*it.ip, &*it.port));
        let (ip, port) = peer.unwrap_or_default();
        self.add(b"REMOTE_ADDR", ip.as_bytes());
        self.add(b"REMOTE_PORT", port.as_bytes());
        for header in headers {
            self.header(header, target)?;
        }
        for (name, value) in &local.settings.vars {
            self.add(name.as_bytes(), value.as_bytes());
        }
        Ok(())
    }

    fn header(&mut self, header: &Header<'_>, target: &Target<'_>) -> Result<(), Refusal> {
        let name = header.name;
        // "X_A" and "X-A" would be one variable: an attacker's way around a proxy's checks.
        // HTTP_PROXY is the proxy that libraries use for their own requests (httpoxy).
        if name.contains('_') || name.eq_ignore_ascii_case("proxy") {
            return Ok(());
        }
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        // RFC 9112 §3.2.2: the host of an absolute URI replaces the Host header.
        let value = match target.host {
            Some(host) if is("host") => host,
            _ => header.value,
        };
        let start = self.text.len();
        if !is("content-length") && !is("content-type") {
            self.text.extend_from_slice(b"HTTP_");
        }
        self.text.extend(name.bytes().map(|byte| match byte {
            b'-' => b'_',
            _ => byte.to_ascii_uppercase(),
        }));
        if self.request.expects(&self.text[start..]) {
            // Each name of the last request stood there once.
            let key = Span {
                start: start as u32,
                len: (self.text.len() - start) as u32,
            };
            self.put(key, value);
            return self.check_count();
        }
        let key = self.text[start..].to_vec();
        self.text.truncate(start);
        match self.request.value_in(self.text, &key) {
            None => self.add(&key, value),
            Some(_) if is("content-type") => return Err(bad("two Content-Type headers")),
            Some(first) => {
                // RFC 9110 §5.3 and RFC 6265 §5.4.
                let between: &[u8] = if is("cookie") { b"; " } else { b", " };
                let merged = [first, between, value].concat();
                self.add(&key, &merged);
            }
        }
        self.check_count()
    }

    fn check_count(&self) -> Result<(), Refusal> {
        if self.request.count() > self.limit {
            return Err(Refusal::new(431, "too many variables"));
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        let key = append(self.text, key);
        self.put(key, value);
    }

    fn put(&mut self, key: Span, value: &[u8]) {
        self.request.received_vars += 1;
        let value: Span = append(self.text, value);
        self.request.add(self.text, key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::settings::Protocol;
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
        let request = whole("GET http://other:81/p?q HTTP/1.1\r\nHost: x\r\n\r\n");
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
        ] {
            assert_eq!(whole(&format!("{head}\r\n")).keep_alive, keep, "{head}");
        }
        let post = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n";
        assert!(whole(&format!("{post}Content-Length: 1\r\n\r\n")).expects_continue);
        assert!(!whole(&format!("{post}\r\n")).expects_continue);
    }
}
