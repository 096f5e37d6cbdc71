//! Keeps the repository's shape: who may depend on whom, what stands at the top, how files open,
//! where unsafe code may be, and that documents say what the code says.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAX_LINES: usize = 600;

/// Which of our crates each crate may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("process", &[]),
    ("hooks", &["core"]),
    ("emperor", &["core", "process"]),
    ("master", &["core", "process"]),
    ("worker", &["core", "process"]),
    ("python", &["core", "process", "hooks", "worker"]),
    ("bench", &["core"]),
];

/// The command, at the top.
const COMMAND_EDGES: &[&str] = &["core", "process", "hooks", "emperor", "master"];

/// Dependencies that belong to some crates; "" is the command. bench is a command of its own.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("pyo3", &["python"]),
    ("anyhow", &["", "bench"]),
    ("clap", &["", "bench"]),
    ("notify", &["emperor"]),
];

const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "crates",
    "docs",
    "tests",
    "vassals",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The repository's files, those not yet committed too; build output is not among them.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .expect("git");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8 names");
    let there = |path: &&str| top().join(path).is_file();
    text.lines().filter(there).map(str::to_owned).collect()
}

fn rust_files() -> Vec<String> {
    files()
        .into_iter()
        .filter(|path| path.ends_with(".rs"))
        .collect()
}

/// The names in one section of a manifest.
fn names_in(manifest: &str, section: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end_matches(']') == section;
        } else if inside && line.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.insert(line[..end].to_owned());
        }
    }
    names
}

#[track_caller]
fn expect_none(what: &str, problems: Vec<String>) {
    assert!(problems.is_empty(), "{what}:\n  {}", problems.join("\n  "));
}

#[test]
fn crates_depend_only_on_whom_they_may() {
    let mut problems = Vec::new();
    let mut check = |name: &str, manifest: &str, allowed: &[&str]| {
        let names = names_in(manifest, "dependencies");
        for other in names
            .iter()
            .filter_map(|name| name.strip_prefix("imperator-"))
        {
            if !allowed.contains(&other) {
                problems.push(format!("{name} -> {other}"));
            }
        }
        for (dependency, owners) in ONLY_IN {
            if names.contains(*dependency) && !owners.contains(&name) {
                problems.push(format!("{name} -> {dependency}"));
            }
        }
    };
    check("", &read("Cargo.toml"), COMMAND_EDGES);
    for (name, allowed) in EDGES {
        check(name, &read(&format!("crates/{name}/Cargo.toml")), allowed);
    }
    expect_none("edges that design does not have", problems);

    let known: BTreeSet<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there: BTreeSet<String> = fs::read_dir(top().join("crates"))
        .expect("crates")
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, known, "a crate without its edges in this test");
}

#[test]
fn every_crate_has_the_workspaces_lints() {
    let mut problems = Vec::new();
    for (name, _) in EDGES {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true") {
            problems.push(format!("crates/{name}/Cargo.toml"));
        }
    }
    expect_none("without `[lints] workspace = true`", problems);
}

#[test]
fn the_top_level_holds_what_it_should() {
    let unexpected: BTreeSet<String> = files()
        .iter()
        .map(|path| path.split('/').next().unwrap().to_owned())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    expect_none("not for the top level", unexpected.into_iter().collect());
    let missing = TOP_LEVEL.iter().filter(|name| !top().join(name).exists());
    expect_none(
        "missing at the top",
        missing.map(|name| (*name).to_owned()).collect(),
    );
}

#[test]
fn every_file_opens_with_what_it_is_for_and_stays_short() {
    let mut problems = Vec::new();
    for path in rust_files() {
        let text = read(&path);
        if !text.starts_with("//! ") {
            problems.push(format!("{path}: does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            problems.push(format!("{path}: {lines} lines, at most {MAX_LINES}"));
        }
    }
    expect_none("files", problems);
}

#[test]
fn unsafe_code_stands_only_where_it_may() {
    let mut problems = Vec::new();
    let mut of_worker = BTreeSet::new();
    for path in rust_files().into_iter().filter(|path| path != file!()) {
        let has_unsafe = read(&path).lines().any(is_unsafe);
        let krate = path
            .strip_prefix("crates/")
            .and_then(|path| path.split('/').next());
        match krate {
            _ if !has_unsafe => (),
            Some("process" | "python") => (),
            Some("worker") => {
                of_worker.insert(path);
            }
            Some(_) | None => problems.push(path),
        }
    }
    if of_worker.len() > 1 {
        problems.push(format!("more than one file of worker: {of_worker:?}"));
    }
    for root in [
        "crates/core/src/lib.rs",
        "crates/emperor/src/lib.rs",
        "crates/hooks/src/lib.rs",
        "crates/master/src/lib.rs",
        "crates/bench/src/lib.rs",
        "crates/cli/src/main.rs",
    ] {
        if !read(root).contains("#![forbid(unsafe_code)]") {
            problems.push(format!("{root}: without #![forbid(unsafe_code)]"));
        }
    }
    expect_none("unsafe code", problems);
}

/// Whether a line of code, not of a comment, opens something unsafe.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe(",
    ]
    .iter()
    .any(|start| code.contains(start))
        && !code.contains('"')
}

