//! A world in memory for config tests, and the way to test data that lies beside the checkout.

#![allow(dead_code, reason = "each test binary uses its part of these helpers")]

pub(crate) mod original;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use imperator_core::config::{self, Kind, Reading, Shown, World};
use imperator_core::ini::magic::Facts;
use imperator_core::settings::Resolved;

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) facts: Facts,
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) inode: u64,
    /// The config files belong to somebody else.
    pub(crate) is_foreign: bool,
}

impl Memory {
    /// Files below `/etc/apps`, which is the working directory.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let facts = Facts {
            hostname: "web1".to_owned(),
            uid: 33,
            gid: 33,
            user: Some("www-data".to_owned()),
            group: Some("www-data".to_owned()),
            cpus: 8,
            binary: PathBuf::from("/usr/bin/imperator"),
            cwd: PathBuf::from("/etc/apps"),
            seconds: 0,
            micros: 0,
        };
        let files = files.iter().map(|(name, text)| {
            let path = facts.cwd.join(name);
            (path, text.as_bytes().to_vec())
        });
        Self {
            files: files.collect(),
            facts,
            env: BTreeMap::new(),
            inode: 7,
            is_foreign: false,
        }
    }

    pub(crate) fn and_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl World for Memory {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let found = self.files.get(&self.facts.cwd.join(path));
        found
            .cloned()
            .ok_or_else(|| "no such file or directory".to_owned())
    }

    fn run(&self, command: &str) -> Result<Vec<u8>, String> {
        Ok(format!("output of {command}\n").into_bytes())
    }

    fn kind(&self, path: &Path) -> Kind {
        let path = self.facts.cwd.join(path);
        if self.files.contains_key(&path) {
            Kind::File
        } else if self.files.keys().any(|file| file.starts_with(&path)) {
            Kind::Directory
        } else {
            Kind::Missing
        }
    }

    fn inode(&self, _path: &Path) -> u64 {
        self.inode
    }

    fn is_own(&self, _config: &Path) -> bool {
        !self.is_foreign
    }

    fn names(&self, directory: &Path) -> Result<Vec<String>, String> {
        let directory = self.facts.cwd.join(directory);
        let files = self.files.keys();
        let names = files.filter_map(|file| file.strip_prefix(&directory).ok()?.to_str());
        let names: Vec<String> = names.map(str::to_owned).collect();
        match names.is_empty() {
            true => Err("no such file or directory".to_owned()),
            false => Ok(names),
        }
    }

    fn look_up(&self, _host: &str) -> Result<String, String> {
        Ok("10.0.0.1".to_owned())
    }

    fn interface(&self, prefix: &str) -> Option<String> {
        let mine = ["127.0.0.1", "192.168.0.7"];
        let mut found = mine.iter().filter(|it| it.starts_with(prefix));
        found.next().map(|&it| it.to_owned())
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = std::str::from_utf8(name).ok()?;
        Some(self.env.get(name)?.clone().into_bytes())
    }

    fn uwsgi_env(&self) -> Vec<(String, Vec<u8>)> {
        let vars = self
            .env
            .iter()
            .filter(|(name, _)| name.starts_with("UWSGI_"));
        vars.map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect()
    }
}

/// A directory of shared test data beside the checkout or one of its parents. Says loudly when it
/// is absent: the test that asks for it then shows nothing.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here
        .ancestors()
        .map(|dir| dir.join("shared").join(name))
        .find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no shared/{name} beside the checkout, so this test shows nothing");
    }
    found
}

/// The options as the original prints them, without those of the command line itself.
pub(crate) fn shown(reading: &Reading) -> Vec<u8> {
    let mut out = Vec::new();
    for Shown { key, value } in reading.options.iter().flatten() {
        if matches!(key.as_str(), "ini" | "show-config") {
            continue;
        }
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b" = ");
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

/// The settings and findings of a command line.
pub(crate) fn resolve(world: &Memory, args: &[&str]) -> Resolved {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    config::resolve(&args, world)
}
