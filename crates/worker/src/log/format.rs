//! What the request lines of an app look like: the original's own line, JSON, or `log-format` with
//! its variables. Pure.

use imperator_core::settings::logs::RequestLines;

use super::MAX_LINE;
use super::line::{CUT, FIELDS, Field, Line, or_dash};

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

#[cfg(test)]
mod tests {
    use super::super::stamps::Stamps;
    use super::super::{LogNotes, Outcome};
    use super::*;
    use crate::memory::Usage;
    use crate::request::{Limits, Request};
    use crate::sys::LocalTime;
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
                &Format::parse("%(werr)%(rerr)%(ioerr) %(vars) %(wid) %(metric.x)"),
                "/",
                &OUTCOME
            ),
            "101 10 2 0"
        );
        assert!(!Format::parse("%(addr)").tells_memory());
    }
}
