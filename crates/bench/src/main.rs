//! The command line of the benchmark program.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use imperator_bench::clock::pause;
use imperator_bench::lifecycle::processes;
use imperator_bench::load::{MAX_CONNECTIONS, Plan, run};
use imperator_bench::programs::our_path;
use imperator_bench::request::Kind;
use imperator_bench::server::Setup;
use imperator_bench::target::Target;
use imperator_bench::{compare, configs, floor, lifecycle, programs, report, soak, suite};

/// Loads uwsgi and HTTP sockets of this machine and checks every answer.
#[derive(Parser)]
#[command(name = "imperator-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load one address; exit code 1 when any request failed
    Run(Run),
    /// Start ours and the original in turn, and print the ratio
    Compare(Compare),
    /// Start ours and every peer in turn, and judge each budget of docs/benchmarks.md
    Suite(Suite),
    /// Accept, receive, send, close: what no server is cheaper than
    #[command(hide = true)]
    Floor { socket: PathBuf },
    /// Read and check many configs, as `imperator check` and `migrate` do
    Configs(Configs),
    /// Reload, break, kill and recycle ours and other servers under load, and count what fails
    Lifecycle(lifecycle::command::Options),
    /// Mixed load on ours for a long time; exit code 1 when it holds more at the end, or loses requests
    Soak(Soak),
}

#[derive(Args)]
struct Soak {
    /// Our command; the ini file is added. By default the one beside this program
    #[arg(long)]
    ours: Option<String>,
    #[arg(long, default_value = "/usr/bin/python3")]
    python: PathBuf,
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Seconds between two reloads
    #[arg(long, default_value_t = 120.0)]
    reload_every: f64,
    /// Seconds between two workers that are killed
    #[arg(long, default_value_t = 300.0)]
    kill_every: f64,
    /// Seconds between two looks at what the processes hold
    #[arg(long, default_value_t = 10.0)]
    sample_every: f64,
    /// Of each big upload and each big download
    #[arg(long, default_value_t = 10.0)]
    gigabytes: f64,
    /// Of those, in a second; without it as many as go through
    #[arg(long)]
    megabytes_per_second: Option<f64>,
    /// Milliseconds that each client waits between an answer and its next request: how heavy the load is
    #[arg(long, default_value_t = 0.0)]
    pace: f64,
}

#[derive(Args)]
struct Suite {
    /// Our command; by default the one beside this program
    #[arg(long)]
    ours: Option<PathBuf>,
    /// Made when it is not there, with the peers in it
    #[arg(long, default_value = "target/bench-env")]
    environment: PathBuf,
    /// The interpreter that everybody uses; uWSGI is built against it
    #[arg(long, default_value = "/usr/bin/python3")]
    python: PathBuf,
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of a usual measurement; some take two of them
    #[arg(long, short, default_value_t = 1.0)]
    seconds: f64,
    /// Three rounds of 0.3 s: shows whether everything runs, and no more
    #[arg(long)]
    quick: bool,
    /// Only scenes with this in their titles; may be given several times
    #[arg(long)]
    only: Vec<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Configs {
    /// Our command; by default the one beside this program
    #[arg(long)]
    ours: Option<String>,
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Run {
    /// uwsgi:/path, uwsgi:@name, uwsgi:127.0.0.1:3031, http://127.0.0.1:8001
    target: Target,
    /// hello, headers=N, post=BYTES, bytes=BYTES
    #[arg(long, default_value = "hello")]
    kind: Kind,
    /// Path and query, instead of the kind's own
    #[arg(long)]
    path: Option<String>,
    #[arg(long, short, default_value_t = 16)]
    connections: usize,
    #[arg(long, short, default_value_t = 5.0)]
    seconds: f64,
    /// End after so many requests, if that is earlier
    #[arg(long, short = 'n')]
    requests: Option<u64>,
    /// The status that a good answer has
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// The length of a good answer's body; by default that of the first answer
    #[arg(long)]
    length: Option<u64>,
    /// HTTP: a new connection for each request
    #[arg(long)]
    no_keep_alive: bool,
    /// Seconds that one wait may take
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// A server's process, counted with all below it; may be given several times
    #[arg(long)]
    pid: Vec<i32>,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Compare {
    /// Our command; the ini file is added. By default the one beside this program; "-" leaves this side out
    #[arg(long)]
    ours: Option<String>,
    /// The original's command, for example one of a virtualenv without the plugin option
    #[arg(long, default_value = "uwsgi --plugin python3")]
    original: String,
    /// The interpreter that ours uses; it must be the one that the original was built with
    #[arg(long, default_value = "/usr/bin/python3")]
    python: PathBuf,
    #[arg(long, default_value_t = 2)]
    processes: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, short, default_value_t = 16)]
    connections: usize,
    /// hello, headers=N, post=BYTES, bytes=BYTES, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "hello,headers=20,post=10000,bytes=100000"
    )]
    kinds: Vec<Kind>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one measurement
    #[arg(long, short, default_value_t = 3.0)]
    seconds: f64,
    /// http-socket with keep-alive instead of the uwsgi protocol
    #[arg(long)]
    http: bool,
    /// One more line for the ini of both; may be given several times
    #[arg(long)]
    line: Vec<String>,
    #[arg(long)]
    json: bool,
}

