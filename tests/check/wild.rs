//! The configs of real projects, read where they are: none that uWSGI takes is an error, and what is
//! said about them is a few lines, not nonsense.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::say;
use crate::support::{Folder, repository, skip};

/// Files that are errors, and why each one is no app that uWSGI could run as it stands.
const BROKEN: &[(&str, &str)] = &[
    (
        "014 020 023 031 096 153 167 168 171 178",
        "an include or half of a config: no socket",
    ),
    (
        "015 016 017 018 019 021 022",
        "includes files of its project",
    ),
    ("170 172 174 175 176 177", "includes /etc/uwsgi/local.ini"),
    ("151", "reads a directory of variables that is not here"),
    ("139 169 179", "a template"),
];

/// They are not the project's own, so a checkout may be without them.
fn wild() -> Option<PathBuf> {
    let mut above = repository().ancestors();
    let found = above.find_map(|directory| {
        let path = directory.join("shared/wild-ini");
        path.is_dir().then_some(path)
    });
    if found.is_none() {
        skip("shared/wild-ini beside the checkout");
    }
    found
}

#[test]
fn no_config_that_uwsgi_takes_is_an_error() {
    let Some(wild) = wild() else {
        return;
    };
    let folder = Folder::new();
    let said = say(&folder, &["check", "--json", wild.to_str().unwrap()]).json();
    assert_eq!(said["files"].as_array().map(Vec::len), Some(83));
    let known: BTreeSet<&str> = BROKEN
        .iter()
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();
    let mut unknown = Vec::new();
    for finding in said["findings"].as_array().expect("findings") {
        let text = finding["text"].as_str().unwrap_or_default();
        let file = finding["file"].as_str().unwrap_or_default();
        let name = file.rsplit('/').next().unwrap_or_default();
        let name = name.trim_end_matches(".ini");
        // All in one directory, many want port 8080.
        let is_neighbour = text.contains("belongs to app");
        if finding["severity"] == "error" && !is_neighbour && !known.contains(name) {
            unknown.push(format!("{name}:{} {text}", finding["line"]));
        }
    }
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn a_template_is_one_finding_and_no_file_gets_a_flood() {
    let Some(wild) = wild() else {
        return;
    };
    let folder = Folder::new();
    let said = say(&folder, &["check", "--json", wild.to_str().unwrap()]).json();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in said["findings"].as_array().expect("findings") {
        let text = finding["text"].as_str().unwrap_or_default();
        let is_template_language = ["{%", "{{"].iter().any(|open| text.contains(open));
        assert!(
            !is_template_language || text.contains("is a template"),
            "{text}"
        );
        *count
            .entry(finding["file"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    let most = count.iter().max_by_key(|(_, count)| **count);
    assert!(most.is_some_and(|(_, count)| *count < 60), "{most:?}");
}

#[test]
fn every_one_has_a_verdict() {
    let Some(wild) = wild() else {
        return;
    };
    let folder = Folder::new();
    let said = say(&folder, &["migrate", "--json", wild.to_str().unwrap()]);
    assert!(matches!(said.code, Some(0 | 1)), "{}", said.errors);
    let said = said.json();
    let apps = said["apps"].as_array().expect("apps");
    assert!(apps.len() >= 83, "{}", apps.len());
    let known: BTreeSet<&str> = BROKEN
        .iter()
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for app in apps {
        let verdict = app["verdict"].as_str().expect("a verdict");
        *counts.entry(verdict).or_default() += 1;
        let broken = known.contains(app["name"].as_str().unwrap_or_default());
        if broken {
            assert_eq!(verdict, "decide", "{app}");
        }
    }
    eprintln!("verdicts over the wild files: {counts:?}");
}
