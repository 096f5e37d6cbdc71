//! The uwsgi packet: four bytes of header, then variables with 16-bit lengths. Decoding copies
//! nothing; every malformed form is an error of its own, and nothing is read twice.
//!
//! ```text
//! u8 modifier1, u16le size, u8 modifier2, then `size` bytes of
//! u16le key length, key, u16le value length, value
//! ```

use std::fmt;
use std::iter::FusedIterator;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 4;
/// The longest variable block that a header can announce.
pub const MAX_BLOCK: usize = u16::MAX as usize;
/// More variables than this in one request are refused: nginx and Apache send about 25 and one per
/// request header, of which both allow about a hundred.
pub const MAX_VARS: usize = 1024;

/// The first four bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub modifier1: u8,
    pub size: u16,
    pub modifier2: u8,
}

impl Header {
    pub fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        let [modifier1, low, high, modifier2] = bytes;
        Self {
            modifier1,
            size: u16::from_le_bytes([low, high]),
            modifier2,
        }
    }

    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [low, high] = self.size.to_le_bytes();
        [self.modifier1, low, high, self.modifier2]
    }

    /// Refuses a block over `limit` (buffer-size), and what is no uwsgi packet at all.
    ///
    /// # Errors
    /// `Http`, `Tls` or `BlockTooBig`.
    pub fn check(self, limit: usize) -> Result<(), PacketError> {
        let bytes = self.to_bytes();
        if let Some(method) = METHODS
            .iter()
            .find(|method| method.as_bytes()[..4] == bytes)
        {
            return Err(PacketError::Http {
                method: method.trim_end(),
            });
        }
        // A TLS record: handshake, version 3.x. As a packet: modifier 22, which we do not answer.
        if bytes[0] == 0x16 && bytes[1] == 3 {
            return Err(PacketError::Tls);
        }
        if usize::from(self.size) > limit {
            return Err(PacketError::BlockTooBig {
                size: self.size.into(),
                limit,
            });
        }
        Ok(())
    }
}

/// Request methods as their first bytes look on a uwsgi socket.
const METHODS: [&str; 10] = [
    "GET ",
    "HEAD ",
    "POST ",
    "PUT ",
    "DELETE ",
    "OPTIONS ",
    "PATCH ",
    "TRACE ",
    "CONNECT ",
    "PRI * HTTP/2.0",
];

/// Where a part of a variable stands in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u16,
    pub len: u16,
}

impl Span {
    /// # Panics
    /// When `block` is shorter than the one that was decoded.
    pub fn of(self, block: &[u8]) -> &[u8] {
        &block[usize::from(self.start)..][..usize::from(self.len)]
    }
}

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarSpan {
    pub key: Span,
    pub value: Span,
}

/// Why a packet was refused. Offsets count from the start of the variable block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketError {
    /// A plain HTTP request on a uwsgi socket.
    Http {
        method: &'static str,
    },
    /// A TLS handshake on a uwsgi socket.
    Tls,
    /// The block is longer than buffer-size.
    BlockTooBig {
        size: usize,
        limit: usize,
    },
    /// The slice given to [`decode`] is longer than a header can announce.
    BlockTooLong {
        size: usize,
    },
    /// A key of length 0.
    EmptyKey {
        at: usize,
    },
    /// The key would end after the block. The original goes on reading in the middle of the key.
    KeyPastEnd {
        at: usize,
        len: usize,
        left: usize,
    },
    /// The value, or its length, would end after the block.
    ValuePastEnd {
        at: usize,
        len: usize,
        left: usize,
    },
    /// One byte is left, which cannot be a key length.
    TrailingByte {
        at: usize,
    },
    TooManyVars {
        limit: usize,
    },
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method } => write!(
                f,
                "this is a uwsgi socket, and the client speaks HTTP (\"{method}\"): use \
                 uwsgi_pass in nginx, or make it an http-socket"
            ),
            Self::Tls => write!(
                f,
                "this is a uwsgi socket, and the client speaks TLS: put nginx in front"
            ),
            Self::BlockTooBig { size, limit } => write!(
                f,
                "the request's variables have {size} bytes, and buffer-size allows {limit}"
            ),
            Self::BlockTooLong { size } => {
                write!(f, "a block of {size} bytes fits no packet: at most 65535")
            }
            Self::EmptyKey { at } => write!(f, "a variable without a name at byte {at}"),
            Self::KeyPastEnd { at, len, left } => write!(
                f,
                "the variable name at byte {at} claims {len} bytes, and {left} are left"
            ),
            Self::ValuePastEnd { at, len, left } => write!(
                f,
                "the value at byte {at} claims {len} bytes, and {left} are left"
            ),
            Self::TrailingByte { at } => write!(f, "one byte too many at byte {at}"),
            Self::TooManyVars { limit } => write!(f, "more than {limit} variables"),
        }
    }
}

impl std::error::Error for PacketError {}

/// Reads a block's variables, one after the other. The first error is the last item.
pub fn decode(block: &[u8]) -> Vars<'_> {
    let failed =
        (block.len() > MAX_BLOCK).then_some(PacketError::BlockTooLong { size: block.len() });
    Vars {
        block,
        at: 0,
        count: 0,
        failed,
        ended: false,
    }
}

