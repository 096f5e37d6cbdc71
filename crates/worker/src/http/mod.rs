//! HTTP/1.1 as the workers of http-socket and http speak it. Pure.

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod proxy;
pub(crate) mod target;
pub(crate) mod vars;

use crate::arrival::WHOLE_BODY;
use crate::refusal::Refusal;
use crate::request::{Limits, Request};
use chunked::{Decoder, Piece};

/// How far a chunked body is that should be decoded before the app is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    Whole,
    More,
    /// Longer than what we wait for: the app gets it chunk by chunk.
    TooLong,
}

/// Decodes a short chunked body in place, once all of it is there. What follows it stays.
pub(crate) fn whole_chunks(request: &mut Request, limits: &Limits) -> Result<Chunks, Refusal> {
    let here = request.body_here();
    let mut decoder = Decoder::new();
    let mut pieces = Vec::new();
    let mut length = 0u64;
    let mut at = 0;
    loop {
        let (used, piece) = decoder
            .next(&here[at..])
            .map_err(|_| Refusal::bad("the chunked body is malformed"))?;
        match piece {
            Piece::Data(range) => {
                length += range.len() as u64;
                if let Some(limit) = limits.body.filter(|&limit| length > limit) {
                    return Err(Refusal::too_big_body(length, limit));
                }
                pieces.push(at + range.start..at + range.end);
                at += used;
            }
            Piece::More if here.len() as u64 > WHOLE_BODY => return Ok(Chunks::TooLong),
            Piece::More => return Ok(Chunks::More),
            Piece::End => {
                at += used;
                break;
            }
        }
    }
    // The data slides to the body's start, and what follows the body slides behind it.
    let start = request.body_start;
    let mut to = start;
    for piece in pieces {
        let piece = start + piece.start..start + piece.end;
        let len = piece.len();
        request.buffer.copy_within(piece, to);
        to += len;
    }
    let rest = start + at..request.buffer.len();
    let end = to + rest.len();
    request.buffer.copy_within(rest, to);
    request.buffer.truncate(end);
    request.set_decoded_body(length);
    Ok(Chunks::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::settings::Protocol;

    #[test]
    fn a_short_chunked_body_gets_a_length_and_leaves_the_next_request() {
        let mut request = Request::new(100);
        request.clear(Protocol::Http);
        request.set_text(Vec::new());
        let limits = Limits {
            head: 100,
            body: Some(10),
            strict_vars: false,
        };
        request.buffer.extend(b"HEAD");
        request.body_start = 4;
        request.buffer.extend(b"2\r\nab\r\n3\r\ncde");
        assert_eq!(whole_chunks(&mut request, &limits), Ok(Chunks::More));
        request.buffer.extend(b"\r\n0\r\n\r\nGET /");
        assert_eq!(whole_chunks(&mut request, &limits), Ok(Chunks::Whole));
        assert_eq!(request.buffer, b"HEADabcdeGET /");
        assert_eq!(request.var(b"CONTENT_LENGTH"), Some(&b"5"[..]));
        request.buffer.truncate(4);
        request.buffer.extend(b"b\r\n");
        request.buffer.extend([b'x'; 11]);
        assert_eq!(whole_chunks(&mut request, &limits).unwrap_err().status, 413);
        request.buffer.truncate(4);
        request.buffer.extend(b"fffff\r\n");
        request
            .buffer
            .resize(4 + usize::try_from(WHOLE_BODY).unwrap(), b'x');
        let limits = Limits {
            body: None,
            ..limits
        };
        assert_eq!(whole_chunks(&mut request, &limits), Ok(Chunks::More));
        request.buffer.push(b'x');
        assert_eq!(whole_chunks(&mut request, &limits), Ok(Chunks::TooLong));
    }
}
