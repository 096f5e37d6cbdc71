//! HTTP/1.1 as clients and front ends use it: kept connections, pipelines, nginx's `proxy_pass`, and
//! crowds of clients that never finish a head.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use super::harness::interpreters;
use super::support::{
    Address, Alone, Exchange, Folder, Nginx, free_port, http, repository, skips_without,
};

fn start(python: &Path, lines: &str) -> Alone {
    let folder = Folder::new();
    let app = std::fs::read_to_string(repository().join("tests/wsgi/app.py")).unwrap();
    folder.write("app.py", &app);
    folder.write("data", "0123456789 a small file");
    folder.write("go-on", "");
    let ini = format!(
        "[uwsgi]\nhttp-socket = {{dir}}/h\nhttp-keepalive = 30\nchdir = {{dir}}\nmodule = app\n\
         python = {}\n{lines}",
        python.display()
    );
    let app = Alone::start_in(folder, &ini);
    let address = Address::Unix(app.path("h"));
    app.wait_for("an answer", |_| {
        let reply = http(&address, "GET", "/valid/plain", &[], b"").ok()?;
        (reply.status == 200).then_some(())
    });
    app
}

/// One answer of a kept connection: status and body, by its own framing.
fn next(stream: &mut BufReader<Exchange>) -> (u16, Vec<u8>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let count = stream.read_line(&mut head).expect("a head");
        assert_ne!(count, 0, "closed after {head:?}");
    }
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let lower = head.to_lowercase();
    let mut body = Vec::new();
    if let Some(length) = lower.split("content-length: ").nth(1) {
        let length = length.lines().next().expect("a line");
        body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut body).expect("a body");
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a size");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).expect("a chunk");
            body.extend(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    }
    (status.expect("a status"), body)
}

/// Files, by sendfile and by `read`, with a length and in chunks, between other answers: nothing gets
/// out of step, pipelined or not.
#[test]
fn files_and_other_answers_follow_each_other_on_one_connection() {
    for python in interpreters() {
        let app = start(python, "threads = 2\n");
        let to = Address::Unix(app.path("h"));
        let plan = [
            ("/file?plain", "0123456789 a small file"),
            ("/valid/plain", "plain:"),
            ("/file?seek", "3456789 a small file"),
            ("/file?short", "0123"),
            ("/valid/written", "one two three"),
            ("/file?bytesio", "in memory"),
            ("/file?gzip", "unpacked"),
            ("/valid/empty", ""),
            ("/cut", "0123456789"),
        ];
        for pipelined in [false, true] {
            let mut stream = BufReader::new(Exchange::connect(&to).unwrap());
            let ask = |stream: &mut BufReader<Exchange>, uri: &str| {
                let head = format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n");
                stream.get_mut().write_all(head.as_bytes()).unwrap();
            };
            if pipelined {
                for (uri, _) in plan.iter().cycle().take(45) {
                    ask(&mut stream, uri);
                }
            }
            for (uri, text) in plan.iter().cycle().take(45) {
                if !pipelined {
                    ask(&mut stream, uri);
                }
                let (status, body) = next(&mut stream);
                let status_is_fine = status == if text.is_empty() { 204 } else { 200 };
                assert!(status_is_fine, "{uri}: {status}\n{}", app.report());
                assert_eq!(String::from_utf8_lossy(&body), *text, "{uri}");
            }
        }
    }
}

/// nginx keeps its connections to us, over a port and over a Unix socket, and what breaks off is seen
/// by its client even without a Content-Length.
#[test]
fn nginx_reuses_its_connections_and_sees_what_breaks_off() {
    if skips_without("nginx", Nginx::is_installed()) {
        return;
    }
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let app = start(&interpreters()[0], &format!("http-socket = {address}\n"));
    let pass = format!(
        "}} upstream app {{ server {address}; keepalive 2; }}\n\
         server {{ listen unix:{{dir}}/proxy.sock; location / {{ proxy_pass http://app; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; }}"
    );
    let nginx = Nginx::start(&app.folder, &pass);
    let report = || format!("{}\n{}", nginx.report(), app.report());
    let to = Address::Unix(app.path("proxy.sock"));
    let mut ports = Vec::new();
    for _ in 0..50 {
        let reply = http(&to, "GET", "/environ", &[], b"").expect("an answer");
        assert_eq!(reply.status, 200, "{}", report());
        let text = reply.text();
        let port = text.lines().find(|line| line.starts_with("REMOTE_PORT="));
        ports.push(port.expect("a port").to_owned());
    }
    ports.dedup();
    assert_eq!(ports.len(), 1, "one connection for all: {ports:?}");
    for uri in ["/raise/late", "/raise/late-chunk"] {
        let reply = http(&to, "GET", uri, &[], b"");
        let is_whole = reply
            .as_ref()
            .is_ok_and(|reply| reply.status == 200 && reply.complete);
        assert!(!is_whole, "{uri}: {reply:?}\n{}", report());
    }
    let post = http(&to, "POST", "/digest/all", &[], &vec![b'x'; 3_000_000]).expect("an answer");
    assert!(post.text().starts_with("3000000 "), "{}", report());
}

