//! The way of a line: what is dropped, what is routed to one logger, what is done to the text on
//! the way. Pure but for the clock that the caller reads.

use imperator_core::pattern::Matcher;
use imperator_core::settings::logs::{Encoding, LogEncoder, Logs, Piece};
use imperator_process::time;

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    App,
    Request,
    /// The master itself.
    Master,
}

/// A logger, or the place where lines go that no logger takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    pub id: Option<String>,
    /// Index of its sink.
    pub sink: usize,
}

/// One way, for app lines or for request lines.
#[derive(Debug, Default)]
pub(crate) struct Way {
    pub drain: Vec<Matcher>,
    pub filter: Vec<Matcher>,
    /// Each with the exit that it leads to.
    pub routes: Vec<(Matcher, Exit)>,
    /// Where lines go that no route takes.
    pub plain: Vec<Exit>,
    pub encoders: Vec<LogEncoder>,
    /// log-json, with the app's name.
    pub json: Option<String>,
}

/// A line at one exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived<'a> {
    pub sink: usize,
    pub text: &'a [u8],
    /// The config has made its text: nothing is to be put before or behind it.
    pub is_made: bool,
}

impl Way {
    /// `line` is without its end. `now`: microseconds since 1970, asked for only when needed.
    pub(crate) fn take(
        &self,
        line: &[u8],
        source: Source,
        now: &impl Fn() -> u64,
        mut arrive: impl FnMut(Arrived<'_>),
    ) {
        let hits = |matchers: &[Matcher]| matchers.iter().any(|it| it.is_match(line));
        if hits(&self.drain) || (!self.filter.is_empty() && !hits(&self.filter)) {
            return;
        }
        let mut is_routed = false;
        for (matcher, exit) in &self.routes {
            if matcher.is_match(line) {
                is_routed = true;
                self.leave(line, source, now, exit, &mut arrive);
            }
        }
        if !is_routed {
            for exit in &self.plain {
                self.leave(line, source, now, exit, &mut arrive);
            }
        }
    }

    fn leave(
        &self,
        line: &[u8],
        source: Source,
        now: &impl Fn() -> u64,
        exit: &Exit,
        arrive: &mut impl FnMut(Arrived<'_>),
    ) {
        let concerns = |encoder: &&LogEncoder| match &encoder.only {
            None => true,
            Some(only) => exit.id.as_ref() == Some(only),
        };
        let mut encoders = self.encoders.iter().filter(concerns).peekable();
        if encoders.peek().is_none() && self.json.is_none() {
            return arrive(Arrived {
                sink: exit.sink,
                text: line,
                is_made: false,
            });
        }
        let now = now();
        let mut text = line.to_vec();
        text.push(b'\n');
        for encoder in encoders {
            text = encode(&encoder.how, &text, now);
        }
        if let Some(name) = &self.json {
            text = object(&text, name, source, now);
        }
        arrive(Arrived {
            sink: exit.sink,
            text: &text,
            is_made: true,
        });
    }
}

/// The ids of routes that no logger has, for a finding.
pub(crate) fn lost_routes(logs: &Logs) -> Vec<String> {
    let known = |id: &str| {
        let mut all = logs.loggers.iter().chain(&logs.req_loggers);
        all.any(|logger| logger.id.as_deref() == Some(id))
    };
    let routes = [
        ("log-route", &logs.routes),
        ("log-req-route", &logs.req_routes),
    ];
    let lost = routes.into_iter().flat_map(|(option, routes)| {
        let lost = routes.iter().filter(|route| !known(&route.id));
        lost.map(move |route| {
            format!(
                "{option}: no logger has the id \"{0}\"; hint: add logger = {0} file:/path",
                route.id
            )
        })
    });
    lost.collect()
}

/// `text` ends with a line end until an encoder takes it away.
fn encode(how: &Encoding, text: &[u8], now: u64) -> Vec<u8> {
    match how {
        Encoding::Prefix(prefix) => [prefix.as_bytes(), text].concat(),
        Encoding::Suffix(suffix) => [text, suffix.as_bytes()].concat(),
        Encoding::Newline => [text, b"\n"].concat(),
        Encoding::Format(pieces) => fill(pieces, text, now, |bytes| bytes.to_vec()),
        Encoding::Json(pieces) => fill(pieces, text, now, |bytes| escaped(bytes).into_bytes()),
    }
}

fn fill(pieces: &[Piece], text: &[u8], now: u64, escape: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 128);
    for piece in pieces {
        match piece {
            Piece::Text(plain) => out.extend_from_slice(plain.as_bytes()),
            Piece::Message => {
                out.extend(escape(text.strip_suffix(b"\n").unwrap_or(text)));
            }
            Piece::MessageWithEnd => out.extend(escape(text)),
            Piece::Seconds => out.extend((now / 1_000_000).to_string().bytes()),
            Piece::Millis => out.extend((now / 1000).to_string().bytes()),
            Piece::Micros => out.extend(now.to_string().bytes()),
            Piece::Strftime(format) => {
                let second = i64::try_from(now / 1_000_000).unwrap_or(0);
                out.extend(escape(time::strftime(format, second).as_bytes()));
            }
        }
    }
    out
}

/// As it stands between the quotes of a JSON string.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let quoted = serde_json::to_string(&text).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// The line as one object; what is one already stays as it is.
fn object(text: &[u8], name: &str, source: Source, now: u64) -> Vec<u8> {
    let bare = text.strip_suffix(b"\n").unwrap_or(text);
    let is_object =
        bare.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(bare).is_ok();
    if is_object {
        return bare.to_vec();
    }
    let source = match source {
        Source::App => "app",
        Source::Request => "request",
        Source::Master => "imperator",
    };
    format!(
        "{{\"time\":\"{}\",\"source\":\"{source}\",\"app\":\"{}\",\"message\":\"{}\"}}",
        time::utc(now),
        escaped(name.as_bytes()),
        escaped(bare)
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::pattern::Pattern;

    fn matcher(text: &str) -> Matcher {
        Pattern::new(text).unwrap().compile().unwrap()
    }

    fn exit(id: &str, sink: usize) -> Exit {
        Exit {
            id: Some(id.to_owned()).filter(|id| !id.is_empty()),
            sink,
        }
    }

    /// What arrives where.
    fn arrived(way: &Way, line: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let now = || 1_795_401_037_000_001;
        way.take(line.as_bytes(), Source::App, &now, |it| {
            found.push((it.sink, String::from_utf8(it.text.to_vec()).unwrap()));
        });
        found
    }

    #[test]
    fn drains_and_filters_decide_what_goes_on() {
        let way = Way {
            drain: vec![matcher("noise")],
            filter: vec![matcher("^a"), matcher("^b")],
            plain: vec![exit("", 0)],
            ..Way::default()
        };
        assert_eq!(arrived(&way, "a noise"), []);
        assert_eq!(arrived(&way, "c"), []);
        assert_eq!(arrived(&way, "b"), [(0, "b".to_owned())]);
    }

    #[test]
    fn what_a_route_takes_goes_nowhere_else() {
        let way = Way {
            routes: vec![
                (matcher("^\\{"), exit("json", 1)),
                (matcher("error"), exit("bad", 2)),
            ],
            plain: vec![exit("", 0), exit("", 3)],
            ..Way::default()
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(arrived(&way, "x"), [(0, text("x")), (3, text("x"))]);
        assert_eq!(
            arrived(&way, "{error"),
            [(1, text("{error")), (2, text("{error"))]
        );
    }

    fn encoder(only: Option<&str>, how: Encoding) -> LogEncoder {
        LogEncoder {
            only: only.map(str::to_owned),
            how,
        }
    }

    #[test]
    fn encoders_work_one_after_another_and_some_for_one_logger_only() {
        let template = vec![
            Piece::Text("{\"t\":".to_owned()),
            Piece::Seconds,
            Piece::Text(",\"m\":\"".to_owned()),
            Piece::Message,
            Piece::Text("\"}".to_owned()),
        ];
        let way = Way {
            plain: vec![exit("", 0)],
            routes: vec![(matcher("^r"), exit("app", 1))],
            encoders: vec![
                encoder(Some("app"), Encoding::Prefix("> ".to_owned())),
                encoder(None, Encoding::Json(template)),
                encoder(None, Encoding::Newline),
                encoder(Some("app"), Encoding::Suffix("!".to_owned())),
            ],
            ..Way::default()
        };
        let line = "say \"a\\b\"\u{1}";
        let expected = "{\"t\":1795401037,\"m\":\"say \\\"a\\\\b\\\"\\u0001\"}\n";
        assert_eq!(arrived(&way, line), [(0, expected.to_owned())]);
        let routed = "{\"t\":1795401037,\"m\":\"> r\"}\n!";
        assert_eq!(arrived(&way, "r"), [(1, routed.to_owned())]);
    }

    #[test]
    fn each_line_becomes_one_json_object_and_stays_one() {
        let way = Way {
            plain: vec![exit("", 0)],
            json: Some("shop".to_owned()),
            ..Way::default()
        };
        let own = "{\"level\": \"info\"}";
        assert_eq!(arrived(&way, own), [(0, own.to_owned())]);
        for line in ["{broken", "tab\there \u{fffd}", ""] {
            let (_, text) = arrived(&way, line).remove(0);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["message"], line);
            assert_eq!(value["time"], "2026-11-23T02:30:37.000001Z");
            assert_eq!(
                (&value["app"], &value["source"]),
                (&"shop".into(), &"app".into())
            );
        }
    }
}
