//! The command line of an emperor or of one app: our few options, uWSGI's many, and what stands
//! alone. Which of uWSGI's options take a value is read from the option table.

use std::path::{Path, PathBuf};

use imperator_core::config::args::{self, Takes};
use imperator_core::options;

/// What was typed, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) runtime: Option<PathBuf>,
    /// What stands alone: directories and config files.
    pub(crate) alone: Vec<String>,
    /// `--ini FILE`, when there is no other option of uWSGI's.
    pub(crate) only: Option<String>,
    /// uWSGI's options with their values, as they were typed: for the resolver.
    pub(crate) options: Vec<String>,
    pub(crate) help: bool,
    pub(crate) version: bool,
}

/// # Errors
/// An option of ours without its value.
pub(crate) fn parse(arguments: &[String]) -> Result<Line, String> {
    let mut line = Line::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, joined) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        match name {
            "--runtime-dir" => {
                let value = joined.or_else(|| rest.next().cloned());
                let value = value.ok_or_else(|| format!("{name} needs a value"))?;
                line.runtime = Some(PathBuf::from(value));
            }
            "--help" | "-h" | "--usage" => line.help = true,
            "--version" => line.version = true,
            "--" => line.alone.extend(rest.by_ref().cloned()),
            "-" => line.alone.push(argument.clone()),
            _ if !name.starts_with('-') => line.alone.push(argument.clone()),
            _ => {
                line.options.push(argument.clone());
                let next = rest.as_slice().first();
                if joined.is_none() && takes_next(name, next) {
                    line.options.extend(rest.next().cloned());
                }
            }
        }
    }
    line.only = match line.options.as_slice() {
        [option, file] if option == "--ini" => Some(file.clone()),
        [one] => one.strip_prefix("--ini=").map(str::to_owned),
        _ => None,
    };
    Ok(line)
}

/// Whether uWSGI's option takes the next argument. `-p4` has its value; `-Mp 4` takes one if its last
/// letter does.
fn takes_next(name: &str, next: Option<&String>) -> bool {
    if let Some(long) = name.strip_prefix("--") {
        return match args::full_name(long) {
            Ok(name) => args::takes(&name) == Takes::Word,
            // The config may declare it; then it takes a value, if one follows.
            Err(_) => next.is_some_and(|next| !next.starts_with('-')),
        };
    }
    let mut letters = name.chars().skip(1);
    let first = letters.by_ref().find_map(|letter| {
        let row = options::find_short(letter)?;
        Some(args::takes(row.name)).filter(|takes| *takes != Takes::Nothing)
    });
    first == Some(Takes::Word) && letters.next().is_none()
}

/// `FILE:section`: the file and the section. A file whose name holds the colon is just that file.
pub(crate) fn split_section(text: &str) -> (&str, Option<&str>) {
    if Path::new(text).exists() {
        return (text, None);
    }
    // The first colon that leaves an existing file: sections may hold colons (`uwsgi:blog`).
    for (at, _) in text.match_indices(':') {
        if Path::new(&text[..at]).is_file() {
            return (&text[..at], Some(&text[at + 1..]));
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn ours_are_taken_out_and_the_rest_goes_to_the_resolver() {
        let line = parse(&strings(&[
            "--emperor=/a",
            "vassals",
            "--emperor",
            "/b/*.ini",
            "--runtime-dir",
            "/run/x",
            "--master",
        ]))
        .unwrap();
        assert_eq!(line.alone, ["vassals"]);
        assert_eq!(
            line.options,
            ["--emperor=/a", "--emperor", "/b/*.ini", "--master"]
        );
        assert_eq!(line.runtime.as_deref(), Some(Path::new("/run/x")));
        assert!(parse(&strings(&["--runtime-dir"])).is_err());
        let only = |words: &[&str]| parse(&strings(words)).unwrap().only;
        assert_eq!(only(&["--ini", "a.ini"]).as_deref(), Some("a.ini"));
        assert_eq!(only(&["--ini=a.ini:b"]).as_deref(), Some("a.ini:b"));
        assert_eq!(only(&["--ini", "a.ini", "-M"]), None);
        let line = parse(&strings(&[
            "--module", "app", "-Mp", "2", "vassals", "-p3", "--vacuum",
        ]));
        let line = line.unwrap();
        assert_eq!(line.alone, ["vassals"]);
        assert_eq!(
            line.options,
            ["--module", "app", "-Mp", "2", "-p3", "--vacuum"]
        );
    }

    #[test]
    fn a_section_is_what_follows_an_existing_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.ini");
        std::fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(split_section(file), (file, None));
        let blog = format!("{file}:uwsgi:blog");
        assert_eq!(split_section(&blog), (file, Some("uwsgi:blog")));
        assert_eq!(split_section("missing:x"), ("missing:x", None));
    }
}
