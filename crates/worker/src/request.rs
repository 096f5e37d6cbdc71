//! One request as it came: its variables, and how its body is framed. Pure: bytes in, facts out.
//! `uwsgi.rs` and `http/head.rs` fill it, the exchange and the log read it.

use imperator_core::packet;
use imperator_core::settings::{Protocol, Settings};

use crate::records::{Record, Records};
use crate::refusal::Refusal;
use crate::shape::{Fact, Shape};

/// What bounds a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// buffer-size: bytes of the variable block or of the HTTP head.
    pub(crate) head: usize,
    /// limit-post.
    pub(crate) body: Option<u64>,
    /// Loader variables are answered 403.
    pub(crate) strict_vars: bool,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            head: settings.buffer_size as usize,
            body: settings.limit_post,
            strict_vars: settings.strict_vars,
        }
    }
}

/// The original's variables that load code, set the environment or open files (invariant 7).
pub(crate) const LOADER_VARS: [&str; 11] = [
    "UWSGI_APPID",
    "UWSGI_CALLABLE",
    "UWSGI_CHDIR",
    "UWSGI_FILE",
    "UWSGI_HOME",
    "UWSGI_MODULE",
    "UWSGI_POSTFILE",
    "UWSGI_PYHOME",
    "UWSGI_SCRIPT",
    "UWSGI_SETENV",
    "UWSGI_TOUCH_RELOAD",
];

/// A place in the bytes that hold the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..][..self.len as usize]
    }
}

#[derive(Debug, Clone, Copy)]
struct Var {
    key: Span,
    value: Span,
    /// A cheap fingerprint of the key: equal keys have equal ones.
    mark: u64,
}

/// Variables that we look at ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Known {
    Method,
    Uri,
    PathInfo,
    ScriptName,
    Protocol,
    RemoteAddr,
    RemoteUser,
    ContentLength,
    Host,
    Referer,
    UserAgent,
    IfModifiedSince,
}

const KNOWN: [&str; 12] = [
    "REQUEST_METHOD",
    "REQUEST_URI",
    "PATH_INFO",
    "SCRIPT_NAME",
    "SERVER_PROTOCOL",
    "REMOTE_ADDR",
    "REMOTE_USER",
    "CONTENT_LENGTH",
    "HTTP_HOST",
    "HTTP_REFERER",
    "HTTP_USER_AGENT",
    "HTTP_IF_MODIFIED_SINCE",
];

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    /// HTTP chunks, which nobody has decoded yet.
    Chunked,
}

/// One request. Its buffers are used again for the next one.
#[derive(Debug)]
pub(crate) struct Request {
    /// Everything received and not yet used up: the head, then what came of the body, then perhaps
    /// the next request of an HTTP connection.
    pub(crate) buffer: Vec<u8>,
    /// The variables' bytes when they are not in `buffer` as they are (HTTP).
    text: Vec<u8>,
    in_text: bool,
    vars: Vec<Var>,
    known: [Option<u16>; KNOWN.len()],
    shape: Shape,
    records: Records,
    /// Equal numbers mean equal variables; 0: nobody knows.
    content: u64,
    pub(crate) modifier1: u8,
    /// As the original's log counts: keys and values, bytes of the block.
    pub(crate) received_vars: usize,
    pub(crate) received_bytes: usize,
    /// Loader variables that were dropped: bits by index into [`LOADER_VARS`].
    pub(crate) ignored: u16,
    pub(crate) protocol: Protocol,
    /// Where the body starts in `buffer`.
    pub(crate) body_start: usize,
    pub(crate) framing: Framing,
    pub(crate) head_only: bool,
    /// HTTP/1.1: the client understands chunks.
    pub(crate) http11: bool,
    /// The client would use the connection again.
    pub(crate) keep_alive: bool,
    /// The client waits for "100 Continue" before it sends the body.
    pub(crate) expects_continue: bool,
}

