//! `imperator check FILE|DIR…`: everything that is wrong with configs, at once, before they run.
//! Starts, binds and writes nothing; `--import` starts each app's interpreter, loads the app and lets it
//! go.

pub(crate) mod gather;
mod import;
mod machine;
pub(crate) mod render;
mod report;
mod taken;
pub(crate) mod template;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use imperator_core::finding::{Finding, Severity};

use crate::terminal::{USAGE, colours, parse, print};
use crate::world::{NO_COMMANDS, RealWorld};
use gather::{Gathered, Subject};
use machine::Machine;
use render::Sources;
use report::Report;
pub(crate) use report::some;

/// The exit code where there are errors.
const FAILED: u8 = 1;

fn parser() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new("imperator check")
        .about("Tells what is wrong with configs; starts, binds and writes nothing")
        .arg(flag(
            "strict",
            "Exit with 1 also when there are only warnings",
        ))
        .arg(flag("json", "For programs"))
        .arg(flag(
            "import",
            "Also load each app in its interpreter, as its user, and let it go",
        ))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .value_parser(clap::value_parser!(u64).range(1..=86_400))
                .requires("import")
                .help("How long one import may take [default: the app's ready-timeout]"),
        )
        .arg(targets())
}

/// What `check` and `migrate` are asked about.
pub(crate) fn targets() -> Arg {
    Arg::new("target")
        .value_name("FILE|DIR")
        .action(ArgAction::Append)
        .required(true)
        .help("A config, FILE:SECTION, a directory of vassals, a quoted glob, an emperor's own ini")
}

/// `arguments` are those behind `check`.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let matches = match parse(parser(), arguments) {
        Ok(matches) => matches,
        Err(code) => return Ok(code),
    };
    let imports = matches.get_flag("import");
    let limit = matches.get_one("timeout").copied().map(Duration::from_secs);
    let mut world = RealWorld::look()?;
    if !imports {
        world = world.without_commands();
    }
    let mut gathered = match gather::gather(&targets_of(&matches), &world, false) {
        Ok(gathered) => gathered,
        Err(error) => return Ok(nonsense("check", &error)),
    };
    look(&mut gathered);
    let here = std::env::current_dir().context("cannot tell the working directory")?;
    let outcomes = imports.then(|| import::all(&gathered.subjects, limit, &here));
    let report = Report::new(gathered, outcomes, here);
    print(&if matches.get_flag("json") {
        format!("{:#}\n", report.json())
    } else {
        report.text(colours())
    });
    let (errors, warnings) = report.count();
    let failed = errors > 0 || (warnings > 0 && matches.get_flag("strict"));
    Ok(ExitCode::from(if failed { FAILED } else { 0 }))
}

pub(crate) fn targets_of(matches: &ArgMatches) -> Vec<String> {
    let named = matches.get_many::<String>("target");
    named.into_iter().flatten().cloned().collect()
}

/// There is nothing to look at.
pub(crate) fn nonsense(command: &str, error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "imperator {command}: {error:#}");
    ExitCode::from(USAGE)
}

/// Adds what the configs say about each other and about this machine.
pub(crate) fn look(gathered: &mut Gathered) {
    let mut machine = Machine::look();
    let mut sources = Sources::default();
    for subject in &mut gathered.subjects {
        tell_commands(subject);
        let found = machine.findings(subject);
        subject.resolved.findings.extend(found);
        template::fold(&mut subject.resolved.findings, &mut sources);
        let file = subject.config.file.clone();
        sort(&mut subject.resolved.findings, &file);
    }
    gathered
        .findings
        .extend(machine::shared_sockets(&gathered.subjects));
}

/// In the order of lines, the app's own file first.
pub(crate) fn sort(findings: &mut [Finding], own: &Path) {
    findings.sort_by_key(|finding| {
        let place = finding.place.as_ref();
        place.map(|place| (place.file != own, place.file.clone(), place.line))
    });
}

/// A value that a command gives is not known, and so is what follows from it.
fn tell_commands(subject: &mut Subject) {
    let findings = &mut subject.resolved.findings;
    let unknown: Vec<_> = findings
        .iter()
        .filter(|finding| finding.text.ends_with(NO_COMMANDS))
        .map(|finding| finding.place.clone())
        .collect();
    findings.retain_mut(|finding| {
        if let Some(what) = finding.text.strip_suffix(&format!(": {NO_COMMANDS}")) {
            finding.text = format!("{what}: its command is not run by check");
            finding.hint = Some("imperator check --import runs it".to_owned());
            finding.severity = Severity::Warning;
            return true;
        }
        !finding.is_error() || !unknown.contains(&finding.place)
    });
}
