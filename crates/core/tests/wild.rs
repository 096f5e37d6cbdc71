//! How much of what people write into their configs is understood: every key of the files that lie
//! beside the checkout has a row in the option table, or is a placeholder, and most uses do what
//! they are meant to do. Prints the figures.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common::shared;
use imperator_core::ini::lines::{self, Line};
use imperator_core::options::{self, Support};

/// Of 100 uses of options.
const UNDERSTOOD: f64 = 95.0;

/// What the original knows, as it was asked for each key of a larger sample.
#[test]
fn what_the_original_knows_has_a_row() {
    let Some(wild) = shared("wild-ini") else {
        return;
    };
    let text = std::fs::read_to_string(wild.join("FREQ.tsv")).unwrap();
    let (mut known, mut missing) = (0, Vec::new());
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [option, _, _, _, "y", ..] = fields[..] else {
            continue;
        };
        known += 1;
        if options::find(option).is_none() {
            missing.push(option);
        }
    }
    assert!(
        known > 200,
        "only {known} options of the sample are the original's"
    );
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[derive(Default)]
struct Tally {
    uses: BTreeMap<&'static str, usize>,
    /// Options without an effect that an app could miss: how often.
    missed: BTreeMap<&'static str, usize>,
    placeholders: usize,
    /// Keys that mean nothing to the original either, with their files: typos, notes, text of a
    /// template, options of plugins that are not public, what an app reads by `uwsgi.opt`.
    nobody: BTreeMap<String, BTreeSet<String>>,
}

#[test]
fn nearly_every_use_of_an_option_in_the_wild_is_understood() {
    let Some(wild) = shared("wild-ini") else {
        return;
    };
    let mut tally = Tally::default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&wild)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ini"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no file", wild.display());
    let everything: String = files.iter().map(|path| read(path)).collect();
    for path in &files {
        count(path, &everything, &mut tally);
    }
    let files = files.len();
    let uses = |words: &[&str]| {
        words
            .iter()
            .filter_map(|word| tally.uses.get(word))
            .sum::<usize>()
    };
    let all = uses(&["full", "differs", "ignored", "later", "refused"]);
    let understood = uses(&["full", "differs", "ignored"]);
    let percent = 100.0 * understood as f64 / all as f64;
    println!(
        "{files} files, {all} uses of options ({} more of placeholders): {percent:.1} % work or may be \
         ignored\n{:?}\nwithout an effect: {:?}",
        tally.placeholders, tally.uses, tally.missed
    );
    println!("neither an option nor used by a %( ): {:?}", tally.nobody);
    assert!(percent >= UNDERSTOOD, "{percent:.1} %");
}

fn count(path: &Path, everything: &str, tally: &mut Tally) {
    let text = read(path);
    let mut inside = false;
    for line in text.lines() {
        let key = match lines::read(line.as_bytes()) {
            Line::Section(_) => {
                inside = true;
                continue;
            }
            Line::Option { key, .. } if inside => String::from_utf8_lossy(key).into_owned(),
            Line::Option { .. } | Line::Nothing => continue,
        };
        let Some(row) = options::find(&key) else {
            // Files include each other.
            let is_used = [format!("%({key})"), format!("%({key} ")];
            if is_used.iter().any(|used| everything.contains(used)) {
                tally.placeholders += 1;
            } else {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                tally.nobody.entry(key).or_default().insert(name);
            }
            continue;
        };
        *tally.uses.entry(row.support.word()).or_default() += 1;
        match row.support {
            Support::Full | Support::Differs(_) | Support::Ignored(_) => (),
            Support::Later(_) | Support::Refused { .. } => {
                *tally.missed.entry(row.name).or_default() += 1;
            }
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}
