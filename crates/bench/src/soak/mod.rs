//! A long run of mixed load on ours: short requests over both protocols, bodies of gigabytes both ways,
//! clients that go away in the middle, mistakes of the app, reloads and killed workers; and meanwhile a
//! look at what the processes hold, which must not grow.

mod held;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::{now, pause, wait_for};
use crate::lifecycle::place::touch;
use crate::lifecycle::processes;
use crate::load::{Outcome, Plan, run as load};
use crate::request::Kind;
use crate::server::Server;
use crate::soak::held::{Role, Sample, line, pids_of, sample};
use crate::target::Target;

/// One wait of a client.
const TIMEOUT: Duration = Duration::from_secs(30);
const PIECE: usize = 1 << 20;

#[derive(Debug, Clone)]
pub struct Options {
    pub ours: Vec<String>,
    pub python: PathBuf,
    pub duration: Duration,
    pub reload_every: Duration,
    pub kill_every: Duration,
    pub sample_every: Duration,
    /// Of each big upload and download.
    pub bulk_bytes: u64,
    /// Bytes a second of those.
    pub bulk_rate: Option<u64>,
    /// What each client waits between an answer and its next request.
    pub pace: Duration,
}

#[derive(Debug, Default)]
pub struct Soak {
    pub samples: Vec<Sample>,
    pub loads: Vec<(String, Outcome)>,
    pub reloads: u64,
    pub kills: u64,
    pub aborts: u64,
    pub uploads: u64,
    pub downloads: u64,
    pub bulk_failures: Vec<String>,
}

struct Run<'a> {
    options: &'a Options,
    directory: &'a Path,
    emperor: i32,
    begin: Instant,
    stop: AtomicBool,
    aborts: AtomicU64,
    uploads: AtomicU64,
    downloads: AtomicU64,
    bulk_failures: Mutex<Vec<String>>,
}

/// Runs it all.
///
/// # Errors
/// When the server cannot be started.
pub fn soak(options: &Options, say: impl Fn(&str)) -> Result<Soak, anyhow::Error> {
    let directory = processes::directory("soak.")?;
    let path = directory.path();
    let shown = path.display();
    let vassals = path.join("vassals");
    fs::create_dir(&vassals)?;
    let ini = format!(
        "[uwsgi]\nsocket = {shown}/bench.sock\nhttp-socket = {shown}/http.sock\nhttp-keepalive = 30\n\
         chdir = {shown}\nmodule = soak_app\nmaster = true\nprocesses = 2\nthreads = 4\n\
         die-on-term = true\ndisable-logging = true\nharakiri = 600\npython = {}\n",
        options.python.display()
    );
    fs::write(vassals.join("soak.ini"), ini)?;
    fs::write(
        path.join("soak_app.py"),
        include_str!("../../apps/soak_app.py"),
    )?;
    let mut command = vec![
        "/usr/bin/env".to_owned(),
        format!("RUNTIME_DIRECTORY={shown}/run"),
    ];
    command.extend(options.ours.iter().cloned());
    command.push(vassals.display().to_string());
    let server = Server::start(&command, path, false, "ours")?;
    let run = Run {
        options,
        directory: path,
        emperor: server.pid(),
        begin: now(),
        stop: AtomicBool::new(false),
        aborts: AtomicU64::new(0),
        uploads: AtomicU64::new(0),
        downloads: AtomicU64::new(0),
        bulk_failures: Mutex::default(),
    };
    let plans = run.plans()?;
    let mut soak = std::thread::scope(|scope| {
        let loads: Vec<_> = plans
            .iter()
            .map(|(name, plan)| scope.spawn(|| (name.clone(), load(plan, &run.stop))))
            .collect();
        scope.spawn(|| run.leave_in_the_middle());
        scope.spawn(|| run.move_gigabytes());
        let mut soak = run.look_on(&say);
        run.stop.store(true, Ordering::Relaxed);
        for load in loads {
            soak.loads
                .push(load.join().expect("a load has no panic of its own"));
        }
        soak
    });
    soak.aborts = run.aborts.load(Ordering::Relaxed);
    soak.uploads = run.uploads.load(Ordering::Relaxed);
    soak.downloads = run.downloads.load(Ordering::Relaxed);
    soak.bulk_failures = run.bulk_failures.into_inner().unwrap_or_default();
    drop(server);
    Ok(soak)
}