impl Request {
    /// `room`: bytes that one receive may bring.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(room),
            text: Vec::new(),
            in_text: false,
            vars: Vec::new(),
            known: [None; KNOWN.len()],
            shape: Shape::default(),
            records: Records::default(),
            content: 0,
            modifier1: 0,
            received_vars: 0,
            received_bytes: 0,
            ignored: 0,
            protocol: Protocol::Uwsgi,
            body_start: 0,
            framing: Framing::Length(0),
            head_only: false,
            http11: false,
            keep_alive: false,
            expects_continue: false,
        }
    }

    /// Forgets the last request and what was received.
    pub(crate) fn clear(&mut self, protocol: Protocol) {
        self.buffer.clear();
        self.clear_head(protocol);
    }

    /// Forgets the last request, not what was received after it.
    pub(crate) fn clear_head(&mut self, protocol: Protocol) {
        self.text.clear();
        self.in_text = false;
        self.vars.clear();
        self.known = [None; KNOWN.len()];
        self.shape.begin();
        self.content = 0;
        if protocol == Protocol::Http {
            // Its names replace those of the last packet.
            self.records.forget();
        }
        self.modifier1 = 0;
        self.received_vars = 0;
        self.received_bytes = 0;
        self.ignored = 0;
        self.protocol = protocol;
        self.body_start = 0;
        self.framing = Framing::Length(0);
        self.head_only = false;
        self.http11 = protocol == Protocol::Uwsgi;
        self.keep_alive = false;
        self.expects_continue = false;
    }

    /// Lends the text of its own to a decoder, empty; [`Request::set_text`] takes it back.
    pub(crate) fn lend_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// The variables are in `text`, not in the buffer.
    pub(crate) fn set_text(&mut self, text: Vec<u8>) {
        self.text = text;
        self.in_text = true;
    }

    fn bytes(&self) -> &[u8] {
        if self.in_text {
            &self.text
        } else {
            &self.buffer
        }
    }

    /// In the order of arrival.
    pub(crate) fn vars(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = self.bytes();
        self.vars
            .iter()
            .map(move |var| (var.key.of(bytes), var.value.of(bytes)))
    }

    pub(crate) fn var(&self, name: &[u8]) -> Option<&[u8]> {
        let bytes = self.bytes();
        let mark = mark(name);
        self.vars
            .iter()
            .find(|var| var.mark == mark && var.key.of(bytes) == name)
            .map(|var| var.value.of(bytes))
    }

    /// As [`Request::var`] while a decoder still has the text.
    pub(crate) fn value_in<'a>(&self, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        self.vars
            .iter()
            .find(|var| var.key.of(bytes) == name)
            .map(|var| var.value.of(bytes))
    }

    /// How many variables there are.
    pub(crate) fn count(&self) -> usize {
        self.vars.len()
    }

    /// Empty when it was not sent.
    pub(crate) fn known(&self, which: Known) -> &[u8] {
        self.known[which as usize].map_or(b"", |index| {
            self.vars[usize::from(index)].value.of(self.bytes())
        })
    }

    /// Takes in one variable of `bytes`, which becomes the request's text or buffer; a later one of
    /// the same name replaces it, as the original's environ has it. What may not reach an app is
    /// dropped.
    #[inline]
    pub(crate) fn add(&mut self, bytes: &[u8], key: Span, value: Span) {
        let name = key.of(bytes);
        let fact = match self.shape.next(name) {
            Some(fact) => {
                self.push(key, value, fact);
                return;
            }
            None => self.put(bytes, key, value),
        };
        self.shape.learn(name, fact);
    }

    /// The records of a packet are read from here on.
    pub(crate) fn begin_packet(&mut self) {
        self.records.begin();
    }

    /// Takes in the variable at `at`, when it stood at this place of the last packet, too, byte for byte,
    /// and all names before it were those of that one. The length of its record.
    #[inline]
    pub(crate) fn repeat(&mut self, packet: &[u8], at: usize) -> Option<usize> {
        let record = self.records.repeated(&packet[at..])?;
        let Some(fact) = self.shape.pass() else {
            // They always know the same names.
            self.records.forget();
            return None;
        };
        let name = u32::from(record.name);
        // A packet has 65,539 bytes at most.
        let start = at as u32 + 2;
        let key = Span { start, len: name };
        let value = Span {
            start: start + name + 2,
            len: record.value.into(),
        };
        self.push(key, value, fact);
        Some(record.bytes())
    }

    /// As [`Request::add`], of a packet.
    pub(crate) fn add_record(&mut self, packet: &[u8], key: Span, value: Span) {
        let same_name = self.shape.expects(key.of(packet));
        self.records.other(same_name);
        self.add(packet, key, value);
    }

    /// The packet was read to its end. `block`: its variables.
    pub(crate) fn end_packet(&mut self, block: &[u8]) {
        if self.vars.len() != self.received_vars {
            // Something was dropped or came twice.
            self.records.forget();
            return;
        }
        let records = self.vars.iter().map(|var| Record {
            name: var.key.len as u16,
            value: var.value.len as u16,
        });
        self.records.end(block, records);
        self.content = self.records.number();
    }

    /// The packet is none.
    pub(crate) fn forget_packet(&mut self) {
        self.records.forget();
    }

    /// Requests of the same number have the same variables; 0: nobody knows.
    pub(crate) fn content(&self) -> u64 {
        self.content
    }

    /// Whether the next name is that of the last request at this place, and so were all before it.
    pub(crate) fn expects(&self, name: &[u8]) -> bool {
        self.shape.expects(name)
    }

    /// What is known of the name, when it became one more variable.
    fn put(&mut self, bytes: &[u8], key: Span, value: Span) -> Option<Fact> {
        let name = key.of(bytes);
        match name.first() {
            Some(b'U') if name.starts_with(b"UWSGI_") => {
                if let Some(index) = LOADER_VARS.iter().position(|var| var.as_bytes() == name) {
                    self.ignored |= 1 << index;
                    return None;
                }
            }
            // PEP 3333 forbids both beside CONTENT_TYPE and CONTENT_LENGTH; stock uwsgi_params
            // of nginx send them.
            Some(b'H') if name == b"HTTP_CONTENT_LENGTH" || name == b"HTTP_CONTENT_TYPE" => {
                return None;
            }
            _ => (),
        }
        let mark = mark(name);
        let known = KNOWN.iter().position(|known| known.as_bytes() == name);
        let twin = self
            .vars
            .iter_mut()
            .find(|var| var.mark == mark && var.key.of(bytes) == name);
        if let Some(twin) = twin {
            twin.value = value;
            return None;
        }
        let known = known.map(|known| known as u8);
        let fact = Fact { mark, known };
        self.push(key, value, fact);
        Some(fact)
    }

    #[inline]
    fn push(&mut self, key: Span, value: Span, fact: Fact) {
        if let Some(known) = fact.known {
            // Decoders refuse more than packet::MAX_VARS variables.
            self.known[usize::from(known)] = u16::try_from(self.vars.len()).ok();
        }
        let mark = fact.mark;
        self.vars.push(Var { key, value, mark });
    }

    /// Requests of the same number have the same names in the same order; 0: nobody knows.
    pub(crate) fn shape(&self) -> u64 {
        self.shape.number()
    }

    /// Gives a variable another value, or the request one more variable. A request that has as many
    /// as it may stays as it is.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        if !self.in_text {
            self.move_to_text();
        }
        let is_there = self.var(name).is_some();
        let fits = self.text.len() + name.len() + value.len() <= MAX_TEXT;
        if !fits || (!is_there && self.vars.len() >= packet::MAX_VARS) {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        let name = append(&mut text, name);
        let value = append(&mut text, value);
        self.shape.forget();
        self.records.forget();
        self.content = 0;
        self.put(&text, name, value);
        self.text = text;
    }

    /// What was received stays as it is; changed variables need room of their own.
    fn move_to_text(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        for var in &mut self.vars {
            var.key = append(&mut text, var.key.of(&self.buffer));
            var.value = append(&mut text, var.value.of(&self.buffer));
        }
        self.set_text(text);
    }

    /// Replaces a variable's value by a part of itself.
    pub(crate) fn cut_known(&mut self, which: Known, from: usize) {
        self.content = 0;
        if let Some(index) = self.known[which as usize] {
            let value = &mut self.vars[usize::from(index)].value;
            let from = (from as u32).min(value.len);
            value.start += from;
            value.len -= from;
        }
    }

    /// Reads CONTENT_LENGTH into `framing`, and checks it and the loader variables.
    pub(crate) fn check(&mut self, limits: &Limits) -> Result<(), Refusal> {
        self.shape.end();
        if limits.strict_vars && self.ignored != 0 {
            let names: Vec<&str> = self.ignored_names().collect();
            return Err(Refusal::new(
                403,
                format!("strict-vars refuses the variable {}", names.join(", ")),
            ));
        }
        if self.framing == Framing::Chunked {
            return Ok(());
        }
        let length = self.known(Known::ContentLength);
        let length = content_length(length).ok_or_else(|| {
            Refusal::new(
                400,
                format!("CONTENT_LENGTH \"{}\" is no length", length.escape_ascii()),
            )
        })?;
        if let Some(limit) = limits.body.filter(|&limit| length > limit) {
            return Err(Refusal::too_big_body(length, limit));
        }
        self.framing = Framing::Length(length);
        self.head_only = self.known(Known::Method) == b"HEAD";
        Ok(())
    }

    pub(crate) fn ignored_names(&self) -> impl Iterator<Item = &'static str> {
        let ignored = self.ignored;
        LOADER_VARS
            .iter()
            .enumerate()
            .filter(move |(index, _)| ignored & (1 << index) != 0)
            .map(|(_, name)| *name)
    }

    /// Body bytes that are in `buffer` already.
    pub(crate) fn body_here(&self) -> &[u8] {
        &self.buffer[self.body_start.min(self.buffer.len())..]
    }

    /// The body was decoded in place: CONTENT_LENGTH tells its length, so that apps which know no
    /// chunks read it.
    pub(crate) fn set_decoded_body(&mut self, length: u64) {
        debug_assert!(self.in_text, "only HTTP has chunks");
        let mut text = std::mem::take(&mut self.text);
        let key = append(&mut text, b"CONTENT_LENGTH");
        let value = append(&mut text, itoa::Buffer::new().format(length).as_bytes());
        self.shape.forget();
        self.put(&text, key, value);
        self.text = text;
        self.framing = Framing::Length(length);
    }
}

