//! Options of HTTP sockets. The original's `http` is a process of its own, in front of its workers.

use std::io::{Read, Write};
use std::path::PathBuf;

use super::support::{Address, Exchange, Reply};
use super::{Case, Server, pair, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "http-keepalive",
        "kept_connections_serve_pipelined_requests_in_order",
    ),
    (
        "trusted-proxy",
        "x_forwarded_proto_counts_when_a_trusted_peer_sends_it",
    ),
    (
        "http-timeout",
        "a_slow_head_costs_no_thread_and_ends_at_its_deadline",
    ),
];

/// The socket `h` of the folder, once it serves: the original's router may be there before its
/// workers are.
fn socket(server: &Server) -> Address {
    let path: PathBuf = server.folder().join("h");
    server.wait_for("an answer over HTTP", |_| {
        let reply = super::support::http_get(path.as_path(), "/who").ok()?;
        (reply.status == 200).then_some(())
    });
    Address::Unix(path)
}

/// A connection to it, once it is bound.
#[track_caller]
fn connect(server: &Server) -> Exchange {
    let to = Address::Unix(server.folder().join("h"));
    server.wait_for("the socket \"h\"", |_| Exchange::connect(&to).ok())
}

/// Sends these bytes, and reads until the server closes.
fn talk(server: &Server, bytes: &str) -> Reply {
    let mut exchange = connect(server);
    let _ = exchange.write_all(bytes.as_bytes());
    Reply::parse(&exchange.read_all().unwrap_or_default())
}

const ROUTER: &[Case] = &[
    Case {
        options: &[
            "http",
            "http-var",
            "http-server-name-as-http-host",
            "http-modifier1",
        ],
        ini: "plugins = http\nhttp = {dir}/h\nhttp-var = COLOUR=blue\nhttp-var = SIZE=\n\
              http-server-name-as-http-host = true\nhttp-modifier1 = 0\nhttp-modifier2 = 0\n",
        see: |server, facts| {
            let to = socket(server);
            let reply = super::support::http(&to, "GET", "/environ?a=b", &[("X-Y", "z")], b"");
            let reply = reply.expect("an answer");
            facts.note("status", &reply.line);
            let environ = &reply.json()["environ"];
            for name in [
                "COLOUR",
                "SIZE",
                "SERVER_NAME",
                "HTTP_HOST",
                "PATH_INFO",
                "QUERY_STRING",
                "REQUEST_METHOD",
                "REQUEST_URI",
                "HTTP_X_Y",
                "SERVER_PROTOCOL",
            ] {
                facts.note(name, &environ[name]);
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["http-headers-timeout"],
        ini: "plugins = http\nhttp = {dir}/h\nhttp-headers-timeout = 1\n",
        differs: &[("a slow head", "`http-headers-timeout`, `http-timeout`")],
        see: |server, facts| {
            socket(server);
            facts.note(
                "a slow head",
                pair::outcome(&talk(server, "GET / HTTP/1.1\r\nHo")),
            );
        },
        ..Case::PLAIN
    },
];

#[test]
fn http_is_served_as_by_the_originals_router() {
    run(ROUTER);
}

const WORKERS: &[Case] = &[
    Case {
        options: &[
            "http-socket-modifier1",
            "http-socket-modifier2",
            "http-modifier2",
        ],
        ini: "http-socket = {dir}/h\nhttp-socket-modifier1 = 0\nhttp-socket-modifier2 = 0\n",
        see: |server, facts| {
            socket(server);
            facts.note("an answer", true);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["enable-proxy-protocol"],
        ini: "http-socket = {dir}/h\nenable-proxy-protocol = true\n",
        differs: &[(
            "without the line",
            "`enable-proxy-protocol` and a connection without the line",
        )],
        see: |server, facts| {
            let request = "GET /environ HTTP/1.0\r\nHost: a\r\n\r\n";
            for line in [
                "PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n",
                "PROXY TCP6 2001:db8::7 ::1 4711 80\r\n",
            ] {
                let reply = talk(server, &format!("{line}{request}"));
                let environ = &reply.json()["environ"];
                let who = format!("{} {}", environ["REMOTE_ADDR"], environ["REMOTE_PORT"]);
                facts.note(line.trim(), who);
            }
            facts.note("without the line", talk(server, request).status);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["http11-socket"],
        ini: "http11-socket = {dir}/h\n",
        see: |server, facts| {
            let mut exchange = connect(server);
            for number in 1..=3 {
                let sent = exchange.write_all(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
                facts.note(format!("request {number} is sent"), sent.is_ok());
                facts.note(format!("answer {number}"), one_answer(&mut exchange));
            }
        },
        ..Case::PLAIN
    },
];

/// Reads an answer up to the end that its Content-Length names; its first line.
fn one_answer(exchange: &mut Exchange) -> String {
    let mut bytes = Vec::new();
    loop {
        let reply = Reply::parse(&bytes);
        if reply.complete {
            return reply.line;
        }
        let mut more = [0; 512];
        match exchange.read(&mut more) {
            Ok(0) | Err(_) => return "closed".to_owned(),
            Ok(read) => bytes.extend_from_slice(&more[..read]),
        }
    }
}

#[test]
fn http_sockets_are_the_originals() {
    run(WORKERS);
}
