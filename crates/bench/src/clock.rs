//! The only place of this crate that reads the clock or waits: a load generator measures real time.

use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time; this is its one clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Asks `probe` again and again until it answers or `patience` is over.
#[expect(
    clippy::disallowed_methods,
    reason = "another program's start and end have no event that we could wait for"
)]
pub fn wait_for<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + patience;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Holds a client back after a failure, so that a server that is gone is not asked at full speed.
#[expect(
    clippy::disallowed_methods,
    reason = "a brake of a load generator; nothing waits for an event here"
)]
pub fn brake() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Lets time pass: between a client's requests, and between the events of a schedule.
#[expect(
    clippy::disallowed_methods,
    reason = "a client's pace and an event's time are what is measured with"
)]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}
