//! What fuzzers, the replay of their corpora and the comparison with other parsers ask: bytes as a
//! worker reads them, and what must hold whatever the bytes are. Not part of a worker.

use imperator_core::settings::Protocol;
use imperator_core::settings::http::Http;

use crate::http::chunked::{Decoder, Piece};
use crate::http::head;
use crate::http::vars::Local;
use crate::refusal::Refusal;
use crate::request::{Framing, Limits, Request};
use crate::uwsgi::{self, Progress};

const LIMITS: Limits = Limits {
    head: 65535,
    body: None,
    strict_vars: false,
};

/// A head that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Where the body starts.
    pub end: usize,
    /// `None`: chunks.
    pub length: Option<u64>,
    pub vars: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    /// The value of a variable.
    pub fn var(&self, name: &str) -> Option<&[u8]> {
        let mut vars = self.vars.iter();
        let found = vars.find(|(key, _)| key == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }
}

/// `Ok(None)`: more must come.
pub type Read = Result<Option<Head>, (u16, String)>;

fn told(request: &Request, progress: Result<Progress, Refusal>) -> Read {
    match progress {
        Ok(Progress::Incomplete { total }) => {
            assert!(
                total > request.buffer.len(),
                "it would be asked again for nothing"
            );
            Ok(None)
        }
        Ok(Progress::Whole) => Ok(Some(Head {
            end: request.body_start,
            length: match request.framing {
                Framing::Length(length) => Some(length),
                Framing::Chunked => None,
            },
            vars: request
                .vars()
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .collect(),
        })),
        Err(refusal) => Err((refusal.status, refusal.reason)),
    }
}

/// The head of an HTTP request.
pub fn http(bytes: &[u8]) -> Read {
    let mut request = Request::new(bytes.len());
    request.clear(Protocol::Http);
    request.buffer.extend_from_slice(bytes);
    let settings = Http::default();
    let local = Local {
        hostname: "box",
        port: "80",
        peer: None,
        secure: false,
        keep_alive: true,
        settings: &settings,
    };
    let progress = head::parse(&mut request, &LIMITS, &local);
    told(&request, progress)
}

/// A packet of the uwsgi protocol.
pub fn packet(bytes: &[u8]) -> Read {
    let mut request = Request::new(bytes.len());
    request.clear(Protocol::Uwsgi);
    request.buffer.extend_from_slice(bytes);
    let progress = uwsgi::parse(&mut request, &LIMITS);
    told(&request, progress)
}

/// A chunked body: its data and what follows it; `Ok(None)`: more must come.
pub fn chunks(bytes: &[u8], step: usize) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let mut decoder = Decoder::new();
    let (mut data, mut used, mut end) = (Vec::new(), 0, 0);
    loop {
        let (bytes_used, piece) = decoder
            .next(&bytes[used..end])
            .map_err(|_| "a malformed chunk")?;
        match piece {
            Piece::Data(range) => data.extend_from_slice(&bytes[used..end][range]),
            Piece::End => return Ok(Some((data, used + bytes_used))),
            Piece::More if end == bytes.len() => return Ok(None),
            Piece::More => end = (end + step.max(1)).min(bytes.len()),
        }
        used += bytes_used;
    }
}

