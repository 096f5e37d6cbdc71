//! Two peers' parsers as judges of ours: what both refuse, we refuse; what both read in one way, we
//! read so or refuse for a reason that is written down here.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{chunks, http};

/// What makes a request odd: each is put in each place that takes it.
const STARTS: &[&str] = &[
    "GET / HTTP/1.1",
    "POST /a?b=c HTTP/1.1",
    "HEAD /%41 HTTP/1.1",
    "GET / HTTP/1.0",
    "OPTIONS * HTTP/1.1",
    "GET http://x/y HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET /\t HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET / HTTP/2.0",
    "GET / HTTP/1.2",
    "GET / HTTP/01.1",
    "GET / HTTP/1.10",
    "G\u{e9}T / HTTP/1.1",
    "GET /\0 HTTP/1.1",
    "GET /",
    " GET / HTTP/1.1",
    "GET / http/1.1",
    "GE(T / HTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET / HTTP/1.1\r\nHost: y",
];
const HEADERS: &[&str] = &[
    "",
    "X-A: b",
    "X-A:b",
    "X-A:  b  ",
    "X-A: b\tc",
    "X-A:",
    "X-A : b",
    " X-A: b",
    "\tX-A: b",
    "X A: b",
    "X-A: b\r\n c",
    "X-A: b\r\n\tc",
    "X-A",
    ": b",
    "X-A: \0",
    "X-A: \u{7f}",
    "X-A: a\rb",
    "X-A: a\nb",
    "X(A): b",
    "X-\u{e4}: b",
    "X-A: \u{e4}",
    "X-A: \u{b}b",
    "Cookie: a=1; b=2",
    "Content-Length: 3",
    "content-length: 3",
    "Content-Length: 03",
    "Content-Length: +3",
    "Content-Length: -3",
    "Content-Length: 3 ",
    "Content-Length: 3,3",
    "Content-Length: 3, 4",
    "Content-Length: 0x3",
    "Content-Length: 3\r\nContent-Length: 3",
    "Content-Length: 3\r\nContent-Length: 4",
    "Content-Length:",
    "Content-Length: 1e1",
    "Content-Length: 1_0",
    "Content-Length: 99999999999999999999999",
    "Content-Length : 3",
    "Content_Length: 3",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: chunked ",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding:",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Content-Length: 3\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked;a=b",
    "Host: y",
    "Connection: close",
    "Expect: 100-continue",
    "Upgrade: h2c",
];
const BODIES: &[&str] = &[
    "",
    "abc",
    "3\r\nabc\r\n0\r\n\r\n",
    "3;a=b\r\nabc\r\n0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "3\nabc\n0\n\n",
    "3\r\nabc\r\n0\n\n",
    "03\r\nabc\r\n0\r\n\r\n",
    "+3\r\nabc\r\n0\r\n\r\n",
    "-3\r\nabc\r\n0\r\n\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3 \r\nabc\r\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nab\r\n0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "g\r\n\r\n",
    "\r\n",
    "3_0\r\nabc\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nabc",
    "A\r\n0123456789\r\n0\r\n\r\n",
    "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
];

/// Both peers take these, and we do not: where two parsers could differ, or where nobody in earnest
/// sends such a thing.
const STRICTER: &[&str] = &[
    "exactly one Host header",
    "two Content-Length headers",
    "two Content-Type headers",
    "Content-Length is no decimal number",
    "the only Transfer-Encoding",
    "a line ends with LF alone",
    "a header is folded",
    "no HTTP request",
    "both Content-Length and Transfer-Encoding",
    "Transfer-Encoding in an HTTP/1.0 request",
    "only HTTP/1.0 and HTTP/1.1",
    "the request's target",
    "the request's head ends where it should not",
];

fn requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    let latin1 = |text: &str| text.chars().map(|letter| letter as u8).collect::<Vec<u8>>();
    let mut add = |start: &str, headers: &str, body: &str| {
        requests.push(latin1(&format!("{start}\r\n{headers}\r\n{body}")));
    };
    for start in STARTS {
        for header in HEADERS {
            let line = if header.is_empty() {
                String::new()
            } else {
                format!("{header}\r\n")
            };
            add(start, &format!("Host: x\r\n{line}"), "abc");
            add(start, &line, "3\r\nabc\r\n0\r\n\r\n");
        }
    }
    for body in BODIES {
        for header in ["Content-Length: 3", "Transfer-Encoding: chunked", "X: y"] {
            add("POST / HTTP/1.1", &format!("Host: x\r\n{header}\r\n"), body);
        }
    }
    requests
}