/// An answer without a Content-Length that breaks off: over the uwsgi protocol only a reset tells the
/// front end, which a Unix socket does not have, and which Apache does not always pass on
/// (docs/differences.md).
#[test]
fn what_breaks_off_without_a_length_is_seen_by_nginx_over_tcp() {
    if skips_without("nginx", Nginx::is_installed()) {
        return;
    }
    let port = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let app = start(&interpreters()[0], &format!("socket = {port}\n"));
    let pass = format!(
        "location / {{ include /etc/nginx/uwsgi_params; uwsgi_param SCRIPT_NAME \"\"; \
         uwsgi_pass {port}; }}"
    );
    let nginx = Nginx::start(&app.folder, &pass);
    let to = nginx.address();
    for _ in 0..5 {
        let whole = http(&to, "GET", "/valid/streamed", &[], b"").expect("an answer");
        assert!(whole.complete, "{whole:?}\n{}", app.report());
        assert_eq!(whole.text(), "first second", "{}", app.report());
        let broken = http(&to, "GET", "/raise/late-chunk", &[], b"");
        let is_whole = broken
            .as_ref()
            .is_ok_and(|reply| reply.status == 200 && reply.complete);
        assert!(!is_whole, "{broken:?}\n{}", app.report());
    }
}

/// 2,000 clients that send a head byte by byte and never end it: others are served meanwhile, and each
/// of the slow ones is sent away.
#[test]
fn a_slowloris_of_two_thousand_leaves_others_unaffected() {
    const CROWD: usize = 2000;
    let limit = rustix::process::Resource::Nofile;
    let limits = rustix::process::getrlimit(limit);
    let wanted = Some(6000);
    let may = limits.maximum.is_none_or(|most| Some(most) >= wanted);
    if skips_without("6000 descriptors", may) {
        return;
    }
    let raised = rustix::process::Rlimit {
        current: limits.current.max(wanted),
        maximum: limits.maximum,
    };
    rustix::process::setrlimit(limit, raised).expect("more descriptors");
    // As many places as the crowd needs, and fewer: then it pushes itself out.
    for max_fd in [6000, 1200] {
        let lines = format!("max-fd = {max_fd}\nhttp-headers-timeout = 5\nlisten = 4096\n");
        crowded(&start(&interpreters()[0], &lines), CROWD);
    }
}

fn crowded(app: &Alone, count: usize) {
    let to = Address::Unix(app.path("h"));
    let mut crowd: Vec<Exchange> = (0..count)
        .map(|_| {
            // The backlog may be shorter than the crowd.
            app.wait_for("a connection", |_| Exchange::connect(&to).ok())
        })
        .collect();
    // Who is answered was accepted after all of them.
    app.wait_for("an answer beside the crowd", |_| {
        let reply = http(&to, "GET", "/valid/plain", &[], b"").ok()?;
        (reply.status == 200).then_some(())
    });
    for piece in [&b"GET / HT"[..], b"TP/1.1\r\nX", b"-A: 1\r\n"] {
        for slow in &mut crowd {
            // One that was sent away already has its answer.
            let _ = slow.write_all(piece);
        }
        for _ in 0..50 {
            let reply = http(&to, "GET", "/valid/plain", &[], b"");
            let reply = reply.unwrap_or_else(|error| panic!("{error}\n{}", app.report()));
            assert_eq!(reply.text(), "plain:", "{}", app.report());
        }
    }
    // Nobody of them holds a place for ever, and nobody gets an answer of the app.
    for slow in &mut crowd {
        let answer = slow.read_all().unwrap_or_default();
        let has = |status: &[u8]| answer.starts_with(&[b"HTTP/1.1 ", status].concat());
        let is_refused = answer.is_empty() || has(b"408") || has(b"503");
        assert!(is_refused, "{}", answer.escape_ascii());
    }
}