/// See [`decode`].
#[derive(Debug, Clone)]
pub struct Vars<'a> {
    block: &'a [u8],
    at: usize,
    count: usize,
    failed: Option<PacketError>,
    ended: bool,
}

impl Vars<'_> {
    /// The next variable, where nothing is odd; else [`Vars::var`] says what.
    #[inline]
    fn plain(&mut self) -> Option<VarSpan> {
        let at = self.at;
        let len = length_at(self.block, at)?;
        let middle = at + 2 + len;
        let value_len = length_at(self.block, middle)?;
        let end = middle + 2 + value_len;
        let is_odd = len == 0 || end > self.block.len() || self.count == MAX_VARS;
        if is_odd || self.failed.is_some() {
            return None;
        }
        self.at = end;
        self.count += 1;
        Some(VarSpan {
            key: span(at + 2, len),
            value: span(middle + 2, value_len),
        })
    }

    fn var(&mut self) -> Result<Option<VarSpan>, PacketError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let at = self.at;
        let Some((len, rest)) = length(&self.block[at..]) else {
            return match self.block.len() - at {
                0 => Ok(None),
                _ => Err(PacketError::TrailingByte { at }),
            };
        };
        if self.count == MAX_VARS {
            return Err(PacketError::TooManyVars { limit: MAX_VARS });
        }
        if len == 0 {
            return Err(PacketError::EmptyKey { at });
        }
        if len > rest.len() {
            let left = rest.len();
            return Err(PacketError::KeyPastEnd { at, len, left });
        }
        let key = at + 2;
        let at = key + len;
        let Some((value_len, rest)) = length(&self.block[at..]) else {
            let left = self.block.len() - at;
            return Err(PacketError::ValuePastEnd { at, len: 2, left });
        };
        if value_len > rest.len() {
            let left = rest.len();
            let len = value_len;
            return Err(PacketError::ValuePastEnd { at, len, left });
        }
        self.at = at + 2 + value_len;
        self.count += 1;
        Ok(Some(VarSpan {
            key: span(key, len),
            value: span(at + 2, value_len),
        }))
    }
}

impl Iterator for Vars<'_> {
    type Item = Result<VarSpan, PacketError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Behind the end and behind an error there is nothing plain.
        if let Some(var) = self.plain() {
            return Some(Ok(var));
        }
        if self.ended {
            return None;
        }
        let item = self.var().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl FusedIterator for Vars<'_> {}

#[inline]
fn length_at(block: &[u8], at: usize) -> Option<usize> {
    let bytes = block.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_le_bytes(*bytes)))
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*length)), rest))
}

/// Both numbers are at most the block's length, which [`decode`] checked against [`MAX_BLOCK`].
#[inline]
fn span(start: usize, len: usize) -> Span {
    Span {
        start: start as u16,
        len: len as u16,
    }
}

