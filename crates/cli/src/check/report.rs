//! What `check` prints: findings with their lines, imports, a summary; or one JSON document
//! (docs/check.md).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use imperator_core::finding::{Finding, Place, Severity};
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
        let mut index: HashMap<(Option<Place>, String, Severity), usize> = HashMap::new();
        let mut tell = |finding: &Finding, app: Option<&str>, detail: Option<String>| {
            // The mark may be another, where one option is two things.
            let key = (
                finding.place.clone(),
                finding.text.clone(),
                finding.severity,
            );
            let index = *index.entry(key).or_insert(told.len());
            let known = told.get_mut(index);
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
        for (told, again) in self.folded() {
            let mut notes = Vec::new();
            if !again.is_empty() {
                let lines = again.iter().filter_map(|it| it.finding.place.as_ref());
                let lines: Vec<String> = lines.map(|place| place.line.to_string()).collect();
                let what = if lines.len() == 1 { "line" } else { "lines" };
                notes.push(format!("also in {what} {}", render::few(&lines)));
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

    /// Each finding with those that say the same of further lines of its file.
    fn folded(&self) -> Vec<(&Told, Vec<&Told>)> {
        let mut folded: Vec<(&Told, Vec<&Told>)> = Vec::new();
        let mut index = HashMap::new();
        for told in &self.told {
            let file = told.finding.place.as_ref().map(|place| &place.file);
            let key = (file, &told.finding.text, told.finding.severity, &told.apps);
            let may_fold = file.is_some() && told.detail.is_none();
            let at = *index.entry(key).or_insert(folded.len());
            match folded.get_mut(at) {
                Some((_, again)) if may_fold => again.push(told),
                Some(_) | None => folded.push((told, Vec::new())),
            }
        }
        folded
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
