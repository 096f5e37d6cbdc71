//! The text of a request line: the original's own, or `log-format` with its variables. Pure.

use std::io::Write;

use super::{LogNotes, MAX_LINE, Outcome};
use imperator_core::settings::logs::RequestLines;
use imperator_process::time;

use crate::memory::Usage;
use crate::request::{Framing, Known, Request};
use crate::sys::{self, LocalTime};

/// All that a line can tell.
pub(super) struct Line<'a> {
    pub(super) request: &'a Request,
    pub(super) outcome: &'a Outcome,
    pub(super) stamps: &'a Stamps,
    /// Microseconds since 1970.
    pub(super) started: u64,
    pub(super) now: u64,
    pub(super) pid: u32,
    pub(super) worker: u32,
    pub(super) core: usize,
    pub(super) app_requests: u64,
    pub(super) requests: u64,
    pub(super) memory: Usage,
    /// log-x-forwarded-for
    pub(super) forwarded: bool,
    pub(super) notes: &'a LogNotes,
}

/// One second, as ctime(3) and as Apache writes it.
#[derive(Debug)]
pub(super) struct Stamps {
    ctime: String,
    apache: String,
    /// As log-date wants it; else as Apache.
    own: Option<String>,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl Stamps {
    /// `own`: the format of `%(ftime)`.
    pub(super) fn of(second: u64, own: Option<&str>) -> Self {
        let second = i64::try_from(second).unwrap_or(0);
        Self {
            own: own.map(|format| time::strftime(format, second)),
            ..Self::at(sys::local_time(second))
        }
    }

    fn at(time: LocalTime) -> Self {
        let LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            weekday,
            offset,
        } = time;
        let (month, weekday) = (MONTHS[month], WEEKDAYS[weekday]);
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs() / 60;
        Self {
            ctime: format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}"),
            apache: format!(
                "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} {sign}{:02}{:02}",
                minutes / 60,
                minutes % 60
            ),
            own: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    Original { memory: bool, micros: bool },
    Own(Vec<Chunk>),
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chunk {
    Text(String),
    /// `%(var.NAME)`
    Var(String),
    Field(Field),
    /// A name of nobody's is one that the app may set: "-" until it does, as in the original.
    Noted(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Known(Known),
    Status,
    BodyBytes,
    HeadBytes,
    AllBytes,
    ContentLength,
    Micros,
    Millis,
    Seconds,
    StartedMillis,
    StartedMicros,
    Started,
    Apache,
    Own,
    Ctime,
    Epoch,
    Pid,
    Worker,
    Switches,
    Vars,
    Core,
    Vsz,
    Rss,
    VszM,
    RssM,
    PacketSize,
    Modifier1,
    Modifier2,
    Headers,
    WriteErrors,
    ReadErrors,
    Errors,
}

/// The names of `log-format`.
const FIELDS: [(&str, Field); 39] = [
    ("uri", Field::Known(Known::Uri)),
    ("method", Field::Known(Known::Method)),
    ("user", Field::Known(Known::RemoteUser)),
    ("addr", Field::Known(Known::RemoteAddr)),
    ("host", Field::Known(Known::Host)),
    ("proto", Field::Known(Known::Protocol)),
    ("uagent", Field::Known(Known::UserAgent)),
    ("referer", Field::Known(Known::Referer)),
    ("status", Field::Status),
    ("rsize", Field::BodyBytes),
    ("hsize", Field::HeadBytes),
    ("size", Field::AllBytes),
    ("cl", Field::ContentLength),
    ("micros", Field::Micros),
    ("msecs", Field::Millis),
    ("secs", Field::Seconds),
    ("tmsecs", Field::StartedMillis),
    ("tmicros", Field::StartedMicros),
    ("time", Field::Started),
    ("ltime", Field::Apache),
    ("ftime", Field::Own),
    ("ctime", Field::Ctime),
    ("epoch", Field::Epoch),
    ("pid", Field::Pid),
    ("wid", Field::Worker),
    ("switches", Field::Switches),
    ("vars", Field::Vars),
    ("core", Field::Core),
    ("vsz", Field::Vsz),
    ("rss", Field::Rss),
    ("vszM", Field::VszM),
    ("rssM", Field::RssM),
    ("pktsize", Field::PacketSize),
    ("modifier1", Field::Modifier1),
    ("modifier2", Field::Modifier2),
    ("headers", Field::Headers),
    ("werr", Field::WriteErrors),
    ("rerr", Field::ReadErrors),
    ("ioerr", Field::Errors),
];

impl Format {
    pub(super) fn of(lines: &RequestLines, json: bool) -> Self {
        match &lines.format {
            Some(text) => Self::parse(text),
            None if json => Self::Json,
            None => Self::Original {
                memory: lines.memory,
                micros: lines.micros,
            },
        }
    }

    /// Text that is no `%(name)` stands for itself.
    pub(super) fn parse(text: &str) -> Self {
        let mut chunks = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = rest.split_once("%(").and_then(|(before, rest)| {
            let (name, after) = rest.split_once(')')?;
            Some((before, name, after))
        }) {
            if !before.is_empty() {
                chunks.push(Chunk::Text(before.to_owned()));
            }
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            chunks.push(match (name.strip_prefix("var."), field) {
                (Some(var), _) => Chunk::Var(var.to_owned()),
                (None, Some((_, field))) => Chunk::Field(*field),
                // What the original shows of a metric while it measures none.
                (None, None) if name.starts_with("metric.") => Chunk::Text("0".to_owned()),
                (None, None) => Chunk::Noted(name.to_owned()),
            });
            rest = after;
        }
        if !rest.is_empty() {
            chunks.push(Chunk::Text(rest.to_owned()));
        }
        Self::Own(chunks)
    }

    /// Whether a line needs a look at this process's memory.
    pub(super) fn tells_memory(&self) -> bool {
        match self {
            Self::Original { memory, .. } => *memory,
            Self::Json => false,
            Self::Own(chunks) => chunks.iter().any(|chunk| {
                matches!(
                    chunk,
                    Chunk::Field(Field::Vsz | Field::Rss | Field::VszM | Field::RssM)
                )
            }),
        }
    }

    /// Appends the line without its end, shorter than [`MAX_LINE`].
    pub(super) fn write(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Original { memory, micros } => {
                if *memory {
                    line.memory(out);
                }
                line.original(*micros, out);
            }
            Self::Json => super::json::write(line, out),
            Self::Own(chunks) => {
                for chunk in chunks {
                    match chunk {
                        Chunk::Text(text) => out.extend_from_slice(text.as_bytes()),
                        Chunk::Var(name) => {
                            let value = line.request.var(name.as_bytes()).unwrap_or(b"");
                            or_dash(out, value);
                        }
                        Chunk::Field(field) => line.field(*field, out),
                        Chunk::Noted(name) => or_dash(out, line.notes.get(name.as_bytes())),
                    }
                }
                if out.len() >= MAX_LINE {
                    out.truncate(MAX_LINE - 1 - CUT.len());
                    out.extend_from_slice(CUT);
                }
            }
        }
    }
}

/// Stands where something was too long.
const CUT: &[u8] = b"...";
/// Of a URI in the original's line; the rest of that line, with its other texts cut to
/// [`MAX_TEXT`], is shorter than 1 KiB.
const MAX_URI: usize = 2600;
const MAX_TEXT: usize = 100;

impl Line<'_> {
    fn memory(&self, out: &mut Vec<u8>) {
        let Usage { virtual_size, rss } = self.memory;
        print(
            out,
            format_args!(
                "{{address space usage: {virtual_size} bytes/{}MB}} \
                 {{rss usage: {rss} bytes/{}MB}} ",
                virtual_size >> 20,
                rss >> 20
            ),
        );
    }

    /// Whose request it is, for the log.
    pub(super) fn addr(&self) -> &[u8] {
        addr(self.request, self.forwarded)
    }

    fn original(&self, micros: bool, out: &mut Vec<u8>) {
        let outcome = self.outcome;
        let cut = |out: &mut Vec<u8>, which: Known, limit: usize| {
            let text = if which == Known::RemoteAddr {
                self.addr()
            } else {
                self.request.known(which)
            };
            let start = out.len();
            clean(out, &text[..text.len().min(limit)]);
            if out.len() - start > limit || text.len() > limit {
                out.truncate(start + limit);
                out.extend_from_slice(CUT);
            }
        };
        out.extend_from_slice(b"[pid: ");
        number(out, self.pid.into());
        if outcome.is_static {
            out.extend_from_slice(b"|app: -1|req: -1");
        } else {
            out.extend_from_slice(b"|app: 0|req: ");
            number(out, self.app_requests);
        }
        out.push(b'/');
        number(out, self.requests);
        out.extend_from_slice(b"] ");
        cut(out, Known::RemoteAddr, MAX_TEXT);
        out.extend_from_slice(b" (");
        cut(out, Known::RemoteUser, MAX_TEXT);
        out.extend_from_slice(b") {");
        number(out, self.request.received_vars as u64 * 2);
        out.extend_from_slice(b" vars in ");
        number(out, self.request.received_bytes as u64);
        out.extend_from_slice(b" bytes} [");
        out.extend_from_slice(self.stamps.ctime.as_bytes());
        out.extend_from_slice(b"] ");
        cut(out, Known::Method, MAX_TEXT);
        out.push(b' ');
        cut(out, Known::Uri, MAX_URI);
        let (time, unit): (u64, &[u8]) = match micros {
            true => (outcome.micros, b" micros"),
            false => (outcome.micros / 1000, b" msecs"),
        };
        let via: &[u8] = match outcome.by_sendfile {
            true => b" via sendfile() (",
            false => b" (",
        };
        out.extend_from_slice(b" => generated ");
        number(out, outcome.body_bytes);
        out.extend_from_slice(b" bytes in ");
        number(out, time);
        out.extend_from_slice(unit);
        out.extend_from_slice(via);
        cut(out, Known::Protocol, MAX_TEXT);
        out.push(b' ');
        number(out, outcome.status.into());
        out.extend_from_slice(b") ");
        number(out, outcome.headers.into());
        out.extend_from_slice(b" headers in ");
        number(out, outcome.head_bytes);
        out.extend_from_slice(b" bytes (");
        number(out, outcome.chunks.into());
        out.extend_from_slice(b" switches on core ");
        number(out, self.core as u64);
        out.push(b')');
    }

    fn field(&self, field: Field, out: &mut Vec<u8>) {
        let outcome = self.outcome;
        let value: u64 = match field {
            Field::Known(Known::RemoteAddr) => return or_dash(out, self.addr()),
            Field::Known(which) => return or_dash(out, self.request.known(which)),
            Field::Apache => return out.extend_from_slice(self.stamps.apache.as_bytes()),
            Field::Own => {
                let text = self.stamps.own.as_ref().unwrap_or(&self.stamps.apache);
                return or_dash(out, text.as_bytes());
            }
            Field::Ctime => return out.extend_from_slice(self.stamps.ctime.as_bytes()),
            Field::Seconds => {
                let (whole, part) = (outcome.micros / 1_000_000, outcome.micros % 1_000_000);
                return print(out, format_args!("{whole}.{part:06}"));
            }
            Field::Status => outcome.status.into(),
            Field::BodyBytes => outcome.body_bytes,
            Field::HeadBytes => outcome.head_bytes,
            Field::AllBytes => outcome.head_bytes + outcome.body_bytes,
            Field::ContentLength => match self.request.framing {
                Framing::Length(length) => length,
                Framing::Chunked => 0,
            },
            Field::Micros => outcome.micros,
            Field::Millis => outcome.micros / 1000,
            Field::StartedMillis => self.started / 1000,
            Field::StartedMicros => self.started,
            Field::Started => self.started / 1_000_000,
            Field::Epoch => self.now / 1_000_000,
            Field::Pid => self.pid.into(),
            Field::Worker => self.worker.into(),
            Field::Switches => outcome.chunks.into(),
            Field::Vars => self.request.received_vars as u64 * 2,
            Field::Core => self.core as u64,
            Field::Vsz => self.memory.virtual_size,
            Field::Rss => self.memory.rss,
            Field::VszM => self.memory.virtual_size >> 20,
            Field::RssM => self.memory.rss >> 20,
            Field::PacketSize => self.request.received_bytes as u64,
            Field::Modifier1 => self.request.modifier1.into(),
            // We answer it like 0, whatever it is.
            Field::Modifier2 => 0,
            Field::Headers => outcome.headers.into(),
            Field::WriteErrors => outcome.write_failed.into(),
            Field::ReadErrors => outcome.read_failed.into(),
            Field::Errors => u64::from(outcome.write_failed) + u64::from(outcome.read_failed),
        };
        number(out, value);
    }
}

/// Whose request it is: `forwarded` believes the front end before us.
pub(super) fn addr(request: &Request, forwarded: bool) -> &[u8] {
    let forwarded = match forwarded {
        true => request.var(b"HTTP_X_FORWARDED_FOR"),
        false => None,
    };
    match forwarded {
        Some(address) if !address.is_empty() => address,
        Some(_) | None => request.known(Known::RemoteAddr),
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn or_dash(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        out.push(b'-');
    } else {
        clean(out, &value[..value.len().min(MAX_LINE)]);
    }
}

/// Appends a text of the client's; what could end the line or fool a terminal is escaped.
pub(super) fn clean(out: &mut Vec<u8>, text: &[u8]) {
    if !text.iter().any(u8::is_ascii_control) {
        return out.extend_from_slice(text);
    }
    for &byte in text {
        if byte.is_ascii_control() {
            print(out, format_args!("\\x{byte:02x}"));
        } else {
            out.push(byte);
        }
    }
}

pub(super) fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A Vec takes everything.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Limits;
    use imperator_core::packet::encode;
    use imperator_core::settings::Protocol;

    fn request(uri: &str) -> Request {
        let mut request = Request::new(8000);
        request.clear(Protocol::Uwsgi);
        let vars = [
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", uri),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REMOTE_ADDR", "1.2.3.4"),
            ("HTTP_X", "y"),
        ];
        encode(0, vars, &mut request.buffer).unwrap();
        let limits = Limits {
            head: 65535,
            body: None,
            strict_vars: false,
        };
        crate::uwsgi::parse(&mut request, &limits).unwrap();
        request
    }

