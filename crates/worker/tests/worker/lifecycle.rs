//! A worker's orders, its limits, and what happens to connections meanwhile.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::*;
use imperator_core::counters;
use imperator_core::message::{FromWorker, ToWorker};
use imperator_core::settings::Protocol::{Http, Uwsgi};

#[test]
fn a_drain_answers_what_was_accepted_and_then_ends() {
    let gate = Gate::default();
    let inside = gate.clone();
    let mut worker = Worker::start(
        &[(Uwsgi, "s"), (Http, "h")],
        |settings| settings.http_keepalive = Some(Duration::from_secs(30)),
        move |exchange, interpreter| {
            if exchange.var(b"PATH_INFO") == Some(b"/slow") {
                inside.pass();
            }
            ok(exchange, interpreter, "answered");
        },
    );
    // One in the app, one half sent, one idle between two requests.
    let mut half = worker.connect("s");
    let bytes = get("/half");
    half.write_all(&bytes[..10]).unwrap();
    let mut idle = worker.connect("h");
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut seen = [0; 8];
    idle.read_exact(&mut seen).unwrap();
    worker.wait_until("two wait", |worker| {
        worker.count(counters::Worker::Parked) == 2
    });
    let mut slow = worker.connect("s");
    slow.write_all(&get("/slow")).unwrap();
    let core = |worker: &Worker| {
        let counters = worker.context.counters();
        counters
            .core(0, counters::Core::StartMillis)
            .load(Ordering::Relaxed)
    };
    worker.wait_until("the app runs", |worker| {
        worker.context.counters().line(0) == b"1.2.3.4 - GET /slow" && core(worker) != 0
    });

    worker.tell(&ToWorker::Drain);
    worker.wait_until("it drains", |worker| worker.context.is_draining());
    worker.wait_until("it says so", |worker| {
        worker.count(counters::Worker::Accepting) == 0
    });
    // The kept connection is closed, the others are answered.
    assert!(read_all(&mut idle).ends_with("answered"));
    half.write_all(&bytes[10..]).unwrap();
    gate.open();
    assert!(read_all(&mut slow).ends_with("answered"));
    assert!(read_all(&mut half).ends_with("answered"));
    worker.wait_until_ended();
    assert_eq!(core(&worker), 0);
}

#[test]
fn a_drain_under_load_loses_no_request() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.threads = 3,
        |exchange, interpreter| ok(exchange, interpreter, "old"),
    );
    // The next generation, on the same socket.
    let (dir, path) = (tempfile::tempdir().unwrap(), worker.path("s"));
    let sockets = vec![(
        Uwsgi,
        imperator_core::address::Address::Unix(path.clone()),
        worker.listeners[0].try_clone().unwrap(),
    )];
    let next = Worker::start_on(
        dir,
        sockets,
        |settings| settings.threads = 3,
        |exchange, interpreter| ok(exchange, interpreter, "new"),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let (old, new) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (path, stop) = (path.clone(), Arc::clone(&stop));
            let (old, new) = (Arc::clone(&old), Arc::clone(&new));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.write_all(&get("/")).unwrap();
                    let answer = read_all(&mut stream);
                    match answer.rsplit("\r\n").next() {
                        Some("old") => old.fetch_add(1, Ordering::Relaxed),
                        Some("new") => new.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                }
            })
        })
        .collect();
    worker.wait_until("both serve", |_| {
        old.load(Ordering::Relaxed) > 100 && new.load(Ordering::Relaxed) > 100
    });
    worker.tell(&ToWorker::Drain);
    worker.wait_until_ended();
    let ended_at = new.load(Ordering::Relaxed);
    worker.wait_until("the new one serves on", |_| {
        new.load(Ordering::Relaxed) > ended_at + 200
    });
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    drop(next);
}

#[test]
fn what_waits_behind_a_busy_thread_is_left_to_the_next_generation() {
    let gate = Gate::default();
    let inside = gate.clone();
    let entered = Arc::new(AtomicBool::new(false));
    let enter = Arc::clone(&entered);
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        move |exchange, interpreter| {
            enter.store(true, Ordering::Release);
            inside.pass();
            ok(exchange, interpreter, "old");
        },
    );
    let mut slow = worker.connect("s");
    slow.write_all(&get("/slow")).unwrap();
    worker.wait_until("the app runs", |_| entered.load(Ordering::Acquire));
    // In the backlog: the only thread is in the app.
    let mut waiting = worker.connect("s");
    waiting.write_all(&get("/waiting")).unwrap();
    worker.tell(&ToWorker::Drain);
    worker.wait_until("it drains", |worker| worker.context.is_draining());
    let socket = worker.listeners[0].try_clone().unwrap();
    let address = imperator_core::address::Address::Unix(worker.path("s"));
    let next = Worker::start_on(
        tempfile::tempdir().unwrap(),
        vec![(Uwsgi, address, socket)],
        |_| (),
        |exchange, interpreter| ok(exchange, interpreter, "new"),
    );
    // The old one is in the app still, and will be until the gate opens.
    assert!(read_all(&mut waiting).ends_with("new"));
    gate.open();
    assert!(read_all(&mut slow).ends_with("old"));
    worker.wait_until_ended();
    drop(next);
}

