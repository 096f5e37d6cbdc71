//! Rows: how the worker answers for the app (`wsgi-*`, gevent), and what helps who develops it.

use std::time::Duration;

use super::Support::{Differs, Full, Ignored, Later};
use super::{Draft, Given, Invalid, Opt, Value, nothing, opt};
use crate::counters::MAX_CORES;
use crate::finding::{Finding, Place};
use crate::settings::python::{Autoreload, Gevent, Patch};
use crate::settings::{Settings, Target};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "async",
        Value::Number,
        LOOP,
        "number of requests that one worker interleaves",
        nothing,
    ),
    opt("asyncio", Value::Number, LOOP, "serve by asyncio", nothing),
    opt(
        "catch-exceptions",
        Value::Flag,
        Full,
        "tell the client traceback and variables; never in production",
        set!(interpreter.wsgi.tell_exceptions, flag),
    ),
    opt(
        "gevent",
        Value::Number,
        Differs("greenlets are made as requests come; no signals of uWSGI's"),
        "serve so many requests at a time in greenlets of gevent",
        |draft, given| {
            draft.python.greenlets = draft.number32(given)?;
            draft.python.gevent_at = Some(given.place.clone());
            Ok(())
        },
    ),
    opt(
        "gevent-early-monkey-patch",
        Value::Flag,
        Full,
        "patch the standard library before the app is loaded",
        |draft, given| {
            draft.python.early_patch = draft.flag(given);
            Ok(())
        },
    ),
    opt(
        "gevent-monkey-patch",
        Value::Flag,
        Full,
        "patch the standard library when the worker begins",
        |draft, given| {
            draft.python.late_patch = draft.flag(given);
            Ok(())
        },
    ),
    opt(
        "gevent-wait-for-hub",
        Value::Flag,
        Full,
        "at the end wait for all greenlets",
        |draft, given| {
            draft.python.wait_for_hub = draft.flag(given);
            Ok(())
        },
    ),
    opt(
        "greenlet",
        Value::Flag,
        LOOP,
        "suspend in greenlets",
        nothing,
    ),
    opt(
        "loop",
        Value::Text,
        LOOP,
        "name of the loop engine",
        nothing,
    ),
    opt(
        "profiler",
        Value::Text,
        Later("wrap the app: werkzeug.middleware.profiler, or py-spy from outside"),
        "log each call or line of Python",
        nothing,
    ),
    opt(
        "py-auto-reload-ignore",
        Value::Text,
        Full,
        "module whose changes reload nothing",
        |draft, given| {
            draft.python.ignored.push(Draft::some_text(given)?);
            Ok(())
        },
    ),
    opt(
        "py-autoreload",
        Value::Seconds,
        Differs("at once where the system tells of changes; a broken edit keeps the old code"),
        "reload when a loaded module changes; looks every N seconds",
        |draft, given| {
            draft.python.every = draft.seconds(given)?;
            Ok(())
        },
    )
    .aka(&["py-auto-reload", "python-auto-reload", "python-autoreload"]),
    opt(
        "py-tracebacker",
        Value::Path,
        Full,
        "Unix socket that tells the stacks; the worker's number is added",
        set!(interpreter.tracebacker, text),
    ),
    opt(
        "start_response-nodelay",
        Value::Flag,
        Full,
        "send the head when start_response is called",
        set!(interpreter.wsgi.early_head, flag),
    ),
    opt(
        "ugreen",
        Value::Flag,
        LOOP,
        "suspend in green threads",
        nothing,
    ),
    opt(
        "wsgi-accept-buffer",
        Value::Flag,
        Full,
        "take bytearray and other buffers from the app",
        set!(interpreter.wsgi.buffers, flag),
    )
    .aka(&["wsgi-accept-buffers"]),
    opt(
        "wsgi-disable-file-wrapper",
        Value::Flag,
        Full,
        "leave wsgi.file_wrapper out of the environ",
        set!(interpreter.wsgi.no_file_wrapper, flag),
    ),
    opt(
        "wsgi-env-behaviour",
        Value::Text,
        Ignored("each request has a new environ, as with holy"),
        "how the environ is made: cheat or holy",
        nothing,
    )
    .aka(&["wsgi-env-behavior"]),
    opt(
        "wsgi-manage-chunked-input",
        Value::Flag,
        Ignored("wsgi.input always ends where the chunks end"),
        "read chunked bodies through wsgi.input",
        nothing,
    ),
    opt(
        "wsgi-strict",
        Value::Flag,
        Differs("a plain bytes object is a TypeError and 500"),
        "take no plain bytes object for an answer",
        set!(interpreter.wsgi.strict, flag),
    ),
];

const LOOP: super::Support =
    Later("set gevent = N for an app that waits for much at a time, or threads = N");

/// What only the whole config can tell about the interpreter.
#[derive(Debug, Default)]
pub(super) struct PythonDraft {
    pub(super) eval: Option<(String, Place)>,
    pub(super) paste: Option<(String, Place)>,
    pub(super) greenlets: u32,
    pub(super) gevent_at: Option<Place>,
    pub(super) early_patch: bool,
    pub(super) late_patch: bool,
    pub(super) wait_for_hub: bool,
    pub(super) every: Duration,
    pub(super) ignored: Vec<String>,
}

impl PythonDraft {
    pub(super) fn ini_paste(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        let file = Draft::some_text(given)?;
        self.paste = Some((format!("config:{file}"), given.place.clone()));
        Ok(())
    }

    /// In uWSGI's order.
    pub(super) fn targets(&mut self) -> [Option<(&'static str, Target, Place)>; 2] {
        let paste = self.paste.take();
        let eval = self.eval.take();
        [
            paste.map(|(uri, place)| ("paste", Target::Paste(uri), place)),
            eval.map(|(code, place)| ("eval", Target::Eval(code), place)),
        ]
    }

    pub(super) fn finish(self, settings: &mut Settings, findings: &mut Vec<Finding>) {
        let interpreter = &mut settings.interpreter;
        if !self.every.is_zero() {
            interpreter.autoreload = Some(Autoreload {
                every: self.every,
                ignored: self.ignored,
            });
        }
        if self.greenlets == 0 {
            return;
        }
        let place = self.gevent_at.as_ref().and_then(Place::known);
        let most = u32::try_from(MAX_CORES).unwrap_or(u32::MAX);
        if self.greenlets > most {
            let text = format!("gevent = {} is cut to {most}", self.greenlets);
            findings.push(
                Finding::warning(place.clone(), text).with_hint(format!("write {most} or less")),
            );
        }
        if settings.threads > 1 {
            let text = "\"threads\" has no effect beside \"gevent\": one thread runs all greenlets";
            findings.push(Finding::warning(place, text).with_hint("remove threads"));
        }
        let patch = match (self.early_patch, self.late_patch) {
            (true, _) => Some(Patch::Early),
            (false, true) => Some(Patch::Late),
            (false, false) => None,
        };
        interpreter.gevent = Some(Gevent {
            greenlets: self.greenlets.min(most),
            patch,
            wait_for_hub: self.wait_for_hub,
        });
    }
}
