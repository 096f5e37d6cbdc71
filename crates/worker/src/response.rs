//! One answer: head, framing, and what of the app's bytes may be sent. Pure: it says which bytes go
//! out, the exchange sends them.

use std::sync::Arc;

use crate::additions::Additions;
use crate::exchange::StartError;
use imperator_core::settings::Protocol;

/// How the body's end is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// HEAD, 204, 304 and 1xx have none.
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// Ours, over HTTP/1.1.
    Chunked,
    /// The connection's end.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    /// `head` is built but may be replaced.
    Started,
    /// `head` is final, and sent or being sent.
    Committed,
    Ended,
}

/// What an answer has to know of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) protocol: Protocol,
    /// SERVER_PROTOCOL.
    pub(crate) version: &'a [u8],
    pub(crate) head_only: bool,
    pub(crate) http11: bool,
    /// The client and we would keep the connection.
    pub(crate) keep_alive: bool,
    /// `response-headers-limit`: more of status and headers is refused.
    pub(crate) headers_limit: usize,
    /// `cgi-mode`
    pub(crate) cgi: bool,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Response {
    stage: Stage,
    pub(crate) head: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) headers: u32,
    length: Option<u64>,
    app_connection: bool,
    app_closes: bool,
    app_encodes: bool,
    framing: Framing,
    protocol: Protocol,
    head_only: bool,
    http11: bool,
    /// The connection can serve another request after this answer.
    pub(crate) keep_alive: bool,
    /// Bytes of the app's body that were admitted.
    pub(crate) body_bytes: u64,
    /// Bytes of the app that its own Content-Length left no room for.
    pub(crate) cut_bytes: u64,
    chunk_line: [u8; 20],
    abandoned: bool,
    /// Of this request; they stay when the app begins anew.
    pub(crate) additions: Option<Arc<Additions>>,
}

