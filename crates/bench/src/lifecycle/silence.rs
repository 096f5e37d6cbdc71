//! How long nobody is answered when something happens: an open loop at 30 % of the capacity, runs with
//! an event and runs without one in turn.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::clock::{now, pause, wait_for};
use crate::lifecycle::ask::{Style, ask};
use crate::lifecycle::breakage::Breakage;
use crate::lifecycle::place::{PATIENCE, Place, Setup};
use crate::lifecycle::processes;
use crate::lifecycle::servers::Server;
use crate::target::Target;

const RUN: Duration = Duration::from_secs(4);
const EVENT_AT: Duration = Duration::from_millis(500);
const MENDED_AFTER: Duration = Duration::from_millis(1500);
const EMPEROR_AWAY: Duration = Duration::from_secs(1);
const CAPACITY_CLIENTS: usize = 16;
const CAPACITY_RUN: Duration = Duration::from_secs(2);
const SHARE: f64 = 0.3;
/// So many clients can wait at once before arrivals are delayed.
const CLIENTS: usize = 128;
/// The promises of the issue, above the control.
pub const MEDIAN_ROOM: f64 = 0.050;
pub const WORST_ROOM: f64 = 0.250;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    Reload,
    BadDeploy,
    Kill,
    Recycling,
    EmperorKilled,
    OtherEdited,
}

pub const ALL: [Disturbance; 6] = [
    Disturbance::Reload,
    Disturbance::BadDeploy,
    Disturbance::Kill,
    Disturbance::Recycling,
    Disturbance::EmperorKilled,
    Disturbance::OtherEdited,
];

impl Disturbance {
    fn name(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::BadDeploy => "bad deploy, mended after 1.5 s",
            Self::Kill => "kill -9 of a worker",
            Self::Recycling => "workers recycled",
            Self::EmperorKilled => "emperor killed, restarted after 1 s",
            Self::OtherEdited => "another app's file edited",
        }
    }
}

/// The longest silences of one disturbance's runs and of the runs between, in seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Silences {
    pub server: Server,
    pub workers: usize,
    pub event: &'static str,
    pub rate: f64,
    pub with: Vec<f64>,
    pub without: Vec<f64>,
    pub sent: u64,
    pub failed: u64,
}

