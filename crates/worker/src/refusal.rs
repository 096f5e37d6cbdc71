//! The answers that we give without the app. Each names its reason; none is a silent close. Pure.

use imperator_core::packet::PacketError;

use crate::additions::Dress;

/// An answer of ours: the app is not called, the connection is closed after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// One line for the client, which is also what the operator reads.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    /// 400: the request itself is wrong.
    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self::new(400, reason)
    }

    /// The whole answer, with the config's page and headers. HEAD gets no body.
    pub(crate) fn bytes(&self, dress: &Dress, head_only: bool) -> Vec<u8> {
        let phrase = phrase(self.status);
        let page = dress.page(self.status);
        let (kind, body) = match (page, self.status) {
            (Some(page), _) => ("text/html", page.to_vec()),
            // The original's body for an exception that nobody caught (core/errors.c).
            (None, 500) if self.reason.is_empty() => {
                ("text/plain", b"Internal Server Error".to_vec())
            }
            (None, _) => ("text/plain", format!("{}\n", self.reason).into_bytes()),
        };
        let mut answer = format!(
            "HTTP/1.1 {} {phrase}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n",
            self.status,
            body.len()
        )
        .into_bytes();
        if let Some(additions) = dress.additions() {
            additions.write_beside_connection(&mut answer);
        }
        answer.extend_from_slice(b"\r\n");
        if !head_only {
            answer.extend_from_slice(&body);
        }
        answer
    }

    pub(crate) fn too_big_body(length: u64, limit: u64) -> Self {
        Self::new(
            413,
            format!("the request's body has {length} bytes, and limit-post allows {limit}"),
        )
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(408, "the request did not arrive in time")
    }

    pub(crate) fn too_many_waiting() -> Self {
        Self::new(503, "too many connections wait for their request here")
    }
}

impl From<PacketError> for Refusal {
    fn from(error: PacketError) -> Self {
        let status = match error {
            PacketError::BlockTooBig { .. } | PacketError::TooManyVars { .. } => 431,
            PacketError::Http { .. }
            | PacketError::Tls
            | PacketError::BlockTooLong { .. }
            | PacketError::EmptyKey { .. }
            | PacketError::KeyPastEnd { .. }
            | PacketError::ValuePastEnd { .. }
            | PacketError::TrailingByte { .. } => 400,
        };
        Self::new(status, error.to_string())
    }
}

pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_ours_names_its_reason_and_closes() {
        let refusal = Refusal::too_big_body(11, 10);
        let answer = String::from_utf8(refusal.bytes(&Dress::default(), false)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n"));
        assert!(
            answer.ends_with("\r\n\r\nthe request's body has 11 bytes, and limit-post allows 10\n")
        );
        let head = String::from_utf8(refusal.bytes(&Dress::default(), true)).unwrap();
        assert!(head.ends_with("Content-Length: 58\r\n\r\n"), "{head}");
        let plain = Refusal::new(500, "").bytes(&Dress::default(), false);
        assert!(plain.ends_with(b"\r\n\r\nInternal Server Error"));
    }
}