/// Appends to a request's text. A head has at most 64 KiB, so 32 bits are enough.
pub(crate) fn append(text: &mut Vec<u8>, bytes: &[u8]) -> Span {
    let start = text.len() as u32;
    text.extend_from_slice(bytes);
    Span {
        start,
        len: bytes.len() as u32,
    }
}

/// What a request's variables may grow to.
const MAX_TEXT: usize = 1 << 20;

/// Digits only: "12abc" is 12 for the original, and "-1" is 0. Empty or absent means no body.
pub(crate) fn content_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10).filter(|_| digit < 10)?;
        number.checked_add(digit.into())
    })
}

/// Length, and up to four bytes from each of the places where names differ.
fn mark(name: &[u8]) -> u64 {
    let len = name.len();
    let four = |at: usize| {
        name.get(at..at + 4).map_or(0, |four| {
            u32::from_le_bytes([four[0], four[1], four[2], four[3]])
        })
    };
    let ends = u64::from(four(len.saturating_sub(4))) << 32 | u64::from(four(len / 2));
    ends.rotate_left(7) ^ (len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_digits_or_nothing() {
        for (text, length) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("12", Some(12)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("12abc", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1,1", None),
        ] {
            assert_eq!(content_length(text.as_bytes()), length, "{text}");
        }
    }

    #[test]
    fn a_variable_is_set_and_what_was_received_stays() {
        for protocol in [Protocol::Uwsgi, Protocol::Http] {
            let mut request = Request::new(100);
            request.clear(protocol);
            let bytes = b"PATH_INFO/aA1";
            let span = |start, len| Span { start, len };
            let mut text = request.lend_text();
            text.extend_from_slice(bytes);
            request.buffer.extend_from_slice(bytes);
            request.add(bytes, span(0, 9), span(9, 2));
            request.add(bytes, span(11, 1), span(12, 1));
            if protocol == Protocol::Http {
                request.set_text(text);
            }
            request.set(b"PATH_INFO", b"/longer");
            request.set(b"B", b"");
            request.set(b"UWSGI_FILE", b"exec://id");
            let vars: Vec<_> = request.vars().collect();
            let expected: [(&[u8], &[u8]); 3] =
                [(b"PATH_INFO", b"/longer"), (b"A", b"1"), (b"B", b"")];
            assert_eq!(vars, expected);
            assert_eq!(request.known(Known::PathInfo), b"/longer");
            assert_eq!(request.buffer, bytes);
            for count in 0..2 * packet::MAX_VARS {
                request.set(format!("X{count}").as_bytes(), b"");
            }
            assert_eq!(request.count(), packet::MAX_VARS);
        }
    }

    #[test]
    fn the_loader_table_is_sorted_and_fits_its_bits() {
        assert!(LOADER_VARS.is_sorted());
        assert!(LOADER_VARS.len() <= 16);
    }
}
