//! Load from threads of the test process, each failure counted and described: what a front end's
//! users would have seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::wire::{Address, Reply, Vars, http, uwsgi};
use super::{PATIENCE, wait_within};

/// What came of all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    /// Nobody listened: what a client sees before the start and after the end of a server.
    pub(crate) refused: u64,
    /// By what happened after the connection was made: `lost: …`, `status 502: …`.
    pub(crate) failed: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Panics when a request failed, or when there was no load worth the name.
    #[track_caller]
    pub(crate) fn must_be_clean(&self, at_least: u64, report: impl Fn() -> String) {
        assert!(
            self.failures() == 0 && self.refused == 0 && self.answered >= at_least,
            "{self:#?}\nexpected no failure in at least {at_least} requests\n{}",
            report()
        );
    }
}

/// Threads that ask again and again, each on a new connection, until [`Load::stop`].
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// `GET uri` over the uwsgi protocol from `connections` threads.
    pub(crate) fn uwsgi(to: impl Into<Address>, connections: usize, uri: &str) -> Self {
        let (to, vars) = (to.into(), Vars::request("GET", uri));
        Self::start(connections, move || uwsgi(&to, &vars, b""))
    }

    /// `GET uri` over HTTP.
    pub(crate) fn http(to: impl Into<Address>, connections: usize, uri: &str) -> Self {
        let (to, uri) = (to.into(), uri.to_owned());
        Self::start(connections, move || http(&to, "GET", &uri, &[], b""))
    }

    /// `ask` makes one request; an answer counts when its status is 200 and its body whole.
    pub(crate) fn start(
        connections: usize,
        ask: impl Fn() -> std::io::Result<Reply> + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let ask = Arc::new(ask);
        let threads = (0..connections)
            .map(|_| {
                let (stop, answered) = (stop.clone(), answered.clone());
                let (tally, ask) = (tally.clone(), ask.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let failure = match verdict(ask()) {
                            Verdict::Answered => {
                                answered.fetch_add(1, Ordering::Relaxed);
                                continue;
                            }
                            failure @ (Verdict::Refused | Verdict::Failed(_)) => failure,
                        };
                        {
                            let mut tally = tally.lock().unwrap();
                            match failure {
                                Verdict::Failed(why) => *tally.failed.entry(why).or_default() += 1,
                                Verdict::Refused | Verdict::Answered => tally.refused += 1,
                            }
                        }
                        // A dead server would fill the tally with the same line.
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                })
            })
            .collect();
        Self {
            stop,
            answered,
            tally,
            threads,
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.tally.lock().unwrap().refused
    }

    /// Waits until `more` requests were answered from now on.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, more: u64) {
        let goal = self.answered() + more;
        wait_within(
            PATIENCE,
            "requests to be answered",
            || format!("{:#?}", self.tally.lock().unwrap()),
            || (self.answered() >= goal).then_some(()),
        );
    }

    /// Lets the requests that run end, and tells what came of all.
    pub(crate) fn stop(mut self) -> Tally {
        self.join();
        let mut tally = std::mem::take(&mut *self.tally.lock().unwrap());
        tally.answered = self.answered();
        tally
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.join();
    }
}

enum Verdict {
    Answered,
    Refused,
    Failed(String),
}

fn verdict(outcome: std::io::Result<Reply>) -> Verdict {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    match outcome {
        // Only connect(2) says these two.
        Err(error) if matches!(error.kind(), ConnectionRefused | NotFound) => Verdict::Refused,
        Err(error) => Verdict::Failed(format!("lost: {error}")),
        Ok(reply) if reply.status == 0 => {
            Verdict::Failed("lost: the connection closed without an answer".into())
        }
        Ok(reply) if reply.status != 200 => {
            let line: String = reply.text().chars().take(80).collect();
            Verdict::Failed(format!("status {}: {line}", reply.status))
        }
        Ok(reply) if !reply.complete => Verdict::Failed("lost: the body was cut".into()),
        Ok(_) => Verdict::Answered,
    }
}
