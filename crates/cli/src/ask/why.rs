//! `imperator why`: gathers what the emperor, the masters, /proc and the kernel's log tell, has
//! `imperator_emperor::why` decide, and prints it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use imperator_core::message::Failure;
use imperator_core::nearest::nearest;
use imperator_core::why::{CauseId, known};
use imperator_emperor::control::{AppLine, Condition, Request};
use imperator_emperor::orphans;
use imperator_emperor::why::{Found, Looks, causes};
use imperator_process::time::strftime;
use serde_json::{Value, json};

use super::{Code, FAILING, Question, UNKNOWN, ask, choose, is_named, print, print_json, view_of};

/// Records of the kernel's log that are read; older ones are left alone.
const MAX_RECORDS: usize = 20_000;
/// Lines of it that are shown about one process.
const MAX_LINES: usize = 4;

/// From one look at what waits to the next.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// Stacks that are not there by then are looked for so often; then it is told without them.
const LOOKS: usize = 6;
const NEXT_LOOK: Duration = Duration::from_millis(60);

pub(super) fn run(question: &Question) -> Code {
    // Of all, so that a name that nobody knows has a nearest one.
    let view = view_of(question, &[])?;
    let wanted = &question.apps;
    let is_wanted = |app: &AppLine| match wanted.is_empty() {
        true => is_of_interest(app),
        false => wanted.iter().any(|name| is_meant(app, name)),
    };
    let names: Vec<String> = view.apps.iter().map(|app| app.name.clone()).collect();
    let mut apps = view.apps;
    apps.retain(is_wanted);
    let mut before = Vec::new();
    if apps.iter().any(wants_second_look) {
        let names = |wanted: fn(&AppLine) -> bool| {
            let wanted = apps.iter().filter(|app| wanted(app));
            wanted.map(|app| app.name.clone()).collect::<Vec<_>>()
        };
        let (all, full) = (names(|_| true), names(is_full));
        let has_emperor = view.emperor.is_some();
        if !full.is_empty() {
            ask_for_stacks(question, full, has_emperor);
        }
        // What waits only for a moment is no trouble.
        pause(SECOND_LOOK);
        for look in 0..LOOKS {
            let Some(now) = look_again(question, &all, has_emperor) else {
                break;
            };
            let earlier = std::mem::replace(&mut apps, now);
            if look == 0 {
                before = earlier;
            }
            if !apps.iter().any(is_to_tell) {
                break;
            }
            pause(NEXT_LOOK);
        }
    }
    let accounts: Vec<Account<'_>> = apps
        .iter()
        .map(|app| Account::of(app, before.iter().find(|it| it.name == app.name)))
        .collect();
    let strangers: Vec<_> = wanted
        .iter()
        .filter(|name| !apps.iter().any(|app| is_meant(app, name)))
        .map(|name| never_heard_of(name, nearest(name, names.iter().map(String::as_str))))
        .collect();
    if question.json {
        let known = accounts.iter().map(Account::json);
        let strangers = strangers.iter().map(|(_, value)| value.clone());
        let all: Vec<Value> = known.chain(strangers).collect();
        print_json(&json!({ "apps": all }));
    } else if accounts.is_empty() && strangers.is_empty() {
        print("every app runs as its files say\n");
    } else {
        for account in &accounts {
            print(&account.text());
        }
        for (text, _) in &strangers {
            print(text);
        }
    }
    let trouble = match accounts.iter().any(Account::is_trouble) {
        true => FAILING,
        false => 0,
    };
    let unknown = if strangers.is_empty() { 0 } else { UNKNOWN };
    Ok(view.code.max(trouble).max(unknown))
}

/// Has the workers of these apps tell what they do.
fn ask_for_stacks(question: &Question, apps: Vec<String>, has_emperor: bool) {
    if has_emperor {
        // An older emperor does not know this, and what waits is told without.
        let _ = ask(&question.runtime, &Request::Stacks { apps });
    } else if let Ok(orphans) = orphans::find(&question.runtime) {
        let (orphans, _) = choose(orphans, &apps);
        orphans::lines(&orphans, true);
    }
}

/// How these apps are now; `None`: nobody tells.
fn look_again(question: &Question, apps: &[String], has_emperor: bool) -> Option<Vec<AppLine>> {
    if has_emperor {
        let apps = apps.to_vec();
        let answered = ask(&question.runtime, &Request::Status { apps });
        return answered.ok().map(|it| it.apps);
    }
    let (orphans, _) = choose(orphans::find(&question.runtime).ok()?, apps);
    Some(orphans::lines(&orphans, false))
}

