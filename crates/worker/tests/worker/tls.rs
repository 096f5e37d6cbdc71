//! HTTPS, with rustls' own client: what goes through, what ends, and who is kept waiting.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::support::*;
use imperator_core::counters;
use imperator_core::message::{Pem, ToWorker};
use imperator_core::settings::Protocol::Http;
use imperator_worker::signals::Signals;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Client = StreamOwned<ClientConnection, UnixStream>;

struct Secure {
    worker: Worker,
    config: Arc<ClientConfig>,
}

impl Secure {
    /// Echoes the body's length and sum.
    fn start(threads: u32) -> Self {
        let names = vec!["app.test".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let pem = Pem {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        };
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (dir, sockets) = Worker::bind(&[(Http, "s")]);
        let worker = Worker::run(
            Signals::none(),
            dir,
            sockets,
            vec![Some(pem)],
            |settings| {
                settings.threads = threads;
                settings.http_keepalive = Some(PATIENCE);
            },
            |exchange, interpreter| {
                let bytes = body(exchange, interpreter);
                let https = exchange.var(b"HTTPS").unwrap_or(b"off").to_vec();
                let https = String::from_utf8(https).unwrap();
                let length = bytes.len().to_string();
                let headers: [(&[u8], &[u8]); 1] = [(b"X-Was", length.as_bytes())];
                exchange.start(b"200 OK", &headers, false).unwrap();
                let _ = exchange.write(interpreter, https.as_bytes());
                let _ = exchange.write_last(interpreter, &bytes);
            },
        );
        Self {
            worker,
            config: Arc::new(config),
        }
    }

    fn connect(&self) -> Client {
        let name = ServerName::try_from("app.test").unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        StreamOwned::new(tls, self.worker.connect("s"))
    }
}

/// Sends one request of a kept connection, and reads its answer's head and chunks.
fn ask(client: &mut Client, body: &[u8]) -> (String, Vec<u8>) {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(body).unwrap();
    let line = |client: &mut Client| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    };
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push_str(&line(client));
    }
    let mut answer = Vec::new();
    loop {
        let length = usize::from_str_radix(line(client).trim(), 16).unwrap();
        let start = answer.len();
        answer.resize(start + length + 2, 0);
        client.read_exact(&mut answer[start..]).unwrap();
        answer.truncate(start + length);
        if length == 0 {
            return (head, answer);
        }
    }
}

#[test]
fn requests_of_a_kept_connection_are_answered_inside_tls() {
    let secure = Secure::start(1);
    let mut client = secure.connect();
    for length in [0, 1, 70_000, 3_000_000] {
        let sent: Vec<u8> = (0..length).map(|number: u32| number as u8).collect();
        let (head, answer) = ask(&mut client, &sent);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(&answer[..2], b"on");
        assert_eq!(&answer[2..], sent);
    }
    // A request is counted after its answer.
    let is_counted = |worker: &Worker| worker.count(counters::Worker::Requests) == 4;
    secure.worker.wait_until("four are counted", is_counted);
}

#[test]
fn a_client_that_is_silent_or_speaks_no_tls_costs_no_thread() {
    let secure = Secure::start(1);
    let silent = secure.worker.connect("s");
    let mut plain = secure.worker.connect("s");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut cut = secure.connect();
    // Half a request: the rest waits with the I/O thread.
    cut.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        .unwrap();
    let (head, _) = ask(&mut secure.connect(), b"x");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    // An alert, and no answer in the clear.
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    drop((silent, cut));
}

#[test]
fn a_drain_sends_what_was_asked_to_its_last_byte() {
    let mut secure = Secure::start(1);
    let mut client = secure.connect();
    let sent = vec![7; 3_000_000];
    let (first, rest) = sent.split_at(1_000_000);
    let head = format!(
        "POST / HTTP/1.0\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n",
        sent.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(first).unwrap();
    secure.worker.tell(&ToWorker::Drain);
    secure
        .worker
        .wait_until("the worker drains", |worker| worker.context.is_draining());
    client.write_all(rest).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&sent), "{} bytes", answer.len());
    secure.worker.wait_until_ended();
}
