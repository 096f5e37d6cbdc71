//! Where an HTTP/1.1 request ends and what its sender expects, from its headers. Pure.

use httparse::Header;

use crate::refusal::Refusal;
use crate::request::{Framing, content_length};
use crate::response::has_token;

/// How the message ends, and what its sender expects.
pub(super) struct Framed {
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
    pub(super) keep_alive: bool,
}

/// RFC 9112 §6.3, without its tolerances: where two parsers could disagree, the request is refused.
pub(super) fn framing(headers: &[Header<'_>], http11: bool) -> Result<Framed, Refusal> {
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
            let parsed =
                parsed.ok_or_else(|| Refusal::bad("Content-Length is no decimal number"))?;
            if length.replace(parsed).is_some() {
                return Err(Refusal::bad("two Content-Length headers"));
            }
        } else if is("transfer-encoding") {
            if chunked {
                return Err(Refusal::bad("two Transfer-Encoding headers"));
            }
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                let reason = "the only Transfer-Encoding that is understood is \"chunked\"";
                return Err(Refusal::new(501, reason));
            }
            chunked = true;
        } else if is("host") {
            hosts += 1;
            if !is_host(header.value) {
                return Err(Refusal::bad("the Host header names no host"));
            }
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
        (true, Some(_)) => return Err(Refusal::bad("both Content-Length and Transfer-Encoding")),
        (true, None) if !http11 => {
            return Err(Refusal::bad("Transfer-Encoding in an HTTP/1.0 request"));
        }
        (true, None) => framed.framing = Framing::Chunked,
        (false, length) => framed.framing = Framing::Length(length.unwrap_or(0)),
    }
    if hosts > 1 || (hosts == 0 && http11) {
        return Err(Refusal::bad(
            "an HTTP/1.1 request has exactly one Host header",
        ));
    }
    framed.expects_continue &= framed.framing != Framing::Length(0);
    Ok(framed)
}

/// RFC 9112 §3.2: what cannot be a host and a port is refused, since apps make links of it. Who has
/// no host says so with an empty one.
fn is_host(value: &[u8]) -> bool {
    let is_outside = |byte: &u8| !byte.is_ascii_graphic() || b"/\\?#@<>\"".contains(byte);
    !value.iter().any(|byte| byte.is_ascii() && is_outside(byte))
}
