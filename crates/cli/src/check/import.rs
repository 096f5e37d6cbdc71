//! `check --import`: loads each app as a start would, a few at a time.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use imperator_core::finding::Finding;
use imperator_master::{Imported, Trial};

use super::gather::Subject;
use super::machine;

/// How an app's import went.
#[derive(Debug)]
pub(crate) enum Outcome {
    Loaded(Imported),
    /// The finding, and the traceback or the last output.
    Failed(Finding, Option<String>),
    /// There is nothing to load, or the config says too little.
    Skipped(&'static str),
}

/// One outcome for each subject, in their order.
pub(crate) fn all(subjects: &[Subject], limit: Option<Duration>, here: &Path) -> Vec<Outcome> {
    let next = Mutex::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> = subjects.iter().map(|_| Mutex::new(None)).collect();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cpus.min(subjects.len()) {
            scope.spawn(|| {
                loop {
                    let mut taken = next.lock().unwrap_or_else(PoisonError::into_inner);
                    let index = *taken;
                    *taken += 1;
                    drop(taken);
                    let (Some(subject), Some(slot)) = (subjects.get(index), outcomes.get(index))
                    else {
                        return;
                    };
                    let outcome = one(subject, limit, here);
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                }
            });
        }
    });
    let outcome = |slot: Mutex<Option<Outcome>>| {
        let slot = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
        slot.unwrap_or(Outcome::Skipped("it was not reached"))
    };
    outcomes.into_iter().map(outcome).collect()
}

fn one(subject: &Subject, limit: Option<Duration>, here: &Path) -> Outcome {
    let Some(settings) = &subject.resolved.settings else {
        return Outcome::Skipped("its config has an error");
    };
    if subject.is_emperor() {
        return Outcome::Skipped("an emperor loads no app");
    }
    if settings.mounts.is_empty() {
        return Outcome::Skipped("it names no app to load");
    }
    let trial = Trial {
        name: &subject.name,
        settings,
        cwd: &here.join(&subject.cwd),
        owner: subject.owner.as_ref().map(machine::identity_of),
        limit: limit.unwrap_or(settings.ready_timeout),
    };
    match imperator_master::import(&trial) {
        Ok(imported) => Outcome::Loaded(imported),
        Err(failure) => {
            let mut finding = machine::of_failure(&failure, settings, true);
            if finding.place.is_none() {
                finding.place = settings.mounts.first().map(|mount| mount.place.clone());
            }
            Outcome::Failed(finding, failure.detail)
        }
    }
}
