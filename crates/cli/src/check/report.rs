//! What `check` prints: findings with their lines, imports, a summary; or one JSON document
//! (docs/check.md).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use imperator_core::finding::{Finding, Severity};
use imperator_master::Imported;
use serde_json::{Value, json};

use super::gather::{Gathered, Subject};
use super::import::Outcome;
use super::render::{self, Paint, Sources};

/// Raised when a field of the JSON changes its meaning; fields may be added without.
const VERSION: u32 = 1;
/// Of a traceback the end says why.
const DETAIL_LINES: usize = 30;

pub(crate) struct Report {
    files: Vec<PathBuf>,
    subjects: Vec<Subject>,
    outcomes: Option<Vec<Outcome>>,
    told: Vec<Told>,
    here: PathBuf,
}

/// One finding, and the apps that it concerns: an include may be shared by many.
struct Told {
    finding: Finding,
    apps: Vec<String>,
    detail: Option<String>,
}

impl Report {
    pub(crate) fn new(gathered: Gathered, outcomes: Option<Vec<Outcome>>, here: PathBuf) -> Self {
        let mut told: Vec<Told> = Vec::new();
        let mut tell = |finding: &Finding, app: Option<&str>, detail: Option<String>| {
            // The mark may be another, where one option is two things.
            let known = told.iter_mut().find(|it| {
                it.finding.place == finding.place
                    && it.finding.text == finding.text
                    && it.finding.severity == finding.severity
            });
            let apps = app.map(str::to_owned);
            match known {
                Some(known) => {
                    let new = apps.filter(|app| !known.apps.contains(app));
                    known.apps.extend(new);
                }
                None => told.push(Told {
                    finding: finding.clone(),
                    apps: apps.into_iter().collect(),
                    detail,
                }),
            }
        };
        for finding in &gathered.findings {
            tell(finding, None, None);
        }
        for (index, subject) in gathered.subjects.iter().enumerate() {
            let outcome = outcomes.as_ref().and_then(|it| it.get(index));
            let failed = match outcome {
                Some(Outcome::Failed(finding, detail)) => Some((finding, detail)),
                Some(Outcome::Loaded(_) | Outcome::Skipped(_)) | None => None,
            };
            for finding in &subject.resolved.findings {
                // The import has failed for what the machine lacks: once is enough.
                let is_same = failed
                    .is_some_and(|(it, _)| it.place == finding.place && it.text == finding.text);
                if !is_same {
                    tell(finding, Some(&subject.name), None);
                }
            }
            if let Some((finding, detail)) = failed {
                tell(finding, Some(&subject.name), detail.clone());
            }
        }
        Self {
            files: gathered.files,
            subjects: gathered.subjects,
            outcomes,
            told,
            here,
        }
    }

    /// Errors and warnings.
    pub(crate) fn count(&self) -> (usize, usize) {
        let errors = self.told.iter().filter(|it| it.finding.is_error()).count();
        (errors, self.told.len() - errors)
    }

    pub(crate) fn text(&self, colours: bool) -> String {
        let paint = Paint(colours);
        let mut sources = Sources::default();
        let mut text = String::new();
        let mut shown: BTreeSet<usize> = BTreeSet::new();
        for (index, told) in self.told.iter().enumerate() {
            if shown.contains(&index) {
                continue;
            }
            let mut notes = Vec::new();
            let again = self.again(index);
            if !again.is_empty() {
                let lines = again
                    .iter()
                    .filter_map(|&it| self.told[it].finding.place.as_ref());
                let lines: Vec<String> = lines.map(|place| place.line.to_string()).collect();
                let what = if lines.len() == 1 { "line" } else { "lines" };
                notes.push(format!("also in {what} {}", render::few(&lines)));
                shown.extend(again);
            }
            let others = told.apps.get(1..).unwrap_or_default();
            if !others.is_empty() {
                notes.push(format!("also of {}", render::few(others)));
            }
            let one = render::finding(&told.finding, &notes, &mut sources, &self.here, paint);
            text.push_str(&one);
            if let Some(detail) = &told.detail {
                let lines: Vec<&str> = detail.lines().collect();
                let first = lines.len().saturating_sub(DETAIL_LINES);
                for line in &lines[first..] {
                    let line: String = line.chars().filter(|it| !it.is_control()).collect();
                    let _ = writeln!(text, "    {line}");
                }
            }
            text.push('\n');
        }
        let before = text.len();
        for (subject, outcome) in self.subjects.iter().zip(self.outcomes.iter().flatten()) {
            let name = paint.strong(&subject.name);
            let line = match outcome {
                Outcome::Loaded(imported) => paint.good(&sentence(imported)),
                Outcome::Failed(..) => paint.error("the import failed"),
                Outcome::Skipped(why) => format!("not imported: {why}"),
            };
            let _ = writeln!(text, "{name}: {line}");
        }
        if text.len() > before {
            text.push('\n');
        }
        let (errors, warnings) = self.count();
        let apps = self.subjects.iter().filter(|it| !it.is_emperor()).count();
        let counted = format!(
            "{}, {}: {}, {}",
            some(self.files.len(), "file"),
            some(apps, "app"),
            some(errors, "error"),
            some(warnings, "warning")
        );
        let counted = match (errors, warnings) {
            (0, 0) => paint.good(&counted),
            (0, _) => paint.warning(&counted),
            _ => paint.error(&counted),
        };
        let _ = writeln!(text, "{counted}");
        text
    }

