//! What the client gets, whatever the app does.

use std::io::{Read, Write};

use super::harness::{BOTH, Protocol, Served, on_each, on_each_over_both};
use super::support::{Exchange, Vars};

fn begin(served: &Served, protocol: Protocol, uri: &str) -> Exchange {
    let mut exchange = Exchange::connect(&served.address(protocol)).expect("a connection");
    let request = match protocol {
        Protocol::Uwsgi => Vars::request("GET", uri).packet(0, 0),
        Protocol::Http => {
            format!("GET {uri} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
        }
    };
    exchange.write_all(&request).expect("a request");
    exchange
}

fn read_until(exchange: &mut Exchange, part: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(part) {
        let got = exchange.read(&mut buffer).expect("an answer");
        assert!(got > 0, "closed before \"{part}\": {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..got]));
    }
    text
}

#[test]
fn a_chunk_is_sent_before_the_next_one_is_asked_for() {
    on_each("", |served| {
        for protocol in BOTH {
            let mut exchange = begin(served, protocol, "/valid/streamed");
            read_until(&mut exchange, "first");
            served.app.folder.write("go-on", "");
            let rest = exchange.read_all().unwrap();
            assert!(String::from_utf8_lossy(&rest).contains("second"));
            served.app.folder.remove("go-on");
        }
    });
}

#[test]
fn headers_come_as_often_and_in_the_order_as_the_app_gave_them() {
    on_each_over_both("", |served, protocol| {
        let cookies = [("Cookie", "a=1; b=\u{fc}")];
        let reply = served.ask(protocol, "GET", "/valid/repeated", &cookies, b"");
        assert_eq!(reply.status, 201);
        assert!(reply.line.ends_with("201 Made Here"), "{reply:?}");
        let all = |name: &str| -> Vec<&str> {
            let same = |key: &str| key.eq_ignore_ascii_case(name);
            let found = reply.headers.iter();
            found
                .filter_map(|(key, value)| same(key).then_some(value.as_str()))
                .collect()
        };
        assert_eq!(all("Set-Cookie"), ["a=1; Path=/", "b=2"]);
        assert_eq!(all("X-Twice"), ["1", "2"]);
        assert!(reply.text().starts_with("cookies=a=1; b="), "{reply:?}");
    });
}

#[test]
fn write_comes_before_what_is_returned() {
    on_each_over_both("", |served, protocol| {
        assert_eq!(served.text(protocol, "/valid/written"), "one two three");
        assert_eq!(served.text(protocol, "/bytes"), "a bytes object");
        let reply = served.get(protocol, "/valid/replaced");
        assert_eq!((reply.status, reply.text().as_str()), (404, "replaced"));
        let reply = served.get(protocol, "/valid/empty");
        assert_eq!((reply.status, reply.body.len()), (204, 0));
    });
}

#[test]
fn close_is_called_once_however_it_ends() {
    on_each("", |served| {
        for (turn, protocol) in (1..).zip(BOTH) {
            assert_eq!(served.text(protocol, "/valid/closing"), "ab");
            served.wait_seen("closed valid", turn);
            served.assert_500(
                protocol,
                "/raise/iteration",
                "ValueError: at the first chunk",
            );
            served.wait_seen("closed raising", turn);
        }
    });
}

#[test]
fn an_exception_before_the_head_is_a_500_with_a_traceback_in_the_log() {
    on_each_over_both("", |served, protocol| {
        for (uri, cause) in [
            ("/raise/before", "ValueError: before the head"),
            ("/raise/after-start", "ValueError: after start_response"),
            ("/exit", "SystemExit: 7"),
            ("/interrupt", "KeyboardInterrupt"),
            ("/silent", "without calling start_response"),
            ("/text-chunk", "must yield bytes, not"),
            ("/none", "'NoneType' object is not iterable"),
            ("/twice", "start_response was called twice without exc_info"),
        ] {
            served.assert_500(protocol, uri, cause);
        }
        assert!(
            served.app.log().contains("GET /raise/before raised"),
            "{}",
            served.app.log()
        );
        assert!(
            served.app.log().contains("in raise_before"),
            "{}",
            served.app.log()
        );
    });
}

#[test]
fn an_exception_after_the_head_cuts_the_answer() {
    on_each_over_both("", |served, protocol| {
        for uri in ["/raise/late", "/raise/again"] {
            let reply = served.get(protocol, uri);
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (200, "begun"),
                "{uri}"
            );
            assert!(!reply.complete, "{uri} over {protocol:?}: {reply:?}");
        }
        served.app.wait_for("the traceback", |app| {
            let log = app.log();
            (log.contains("ValueError: after the first chunk") && log.contains("the app's own"))
                .then_some(())
        });
        assert!(served.seen().contains(&"raised again".to_owned()));
        assert!(served.seen().contains(&"closed late".to_owned()));
    });
}

#[test]
fn a_head_that_no_client_should_get_is_refused() {
    on_each_over_both("", |served, protocol| {
        for (kind, cause) in [
            (
                "cr",
                "ValueError: the value of header \"X-A\" holds CR, LF or NUL",
            ),
            (
                "lf",
                "ValueError: the value of header \"X-A\" holds CR, LF or NUL",
            ),
            (
                "nul",
                "ValueError: the value of header \"X-A\" holds CR, LF or NUL",
            ),
            ("name-lf", "is not a token"),
            ("name-colon", "is not a token"),
            ("name-empty", "is not a token"),
            ("status-lf", "ValueError: the status"),
            ("status-word", "ValueError: the status"),
            ("status-int", "TypeError: the status must be str"),
            ("status-bytes", "TypeError: the status must be str"),
            ("headers-tuple", "TypeError: headers must be a list"),
            ("headers-dict", "TypeError: headers must be a list"),
            ("pair-list", "TypeError: a header must be a tuple"),
            ("pair-three", "TypeError: a header must be a tuple"),
            ("value-bytes", "TypeError: a header's value must be str"),
            ("value-int", "TypeError: a header's value must be str"),
            ("value-none", "TypeError: a header's value must be str"),
            ("not-latin", "UnicodeEncodeError"),
            ("no-headers", "TypeError"),
        ] {
            served.assert_500(protocol, &format!("/bad-start?{kind}"), cause);
        }
        // The connection is the server's.
        let reply = served.get(protocol, "/hop-by-hop");
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, "hop"),
            "{reply:?}"
        );
        assert!(reply.complete, "{reply:?}");
    });
}

#[test]
fn an_answer_that_nobody_reads_ends_the_app_quietly() {
    on_each("", |served| {
        for (turn, protocol) in (1..).zip(BOTH) {
            let mut exchange = begin(served, protocol, "/endless");
            read_until(&mut exchange, "xxxx");
            drop(exchange);
            served.wait_seen("endless ended", turn);
            let mut exchange = begin(served, protocol, "/endless-write");
            read_until(&mut exchange, "xxxx");
            drop(exchange);
            served.wait_seen("wrote on", turn);
        }
        assert!(
            !served.app.log().contains("Traceback"),
            "{}",
            served.app.log()
        );
    });
}

#[test]
fn write_raises_for_a_client_that_left_when_the_app_asks_for_it() {
    for asked in [
        "disable-write-exception = false\n",
        "write-errors-exception-only = true\n",
    ] {
        on_each(asked, |served| {
            let mut exchange = begin(served, Protocol::Uwsgi, "/endless-write");
            read_until(&mut exchange, "xxxx");
            drop(exchange);
            served.wait_seen("write raised", 1);
        });
    }
}
