//! What an operator reads when something of an app fails: one line with cause and place, a way out.
//! Pure; the clock's time is stamped where a failure is recorded.

use std::time::Duration;

use imperator_core::message::{Failure, MAX_TEXT};
use imperator_core::settings::Settings;
use imperator_process::reap::End;
use imperator_process::spawn::{SpawnError, Step};

use crate::event::Cause;

/// A failure of one config line: the first of `options` that the config has names the place.
pub(crate) fn at(
    settings: &Settings,
    options: &[&str],
    text: impl AsRef<str>,
    hint: impl Into<String>,
) -> Failure {
    plain(placed(settings, options, text.as_ref()), Some(hint.into()))
}

pub(crate) fn plain(summary: impl Into<String>, hint: Option<String>) -> Failure {
    Failure {
        summary: summary.into(),
        hint,
        detail: None,
        at: 0,
        ..Failure::default()
    }
}

fn placed(settings: &Settings, options: &[&str], text: &str) -> String {
    match options.iter().find_map(|name| settings.places.get(*name)) {
        Some(place) => format!("{place}: {text}"),
        None => text.to_owned(),
    }
}

/// The options that name what is loaded.
const LOADED: [&str; 7] = [
    "module",
    "wsgi",
    "wsgi-file",
    "file",
    "mount",
    "worker-mount",
    "callable",
];
const WAY_OUT: &str = "mend the app and touch its ini";

/// What the app's import said about itself.
pub(crate) fn load(settings: &Settings, summary: &str, traceback: &str) -> Failure {
    let summary = first_line(summary);
    // The worker cites the line of the ini at the end: `(blog.ini:4: module = blog.wsgi)`. An
    // editor jumps to what stands first.
    let cited = summary
        .strip_suffix(')')
        .and_then(|it| it.rsplit_once(" ("));
    let cited = cited.and_then(|(cause, cite)| Some((cause, cite.split_once(": ")?)));
    let text = match cited {
        Some((cause, (place, what))) if place.contains(':') => {
            format!("{place}: cannot load {what}: {cause}")
        }
        Some(_) | None => placed(
            settings,
            &LOADED,
            &format!("cannot load the app: {summary}"),
        ),
    };
    Failure {
        summary: text,
        hint: Some(load_hint(summary).to_owned()),
        detail: Some(cut(traceback)),
        at: 0,
        ..Failure::default()
    }
}

fn load_hint(summary: &str) -> &'static str {
    if summary.contains("ModuleNotFoundError") || summary.contains("No module named") {
        "install it into the app's virtualenv, or set chdir or pythonpath to where it is"
    } else {
        WAY_OUT
    }
}

pub(crate) fn unfit(settings: &Settings, why: &str) -> Failure {
    let options = ["virtualenv", "home", "venv", "pyhome", "python"];
    let hint = "set virtualenv or python to a CPython 3.9 or later";
    at(settings, &options, first_line(why), hint)
}

/// Why a start did not even reach the interpreter.
pub(crate) fn spawn(settings: &Settings, error: &SpawnError) -> Failure {
    let (options, hint): (&[&str], &str) = match error.step {
        Step::Chdir => (
            &["chdir"],
            "make the directory, and let the app's user enter it",
        ),
        Step::Setgroups | Step::Setgid | Step::Setuid => (
            &["uid", "gid"],
            "start as root with CAP_SETUID and CAP_SETGID, or remove uid and gid",
        ),
        Step::Exec => (
            // With none of them it is python3 from PATH, which only another user may not execute.
            &[
                "python",
                "virtualenv",
                "home",
                "venv",
                "pyhome",
                "uid",
                "gid",
            ],
            "let the app's user execute the interpreter, or set another one",
        ),
        Step::Prepare | Step::Fork | Step::Group | Step::Descriptors | Step::Limits => (
            &[],
            "look at the limits of this machine: processes, memory, open files",
        ),
    };
    at(settings, options, error.to_string(), hint)
}

/// What `cause` reads like; `output` are the last lines that the app wrote.
pub(crate) fn explain(settings: &Settings, cause: &Cause, output: &str) -> Failure {
    let (text, hint) = match cause {
        Cause::Said(failure) => return (**failure).clone(),
        Cause::Ended { mold, end } => (ended(*mold, *end), ended_hint(*end)),
        Cause::Late { after } => (
            format!("the app was not ready within {}", seconds(*after)),
            "it hangs while it is imported: look for a wait at module level, or raise ready-timeout",
        ),
    };
    Failure {
        summary: placed(settings, &LOADED, &text),
        hint: Some(hint.to_owned()),
        detail: Some(cut(output)).filter(|text| !text.is_empty()),
        at: 0,
        ..Failure::default()
    }
}

fn ended(mold: bool, end: End) -> String {
    let who = if mold { "the app" } else { "a worker" };
    match end {
        End::Code(code) => format!(
            "{who} ended with {end_code} before it was ready",
            end_code = End::Code(code)
        ),
        End::Signal(signal) => {
            let name = imperator_process::signals::name(signal);
            format!("{who} was killed by {name} before it was ready")
        }
    }
}

fn ended_hint(end: End) -> &'static str {
    match end {
        End::Signal(9) => {
            "somebody killed it: an operator, or the kernel for want of memory (see dmesg)"
        }
        End::Signal(_) => {
            "a C extension crashed while the app was imported; the last output is in the status"
        }
        End::Code(_) => {
            "something calls exit while the app is imported; the last output is in the status"
        }
    }
}

fn seconds(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{} s", duration.as_secs()),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or("no reason given")
}

/// The end of a long text: the cause of a traceback stands there.
pub(crate) fn cut(text: &str) -> String {
    let mut start = text.len().saturating_sub(MAX_TEXT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::finding::Place;

    fn settings() -> Settings {
        let mut settings = Settings::default();
        let file = "blog.ini".into();
        settings
            .places
            .insert("module".into(), Place { file, line: 3 });
        settings
    }

    #[test]
    fn each_failure_is_one_line_with_its_place() {
        let late = Cause::Late {
            after: Duration::from_secs(60),
        };
        let ended = |end| Cause::Ended { mold: false, end };
        let cases = [
            (late, "blog.ini:3: the app was not ready within 60 s"),
            (
                ended(End::Signal(11)),
                "blog.ini:3: a worker was killed by SIGSEGV before it was ready",
            ),
            (
                ended(End::Code(3)),
                "blog.ini:3: a worker ended with exit code 3 before it was ready",
            ),
        ];
        for (cause, expected) in cases {
            let failure = explain(&settings(), &cause, "");
            assert_eq!(failure.summary, expected);
            assert!(failure.hint.is_some());
        }
        let failure = load(
            &settings(),
            "ModuleNotFoundError: No module named 'x'\n",
            "Traceback",
        );
        assert_eq!(
            failure.summary,
            "blog.ini:3: cannot load the app: ModuleNotFoundError: No module named 'x'"
        );
        let summary = "ValueError: bad (app.py:7) (site.ini:4: module = app)";
        assert_eq!(
            load(&settings(), summary, "").summary,
            "site.ini:4: cannot load module = app: ValueError: bad (app.py:7)"
        );
    }

    #[test]
    fn a_long_traceback_keeps_its_end() {
        let text = format!("{}the cause", "ä".repeat(MAX_TEXT));
        assert!(cut(&text).len() <= MAX_TEXT);
        assert!(cut(&text).ends_with("the cause"));
    }
}
