//! Requests that two parsers could read in two ways, over a kept connection and with another request
//! inside: each is refused with a status, the connection ends, and what is inside reaches nobody.

use std::time::Duration;

use crate::support::*;
use imperator_core::settings::Protocol::Http;

const INSIDE: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Headers of a POST, and the status that they get.
const REFUSED: &[(&str, u16)] = &[
    // Framed twice.
    ("Content-Length: 4\r\nTransfer-Encoding: chunked", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 4", 400),
    ("Content-Length: 0\r\nContent-Length: 44", 400),
    ("Content-Length: 4\r\nContent-Length: 4", 400),
    ("Content-Length: 4\r\ncontent-length: 5", 400),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        400,
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        400,
    ),
    // Lengths that are none.
    ("Content-Length: 4, 4", 400),
    ("Content-Length: +4", 400),
    ("Content-Length: -4", 400),
    ("Content-Length: 0x4", 400),
    ("Content-Length: 4 4", 400),
    ("Content-Length: 4;q=1", 400),
    ("Content-Length:", 400),
    ("Content-Length: 18446744073709551620", 400),
    // Codings that hide.
    ("Transfer-Encoding: gzip, chunked", 501),
    ("Transfer-Encoding: chunked, identity", 501),
    ("Transfer-Encoding: identity", 501),
    ("Transfer-Encoding: xchunked", 501),
    ("Transfer-Encoding: \"chunked\"", 501),
    ("Transfer-Encoding: chunked;a=b", 501),
    ("Transfer-Encoding:", 501),
    ("Transfer-Encoding : chunked", 400),
    ("Transfer-Encoding\t: chunked", 400),
    (" Transfer-Encoding: chunked", 400),
    ("Transfer-Encoding: \u{b}chunked", 400),
    // Lines that are none.
    ("X: a\nContent-Length: 4", 400),
    ("X: a\n\nGET /smuggled HTTP/1.1", 400),
    ("X: a\r\n Content-Length: 4", 400),
    ("X: a\r\n\tb", 400),
    ("Content-Length:\r\n 4", 400),
    ("Transfer-Encoding:\r\n chunked", 400),
    ("X: a\rContent-Length: 4", 400),
    ("Content-Length : 4", 400),
    ("X: \u{0}", 400),
    ("X Y: z", 400),
    (": z", 400),
    ("no colon", 400),
    ("Host: y", 400),
    // Lists of the well-known kinds of smuggling: hidden, repeated and torn codings and lengths.
    ("Transfer-Encoding: chunked\r\nTransfer-encoding: cow", 400),
    ("Transfer-Encoding: chu\u{0}nked", 400),
    ("Transfer-Encoding:\u{a0}chunked", 501),
    ("Transfer-Encoding: chunked\u{b}", 400),
    ("Transfer-Encoding: chunked, chunked", 501),
    ("Transfer-Encoding: ,chunked", 501),
    ("Transfer-Encoding: chunked,", 501),
    ("X: y\r\r\nTransfer-Encoding: chunked", 400),
    ("X\rTransfer-Encoding: chunked", 400),
    ("Content-Length: 5,", 400),
    ("Content-Length: 5\u{b}", 400),
    ("Content-Length: \u{b2}", 400),
    ("Content-Length: 5\r\nContent-Length:", 400),
    ("Content-Length: 5\r\nExpect: 100-continue, x", 417),
];

/// Chunked bodies: none of them ends where something lenient would see an end.
const CHUNKS: &[&str] = &[
    "0\n\n",
    "0\r\n\n",
    "3\nabc\r\n0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "+0\r\n\r\n",
    "-1\r\n\r\n",
    "0x0\r\n\r\n",
    " 0\r\n\r\n",
    "0 \r\n\r\n",
    "\r\n\r\n",
    "g\r\n\r\n",
    "10000000000000000\r\n\r\n",
    "0000000000000000000\r\n\r\n",
    "0;\n\r\n\r\n",
    "0\r\nX: y\r\n z\r\n\r\n",
    "0\r\nX: y\n\r\n",
    "0;a=\"\n\"\r\n\r\n",
    "5 ;a\r\nhello\r\n0\r\n\r\n",
    "2\r\nab\r\n0\r\r\n\r\n",
];

/// Requests that are refused as a whole.
const LINES: &[(&str, u16)] = &[
    ("GET / HTTP/1.1\nHost: x\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    // HTTP/0.9, and targets and hosts that are none.
    ("GET /\r\n\r\n", 400),
    ("GET /\r\nHost: x\r\n\r\n", 400),
    ("GET / http/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400),
    ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("\u{0}GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
];

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_nothing_is_smuggled() {
    let worker = Worker::start(
        &[(Http, "h")],
        |settings| settings.http_keepalive = Some(Duration::from_secs(30)),
        |exchange, interpreter| {
            let text = exchange
                .var(b"PATH_INFO")
                .unwrap()
                .escape_ascii()
                .to_string();
            ok(exchange, interpreter, &text);
        },
    );
    let mut wrong = Vec::new();
    let mut check = |request: &str, status: u16| {
        let bytes: Vec<u8> = request.chars().map(|letter| letter as u8).collect();
        let answer = worker.talk("h", &bytes);
        let is_refused = answer.starts_with(&format!("HTTP/1.1 {status} "));
        let is_head = |line: &&str| line.starts_with("HTTP/1.1 ");
        let answers = answer.lines().filter(is_head).count();
        if !is_refused || answers != 1 || answer.contains("/smuggled") {
            wrong.push(format!("{request:?}: {answer:.200}"));
        }
    };
    for (headers, status) in REFUSED {
        check(
            &format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n0\r\n\r\n{INSIDE}"),
            *status,
        );
    }
    for body in CHUNKS {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{head}{body}{INSIDE}"), 400);
    }
    for (request, status) in LINES {
        check(&format!("{request}{INSIDE}"), *status);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // What is framed well carries the same bytes as a body, and as a request.
    let length = INSIDE.len();
    let answer = worker.talk(
        "h",
        format!(
            "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{INSIDE}\
             POST /two HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             {length:x}\r\n{INSIDE}\r\n0\r\n\r\n\
             GET /three HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .as_bytes(),
    );
    let paths: Vec<&str> = ["/one", "/two", "/three", "/smuggled"]
        .into_iter()
        .filter(|path| answer.contains(path))
        .collect();
    assert_eq!(paths, ["/one", "/two", "/three"], "{answer}");
}
