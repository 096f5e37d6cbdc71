//! `imperator-bench lifecycle`: which parts, which servers, how often.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::clock::now;
use crate::lifecycle::adoption::{self, Adoption};
use crate::lifecycle::breakage;
use crate::lifecycle::crowd::{self, Crowd};
use crate::lifecycle::leaks::{self, Leaks};
use crate::lifecycle::place::{Programs, Setup};
use crate::lifecycle::processes;
use crate::lifecycle::reaction::{self, Reaction};
use crate::lifecycle::rows::{self, Event, Row};
use crate::lifecycle::servers::{SERVERS, Server};
use crate::lifecycle::silence::{self, Silences};
use crate::lifecycle::table;
use crate::programs::our_path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Requests sent and failed while things happen
    Table,
    /// The longest silences around an event
    Silence,
    /// What many reloads and many apps leave behind
    Leaks,
    /// From a new ini to its first answer
    Reaction,
    /// Hundreds of apps at once
    Crowd,
    /// How soon the next emperor has the apps of one that was killed
    Adoption,
}

#[derive(Debug, Args)]
pub struct Options {
    /// What to measure; by default everything
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// About a fifth of everything
    #[arg(long)]
    quick: bool,
    /// Servers of the table: ours, uwsgi, uwsgi-lazy, uwsgi-chain, uwsgi-emperor, gunicorn, granian
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// Only rows of the table whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// How many workers, each in turn
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    workers: Vec<usize>,
    /// Threads of each worker; by default 8 of one, 4 of each of four
    #[arg(long)]
    threads: Option<usize>,
    /// The other servers as often as ours: takes an hour and more
    #[arg(long)]
    equal: bool,
    /// So many rows at once; 1 for the truest waits
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// So many times each row, instead of the numbers of the issue
    #[arg(long)]
    times: Option<usize>,
    /// Runs of each silence
    #[arg(long)]
    rounds: Option<usize>,
    /// Our command; by default the one beside this program
    #[arg(long)]
    imperator: Option<PathBuf>,
    #[arg(long, default_value = "/usr/bin/uwsgi-core")]
    uwsgi: PathBuf,
    /// The programs of a virtualenv with gunicorn and Granian
    #[arg(long, default_value = "target/test-env/bin")]
    peers: PathBuf,
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// The interpreter of all; it must be the one that the original was built with
    #[arg(long, default_value = "/usr/bin/python3")]
    python: PathBuf,
    /// All results, to be read by programs
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leave the directories of rows that failed
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Default, Serialize)]
struct Results {
    table: Vec<Row>,
    silence: Vec<Silences>,
    leaks: Vec<Leaks>,
    reaction: Vec<Reaction>,
    crowd: Vec<Crowd>,
    adoption: Vec<Adoption>,
}

const MAX_WORKERS: usize = 64;
const MAX_JOBS: usize = 16;
const LEAK_TIMES: usize = 1000;
const CROWD: usize = 300;
const CROWD_FAILING: usize = 3;
const ADOPTED: [usize; 2] = [1, 100];
const ADOPTION_ROUNDS: usize = 10;
const REACTION_ROUNDS: usize = 20;
const SILENCE_ROUNDS: usize = 5;
const SILENCE_ROUNDS_OF_THE_ORIGINAL: usize = 2;

