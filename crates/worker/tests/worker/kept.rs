//! Kept HTTP connections: whoever is idle takes the next request, and none is lost or starves.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::*;
use imperator_core::counters;
use imperator_core::message::ToWorker;
use imperator_core::settings::Protocol::{Http, Uwsgi};

type Client = BufReader<UnixStream>;

/// Answers with the path; `/slow` waits for the gate.
fn worker(threads: u32, gate: &Gate) -> Worker {
    let gate = gate.clone();
    Worker::start(
        &[(Http, "h"), (Uwsgi, "s")],
        |settings| {
            settings.http_keepalive = Some(Duration::from_secs(30));
            settings.threads = threads;
        },
        move |exchange, interpreter| {
            let path = exchange.var(b"PATH_INFO").unwrap_or_default();
            if path == b"/slow" {
                gate.pass();
            }
            ok(exchange, interpreter, &path.escape_ascii().to_string());
        },
    )
}

fn send(client: &mut Client, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.get_mut().write_all(request.as_bytes()).unwrap();
}

fn receive(client: &mut Client) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(client.read_line(&mut head).unwrap(), 0, "closed: {head:?}");
    }
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn ask(client: &mut Client, path: &str) {
    send(client, path);
    assert_eq!(receive(client), path);
}

/// Kept: the app threads look at it, as after each answer.
fn kept(worker: &Worker) -> Client {
    // Nobody else comes or goes meanwhile.
    let before = worker.count(counters::Worker::Parked);
    let mut client = BufReader::new(worker.connect("h"));
    ask(&mut client, "/first");
    worker.wait_until("it is kept", |worker| {
        worker.count(counters::Worker::Parked) == before + 1
    });
    client
}

fn wait_until_inside(worker: &Worker, busy: u64) {
    worker.wait_until("the app runs", |worker| {
        let counters = worker.context.counters();
        let cores = 0..worker.context.settings().cores();
        let running = cores.filter(|&core| {
            counters.line(core).ends_with(b"/slow")
                && counters
                    .core(core, counters::Core::StartMillis)
                    .load(Ordering::Relaxed)
                    != 0
        });
        running.count() as u64 == busy
    });
}

#[test]
fn a_kept_connection_belongs_to_no_busy_thread() {
    let gate = Gate::default();
    let worker = worker(2, &gate);
    let mut clients: Vec<Client> = (0..4).map(|_| kept(&worker)).collect();
    let mut slow = kept(&worker);
    send(&mut slow, "/slow");
    wait_until_inside(&worker, 1);
    for path in ["/one", "/two", "/three"] {
        clients.iter_mut().for_each(|client| ask(client, path));
    }
    gate.open();
    assert_eq!(receive(&mut slow), "/slow");
    ask(&mut slow, "/after");
}

#[test]
fn what_is_asked_during_an_answer_is_answered_after_it() {
    let gate = Gate::default();
    let worker = worker(2, &gate);
    let mut client = kept(&worker);
    send(&mut client, "/slow");
    wait_until_inside(&worker, 1);
    // The idle thread hears of it, and leaves it to the one that has the connection.
    send(&mut client, "/next");
    ask(&mut kept(&worker), "/another");
    gate.open();
    assert_eq!(receive(&mut client), "/slow");
    assert_eq!(receive(&mut client), "/next");
    ask(&mut client, "/after");
}

#[test]
fn a_drain_answers_what_was_asked_while_every_thread_was_busy() {
    let gate = Gate::default();
    let mut worker = worker(1, &gate);
    let (mut asks, mut idle) = (kept(&worker), kept(&worker));
    let mut slow = kept(&worker);
    send(&mut slow, "/slow");
    wait_until_inside(&worker, 1);
    send(&mut asks, "/asked");
    worker.tell(&ToWorker::Drain);
    assert_eq!(read_all(idle.get_mut()), "", "closed at once");
    gate.open();
    assert_eq!(receive(&mut slow), "/slow");
    assert_eq!(receive(&mut asks), "/asked");
    worker.wait_until_ended();
}

#[test]
fn new_connections_do_not_starve_kept_ones() {
    let worker = worker(1, &Gate::default());
    let mut kept = kept(&worker);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    worker.talk("s", &get("/new"));
                }
            });
        }
        for _ in 0..50 {
            ask(&mut kept, "/kept");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
