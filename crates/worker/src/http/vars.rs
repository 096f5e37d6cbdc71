//! The variables that uWSGI's http-socket makes of an HTTP/1.1 request. Pure.

use httparse::Header;
use imperator_core::settings::http::Http;

use super::target::{Target, decoded};
use crate::connection::Peer;
use crate::refusal::Refusal;
use crate::request::{Request, Span, append};

/// The host that the client asked for.
fn host_of<'a>(headers: &'a [Header<'_>], target: &Target<'a>) -> Option<&'a [u8]> {
    let mut named = headers
        .iter()
        .filter(|it| it.name.eq_ignore_ascii_case("host"));
    target.host.or_else(|| named.next().map(|it| it.value))
}

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

/// Builds a request's variables in their own text.
pub(super) struct Vars<'a> {
    pub(super) request: &'a mut Request,
    pub(super) text: &'a mut Vec<u8>,
    pub(super) limit: usize,
}

impl Vars<'_> {
    pub(super) fn fill(
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
            Some(_) if is("content-type") => return Err(Refusal::bad("two Content-Type headers")),
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