impl Run<'_> {
    fn target(&self, protocol: &str, socket: &str) -> Result<Target, anyhow::Error> {
        let path = self.directory.join(socket);
        format!("{protocol}:{}", path.display()).parse()
    }

    /// One connection for each: the load is mixed, not heavy.
    fn plans(&self) -> Result<Vec<(String, Plan)>, anyhow::Error> {
        let mut plans = Vec::new();
        for (protocol, socket) in [("uwsgi", "bench.sock"), ("http", "http.sock")] {
            let target = self.target(protocol, socket)?;
            for (name, kind, path, status) in [
                ("hello", Kind::Hello, None, 200),
                ("headers", Kind::Headers(30), None, 200),
                ("post", Kind::Post(10_000), None, 200),
                ("bytes", Kind::Hello, Some("/bytes/65536"), 200),
                ("file", Kind::Hello, Some("/file/1000000"), 200),
                ("slow", Kind::Hello, Some("/slow"), 200),
                ("boom", Kind::Hello, Some("/boom"), 500),
            ] {
                let plan = Plan {
                    message: kind.encode(target.protocol, path)?,
                    target: target.clone(),
                    connections: 1,
                    duration: self.options.duration,
                    requests: None,
                    timeout: TIMEOUT,
                    status,
                    length: None,
                    keep_alive: true,
                    pace: self.options.pace,
                    server: Vec::new(),
                };
                plans.push((format!("{protocol} {name}"), plan));
            }
        }
        Ok(plans)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, and ends early when all ends.
    fn rest(&self, span: Duration) {
        let _ = wait_for(span, || self.stopped().then_some(()));
    }

    /// Clients that go: in a head, in a body, in an answer.
    fn leave_in_the_middle(&self) {
        let heads: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Half",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\nhalf a body",
            b"GET /pieces/50000000 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /file/50000000 HTTP/1.1\r\nHost: x\r\n\r\n",
        ];
        let Ok(target) = self.target("http", "http.sock") else {
            return;
        };
        for head in heads.iter().cycle() {
            if self.stopped() {
                return;
            }
            if let Ok(mut connection) = target.connect(TIMEOUT) {
                let _ = connection.write_all(head);
                if head.starts_with(b"GET /") && head.ends_with(b"\r\n\r\n") {
                    let _ = connection.read(&mut [0; 4096]);
                }
                self.aborts.fetch_add(1, Ordering::Relaxed);
            }
            self.rest(Duration::from_millis(50));
        }
    }

    fn go_slowly(&self, bytes: usize) {
        if let Some(rate) = self.options.bulk_rate {
            pause(Duration::from_secs_f64(bytes as f64 / rate as f64));
        }
    }

    /// Up and down in turn. A reload waits for them, or its mercy ends: then they are counted as cut.
    fn move_gigabytes(&self) {
        while !self.stopped() {
            for (up, counter) in [(true, &self.uploads), (false, &self.downloads)] {
                if self.stopped() {
                    return;
                }
                match self.move_one(up) {
                    Ok(true) => {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(false) => return,
                    Err(error) => {
                        let mut failures = match self.bulk_failures.lock() {
                            Ok(failures) => failures,
                            Err(poisoned) => poisoned.into_inner(),
                        };
                        failures.push(format!(
                            "at {:.1} s: {}: {error:#}",
                            (now() - self.begin).as_secs_f64(),
                            if up { "upload" } else { "download" }
                        ));
                        drop(failures);
                        self.rest(Duration::from_secs(1));
                    }
                }
            }
        }
    }

    /// `Ok(false)`: all ended meanwhile.
    fn move_one(&self, up: bool) -> Result<bool, anyhow::Error> {
        let length = self.options.bulk_bytes / PIECE as u64 * PIECE as u64;
        let mut connection = self
            .target("http", "http.sock")?
            .connect(TIMEOUT)
            .context("connect")?;
        let mut piece = vec![b'u'; PIECE];
        if up {
            let head = format!(
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            connection.write_all(head.as_bytes())?;
            for _ in 0..length / PIECE as u64 {
                if self.stopped() {
                    return Ok(false);
                }
                connection.write_all(&piece).context("send")?;
                self.go_slowly(PIECE);
            }
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            anyhow::ensure!(
                answer.ends_with(&length.to_string()),
                "another answer: {answer:.200}"
            );
            return Ok(true);
        }
        let head = format!("GET /pieces/{length} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        connection.write_all(head.as_bytes())?;
        let mut total = 0;
        loop {
            if self.stopped() {
                return Ok(false);
            }
            match connection.read(&mut piece).context("receive")? {
                0 => break,
                count => {
                    total += count as u64;
                    self.go_slowly(count);
                }
            }
        }
        anyhow::ensure!(
            (length..length + 4096).contains(&total),
            "{total} bytes instead of {length} and a head"
        );
        Ok(true)
    }

    /// Samples, reloads and kills until the time is over.
    fn look_on(&self, say: &impl Fn(&str)) -> Soak {
        let mut soak = Soak::default();
        let begin = self.begin;
        let end = begin + self.options.duration;
        let ini = self.directory.join("vassals/soak.ini");
        let mut next_sample = begin;
        let mut next_reload = begin + self.options.reload_every;
        let mut next_kill = begin + self.options.kill_every;
        while now() < end {
            if now() >= next_sample {
                next_sample += self.options.sample_every;
                let sample = sample(self.emperor, now() - begin);
                say(&line(&sample));
                soak.samples.push(sample);
            }
            if now() >= next_reload {
                next_reload += self.options.reload_every;
                soak.reloads += u64::from(touch(&ini).is_ok());
            }
            if now() >= next_kill {
                next_kill += self.options.kill_every;
                soak.kills += u64::from(self.kill_a_worker());
            }
            let next: Instant = next_sample.min(next_reload).min(next_kill).min(end);
            let _ = wait_for(next.saturating_duration_since(now()), || None::<()>);
        }
        soak
    }

    fn kill_a_worker(&self) -> bool {
        let worker = pids_of(self.emperor, Role::Worker).into_iter().next();
        worker.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
    }
}

impl Soak {
    /// What holds more at the end than at the beginning.
    pub fn growth(&self) -> Vec<String> {
        let grown = held::ends(&self.samples).into_iter().filter(|it| it.grew);
        let told = |it: held::Ends| {
            let held::Ends {
                role,
                what,
                first,
                last,
                ..
            } = it;
            format!("{role}, {what}: grew from {first} to {last}")
        };
        grown.map(told).collect()
    }

    pub fn failed(&self) -> u64 {
        self.loads.iter().map(|(_, outcome)| outcome.failed()).sum()
    }

    /// A killed worker takes the requests that it answers along: one of each thread, and the ones that
    /// wait in it.
    pub fn excused(&self) -> u64 {
        self.kills * self.loads.len() as u64
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{line}");
        };
        for (name, outcome) in &self.loads {
            add(format_args!(
                "{name:14} {:9} answered, {} failed, p99 {:.1} ms",
                outcome.answered,
                outcome.failed(),
                outcome.latencies.percentile(99.0).as_secs_f64() * 1000.0
            ));
            for (at, what) in &outcome.described {
                add(format_args!("               at {at:.1} s: {what}"));
            }
        }
        add(format_args!(
            "{} reloads, {} workers killed, {} clients that left, {} big uploads, {} big downloads, {} cut",
            self.reloads,
            self.kills,
            self.aborts,
            self.uploads,
            self.downloads,
            self.bulk_failures.len()
        ));
        for failure in self.bulk_failures.iter().take(5) {
            add(format_args!("  {failure}"));
        }
        for it in held::ends(&self.samples) {
            add(format_args!(
                "{:8} {:12} first third {}, last third {}",
                it.role, it.what, it.first, it.last
            ));
        }
        for grown in self.growth() {
            add(format_args!("GROWTH: {grown}"));
        }
        text
    }
}
