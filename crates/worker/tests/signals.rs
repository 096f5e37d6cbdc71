//! Signals of a worker: in a process of their own, because handlers belong to the whole process.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read the clock for their deadlines and run clients in threads"
)]

#[expect(dead_code, reason = "this file uses little of it")]
#[path = "worker/support.rs"]
mod support;

use imperator_core::message::{FromWorker, ToWorker};
use imperator_core::settings::Protocol::Uwsgi;
use nix::sys::signal::{Signal, raise};
use support::*;

#[test]
fn a_signal_asks_the_master_who_answers() {
    let mut signals = imperator_worker::signals::install().unwrap();
    signals.renew().unwrap();
    let (dir, sockets) = Worker::bind(&[(Uwsgi, "s")]);
    let mut worker = Worker::run(
        signals,
        dir,
        sockets,
        Vec::new(),
        |_| (),
        |exchange, interpreter| ok(exchange, interpreter, "x"),
    );
    raise(Signal::SIGHUP).unwrap();
    raise(Signal::SIGTERM).unwrap();
    let wish = worker.wait_for_message("its wish", |said| {
        matches!(said, FromWorker::WantsToDrain { .. })
    });
    let FromWorker::WantsToDrain { why, .. } = wish else {
        unreachable!("it was matched")
    };
    assert!(why == "SIGHUP" || why == "SIGTERM", "{why}");
    worker.tell(&ToWorker::Drain);
    worker.wait_until_ended();
    assert!(!worker.has_said(|said| matches!(said, FromWorker::WantsToDrain { .. })));
}
