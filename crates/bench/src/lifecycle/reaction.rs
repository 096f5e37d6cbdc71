//! From the write of a new ini to its first answered request, beside what the app's interpreter and
//! its import take alone.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::clock::{brake, now, wait_for};
use crate::lifecycle::ask::{Style, ask};
use crate::lifecycle::place::{PATIENCE, Place, Setup};
use crate::lifecycle::processes;
use crate::lifecycle::servers::Server;
use crate::lifecycle::silence::median;
use crate::target::Target;

#[derive(Debug, Clone, Serialize)]
pub struct Reaction {
    pub server: Server,
    /// Seconds, from the write to the first answer.
    pub answered: Vec<f64>,
    /// Seconds that `python -c "import life"` takes.
    pub alone: Vec<f64>,
}

impl Reaction {
    /// What the server adds, in the median.
    pub fn added(&self) -> f64 {
        median(&self.answered) - median(&self.alone)
    }
}

/// Adds an app `rounds` times to each server, in turn.
///
/// # Errors
/// When a server does not start, or a new app never answers.
pub fn measure(
    setups: &[Setup],
    rounds: usize,
    progress: &mut dyn FnMut(String),
) -> Result<Vec<Reaction>, anyhow::Error> {
    let places = setups
        .iter()
        .map(|setup| Place::start(setup.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut all: Vec<Reaction> = setups
        .iter()
        .map(|setup| Reaction {
            server: setup.server,
            answered: Vec::new(),
            alone: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for (place, found) in places.iter().zip(&mut all) {
            found.alone.push(alone(place)?);
            found.answered.push(once(place, round)?);
        }
        if (round + 1) % 5 == 0 {
            progress(format!("reaction: {} of {rounds}", round + 1));
        }
    }
    Ok(all)
}

fn once(place: &Place, round: usize) -> Result<f64, anyhow::Error> {
    let (socket, ini) = (
        format!("new{round}.sock"),
        format!("vassals/new{round}.ini"),
    );
    let target: Target = format!("http:{}", place.path(&socket).display()).parse()?;
    let config = place.hello_config(&socket, "life");
    let before = now();
    place.write(&ini, &config)?;
    loop {
        let id = place.ids.fetch_add(1, Ordering::Relaxed);
        if ask(&target, Style::Short, id, &mut None).result.is_ok() {
            break;
        }
        ensure!(
            now() - before < PATIENCE,
            "a new app never answers:\n{}",
            place.last_words()
        );
        brake();
    }
    let seconds = (now() - before).as_secs_f64();
    let processes = place.family().len();
    fs::remove_file(place.path(&ini))?;
    let _ = wait_for(PATIENCE, || {
        (place.family().len() < processes).then_some(())
    });
    // The next round measures a server that is idle.
    crate::clock::pause(Duration::from_millis(300));
    Ok(seconds)
}

fn alone(place: &Place) -> Result<f64, anyhow::Error> {
    let before = now();
    let mut command = Command::new(&place.setup.programs.python);
    command
        .args(["-c", "import life"])
        .current_dir(place.path("app"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    let output = processes::output(&mut command)?;
    ensure!(output.status.success(), "the app cannot be imported");
    Ok((now() - before).as_secs_f64())
}
