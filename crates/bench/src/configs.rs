//! What it costs to read and check many configs: `imperator check` and `migrate` over a directory of
//! apps as people write them, and the emperor's own way for one app, a process each.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::clock;
use crate::lifecycle::processes;

/// One command, run several times.
#[derive(Debug)]
pub struct Timed {
    pub what: &'static str,
    pub rounds: Vec<Duration>,
}

impl Timed {
    /// The middle round.
    pub fn middle(&self) -> Duration {
        let mut rounds = self.rounds.clone();
        rounds.sort();
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }
}

/// An ini of twenty lines: what most of the wild ones hold.
fn ini(number: usize) -> String {
    format!(
        "[uwsgi]\n\
         # app {number}\n\
         project = app{number}\n\
         base = /srv/%(project)\n\
         chdir = %(base)/code\n\
         virtualenv = %(base)/venv\n\
         module = %(project).wsgi:application\n\
         master = true\n\
         processes = 4\n\
         threads = 2\n\
         socket = /run/%(project).sock\n\
         chmod-socket = 660\n\
         vacuum = true\n\
         die-on-term = true\n\
         harakiri = 30\n\
         max-requests = 5000\n\
         buffer-size = 32768\n\
         env = DJANGO_SETTINGS_MODULE=%(project).settings\n\
         static-map = /static=%(base)/static\n\
         logto = /var/log/%(project).log\n"
    )
}

/// Writes `apps` configs and times the commands over them.
///
/// # Errors
/// The directory cannot be written, or a command does not end well.
pub fn measure(imperator: &str, apps: usize, rounds: usize) -> anyhow::Result<Vec<Timed>> {
    let directory = processes::directory("configs.").context("make a directory")?;
    for number in 0..apps {
        let path = directory.path().join(format!("app{number:05}.ini"));
        std::fs::write(&path, ini(number)).context("write a config")?;
    }
    let commands = [
        (
            "check, all",
            vec!["check", "--json"],
            directory.path().to_owned(),
        ),
        (
            "migrate, all",
            vec!["migrate", "--json"],
            directory.path().to_owned(),
        ),
        (
            "check, one app",
            vec!["check", "--json"],
            directory.path().join("app00000.ini"),
        ),
    ];
    let mut all = Vec::new();
    for (what, arguments, target) in commands {
        let mut timed = Timed {
            what,
            rounds: Vec::new(),
        };
        for _ in 0..rounds {
            timed.rounds.push(once(imperator, &arguments, &target)?);
        }
        all.push(timed);
    }
    Ok(all)
}

fn once(imperator: &str, arguments: &[&str], target: &Path) -> anyhow::Result<Duration> {
    let begun = clock::now();
    // The command has deadlines of its own for all that it reads.
    let status = Command::new(imperator)
        .args(arguments)
        .arg(target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("run {imperator}"))?;
    let took = clock::now() - begun;
    ensure!(status.success(), "{imperator} {arguments:?}: {status}");
    Ok(took)
}

/// One line for each command.
pub fn text(all: &[Timed], apps: usize) -> String {
    let mut text = format!("{apps} apps\n");
    for timed in all {
        let _ = writeln!(
            text,
            "{:16} {:8.3} s",
            timed.what,
            timed.middle().as_secs_f64()
        );
    }
    text
}

pub fn to_json(all: &[Timed], apps: usize) -> Value {
    let timed = |timed: &Timed| {
        let rounds: Vec<f64> = timed.rounds.iter().map(Duration::as_secs_f64).collect();
        json!({ "what": timed.what, "seconds": timed.middle().as_secs_f64(), "rounds": rounds })
    };
    json!({ "apps": apps, "commands": all.iter().map(timed).collect::<Vec<_>>() })
}
