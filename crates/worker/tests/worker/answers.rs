//! What an app may send, what becomes of its mistakes, files, clients that go, and the log.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;
use imperator_core::counters;
use imperator_core::message::FromWorker;
use imperator_core::settings::Protocol::{Http, Uwsgi};
use imperator_core::settings::Settings;
use imperator_worker::{BodyError, Exchange, Interpreter, StartError, WriteError};
use nix::sys::socket::sockopt;

#[test]
fn an_app_that_fails_before_its_answer_gets_a_real_500() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| match exchange.var(b"PATH_INFO").unwrap() {
            b"/raises" => exchange.fail(interpreter),
            b"/starts-and-raises" => {
                exchange.start(b"200 OK", &[], false).unwrap();
                exchange.fail(interpreter);
            }
            b"/sends-and-raises" => {
                exchange
                    .start(b"200 OK", &[(b"Content-Length", b"9")], false)
                    .unwrap();
                exchange.write(interpreter, b"part").unwrap();
                exchange.fail(interpreter);
            }
            _ => (),
        },
    );
    for path in ["/raises", "/starts-and-raises", "/says-nothing"] {
        assert_eq!(
            worker.talk("s", &get(path)),
            "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\
             Content-Type: text/plain\r\nContent-Length: 21\r\n\r\nInternal Server Error"
        );
    }
    assert_eq!(
        worker.talk("s", &get("/sends-and-raises")),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
    );
    worker.wait_until("four are counted", |worker| {
        worker.count(counters::Worker::Exceptions) == 4
    });
}

#[test]
fn a_request_past_harakiri_is_answered_504_while_the_app_still_runs() {
    let gate = Gate::default();
    let inside = gate.clone();
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.harakiri = Some(Duration::from_secs(1)),
        move |exchange, interpreter| {
            inside.pass();
            // The I/O thread may still hold the answer.
            let mut error = WriteError::Busy;
            while error == WriteError::Busy {
                assert!(exchange.start(b"200 OK", &[], false).is_err());
                error = exchange.write(interpreter, b"x").unwrap_err();
            }
            assert_eq!(error, WriteError::TimedOut);
        },
    );
    let answer = worker.talk("s", &get("/"));
    assert!(
        answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("longer than harakiri = 1 s\n"), "{answer}");
    gate.open();
    worker.wait_until("it is counted", |worker| {
        worker.count(counters::Worker::Requests) == 1
    });
}

#[test]
fn mistakes_with_an_exchange_are_errors() {
    let kept: Arc<Mutex<Option<Arc<Exchange>>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        move |exchange, interpreter| {
            assert_eq!(
                exchange.write(interpreter, b"x"),
                Err(WriteError::NotStarted)
            );
            let header: (&[u8], &[u8]) = (b"A", b"b\r\nc: d");
            assert_eq!(
                exchange.start(b"200 OK", &[header], false),
                Err(StartError::HeaderValue(b"A".to_vec()))
            );
            exchange.start(b"200 OK", &[], false).unwrap();
            assert_eq!(
                exchange.start(b"200 OK", &[], false),
                Err(StartError::Twice)
            );
            exchange.start(b"201 Created", &[], true).unwrap();
            assert!(exchange.started() && !exchange.head_sent());
            exchange.write(interpreter, b"").unwrap();
            assert!(!exchange.head_sent());
            exchange.write(interpreter, b"a").unwrap();
            assert!(exchange.head_sent());
            assert_eq!(
                exchange.start(b"200 OK", &[], true),
                Err(StartError::HeadSent)
            );
            exchange.write_last(interpreter, b"b").unwrap();
            assert_eq!(exchange.write(interpreter, b"c"), Err(WriteError::Ended));
            *keep.lock().unwrap() = Some(Arc::clone(exchange));
        },
    );
    for _ in 0..2 {
        assert_eq!(
            worker.talk("s", &get("/")),
            "HTTP/1.1 201 Created\r\n\r\nab"
        );
        let kept = kept.lock().unwrap().take().unwrap();
        worker.wait_until("the exchange is over", |_| {
            kept.start(b"200 OK", &[], false) == Err(StartError::Ended)
        });
        let app = RustApp(Arc::new(|_, _| ()));
        assert_eq!(kept.write(&app, b"x"), Err(WriteError::Ended));
        assert_eq!(kept.read(&app, &mut Vec::new(), 1), Err(BodyError::Ended));
        assert_eq!(kept.var(b"PATH_INFO"), Some(&b"/"[..]));
    }
}

/// Uses the exchange as another thread could while the interpreter is released.
struct Meddler(Arc<Exchange>, Gate);