    fn line(format: &Format, uri: &str, outcome: &Outcome) -> String {
        let stamps = Stamps::at(LocalTime {
            year: 2026,
            month: 10,
            day: 3,
            hour: 4,
            minute: 5,
            second: 6,
            weekday: 2,
            offset: -12_600,
        });
        let line = Line {
            request: &request(uri),
            outcome,
            stamps: &stamps,
            started: 1_795_401_037_807_003,
            now: 1_795_401_038_000_000,
            pid: 25058,
            worker: 2,
            core: 3,
            app_requests: 7,
            requests: 9,
            forwarded: false,
            notes: &LogNotes::default(),
            memory: Usage {
                virtual_size: 61_022_208,
                rss: 16_605_184,
            },
        };
        let mut out = Vec::new();
        format.write(&line, &mut out);
        String::from_utf8(out).unwrap()
    }

    const ORIGINAL: Format = Format::Original {
        memory: false,
        micros: false,
    };
    const WITH_MEMORY: Format = Format::Original {
        memory: true,
        micros: false,
    };

    const OUTCOME: Outcome = Outcome {
        status: 200,
        headers: 1,
        head_bytes: 44,
        body_bytes: 5,
        micros: 1234,
        chunks: 1,
        by_sendfile: false,
        failed: false,
        write_failed: true,
        read_failed: false,
        is_static: false,
    };

