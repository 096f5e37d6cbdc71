//! What is decided about workers by their counters, scenario by scenario.

use std::sync::atomic::AtomicU64;

use imperator_core::counters::words;

use super::*;

struct Scene {
    memory: Vec<AtomicU64>,
    watch: Watch,
    limits: Limits,
    cores: usize,
}

impl Scene {
    fn new(cores: usize, limits: Limits) -> Self {
        let memory: Vec<_> = (0..words(cores)).map(|_| AtomicU64::new(0)).collect();
        Counters::init(&memory, cores);
        Self {
            memory,
            watch: Watch::default(),
            limits,
            cores,
        }
    }

    fn counters(&self) -> Counters<'_> {
        Counters::open(&self.memory).unwrap()
    }

    fn core(&self, core: usize, word: Core, value: u64) {
        self.counters()
            .core(core, word)
            .store(value, Ordering::Relaxed);
    }

    fn worker(&self, word: Worker, value: u64) {
        self.counters().worker(word).store(value, Ordering::Relaxed);
    }

    /// With a heartbeat that is new each time.
    fn look(&mut self, now: u64) -> Vec<Verdict> {
        self.worker(Worker::HeartbeatMillis, now);
        self.look_only(now)
    }

    fn look_only(&mut self, now: u64) -> Vec<Verdict> {
        let mut watch = std::mem::take(&mut self.watch);
        let verdicts = watch.look(self.counters(), self.limits, now);
        self.watch = watch;
        verdicts
    }
}

fn limits() -> Limits {
    Limits {
        harakiri: Some(1000),
        grace: 5000,
        ..Limits::default()
    }
}

fn late(try_number: u32, signal: bool) -> Verdict {
    Verdict::Late {
        try_number,
        signal,
        gone: None,
    }
}

const STAYS: Verdict = Verdict::Replace("a request past its deadline does not end");
const SILENCE: Verdict = Verdict::Replace("its I/O thread has said nothing for 10 s");

#[test]
fn a_late_request_that_ended_before_the_look_is_told_once() {
    let mut scene = Scene::new(2, limits());
    scene.core(1, Core::StartMillis, 5000);
    assert_eq!(scene.look(5500), []);
    scene.core(1, Core::OverdueMillis, 5000);
    scene.core(1, Core::StartMillis, 0);
    let told = Verdict::Late {
        try_number: 1,
        signal: false,
        gone: Some(1),
    };
    assert_eq!(scene.look(6600), [told]);
    assert_eq!(scene.look(6700), []);
    let how = (1, false);
    let said = lines(1, 100, how, Some(1), scene.counters(), 6600);
    assert!(said[2].starts_with("HARAKIRI [core 1]"), "{said:?}");
    assert!(said[2].ends_with("(1.6 s)"), "{said:?}");
    // The next one there is late as well.
    scene.core(1, Core::StartMillis, 7000);
    assert_eq!(scene.look(7500), []);
    scene.core(1, Core::OverdueMillis, 7000);
    assert_eq!(scene.look(8600), [late(2, false)]);
    assert_eq!(scene.look(8700), []);
}

#[test]
fn a_late_request_is_told_then_replaced_then_killed_alone() {
    let mut scene = Scene::new(2, limits());
    assert_eq!(scene.look(5000), []);
    scene.core(1, Core::StartMillis, 5000);
    // Only the worker says that it is late: it knows the app's own deadlines, too.
    assert_eq!(scene.look(6500), []);
    scene.core(1, Core::OverdueMillis, 5000);
    assert_eq!(scene.look(6600), [late(1, false)]);
    assert!(scene.watch.is_active());
    assert_eq!(scene.look(11_599), []);
    assert_eq!(scene.look(11_600), [STAYS]);
    // Its replacement accepts; its sibling still has a request.
    scene.core(0, Core::StartMillis, 11_500);
    scene.watch.is_draining = true;
    assert_eq!(scene.look(12_000), []);
    scene.core(0, Core::StartMillis, 0);
    scene.worker(Worker::Spent, 1);
    assert_eq!(scene.look(13_000), [Verdict::Kill]);
    assert_eq!(scene.look(13_250), []);
}

