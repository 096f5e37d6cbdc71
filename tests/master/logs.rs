//! Where lines go.

use std::net::UdpSocket;
use std::time::Duration;

use crate::apps::{ask, serving, start, wait_log};

#[test]
fn prints_and_request_lines_reach_stderr() {
    let app = start("processes = 2");
    serving(&app);
    ask(&app, "/say?hello-log").unwrap();
    wait_log(&app, "hello-log");
    wait_log(&app, "GET /say?hello-log => generated 6 bytes");
}

#[test]
fn no_request_lines_with_disable_logging() {
    let app = start("disable-logging = true");
    serving(&app);
    ask(&app, "/say?quiet").unwrap();
    wait_log(&app, "quiet");
    assert!(!app.log().contains("=> generated"), "{}", app.log());
}

#[test]
fn logto_takes_everything_and_survives_a_rotation() {
    let app = start("logto = {dir}/app.log");
    serving(&app);
    ask(&app, "/say?first-file").unwrap();
    app.wait_for("the file", |app| {
        app.folder
            .read("app.log")
            .contains("first-file")
            .then_some(())
    });
    assert!(app.folder.read("app.log").contains("generation 1 serves"));
    std::fs::rename(app.path("app.log"), app.path("app.log.1")).unwrap();
    app.wait_for("the new file", |app| {
        ask(app, "/say?second-file").unwrap();
        app.folder
            .read("app.log")
            .contains("second-file")
            .then_some(())
    });
}

#[test]
fn request_lines_have_a_logger_of_their_own() {
    let app = start("logger = file:{dir}/app.log\nreq-logger = file:{dir}/requests.log");
    serving(&app);
    ask(&app, "/say?one-line").unwrap();
    app.wait_for("the request line", |app| {
        app.folder
            .read("requests.log")
            .contains("GET /say?one-line")
            .then_some(())
    });
    app.wait_for("the print", |app| {
        app.folder
            .read("app.log")
            .contains("one-line\n")
            .then_some(())
    });
    assert!(!app.folder.read("app.log").contains("=> generated"));
}

#[test]
fn lines_go_to_udp() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let app = start(&format!("logger = socket:127.0.0.1:{port}"));
    serving(&app);
    ask(&app, "/say?over-udp").unwrap();
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).expect("a line");
        if String::from_utf8_lossy(&buffer[..length]).contains("over-udp") {
            break;
        }
    }
}

#[test]
fn a_reader_that_sleeps_stops_nobody() {
    // The log is a FIFO that nobody reads after the first line.
    let app = start("logto = {dir}/fifo.log");
    serving(&app);
    for _ in 0..200 {
        assert!(ask(&app, &format!("/say?{}", "x".repeat(4000))).is_some());
    }
}