fn environment() -> PathBuf {
    std::env::var_os("TEST_ENV").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../target/test-env"
            ))
        },
        PathBuf::from,
    )
}

/// What each peer makes of each request; `None`: the peers are not installed here.
#[expect(
    clippy::disallowed_methods,
    reason = "a test: what it sends may be more than a pipe holds"
)]
fn ask(requests: &[Vec<u8>]) -> Option<Vec<[serde_json::Value; 2]>> {
    let python = environment().join("bin/python");
    let has = Command::new(&python)
        .args(["-c", "import h11, gunicorn"])
        .stderr(Stdio::null())
        .status();
    if !has.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "h11 and gunicorn are missing: run tests/run"
        );
        let line = "what two peers refuse, we refuse: without h11 and gunicorn\n";
        eprint!("SKIPPED {line}");
        if let Some(list) = std::env::var_os("TEST_SKIPS") {
            let list = std::fs::File::options()
                .append(true)
                .create(true)
                .open(list);
            list.and_then(|mut list| list.write_all(line.as_bytes()))
                .unwrap();
        }
        return None;
    }
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let hex: String = requests
        .iter()
        .map(|request| {
            request
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                + "\n"
        })
        .collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(hex.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

/// What we make of it, in the peers' words; an error: refused, and why.
fn ours(request: &[u8]) -> Result<serde_json::Value, String> {
    let Some(head) = http(request).map_err(|(_, why)| why)? else {
        return Ok(serde_json::json!({"more": "head"}));
    };
    let text = |name: &str| {
        let value = head.var(name).unwrap_or_default();
        value
            .iter()
            .map(|&byte| char::from(byte))
            .collect::<String>()
    };
    let mut told = serde_json::json!({
        "method": text("REQUEST_METHOD"), "target": text("REQUEST_URI"), "length": head.length,
    });
    let rest = &request[head.end..];
    let body = match head.length {
        Some(length) => usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
            .map(<[u8]>::to_vec),
        None => chunks(rest, 5)
            .map_err(str::to_owned)?
            .map(|(data, _)| data),
    };
    match body {
        Some(body) => {
            let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            told["body"] = hex.into();
        }
        None => told["more"] = "body".into(),
    }
    Ok(told)
}

#[test]
fn what_two_peers_refuse_we_refuse_and_what_they_read_alike_we_read_so() {
    let requests = requests();
    let Some(answers) = ask(&requests) else {
        return;
    };
    assert_eq!(answers.len(), requests.len());
    let mut problems = Vec::new();
    let (mut agreed, mut refused, mut stricter) = (0, 0, 0);
    for (request, peers) in requests.iter().zip(&answers) {
        let shown = request.escape_ascii();
        let all = |has: &str| peers.iter().all(|peer| !peer[has].is_null());
        let ours = ours(request);
        match &ours {
            Ok(told) if !told["body"].is_null() => {
                if all("refused") {
                    problems.push(format!("both refuse, we take: {shown}: {peers:?}"));
                }
                // Nobody who takes it reads another request, or another body.
                for peer in peers.iter().filter(|peer| !peer["body"].is_null()) {
                    for name in ["method", "length", "body"] {
                        if peer[name] != told[name] {
                            problems.push(format!("another {name}: {shown}: {told} {peer}"));
                        }
                    }
                }
                agreed += 1;
            }
            // More is waited for, under a deadline: nothing was taken.
            Ok(_) => (),
            Err(why) => {
                refused += 1;
                if all("body") && peers[0]["body"] == peers[1]["body"] {
                    stricter += 1;
                    if !STRICTER.iter().any(|reason| why.contains(reason)) {
                        problems.push(format!("both take, we refuse ({why}): {shown}"));
                    }
                }
            }
        }
    }
    let counted = format!("{agreed} taken, {refused} refused, {stricter} by us alone");
    assert!(problems.is_empty(), "{counted}\n{}", problems.join("\n"));
    assert!(agreed > 100 && refused > 1000, "{counted}");
}
