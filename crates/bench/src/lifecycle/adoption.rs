//! The emperor is killed while its apps are asked: how long after the next one's start all apps are
//! its own again.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use serde_json::Value;

use crate::clock::{now, pause};
use crate::lifecycle::ask::{Style, ask};
use crate::lifecycle::place::{Place, Setup};
use crate::lifecycle::processes;
use crate::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: usize = 4;
/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Serialize)]
pub struct Adoption {
    pub apps: usize,
    /// From the start of each next emperor until its status has all apps serving and adopted.
    pub seconds: Vec<f64>,
    pub requests: u64,
    pub failed: u64,
}

impl Adoption {
    pub fn is_clean(&self) -> bool {
        self.failed == 0
    }
}

/// Kills the emperor of `apps` apps `rounds` times.
///
/// # Errors
/// When an app does not serve, or is not adopted.
pub fn measure(setup: &Setup, apps: usize, rounds: usize) -> Result<Adoption, anyhow::Error> {
    let mut place = Place::prepare(setup.clone())?;
    fs::remove_file(place.path("vassals/life.ini"))?;
    let mut targets = Vec::new();
    for number in 0..apps {
        let socket = format!("app{number}.sock");
        let config = place.hello_config(&socket, "life");
        place.write(&format!("vassals/app{number}.ini"), &config)?;
        targets.push(format!("http:{}", place.path(&socket).display()).parse::<Target>()?);
    }
    place.start_server()?;
    let (done, requests, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let client = |mut number: usize| {
        while !done.load(Ordering::Relaxed) {
            let target = &targets[number % targets.len()];
            requests.fetch_add(1, Ordering::Relaxed);
            if ask(target, Style::Short, 0, &mut None).result.is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            number += CLIENTS;
            pause(PACE);
        }
    };
    let all_are = |place: &Place, adopted: bool| {
        let status = place.status();
        let apps_of = status["apps"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let fits = |app: &Value| {
            app["condition"] == "serving" && (!adopted || app["adopted"] == Value::Bool(true))
        };
        status["emperor"]["pid"] == place.server_pid()
            && apps_of.len() == apps
            && apps_of.iter().all(fits)
    };
    wait(&place, || all_are(&place, false))?;
    let seconds = std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || client(number));
        }
        let measured = (0..rounds).map(|_| {
            place.kill_server();
            let begin = now();
            place.start_server()?;
            wait(&place, || all_are(&place, true))?;
            Ok((now() - begin).as_secs_f64())
        });
        let measured = measured.collect::<Result<Vec<_>, anyhow::Error>>();
        done.store(true, Ordering::Relaxed);
        measured
    })?;
    Ok(Adoption {
        apps,
        seconds,
        requests: requests.into_inner(),
        failed: failed.into_inner(),
    })
}

fn wait(place: &Place, is_so: impl Fn() -> bool) -> Result<(), anyhow::Error> {
    let begin = now();
    while !is_so() {
        ensure!(
            now() - begin < PATIENCE && !processes::is_ending(),
            "the apps are not the emperor's:\n{}",
            place.last_words()
        );
        pause(Duration::from_millis(5));
    }
    Ok(())
}
