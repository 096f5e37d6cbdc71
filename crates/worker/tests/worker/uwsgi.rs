//! The uwsgi path over real sockets: whole and split packets, bodies, refusals, answers.

use std::io::Write;

use crate::support::*;
use imperator_core::counters;
use imperator_core::message::FromWorker;
use imperator_core::settings::Protocol::Uwsgi;

#[test]
fn a_request_is_answered_with_its_own_protocol_version() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            ok(exchange, interpreter, "hello");
        },
    );
    for _ in 0..3 {
        assert_eq!(
            worker.talk("s", &get("/")),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"
        );
    }
    worker.wait_until("three are counted", |worker| {
        worker.count(counters::Worker::Requests) == 3
    });
}

#[test]
fn a_packet_in_pieces_is_parked_and_served_when_it_is_whole() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            let text = format!("{}{}", shown(exchange), body(exchange, interpreter).len());
            ok(exchange, interpreter, &text);
        },
    );
    let bytes = [post("/form", 5), b"hello".to_vec()].concat();
    let mut slow = worker.connect("s");
    for &byte in &bytes {
        slow.write_all(&[byte]).unwrap();
        if byte == b'P' {
            // The one app thread is free meanwhile.
            assert!(worker.talk("s", &get("/")).ends_with('0'));
        }
    }
    let answer = read_all(&mut slow);
    assert!(answer.contains("PATH_INFO=/form\n"), "{answer}");
    assert!(answer.ends_with('5'), "{answer}");
}

#[test]
fn a_body_of_50_mb_is_streamed() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            let mut total = 0usize;
            let mut sum = 0u64;
            let mut bytes = Vec::new();
            while exchange.read(interpreter, &mut bytes, usize::MAX).unwrap() > 0 {
                assert!(bytes.len() <= 256 * 1024);
                total += bytes.len();
                sum += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                bytes.clear();
            }
            ok(exchange, interpreter, &format!("{total} {sum}"));
        },
    );
    let mut stream = worker.connect("s");
    stream.write_all(&post("/upload", 50_000_000)).unwrap();
    for _ in 0..50 {
        stream.write_all(&vec![1; 1_000_000]).unwrap();
    }
    assert!(read_all(&mut stream).ends_with("50000000 50000000"));
}

#[test]
fn what_we_refuse_gets_a_reason_and_is_counted() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| {
            settings.buffer_size = 4096;
            settings.limit_post = Some(10);
        },
        |exchange, interpreter| ok(exchange, interpreter, "never"),
    );
    let long = "x".repeat(5000);
    let cases: &[(Vec<u8>, &str, &str)] = &[
        (
            packet(&[("HTTP_COOKIE", &long)]),
            "431",
            "buffer-size allows 4096",
        ),
        (post("/", 11), "413", "limit-post allows 10"),
        (packet(&[("CONTENT_LENGTH", "1x")]), "400", "is no length"),
        (packet_of(17, &vars("GET", "/")), "400", "modifier 17"),
        (packet(&[]), "400", "without variables"),
        (
            b"\0\x04\0\0\xff\xff\0\0".to_vec(),
            "400",
            "claims 65535 bytes",
        ),
        (b"\0\x04\0\0\0\0\0\0".to_vec(), "400", "without a name"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "400", "http-socket"),
        (b"\x16\x03\x01\0\0".to_vec(), "400", "TLS"),
    ];
    for (bytes, status, reason) in cases {
        let answer = worker.talk("s", bytes);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        assert!(answer.contains(reason), "{answer}");
    }
    assert_eq!(worker.count(counters::Worker::Refused), cases.len() as u64);
    worker.wait_for_message(
        "a note",
        |said| matches!(said, FromWorker::Note { text } if text.contains("buffer-size")),
    );
}

#[test]
fn loader_variables_have_no_effect_and_are_reported_once() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            ok(exchange, interpreter, &shown(exchange));
        },
    );
    let mut vars = vars("GET", "/");
    vars.push(("UWSGI_FILE", "exec://id"));
    vars.push(("UWSGI_SETENV", "A=B"));
    for _ in 0..2 {
        let answer = worker.talk("s", &packet(&vars));
        assert!(!answer.contains("UWSGI_"), "{answer}");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    assert_eq!(worker.count(counters::Worker::LoaderVars), 4);
    for wanted in ["UWSGI_FILE", "UWSGI_SETENV"] {
        worker.wait_for_message(
            wanted,
            |said| matches!(said, FromWorker::IgnoredVar { name } if name == wanted),
        );
    }
    assert!(!worker.has_said(|said| matches!(said, FromWorker::IgnoredVar { .. })));
}