/// The whole name, the file's name, or a stanza's own name.
fn is_meant(app: &AppLine, name: &str) -> bool {
    app.id == name || is_named(&app.name, name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "two looks at one fact, and nothing tells in between"
)]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// One app with the causes that were found for it.
pub(super) struct Account<'a> {
    app: &'a AppLine,
    found: Vec<Found>,
}

impl<'a> Account<'a> {
    /// `before`: what the app said a moment ago, when it was asked twice.
    pub(super) fn of(app: &'a AppLine, before: Option<&AppLine>) -> Self {
        let looks = look(app, before);
        let found = causes(app, &looks);
        Self { app, found }
    }

    pub(super) fn is_trouble(&self) -> bool {
        let fine = [
            CauseId::NothingWrong,
            CauseId::Asleep,
            CauseId::Starting,
            CauseId::Stopped,
            CauseId::Paused,
        ];
        self.found
            .first()
            .is_some_and(|it| !fine.contains(&it.cause))
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let first = self.found.first().map_or("", |it| it.summary.as_str());
        for (index, found) in self.found.iter().enumerate() {
            // A failed reload has told what failed.
            if index > 0 && first.ends_with(&found.summary) {
                continue;
            }
            let title = known(found.cause).title;
            match index {
                0 => {
                    let _ = writeln!(text, "{}: {title}: {}", self.app.name, found.summary);
                    if let Some(config) = &self.app.config {
                        let _ = writeln!(text, "  config: {config}");
                    }
                    let _ = writeln!(text, "  state: {}", self.app.condition.word());
                }
                _ => {
                    let _ = writeln!(text, "  also: {title}: {}", found.summary);
                }
            }
            let indent = if index == 0 { "  " } else { "    " };
            // A short number stands in many texts.
            let is_told = |text: &str| index > 0 && text.len() > 4 && found.summary.contains(text);
            for evidence in found.evidence.iter().filter(|it| !is_told(&it.text)) {
                let _ = writeln!(text, "{indent}{}: {}", evidence.what, evidence.text);
            }
            for step in &found.way_out {
                let _ = writeln!(text, "{indent}way out: {step}");
            }
            let told = index > 0 && self.found[0].detail == found.detail;
            for line in found
                .detail
                .iter()
                .filter(|_| !told)
                .flat_map(|it| it.lines())
            {
                let _ = writeln!(text, "{indent}  {line}");
            }
        }
        for line in self.app.status.iter().flat_map(|status| &status.beside) {
            let _ = writeln!(text, "  {line}");
        }
        for note in self.app.status.iter().flat_map(|status| &status.notes) {
            let _ = writeln!(text, "  note: {note}");
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let mut value = match self.found.first() {
            Some(first) => json!(first),
            None => json!({}),
        };
        value["app"] = json!(self.app.name);
        value["state"] = json!(self.app.condition);
        value["retry_in_ms"] = json!(self.app.retry_in_ms);
        value["causes"] = json!(self.found);
        value
    }
}

/// Whether a second look, a moment later, tells more: what waits still waits, and stacks are
/// written.
pub(super) fn wants_second_look(app: &AppLine) -> bool {
    app.status
        .as_ref()
        .is_some_and(|status| status.queue.unwrap_or(0) > 0 || is_full(app))
}

/// Whether no thread of it is free.
fn is_full(app: &AppLine) -> bool {
    app.status
        .as_ref()
        .is_some_and(|status| status.capacity > 0 && status.occupied >= status.capacity)
}

/// Whether workers were asked what they do, and one of those that are shown has not told so far.
fn is_to_tell(app: &AppLine) -> bool {
    let Some(status) = app.status.as_ref().filter(|_| is_full(app)) else {
        return false;
    };
    let has_told = |pid: i32| {
        let doing = status.doing.iter().any(|it| it.pid == pid);
        let mut stuck = status.stuck.iter();
        doing || stuck.any(|it| it.pid == pid && !it.stacks.is_empty())
    };
    status.running.iter().take(8).any(|it| !has_told(it.pid))
}

/// An app that nobody knows.
pub(super) fn never_heard_of(name: &str, nearest: Option<&str>) -> (String, Value) {
    let cause = CauseId::NeverHeardOf;
    let what = known(cause);
    let (meant, step) = match nearest {
        Some(nearest) => (
            format!("; the nearest name is {nearest}"),
            format!("imperator why {nearest}"),
        ),
        None => (String::new(), "imperator status".to_owned()),
    };
    let summary = format!("no app is named {name}{meant}");
    let text = format!(
        "{name}: {}: {summary}\n  way out: {step}\n  way out: {}\n",
        what.title, what.way_out
    );
    let value = json!({
        "app": name,
        "cause": cause,
        "certainty": "certain",
        "summary": summary,
        "nearest": nearest,
        "way_out": [step, what.way_out],
    });
    (text, value)
}

fn look(app: &AppLine, before: Option<&AppLine>) -> Looks {
    let status = app.status.as_ref();
    let workers = status.map_or(&[][..], |status| &status.workers);
    let halted = workers.iter().map(|worker| worker.pid);
    let waits = |app: &AppLine| {
        let queue = app.status.as_ref().and_then(|status| status.queue);
        queue.unwrap_or(0) > 0
    };
    Looks {
        now: super::numbers::unix_seconds(),
        mended: app.failure.as_ref().and_then(mended),
        halted: halted.filter(|&pid| is_halted(pid)).collect(),
        kernel: kernel(app),
        still_waiting: waits(app) && before.is_some_and(waits),
        stopped: app.stopped.as_ref().map(|it| {
            let at = strftime("%Y-%m-%d %H:%M:%S", i64::try_from(it.at).unwrap_or(0));
            (super::numbers::named(&it.by), at)
        }),
        next_try: app
            .retry_in_ms
            .map(|millis| clock(super::numbers::unix_seconds() + millis.div_ceil(1000))),
        stacks: String::new(),
    }
}

fn clock(epoch: u64) -> String {
    strftime("%H:%M:%S", i64::try_from(epoch).unwrap_or(0))
}

/// What has changed since the failure, so that the next try may well succeed.
fn mended(failure: &Failure) -> Option<String> {
    let of = |what: &str| {
        let mut evidence = failure.evidence.iter();
        evidence
            .find(|it| it.what == what)
            .map(|it| it.text.as_str())
    };
    let path = of("path").map(Path::new);
    let changed = |path: &Path| {
        let found = path.metadata().ok()?;
        let at = u64::try_from(found.ctime().max(found.mtime())).ok()?;
        (failure.at > 0 && at > failure.at).then(|| format!("{} was changed", path.display()))
    };
    let cause = failure.cause;
    if cause == CauseId::MissingFile || cause == CauseId::Interpreter {
        let path = path?;
        return path
            .exists()
            .then(|| format!("{} is there", path.display()));
    }
    if cause == CauseId::AddressInUse {
        let pid = of("pid")?;
        let gone = !Path::new("/proc").join(pid).exists();
        return gone.then(|| format!("pid {pid} is gone"));
    }
    if cause == CauseId::Permission {
        return changed(path?);
    }
    if [
        CauseId::SyntaxError,
        CauseId::ImportError,
        CauseId::ExceptionAtImport,
        CauseId::ExitsAtOnce,
    ]
    .contains(&cause)
    {
        let (file, _) = of("file")?.rsplit_once(':')?;
        return changed(Path::new(file));
    }
    None
}

/// Whether a process is stopped, by SIGSTOP or a debugger.
fn is_halted(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}

/// What the kernel's log tells of the processes that the failures name. Only root may read it.
fn kernel(app: &AppLine) -> Vec<(i32, String)> {
    let troubles = app.status.iter().flat_map(|status| &status.troubles);
    let pids: Vec<i32> = troubles
        .chain(&app.failure)
        .filter(|failure| [CauseId::Crash, CauseId::OutOfMemory].contains(&failure.cause))
        .flat_map(|failure| &failure.evidence)
        .filter(|evidence| evidence.what == "pid")
        .filter_map(|evidence| evidence.text.parse().ok())
        .collect();
    if pids.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for line in kernel_log() {
        for &pid in &pids {
            let about = [
                format!("Killed process {pid} "),
                format!("[{pid}]: segfault"),
                format!("[{pid}] trap"),
                format!("[{pid}] general protection"),
            ];
            if about.iter().any(|about| line.contains(about)) {
                found.push((pid, line.clone()));
            }
        }
    }
    let first = found.len().saturating_sub(MAX_LINES);
    found.split_off(first)
}

/// The texts of /dev/kmsg's records, one read each.
fn kernel_log() -> Vec<String> {
    let mut options = File::options();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let Ok(mut log) = options.open("/dev/kmsg") else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut record = [0; 8192];
    for _ in 0..MAX_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(count) => {
                let text = String::from_utf8_lossy(&record[..count]);
                let line = text.split_once(';').map_or("", |(_, line)| line);
                lines.push(line.lines().next().unwrap_or_default().to_owned());
            }
            // Overwritten while we read: the next one is there.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => (),
            Err(_) => break,
        }
    }
    lines
}

/// Whether `why` without a name tells of this app.
pub(super) fn is_of_interest(app: &AppLine) -> bool {
    let has_troubles = app
        .status
        .as_ref()
        .is_some_and(|status| status.troubles.iter().any(|trouble| trouble.at == 0));
    let is_stuck = app.status.as_ref().is_some_and(|it| !it.stuck.is_empty());
    app.failure.is_some() || has_troubles || is_stuck || app.condition == Condition::Silent
}
