//! Every option that does something is shown by a case, or by a test that `ELSEWHERE` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::support::{Original, repository, skips_without};
use imperator_core::options;

const ELSEWHERE: &[&[(&str, &str)]] = &[
    super::alarms::ELSEWHERE,
    super::basics::ELSEWHERE,
    super::blocks::ELSEWHERE,
    super::emperor::ELSEWHERE,
    super::https::ELSEWHERE,
    super::language::ELSEWHERE,
    super::logs::ELSEWHERE,
    super::on_demand::ELSEWHERE,
    super::outside::ELSEWHERE,
    super::python::ELSEWHERE,
    super::http::ELSEWHERE,
    super::request::ELSEWHERE,
    super::sockets::ELSEWHERE,
    super::routes::ELSEWHERE,
    super::static_files::ELSEWHERE,
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
    let missing = options::rows().filter(|row| row.has_effect());
    let missing = missing.filter(|row| !shown.contains(row.name));
    problems.extend(missing.map(|row| format!("\"{}\" works, and no test shows it", row.name)));
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_name_that_the_original_prints_has_a_row() {
    if skips_without("the original uwsgi-core", Original::is_installed()) {
        return;
    }
    let mut plugins = Vec::new();
    for entry in std::fs::read_dir(PLUGINS).expect("the original's plugins") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        plugins.extend(name.strip_suffix("_plugin.so").map(str::to_owned));
    }
    plugins.sort();
    let (mut names, mut problems) = (BTreeSet::new(), Vec::new());
    for plugin in &plugins {
        for (name, short) in printed_with(plugin) {
            let row = options::find(&name);
            if row.is_none() {
                problems.push(format!("--{name} of the plugin {plugin} has no row"));
            }
            let ours = short.and_then(options::find_short);
            // `-s` stands for all sockets, and so on.
            if short.is_some() && ours.is_none() {
                problems.push(format!("-{} of --{name} has no row", short.unwrap_or(' ')));
            }
            names.insert(name);
        }
    }
    eprintln!("{} names in {} plugins", names.len(), plugins.len());
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(names.len() > 900, "only {} names", names.len());
}

const PLUGINS: &str = "/usr/lib/uwsgi/plugins";

/// Names and letters of the options that the original lists when this plugin is loaded.
fn printed_with(plugin: &str) -> Vec<(String, Option<char>)> {
    let output = std::process::Command::new("uwsgi-core")
        .args(["--plugin", plugin, "--help"])
        .output()
        .expect("the original");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter_map(|line| {
        let word = line.trim_start().split(' ').next()?;
        let (short, long) = word
            .split_once('|')
            .map_or((None, word), |(short, long)| (short.chars().nth(1), long));
        Some((long.strip_prefix("--")?.to_owned(), short))
    });
    rows.collect()
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
