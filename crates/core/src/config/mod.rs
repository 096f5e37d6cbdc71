//! From a command line to one app's `Settings`: `imperator resolve` calls it with the world it may
//! read. Pure: files, environment and facts come through that world.

mod apply;
pub mod args;
mod block;
mod custom;
mod expand;
mod files;
mod load;
mod odd;
mod on_demand;
mod passes;
pub mod world;

use std::path::Path;

use crate::finding::{Finding, Place};
use crate::message::Config;
use crate::options::{INI_FILE, INI_SECTION, ON_DEMAND_SOCKET};
use crate::settings::Resolved;
use crate::settings::empire::Vassals;
pub use files::{MAX_LINES, MAX_READ};
use load::Loader;
pub use load::{MAX_DEPTH, MAX_ENTRIES, MAX_LOADS, MAX_TOTAL};
pub use world::{Kind, World};

/// How the finding ends that says why a config runs no app.
pub const STARTS_NOTHING: &str = "starts nothing";

/// The arguments of `imperator resolve` for one config. The original cuts `--ini a.ini:b` at the last
/// colon, so `[uwsgi:blog]` could not be asked for, nor a file with a colon in its name; hence two
/// options of our own, each with its value behind `=`.
pub fn resolve_args(config: &Config) -> Vec<String> {
    let mut args = Vec::new();
    if let Some(section) = &config.section {
        args.push(format!("--{INI_SECTION}={section}"));
    }
    args.push(format!("--{INI_FILE}={}", config.file.display()));
    args
}

/// The same for a vassal that runs in `cwd`: its own in the midst of what all get.
pub fn vassal_args(vassals: &Vassals, config: &Config, cwd: &Path) -> Vec<String> {
    let all = |option: &'static str, values: &[String]| {
        let argument = move |value: &String| format!("--{option}={value}");
        values.iter().map(argument).collect::<Vec<_>>()
    };
    let on_demand = on_demand::socket_of(&vassals.on_demand, config, cwd);
    let on_demand: Vec<_> = on_demand.into_iter().collect();
    [
        // Before all files: a block that one of them leaves open must not hold it.
        all(ON_DEMAND_SOCKET, &on_demand),
        all("inherit", &vassals.inherit_before),
        all("include", &vassals.include_before),
        all("set", &vassals.set),
        resolve_args(config),
        all("inherit", &vassals.inherit),
        all("include", &vassals.include),
    ]
    .concat()
}

/// One option as the original prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub key: String,
    pub value: Vec<u8>,
}

/// Everything that a config says.
#[derive(Debug)]
pub struct Reading {
    pub resolved: Resolved,
    /// The flat list of options after all substitutions; `None` when the original would not come so
    /// far as to print it.
    pub options: Option<Vec<Shown>>,
    /// What `print` and `iprint` say.
    pub printed: Vec<String>,
}

impl Reading {
    /// What `--show-config` prints.
    pub fn block(&self) -> Option<Vec<u8>> {
        let mut block = b"\n;uWSGI instance configuration\n[uwsgi]\n".to_vec();
        for Shown { key, value } in self.options.as_ref()? {
            block.extend_from_slice(key.as_bytes());
            block.extend_from_slice(b" = ");
            block.extend_from_slice(value);
            block.push(b'\n');
        }
        block.extend_from_slice(b";end of configuration\n\n");
        Some(block)
    }
}

/// Reads the config that a command line asks for, with everything that it includes.
pub fn resolve(args: &[String], world: &dyn World) -> Resolved {
    read(args, world).resolved
}

/// The same, with what the config prints.
pub fn read(args: &[String], world: &dyn World) -> Reading {
    let (first, fallback) = read_once(args, world);
    let ends_with_one = first.resolved.exit.is_none_or(|code| code == 1);
    let failed = first.resolved.settings.is_none() && ends_with_one;
    let Some(file) = fallback.filter(|_| failed) else {
        return first;
    };
    let (mut second, _) = read_once(std::slice::from_ref(&file), world);
    // Nobody falls twice.
    if let Some(settings) = &mut second.resolved.settings {
        settings.readiness.fallback = None;
    }
    let mut findings: Vec<Finding> = first
        .resolved
        .findings
        .into_iter()
        .map(|mut finding| {
            finding.severity = crate::finding::Severity::Warning;
            finding
        })
        .collect();
    let text = format!("the config cannot be run, and \"fallback-config\" takes its place: {file}");
    findings.push(Finding::warning(None, text).with_hint("mend what is told above"));
    findings.append(&mut second.resolved.findings);
    second.resolved.findings = findings;
    let mut files = first.resolved.files;
    for file in second.resolved.files {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    second.resolved.files = files;
    second
}

/// The reading, and the config to fall back to.
fn read_once(args: &[String], world: &dyn World) -> (Reading, Option<String>) {
    let mut loader = gather(args, world);
    let broken = loader.findings.iter().any(Finding::is_error) || loader.exit.is_some();
    if !broken {
        expand::all(&mut loader);
    }
    let fallback = loader.fallback.clone();
    let mut reading = apply::all(loader);
    if let Some(settings) = &mut reading.resolved.settings {
        settings.readiness.fallback.clone_from(&fallback);
    }
    (reading, fallback)
}

/// One option after all substitutions, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub value: String,
    /// `None`: the command line or the environment.
    pub place: Option<Place>,
}

/// The flat list of options with their places, for reports about them; as far as it goes when the
/// config is broken.
pub fn listed(args: &[String], world: &dyn World) -> Vec<Listed> {
    let mut loader = gather(args, world);
    if !loader.findings.iter().any(Finding::is_error) {
        expand::all(&mut loader);
    }
    let listed = |entry: load::Entry| Listed {
        value: crate::ini::text(&entry.value),
        place: entry.place.known(),
        key: entry.key,
    };
    loader.entries.into_iter().map(listed).collect()
}

/// Environment, then command line with its files.
fn gather<'w>(args: &[String], world: &'w dyn World) -> Loader<'w> {
    let mut loader = Loader::new(world);
    for (name, value) in world.uwsgi_env() {
        if NOT_OPTIONS.contains(&name.as_str()) {
            continue;
        }
        if let Some(option) = name.strip_prefix("UWSGI_") {
            let key = option.to_ascii_lowercase().replace('_', "-");
            loader.add(&key, Some(&value), &load::nowhere("environment"));
        }
    }
    let place = load::nowhere("command line");
    let mut line = args::Line::new(args);
    while let Some(next) = line.next(&|name| loader.custom.get(name).map(custom::Custom::takes)) {
        match next {
            Ok(argument) => {
                let value = argument.value.as_deref().map(str::as_bytes);
                loader.add(&argument.name, value, &place);
            }
            Err(finding) => loader.findings.push(finding),
        }
    }
    let mut findings = Vec::new();
    for argument in line.positional(&mut findings) {
        loader.add_positional(&argument, &place);
    }
    loader.findings.append(&mut findings);
    loader.end_of_input();
    loader
}

/// Names of variables that look like options and are not (core/utils.c, parse_sys_envs).
const NOT_OPTIONS: &[&str] = &[
    "UWSGI_BROODLORD_NUM",
    "UWSGI_EMPEROR_FD",
    "UWSGI_EMPEROR_FD_CONFIG",
    "UWSGI_EMPEROR_PROXY",
    "UWSGI_JAIL_PID",
    "UWSGI_ORIGINAL_PROC_NAME",
    "UWSGI_RELOADS",
    "UWSGI_VASSALS_DIR",
];