#[test]
fn every_test_target_is_declared() {
    let manifest = read("Cargo.toml");
    let mut problems = Vec::new();
    for path in rust_files() {
        let Some(rest) = path.strip_prefix("tests/") else {
            continue;
        };
        let is_target = rest.ends_with("/main.rs") || !rest.contains('/');
        if is_target && !manifest.contains(&format!("path = \"{path}\"")) {
            problems.push(path);
        }
    }
    expect_none(
        "test targets that Cargo.toml does not name, so nobody runs them",
        problems,
    );
}

#[test]
fn every_dependency_says_why() {
    let manifest = read("Cargo.toml");
    let mut problems = Vec::new();
    let mut before = "";
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if inside && line.contains(" = ") && !line.starts_with('#') {
            let name = line.split(' ').next().unwrap_or("");
            // Ours, and those whose name says it all.
            let plain = name.starts_with("imperator-")
                || [
                    "serde_json",
                    "sd-notify",
                    "tempfile",
                    "tracing",
                    "tracing-subscriber",
                ]
                .contains(&name);
            if !before.starts_with('#') && !plain {
                problems.push(name.to_owned());
            }
        }
        before = line;
    }
    expect_none("dependencies without a sentence", problems);
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let needles = [
        concat!("/", "root/"),
        concat!("/", "work/"),
        concat!("/home/", "user"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("pypi", ".org"),
        concat!("deb.", "debian.org"),
        concat!("security.", "debian.org"),
        concat!("npmjs", ".org"),
    ];
    let mut problems = Vec::new();
    for path in files() {
        if path == "Cargo.lock" || path.contains("/corpus/") {
            continue;
        }
        let bytes = fs::read(top().join(&path)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle)) {
                problems.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    expect_none("lines that name a machine or a registry", problems);
}

#[test]
fn differences_are_whole_rows_and_each_stands_once() {
    let text = read("docs/differences.md");
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    let rows = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with('|'));
    for (number, line) in rows {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_rule = line.starts_with("|---");
        if !is_rule && (cells.len() != 4 || cells.iter().any(|cell| cell.is_empty())) {
            problems.push(format!("{}: {} cells: {line}", number + 1, cells.len()));
        }
        if let Some(before) = seen.insert(cells[0].to_owned(), number + 1) {
            problems.push(format!(
                "{}: \"{}\" stands in line {before} too",
                number + 1,
                cells[0]
            ));
        }
    }
    assert!(seen.len() > 10, "only {} rows", seen.len());
    expect_none("docs/differences.md", problems);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut problems = Vec::new();
    for path in files().into_iter().filter(|path| path.ends_with(".md")) {
        let text = read(&path);
        let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or("");
            let is_link = !file.is_empty() && !file.contains("://") && !file.contains(' ');
            if is_link && !top().join(folder).join(file).exists() {
                problems.push(format!("{path}: {target}"));
            }
        }
    }
    expect_none("links to nothing", problems);
}

#[test]
fn tests_that_the_architecture_names_exist() {
    let document = read("docs/architecture.md");
    let sources: String = rust_files().iter().map(|path| read(path)).collect();
    let mut problems = Vec::new();
    for name in document.split('`').skip(1).step_by(2) {
        // A name like `module::a_test_as_a_statement`: words in snake case, three and more.
        let last = name.rsplit("::").next().unwrap_or("");
        let is_test = last.matches('_').count() >= 3
            && last.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
            });
        if is_test && !sources.contains(&format!("fn {last}(")) {
            problems.push(name.to_owned());
        }
    }
    expect_none(
        "docs/architecture.md names tests that are not there",
        problems,
    );
}

#[test]
fn the_example_vassals_resolve_without_a_finding() {
    let mut vassals: Vec<PathBuf> = fs::read_dir(top().join("vassals"))
        .expect("vassals")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ini"))
        .collect();
    vassals.sort();
    assert!(
        vassals.len() >= 3,
        "the README promises three examples: {vassals:?}"
    );
    let mut problems = Vec::new();
    for vassal in vassals {
        for section in sections(&vassal) {
            let config = imperator_core::message::Config {
                file: vassal.clone(),
                section,
            };
            let output = Command::new(env!("CARGO_BIN_EXE_imperator"))
                .arg("resolve")
                .args(imperator_core::config::resolve_args(&config))
                .current_dir(top().join("vassals"))
                .output()
                .expect("imperator");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let resolved: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let clean = resolved["findings"].as_array().is_some_and(Vec::is_empty)
                && resolved["settings"].is_object();
            if !clean {
                problems.push(format!(
                    "{config}: {text}{}",
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
        }
    }
    expect_none("findings in the examples", problems);
}

/// The sections of an example that are apps; others are there to be included.
fn sections(file: &Path) -> Vec<Option<String>> {
    let stanzas = imperator_core::stanzas::apps(&fs::read(file).expect("an example"));
    stanzas.into_iter().map(|stanza| stanza.section).collect()
}
