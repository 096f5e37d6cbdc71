//! What is left behind by many reloads of one app, and by many apps that came and went.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::ensure;
use serde::Serialize;

use crate::clock::wait_for;
use crate::lifecycle::ask::{Said, Style, ask};
use crate::lifecycle::place::{PATIENCE, Place, Setup};
use crate::lifecycle::processes::{Holds, holds};
use crate::target::Target;

/// What allocators and caches take at first is no leak.
const WARM_UP: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    pub processes: usize,
    pub files: usize,
    pub emperor: Holds,
    pub master: Holds,
}

#[derive(Debug, Clone, Serialize)]
pub struct Leaks {
    pub what: &'static str,
    pub times: usize,
    pub before: State,
    pub after: State,
}

impl Leaks {
    /// Nothing but memory may differ; that is measured, not counted.
    pub fn is_clean(&self) -> bool {
        same(&self.before, &self.after)
    }
}

fn same(before: &State, after: &State) -> bool {
    let counts = |state: &State| {
        let of = |holds: Holds| (holds.descriptors, holds.threads);
        (
            state.processes,
            state.files,
            of(state.emperor),
            of(state.master),
        )
    };
    counts(before) == counts(after)
}

/// Reloads one app `times` times, and beside it adds and removes apps of another emperor as often.
///
/// # Errors
/// When a reload or a new app does not serve.
pub fn measure(
    setup: &Setup,
    times: usize,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Vec<Leaks>, anyhow::Error> {
    std::thread::scope(|scope| {
        let one = scope.spawn(|| repeat(setup, times, "reloads of one app", reload, progress));
        let other = scope.spawn(|| {
            repeat(
                setup,
                times,
                "apps added and removed",
                add_and_remove,
                progress,
            )
        });
        [one, other]
            .into_iter()
            .map(|thread| thread.join().expect("it tells errors"))
            .collect()
    })
}

fn repeat(
    setup: &Setup,
    times: usize,
    what: &'static str,
    once: fn(&mut Place) -> Result<(), anyhow::Error>,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Leaks, anyhow::Error> {
    let mut place = Place::start(setup.clone())?;
    for _ in 0..WARM_UP.min(times) {
        once(&mut place)?;
    }
    let before = settled(&place);
    for number in 0..times {
        once(&mut place)?;
        if (number + 1) % 100 == 0 {
            progress(format!("{what}: {} of {times}", number + 1));
        }
    }
    // A generation that just drained may take a moment to go.
    let after = wait_for(PATIENCE, || {
        let state = state(&place);
        same(&before, &state).then_some(state)
    });
    let after = after.unwrap_or_else(|| state(&place));
    Ok(Leaks {
        what,
        times,
        before,
        after,
    })
}

fn reload(place: &mut Place) -> Result<(), anyhow::Error> {
    place.deploy(None)?;
    let (target, version) = (place.front(), place.version);
    ensure!(
        hears(place, &target, |said| said.version == version),
        "a reload is not heard:\n{}",
        place.last_words()
    );
    Ok(())
}

fn add_and_remove(place: &mut Place) -> Result<(), anyhow::Error> {
    let directory = place.directory().display().to_string();
    let config = format!(
        "[uwsgi]\nhttp-socket = {directory}/cycle.sock\nchdir = {directory}/app\nmodule = life\n\
         python = {}\nvacuum = true\n",
        place.setup.programs.python.display()
    );
    let target: Target = format!("http:{directory}/cycle.sock").parse()?;
    let processes = place.family().len();
    place.write("vassals/cycle.ini", &config)?;
    ensure!(
        hears(place, &target, |_| true),
        "a new app does not serve:\n{}",
        place.last_words()
    );
    fs::remove_file(place.path("vassals/cycle.ini"))?;
    let gone = wait_for(PATIENCE, || {
        (place.family().len() <= processes).then_some(())
    });
    ensure!(
        gone.is_some(),
        "a removed app does not go:\n{}",
        place.last_words()
    );
    Ok(())
}

fn hears(place: &Place, target: &Target, wanted: impl Fn(Said) -> bool) -> bool {
    wait_for(PATIENCE, || {
        let id = place.ids.fetch_add(1, Ordering::Relaxed);
        let said = ask(target, Style::Short, id, &mut None).result.ok()?;
        wanted(said).then_some(())
    })
    .is_some()
}

/// The state once two looks in a row agree.
fn settled(place: &Place) -> State {
    let mut last = state(place);
    let found = wait_for(PATIENCE, || {
        crate::clock::pause(std::time::Duration::from_millis(300));
        let next = state(place);
        let agree = same(&last, &next);
        last = next.clone();
        agree.then_some(next)
    });
    found.unwrap_or(last)
}

fn state(place: &Place) -> State {
    let master = place.app_status("life")["pid"].as_i64().unwrap_or(0);
    State {
        processes: place.family().len(),
        files: count_files(place.directory()),
        emperor: holds(place.server_pid()),
        master: holds(i32::try_from(master).unwrap_or_default()),
    }
}

fn count_files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => 1 + count_files(&entry.path()),
            Ok(_) | Err(_) => 1,
        })
        .sum()
}
