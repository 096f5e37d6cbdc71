//! What an operator reads when something of an app fails: one line with cause and place, a way out.
//! Pure; the clock's time is stamped where a failure is recorded.

use std::io;
use std::time::Duration;

use imperator_core::message::{Failure, LoadError, MAX_TEXT};
use imperator_core::settings::Settings;
use imperator_core::why::{CauseId, by_errno, by_exception, by_text};
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

/// The ways out where the kernel refuses something to this process.
const SYSTEM: [(CauseId, &str); 3] = [
    (
        CauseId::FdLimit,
        "raise LimitNOFILE of the service, or fs.file-max; it is tried again by itself",
    ),
    (
        CauseId::ForkLimit,
        "raise TasksMax or LimitNPROC of the service, or kernel.pid_max; it is tried again by itself",
    ),
    (
        CauseId::DiskFull,
        "make room on the disk; it is tried again by itself",
    ),
];

/// What the kernel refused to this process: `what` is what was tried.
pub(crate) fn system(what: &str, error: &io::Error) -> Failure {
    let cause = error.raw_os_error().and_then(by_errno).unwrap_or_default();
    let hint = SYSTEM.iter().find(|(known, _)| *known == cause);
    let hint = hint.map_or(
        "look at the limits of this machine: processes, memory, open files",
        |(_, hint)| hint,
    );
    plain(format!("cannot {what}: {error}"), Some(hint.to_owned())).of(cause)
}

