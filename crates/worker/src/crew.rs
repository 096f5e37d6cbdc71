//! The other workers of the app, as the master tells them when the app asks.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use imperator_core::message::{FromWorker, ToWorker, WORKERS, WorkerNumbers};

use crate::clock::Moment;
use crate::context::WorkerContext;

/// What was told so recently is not asked for again: an app may look in each request.
const FRESH: Duration = Duration::from_millis(50);
/// A master that is gone, or busy, does not hold a request for longer.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Crew {
    told: Mutex<Told>,
    heard: Condvar,
}

/// All workers, and the requests of those that are not among them.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub workers: Vec<WorkerNumbers>,
    pub others: u64,
    /// How often the master has told.
    count: u64,
    until: Option<Moment>,
}

impl Crew {
    /// Keeps what the message says of workers, and wakes who waits for it.
    pub(crate) fn learn(&self, message: ToWorker, now: Moment) {
        let ToWorker::Workers { workers, others } = message else {
            return;
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Told {
            workers,
            others,
            count: told.count + 1,
            until: Some(now.after(FRESH)),
        };
        self.heard.notify_all();
    }
}

impl WorkerContext {
    /// What the master says of all workers. Call it without the interpreter: it waits for the answer,
    /// half a second at most, and tells the last one then; nothing, when there was none.
    pub fn crew(&self) -> Told {
        let crew = &self.crew;
        let told = crew.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.until.is_some_and(|until| Moment::now() < until) {
            return told.clone();
        }
        let before = told.count;
        drop(told);
        let what = WORKERS.to_owned();
        self.tell(&FromWorker::Asks { what });
        let told = crew.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = crew
            .heard
            .wait_timeout_while(told, PATIENCE, |told| told.count == before);
        let (told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_about_workers_changes_what_is_known() {
        let crew = Crew::default();
        crew.learn(ToWorker::Heard, Moment(0));
        assert_eq!(crew.told.lock().unwrap().count, 0);
        let workers = vec![WorkerNumbers::default()];
        let message = ToWorker::Workers { workers, others: 7 };
        crew.learn(message, Moment(5));
        let told = crew.told.lock().unwrap();
        assert_eq!((told.count, told.others, told.workers.len()), (1, 7, 1));
    }
}