impl Interpreter for Meddler {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        let Self(exchange, waits) = self;
        let app = RustApp(Arc::new(|_, _| ()));
        assert_eq!(exchange.start(b"200 OK", &[], true), Err(StartError::Busy));
        assert_eq!(exchange.write(&app, b"x"), Err(WriteError::Busy));
        assert_eq!(
            exchange.read(&app, &mut Vec::new(), 1),
            Err(BodyError::Busy)
        );
        assert!(exchange.head_sent() && !exchange.client_gone());
        exchange.fail(&app);
        waits.open();
        wait();
    }
}

#[test]
fn two_threads_in_one_exchange_do_not_wait_for_each_other() {
    let waits = Gate::default();
    let inside = waits.clone();
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        move |exchange, _| {
            let meddler = Meddler(Arc::clone(exchange), inside.clone());
            let mut bytes = Vec::new();
            let error = loop {
                if let Err(error) = exchange.read(&meddler, &mut bytes, usize::MAX) {
                    break error;
                }
            };
            assert_eq!(error, BodyError::Gone { missing: 999_995 });
        },
    );
    let mut stream = worker.connect("s");
    stream.write_all(&post("/", 1_000_000)).unwrap();
    stream.write_all(b"first").unwrap();
    waits.pass();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The meddler's `fail` was heard when the reader was done.
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 500 "));
}

#[test]
fn what_exceeds_the_apps_content_length_is_cut() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            exchange
                .start(b"200 OK", &[(b"Content-Length", b"4")], false)
                .unwrap();
            exchange.write(interpreter, b"abc").unwrap();
            exchange.write(interpreter, b"def").unwrap();
        },
    );
    let answer = worker.talk("s", &get("/"));
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    let head = worker.talk("s", &packet(&vars("HEAD", "/")));
    assert_eq!(head, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    worker.wait_for_message(
        "a note",
        |said| matches!(said, FromWorker::Note { text } if text.contains("2 bytes more than its Content-Length")),
    );
}

#[test]
fn an_unread_body_does_not_destroy_the_answer() {
    for protocol in [Uwsgi, Http] {
        let worker = Worker::start(
            &[(protocol, "s")],
            |_| (),
            |exchange, interpreter| {
                ok(exchange, interpreter, "not read");
            },
        );
        let mut stream = worker.connect("s");
        let length = 3_000_000;
        let head = match protocol {
            Uwsgi => post("/", length),
            Http => format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes(),
        };
        stream.write_all(&head).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let upload = std::thread::spawn(move || writer.write_all(&vec![0; length]));
        assert!(read_all(&mut stream).ends_with("not read"));
        upload.join().unwrap().unwrap();
    }
}

#[test]
fn a_client_that_goes_is_noticed_and_the_next_one_served() {
    let error = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&error);
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        move |exchange, interpreter| {
            if exchange.var(b"PATH_INFO") == Some(b"/next") {
                return ok(exchange, interpreter, "next");
            }
            exchange.start(b"200 OK", &[], false).unwrap();
            let chunk = vec![b'x'; 100_000];
            let error = loop {
                if let Err(error) = exchange.write(interpreter, &chunk) {
                    break error;
                }
            };
            assert_eq!(exchange.client_gone(), error == WriteError::Gone);
            *seen.lock().unwrap() = Some(error);
        },
    );
    let mut stream = worker.connect("s");
    stream.write_all(&get("/")).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    assert!(worker.talk("s", &get("/next")).ends_with("next"));
    assert_eq!(*error.lock().unwrap(), Some(WriteError::Gone));
    let counters = worker.context.counters();
    let failed = counters.core(0, counters::Core::WriteErrors);
    assert_eq!(failed.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn a_client_that_takes_nothing_is_left_after_socket_timeout() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.socket_timeout = Duration::from_secs(1),
        move |exchange, interpreter| {
            exchange.start(b"200 OK", &[], false).unwrap();
            for _ in 0..2 {
                let error = exchange
                    .write(interpreter, &vec![b'x'; 10_000_000])
                    .unwrap_err();
                seen.lock().unwrap().push(error);
            }
        },
    );
    let mut stream = worker.connect("s");
    stream.write_all(&get("/")).unwrap();
    worker.wait_until("the request ended", |worker| {
        worker.count(counters::Worker::Requests) == 1
    });
    assert_eq!(
        *errors.lock().unwrap(),
        [WriteError::TimedOut, WriteError::TimedOut]
    );
    worker.wait_for_message(
        "a note",
        |said| matches!(said, FromWorker::Note { text } if text.contains("took nothing for")),
    );
}