/// # Panics
/// When something does not hold that must.
pub fn check_http(bytes: &[u8]) {
    let read = http(bytes);
    holds_for_prefixes(bytes, &read, http);
    let Ok(Some(head)) = &read else { return };
    let text = &bytes[..head.end];
    assert!(
        text.ends_with(b"\r\n\r\n"),
        "a head ends with an empty line"
    );
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let is_whole = |line: &&[u8]| line.is_empty() || line.ends_with(b"\r");
    assert!(lines.iter().all(is_whole), "a bare LF");
    // What a parser that is less strict would take for framing.
    let starts = |name: &str| {
        let lines = lines.iter().map(|line| line.trim_ascii_start());
        let of_name = |line: &&[u8]| {
            let start = line.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        lines.filter(of_name).count()
    };
    let (lengths, codings) = (starts("content-length:"), starts("transfer-encoding:"));
    assert!(lengths + codings <= 1, "framed twice");
    assert_eq!(head.length.is_none(), codings == 1, "framed otherwise");
    for (key, value) in &head.vars {
        let odd = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        assert!(!key.iter().any(odd) && !value.iter().any(odd), "{key:?}");
        assert_ne!(key, b"HTTP_PROXY");
    }
}

/// # Panics
/// When something does not hold that must.
pub fn check_packet(bytes: &[u8]) {
    let read = packet(bytes);
    holds_for_prefixes(bytes, &read, packet);
    let Ok(Some(head)) = &read else { return };
    // The packet says itself how long it is, and each value is a part of it.
    assert_eq!(
        head.end,
        4 + usize::from(bytes[1]) + 256 * usize::from(bytes[2])
    );
    for (key, value) in &head.vars {
        for part in [key, value] {
            let is_there =
                part.is_empty() || bytes[..head.end].windows(part.len()).any(|it| it == part);
            assert!(is_there, "{part:?} came from elsewhere");
        }
    }
}

/// # Panics
/// When something does not hold that must.
pub fn check_chunks(bytes: &[u8]) {
    let whole = chunks(bytes, usize::MAX);
    for step in [1, 2, 3, 7] {
        assert_eq!(chunks(bytes, step), whole, "in steps of {step}");
    }
    if let Ok(Some((data, end))) = whole {
        assert!(data.len() < end && end <= bytes.len());
        assert!(bytes[..end].ends_with(b"\r\n"));
    }
}

/// Nothing behind a head changes it, one byte less is not enough, and what is refused is not accepted
/// when more of it comes.
fn holds_for_prefixes(bytes: &[u8], read: &Read, parse: impl Fn(&[u8]) -> Read) {
    if let Ok(Some(head)) = read {
        assert_eq!(parse(&bytes[..head.end]).as_ref(), Ok(&Some(head.clone())));
    }
    let mut cuts: Vec<usize> = (0..bytes.len().min(64)).collect();
    cuts.extend((64..bytes.len()).step_by(17));
    if let Ok(Some(head)) = read {
        cuts.push(head.end - 1);
    }
    for cut in cuts {
        match (parse(&bytes[..cut]), read) {
            (Ok(None), _) => (),
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early, *late, "cut at {cut}"),
            (Ok(Some(_)), _) => panic!("accepted at {cut}, and not when more came"),
            (Err(_), Ok(_)) => panic!("refused at {cut}, and not when more came"),
            (Err(_), Err(_)) => (),
        }
    }
}

#[cfg(test)]
mod peers;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replay(target: &str, check: impl Fn(&[u8])) {
        let corpus = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut files = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files >= 10, "the corpus of {target} has {files} files");
    }

    #[test]
    fn the_fuzz_corpus_of_http_heads_holds_what_must_hold() {
        replay("http", check_http);
    }

    #[test]
    fn the_fuzz_corpus_of_packets_holds_what_must_hold() {
        replay("uwsgi", check_packet);
    }

    #[test]
    fn the_fuzz_corpus_of_chunked_bodies_holds_what_must_hold() {
        replay("chunks", check_chunks);
    }

    proptest! {
        #[test]
        fn any_packet_holds_what_must_hold(
            vars in prop::collection::vec(("[A-Z_]{0,12}", "[ -~]{0,30}"), 0..12),
            modifier in prop::sample::select(vec![0u8, 30, 5, 255]),
            wrong in prop::option::of((0usize..200, any::<u8>())),
            tail in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut block = Vec::new();
            for (key, value) in &vars {
                for text in [key, value] {
                    block.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
                    block.extend(text.as_bytes());
                }
            }
            let size = u16::try_from(block.len()).unwrap().to_le_bytes();
            let mut bytes = [&[modifier, size[0], size[1], 0], &block[..], &tail[..]].concat();
            if let Some((at, byte)) = wrong
                && let Some(place) = bytes.get_mut(at)
            {
                *place = byte;
            }
            check_packet(&bytes);
        }

        #[test]
        fn any_head_holds_what_must_hold(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "GET ", "POST ", "/", "/a%4", "?q", " HTTP/1.1", " HTTP/1.0", "\r\n", "\n", "\r",
                    "Host: x\r\n", "Content-Length: 3\r\n", "content-length : 3\r\n", "12", " ", "\t",
                    "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", ": ",
                    "abc", "\0", "\r\n\r\n", "Connection: close\r\n", "X: y\r\n folded\r\n", "Proxy: z\r\n",
                ]),
                0..14,
            ),
        ) {
            check_http(pieces.concat().as_bytes());
        }
    }
}