/// Why a packet could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    EmptyKey,
    /// A key or value over 65535 bytes, or all of them together.
    TooLong,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => write!(f, "a uwsgi variable needs a name"),
            Self::TooLong => write!(f, "the variables do not fit a packet of 65535 bytes"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Appends a packet to `out`; on an error `out` is as it was.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    modifier1: u8,
    vars: impl IntoIterator<Item = (K, V)>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let written = encode_vars(modifier1, vars, out, start);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn encode_vars<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    modifier1: u8,
    vars: impl IntoIterator<Item = (K, V)>,
    out: &mut Vec<u8>,
    start: usize,
) -> Result<(), EncodeError> {
    out.extend([0; HEADER_BYTES]);
    for (key, value) in vars {
        let (key, value) = (key.as_ref(), value.as_ref());
        if key.is_empty() {
            return Err(EncodeError::EmptyKey);
        }
        for part in [key, value] {
            let len = u16::try_from(part.len()).map_err(|_| EncodeError::TooLong)?;
            out.extend(len.to_le_bytes());
            out.extend(part);
        }
    }
    let size = out.len() - start - HEADER_BYTES;
    let header = Header {
        modifier1,
        size: u16::try_from(size).map_err(|_| EncodeError::TooLong)?,
        modifier2: 0,
    };
    out[start..start + HEADER_BYTES].copy_from_slice(&header.to_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(block: &[u8]) -> PacketError {
        decode(block)
            .find_map(Result::err)
            .expect("the block is malformed")
    }

    #[test]
    fn each_malformed_form_has_its_own_error() {
        assert_eq!(error(b"\0\0\0\0"), PacketError::EmptyKey { at: 0 });
        assert_eq!(
            error(b"\x09\0KEY\0\0"),
            PacketError::KeyPastEnd {
                at: 0,
                len: 9,
                left: 5
            }
        );
        assert_eq!(
            error(b"\x01\0K\x05\0abc"),
            PacketError::ValuePastEnd {
                at: 3,
                len: 5,
                left: 3
            }
        );
        assert_eq!(
            error(b"\x01\0K\x05"),
            PacketError::ValuePastEnd {
                at: 3,
                len: 2,
                left: 1
            }
        );
        assert_eq!(
            error(b"\x01\0K\x01\0Vx"),
            PacketError::TrailingByte { at: 6 }
        );
        let many: Vec<u8> = b"\x01\0K\0\0".repeat(MAX_VARS + 1);
        assert_eq!(error(&many), PacketError::TooManyVars { limit: MAX_VARS });
        assert_eq!(decode(&many[5..]).filter(Result::is_ok).count(), MAX_VARS);
        let long = vec![0; MAX_BLOCK + 1];
        assert_eq!(error(&long), PacketError::BlockTooLong { size: 65536 });
    }

    /// The original has no else branch there: it steps two bytes on and reads lengths from the
    /// middle of the key, so that a lying peer can smuggle variables.
    #[test]
    fn nothing_is_read_from_inside_a_key_that_ends_past_the_block() {
        let mut block = b"\xff\xff".to_vec();
        block.extend(b"\x0b\0REMOTE_USER\x04\0root");
        let found: Vec<_> = decode(&block).collect();
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0], Err(PacketError::KeyPastEnd { .. })));
    }

    #[test]
    fn a_foreign_protocol_is_recognised_by_its_first_bytes() {
        let header = |bytes: &[u8; 4]| Header::from_bytes(*bytes).check(32768);
        assert_eq!(header(b"GET "), Err(PacketError::Http { method: "GET" }));
        assert_eq!(header(b"POST"), Err(PacketError::Http { method: "POST" }));
        assert_eq!(header(b"\x16\x03\x01\x02"), Err(PacketError::Tls));
        assert_eq!(
            header(b"\0\xff\xff\0"),
            Err(PacketError::BlockTooBig {
                size: 65535,
                limit: 32768
            })
        );
        assert_eq!(header(b"\0\0\x80\0"), Ok(()));
    }

    #[test]
    fn what_does_not_fit_a_packet_is_not_encoded() {
        let mut out = b"kept".to_vec();
        let long = vec![b'x'; 65536];
        assert_eq!(
            encode(0, [("K", &long)], &mut out),
            Err(EncodeError::TooLong)
        );
        let half = vec![b'x'; 40000];
        assert_eq!(
            encode(0, [("A", &half), ("B", &half)], &mut out),
            Err(EncodeError::TooLong)
        );
        assert_eq!(encode(0, [("", "v")], &mut out), Err(EncodeError::EmptyKey));
        assert_eq!(out, b"kept");
    }

    /// The fuzz target's corpus, replayed without a fuzzer.
    #[test]
    fn the_fuzz_corpus_decodes_without_a_panic() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/packet");
        let mut files = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            round_trip(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files >= 10, "the corpus has {files} files");
    }

    /// What the fuzz target asserts, too: spans lie in the block, and what decodes whole encodes
    /// to the same bytes.
    fn round_trip(bytes: &[u8]) {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return;
        };
        let header = Header::from_bytes(*header);
        assert_eq!(header.to_bytes(), bytes[..HEADER_BYTES]);
        let _ = header.check(MAX_BLOCK);
        let Some(block) = rest.get(..header.size.into()) else {
            return;
        };
        let Ok(vars) = decode(block).collect::<Result<Vec<_>, _>>() else {
            return;
        };
        let mut again = Vec::new();
        let pairs = vars
            .iter()
            .map(|var| (var.key.of(block), var.value.of(block)));
        encode(header.modifier1, pairs, &mut again).unwrap();
        assert_eq!(again[HEADER_BYTES..], *block);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            vars in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..40), prop::collection::vec(any::<u8>(), 0..80)),
                0..60,
            ),
            modifier1: u8,
        ) {
            let mut packet = Vec::new();
            encode(modifier1, vars.iter().map(|(k, v)| (k, v)), &mut packet).unwrap();
            let header = Header::from_bytes(*packet.first_chunk().unwrap());
            prop_assert_eq!(header.modifier1, modifier1);
            let block = &packet[HEADER_BYTES..];
            prop_assert_eq!(usize::from(header.size), block.len());
            let found: Vec<_> = decode(block)
                .map(|var| var.map(|var| (var.key.of(block).to_vec(), var.value.of(block).to_vec())))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(found, vars);
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            round_trip(&bytes);
            let spans: usize = decode(&bytes)
                .filter_map(Result::ok)
                .map(|var| 4 + var.key.of(&bytes).len() + var.value.of(&bytes).len())
                .sum();
            prop_assert!(spans <= bytes.len());
        }

        #[test]
        fn a_cut_block_is_an_error_or_whole_variables(cut in 0usize..61) {
            let mut packet = Vec::new();
            encode(0, [("PATH_INFO", "/a"), ("REQUEST_METHOD", "GET"), ("X", "")], &mut packet).unwrap();
            let block = &packet[HEADER_BYTES..];
            let whole = [0, 15, 36, 41];
            let cut = cut.min(block.len());
            let good = decode(&block[..cut]).all(|var| var.is_ok());
            prop_assert_eq!(good, whole.contains(&cut));
        }
    }
}
