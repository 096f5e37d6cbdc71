//! Hundreds of small apps at once: how long until all serve, and what the machine does meanwhile. Some
//! more fail or hang, and nobody may wait for them.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::clock::{now, pause};
use crate::cpu;
use crate::lifecycle::ask::{Style, ask};
use crate::lifecycle::place::{Place, Setup};
use crate::lifecycle::servers::Server;
use crate::target::Target;

const PATIENCE: Duration = Duration::from_secs(300);
const POLLERS: usize = 32;
/// How often all apps' status is asked for.
const STATUSES: usize = 21;
const SAMPLE: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Serialize)]
pub struct Crowd {
    pub server: Server,
    pub apps: usize,
    /// As many raise at load, and as many more hang.
    pub failing: usize,
    pub seconds: f64,
    /// CPU time of the whole machine, until all served.
    pub cpu_seconds: f64,
    /// The most processes that wanted a CPU at one time.
    pub runnable: u64,
    /// PSS of all processes, in MiB.
    pub memory: u64,
    /// What the command `imperator status` took each time, when all served; empty for another server.
    pub status_seconds: Vec<f64>,
}

/// Starts the emperor over `apps` files, and waits until all serve.
///
/// # Errors
/// When an app never serves.
pub fn measure(setup: &Setup, apps: usize, failing: usize) -> Result<Crowd, anyhow::Error> {
    let mut place = Place::prepare(setup.clone())?;
    fs::remove_file(place.path("vassals/life.ini"))?;
    place.write("app/fails.py", "raise RuntimeError('never')\n")?;
    place.write("app/hangs.py", "import time\ntime.sleep(600)\n")?;
    let mut targets = Vec::new();
    for number in 0..apps {
        let socket = format!("app{number}.sock");
        let config = place.hello_config(&socket, "life");
        place.write(&format!("vassals/app{number}.ini"), &config)?;
        targets.push(format!("http:{}", place.path(&socket).display()).parse::<Target>()?);
    }
    for number in 0..failing {
        for module in ["fails", "hangs"] {
            // First in the order of names: whoever waits for them waits at once.
            let name = format!("a{module}{number}");
            let config = place.hello_config(&format!("{name}.sock"), module);
            place.write(&format!("vassals/{name}.ini"), &config)?;
        }
    }
    let busy_before = cpu::of_machine();
    let begin = now();
    place.start_server()?;
    let next = AtomicU64::new(0);
    let lost = AtomicBool::new(false);
    let done = AtomicBool::new(false);
    let runnable = AtomicU64::new(0);
    let poll = || {
        loop {
            let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
            let Some(target) = targets.get(number) else {
                return;
            };
            while ask(target, Style::Short, 0, &mut None).result.is_err() {
                if now() - begin > PATIENCE {
                    lost.store(true, Ordering::Relaxed);
                    return;
                }
                pause(Duration::from_millis(10));
            }
        }
    };
    let seconds = std::thread::scope(|scope| {
        let pollers: Vec<_> = (0..POLLERS).map(|_| scope.spawn(poll)).collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                runnable.fetch_max(cpu::runnable(), Ordering::Relaxed);
                pause(SAMPLE);
            }
        });
        for poller in pollers {
            let _ = poller.join();
        }
        let seconds = (now() - begin).as_secs_f64();
        done.store(true, Ordering::Relaxed);
        seconds
    });
    let cpu_seconds = cpu::of_machine().saturating_sub(busy_before).as_secs_f64();
    ensure!(
        !lost.load(Ordering::Relaxed),
        "not all apps serve:\n{}",
        place.last_words()
    );
    let memory = place.family().into_iter().map(cpu::memory_of).sum::<u64>() >> 20;
    let asked = if setup.server == Server::Ours {
        STATUSES
    } else {
        0
    };
    let status_seconds = (0..asked).map(|_| {
        let begin = now();
        let lines = place.status_lines()?;
        let seconds = (now() - begin).as_secs_f64();
        ensure!(lines > apps, "status tells {lines} lines of {apps} apps");
        Ok(seconds)
    });
    let status_seconds = status_seconds.collect::<Result<_, anyhow::Error>>()?;
    Ok(Crowd {
        server: setup.server,
        apps,
        failing,
        seconds,
        cpu_seconds,
        runnable: runnable.load(Ordering::Relaxed),
        memory,
        status_seconds,
    })
}
