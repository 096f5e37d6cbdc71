//! What the app gets: environ, methods, bodies.

use std::io::Write;

use super::harness::{BOTH, Protocol, Served, interpreters, on_each, on_each_over_both};
use super::support::{Exchange, Vars, uwsgi};

#[test]
fn wsgiref_validate_has_nothing_to_say() {
    on_each_over_both("", |served, protocol| {
        for (method, body) in [
            ("GET", &b""[..]),
            ("HEAD", b""),
            ("POST", b""),
            ("POST", b"a=1&b=2"),
            ("PUT", b"x"),
            ("DELETE", b""),
            ("OPTIONS", b""),
        ] {
            let reply = served.ask(protocol, method, "/valid/plain?q=1", &[], body);
            assert_eq!(
                reply.status,
                200,
                "{method} over {protocol:?}\n{}",
                served.report()
            );
            let length = (body.len() + 6).to_string();
            assert_eq!(reply.header("content-length"), Some(length.as_str()));
            if method == "HEAD" {
                assert!(
                    reply.body.is_empty(),
                    "a HEAD answer has no body: {reply:?}"
                );
            } else {
                assert_eq!(reply.body, [b"plain:", body].concat());
            }
        }
        for path in ["written", "closing", "repeated", "replaced", "empty"] {
            let reply = served.get(protocol, &format!("/valid/{path}"));
            assert!(
                (200..=404).contains(&reply.status),
                "{path}: {reply:?}\n{}",
                served.report()
            );
            assert!(
                !served.app.log().contains("Traceback"),
                "{}",
                served.app.log()
            );
        }
    });
}

#[test]
fn the_environ_is_complete_also_without_script_name() {
    on_each_over_both("processes = 1\nthreads = 2\n", |served, protocol| {
        let headers = [
            ("Cookie", "a=1; b=2"),
            ("X-Empty", ""),
            ("X-Forwarded-Proto", "https"),
        ];
        let reply = served.ask(protocol, "POST", "/environ?a=1&b=%20", &headers, b"1234");
        let text = reply.text();
        let lines: Vec<&str> = text.lines().collect();
        for expected in [
            "wrong=[]",
            "dict=True",
            "REQUEST_METHOD='POST'",
            "SCRIPT_NAME=''",
            "PATH_INFO='/environ'",
            "QUERY_STRING='a=1&b=%20'",
            "CONTENT_LENGTH='4'",
            "SERVER_PROTOCOL='HTTP/1.1'",
            "HTTP_COOKIE='a=1; b=2'",
            "HTTP_X_EMPTY=''",
            "wsgi.version=(1, 0)",
            "wsgi.url_scheme='http'",
            "wsgi.multithread=True",
            "wsgi.multiprocess=False",
            "wsgi.run_once=False",
            "wsgi.input_terminated=True",
            "wsgi.errors=TextIOWrapper",
            "wsgi.file_wrapper=type",
        ] {
            assert!(lines.contains(&expected), "{expected} is not in:\n{text}");
        }
        for name in [
            "SERVER_NAME='",
            "SERVER_PORT='",
            "uwsgi.version=b'",
            "uwsgi.node=b'",
            "uwsgi.core=",
        ] {
            assert!(
                lines.iter().any(|line| line.starts_with(name)),
                "{name} in:\n{text}"
            );
        }
        assert!(!text.contains("HTTP_CONTENT_LENGTH"), "{text}");
    });
}

#[test]
fn the_front_end_names_the_scheme() {
    on_each("", |served| {
        for (name, value, scheme) in [
            ("HTTPS", "on", "https"),
            ("HTTPS", "off", "http"),
            ("HTTPS", "", "http"),
            ("REQUEST_SCHEME", "https", "https"),
            ("UWSGI_SCHEME", "https", "https"),
        ] {
            let vars = Vars::request("GET", "/environ").with(name, value);
            let to = served.address(Protocol::Uwsgi);
            let text = uwsgi(&to, &vars, b"").unwrap().text();
            let line = format!("wsgi.url_scheme='{scheme}'");
            assert!(text.contains(&line), "{name}={value}: no {line} in\n{text}");
        }
    });
}