/// A worker that could not be forked.
pub(crate) fn fork(settings: &Settings, text: String, why: &str) -> Failure {
    let failure = at(
        settings,
        &["limit-nproc"],
        text,
        "raise limit-nproc of the app, or TasksMax or LimitNPROC of the service; it is tried again \
         by itself",
    );
    failure.of(by_text(why).unwrap_or_default())
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
pub(crate) fn load(
    settings: &Settings,
    summary: &str,
    traceback: &str,
    error: Option<LoadError>,
) -> Failure {
    let summary = first_line(summary);
    // An older worker sends the text alone.
    let error = error.unwrap_or_else(|| LoadError {
        classes: vec![class_in(summary).to_owned()],
        ..LoadError::default()
    });
    let mut cause = by_exception(&error);
    if cause == CauseId::ExceptionAtImport && traceback.is_empty() {
        cause = CauseId::Other;
    }
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
    let mut failure = Failure {
        summary: text,
        hint: Some(load_hint(settings, cause, summary, &error)),
        detail: Some(cut(traceback)),
        cause,
        ..Failure::default()
    };
    if let (Some(file), Some(line)) = (&error.file, error.line) {
        failure = failure.with("file", format!("{file}:{line}"));
    }
    if let Some(module) = &error.module {
        failure = failure.with("module", module);
    }
    if let Some(path) = &error.path {
        failure = failure.with("path", path);
    }
    if let Some(limit) = settings.limits.address_space
        && cause == CauseId::OutOfMemory
    {
        let place = settings.places.get("limit-as");
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        failure = failure.with("limit", format!("limit-as = {} MB{place}", limit >> 20));
    }
    failure
}

/// The exception's class that a line of ours begins with.
fn class_in(summary: &str) -> &str {
    let word = summary.split([':', ' ']).next().unwrap_or_default();
    match word {
        "ModuleNotFoundError" => "ImportError",
        "IndentationError" | "TabError" => "SyntaxError",
        _ if summary.contains("called sys.exit(") => "SystemExit",
        word => word,
    }
}

fn load_hint(settings: &Settings, cause: CauseId, summary: &str, error: &LoadError) -> String {
    // Without a line of the app it is the config that names what is not there.
    let by_config = error.file.is_none();
    let loaded = LOADED.iter().find_map(|name| settings.places.get(*name));
    let place = match (&error.file, error.line, loaded) {
        (Some(file), Some(line), _) => format!("{file}:{line}"),
        (None, _, Some(config)) => config.to_string(),
        (_, _, _) => "the app".to_owned(),
    };
    let path = error.path.as_deref().unwrap_or("the file");
    let is_missing = summary.contains("No module named");
    let file = error.file.as_deref().unwrap_or("FILE");
    let hints = [
        (
            CauseId::ImportError,
            if is_missing {
                let python = match &settings.virtualenv {
                    Some(virtualenv) => format!("{}/bin/python3", virtualenv.display()),
                    None => "python3".to_owned(),
                };
                let module = error.module.as_deref().unwrap_or("PACKAGE");
                let package = module.split('.').next().unwrap_or(module);
                let install = format!("{python} -m pip install {package}");
                match by_config && error.module.is_some() {
                    true => format!(
                        "set chdir or pythonpath to the directory in which {package} is; or, if \
                         somebody else wrote it, {install}"
                    ),
                    false => format!(
                        "{install}; or, if it is the app's own, set chdir or pythonpath to where it is"
                    ),
                }
            } else {
                callable_in(summary).unwrap_or_else(|| WAY_OUT.to_owned())
            },
        ),
        (
            CauseId::SyntaxError,
            match file {
                // The name that the code of eval is compiled under.
                "uwsgi_eval_config" => "mend the code of eval in the ini".to_owned(),
                file => format!(
                    "mend {place}, then touch the app's ini; python3 -m py_compile {file} checks it"
                ),
            },
        ),
        (
            CauseId::MissingFile,
            format!("make {path}, or correct its path in {place}"),
        ),
        (
            CauseId::Permission,
            format!("let the app's user use {path}"),
        ),
        (
            CauseId::ExitsAtOnce,
            format!("take the exit at {place} out of the import"),
        ),
        (
            CauseId::OutOfMemory,
            "raise limit-as, or let the app load less while it is imported".to_owned(),
        ),
        (
            CauseId::DiskFull,
            format!("make room: df -h {path} shows how much is left"),
        ),
        (
            CauseId::FdLimit,
            "raise max-fd of the app or LimitNOFILE of the service, or open fewer files".to_owned(),
        ),
        (
            CauseId::ForkLimit,
            "raise limit-nproc of the app, or TasksMax or LimitNPROC of the service".to_owned(),
        ),
        (
            CauseId::AddressInUse,
            "let the app listen nowhere itself, or elsewhere".to_owned(),
        ),
    ];
    let found = hints.into_iter().find(|(known, _)| *known == cause);
    found.map_or_else(|| WAY_OUT.to_owned(), |(_, hint)| hint)
}

/// The line that the worker proposes for a callable that has another name.
fn callable_in(summary: &str) -> Option<String> {
    let (_, rest) = summary.split_once(": set ")?;
    let line = rest.split(" (").next()?;
    Some(format!("set {line} in the app's config"))
}

/// The app answers `ready-request`, but not as it must.
pub(crate) fn unready(settings: &Settings, summary: String, hint: String, said: &str) -> Failure {
    Failure {
        detail: Some(cut(said)).filter(|said| !said.is_empty()),
        cause: CauseId::ReadinessRequest,
        ..at(settings, &READY, summary, hint)
    }
}

/// It does not answer that at all.
pub(crate) fn never_ready(
    settings: &Settings,
    path: &str,
    after: Duration,
    output: &str,
) -> Failure {
    let text = format!(
        "ready-request = {path} was not answered within {}",
        seconds(after)
    );
    let hint = "look at the stacks for what the app waits for, or raise ready-timeout";
    unready(settings, text, hint.to_owned(), output)
}

/// The options that name what must be answered.
const READY: [&str; 1] = ["ready-request"];

pub(crate) fn unfit(settings: &Settings, why: &str, hint: Option<String>) -> Failure {
    let options = ["virtualenv", "home", "venv", "pyhome", "python"];
    let known = "set virtualenv or python to a CPython 3.9 or later";
    let hint = hint.unwrap_or_else(|| known.to_owned());
    at(settings, &options, first_line(why), hint).of(CauseId::Interpreter)
}

/// Why a start did not even reach the interpreter.
pub(crate) fn spawn(settings: &Settings, error: &SpawnError) -> Failure {
    let by_number = by_errno(error.errno);
    let (options, hint, cause): (&[&str], &str, CauseId) = match error.step {
        Step::Chdir => (
            &["chdir"],
            match by_number {
                Some(CauseId::MissingFile) => "mkdir -p DIRECTORY, or correct chdir",
                _ => "let the app's user enter the directory",
            },
            by_number.unwrap_or_default(),
        ),
        Step::Setgroups | Step::Setgid | Step::Setuid => (
            &["uid", "gid"],
            "start as root with CAP_SETUID and CAP_SETGID, or remove uid and gid",
            by_number.unwrap_or_default(),
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
            match by_number {
                Some(cause @ (CauseId::Permission | CauseId::OutOfMemory | CauseId::ForkLimit)) => {
                    cause
                }
                _ => CauseId::Interpreter,
            },
        ),
        Step::Prepare | Step::Fork | Step::Group | Step::Descriptors | Step::Limits => {
            let what = error.to_string();
            let what = what.strip_prefix("cannot ").unwrap_or(&what);
            let what = what.rsplit_once(": ").map_or(what, |(what, _)| what);
            return system(what, &error.io());
        }
    };
    let hint = hint.replace("DIRECTORY", &error.object);
    at(settings, options, error.to_string(), hint).of(cause)
}

/// What `cause` reads like; `output` are the last lines that the app wrote. `ran`: the interpreter
/// came as far as our code.
pub(crate) fn explain(settings: &Settings, cause: &Cause, output: &str, ran: bool) -> Failure {
    let (text, hint, cause) = match cause {
        Cause::Said(failure) => return (**failure).clone(),
        Cause::Ended { mold, end } => ended(*mold, *end, ran),
        Cause::Late { after } => (
            format!("the app was not ready within {}", seconds(*after)),
            "it hangs while it is imported: look for a wait at module level, or raise ready-timeout",
            CauseId::HangsAtImport,
        ),
    };
    // An interpreter that is none quotes what it was given.
    let output = match ran {
        true => output.to_owned(),
        false => shortened(output),
    };
    let options: &[&str] = if cause == CauseId::Interpreter {
        &["python", "virtualenv", "home", "venv", "pyhome"]
    } else {
        &LOADED
    };
    let mut failure = Failure {
        summary: placed(settings, options, &text),
        hint: Some(hint.to_owned()),
        detail: Some(cut(&output)).filter(|text| !text.is_empty()),
        cause,
        ..Failure::default()
    };
    if let Some(place) = place_in(&output) {
        failure = failure.with("where", place);
    }
    if let (CauseId::Interpreter, Some(python)) = (cause, &settings.python) {
        let python = python.display();
        failure.hint = Some(format!(
            "set python to a CPython 3.9 or later, or remove the line; {python} --version tells what \
             this one is"
        ));
    }
    failure
}

fn ended(mold: bool, end: End, ran: bool) -> (String, &'static str, CauseId) {
    let who = if mold { "the app" } else { "a worker" };
    match end {
        End::Code(_) if !ran => (
            format!("the interpreter ended with {end} before it was ready to load the app"),
            "run it by hand with --version; make the virtualenv anew, or set python to a CPython 3.9 or later",
            CauseId::Interpreter,
        ),
        End::Code(_) => (
            format!("{who} ended with {end} before it was ready"),
            "something calls exit while the app is imported; the last output is below",
            CauseId::ExitsAtOnce,
        ),
        End::Signal(signal) => {
            let name = imperator_process::signals::name(signal);
            let text = format!("{who} was killed by {name} before it was ready");
            (text, crash_hint(signal), CauseId::Crash)
        }
    }
}

/// What is to be done about a process that a signal ended.
pub(crate) fn crash_hint(signal: i32) -> &'static str {
    match signal {
        9 => "somebody killed it: an operator, or the kernel for want of memory (dmesg tells)",
        _ => {
            "a C extension or the interpreter crashed: update or rebuild the package that the stack \
             names (pip install --force-reinstall --no-cache-dir PACKAGE)"
        }
    }
}