#[test]
fn finish_serves_the_backlog_first() {
    let gate = Gate::default();
    let inside = gate.clone();
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        move |exchange, interpreter| {
            inside.pass();
            ok(exchange, interpreter, "answered");
        },
    );
    let mut waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = worker.connect("s");
            stream.write_all(&get("/")).unwrap();
            stream
        })
        .collect();
    worker.tell(&ToWorker::Finish);
    gate.open();
    for stream in &mut waiting {
        assert!(read_all(stream).ends_with("answered"));
    }
    worker.wait_until_ended();
}

#[test]
fn an_idle_worker_finishes_at_once() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.threads = 2,
        |exchange, interpreter| ok(exchange, interpreter, "x"),
    );
    worker.tell(&ToWorker::Finish);
    worker.wait_until_ended();
}

#[test]
fn a_paused_worker_accepts_nothing_until_it_resumes() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            ok(exchange, interpreter, "x");
        },
    );
    worker.tell(&ToWorker::Pause);
    worker.wait_until("it pauses", |worker| {
        worker.count(counters::Worker::Accepting) == 0
    });
    let mut stream = worker.connect("s");
    stream.write_all(&get("/")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(stream.read(&mut [0]).is_err(), "a paused worker answered");
    worker.tell(&ToWorker::Resume);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(read_all(&mut stream).ends_with('x'));
}

#[test]
fn a_worker_whose_master_is_gone_closes_its_listeners_and_ends() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            ok(exchange, interpreter, "x");
        },
    );
    worker.master = None;
    worker.wait_until_ended();
    // The last copy of the socket was closed with the worker's.
    worker.listeners.clear();
    let refused = std::os::unix::net::UnixStream::connect(worker.path("s"));
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

#[test]
fn a_worn_worker_says_so_once_and_serves_on() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| {
            settings.max_requests = Some(3);
            settings.max_requests_delta = 100;
            settings.min_worker_lifetime = Duration::ZERO;
        },
        |exchange, interpreter| ok(exchange, interpreter, "x"),
    );
    for _ in 0..8 {
        assert!(worker.talk("s", &get("/")).ends_with('x'));
    }
    // Worker 1 gets no delta, as in the original.
    let said = worker.wait_for_message("its wish", |said| {
        matches!(said, FromWorker::WantsToDrain { .. })
    });
    let FromWorker::WantsToDrain { why, .. } = said else {
        unreachable!("it was matched")
    };
    assert_eq!(why, "max-requests: 3 served");
    assert!(worker.talk("s", &get("/")).ends_with('x'));
    assert!(!worker.has_said(|said| matches!(said, FromWorker::WantsToDrain { .. })));
}

#[test]
fn resident_memory_over_the_limit_asks_for_a_replacement() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| {
            settings.reload_on_rss = Some(1);
            settings.min_worker_lifetime = Duration::ZERO;
        },
        |exchange, interpreter| ok(exchange, interpreter, "x"),
    );
    worker.wait_for_message(
        "its wish",
        |said| matches!(said, FromWorker::WantsToDrain { why, .. } if why.contains("reload-on-rss")),
    );
}

#[test]
fn a_worker_that_nobody_answers_drains_alone() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            ok(exchange, interpreter, "x");
        },
    );
    worker.context.ask_to_drain("SIGTERM");
    worker.context.ask_to_drain("SIGTERM");
    worker.wait_for_message("its wish", |said| {
        *said
            == FromWorker::WantsToDrain {
                why: "SIGTERM".to_owned(),
                patient: false,
            }
    });
    worker.wait_until_ended();
}

#[test]
fn threads_of_one_worker_overlap() {
    let both = Arc::new(std::sync::Barrier::new(2));
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.threads = 2,
        move |exchange, interpreter| {
            // Neither passes alone.
            both.wait();
            ok(exchange, interpreter, &exchange.core().to_string());
        },
    );
    let streams: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = worker.connect("s");
            stream.write_all(&get("/")).unwrap();
            stream
        })
        .collect();
    let mut cores: Vec<String> = streams
        .into_iter()
        .map(|mut stream| read_all(&mut stream).chars().last().unwrap().to_string())
        .collect();
    cores.sort();
    assert_eq!(cores, ["0", "1"]);
}