    /// The findings behind this one that say the same of other lines of the same file.
    fn again(&self, index: usize) -> Vec<usize> {
        let first = &self.told[index];
        let file = |it: &Told| it.finding.place.as_ref().map(|place| place.file.clone());
        let is_same = |it: &Told| {
            it.finding.text == first.finding.text
                && it.finding.severity == first.finding.severity
                && it.apps == first.apps
                && it.detail.is_none()
                && file(it) == file(first)
        };
        if first.finding.place.is_none() {
            return Vec::new();
        }
        let behind = self.told.iter().enumerate().skip(index + 1);
        behind
            .filter(|(_, it)| is_same(it))
            .map(|(at, _)| at)
            .collect()
    }

    pub(crate) fn json(&self) -> Value {
        let mut sources = Sources::default();
        let absolute = |path: &Path| self.here.join(path);
        let findings: Vec<Value> = self
            .told
            .iter()
            .map(|told| {
                let finding = &told.finding;
                let place = finding.place.as_ref();
                let span = sources.span(finding);
                let severity = match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                };
                json!({
                    "severity": severity,
                    "text": finding.text,
                    "hint": finding.hint,
                    "file": place.map(|place| absolute(&place.file)),
                    "line": place.map(|place| place.line).filter(|line| *line > 0),
                    "column": span.map(|(column, _)| column),
                    "width": span.map(|(_, width)| width),
                    "apps": told.apps,
                })
            })
            .collect();
        let apps: Vec<Value> = self
            .subjects
            .iter()
            .enumerate()
            .map(|(index, subject)| {
                let outcome = self.outcomes.as_ref().and_then(|it| it.get(index));
                let failed = matches!(outcome, Some(Outcome::Failed(..)));
                json!({
                    "name": subject.name,
                    "file": absolute(&subject.config.file),
                    "section": subject.config.section,
                    "kind": if subject.is_emperor() { "emperor" } else { "app" },
                    "ok": !failed && !subject.has_error(),
                    "import": outcome.map(imported),
                })
            })
            .collect();
        let files: Vec<PathBuf> = self.files.iter().map(|path| absolute(path)).collect();
        let (errors, warnings) = self.count();
        json!({
            "version": VERSION,
            "files": files,
            "apps": apps,
            "findings": findings,
            "errors": errors,
            "warnings": warnings,
        })
    }
}

fn imported(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Loaded(imported) => json!({
            "result": "loaded",
            "python": imported.python,
            "user": imported.user,
            "seconds": imported.seconds,
            "memory": imported.memory,
            "notes": imported.notes,
        }),
        Outcome::Failed(finding, detail) => json!({
            "result": "failed",
            "text": finding.text,
            "hint": finding.hint,
            "detail": detail,
        }),
        Outcome::Skipped(why) => json!({ "result": "skipped", "text": why }),
    }
}

fn sentence(imported: &Imported) -> String {
    let memory = imported.memory.div_ceil(1 << 20);
    let user = imported.user.as_ref();
    let user = user.map(|user| format!(", as {user}")).unwrap_or_default();
    let mut line = format!(
        "imported in {:.1} s, {memory} MiB, Python {}{user}",
        imported.seconds, imported.python
    );
    for note in &imported.notes {
        let _ = write!(line, "; {note}");
    }
    line
}

/// `1 file`, `2 files`, `no file`
pub(crate) fn some(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