/// The innermost line of Python's own crash report in `output`: `File "app.py", line 3 in load`.
pub(crate) fn place_in(output: &str) -> Option<String> {
    let report = output.rfind("(most recent call first):")?;
    let line = output[report..].lines().nth(1)?.trim();
    let rest = line.strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let (number, function) = rest.split_once(" in ")?;
    Some(format!("{file}:{number} in {function}"))
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

/// Each line of a text, at most this long.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    let short = |line: &str| match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    };
    text.lines().map(short).collect::<Vec<_>>().join("\n")
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
            let failure = explain(&settings(), &cause, "", true);
            assert_eq!(failure.summary, expected);
            assert!(failure.hint.is_some());
        }
        let failure = load(
            &settings(),
            "ModuleNotFoundError: No module named 'x'\n",
            "Traceback",
            None,
        );
        assert_eq!(failure.cause, CauseId::ImportError);
        assert_eq!(
            failure.summary,
            "blog.ini:3: cannot load the app: ModuleNotFoundError: No module named 'x'"
        );
        let summary = "ValueError: bad (app.py:7) (site.ini:4: module = app)";
        assert_eq!(
            load(&settings(), summary, "", None).summary,
            "site.ini:4: cannot load module = app: ValueError: bad (app.py:7)"
        );
    }

    #[test]
    fn the_way_out_is_of_what_names_the_thing() {
        let hint = |summary: &str, error: LoadError| {
            let failure = load(&settings(), summary, "Traceback", Some(error));
            failure.hint.unwrap_or_default()
        };
        let error = |class: &str, file: Option<&str>| LoadError {
            classes: vec![class.to_owned()],
            errno: (class == "OSError").then_some(2),
            file: file.map(str::to_owned),
            line: file.map(|_| 7),
            module: Some("shop.db".to_owned()),
            path: Some("/srv/shop.py".to_owned()),
        };
        let missing = "ModuleNotFoundError: No module named 'shop'";
        let of_config = hint(missing, error("ImportError", None));
        assert!(
            of_config.starts_with("set chdir or pythonpath"),
            "{of_config}"
        );
        let of_app = hint(missing, error("ImportError", Some("app.py")));
        assert!(
            of_app.starts_with("python3 -m pip install shop;"),
            "{of_app}"
        );
        let callable =
            "a.py has no \"app\"; it has \"run\": set callable = run (blog.ini:3: module = a)";
        assert_eq!(
            hint(callable, error("ImportError", None)),
            "set callable = run in the app's config"
        );
        let file = "FileNotFoundError: [Errno 2] No such file or directory: '/srv/shop.py'";
        assert_eq!(
            hint(file, error("OSError", None)),
            "make /srv/shop.py, or correct its path in blog.ini:3"
        );
        assert_eq!(
            hint(file, error("OSError", Some("app.py"))),
            "make /srv/shop.py, or correct its path in app.py:7"
        );
    }

    #[test]
    fn a_long_traceback_keeps_its_end() {
        let text = format!("{}the cause", "ä".repeat(MAX_TEXT));
        assert!(cut(&text).len() <= MAX_TEXT);
        assert!(cut(&text).ends_with("the cause"));
    }
}