impl Silences {
    pub fn holds(&self) -> bool {
        median(&self.with) <= median(&self.without) + MEDIAN_ROOM
            && worst(&self.with) <= worst(&self.without) + WORST_ROOM
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

pub fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Measures each disturbance `rounds` times, each run after one without.
///
/// # Errors
/// When the server does not start or does not come back.
pub fn measure(
    setup: &Setup,
    rounds: usize,
    progress: &mut dyn FnMut(String),
) -> Result<Vec<Silences>, anyhow::Error> {
    let setup = Setup {
        load_seconds: 1.0,
        ..setup.clone()
    };
    let mut place = Place::start(setup.clone())?;
    let rate = SHARE * capacity(&place.front(), &place.ids);
    // About ten workers a run.
    let often = u32::try_from((rate * RUN.as_secs_f64() / 10.0) as u64)?.max(10);
    let mut recycled = Place::start(Setup {
        max_requests: Some(often),
        ..setup.clone()
    })?;
    progress(format!(
        "{}: {rate:.0} requests/s, 30 % of the capacity",
        setup.server.name()
    ));
    let mut all = Vec::new();
    for event in ALL {
        if !setup.server.has_emperor() && event != Disturbance::Reload {
            continue;
        }
        let mut found = Silences {
            server: setup.server,
            workers: setup.workers,
            event: event.name(),
            rate,
            with: Vec::new(),
            without: Vec::new(),
            sent: 0,
            failed: 0,
        };
        for round in 0..rounds {
            let quiet = run(&mut place, rate, None)?;
            found.without.push(quiet.longest);
            let used = if event == Disturbance::Recycling {
                &mut recycled
            } else {
                &mut place
            };
            let loud = run(used, rate, Some((event, round)))?;
            found.with.push(loud.longest);
            found.sent += loud.sent;
            found.failed += loud.failed;
            settle(used)?;
        }
        progress(format!(
            "{}: {}: median {:.3} s, control {:.3} s; worst {:.3} s, control {:.3} s; {} of {} failed",
            setup.server.name(),
            found.event,
            median(&found.with),
            median(&found.without),
            worst(&found.with),
            worst(&found.without),
            found.failed,
            found.sent,
        ));
        all.push(found);
    }
    Ok(all)
}

/// Whatever the event left behind: a good version serves, and nothing is on its way.
fn settle(place: &mut Place) -> Result<(), anyhow::Error> {
    place.deploy(None)?;
    let (front, version) = (place.front(), place.version);
    let heard = |place: &Place| {
        wait_for(PATIENCE, || {
            let id = place.ids.fetch_add(1, Ordering::Relaxed);
            let said = ask(&front, Style::Short, id, &mut None).result.ok()?;
            (said.version == version).then_some(())
        })
        .is_some()
    };
    if !heard(place) {
        place.rescue()?;
        ensure!(heard(place), "it does not serve:\n{}", place.last_words());
    }
    // The old workers go, and the machine is quiet again.
    pause(Duration::from_millis(500));
    Ok(())
}

struct Run {
    longest: f64,
    sent: u64,
    failed: u64,
}

/// How many requests a closed loop gets answered in a second.
fn capacity(target: &Target, ids: &AtomicU64) -> f64 {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let begin = now();
    std::thread::scope(|scope| {
        for _ in 0..CAPACITY_CLIENTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let id = ids.fetch_add(1, Ordering::Relaxed);
                    if ask(target, Style::Short, id, &mut None).result.is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        pause(CAPACITY_RUN);
        stop.store(true, Ordering::Relaxed);
    });
    answered.load(Ordering::Relaxed) as f64 / (now() - begin).as_secs_f64()
}

/// One run: requests leave at their times, whatever became of those before.
fn run(
    place: &mut Place,
    rate: f64,
    event: Option<(Disturbance, usize)>,
) -> Result<Run, anyhow::Error> {
    let target = place.front();
    let ids = place.ids.clone();
    let next = AtomicU64::new(0);
    let last = Mutex::new(None::<i32>);
    let begin = now();
    let client = || {
        let (mut answers, mut failed) = (Vec::new(), 0);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let at = Duration::from_secs_f64(number as f64 / rate);
            if at >= RUN {
                return (answers, failed);
            }
            pause((begin + at).saturating_duration_since(now()));
            let id = ids.fetch_add(1, Ordering::Relaxed);
            match ask(&target, Style::Short, id, &mut None).result {
                Ok(said) => {
                    answers.push(now());
                    if let Ok(mut last) = last.try_lock() {
                        *last = Some(said.pid);
                    }
                }
                Err(_) => failed += 1,
            }
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let disturbed = match event {
            Some((event, round)) => {
                pause(EVENT_AT);
                let process = last.lock().ok().and_then(|last| *last);
                disturb(place, event, round, process)
            }
            None => Ok(()),
        };
        let (mut answers, mut failed) = (Vec::new(), 0);
        for client in clients {
            let (some, more) = client.join().expect("a client has no panic of its own");
            answers.extend(some);
            failed += more;
        }
        disturbed?;
        Ok(Run {
            longest: longest_silence(begin, &mut answers).as_secs_f64(),
            sent: answers.len() as u64 + failed,
            failed,
        })
    })
}

fn longest_silence(begin: Instant, answers: &mut Vec<Instant>) -> Duration {
    // What is answered after the last request was sent belongs to the silence before it.
    answers.push(begin);
    answers.sort_unstable();
    let end = answers.last().copied().unwrap_or(begin).max(begin + RUN);
    answers.push(end);
    answers
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}

fn disturb(
    place: &mut Place,
    event: Disturbance,
    round: usize,
    process: Option<i32>,
) -> Result<(), anyhow::Error> {
    match event {
        Disturbance::Reload => place.deploy(None),
        Disturbance::BadDeploy => {
            place.deploy(Some(Breakage::Import))?;
            pause(MENDED_AFTER);
            place.deploy(None)
        }
        Disturbance::Kill => {
            if let Some(pid) = process {
                processes::send(pid, Signal::SIGKILL);
            }
            Ok(())
        }
        Disturbance::Recycling => Ok(()),
        Disturbance::EmperorKilled => {
            place.kill_server();
            pause(EMPEROR_AWAY);
            place.start_server()
        }
        Disturbance::OtherEdited => {
            place.write("other.py", include_str!("../../apps/bench_app.py"))?;
            let config = place.other_config(0, round);
            place.write("vassals/other0.ini", &config)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts_from_the_beginning_to_the_end() {
        let begin = now();
        let at = |millis: u64| begin + Duration::from_millis(millis);
        let mut answers = vec![at(1500), at(500), at(600)];
        assert_eq!(
            longest_silence(begin, &mut answers),
            Duration::from_millis(2500)
        );
        let mut answers: Vec<Instant> = (0..80).map(|number| at(50 * number)).collect();
        assert_eq!(
            longest_silence(begin, &mut answers),
            Duration::from_millis(50)
        );
    }

    #[test]
    fn the_promise_is_measured_against_the_control() {
        let mut silences = Silences {
            server: Server::Ours,
            workers: 4,
            event: "reload",
            rate: 1.0,
            with: vec![0.06, 0.05, 0.30],
            without: vec![0.02, 0.05, 0.01],
            sent: 0,
            failed: 0,
        };
        assert!(silences.holds());
        silences.with[2] = 0.31;
        assert!(!silences.holds(), "the worst is more than 250 ms worse");
        silences.with = vec![0.08, 0.08, 0.08];
        assert!(!silences.holds(), "the median is more than 50 ms worse");
    }
}
