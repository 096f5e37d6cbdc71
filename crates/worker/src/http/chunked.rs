//! Chunked request bodies (RFC 9112 §7.1), strictly: what two parsers could read in two ways is
//! refused. Pure: it finds the data in what was received, it keeps none.

use std::ops::Range;

/// A chunk-size line with its extensions, and all trailers together, have at most so many bytes.
const MAX_LINE: usize = 1024;
const MAX_TRAILERS: usize = 8192;

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size; how many digits there were.
    Size(u8),
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line or of the last empty line.
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What the next bytes of input are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Body bytes: this range of the input.
    Data(Range<usize>),
    /// All input is used up; more must come.
    More,
    /// The body is over.
    End,
}

/// Reads one chunked body.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    state: State,
    /// Of the chunk that is being read.
    left: u64,
    line: usize,
    trailers: usize,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size(0),
            left: 0,
            line: 0,
            trailers: 0,
        }
    }

    /// Reads on; the number is how many bytes of `input` are used up, the data included.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<(usize, Piece), Malformed> {
        let mut at = 0;
        loop {
            if self.state == State::End {
                return Ok((at, Piece::End));
            }
            if self.state == State::Data {
                let here = (input.len() - at) as u64;
                let take = here.min(self.left);
                if take > 0 {
                    self.left -= take;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    // At most `here`, which is a length in memory.
                    let end = at + take as usize;
                    return Ok((end, Piece::Data(at..end)));
                }
            }
            let Some(&byte) = input.get(at) else {
                return Ok((at, Piece::More));
            };
            at += 1;
            self.framing(byte)?;
        }
    }

    fn framing(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size(digits), _) if byte.is_ascii_hexdigit() => {
                // 15 digits are more than any disk holds, and cannot overflow.
                if digits == 15 {
                    return Err(Malformed);
                }
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(digit);
                State::Size(digits + 1)
            }
            (State::Size(1..), b'\r') | (State::Extension, b'\r') => State::SizeLf,
            (State::Size(1..), b';') => State::Extension,
            (State::Extension, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.line += 1;
                if self.line > MAX_LINE {
                    return Err(Malformed);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') => {
                self.line = 0;
                match self.left {
                    0 => State::TrailerStart,
                    _ => State::Data,
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::TrailerStart, b'\r') => State::LastLf,
            // A folded trailer is refused like a folded header.
            (State::TrailerStart, 0x21..=0x7e) | (State::Trailer, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.trailers += 1;
                if self.trailers > MAX_TRAILERS {
                    return Err(Malformed);
                }
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::End,
            (
                State::Size(_)
                | State::Extension
                | State::SizeLf
                | State::Data
                | State::DataCr
                | State::DataLf
                | State::TrailerStart
                | State::Trailer
                | State::TrailerLf
                | State::LastLf
                | State::End,
                _,
            ) => return Err(Malformed),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `input` in pieces; the data, whether the end was seen, and what follows it.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let mut decoder = Decoder::new();
        let mut data = Vec::new();
        let mut used = 0;
        for end in (0..input.len())
            .step_by(step)
            .map(|at| at + step)
            .chain([input.len()])
        {
            let end = end.min(input.len());
            loop {
                let (bytes, piece) = decoder.next(&input[used..end])?;
                match piece {
                    Piece::Data(range) => data.extend_from_slice(&input[used..end][range]),
                    Piece::More => {
                        used += bytes;
                        break;
                    }
                    Piece::End => return Ok((data, true, used + bytes)),
                }
                used += bytes;
            }
        }
        Ok((data, false, used))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read() {
        let input = b"5;a=b\r\nhello\r\nA\r\n, world 10\r\n0\r\nX-Sum: 1\r\n\r\nGET /";
        for step in 1..input.len() {
            let (data, ended, used) = decode(input, step).unwrap();
            assert_eq!(data, b"hello, world 10");
            assert!(ended);
            assert_eq!(&input[used..], b"GET /");
        }
    }

    #[test]
    fn what_two_parsers_could_read_in_two_ways_is_refused() {
        for input in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-5\r\nhello",
            b"+5\r\nhello",
            b"0x5\r\nhello",
            b" 5\r\nhello",
            b"5 \r\nhello",
            b"5\nhello\n0\n\n",
            b"5\rhello",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello!\r\n",
            b"ffffffffffffffff\r\n",
            b"0000000000000005\r\nhello",
            b"5;\x01\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\n\n",
        ] {
            assert_eq!(
                decode(input, input.len()),
                Err(Malformed),
                "{}",
                input.escape_ascii()
            );
        }
        let long = [&b"1;"[..], &vec![b'x'; MAX_LINE + 1]].concat();
        assert_eq!(decode(&long, long.len()), Err(Malformed));
        let trailers = [&b"0\r\n"[..], &b"X: 1234567\r\n".repeat(MAX_TRAILERS / 9)].concat();
        assert_eq!(decode(&trailers, trailers.len()), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_chunked_decodes_to_the_same_in_any_pieces(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
            rest in prop::collection::vec(any::<u8>(), 0..20),
            step in 1usize..40,
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                input.extend(chunk);
                input.extend(b"\r\n");
            }
            input.extend(b"0\r\n\r\n");
            let end = input.len();
            input.extend(rest);
            prop_assert_eq!(decode(&input, step), Ok((chunks.concat(), true, end)));
        }

        #[test]
        fn any_bytes_decode_without_a_panic(
            input in prop::collection::vec(any::<u8>(), 0..200),
            step in 1usize..40,
        ) {
            let whole = decode(&input, input.len().max(1));
            prop_assert_eq!(decode(&input, step), whole);
        }
    }
}