#[test]
fn x_forwarded_proto_counts_when_a_trusted_peer_sends_it() {
    let lines = "trusted-proxy = 10.0.0.0/8, fd00::/8\ntrusted-proxy = unix\n";
    let served = Served::start(&interpreters()[0], lines);
    for (peer, named, scheme) in [
        ("10.1.2.3", "https", "https"),
        ("10.1.2.3", "https, http", "http"),
        ("10.1.2.3", "http, https", "https"),
        ("10.1.2.3", "gopher", "http"),
        ("fd00::7", "https", "https"),
        ("11.1.2.3", "https", "http"),
        ("", "https", "https"),
    ] {
        let vars = Vars::request("GET", "/environ")
            .with("REMOTE_ADDR", peer)
            .with("HTTP_X_FORWARDED_PROTO", named);
        let to = served.address(Protocol::Uwsgi);
        let text = uwsgi(&to, &vars, b"").unwrap().text();
        let line = format!("wsgi.url_scheme='{scheme}'");
        assert!(text.contains(&line), "{peer} {named}: no {line} in\n{text}");
    }
    // A Unix socket's peers, over HTTP; the next request has nothing of this one.
    for (headers, scheme) in [
        (&[("X-Forwarded-Proto", "https")][..], "https"),
        (&[], "http"),
    ] {
        let reply = served.ask(Protocol::Http, "GET", "/environ", headers, b"");
        let line = format!("wsgi.url_scheme='{scheme}'");
        assert!(reply.text().contains(&line), "{}", reply.text());
    }
}

#[test]
fn an_environ_that_the_app_keeps_stays_as_it_was() {
    on_each_over_both("", |served, protocol| {
        for _ in 0..3 {
            assert_eq!(served.text(protocol, "/keep"), "1 1 1");
        }
    });
}

#[test]
fn bytes_become_latin1_characters_and_back() {
    on_each("", |served| {
        let vars = Vars(vec![
            (b"REQUEST_METHOD".to_vec(), b"GET".to_vec()),
            (b"REQUEST_URI".to_vec(), b"/valid/latin".to_vec()),
            (b"PATH_INFO".to_vec(), b"/valid/latin\xc3\xa9\xff".to_vec()),
            (b"QUERY_STRING".to_vec(), b"".to_vec()),
            (b"SERVER_NAME".to_vec(), b"x".to_vec()),
            (b"SERVER_PORT".to_vec(), b"80".to_vec()),
            (b"SERVER_PROTOCOL".to_vec(), b"HTTP/1.1".to_vec()),
            (b"HTTP_X_LATIN".to_vec(), b"\xe4\x80".to_vec()),
        ]);
        let mut exchange = Exchange::connect(&served.address(Protocol::Uwsgi)).unwrap();
        exchange.write_all(&vars.packet(0, 0)).unwrap();
        let raw = exchange.read_all().unwrap();
        let has = |part: &[u8]| raw.windows(part.len()).any(|window| window == part);
        assert!(has(b" 200 Caf\xe9\r\n"), "{}", raw.escape_ascii());
        assert!(has(b"X-Latin: \xfc\xff\r\n"), "{}", raw.escape_ascii());
        assert!(
            has(b"\r\n\r\n/valid/latin\xc3\xa9\xff|\xe4\x80"),
            "{}",
            raw.escape_ascii()
        );
    });
}