impl Response {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Fresh,
            head: Vec::new(),
            status: 0,
            headers: 0,
            length: None,
            app_connection: false,
            app_closes: false,
            app_encodes: false,
            framing: Framing::Close,
            protocol: Protocol::Uwsgi,
            head_only: false,
            http11: false,
            keep_alive: false,
            body_bytes: 0,
            cut_bytes: 0,
            chunk_line: [0; 20],
            abandoned: false,
            additions: None,
        }
    }

    pub(crate) fn clear(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        let additions = self.additions.take();
        *self = Self::new();
        self.head = head;
        self.additions = additions;
    }

    pub(crate) fn is_started(&self) -> bool {
        self.stage != Stage::Fresh
    }

    /// Whether the head is final: it is on its way.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self.stage, Stage::Committed | Stage::Ended)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// A whole answer of ours went out instead of the app's; the connection ends with it.
    pub(crate) fn answered_by_us(&mut self, status: u16, answer: &[u8]) {
        self.clear();
        let end = answer
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .map_or(answer.len(), |at| at + 4);
        self.head.extend_from_slice(&answer[..end]);
        self.status = status;
        self.headers = answer[..end].iter().filter(|&&byte| byte == b'\n').count() as u32 - 2;
        self.body_bytes = (answer.len() - end) as u64;
        self.framing = Framing::None;
        self.stage = Stage::Ended;
    }

    /// Takes status and headers from the app; a refused call changes nothing.
    pub(crate) fn start(
        &mut self,
        asked: Asked<'_>,
        status: &[u8],
        headers: &[(&[u8], &[u8])],
        replace: bool,
    ) -> Result<(), StartError> {
        match self.stage {
            Stage::Fresh => (),
            Stage::Started if replace => (),
            Stage::Started => return Err(StartError::Twice),
            Stage::Committed | Stage::Ended if replace => return Err(StartError::HeadSent),
            Stage::Committed | Stage::Ended => return Err(StartError::Twice),
        }
        let kept;
        let mut headers = headers;
        if let Some(additions) = &self.additions
            && additions.removes_any()
        {
            kept = without(headers, additions);
            headers = &kept;
        }
        let code = status_code(status).ok_or(StartError::Status)?;
        let length = check_headers(headers, asked.headers_limit)?;
        self.clear();
        self.head.extend_from_slice(match asked.protocol {
            Protocol::Http => b"HTTP/1.1",
            Protocol::Uwsgi if asked.cgi => b"Status:",
            Protocol::Uwsgi if is_version(asked.version) => asked.version,
            Protocol::Uwsgi => b"HTTP/1.0",
        });
        self.head.push(b' ');
        self.head.extend_from_slice(status);
        self.head.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            self.head.extend_from_slice(name);
            self.head.extend_from_slice(b": ");
            self.head.extend_from_slice(value);
            self.head.extend_from_slice(b"\r\n");
            if name.eq_ignore_ascii_case(b"connection") {
                self.app_connection = true;
                self.app_closes |= has_token(value, b"close");
            }
            self.app_encodes |= name.eq_ignore_ascii_case(b"transfer-encoding");
        }
        self.status = code;
        self.headers = u32::try_from(headers.len()).unwrap_or(u32::MAX);
        self.length = length;
        self.protocol = asked.protocol;
        self.head_only = asked.head_only;
        self.http11 = asked.http11;
        self.keep_alive = asked.keep_alive;
        self.stage = Stage::Started;
        Ok(())
    }

    /// Makes the head final. `whole`: the length of the body, when all of it is known now.
    pub(crate) fn commit(&mut self, whole: Option<usize>) {
        debug_assert_eq!(self.stage, Stage::Started);
        self.stage = Stage::Committed;
        let bodyless = self.head_only || matches!(self.status, 204 | 304) || self.status < 200;
        self.framing = match (bodyless, self.length) {
            (true, _) => Framing::None,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Close,
        };
        let frames = self.protocol == Protocol::Http;
        if let Some(additions) = &self.additions {
            let (count, closes) = additions.write(&mut self.head, frames);
            self.headers += count;
            self.app_closes |= closes;
        }
        if frames {
            self.frame_http(whole);
        }
        self.head.extend_from_slice(b"\r\n");
    }

    fn frame_http(&mut self, whole: Option<usize>) {
        if self.framing == Framing::Close && !self.app_encodes {
            if let Some(whole) = whole {
                self.framing = Framing::Length(whole as u64);
                self.header(
                    b"Content-Length",
                    itoa::Buffer::new().format(whole).as_bytes(),
                );
            } else if self.http11 {
                self.framing = Framing::Chunked;
                self.header(b"Transfer-Encoding", b"chunked");
            }
        }
        self.keep_alive &= self.framing != Framing::Close && !self.app_closes;
        if !self.app_connection {
            match (self.keep_alive, self.http11) {
                (true, true) => (),
                (true, false) => self.header(b"Connection", b"keep-alive"),
                (false, _) => self.header(b"Connection", b"close"),
            }
        }
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        self.headers += 1;
        self.head.extend_from_slice(name);
        self.head.extend_from_slice(b": ");
        self.head.extend_from_slice(value);
        self.head.extend_from_slice(b"\r\n");
    }

    /// How many of the app's next `bytes` may be sent; counts them as sent.
    pub(crate) fn admit(&mut self, bytes: u64) -> u64 {
        debug_assert_eq!(self.stage, Stage::Committed);
        let admitted = match &mut self.framing {
            Framing::None => 0,
            Framing::Length(left) => {
                let admitted = bytes.min(*left);
                *left -= admitted;
                self.cut_bytes += bytes - admitted;
                admitted
            }
            Framing::Chunked | Framing::Close => bytes,
        };
        self.body_bytes += admitted;
        admitted
    }

    /// The line before a chunk of `bytes`, and what follows it; both empty where we do not chunk.
    pub(crate) fn chunk_frame(&mut self, bytes: u64) -> (&[u8], &'static [u8]) {
        if self.framing != Framing::Chunked || bytes == 0 {
            return (b"", b"");
        }
        use std::io::Write;
        let mut rest = &mut self.chunk_line[..];
        let room = rest.len();
        // 16 digits and CRLF at most.
        let _ = write!(rest, "{bytes:x}\r\n");
        let used = room - rest.len();
        (&self.chunk_line[..used], b"\r\n")
    }

    /// Head, chunk line and what follows a chunk, for one gathered send.
    pub(crate) fn parts(&mut self, with_head: bool, bytes: u64) -> (&[u8], &[u8], &'static [u8]) {
        let (line, after) = self.chunk_frame(bytes);
        let line = line.len();
        let head = if with_head { &self.head[..] } else { b"" };
        (head, &self.chunk_line[..line], after)
    }

    /// Ends the answer. The last bytes to send, if any; `keep_alive` is right from now on.
    pub(crate) fn end(&mut self) -> &'static [u8] {
        let was = std::mem::replace(&mut self.stage, Stage::Ended);
        if was != Stage::Committed {
            self.keep_alive &= was == Stage::Ended;
            return b"";
        }
        match self.framing {
            Framing::Chunked => b"0\r\n\r\n",
            Framing::Length(left) => {
                // Too short: the client must not take the next answer for the rest of this.
                self.keep_alive &= left == 0;
                b""
            }
            Framing::None => b"",
            Framing::Close => {
                self.keep_alive = false;
                b""
            }
        }
    }

    /// Bytes that the app promised by Content-Length and never gave.
    pub(crate) fn missing_bytes(&self) -> u64 {
        match self.framing {
            Framing::Length(left) => left,
            Framing::None | Framing::Chunked | Framing::Close => 0,
        }
    }

    /// Whether only a reset can tell the client that the answer broke off.
    pub(crate) fn needs_reset(&self) -> bool {
        self.abandoned && self.framing == Framing::Close && self.body_bytes > 0
    }

    /// The connection ends without the end of the answer, so that the client sees that it broke.
    pub(crate) fn abandon(&mut self) {
        self.stage = Stage::Ended;
        self.keep_alive = false;
        self.abandoned = true;
    }
}

