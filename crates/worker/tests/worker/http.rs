//! The HTTP path over real sockets: framing, keep-alive, pipelining, chunks, limits.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::*;
use imperator_core::counters;
use imperator_core::settings::Protocol::{Http, Uwsgi};
use imperator_core::settings::Settings;
use imperator_worker::{Exchange, Interpreter};

fn keep_alive(settings: &mut Settings) {
    settings.http_keepalive = Some(Duration::from_secs(30));
}

/// Shows the request and its body.
fn show(exchange: &Exchange, interpreter: &dyn Interpreter) {
    let body = body(exchange, interpreter);
    let text = format!("{}[{}]", shown(exchange), body.escape_ascii());
    ok(exchange, interpreter, &text);
}

/// One answer with Content-Length or chunks from a kept connection.
fn answer(stream: &mut BufReader<UnixStream>) -> (String, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(
            stream.read_line(&mut head).unwrap(),
            0,
            "closed after {head:?}"
        );
    }
    let lower = head.to_lowercase();
    let mut body = Vec::new();
    if let Some(length) = lower.split("content-length: ").nth(1) {
        body = vec![0; length.lines().next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).unwrap();
            assert_eq!(&chunk[size..], b"\r\n");
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    }
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn a_request_is_answered_and_the_connection_closed() {
    let worker = Worker::start(&[(Http, "h")], |_| (), |e, i| show(e, i));
    let answer = worker.talk("h", b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    assert!(
        answer.contains("PATH_INFO=/a b\nQUERY_STRING=c=d\n"),
        "{answer}"
    );
    let answer = worker.talk("h", b"GET / HTTP/1.0\r\n\r\n");
    assert!(answer.contains("SERVER_PROTOCOL=HTTP/1.0\n"), "{answer}");
}

#[test]
fn a_tcp_client_is_named_and_a_broken_answer_is_reset() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sockets = vec![(
        Http,
        imperator_core::address::Address::Tcp(address),
        listener.into(),
    )];
    let dir = tempfile::tempdir().unwrap();
    let _worker = Worker::start_on(
        dir,
        sockets,
        |_| (),
        |exchange, interpreter| {
            if exchange.var(b"PATH_INFO") == Some(b"/breaks") {
                exchange.start(b"200 OK", &[], false).unwrap();
                exchange.write(interpreter, b"part").unwrap();
                return exchange.fail(interpreter);
            }
            show(exchange, interpreter);
        },
    );
    let talk = |request: &[u8]| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes);
        let own = stream.local_addr().unwrap().port();
        (String::from_utf8(bytes).unwrap(), end, own)
    };
    let (answer, _, own) = talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let port = address.port();
    for line in [
        format!("SERVER_PORT={port}\n"),
        "REMOTE_ADDR=127.0.0.1\n".to_owned(),
        format!("REMOTE_PORT={own}\n"),
    ] {
        assert!(answer.contains(&line), "{line}: {answer}");
    }
    let (_, end, _) = talk(b"GET /breaks HTTP/1.0\r\n\r\n");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let (answer, _, _) = talk(b"GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.ends_with("4\r\npart\r\n"), "{answer}");
}

