//! Every option that does something is shown by a case, or by a test that `ELSEWHERE` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::support::repository;
use imperator_core::options;

const ELSEWHERE: &[&[(&str, &str)]] = &[
    super::emperor::ELSEWHERE,
    super::language::ELSEWHERE,
    super::logs::ELSEWHERE,
    super::outside::ELSEWHERE,
    super::python::ELSEWHERE,
    super::request::ELSEWHERE,
    super::workers::ELSEWHERE,
];

#[test]
fn every_option_that_works_is_shown_by_a_test() {
    let mut shown = BTreeSet::new();
    let mut problems = Vec::new();
    let mut show = |name: &str| match options::find(name) {
        Some(row) => {
            shown.insert(row.name);
        }
        None => problems.push(format!("a case shows \"{name}\", which is no option")),
    };
    let frame = |file: &PathBuf| file.ends_with("mod.rs") || file.ends_with("coverage.rs");
    let mut files = rust_files(&repository().join("tests/compliance/options"));
    files.retain(|file| !frame(file));
    for file in files {
        for name in options_of_cases(&std::fs::read_to_string(file).expect("a source file")) {
            show(&name);
        }
    }
    for (name, _) in ELSEWHERE.iter().copied().flatten() {
        show(name);
    }
    let tests = sources();
    for (name, test) in ELSEWHERE.iter().copied().flatten() {
        let is_there = tests.contains(&format!("fn {test}("));
        if !is_there {
            problems.push(format!(
                "\"{name}\" is shown by \"{test}\", which is no test"
            ));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    let missing: Vec<&str> = options::rows()
        .filter(|row| row.has_effect() && !shown.contains(row.name))
        .map(|row| row.name)
        .collect();
    eprintln!(
        "{} options work, and no test is named for them: {missing:?}",
        missing.len()
    );
}

/// The words in `options: &["…", "…"]`.
fn options_of_cases(source: &str) -> Vec<String> {
    let lists = source.split("options: &[").skip(1);
    let lists = lists.filter_map(|rest| rest.split_once(']').map(|(list, _)| list));
    lists
        .flat_map(|list| list.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// All tests of the repository, as one text.
fn sources() -> String {
    let mut text = String::new();
    for folder in ["tests", "crates"] {
        for file in rust_files(&repository().join(folder)) {
            text.push_str(&std::fs::read_to_string(file).expect("a source file"));
        }
    }
    text
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