/// `HTTP/1.1` and its like: what may stand before the status.
fn is_version(version: &[u8]) -> bool {
    version.strip_prefix(b"HTTP/").is_some_and(|number| {
        (1..=3).contains(&number.len())
            && number
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'.')
    })
}

fn status_code(status: &[u8]) -> Option<u16> {
    let (code, phrase) = status.split_first_chunk::<3>()?;
    if !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return None;
    }
    let clean = phrase.iter().all(|&byte| !is_control(byte));
    if !clean || !(phrase.is_empty() || phrase[0] == b' ') {
        return None;
    }
    Some(
        code.iter()
            .fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
    )
}

/// The headers that no `del-header` names.
fn without<'a>(
    headers: &[(&'a [u8], &'a [u8])],
    additions: &Additions,
) -> Vec<(&'a [u8], &'a [u8])> {
    let kept = headers.iter().filter(|(name, _)| !additions.removes(name));
    kept.copied().collect()
}

/// The app's Content-Length, if there is one.
fn check_headers(headers: &[(&[u8], &[u8])], limit: usize) -> Result<Option<u64>, StartError> {
    let mut total = 0;
    let mut length = None;
    for (name, value) in headers {
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(StartError::HeaderName(name.to_vec()));
        }
        if value.iter().any(|&byte| is_control(byte)) {
            return Err(StartError::HeaderValue(name.to_vec()));
        }
        total += name.len() + value.len() + 4;
        if name.eq_ignore_ascii_case(b"content-length") {
            let parsed = Some(value.trim_ascii())
                .filter(|value| !value.is_empty())
                .and_then(crate::request::content_length)
                .ok_or(StartError::ContentLength)?;
            if length.replace(parsed).is_some() {
                return Err(StartError::ContentLength);
            }
        }
    }
    if total > limit {
        return Err(StartError::TooBig);
    }
    Ok(length)
}

/// CR, LF and NUL end or break a header; the other control characters but tab have no business
/// there either (RFC 9110 §5.5).
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";
    static TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut mark = 0;
        while mark < MARKS.len() {
            table[MARKS[mark] as usize] = true;
            mark += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

/// Whether a comma-separated list holds `token`.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