/// Runs the parts, and prints their tables as Markdown.
///
/// # Errors
/// When something is missing, or a server does not serve at all.
pub fn run(options: &Options) -> Result<ExitCode, anyhow::Error> {
    ensure!(
        options
            .workers
            .iter()
            .all(|workers| (1..=MAX_WORKERS).contains(workers)),
        "workers: give 1 to {MAX_WORKERS}"
    );
    let run = Run {
        options,
        programs: programs(options)?,
        begin: now(),
    };
    let mut results = Results::default();
    let wants = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wants(Part::Table) {
        results.table = run.table()?;
        println!("### Requests\n\n{}", table::rows(&results.table));
    }
    if wants(Part::Silence) {
        results.silence = run.silence()?;
        println!("### Silence\n\n{}", table::silences(&results.silence));
    }
    if wants(Part::Leaks) {
        let times = options.times.unwrap_or(run.few(LEAK_TIMES));
        results.leaks = leaks::measure(&run.setup(Server::Ours, 1), times, &|line| run.say(&line))?;
        println!("### Left behind\n\n{}", table::leaks(&results.leaks));
    }
    if wants(Part::Reaction) {
        let setups = [Server::Ours, Server::UwsgiEmperor].map(|server| run.setup(server, 1));
        let rounds = options.rounds.unwrap_or(run.few(REACTION_ROUNDS).max(5));
        results.reaction = reaction::measure(&setups, rounds, &mut run.progress())?;
        println!("### Reaction\n\n{}", table::reactions(&results.reaction));
    }
    if wants(Part::Crowd) {
        let apps = options.times.unwrap_or(run.few(CROWD));
        for server in [Server::Ours, Server::UwsgiEmperor] {
            run.say(&format!("{apps} apps: {}", server.name()));
            let setup = run.setup(server, 1);
            results
                .crowd
                .push(crowd::measure(&setup, apps, CROWD_FAILING)?);
        }
        println!("### Many apps\n\n{}", table::crowds(&results.crowd));
    }
    if wants(Part::Adoption) {
        for apps in ADOPTED {
            run.say(&format!("adoption of {apps} apps"));
            let rounds = options.times.unwrap_or(run.few(ADOPTION_ROUNDS));
            let setup = run.setup(Server::Ours, 1);
            results
                .adoption
                .push(adoption::measure(&setup, apps, rounds)?);
        }
        println!("### Adoption\n\n{}", table::adoptions(&results.adoption));
    }
    run.say("done");
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("write {}", path.display()))?;
    }
    let ours = |row: &&Row| row.server == Server::Ours;
    let clean = results.table.iter().filter(ours).all(Row::is_clean)
        && results.leaks.iter().all(Leaks::is_clean)
        && results.adoption.iter().all(Adoption::is_clean);
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn programs(options: &Options) -> Result<Programs, anyhow::Error> {
    // Servers run in directories of their own.
    let whole = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("the path of {}", path.display()))
    };
    Ok(Programs {
        imperator: our_path(options.imperator.as_deref())?,
        uwsgi: whole(&options.uwsgi)?,
        peers: whole(&options.peers)?,
        nginx: whole(&options.nginx)?,
        python: whole(&options.python)?,
    })
}

struct Run<'a> {
    options: &'a Options,
    programs: Programs,
    begin: Instant,
}

