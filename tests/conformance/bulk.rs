//! Bodies that are larger than anybody's memory: what a worker holds does not grow with them. With
//! `TEST_BULK_MIB=10240` they are of 10 GB each (docs/benchmarks.md).

use std::io::{Read, Write};

use super::support::{Address, Alone, Exchange, Folder};

/// Half a gigabyte: as much in a debug build as is worth a second or two.
fn length() -> u64 {
    let asked = std::env::var("TEST_BULK_MIB").ok();
    let mib = asked.map_or(512, |text| text.parse().expect("TEST_BULK_MIB: a number"));
    mib * 1024 * 1024
}

/// What a worker may grow by meanwhile: buffers, and what the allocator keeps of them.
const GROWTH: u64 = 24 * 1024 * 1024;

const APP: &str = "\
import os

PIECE = b'x' * 262144


def count(environ, start_response):
    total = 0
    while True:
        data = environ['wsgi.input'].read(262144)
        if not data:
            break
        total += len(data)
    start_response('200 OK', [])
    return [b'%d' % total]


def pieces(environ, start_response):
    length = int(environ['QUERY_STRING'])
    start_response('200 OK', [('Content-Length', str(length))])
    return (PIECE for _ in range(length // len(PIECE)))


def chunks(environ, start_response):
    start_response('200 OK', [])
    return (PIECE for _ in range(int(environ['QUERY_STRING']) // len(PIECE)))


def file(environ, start_response):
    length = int(environ['QUERY_STRING'])
    with open('hole', 'wb') as hole:
        hole.truncate(length)
    start_response('200 OK', [('Content-Length', str(length))])
    return environ['wsgi.file_wrapper'](open('hole', 'rb'))


def pid(environ, start_response):
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]


VIEWS = {'/count': count, '/pieces': pieces, '/chunks': chunks, '/file': file, '/pid': pid}


def application(environ, start_response):
    return VIEWS[environ['PATH_INFO']](environ, start_response)
";

/// The most that the process ever held, in bytes.
fn peak(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("a peak") * 1024
}

fn start() -> (Alone, Address) {
    let folder = Folder::new();
    folder.write("web.py", APP);
    let ini = "[uwsgi]\nhttp-socket = {dir}/h\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\n";
    let app = Alone::start_in(folder, ini);
    let address = Address::Unix(app.path("h"));
    app.wait_for("an answer", |_| get(&address, "/pid"));
    (app, address)
}

fn get(address: &Address, uri: &str) -> Option<String> {
    let reply = super::support::http(address, "GET", uri, &[], b"").ok()?;
    (reply.status == 200).then(|| reply.text())
}

/// How many bytes of a body came; nothing of it is kept.
fn drain(exchange: &mut Exchange) -> u64 {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    let mut head: Vec<u8> = Vec::new();
    loop {
        let count = exchange.read(&mut buffer).expect("more of the answer");
        if count == 0 {
            return total;
        }
        if total > 0 {
            total += count as u64;
            continue;
        }
        head.extend(&buffer[..count]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            total += (head.len() - end - 4) as u64;
        }
    }
}

#[test]
fn memory_stays_flat_over_an_upload() {
    let (app, address) = start();
    let pid = get(&address, "/pid").expect("a pid");
    let before = peak(&pid);
    let (piece, length) = (vec![b'u'; 1 << 20], length());
    for chunked in [false, true] {
        let mut exchange = Exchange::connect(&address).unwrap();
        let framing = match chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {length}"),
        };
        let head =
            format!("POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}\r\n\r\n");
        exchange.write_all(head.as_bytes()).unwrap();
        for _ in 0..length / piece.len() as u64 {
            if chunked {
                exchange.write_all(b"100000\r\n").unwrap();
            }
            exchange.write_all(&piece).unwrap();
            if chunked {
                exchange.write_all(b"\r\n").unwrap();
            }
        }
        if chunked {
            exchange.write_all(b"0\r\n\r\n").unwrap();
        }
        let answer = String::from_utf8(exchange.read_all().unwrap()).unwrap();
        assert!(
            answer.contains(&length.to_string()),
            "{answer}\n{}",
            app.report()
        );
    }
    let grown = peak(&pid).saturating_sub(before);
    println!("{length} bytes each; the worker's peak grew by {grown} bytes");
    assert!(grown < GROWTH, "it grew by {grown} bytes\n{}", app.report());
}

#[test]
fn memory_stays_flat_over_a_download() {
    let (app, address) = start();
    let pid = get(&address, "/pid").expect("a pid");
    let before = peak(&pid);
    let length = length();
    for how in ["pieces", "file", "chunks"] {
        let mut exchange = Exchange::connect(&address).unwrap();
        let head = format!("GET /{how}?{length} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange.write_all(head.as_bytes()).unwrap();
        let total = drain(&mut exchange);
        match how {
            // The sizes of the chunks stand between them.
            "chunks" => assert!(total > length, "{total}\n{}", app.report()),
            _ => assert_eq!(total, length, "{how}\n{}", app.report()),
        }
    }
    let grown = peak(&pid).saturating_sub(before);
    println!("{length} bytes each; the worker's peak grew by {grown} bytes");
    assert!(grown < GROWTH, "it grew by {grown} bytes\n{}", app.report());
}
