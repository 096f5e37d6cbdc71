//! What a request line can tell, under the names of `log-format`, and the original's own line. Pure.

use std::io::Write;

use super::stamps::Stamps;
use super::{LogNotes, MAX_LINE, Outcome};
use crate::memory::Usage;
use crate::request::{Framing, Known, Request};

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
pub(super) const FIELDS: [(&str, Field); 39] = [
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

/// Stands where something was too long.
pub(super) const CUT: &[u8] = b"...";
/// Of a URI in the original's line; the rest of that line, with its other texts cut to
/// [`MAX_TEXT`], is shorter than 1 KiB.
const MAX_URI: usize = 2600;
const MAX_TEXT: usize = 100;

impl Line<'_> {
    pub(super) fn memory(&self, out: &mut Vec<u8>) {
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

    pub(super) fn original(&self, micros: bool, out: &mut Vec<u8>) {
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

    pub(super) fn field(&self, field: Field, out: &mut Vec<u8>) {
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

pub(super) fn or_dash(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        out.push(b'-');
    } else {
        clean(out, &value[..value.len().min(MAX_LINE)]);
    }
}

/// Appends a text of the client's; what could end the line or fool a terminal is escaped.
pub(super) fn clean(out: &mut Vec<u8>, text: &[u8]) {
    // Without a way out in the middle it takes several bytes at a time.
    let is_odd = text
        .iter()
        .fold(false, |odd, byte| odd | byte.is_ascii_control());
    if !is_odd {
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
