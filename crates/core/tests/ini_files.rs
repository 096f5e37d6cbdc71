//! Files that others wrote: the recorded cases of the original, and real configs from the wild. Both
//! lie beside the checkout and are no part of the project.

mod common;

use std::path::Path;

use common::{Memory, shared, shown};
use imperator_core::config;

/// Cases that we read otherwise, each with its row in docs/differences.md.
const DIFFERENT: &[(&str, &str)] = &[("19_bom", "a byte order mark is dropped with a warning")];

#[test]
fn the_recorded_cases_of_the_original_agree() {
    let Some(cases) = shared("ini-cases") else {
        return;
    };
    let mut count = 0;
    for path in files(&cases, "ini") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = std::fs::read(path.with_extension("uwsgi-2.0.21")).unwrap();
        let mut world = Memory::with(&[]);
        let bytes = std::fs::read(&path).unwrap();
        world.files.insert("/etc/apps/case.ini".into(), bytes);
        let reading = config::read(&["--ini".into(), "case.ini".into()], &world);
        let found = String::from_utf8_lossy(&shown(&reading)).into_owned();
        let expected = String::from_utf8_lossy(&expected).replace("@DIR@", "/etc/apps");
        let different = DIFFERENT.iter().any(|(case, _)| *case == name);
        // A bare key is recorded as "key = " and a case without options as nothing.
        assert_eq!(
            found.trim_end() == expected.trim_end(),
            !different,
            "{name}:\n{found}\n{expected}"
        );
        count += 1;
    }
    assert_eq!(count, 36);
}

#[test]
fn every_file_from_the_wild_is_read_without_a_panic_and_most_become_an_app() {
    let Some(wild) = shared("wild-ini") else {
        return;
    };
    let files = files(&wild, "ini");
    let mut apps = 0;
    for path in &files {
        let mut world = Memory::with(&[]);
        let bytes = std::fs::read(path).unwrap();
        let sections = imperator_core::stanzas::apps(&bytes);
        world.files.insert("/etc/apps/app.ini".into(), bytes);
        let resolved = config::resolve(&["--ini=app.ini".into()], &world);
        for finding in &resolved.findings {
            if finding.is_error() {
                println!("{}: {finding}", path.display());
            }
        }
        apps += usize::from(resolved.settings.is_some());
        assert!(sections.len() <= 20, "{}", path.display());
        let errors = resolved
            .findings
            .iter()
            .any(imperator_core::finding::Finding::is_error);
        assert_eq!(resolved.settings.is_none(), errors);
    }
    println!("{apps} of {} are apps by themselves", files.len());
    assert!(apps * 2 > files.len());
}

fn files(dir: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
