//! The numbers of `docs/benchmarks.md`: ours and each peer in turn, in one run, on the same interpreter,
//! in interleaved rounds; each answer checked, each error counted, each budget judged.

mod report;
pub mod rows;
pub mod sides;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::lifecycle::processes;
use crate::load::{Outcome, Plan, run};
use crate::memory;
use crate::target::Target;

pub use report::{tables, to_json};
use rows::{Metric, Name, Scene, Series, Side};
use sides::{Programs, Running};

#[derive(Debug, Clone)]
pub struct Options {
    pub programs: Programs,
    /// What the virtualenv is made with.
    pub python: PathBuf,
    pub rounds: usize,
    /// One unit of measuring.
    pub unit: Duration,
    pub warm_up: Duration,
    /// Only scenes whose title holds one of these; empty: all.
    pub only: Vec<String>,
}

/// One measurement.
#[derive(Debug, Clone)]
pub struct Measured {
    pub series: Series,
    pub round: usize,
    pub outcome: Outcome,
    /// Bytes, see [`memory`].
    pub memory: u64,
}

impl Measured {
    pub fn value(&self, metric: Metric) -> f64 {
        let micros =
            |time: Option<Duration>| time.map_or(f64::NAN, |it| it.as_nanos() as f64 / 1e3);
        match metric {
            Metric::Cpu => micros(self.outcome.cpu_per_request()),
            Metric::User => micros(self.outcome.user_per_request()),
            Metric::PerSecond => self.outcome.per_second(),
            Metric::P99 => micros(Some(self.outcome.latencies.percentile(99.0))),
            Metric::Memory => self.memory as f64,
        }
    }
}

/// A whole run.
#[derive(Debug)]
pub struct Results {
    pub scenes: Vec<Scene>,
    pub rows: Vec<rows::Row>,
    pub all: Vec<Measured>,
    /// Peers that are not installed or did not start, with why.
    pub absent: Vec<String>,
    /// What is the same for the whole run.
    pub about: Vec<String>,
}

impl Results {
    pub fn failed(&self) -> u64 {
        let failed = self.all.iter().map(|measured| measured.outcome.failed());
        failed.sum()
    }

    /// Whether everything was measured and answered.
    pub fn is_whole(&self) -> bool {
        self.failed() == 0
            && self
                .all
                .iter()
                .all(|measured| measured.outcome.answered > 0)
    }
}

/// Runs everything. `say` hears what is being done.
///
/// # Errors
/// When ours or uWSGI does not start, or the peers cannot be installed. Another peer that does not
/// start is left out and named.
pub fn run_all(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Results, anyhow::Error> {
    options.programs.install(&options.python, say)?;
    let directory = processes::directory("suite.")?;
    let path = directory.path();
    // mod_wsgi's processes are nobody's.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    for (name, text) in [
        ("bench_app.py", include_str!("../../apps/bench_app.py")),
        (
            "bench_django.py",
            include_str!("../../apps/bench_django.py"),
        ),
    ] {
        fs::write(path.join(name), text)?;
    }
    let work = work_of_a_millisecond(&options.programs.environment, path)?;
    let wanted = |scene: &Scene| {
        options.only.is_empty() || options.only.iter().any(|part| scene.title.contains(part))
    };
    let scenes: Vec<Scene> = rows::scenes(work).into_iter().filter(wanted).collect();
    if scenes.is_empty() {
        bail!("no scene has a title with {:?}", options.only);
    }
    let mut results = Results {
        rows: rows::rows(work),
        scenes,
        all: Vec::new(),
        absent: Vec::new(),
        about: about(options),
    };
    for round in 0..options.rounds {
        for scene in results.scenes.clone() {
            let mut sides = scene.sides.to_vec();
            // Nobody always comes first, on the colder machine.
            sides.rotate_left(round % scene.sides.len());
            for side in sides {
                play(options, &mut results, &scene, side, round, path, say)?;
            }
        }
    }
    Ok(results)
}

/// One side of one scene, once.
fn play(
    options: &Options,
    results: &mut Results,
    scene: &Scene,
    side: Side,
    round: usize,
    directory: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), anyhow::Error> {
    let is_needed = matches!(side, Side::Ours | Side::Uwsgi | Side::Floor);
    let label = format!("{} in \"{}\"", side.name(), scene.title);
    if results.absent.iter().any(|text| text.starts_with(&label)) {
        return Ok(());
    }
    let running = match sides::start(&options.programs, scene, side, directory) {
        Ok(running) => running,
        Err(error) if is_needed => return Err(error.context(label)),
        Err(error) => {
            let text = format!("{label}: {error:#}");
            say(&text);
            results.absent.push(text);
            return Ok(());
        }
    };
    for (kind, length) in &scene.kinds {
        if side == Side::Floor && *kind != crate::request::Kind::Hello {
            continue;
        }
        let series = Series {
            scene: scene.name,
            side,
            kind: *kind,
        };
        let duration = options.unit.mul_f64(*length);
        let measured = measure(options, scene, &running, series, round, duration)?;
        say(&format!(
            "round {}: {label}, {kind}: {:.0}/s, {:.2} µs CPU, {:.2} user, {:.1} MiB, {} failed",
            round + 1,
            measured.value(Metric::PerSecond),
            measured.value(Metric::Cpu),
            measured.value(Metric::User),
            measured.value(Metric::Memory) / f64::from(1 << 20),
            measured.outcome.failed(),
        ));
        results.all.push(measured);
    }
    Ok(())
}

