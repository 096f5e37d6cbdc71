//! Static files, routes and headers around the app, with slow clients.

use std::io::{Read, Write};

use imperator_core::counters;
use imperator_core::message::{FromWorker, ToWorker};
use imperator_core::pattern::Pattern;
use imperator_core::settings::Protocol::{Http, Uwsgi};
use imperator_core::settings::Settings;
use imperator_core::settings::routes::{Action, Route, Subject, When};

use crate::support::{Worker, get, ok, packet, vars};

/// More than all buffers between a worker and its client take.
const BIG: usize = 8 << 20;

/// A directory with `big`, whose bytes tell where they stand.
fn big_file() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..BIG).map(|at| (at / 251) as u8).collect();
    std::fs::write(dir.path().join("big"), &content).unwrap();
    std::fs::write(dir.path().join("small"), "small").unwrap();
    (dir, content)
}

fn serve_below(dir: &tempfile::TempDir) -> impl FnOnce(&mut Settings) + use<> {
    let path = dir.path().to_owned();
    move |settings| {
        settings.static_files.maps = vec![("/static".to_owned(), path)];
        settings.http_keepalive = Some(std::time::Duration::from_secs(60));
    }
}

fn request(uri: &str) -> String {
    format!("GET {uri} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn slow_clients_of_a_big_file_leave_the_only_app_thread_to_the_app() {
    let (dir, content) = big_file();
    let worker = Worker::start(
        &[(Uwsgi, "s"), (Http, "h")],
        serve_below(&dir),
        |exchange, interpreter| ok(exchange, interpreter, "app"),
    );
    let mut slow = worker.connect("s");
    slow.write_all(&get("/static/big")).unwrap();
    let mut slow_http = worker.connect("h");
    slow_http
        .write_all(request("/static/big").as_bytes())
        .unwrap();
    // Both files are begun, and nobody takes them.
    for stream in [&mut slow, &mut slow_http] {
        stream.read_exact(&mut [0; 15]).unwrap();
    }
    for _ in 0..3 {
        assert!(worker.talk("s", &get("/")).ends_with("app"));
    }
    let answer = read_all_bytes(&mut slow);
    assert!(answer.ends_with(&content), "{} bytes", answer.len());
    // The kept connection serves on, when its file is sent.
    slow_http
        .write_all(request("/static/small").as_bytes())
        .unwrap();
    let closing = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    slow_http.write_all(closing.as_bytes()).unwrap();
    let answer = read_all_bytes(&mut slow_http);
    let at = answer.len() - find(&answer, b"HTTP/1.1 200 OK").unwrap();
    assert!(at > 0 && find(&answer, &content[BIG - 4096..]).is_some());
    assert!(answer.ends_with(b"app"));
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("\r\n\r\nsmall"), "the file between is there");
    worker.wait_until("all are counted", |worker| {
        worker.count(counters::Worker::Requests) == 7
    });
}

#[test]
fn a_client_that_takes_nothing_of_a_file_is_left_and_told_of() {
    let (dir, _) = big_file();
    let serve = serve_below(&dir);
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| {
            serve(settings);
            settings.socket_timeout = std::time::Duration::from_millis(900);
        },
        |exchange, interpreter| ok(exchange, interpreter, "app"),
    );
    let mut deaf = worker.connect("s");
    deaf.write_all(&get("/static/big")).unwrap();
    let note = worker.wait_for_message("a note", |said| matches!(said, FromWorker::Note { .. }));
    assert_eq!(
        note,
        FromWorker::Note {
            text: "a file was cut: its client took nothing for 0 s: /static/big".to_owned()
        }
    );
    assert!(read_all_bytes(&mut deaf).len() < BIG);
}

#[test]
fn a_drain_ends_when_the_last_file_is_sent() {
    let (dir, content) = big_file();
    let mut worker = Worker::start(
        &[(Http, "h")],
        serve_below(&dir),
        |exchange, interpreter| ok(exchange, interpreter, "app"),
    );
    let mut slow = worker.connect("h");
    slow.write_all(request("/static/big").as_bytes()).unwrap();
    slow.read_exact(&mut [0; 15]).unwrap();
    worker.tell(&ToWorker::Drain);
    worker.wait_until("it drains", |worker| worker.context.is_draining());
    let answer = read_all_bytes(&mut slow);
    assert!(answer.ends_with(&content), "{} bytes", answer.len());
    worker.wait_until_ended();
}