#[test]
fn a_body_that_stops_coming_is_an_error_of_read() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.socket_timeout = Duration::from_secs(1),
        move |exchange, interpreter| {
            let mut bytes = Vec::new();
            let error = loop {
                match exchange.read(interpreter, &mut bytes, 1 << 20) {
                    Ok(read) => assert_ne!(read, 0),
                    Err(error) => break error,
                }
            };
            seen.lock().unwrap().push(error);
            ok(exchange, interpreter, "sorry");
        },
    );
    let bytes = [post("/", 1_000_000), vec![0; 500_000]].concat();
    let mut stalled = worker.connect("s");
    stalled.write_all(&bytes).unwrap();
    assert!(read_all(&mut stalled).ends_with("sorry"));
    let mut closed = worker.connect("s");
    closed.write_all(&bytes).unwrap();
    closed.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(read_all(&mut closed).ends_with("sorry"));
    assert_eq!(
        *errors.lock().unwrap(),
        [
            BodyError::TimedOut { missing: 500_000 },
            BodyError::Gone { missing: 500_000 }
        ]
    );
}

#[test]
fn a_short_body_that_ends_early_never_reaches_the_app() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |_| (),
        |exchange, interpreter| {
            ok(exchange, interpreter, "never");
        },
    );
    let mut stream = worker.connect("s");
    stream.write_all(&post("/", 10)).unwrap();
    stream.write_all(b"half").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(worker.count(counters::Worker::Requests), 0);
}

#[test]
fn post_buffering_takes_the_whole_body_before_the_app() {
    let worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.post_buffering = 100_000,
        |exchange, interpreter| {
            let bytes = body(exchange, interpreter);
            let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
            ok(exchange, interpreter, &format!("{} {sum}", bytes.len()));
        },
    );
    for length in [80_000, 5_000_000] {
        let mut slow = worker.connect("s");
        slow.write_all(&post("/", length)).unwrap();
        slow.write_all(&vec![1; length / 2]).unwrap();
        // Half of it holds no app thread.
        assert!(worker.talk("s", &get("/")).ends_with("0 0"));
        slow.write_all(&vec![2; length / 2]).unwrap();
        let sum = length / 2 * 3;
        assert!(read_all(&mut slow).ends_with(&format!("{length} {sum}")));
    }
}