fn measure(
    options: &Options,
    scene: &Scene,
    running: &Running,
    series: Series,
    round: usize,
    duration: Duration,
) -> Result<Measured, anyhow::Error> {
    let target: Target = running.target.clone();
    let mut plan = Plan {
        message: series.kind.encode(target.protocol, None)?,
        target,
        connections: scene.connections,
        duration: options.warm_up,
        requests: None,
        timeout: Duration::from_secs(10),
        status: 200,
        length: None,
        keep_alive: true,
        pace: Duration::ZERO,
        server: vec![running.server.pid()],
    };
    let never = AtomicBool::new(false);
    run(&plan, &never);
    plan.duration = duration;
    let outcome = run(&plan, &never);
    Ok(Measured {
        series,
        round,
        outcome,
        memory: memory::of_trees(&[running.server.pid()]).bytes,
    })
}

/// To how much the app counts in a millisecond: the same number for every server.
fn work_of_a_millisecond(environment: &Path, directory: &Path) -> Result<usize, anyhow::Error> {
    let text = "import time, bench_app\n\
                def once():\n    begin = time.perf_counter()\n    bench_app.count(100000)\n    \
                return time.perf_counter() - begin\n\
                print(int(100000 * 0.001 / min(once() for _ in range(20))))";
    let output = Command::new(environment.join("bin/python"))
        .args(["-c", text])
        .current_dir(directory)
        .output()
        .context("measure how fast the interpreter counts")?;
    let number = String::from_utf8_lossy(&output.stdout);
    number.trim().parse().context("it counted nothing")
}

/// What whoever reads the numbers later has to know.
fn about(options: &Options) -> Vec<String> {
    let first_line = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = if output.stdout.is_empty() {
            output.stderr
        } else {
            output.stdout
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().next().map(|line| line.trim().to_owned())
    };
    let environment = options.programs.environment.join("bin");
    let packages = Command::new(environment.join("pip"))
        .args(["list", "--format=freeze", "--disable-pip-version-check"])
        .output()
        .map_or_else(
            |_| String::new(),
            |it| String::from_utf8_lossy(&it.stdout).into_owned(),
        );
    let names = [
        "uwsgi", "gunicorn", "granian", "mod-wsgi", "mod_wsgi", "django",
    ];
    let peers: Vec<&str> = packages
        .lines()
        .filter(|line| {
            let name = line.split("==").next().unwrap_or_default().to_lowercase();
            names.contains(&name.as_str())
        })
        .collect();
    let commit = first_line(Path::new("git"), &["log", "-1", "--format=%h"]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    vec![
        format!(
            "date {}",
            or_unknown(first_line(Path::new("date"), &["+%F %H:%M"]))
        ),
        format!("commit {}", or_unknown(commit)),
        or_unknown(first_line(&environment.join("python"), &["--version"])),
        peers.join(", "),
        format!(
            "Linux {}",
            or_unknown(first_line(Path::new("uname"), &["-r"]))
        ),
        format!(
            "{} CPUs, load {} at the start",
            std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            load.split(' ').next().unwrap_or_default(),
        ),
        format!("{} rounds", options.rounds),
        match memory::is_told() {
            true => "PSS: each page of a server's processes counts once, whoever else maps it"
                .to_owned(),
            false => "PSS: as the kernel divides it among all who map a page, strangers included \
                      (it tells only root more)"
                .to_owned(),
        },
    ]
}

/// The values of one metric, by round.
fn by_round(all: &[Measured], series: Series, metric: Metric) -> Vec<(usize, f64)> {
    all.iter()
        .filter(|measured| measured.series == series)
        .map(|measured| (measured.round, measured.value(metric)))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

/// Ours divided by the peer's, of the rounds that both have.
fn ratios(all: &[Measured], row: &rows::Row) -> Vec<f64> {
    let peers = by_round(all, row.peer, row.metric);
    by_round(all, row.ours, row.metric)
        .into_iter()
        .filter_map(|(round, ours)| {
            let (_, peer) = peers.iter().find(|(other, _)| *other == round)?;
            Some(ours / peer).filter(|ratio| ratio.is_finite())
        })
        .collect()
}

/// Names of scenes, for those that a run has left out.
fn was_played(results: &Results, name: Name) -> bool {
    results.scenes.iter().any(|scene| scene.name == name)
}
