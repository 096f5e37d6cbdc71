//! What all test targets share: a directory per test, the servers under test (ours and the
//! original), front ends, clients and load. Included by `#[path = "../support/mod.rs"] mod support;`.
//!
//! A test reads as a statement and waits for facts by [`wait_for`], never for time. Every process
//! that it started is gone when its harness is dropped; its directory stays when it failed.
#![allow(
    dead_code,
    unused_imports,
    reason = "each target uses its part of this"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand at the edge: they read clocks, sleep between two looks, run threads"
)]

mod empire;
mod folder;
mod frontend;
mod load;
mod original;
mod process;
mod wire;

pub(crate) use empire::{Alone, COPY, Empire, app, command};
pub(crate) use folder::{Folder, repository, set_mode, target_directory, test_env};
pub(crate) use frontend::{Apache, Nginx, Wrk, free_port, wrk};
pub(crate) use load::{Load, Tally};
pub(crate) use original::{Original, command as original_command};
pub(crate) use process::{Process, Signal, is_alive, python, require, send};
pub(crate) use wire::{Address, Exchange, Reply, Vars, http, http_get, uwsgi, uwsgi_get};

use std::time::{Duration, Instant};

/// How long a fact may take to become true. Long, because the machine may be busy: it is reached
/// only by tests that fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Polls until `probe` answers; at the deadline panics with `report`.
#[track_caller]
pub(crate) fn wait_for<T>(
    what: &str,
    report: impl Fn() -> String,
    probe: impl FnMut() -> Option<T>,
) -> T {
    wait_within(PATIENCE, what, report, probe)
}

/// As [`wait_for`], with a deadline that is part of what is tested.
#[track_caller]
pub(crate) fn wait_within<T>(
    patience: Duration,
    what: &str,
    report: impl Fn() -> String,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} for: {what}\n{}",
            report()
        );
        std::thread::sleep(POLL);
    }
}

/// Checks for `span` that something stays true: for facts that must *not* happen.
#[track_caller]
pub(crate) fn stays(span: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert!(holds(), "did not stay true: {what}");
        std::thread::sleep(POLL);
    }
}

/// Runs `work` on a thread that nobody waits for.
pub(crate) fn background(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// A client that is slow on purpose. Not for waiting: that is [`wait_for`].
pub(crate) fn dawdle(span: Duration) {
    std::thread::sleep(span);
}

/// Whether a test that needs `what` may skip. In CI nothing may be missing.
///
/// # Panics
/// In CI, when it is missing.
#[track_caller]
pub(crate) fn skips_without(what: &str, there: bool) -> bool {
    if there {
        return false;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{what} is missing, and in CI nothing may be skipped: run tests/run"
    );
    skip(what);
    true
}

/// Says what is skipped, also to `tests/run`, whose counts tell the truth.
pub(crate) fn skip(what: &str) {
    use std::io::Write;
    let test = std::thread::current();
    let line = format!("{}: without {what}\n", test.name().unwrap_or("a test"));
    eprint!("SKIPPED {line}");
    if let Some(list) = std::env::var_os("TEST_SKIPS") {
        let list = std::fs::File::options()
            .append(true)
            .create(true)
            .open(list);
        list.and_then(|mut list| list.write_all(line.as_bytes()))
            .expect("the list of skipped tests");
    }
}