/// The I/O thread takes at most 256 KiB of a connection per turn. Nothing wakes it for a body whose
/// last byte is the turn's last.
#[test]
fn a_body_that_ends_with_the_turn_of_the_io_thread_is_whole() {
    const TURN_BYTES: usize = 256 * 1024;
    let buffer_size = Settings::default().buffer_size as usize;
    // What the app thread receives with the head before it parks the connection.
    let first = 4 + buffer_size + 16 * 1024;
    let head = post("/", TURN_BYTES).len();
    let length = first - head + TURN_BYTES;
    assert_eq!(post("/", length).len(), head);
    let (dir, sockets) = Worker::bind(&[(Uwsgi, "s")]);
    // All of it is there before anybody accepts.
    let mut stream = UnixStream::connect(dir.path().join("s")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = nix::sys::socket::setsockopt(&stream, sockopt::SndBufForce, &(4 * length));
    if sent.is_err() {
        eprintln!("not root: the body may arrive in parts, and this test see nothing");
    }
    let mut writer = stream.try_clone().unwrap();
    let bytes = [post("/", length), vec![1; length]].concat();
    let writer = std::thread::spawn(move || writer.write_all(&bytes));
    if sent.is_ok() {
        while !writer.is_finished() {
            std::thread::yield_now();
        }
    }
    let _worker = Worker::start_on(
        dir,
        sockets,
        |settings| settings.post_buffering = 4096,
        |exchange, interpreter| {
            let bytes = body(exchange, interpreter);
            ok(exchange, interpreter, &bytes.len().to_string());
        },
    );
    assert!(read_all(&mut stream).ends_with(&length.to_string()));
    writer.join().unwrap().unwrap();
}

#[test]
fn files_are_sent_from_their_offset_in_any_framing() {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
    std::fs::write(dir.path().join("file"), &content).unwrap();
    let file = std::fs::File::open(dir.path().join("file")).unwrap();
    let worker = Worker::start(
        &[(Uwsgi, "s"), (Http, "h")],
        |_| (),
        move |exchange, interpreter| {
            let null = std::fs::File::open("/dev/null").unwrap();
            exchange.start(b"200 OK", &[], false).unwrap();
            let other = exchange.send_file(interpreter, null.as_fd(), 0, None);
            assert!(matches!(other, Err(WriteError::File(_))), "{other:?}");
            if exchange.var(b"PATH_INFO") == Some(b"/late") {
                exchange.write(interpreter, b"first").unwrap();
            }
            let sent = exchange.send_file(interpreter, file.as_fd(), 10, None);
            assert_eq!(sent, Ok(2_999_990));
            let more = exchange.send_file(interpreter, file.as_fd(), 2_999_999, Some(100));
            assert!(matches!(more, Ok(1)), "{more:?}");
        },
    );
    let bytes = |name: &str, request: &[u8]| {
        let mut stream = worker.connect(name);
        stream.write_all(request).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let uwsgi = bytes("s", &get("/"));
    let end = [&content[10..], &content[2_999_999..]].concat();
    assert!(uwsgi == [b"HTTP/1.1 200 OK\r\n\r\n", &end[..]].concat());
    // The first file was taken for all of it.
    let http = bytes("h", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2999990\r\nConnection: close\r\n\r\n";
    assert!(http == [&head[..], &content[10..]].concat());
    let chunked = bytes("h", b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = chunked.escape_ascii().to_string();
    assert!(
        text.contains("chunked\\r\\nConnection: close\\r\\n\\r\\n5\\r\\nfirst\\r\\n2dc6b6\\r\\n")
    );
    assert!(chunked.ends_with(&[b"\r\n1\r\n", &content[2_999_999..], b"\r\n0\r\n\r\n"].concat()));
    let head = worker.talk("s", &packet(&vars("HEAD", "/")));
    assert_eq!(head, "HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn static_map_answers_before_the_app() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("static");
    std::fs::create_dir_all(root.join("dir")).unwrap();
    std::fs::write(root.join("a.css"), "body {}").unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    let map = root.clone();
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| {
            settings.static_files.maps = vec![("/static".to_owned(), map)];
            settings.logs.requests.disabled = false;
        },
        |exchange, interpreter| ok(exchange, interpreter, "app"),
    );
    let answer = worker.talk("s", &get("/static/a.css"));
    assert!(
        answer.starts_with(
            "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 7\r\nLast-Modified: "
        ),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nbody {}"), "{answer}");
    let modified = answer
        .split("Last-Modified: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let mut asked = vars("GET", "/static/a.css");
    asked.push(("HTTP_IF_MODIFIED_SINCE", modified));
    assert_eq!(
        worker.talk("s", &packet(&asked)),
        "HTTP/1.1 304 Not Modified\r\n\r\n"
    );
    let head = worker.talk("s", &packet(&vars("HEAD", "/static/a.css")));
    assert!(
        head.contains("Content-Length: 7\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for path in [
        "/static",
        "/static/dir",
        "/static/none",
        "/static/../secret",
        "/other",
    ] {
        assert!(worker.talk("s", &get(path)).ends_with("app"), "{path}");
    }
    assert!(
        worker
            .talk("s", &packet(&vars("POST", "/static/a.css")))
            .ends_with("app")
    );
    worker.wait_until("all are counted", |worker| {
        worker.count(counters::Worker::Requests) == 9
    });
    let log = worker.log();
    assert!(log.contains("|app: -1|req: -1/1] "), "{log}");
    assert!(
        log.contains("GET /static/a.css => generated 7 bytes in "),
        "{log}"
    );
    assert!(
        log.contains(" via sendfile() (HTTP/1.1 200) 3 headers in "),
        "{log}"
    );
}

#[test]
fn the_request_log_has_the_originals_line() {
    let mut worker = Worker::start(
        &[(Uwsgi, "s")],
        |settings| settings.logs.requests.disabled = false,
        |exchange, interpreter| ok(exchange, interpreter, "hello"),
    );
    worker.talk("s", &get("/a\nb"));
    worker.wait_until("it is counted", |worker| {
        worker.count(counters::Worker::LastRequestMillis) != 0
    });
    let mut log = String::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !log.ends_with('\n') {
        assert!(std::time::Instant::now() < deadline, "no line: {log}");
        log = worker.log();
    }
    let pid = std::process::id();
    let start = format!("[pid: {pid}|app: 0|req: 1/1] 1.2.3.4 () {{16 vars in 163 bytes}} [");
    assert!(log.starts_with(&start), "{log}");
    let (_, end) = log.split_once("] GET ").unwrap();
    let (uri, end) = end.split_once(" => ").unwrap();
    assert_eq!(uri, "/a\\x0ab");
    let end = end.split_once(" msecs ").unwrap().1;
    assert_eq!(
        end,
        "(HTTP/1.1 200) 1 headers in 45 bytes (1 switches on core 0)\n"
    );
}
