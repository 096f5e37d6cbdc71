//! One finding as rustc shows it: the place, the source line, the mark under the word that is meant,
//! the way out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use imperator_core::finding::{Finding, Place, Severity};
use imperator_core::ini;

/// So much of a long line is shown around the mark.
const WIDTH: usize = 100;

/// The lines of the files that findings are about, read once.
#[derive(Default)]
pub(crate) struct Sources {
    files: BTreeMap<PathBuf, Vec<String>>,
}

impl Sources {
    pub(crate) fn line(&mut self, place: &Place) -> Option<&str> {
        let lines = self
            .files
            .entry(place.file.clone())
            .or_insert_with(|| lines(&place.file));
        let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
        lines.get(index).map(String::as_str)
    }

    /// Where the finding's word stands in its line: column and width in characters, from 1.
    pub(crate) fn span(&mut self, finding: &Finding) -> Option<(usize, usize)> {
        let place = finding.place.as_ref()?;
        let line = self.line(place)?;
        // Where no `=` tells the key (json, yaml), it is the name that the text speaks of.
        let named = finding.text.split('"').nth(1);
        let named = named.filter(|name| !line.contains('=') && line.contains(*name));
        let word = finding.mark.as_deref().or(named);
        let (start, width) = marked(line, word);
        Some((start + 1, width))
    }
}

/// The resolver has read this file already, so it does not hang now.
fn lines(path: &Path) -> Vec<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(ini::MAX_FILE).unwrap_or(u64::MAX);
    if std::fs::metadata(path).is_ok_and(|it| it.is_file())
        && let Ok(file) = std::fs::File::open(path)
    {
        // What cannot be read is shown without its line.
        let _ = file.take(limit).read_to_end(&mut bytes);
    }
    let bytes = bytes.strip_prefix(ini::BOM).unwrap_or(&bytes);
    let lines = bytes.split(|&byte| byte == b'\n');
    lines.map(|line| plain(&ini::text(line))).collect()
}

/// Tabs are four blanks wide, and nothing of a file controls the terminal.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r').replace('\t', "    ");
    let printable = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    line.chars().map(printable).collect()
}

/// First character and width of the mark: the word behind the `=`, else the key, else the line.
fn marked(line: &str, mark: Option<&str>) -> (usize, usize) {
    let chars = |text: &str| text.chars().count();
    let equals = line
        .find('=')
        .filter(|_| !line.trim_start().starts_with('['));
    let value = equals.map_or(0, |at| at + 1);
    let mark = mark.map(plain);
    let word = mark.as_deref().map(str::trim).filter(|it| !it.is_empty());
    if let Some(word) = word {
        if let Some(at) = line[value..].rfind(word) {
            return (chars(&line[..value + at]), chars(word));
        }
        // It was made of what stands there.
        let written = line[value..].trim();
        if value > 0 && !written.is_empty() {
            let start = line.len() - line[value..].trim_start().len();
            return (chars(&line[..start]), chars(written));
        }
    }
    let whole = &line[..equals.unwrap_or(line.len())];
    let key = whole.trim();
    let start = whole.len() - whole.trim_start().len();
    (chars(&line[..start]), chars(key).max(1))
}

/// How a text is coloured; without colours nothing is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn error(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.with("1;33", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("1;32", text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.with("34", text)
    }

    fn of(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.error(text),
            Severity::Warning => self.warning(text),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A path as the operator would write it: below the working directory without that.
pub(crate) fn shown<'p>(path: &'p Path, here: &Path) -> std::path::Display<'p> {
    let short = path.strip_prefix(here).ok();
    short
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(path)
        .display()
}

/// The finding with its line and what else there is to say.
pub(crate) fn finding(
    finding: &Finding,
    notes: &[String],
    sources: &mut Sources,
    here: &Path,
    paint: Paint,
) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let head = paint.of(finding.severity, severity);
    let mut text = format!("{head}{}\n", paint.strong(&format!(": {}", finding.text)));
    let mut gutter = 1;
    if let Some(place) = &finding.place {
        let number = place.line.to_string();
        let span = sources.span(finding);
        let file = shown(&place.file, here);
        let arrow = paint.faint("-->");
        match (span, sources.line(place)) {
            (Some((column, width)), Some(line)) => {
                gutter = number.len();
                let (line, before) = cut(line, column - 1);
                let bar = paint.faint("|");
                let pad = " ".repeat(gutter);
                let mark = "^".repeat(width.min(line.chars().count() - before));
                let mark = paint.of(finding.severity, &mark);
                let before = " ".repeat(before);
                let _ = write!(
                    text,
                    "{pad}{arrow} {file}:{number}:{column}\n\
                     {pad} {bar}\n\
                     {} {bar} {line}\n\
                     {pad} {bar} {before}{mark}\n",
                    paint.faint(&number),
                );
            }
            _ if place.line > 0 => text.push_str(&format!(" {arrow} {file}:{number}\n")),
            _ => text.push_str(&format!(" {arrow} {file}\n")),
        }
    }
    let pad = " ".repeat(gutter);
    let equals = paint.faint("=");
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("{pad} {equals} help: {hint}\n"));
    }
    for note in notes {
        text.push_str(&format!("{pad} {equals} note: {note}\n"));
    }
    text
}

/// A long list of names ends with how many more there are.
pub(crate) fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str);
    let shown: Vec<&str> = shown.collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The part of a long line around its character `start`, and where that stands in it.
fn cut(line: &str, start: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= WIDTH {
        return (line.trim_end().to_owned(), start);
    }
    let first = start.saturating_sub(WIDTH / 2).min(length - WIDTH);
    let part: String = line.chars().skip(first).take(WIDTH).collect();
    let front = if first > 0 { "…" } else { "" };
    let end = if first + WIDTH < length { "…" } else { "" };
    let text = format!("{front}{part}{end}");
    (text, start - first + front.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, mark: Option<&str>, expected: &str) {
        let (start, width) = marked(line, mark);
        let found = format!("{}{}", " ".repeat(start), "^".repeat(width));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn the_mark_stands_under_the_word_that_is_meant() {
        check("proceses = 4", None, "^^^^^^^^");
        check("  harakiri = 30s", Some("30s"), "             ^^^");
        check("master", None, "^^^^^^");
        check("[uwsgi] ; main", None, "^^^^^^^^^^^^^^");
        // The key's own text is not taken for its value.
        check("a=a", Some("a"), "  ^");
        check("x = %n", Some("was expanded"), "    ^^");
        check("größe = ä%4", Some("%4"), "         ^^");
        check("", None, "^");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}needle{}", "x".repeat(300), "y".repeat(300));
        let (shown, start) = cut(&line, 300);
        assert_eq!(shown.chars().count(), WIDTH + 2);
        let found: String = shown.chars().skip(start).take(6).collect();
        assert_eq!(found, "needle");
        assert_eq!(cut("short  ", 2), ("short".to_owned(), 2));
    }
}
