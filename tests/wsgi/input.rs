//! `wsgi.input` in all its methods, held against `io.BytesIO`.

use std::io::Write;

use super::harness::{BOTH, Protocol, on_each, on_each_over_both};
use super::support::{Exchange, Vars};

fn lines(count: u32) -> Vec<u8> {
    let mut text: String = (0..count).map(|n| format!("line {n}\n")).collect();
    // The last line has no newline.
    text.pop();
    text.into_bytes()
}

#[test]
fn every_method_does_what_a_file_does() {
    on_each_over_both("", |served, protocol| {
        for operations in [
            "read,read",
            "read:0,read:1,read:0,read",
            "read:-1,read:-1",
            "read:3,read:100000,read:1",
            "readline,readline,read",
            "readline:3,readline:0,readline:100,readline:-1",
            "readlines,readlines",
            "readlines:10,readlines:1,readlines:0",
            "readlines:-1",
            "next,next,readline,read:4,next,list,next",
            "list,list,read,readline",
            "read:5,readline,readlines:20,next,read:0,read,readline,readlines",
        ] {
            for count in [1, 2, 40, 30_000] {
                let uri = format!("/operations?{count}&{operations}");
                let reply = served.ask(protocol, "POST", &uri, &[], &lines(count));
                assert_eq!(
                    reply.text(),
                    "same",
                    "{uri} over {protocol:?}\n{}",
                    served.report()
                );
            }
        }
    });
}

#[test]
fn a_chunked_body_ends_where_its_chunks_end() {
    on_each("", |served| {
        let mut exchange = Exchange::connect(&served.address(Protocol::Http)).unwrap();
        let head = "POST /operations?40&read:7,readline,readlines:9,read HTTP/1.1\r\nHost: x\r\n\
                    Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        exchange.write_all(head.as_bytes()).unwrap();
        for part in lines(40).chunks(11) {
            write!(exchange, "{:x}\r\n", part.len()).unwrap();
            exchange.write_all(part).unwrap();
            exchange.write_all(b"\r\n").unwrap();
        }
        exchange.write_all(b"0\r\n\r\n").unwrap();
        let raw = exchange.read_all().unwrap();
        let text = String::from_utf8_lossy(&raw);
        assert!(text.contains("same"), "{text}\n{}", served.report());
    });
}

#[test]
fn a_client_that_leaves_in_its_body_is_an_os_error() {
    on_each("", |served| {
        for protocol in BOTH {
            let mut exchange = Exchange::connect(&served.address(protocol)).unwrap();
            let head = match protocol {
                Protocol::Uwsgi => Vars::request("POST", "/body-lost")
                    .with("CONTENT_LENGTH", "1000000")
                    .packet(0, 0),
                Protocol::Http => b"POST /body-lost HTTP/1.1\r\nHost: x\r\n\
                                    Content-Length: 1000000\r\n\r\n"
                    .to_vec(),
            };
            exchange.write_all(&head).unwrap();
            // More than a server reads before it calls the app.
            exchange.write_all(&vec![b'x'; 500_000]).unwrap();
            drop(exchange);
        }
        served.app.wait_for("both to be noticed", |_| {
            let seen = served.seen();
            let errors = seen
                .iter()
                .filter(|line| line.starts_with("body: "))
                .count();
            assert!(!seen.contains(&"whole body".to_owned()), "{seen:?}");
            // One that is known to be gone before the app is called need not reach it.
            (errors >= 1).then_some(())
        });
    });
}