#[test]
fn a_body_of_50_megabytes_arrives_whole() {
    let body: Vec<u8> = (0..50_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    on_each("", |served| {
        let sums: Vec<String> = BOTH
            .iter()
            .flat_map(|&protocol| {
                ["all", "none", "parts"].map(|how| {
                    let uri = format!("/digest/{how}");
                    served.ask(protocol, "POST", &uri, &[], &body).text()
                })
            })
            .collect();
        assert!(
            sums[0].starts_with("50000000 "),
            "{sums:?}\n{}",
            served.report()
        );
        assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    });
}

#[test]
fn an_environ_holds_nothing_of_the_request_before() {
    let long = ["x".repeat(500), "y".repeat(500)];
    let rows: [&[(&str, &str)]; 12] = [
        &[("HTTP_X_A", "1"), ("HTTP_X_B", "1")],
        &[("HTTP_X_A", "2"), ("HTTP_X_B", "1")],
        &[("HTTP_X_A", "1"), ("HTTP_X_B", "")],
        &[("HTTP_X_B", "1")],
        &[],
        &[("HTTP_X_B", "3"), ("HTTP_X_A", "4")],
        &[("HTTP_X_A", &long[0])],
        &[("HTTP_X_A", &long[1])],
        &[("HTTP_X_A", &long[0])],
        &[("HTTP_X_A", "1"), ("HTTPS", "on")],
        &[("HTTP_X_A", "1"), ("HTTPS", "off")],
        &[("HTTP_X_A", "1")],
    ];
    on_each("", |served| {
        for row in rows {
            let mut vars = Vars::request("GET", "/environ");
            for (name, value) in row {
                vars = vars.with(name, value);
            }
            let to = served.address(Protocol::Uwsgi);
            let text = uwsgi(&to, &vars, b"").unwrap().text();
            let is_https = row.contains(&("HTTPS", "on"));
            let scheme = if is_https { "https" } else { "http" };
            assert!(
                text.contains(&format!("wsgi.url_scheme='{scheme}'\n")),
                "{row:?}: {text}"
            );
            for name in ["HTTP_X_A", "HTTP_X_B", "HTTPS"] {
                let found = text
                    .lines()
                    .find(|line| line.starts_with(&format!("{name}=")));
                let sent = row.iter().find(|(sent, _)| *sent == name);
                let expected = sent.map(|(_, value)| format!("{name}='{value}'"));
                assert_eq!(found, expected.as_deref(), "{row:?}: {text}");
            }
        }
    });
}

#[test]
fn loader_variables_are_kept_from_the_app_and_told_once() {
    const LOADERS: [&str; 11] = [
        "UWSGI_FILE",
        "UWSGI_SCRIPT",
        "UWSGI_MODULE",
        "UWSGI_CALLABLE",
        "UWSGI_HOME",
        "UWSGI_PYHOME",
        "UWSGI_CHDIR",
        "UWSGI_SETENV",
        "UWSGI_POSTFILE",
        "UWSGI_TOUCH_RELOAD",
        "UWSGI_APPID",
    ];
    let python = &interpreters()[0];
    let request = LOADERS
        .iter()
        .fold(Vars::request("GET", "/environ"), |vars, name| {
            vars.with(name, "evil")
        });
    let request = request.with("UWSGI_SCHEME", "https");
    let served = Served::start(python, "");
    for _ in 0..3 {
        let reply = uwsgi(&served.address(Protocol::Uwsgi), &request, b"").unwrap();
        assert_eq!(reply.status, 200, "{}", served.report());
        assert!(!reply.text().contains("evil"), "{}", reply.text());
        assert!(reply.text().contains("wsgi.url_scheme='https'"));
    }
    for name in LOADERS {
        let told = format!("a request tried to set {name}: ignored");
        served.app.wait_for(&told, |app| {
            (app.log().matches(&told).count() == 1).then_some(())
        });
    }
    let served = Served::start(python, "strict-vars = true\n");
    for name in LOADERS {
        let request = Vars::request("GET", "/environ").with(name, "evil");
        let reply = uwsgi(&served.address(Protocol::Uwsgi), &request, b"").unwrap();
        assert_eq!(reply.status, 403, "{name}: {}", reply.text());
    }
}
