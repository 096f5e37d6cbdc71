//! `imperator migrate FILE|DIR…`: reads what runs under uWSGI today and tells what becomes of it, the
//! verdict first. Changes nothing.

mod account;
mod defaults;
mod lost;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, Command};
use imperator_core::config::{self, Listed};
use imperator_core::finding::Finding;

use crate::check::gather::{self, DEBIAN_DEFAULTS, Gathered, Subject, is_debians};
use crate::check::render::Sources;
use crate::check::{nonsense, sort, targets, targets_of, template};
use crate::terminal::{colours, parse, print};
use crate::world::{NO_COMMANDS, RealWorld};
use account::{Account, Item, Verdict};
use defaults::DEFAULTS;

fn parser() -> Command {
    Command::new("imperator migrate")
        .about("Tells what becomes of what runs under uWSGI today; changes nothing")
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("For programs"),
        )
        .arg(targets())
}

/// One app, or an emperor's own file.
struct Moved {
    name: String,
    file: PathBuf,
    section: Option<String>,
    is_emperor: bool,
    sockets: Vec<String>,
    account: Account,
}

/// Everything that is told.
struct Report {
    moved: Vec<Moved>,
    /// Files without an app, sections that nobody reads.
    files: Vec<Item>,
    /// Text, the line that brings uWSGI's value back, and the apps concerned.
    defaults: Vec<(&'static str, &'static str, Vec<String>)>,
    /// What imperator is started with.
    start: String,
    is_debians: bool,
    here: PathBuf,
    targets: Vec<String>,
}

/// `arguments` are those behind `migrate`. Exit code 1: something needs a decision.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let matches = match parse(parser(), arguments) {
        Ok(matches) => matches,
        Err(code) => return Ok(code),
    };
    let named = targets_of(&matches);
    let world = RealWorld::look()?.without_commands();
    let gathered = match gather::gather(&named, &world, true) {
        Ok(gathered) => gathered,
        Err(error) => return Ok(nonsense("migrate", &error)),
    };
    let here = std::env::current_dir().context("cannot tell the working directory")?;
    let report = report(gathered, &world, here, named);
    print(&if matches.get_flag("json") {
        format!("{:#}\n", report.json())
    } else {
        report.text(colours())
    });
    let needs = |moved: &Moved| moved.account.verdict() == Verdict::Decide;
    let decide = report.moved.iter().any(needs);
    Ok(ExitCode::from(u8::from(decide)))
}

fn report(gathered: Gathered, world: &RealWorld, here: PathBuf, targets: Vec<String>) -> Report {
    let mut used: BTreeMap<PathBuf, BTreeSet<u32>> = BTreeMap::new();
    let mut reached: Vec<Vec<String>> = DEFAULTS.iter().map(|_| Vec::new()).collect();
    let mut sources = Sources::default();
    let mut moved = Vec::new();
    for subject in &gathered.subjects {
        let listed = listed(subject, world);
        for place in listed.iter().filter_map(|option| option.place.as_ref()) {
            let lines = used.entry(place.file.clone()).or_default();
            lines.insert(place.line);
        }
        if let Some(settings) = &subject.resolved.settings
            && !subject.is_emperor()
        {
            for (default, apps) in DEFAULTS.iter().zip(&mut reached) {
                if default.reaches(&listed, settings) {
                    apps.push(subject.name.clone());
                }
            }
        }
        moved.push(one(subject, &listed, &mut sources));
    }
    let mut files: Vec<Item> = gathered.findings.iter().map(item).collect();
    for file in &gathered.files {
        let none = BTreeSet::new();
        files.extend(lost::sections(file, used.get(file).unwrap_or(&none)));
    }
    let is_debians = gathered.files.iter().any(|file| is_debians(file));
    if is_debians && !std::path::Path::new(DEBIAN_DEFAULTS).exists() {
        files.push(Item {
            option: None,
            place: None,
            text: format!(
                "Debian's init script also reads {DEBIAN_DEFAULTS}, which is not on this machine: \
                 it gives each app a socket and a user"
            ),
            hint: Some("run this where the apps run".to_owned()),
            also: Vec::new(),
        });
    }
    let defaults = DEFAULTS.iter().zip(reached);
    let defaults = defaults.filter(|(_, apps)| !apps.is_empty());
    Report {
        defaults: defaults
            .map(|(default, apps)| (default.text, default.back, apps))
            .collect(),
        start: if is_debians {
            "/usr/bin/imperator /etc/imperator/debian.ini".to_owned()
        } else {
            start(&targets)
        },
        is_debians,
        moved,
        files,
        here,
        targets,
    }
}

/// The app's options, their places absolute.
fn listed(subject: &Subject, world: &RealWorld) -> Vec<Listed> {
    let mut listed = config::listed(&subject.args, &world.within(&subject.cwd));
    for place in listed.iter_mut().filter_map(|it| it.place.as_mut()) {
        place.file = subject.cwd.join(&place.file);
    }
    listed
}

fn one(subject: &Subject, listed: &[Listed], sources: &mut Sources) -> Moved {
    // What a command would give is not asked here; it gives it there as it does today.
    let findings = subject.resolved.findings.iter();
    let commands: Vec<_> = findings
        .clone()
        .filter(|finding| finding.text.ends_with(NO_COMMANDS))
        .map(|finding| finding.place.clone())
        .collect();
    let mut findings: Vec<Finding> = findings
        .filter(|finding| !(finding.is_error() && commands.contains(&finding.place)))
        .cloned()
        .collect();
    template::fold(&mut findings, sources);
    sort(&mut findings, &subject.config.file);
    let mut account = Account::of(listed, &findings);
    if subject.is_stanza {
        let section = subject.config.section.as_deref().unwrap_or_default();
        account.differs.push(Item {
            option: None,
            place: None,
            text: format!(
                "section [{section}] is an app of its own; uWSGI ran it only where {}:{section} was \
                 asked for",
                subject.config.file.display()
            ),
            hint: Some("rename or remove the section if it is not to run".to_owned()),
            also: Vec::new(),
        });
    }
    let settings = subject.resolved.settings.iter();
    let sockets = settings.flat_map(|settings| &settings.listens);
    Moved {
        name: subject.name.clone(),
        file: subject.config.file.clone(),
        section: subject.config.section.clone(),
        is_emperor: subject.is_emperor(),
        sockets: sockets.map(|listen| listen.address.to_string()).collect(),
        account,
    }
}

fn item(finding: &Finding) -> Item {
    Item {
        option: None,
        place: finding.place.clone(),
        text: finding.text.clone(),
        hint: finding.hint.clone(),
        also: Vec::new(),
    }
}

/// The command line that takes over: one emperor over all that was named.
fn start(targets: &[String]) -> String {
    let absolute = |target: &String| {
        let path = std::path::absolute(target).unwrap_or_else(|_| PathBuf::from(target));
        path.display().to_string()
    };
    let targets: Vec<String> = targets.iter().map(absolute).collect();
    format!("/usr/bin/imperator {}", targets.join(" "))
}