    #[test]
    fn the_line_is_the_originals() {
        assert_eq!(
            line(&ORIGINAL, "/boom", &OUTCOME),
            "[pid: 25058|app: 0|req: 7/9] 1.2.3.4 () {10 vars in 101 bytes} [Tue Nov  3 04:05:06 \
             2026] GET /boom => generated 5 bytes in 1 msecs (HTTP/1.1 200) 1 headers in 44 bytes \
             (1 switches on core 3)"
        );
        let file = Outcome {
            is_static: true,
            by_sendfile: true,
            ..OUTCOME
        };
        assert_eq!(
            line(&WITH_MEMORY, "/a", &file),
            "{address space usage: 61022208 bytes/58MB} {rss usage: 16605184 bytes/15MB} \
             [pid: 25058|app: -1|req: -1/9] 1.2.3.4 () {10 vars in 98 bytes} [Tue Nov  3 04:05:06 \
             2026] GET /a => generated 5 bytes in 1 msecs via sendfile() (HTTP/1.1 200) 1 headers \
             in 44 bytes (1 switches on core 3)"
        );
    }

    #[test]
    fn a_client_can_neither_end_nor_overflow_a_line() {
        let forged = line(&ORIGINAL, "/a\n[pid: 1] \x1b[2J", &OUTCOME);
        assert!(
            forged.contains("GET /a\\x0a[pid: 1] \\x1b[2J =>"),
            "{forged}"
        );
        for uri in ["x".repeat(60_000), "\n".repeat(60_000)] {
            let long = line(&WITH_MEMORY, &uri, &OUTCOME);
            assert!(
                long.len() < MAX_LINE && long.ends_with("on core 3)"),
                "{}",
                long.len()
            );
            let own = line(&Format::parse("%(uri)%(uri) end"), &uri, &OUTCOME);
            assert!(own.len() < MAX_LINE && own.ends_with("..."));
        }
    }

    #[test]
    fn log_format_fills_in_its_names() {
        let format = Format::parse(
            "%(addr) - %(user) [%(ltime)] \"%(method) %(uri) %(proto)\" %(status) %(size) \
             %(secs) %(var.HTTP_X) %(var.NO) %(foo) %(epoch) %(tmsecs) %(rssM) 100% %(",
        );
        assert!(format.tells_memory());
        assert_eq!(
            line(&format, "/u", &OUTCOME),
            "1.2.3.4 - - [03/Nov/2026:04:05:06 -0330] \"GET /u HTTP/1.1\" 200 49 0.001234 y - - \
             1795401038 1795401037807 15 100% %("
        );
        assert_eq!(
            line(
                &Format::parse("%(werr)%(rerr)%(ioerr) %(vars) %(wid)"),
                "/",
                &OUTCOME
            ),
            "101 10 2"
        );
    }
}
