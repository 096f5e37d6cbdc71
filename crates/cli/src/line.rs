//! The command line of an emperor or of one app: our few options, uWSGI's many, and what stands
//! alone. Which of uWSGI's options take a value is read from the option table.

use std::path::{Path, PathBuf};

use imperator_core::options::{self, Value};

/// What was typed, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) runtime: Option<PathBuf>,
    /// `--emperor X`, in order.
    pub(crate) emperors: Vec<String>,
    /// What stands alone: directories and config files.
    pub(crate) alone: Vec<String>,
    /// `--ini FILE` and its like.
    pub(crate) configs: Vec<String>,
    /// Everything but what is above and but `--runtime-dir`: for the resolver.
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
        let mut value = || {
            joined
                .clone()
                .or_else(|| rest.next().cloned())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name {
            "--runtime-dir" => line.runtime = Some(PathBuf::from(value()?)),
            "--emperor" => line.emperors.push(value()?),
            "--ini" => line.configs.push(value()?),
            "--help" | "-h" | "--usage" => line.help = true,
            "--version" => line.version = true,
            "--" => line.alone.extend(rest.by_ref().cloned()),
            _ if !name.starts_with('-') => line.alone.push(argument.clone()),
            _ => {
                line.options.push(argument.clone());
                if joined.is_none() && takes_value(name) {
                    let next = rest.as_slice().first();
                    if next.is_some_and(|next| !next.starts_with('-')) {
                        line.options.extend(rest.next().cloned());
                    }
                }
            }
        }
    }
    Ok(line)
}

/// Whether uWSGI's option takes the next argument. `-p4` has its value; `-Mp 4` takes one if its last
/// letter does.
fn takes_value(name: &str) -> bool {
    let row = match name.strip_prefix("--") {
        Some(long) => match options::find(long) {
            Some(row) => Some(row),
            // Nobody knows, so it is as the resolver takes it: a value, if one follows.
            None => return true,
        },
        None => {
            let mut letters = name.chars().skip(1);
            let first = letters.find_map(|letter| {
                options::find_short(letter).filter(|row| !takes_none(row.value))
            });
            return first.is_some() && letters.next().is_none();
        }
    };
    row.is_some_and(|row| !takes_none(row.value))
}

fn takes_none(value: Value) -> bool {
    match value {
        Value::Flag | Value::Nothing => true,
        Value::Number
        | Value::Milliseconds
        | Value::Seconds
        | Value::Bytes
        | Value::Kibibytes
        | Value::Mebibytes
        | Value::Mode
        | Value::Text
        | Value::Path
        | Value::Address
        | Value::Pair => false,
    }
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
        assert_eq!(line.emperors, ["/a", "/b/*.ini"]);
        assert_eq!(line.alone, ["vassals"]);
        assert_eq!(line.options, ["--master"]);
        assert_eq!(line.runtime.as_deref(), Some(Path::new("/run/x")));
        assert!(parse(&strings(&["--emperor"])).is_err());
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