#[test]
fn a_pipelined_request_behind_a_big_file_is_answered() {
    let (dir, content) = big_file();
    let worker = Worker::start(
        &[(Http, "h")],
        serve_below(&dir),
        |exchange, interpreter| ok(exchange, interpreter, "app"),
    );
    let both = format!(
        "{}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        request("/static/big")
    );
    let mut stream = worker.connect("h");
    stream.write_all(both.as_bytes()).unwrap();
    let answer = read_all_bytes(&mut stream);
    assert!(find(&answer, &content).is_some());
    assert!(answer.ends_with(b"app"));
}

#[test]
fn routes_change_the_request_that_the_app_sees_and_answers_that_it_never_sees() {
    let rule = |pattern: &str, then| Route {
        when: When::Matches(Subject::PathInfo, Pattern::new(pattern).unwrap()),
        then,
    };
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| {
            settings.routes = vec![
                rule(
                    "^/old/(.*)",
                    Action::Redirect {
                        permanent: true,
                        to: "/new/$1?${QUERY_STRING}".to_owned(),
                    },
                ),
                rule("^/break", Action::Break("410 Gone".to_owned())),
                rule("^/silent", Action::Break(String::new())),
                rule(
                    "^/(seen)",
                    Action::Set("X_SEEN".to_owned(), "$1!".to_owned()),
                ),
                rule("^/seen", Action::AddHeader("X-Route: ${X_SEEN}".to_owned())),
                rule("^/split/(.*)", Action::AddHeader("X-Route: $1".to_owned())),
            ];
        },
        |exchange, interpreter| {
            let seen = exchange.var(b"X_SEEN").unwrap_or_default().to_vec();
            ok(exchange, interpreter, &String::from_utf8_lossy(&seen));
        },
    );
    assert_eq!(
        worker.talk("s", &get("/old/a/b")),
        "HTTP/1.1 301 Moved Permanently\r\nLocation: /new/a/b?\r\n\r\nMoved Permanently"
    );
    assert_eq!(
        worker.talk("s", &get("/break")),
        "HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    );
    assert!(
        worker
            .talk("s", &get("/silent"))
            .starts_with("HTTP/1.1 403 Forbidden\r\n")
    );
    assert_eq!(
        worker.talk("s", &get("/seen")),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Route: seen!\r\n\r\nseen!"
    );
    let split = worker.talk("s", &get("/split/a\r\nX-Evil: 1"));
    assert!(!split.contains("X-Evil"), "{split}");
    let split = worker.talk("s", &get("/old/a\r\nX-Evil: 1"));
    assert!(split.starts_with("HTTP/1.1 400 "), "{split}");
}

#[test]
fn our_own_answers_have_the_configs_page_and_headers() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("500.html"), "<h1>sorry</h1>").unwrap();
    let pages = [403, 404, 500].into_iter().flat_map(|status| {
        let files = ["none.html", "500.html"].map(|name| dir.path().join(name));
        files.map(|file| (status, file))
    });
    let pages = pages.collect();
    let worker = Worker::start(
        &[(Uwsgi, "s"), (Http, "h")],
        |settings| {
            settings.answers.pages = pages;
            settings.strict_vars = true;
            settings.answers.add_headers = vec!["X-A: 1".to_owned()];
        },
        |exchange, interpreter| match exchange.var(b"PATH_INFO") {
            Some(b"/none") => exchange.refuse(interpreter, 404, "no such page"),
            _ => exchange.fail(interpreter),
        },
    );
    let mut strict = vars("GET", "/");
    strict.push(("UWSGI_FILE", "exec://id"));
    for (request, status) in [
        (get("/none"), "404 Not Found"),
        (packet(&strict), "403 Forbidden"),
    ] {
        let answer = worker.talk("s", &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n<h1>sorry</h1>"), "{answer}");
    }
    assert_eq!(
        worker.talk("s", &get("/")),
        "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/html\r\n\
         Content-Length: 14\r\nX-A: 1\r\n\r\n<h1>sorry</h1>"
    );
    let bad = worker.talk("h", b"GET / HTTP/3.0\r\n\r\n");
    assert!(bad.contains("\r\nX-A: 1\r\n\r\n"), "{bad}");
}

fn read_all_bytes(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