impl Run<'_> {
    fn say(&self, line: &str) {
        let seconds = (now() - self.begin).as_secs();
        eprintln!("[{:02}:{:02}] {line}", seconds / 60, seconds % 60);
    }

    fn progress(&self) -> impl FnMut(String) {
        |line| self.say(&line)
    }

    fn few(&self, times: usize) -> usize {
        if self.options.quick {
            times.div_ceil(5)
        } else {
            times
        }
    }

    fn setup(&self, server: Server, workers: usize) -> Setup {
        Setup {
            server,
            programs: self.programs.clone(),
            workers,
            threads: self
                .options
                .threads
                .unwrap_or(if workers == 1 { 8 } else { 4 }),
            load_seconds: 0.0,
            max_requests: None,
            ready_timeout: 30,
        }
    }

    fn servers(&self) -> Result<Vec<Server>, anyhow::Error> {
        let names = &self.options.servers;
        for name in names {
            ensure!(
                SERVERS.iter().any(|server| server.name() == name),
                "{name:?} is no server of the table"
            );
        }
        let wanted = SERVERS
            .iter()
            .copied()
            .filter(|server| names.is_empty() || names.iter().any(|name| name == server.name()));
        Ok(wanted
            .filter(|server| match self.programs.missing(*server) {
                None => true,
                Some(path) => {
                    self.say(&format!(
                        "left out: {}, {} is missing",
                        server.name(),
                        path.display()
                    ));
                    false
                }
            })
            .collect())
    }

    /// A few rows at once: a row mostly waits, and what fails does not depend on its neighbours.
    fn table(&self) -> Result<Vec<Row>, anyhow::Error> {
        let mut tasks = Vec::new();
        for server in self.servers()? {
            for workers in &self.options.workers {
                for (event, times) in self.events(server, *workers) {
                    if event.name().contains(&self.options.only) {
                        tasks.push((server, *workers, event, times));
                    }
                }
            }
        }
        self.say(&format!("{} rows", tasks.len()));
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.clamp(1, MAX_JOBS) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some((server, workers, event, times)) = tasks.get(number) else {
                            return;
                        };
                        if processes::is_ending() {
                            return;
                        }
                        if let Some(row) = self.row(*server, *workers, *event, *times) {
                            found.lock().expect("rows").push((number, row));
                        }
                    }
                });
            }
        });
        let mut rows = found.into_inner().expect("rows");
        rows.sort_by_key(|(number, _)| *number);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// A row that cannot be measured is told, and the others go on.
    fn row(&self, server: Server, workers: usize, event: Event, times: usize) -> Option<Row> {
        let title = format!(
            "{}, {workers} workers: {times} x {}",
            server.name(),
            event.name()
        );
        let (row, mut place) = match rows::run(self.setup(server, workers), event, times) {
            Ok(found) => found,
            Err(error) => {
                if !processes::is_ending() {
                    self.say(&format!("{title}: {error:#}"));
                }
                return None;
            }
        };
        let account = &row.account;
        self.say(&format!(
            "{title}: {} sent, {} failed ({} cut), {} retried, {:.1} s",
            account.sent, account.failed, account.cut, account.retried, row.seconds
        ));
        if server == Server::Ours && !row.is_clean() {
            for line in account.described.iter().chain(&row.strange) {
                self.say(&format!("  {line}"));
            }
            let logs = table::agreement(&row);
            self.say(&format!("  {:?}; logs agree: {logs}", account.failures));
            if self.options.keep {
                self.say(&format!("  kept: {}", place.keep().display()));
            }
        }
        Some(row)
    }

    /// What happens to this server, and how often. Others than ours are shown by fewer events, unless
    /// all are to be treated alike.
    fn events(&self, server: Server, workers: usize) -> Vec<(Event, usize)> {
        let whole = server == Server::Ours || self.options.equal;
        let short = !whole && workers == 1;
        let times = |many: usize, others: usize| {
            let number = self.few(if whole { many } else { others });
            self.options.times.unwrap_or(number)
        };
        let mut events = vec![(Event::Reloads, times(100, 10))];
        let bad = breakage::ALL.into_iter().filter(|one| {
            whole || !self.options.only.is_empty() || (!short && breakage::SOME.contains(one))
        });
        events.extend(bad.map(|one| (Event::Bad(one), times(20, 1))));
        events.push((Event::Kills, times(20, 5)));
        events.push((Event::Recycling, times(40, 10)));
        if !short {
            events.extend([
                (Event::EmperorKilled, times(5, 2)),
                (Event::EmperorUpgraded, times(5, 2)),
                (Event::MasterKilled, times(5, 2)),
                (Event::OthersEdited, times(50, 20)),
            ]);
        }
        events.retain(|(event, _)| event.concerns(server));
        events
    }

    fn silence(&self) -> Result<Vec<Silences>, anyhow::Error> {
        let mut all = Vec::new();
        for (server, rounds) in [
            (Server::Ours, SILENCE_ROUNDS),
            (Server::UwsgiEmperor, SILENCE_ROUNDS_OF_THE_ORIGINAL),
        ] {
            let rounds = self.options.rounds.unwrap_or(self.few(rounds));
            let workers = self.options.workers.iter().copied().max().unwrap_or(4);
            // Only short requests are asked for here: one thread a worker, as most have it.
            let setup = Setup {
                threads: self.options.threads.unwrap_or(1),
                ..self.setup(server, workers)
            };
            let found = silence::measure(&setup, rounds, &mut self.progress())?;
            all.extend(found);
        }
        Ok(all)
    }
}
