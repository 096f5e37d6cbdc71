//! What must hold for any bytes given as a config. The fuzz target and the replay of its corpus both
//! call `check`.

use std::path::Path;

use imperator_core::config::{self, Kind, World};
use imperator_core::ini::lines::{self, Line};
use imperator_core::ini::magic::{Facts, Magic};
use imperator_core::{ini, stanzas};

/// No panic; the keys are those of the plain line rules, each with its line; the config resolves or
/// says why not; its stanzas can be asked for.
pub(crate) fn check(bytes: &[u8]) {
    let facts = Facts::default();
    let file = ini::plain_file(Path::new("app.ini"));
    let magic = Magic {
        facts: &facts,
        file: &file,
        first: &file,
    };
    let document = ini::read(bytes, &magic);
    if !document.findings.iter().any(|finding| finding.is_error()) {
        let plain = magic.substitute(bytes.strip_prefix(ini::BOM).unwrap_or(bytes));
        assert_eq!(
            plain.lines.len(),
            plain.bytes.split(|&byte| byte == b'\n').count()
        );
        let mut expected = Vec::new();
        let mut inside = false;
        for (line, &number) in plain.bytes.split(|&byte| byte == b'\n').zip(&plain.lines) {
            match lines::read(line) {
                Line::Section(_) => inside = true,
                Line::Option { key, value } if inside => {
                    expected.push((key.to_vec(), value.to_vec(), number));
                }
                Line::Option { .. } | Line::Nothing => {}
            }
        }
        let found: Vec<_> = document
            .options
            .into_iter()
            .map(|option| (option.key, option.value, option.line))
            .collect();
        assert_eq!(found, expected);
    }

    let world = Everywhere { bytes, facts };
    let resolved = config::resolve(&["--ini=app.ini".to_owned()], &world);
    let failed = resolved.findings.iter().any(|finding| finding.is_error());
    assert_eq!(resolved.settings.is_none(), failed);
    for stanza in stanzas::apps(bytes).iter().take(5) {
        let section = stanza.section.clone();
        let file = "app.ini".into();
        let args = config::resolve_args(&imperator_core::message::Config { file, section });
        let _ = config::resolve(&args, &world);
    }
}

/// Any words, one a line, as a command line over files that hold an app: a result or a reason.
pub(crate) fn check_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    let world = Everywhere {
        bytes: b"[uwsgi]\nsocket = :1\nmodule = a\ndeclare-option = own=env=$1\nown = A=1\n",
        facts: Facts::default(),
    };
    let reading = config::read(&words, &world);
    let failed = reading
        .resolved
        .findings
        .iter()
        .any(|finding| finding.is_error());
    assert_eq!(reading.resolved.settings.is_none(), failed);
    if let Some(block) = reading.block() {
        let lines = block.split(|&byte| byte == b'\n').count();
        assert!(lines >= reading.options.map_or(0, |options| options.len()));
    }
}

/// Any bytes as a file of another kind; the first one chooses which.
pub(crate) fn check_carrier(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else {
        return;
    };
    let name = ["app.json", "app.yaml", "app.xml"][usize::from(first % 3)];
    let world = Everywhere {
        bytes,
        facts: Facts::default(),
    };
    let reading = config::read(&[format!("--ini-file={name}")], &world);
    let lines = bytes.split(|&byte| byte == b'\n').count();
    for place in reading
        .resolved
        .findings
        .iter()
        .flat_map(|finding| &finding.place)
    {
        assert!(usize::try_from(place.line).unwrap_or(usize::MAX) <= lines + 1);
    }
}

/// Every file holds the same bytes, so that includes include themselves.
struct Everywhere<'a> {
    bytes: &'a [u8],
    facts: Facts,
}

impl World for Everywhere<'_> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        if path.as_os_str().len() > 200 {
            return Err("file name too long".to_owned());
        }
        Ok(self.bytes.to_vec())
    }

    fn run(&self, _command: &str) -> Result<Vec<u8>, String> {
        Ok(b"%(x) $(x) @(x)".to_vec())
    }

    fn kind(&self, path: &Path) -> Kind {
        match path.as_os_str().len() % 3 {
            0 => Kind::Missing,
            1 => Kind::File,
            _ => Kind::Directory,
        }
    }

    fn inode(&self, _path: &Path) -> u64 {
        1
    }

    fn glob(&self, pattern: &str, limit: usize) -> Vec<Vec<u8>> {
        let times = pattern.len().min(limit).min(9);
        vec![b"app.ini".to_vec(); times]
    }

    fn names(&self, _directory: &Path) -> Result<Vec<String>, String> {
        Ok(vec!["A".to_owned(), "B".to_owned()])
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name.len() < 8).then(|| b"$(x)%(y)".to_vec())
    }

    fn uwsgi_env(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}