#[test]
fn kept_connections_serve_pipelined_requests_in_order() {
    let worker = Worker::start(
        &[(Http, "h")],
        |settings| {
            keep_alive(settings);
            settings.threads = 2;
        },
        |e, i| show(e, i),
    );
    let stream = worker.connect("h");
    let mut requests = Vec::new();
    for number in 0..20 {
        write!(
            requests,
            "POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{number:02}"
        )
        .unwrap();
    }
    (&stream).write_all(&requests).unwrap();
    let mut stream = BufReader::new(stream);
    for number in 0..20 {
        let (head, body) = answer(&mut stream);
        assert!(!head.contains("Connection:"), "{head}");
        assert!(body.contains(&format!("PATH_INFO=/{number}\n")), "{body}");
        assert!(body.ends_with(&format!("[{number:02}]")), "{body}");
    }
    // The next one, in two pieces after a pause of the connection.
    stream
        .get_mut()
        .write_all(b"GET /last HTTP/1.1\r\nHo")
        .unwrap();
    worker.wait_until("the piece is parked", |worker| {
        worker.count(counters::Worker::Requests) == 20
    });
    stream
        .get_mut()
        .write_all(b"st: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (head, body) = answer(&mut stream);
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert!(body.contains("PATH_INFO=/last\n"), "{body}");
    assert_eq!(read_all(&mut stream), "");
}

#[test]
fn chunked_bodies_short_and_long_reach_the_app() {
    let worker = Worker::start(&[(Http, "h")], keep_alive, |exchange, interpreter| {
        let bytes = body(exchange, interpreter);
        let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
        let length = exchange.var(b"CONTENT_LENGTH").map(<[u8]>::escape_ascii);
        let length = length.map(|length| length.to_string());
        let text = format!("{} {sum} {length:?} {}", bytes.len(), exchange.is_chunked());
        ok(exchange, interpreter, &text);
    });
    let mut stream = BufReader::new(worker.connect("h"));
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for piece in [head, "3\r\nab", "c\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n", "\r\n"] {
        stream.get_mut().write_all(piece.as_bytes()).unwrap();
    }
    assert_eq!(answer(&mut stream).1, "5 495 Some(\"5\") false");
    let mut long = head.as_bytes().to_vec();
    for _ in 0..30 {
        long.extend(b"2710\r\n");
        long.extend([1; 10_000]);
        long.extend(b"\r\n");
    }
    long.extend(b"0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.get_mut().write_all(&long).unwrap();
    assert_eq!(answer(&mut stream).1, "300000 300000 None true");
    assert_eq!(answer(&mut stream).1, "0 0 None false");
}

#[test]
fn a_malformed_chunk_is_a_400_or_an_error_of_read() {
    let worker = Worker::start(
        &[(Http, "h")],
        |_| (),
        |exchange, interpreter| {
            let mut bytes = Vec::new();
            let error = loop {
                match exchange.read(interpreter, &mut bytes, 1 << 20) {
                    Ok(0) => panic!("a body without an error"),
                    Ok(_) => (),
                    Err(error) => break error,
                }
            };
            ok(exchange, interpreter, &error.to_string());
        },
    );
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = worker.talk("h", &[&head[..], b"5\nhello\n0\n\n"].concat());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let long = [&head[..], b"20000\r\n", &[1; 0x20000], b"broken"].concat();
    let answer = worker.talk("h", &long);
    assert!(
        answer.ends_with("the chunked request body is malformed"),
        "{answer}"
    );
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_its_body() {
    let worker = Worker::start(
        &[(Http, "h")],
        |_| (),
        |exchange, interpreter| {
            let length = body(exchange, interpreter).len();
            ok(exchange, interpreter, &length.to_string());
        },
    );
    for length in [5, 1_000_000] {
        let mut stream = BufReader::new(worker.connect("h"));
        let head = format!(
            "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        let mut interim = String::new();
        stream.read_line(&mut interim).unwrap();
        assert_eq!(interim, "HTTP/1.1 100 Continue\r\n");
        stream.read_line(&mut interim).unwrap();
        stream.get_mut().write_all(&vec![b'x'; length]).unwrap();
        assert_eq!(answer(&mut stream).1, length.to_string());
    }
}

#[test]
fn answers_are_framed_as_the_client_can_read_them() {
    let worker = Worker::start(&[(Http, "h")], keep_alive, |exchange, interpreter| {
        let headers: &[(&[u8], &[u8])] = match exchange.var(b"PATH_INFO").unwrap() {
            b"/length" => &[(b"Content-Length", b"6")],
            _ => &[],
        };
        let status: &[u8] = match exchange.var(b"PATH_INFO").unwrap() {
            b"/204" => b"204 No Content",
            b"/304" => b"304 Not Modified",
            _ => b"200 OK",
        };
        exchange.start(status, headers, false).unwrap();
        exchange.write(interpreter, b"abc").unwrap();
        exchange.write(interpreter, b"").unwrap();
        exchange.write(interpreter, b"def").unwrap();
    });
    let mut stream = BufReader::new(worker.connect("h"));
    let mut ask = |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        if method == "HEAD" || path == "/204" || path == "/304" {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            return (head, String::new());
        }
        answer(&mut stream)
    };
    let (head, body) = ask("GET", "/");
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(body, "abcdef");
    let (head, body) = ask("GET", "/length");
    assert!(!head.contains("Transfer-Encoding"), "{head}");
    assert_eq!(body, "abcdef");
    assert!(ask("HEAD", "/length").0.contains("Content-Length: 6\r\n"));
    assert!(ask("HEAD", "/").0.starts_with("HTTP/1.1 200 OK\r\n"));
    for path in ["/204", "/304"] {
        assert!(!ask("GET", path).0.contains("Transfer-Encoding"));
    }
    // All of that on one connection: nothing was out of step.
    assert_eq!(ask("GET", "/").1, "abcdef");
    let old = worker.talk("h", b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdef");
}

#[test]
fn a_too_short_answer_closes_a_kept_connection() {
    let worker = Worker::start(&[(Http, "h")], keep_alive, |exchange, interpreter| {
        exchange
            .start(b"200 OK", &[(b"Content-Length", b"9")], false)
            .unwrap();
        exchange.write(interpreter, b"short").unwrap();
    });
    let answer = worker.talk("h", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n");
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
}

#[test]
fn bad_requests_get_their_status_over_the_socket() {
    let worker = Worker::start(
        &[(Http, "h")],
        |settings| {
            settings.buffer_size = 1000;
            settings.limit_post = Some(10);
        },
        |exchange, interpreter| ok(exchange, interpreter, "never"),
    );
    let long = "x".repeat(2000);
    for (request, status) in [
        ("GET / HTTP/1.1\nHost: x\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n".to_owned(), 413),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: {long}\r\n\r\n"), 431),
    ] {
        let answer = worker.talk("h", request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }
}

#[test]
fn a_slow_head_costs_no_thread_and_ends_at_its_deadline() {
    let worker = Worker::start(
        &[(Http, "h"), (Uwsgi, "s")],
        |settings| {
            settings.http_timeout = Duration::from_secs(1);
            settings.socket_timeout = Duration::from_secs(1);
        },
        |exchange, interpreter| ok(exchange, interpreter, "served"),
    );
    let mut slow: Vec<UnixStream> = Vec::new();
    for (name, bytes) in [
        ("h", &b"GET / HT"[..]),
        ("s", b"\0\x10"),
        ("h", b""),
        ("s", b""),
    ] {
        let mut stream = worker.connect(name);
        stream.write_all(bytes).unwrap();
        slow.push(stream);
    }
    // One thread, four slow clients: it serves others meanwhile.
    assert!(worker.talk("s", &get("/")).ends_with("served"));
    let answers: Vec<String> = slow.iter_mut().map(read_all).collect();
    assert!(answers[0].starts_with("HTTP/1.1 408 "), "{answers:?}");
    assert!(answers[1].starts_with("HTTP/1.1 408 "), "{answers:?}");
    // Who asked nothing gets nothing.
    assert_eq!((&*answers[2], &*answers[3]), ("", ""));
    assert_eq!(worker.count(counters::Worker::Refused), 2);
}

#[test]
fn an_idle_kept_connection_is_closed_at_its_deadline() {
    let worker = Worker::start(
        &[(Http, "h")],
        |settings| settings.http_keepalive = Some(Duration::from_millis(200)),
        |exchange, interpreter| ok(exchange, interpreter, "x"),
    );
    let mut stream = BufReader::new(worker.connect("h"));
    stream
        .get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert_eq!(answer(&mut stream).1, "x");
    assert_eq!(read_all(&mut stream), "");
}