#[test]
fn a_request_that_ends_by_its_exception_costs_nothing_here() {
    let mut scene = Scene::new(1, limits());
    scene.core(0, Core::StartMillis, 5000);
    scene.core(0, Core::OverdueMillis, 5000);
    assert_eq!(scene.look(6100), [late(1, false)]);
    scene.core(0, Core::StartMillis, 6200);
    assert_eq!(scene.look(6300), []);
    assert!(!scene.watch.is_active());
    scene.core(0, Core::OverdueMillis, 6200);
    assert_eq!(scene.look(7300), [late(2, false)]);
}

#[test]
fn a_signal_comes_first_where_it_is_asked_for() {
    let graceful = Some(2000);
    let mut scene = Scene::new(
        1,
        Limits {
            graceful,
            ..limits()
        },
    );
    scene.core(0, Core::StartMillis, 5000);
    assert_eq!(scene.look(6000), []);
    assert_eq!(scene.look(6001), [late(1, true)]);
    assert_eq!(scene.look(8000), []);
    // The worker has ended it for its client; no time is left.
    scene.core(0, Core::OverdueMillis, 5000);
    assert_eq!(scene.look(8001), [STAYS]);
}

#[test]
fn who_waits_in_a_short_queue_is_spared() {
    let mut scene = Scene::new(
        1,
        Limits {
            has_threshold: true,
            spares: true,
            ..limits()
        },
    );
    scene.core(0, Core::StartMillis, 5000);
    assert_eq!(scene.look(9000), []);
    scene.limits.spares = false;
    assert_eq!(scene.look(9250), [Verdict::SpareNobody]);
    scene.core(0, Core::OverdueMillis, 5000);
    // It is short again, and that comes too late.
    scene.limits.spares = true;
    assert_eq!(scene.look(9500), [late(1, false)]);
}

#[test]
fn an_io_thread_that_is_silent_costs_its_worker_and_a_machine_that_slept_does_not() {
    let mut scene = Scene::new(1, Limits::default());
    assert_eq!(scene.look(1000), []);
    // The machine slept: one old heartbeat.
    assert_eq!(scene.look_only(100_000), []);
    assert_eq!(scene.look(100_250), []);
    for step in 1..40 {
        assert_eq!(scene.look_only(100_250 + step * 250), [], "{step}");
    }
    scene.core(0, Core::StartMillis, 110_000);
    assert_eq!(scene.look_only(110_250), [SILENCE]);
    scene.watch.is_draining = true;
    assert_eq!(scene.look_only(110_500), []);
    scene.core(0, Core::StartMillis, 0);
    assert_eq!(scene.look_only(110_750), [Verdict::Kill]);
}

#[test]
fn a_worker_in_a_debugger_is_left_alone() {
    let mut scene = Scene::new(
        1,
        Limits {
            traced: true,
            ..limits()
        },
    );
    scene.worker(Worker::HeartbeatMillis, 1000);
    for step in 0..200 {
        assert_eq!(scene.look_only(1000 + step * 250), [], "{step}");
    }
}

#[test]
fn old_requests_in_every_thread_are_told_and_nobody_is_killed() {
    let mut scene = Scene::new(2, Limits::default());
    scene.core(0, Core::StartMillis, 1000);
    scene.core(1, Core::StartMillis, 5000);
    assert_eq!(scene.look(34_999), []);
    assert_eq!(scene.look(35_000), [Verdict::Stuck(Why::Threads(2))]);
    assert_eq!(scene.look(600_000), []);
    scene.core(0, Core::StartMillis, 600_100);
    assert_eq!(scene.look(600_200), [Verdict::Free]);
    assert_eq!(scene.cores, 2);
}

#[test]
fn an_interpreter_that_nobody_gets_is_told() {
    let mut scene = Scene::new(2, Limits::default());
    scene.worker(Worker::GilAskedMillis, 1000);
    assert_eq!(scene.look(30_999), []);
    assert_eq!(scene.look(31_000), [Verdict::Stuck(Why::Interpreter)]);
    scene.worker(Worker::GilAskedMillis, 0);
    assert_eq!(scene.look(32_000), [Verdict::Free]);
}
