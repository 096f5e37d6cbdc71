//! Runs an emperor, or one app alone: what the command line and the file in it mean.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use imperator_core::carriers::Carrier;
use imperator_core::config::{STARTS_NOTHING, resolve_args};
use imperator_core::finding::Finding;
use imperator_core::message::Config;
use imperator_core::nearest::nearest;
use imperator_core::settings::{Resolved, Settings};
use imperator_core::stanzas;
use imperator_emperor::monitor::source::Source;
use imperator_emperor::options::Options;
use imperator_emperor::upgrade::{self, Answer};
use imperator_process::estate::Estate;
use imperator_process::poll::{self, Interest};

use crate::line::{self, Line};
use crate::own::{self, Next};
use crate::world::RealWorld;
use crate::{exit_code, help, log, place};

/// A config that is not read by then hangs on a pipe or a dead file system.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// A longer file is no config.
const MAX_FILE: u64 = 1 << 20;

/// What an emperor's own config says, and what is to be said about it.
#[derive(Default)]
struct Own {
    settings: Settings,
    findings: Vec<Finding>,
}

/// What is to run.
enum Run {
    Emperor(Vec<String>, Box<Own>),
    /// The arguments for `imperator resolve`.
    App(Vec<String>),
    /// Nothing, with this exit code.
    End(i32),
}

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    // Before anything else is opened.
    let estate = Estate::take();
    let executable = place::executable();
    let resumes = estate.text.is_some();
    if let Some(start) = upgrade::start_of(&estate) {
        std::env::set_current_dir(&start)
            .with_context(|| format!("cannot go back to {}", start.display()))?;
    }
    let start = std::env::current_dir().context("cannot tell the working directory")?;
    let words = words(arguments)?;
    let line = line::parse(&words).map_err(|why| anyhow!(why))?;
    if line.help {
        return help::print();
    }
    if line.version {
        return help::print_version();
    }
    let runtime = place::runtime_directory(line.runtime.clone());
    match understand(line)? {
        Run::End(code) => Ok(exit_code(code)),
        Run::App(resolve) => Ok(exit_code(imperator_master::run_alone(resolve))),
        Run::Emperor(sources, own) => {
            if resumes {
                own::apply_again(&own.settings)?;
            } else if let Next::Leave = own::apply(&own.settings, &runtime)? {
                return Ok(ExitCode::SUCCESS);
            }
            log::start();
            for finding in &own.findings {
                tracing::warn!("{finding}");
            }
            let options = Options {
                control_group: control_group(&own.settings)?,
                sources,
                cwd: std::env::current_dir().context("cannot tell the working directory")?,
                runtime,
                executable: executable.context("cannot find this very command")?,
                args: std::env::args_os().collect(),
                start,
                env: own.settings.env,
                pidfile: own.settings.pidfile,
                empire: own.settings.empire,
                logs: own.settings.logs,
            };
            imperator_emperor::run::run(&options, estate)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Whether this binary could run here with these arguments: asked by another one that would execute
/// it. Everything but the start itself.
pub(crate) fn self_check(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let line = line::parse(&words(arguments)?).map_err(|why| anyhow!(why))?;
    let cwd = std::env::current_dir().context("cannot tell the working directory")?;
    match understand(line)? {
        Run::Emperor(sources, _) => {
            for text in &sources {
                Source::parse(text, &cwd)?;
            }
        }
        Run::App(_) | Run::End(_) => bail!("these arguments start no emperor"),
    }
    imperator_master::check_extension().map_err(|why| anyhow!(why))?;
    let answer = Answer {
        imperator: env!("CARGO_PKG_VERSION").to_owned(),
        state: upgrade::VERSION,
    };
    let answer = serde_json::to_string(&answer).context("say who this is")?;
    writeln!(std::io::stdout(), "{answer}").context("say who this is")?;
    Ok(ExitCode::SUCCESS)
}

fn control_group(settings: &Settings) -> anyhow::Result<Option<u32>> {
    let name = settings.empire.control_group.as_deref();
    let group = name.map(imperator_process::privileges::group).transpose();
    group.context("control-group")
}

fn words(arguments: &[OsString]) -> anyhow::Result<Vec<String>> {
    let word = |argument: &OsString| {
        argument
            .to_str()
            .map(str::to_owned)
            .with_context(|| format!("argument {argument:?} is not UTF-8"))
    };
    arguments.iter().map(word).collect()
}

fn understand(line: Line) -> anyhow::Result<Run> {
    let mut sources = Vec::new();
    let mut files = Vec::new();
    for text in line.alone {
        if Path::new(&text).is_dir() {
            sources.push(text);
        } else if is_config(&text) {
            files.push(text);
        } else if text.ends_with('/') || !Path::new(&text).exists() {
            let meant = match nearest(&text, crate::ask::names()) {
                Some(command) => format!("did you mean imperator {command}?"),
                None => "imperator --help shows what can be run, and the commands".to_owned(),
            };
            bail!("no such directory or file: {text}\n  hint: {meant}");
        } else {
            // uWSGI takes other files too (`app.py`, a socket); the resolver says what they are.
            files.push(text);
        }
    }
    if files.is_empty() && sources.is_empty() && line.options.is_empty() {
        bail!("say what to run: imperator DIR, or imperator FILE.ini\n  hint: imperator --help");
    }
    let alone = match (&line.only, files.as_slice()) {
        (Some(file), []) => Some(file),
        (None, [file]) if line.options.is_empty() => Some(file),
        (Some(_) | None, _) => None,
    };
    if let Some(file) = alone.filter(|file| sources.is_empty() && is_ini(file)) {
        return of_file(file);
    }
    // With directories it is an emperor's config, which needs no app.
    let mut resolve: Vec<String> = sources
        .iter()
        .map(|it| format!("--emperor={it}"))
        .chain(line.options)
        .collect();
    if !files.is_empty() {
        resolve.push("--".to_owned());
        resolve.append(&mut files);
    }
    let resolved = resolved(&resolve);
    let own = resolved.as_ref().and_then(own);
    if let Some(own) = &own {
        sources.clone_from(&own.settings.emperor);
    }
    if sources.is_empty() || own.is_none() {
        return one_app(resolve, resolved);
    }
    let printed = printed(&resolve, resolved.as_ref())?;
    Ok(printed.unwrap_or_else(|| Run::Emperor(sources, Box::new(own.unwrap_or_default()))))
}

/// What the config asks to print before anything else: all options (`show-config`), when no master
/// will print them. `Some` when it asks for nothing more (`no-server`, `get`, `exit`).
fn printed(resolve: &[String], resolved: Option<&Resolved>) -> anyhow::Result<Option<Run>> {
    let Some(resolved) = resolved else {
        return Ok(None);
    };
    let runs_app = own(resolved).is_some_and(|own| own.settings.emperor.is_empty());
    if resolved.exit.is_none() && (runs_app || !resolved.show_config) {
        return Ok(None);
    }
    let reading = imperator_core::config::read(resolve, &RealWorld::look()?);
    let mut text = Vec::new();
    if resolved.show_config {
        text.extend(reading.block().unwrap_or_default());
    }
    if resolved.exit.is_some() {
        let mut stdout = std::io::stdout().lock();
        for line in &reading.printed {
            writeln!(stdout, "{line}").context("print")?;
        }
        for finding in &resolved.findings {
            // That nothing is started was asked for.
            if !finding.text.ends_with(STARTS_NOTHING) {
                text.extend(format!("{finding}\n").into_bytes());
            }
        }
    }
    std::io::stderr()
        .write_all(&text)
        .context("print the options")?;
    Ok(resolved.exit.map(Run::End))
}

/// `imperator FILE.ini` in its three meanings, and `FILE:section`.
fn of_file(text: &str) -> anyhow::Result<Run> {
    let (file, section) = line::split_section(text);
    let path = std::env::current_dir()
        .context("cannot tell the working directory")?
        .join(file);
    let args = |section: Option<String>| {
        resolve_args(&Config {
            file: path.clone(),
            section,
        })
    };
    if let Some(section) = section {
        let args = args(Some(section.to_owned()));
        let resolved = resolved(&args);
        return one_app(args, resolved);
    }
    let mut bytes = Vec::new();
    // Opening a FIFO waits for its writer, and its text could be read only once.
    if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        bail!("cannot read {file}: this is no regular file");
    }
    std::fs::File::open(&path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {file}"))?;
    let apps = stanzas::apps(&bytes);
    match apps.as_slice() {
        [] => {
            let args = args(None);
            let resolved = resolved(&args);
            one_app(args, resolved)
        }
        [one] => {
            let args = args(one.section.clone());
            let resolved = resolved(&args);
            match resolved.as_ref().and_then(emperor) {
                Some(run) => Ok(printed(&args, resolved.as_ref())?.unwrap_or(run)),
                None => one_app(args, resolved),
            }
        }
        _ => {
            let itself = resolved(&args(None)).as_ref().and_then(emperor);
            Ok(itself
                .unwrap_or_else(|| Run::Emperor(vec![path.display().to_string()], Box::default())))
        }
    }
}

/// The emperor that this config names.
fn emperor(resolved: &Resolved) -> Option<Run> {
    let own = own(resolved).filter(|own| !own.settings.emperor.is_empty())?;
    Some(Run::Emperor(own.settings.emperor.clone(), Box::new(own)))
}

fn own(resolved: &Resolved) -> Option<Own> {
    Some(Own {
        settings: resolved.settings.clone()?,
        findings: resolved.findings.clone(),
    })
}

/// An ini file, perhaps with a section: it may hold several apps.
fn is_ini(text: &str) -> bool {
    Carrier::of(line::split_section(text).0) == Some(Carrier::Ini)
}

/// A file that names a config, perhaps with a section.
fn is_config(text: &str) -> bool {
    let (file, _) = line::split_section(text);
    Carrier::of(file).is_some()
}

/// One app in the foreground. As in uWSGI a config that cannot be run ends the start; later it only
/// fails a reload. `resolved`: `None` when the resolver itself failed, which the app's start tells.
fn one_app(resolve: Vec<String>, resolved: Option<Resolved>) -> anyhow::Result<Run> {
    if let Some(run) = printed(&resolve, resolved.as_ref())? {
        return Ok(run);
    }
    if let Some(Resolved {
        settings: None,
        findings,
        ..
    }) = resolved
    {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        bail!("the config cannot be run\n{}", lines.join("\n"));
    }
    Ok(Run::App(resolve))
}

/// Asks the resolver what a config means.
fn resolved(resolve: &[String]) -> Option<Resolved> {
    let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let mut child = Command::new(executable)
        .arg("resolve")
        .args(resolve)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut output = child.stdout.take()?;
    let text = read_until(&mut output, now() + RESOLVE_LIMIT);
    // After its end, or to make it end; both times it is reaped.
    let _ = child.kill();
    let _ = child.wait();
    serde_json::from_slice(&text?).ok()
}

fn read_until(output: &mut (impl Read + std::os::fd::AsFd), deadline: Instant) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let left = deadline.saturating_duration_since(now());
        if !poll::wait_one(&*output, Interest::Read, left).ok()? {
            return None;
        }
        match output.read(&mut chunk).ok()? {
            0 => return Some(text),
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge reads the clock")]
fn now() -> Instant {
    Instant::now()
}