/// Longer runs are somebody's mistake.
const MAX_SECONDS: f64 = 3600.0;
const MAX_ROUNDS: usize = 50;
const MAX_APPS: usize = 50_000;
/// The end of what was started takes less.
const END: Duration = Duration::from_secs(120);
const WARM_UP: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let result = run_command(Cli::parse().command);
    // A signal has told us to end: whoever ends what was started also ends this program.
    if processes::is_ending() {
        pause(END);
    }
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("imperator-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run_command(command: Command) -> Result<ExitCode, anyhow::Error> {
    // The floor is one of the servers; it has nothing to end.
    if let Command::Floor { socket } = &command {
        return floor::serve(socket).map(|()| ExitCode::SUCCESS);
    }
    processes::adopt_orphans();
    processes::end_with_us()?;
    match command {
        Command::Run(options) => load(&options),
        Command::Compare(options) => both(&options),
        Command::Configs(options) => configs(&options),
        Command::Soak(options) => soak(&options),
        Command::Lifecycle(options) => lifecycle::command::run(&options),
        Command::Suite(options) => numbers(&options),
        Command::Floor { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn ours(named: Option<&str>) -> Result<Vec<String>, anyhow::Error> {
    let bench = std::env::current_exe().context("the path of this program")?;
    programs::ours(named, &bench)
}

fn seconds(value: f64) -> Result<Duration, anyhow::Error> {
    ensure!(
        value > 0.0 && value <= MAX_SECONDS,
        "{value} seconds: give 0 to {MAX_SECONDS}"
    );
    Ok(Duration::from_secs_f64(value))
}

fn load(options: &Run) -> Result<ExitCode, anyhow::Error> {
    ensure!(
        (1..=MAX_CONNECTIONS).contains(&options.connections),
        "connections: give 1 to {MAX_CONNECTIONS}"
    );
    let plan = Plan {
        target: options.target.clone(),
        message: options
            .kind
            .encode(options.target.protocol, options.path.as_deref())?,
        connections: options.connections,
        duration: seconds(options.seconds)?,
        requests: options.requests,
        timeout: seconds(options.timeout)?,
        status: options.status,
        length: options.length,
        keep_alive: !options.no_keep_alive,
        pace: Duration::ZERO,
        server: options.pid.clone(),
    };
    let outcome = run(&plan, &AtomicBool::new(false));
    if options.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&report::to_json(&outcome))?
        );
    } else {
        let title = format!("{} {}", options.target, options.kind);
        print!("{}", report::text(&title, &outcome));
    }
    let all_well = outcome.failed() == 0 && outcome.answered > 0;
    Ok(if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn soak(options: &Soak) -> Result<ExitCode, anyhow::Error> {
    ensure!(
        options.gigabytes > 0.0 && options.gigabytes <= 1000.0,
        "gigabytes: give more than 0, up to 1000"
    );
    let rate = options.megabytes_per_second.unwrap_or(1.0);
    ensure!(
        (0.1..=100_000.0).contains(&rate),
        "megabytes-per-second: give 0.1 to 100000"
    );
    ensure!(
        (0.0..=10_000.0).contains(&options.pace),
        "pace: give 0 to 10000 milliseconds"
    );
    let plan = soak::Options {
        ours: ours(options.ours.as_deref())?,
        python: options.python.clone(),
        duration: seconds(options.minutes * 60.0)?,
        reload_every: seconds(options.reload_every)?,
        kill_every: seconds(options.kill_every)?,
        sample_every: seconds(options.sample_every)?,
        bulk_bytes: (options.gigabytes * 1e9) as u64,
        bulk_rate: options
            .megabytes_per_second
            .map(|megabytes| (megabytes * 1e6) as u64),
        pace: Duration::from_secs_f64(options.pace / 1000.0),
    };
    let soaked = soak::soak(&plan, |line| eprintln!("{line}")).context("soak")?;
    print!("{}", soaked.text());
    let all_well = soaked.growth().is_empty() && soaked.failed() <= soaked.excused();
    Ok(if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn numbers(options: &Suite) -> Result<ExitCode, anyhow::Error> {
    ensure!(
        (1..=MAX_ROUNDS).contains(&options.rounds),
        "rounds: give 1 to {MAX_ROUNDS}"
    );
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let (rounds, unit) = match options.quick {
        true => (3, 0.3),
        false => (options.rounds, options.seconds),
    };
    let unit = seconds(unit)?;
    let plan = suite::Options {
        programs: suite::sides::Programs {
            ours: our_path(options.ours.as_deref())?,
            bench: std::env::current_exe()?,
            environment: absolute(&options.environment)?,
            nginx: ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
                .map(PathBuf::from)
                .into_iter()
                .find(|path| path.exists()),
        },
        python: options.python.clone(),
        rounds,
        unit,
        warm_up: unit / 4,
        only: options.only.clone(),
    };
    let results = suite::run_all(&plan, &mut |line| eprintln!("{line}")).context("suite")?;
    if options.json {
        let json = suite::to_json(&results);
        println!("{}", serde_json::to_string_pretty(&json)?);
    } else {
        print!("{}", suite::tables(&results));
    }
    Ok(match results.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn configs(options: &Configs) -> Result<ExitCode, anyhow::Error> {
    ensure!(
        (1..=MAX_ROUNDS).contains(&options.rounds) && (1..=MAX_APPS).contains(&options.apps),
        "give 1 to {MAX_ROUNDS} rounds and 1 to {MAX_APPS} apps"
    );
    let all = configs::measure(
        &ours(options.ours.as_deref())?[0],
        options.apps,
        options.rounds,
    )?;
    if options.json {
        let json = configs::to_json(&all, options.apps);
        println!("{}", serde_json::to_string_pretty(&json)?);
    } else {
        print!("{}", configs::text(&all, options.apps));
    }
    Ok(ExitCode::SUCCESS)
}

fn both(options: &Compare) -> Result<ExitCode, anyhow::Error> {
    ensure!(
        (1..=MAX_ROUNDS).contains(&options.rounds),
        "rounds: give 1 to {MAX_ROUNDS}"
    );
    let words = |text: &str| -> Option<Vec<String>> {
        (text != "-").then(|| text.split_whitespace().map(str::to_owned).collect())
    };
    let plan = compare::Options {
        ours: match options.ours.as_deref() {
            Some("-") => None,
            named => Some(ours(named)?),
        },
        original: words(&options.original),
        setup: Setup {
            processes: options.processes,
            threads: options.threads,
            http: options.http,
            python: options.python.clone(),
            lines: options.line.clone(),
        },
        kinds: options.kinds.clone(),
        connections: options.connections,
        rounds: options.rounds,
        duration: seconds(options.seconds)?,
        warm_up: WARM_UP,
    };
    let all = compare::compare(&plan, |line| eprintln!("{line}")).context("compare")?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&compare::to_json(&all))?);
    } else {
        print!("{}", compare::table(&all, &options.kinds));
    }
    Ok(ExitCode::SUCCESS)
}
