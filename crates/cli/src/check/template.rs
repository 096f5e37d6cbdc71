//! Files that are templates: what is said about lines that somebody has yet to fill in is nonsense, and
//! one clear word takes its place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use imperator_core::finding::{Finding, Place};

use super::render::Sources;

/// Replaces the findings about unfilled lines: one for each file.
pub(crate) fn fold(findings: &mut Vec<Finding>, sources: &mut Sources) {
    let mut folded: BTreeMap<PathBuf, Finding> = BTreeMap::new();
    findings.retain(|finding| {
        let Some(place) = &finding.place else {
            return true;
        };
        let Some(gap) = sources.line(place).and_then(gap) else {
            return true;
        };
        let mut one = tell(place, &gap);
        one.severity = finding.severity;
        if let Some(other) = folded.remove(&place.file) {
            let severity = one.severity.max(other.severity);
            let is_before = other.place.as_ref().is_some_and(|it| it.line <= place.line);
            one = if is_before { other } else { one };
            one.severity = severity;
        }
        folded.insert(place.file.clone(), one);
        false
    });
    findings.extend(folded.into_values());
}

fn tell(place: &Place, gap: &str) -> Finding {
    let finding = Finding::warning(
        Some(place.clone()),
        format!("this file is a template: \"{gap}\" is not filled in"),
    );
    let hint = match gap.strip_prefix("${").and_then(|it| it.strip_suffix('}')) {
        Some(name) => {
            format!("check what is made of it; a variable of the environment is $({name})")
        }
        None => "check what is made of it".to_owned(),
    };
    finding.with_hint(hint).with_mark(gap)
}

/// The first piece of a line that a template language would replace.
fn gap(line: &str) -> Option<String> {
    const KINDS: &[(&str, &str)] = &[("{{", "}}"), ("{%", "%}"), ("<%", "%>"), ("${", "}")];
    let found = KINDS.iter().filter_map(|(open, close)| {
        let start = line.find(open)?;
        let rest = &line[start..];
        let end = rest.find(close).map_or(rest.len(), |at| at + close.len());
        Some((start, rest[..end].trim_end().to_owned()))
    });
    found.min().map(|(_, gap)| gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_languages_of_templates_are_known() {
        for (line, expected) in [
            ("processes = {{ n }}", Some("{{ n }}")),
            ("{% if x %}", Some("{% if x %}")),
            ("<% @a.each do |b| %>", Some("<% @a.each do |b| %>")),
            ("x=0:${PORT}/{{y}}", Some("${PORT}")),
            ("{% open", Some("{% open")),
            ("env = A=$(HOME)", None),
            ("log = {x}", None),
        ] {
            assert_eq!(gap(line).as_deref(), expected, "{line}");
        }
    }
}
