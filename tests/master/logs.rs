//! Where lines go.

use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::apps::{APP, ask, folder, ini, serving, start, start_in, wait_log};
use crate::support::{Process, skips_without, uwsgi_get, wait_for};

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
    app.wait_for("the master's own line", |app| {
        let log = app.folder.read("app.log");
        log.contains("generation 1 serves").then_some(())
    });
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
        .set_read_timeout(Some(crate::support::PATIENCE))
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
fn log_json_makes_every_line_an_object() {
    let app = start("log-json = true\nprocesses = 2");
    serving(&app);
    ask(&app, "/say?a-plain-line").unwrap();
    ask(&app, "/say?{%22own%22:1}").unwrap();
    ask(&app, "/say?{\"own\":1}").unwrap();
    let lines = app.wait_for("the last request's line", |app| {
        let log = app.log();
        let whole = log.rsplit_once('\n')?.0;
        let lines: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        // Each worker's lines come on their own way.
        let last = |line: &&Value| line["uri"].as_str().is_some_and(|it| it.contains("\"own"));
        let of_app = lines
            .iter()
            .filter(|line| line["source"] == "app" || line["own"] == 1);
        let requests = lines.iter().filter(|line| line["source"] == "request");
        lines.iter().find(last)?;
        (of_app.count() >= 3 && requests.count() >= 4).then_some(lines)
    });
    let find = |key: &str, text: &str| {
        let is_it = |line: &&Value| line[key].as_str().is_some_and(|it| it.contains(text));
        let found = lines.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no line where {key} is {text}: {lines:#?}"))
    };
    assert_eq!(find("message", "a-plain-line")["source"], "app");
    assert_eq!(find("message", "serves on")["source"], "imperator");
    let request = find("uri", "/say?a-plain-line");
    assert_eq!(request["source"], "request");
    assert_eq!(
        (&request["status"], &request["method"]),
        (&200.into(), &"GET".into())
    );
    assert!(
        request["time"].as_str().unwrap().ends_with('Z'),
        "{request}"
    );
    assert!(lines.iter().any(|line| line["own"] == 1), "{lines:#?}");
}

#[test]
fn log_files_belong_to_the_apps_user_as_the_config_says() {
    if skips_without("other users (root)", rustix::process::geteuid().is_root()) {
        return;
    }
    let who = "uid = www-data\npython = /usr/bin/python3";
    for (lines, owner) in [
        ("logto = {dir}/a.log", 0),
        ("logto = {dir}/a.log\nlogfile-chown = true", 33),
        ("logger = file:{dir}/a.log", 33),
        ("logto2 = {dir}/a.log", 33),
    ] {
        let app = start(&format!("{who}\n{lines}"));
        serving(&app);
        let found = app.path("a.log").metadata().unwrap();
        assert_eq!(found.uid(), owner, "{lines}");
    }
}

#[test]
fn an_app_cannot_lead_its_log_to_a_file_of_root() {
    if skips_without("other users (root)", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = folder(APP);
    let own = folder.join("own");
    std::fs::create_dir(&own).unwrap();
    chown(&own, Some(33), Some(33)).unwrap();
    let secret = folder.write("secret", "");
    let lines = "uid = www-data\npython = /usr/bin/python3\nlogto = {dir}/own/a.log";
    let app = start_in(folder, lines);
    serving(&app);
    let log = own.join("a.log");
    std::fs::remove_file(&log).unwrap();
    symlink(&secret, &log).unwrap();
    // Long enough for two looks at the file.
    let asked = std::time::Instant::now();
    while asked.elapsed() < Duration::from_millis(2500) {
        ask(&app, "/say?something").unwrap();
    }
    assert_eq!(secret.metadata().unwrap().len(), 0);
    std::fs::remove_file(&log).unwrap();
    app.wait_for("a log file of its own", |app| {
        ask(app, "/say?something").unwrap();
        log.metadata().ok().filter(|it| it.len() > 0)
    });
    assert_eq!(log.metadata().unwrap().uid(), 33);
}

#[test]
fn the_journal_gets_lines_as_it_wants_them() {
    if skips_without("unshare (root)", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = folder(APP);
    folder.write("app.ini", &ini("logger = systemd"));
    let journal = folder.join("run/systemd/journal");
    std::fs::create_dir_all(&journal).unwrap();
    let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-c",
            "mount --bind run /run && exec \"$0\" app.ini",
        ])
        .arg(env!("CARGO_BIN_EXE_imperator"))
        .current_dir(folder.path());
    let process = Process::start(command, &folder.join("imperator.log"));
    // The socket's queue holds ten lines: those of the start may fill it.
    let line = wait_for(
        "the line in the journal",
        || process.report(),
        || {
            uwsgi_get(folder.join("app.sock"), "/say?to-the-journal").ok()?;
            let mut buffer = [0; 8192];
            let mut received = std::iter::from_fn(|| {
                let length = socket.recv(&mut buffer).ok()?;
                Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
            });
            received.find(|text| text.contains("to-the-journal\n"))
        },
    );
    assert_eq!(
        line,
        "PRIORITY=6\nSYSLOG_IDENTIFIER=app\nMESSAGE=to-the-journal\n"
    );
}

#[test]
fn without_a_journal_lines_go_to_stderr_with_a_word_why() {
    let app = start("logger = systemd");
    serving(&app);
    ask(&app, "/say?nobody-there").unwrap();
    wait_log(&app, "nobody-there");
    if !std::path::Path::new("/run/systemd/journal/socket").exists() {
        wait_log(&app, "cannot log to /run/systemd/journal/socket");
    }
}

#[test]
fn a_dead_receiver_and_a_full_disk_do_not_touch_the_app() {
    let app = start(
        "logger = socket:{dir}/nobody\nlogger = rsyslog:127.0.0.1:9\nlogger = file:/dev/full\n\
         req-logger = file:/dev/full",
    );
    serving(&app);
    for _ in 0..200 {
        assert!(ask(&app, "/say?lost").is_some());
    }
    // A receiver that comes later gets what comes later. Its queue holds ten: what is still on its way
    // to it may fill it.
    let socket = UnixDatagram::bind(app.path("nobody")).unwrap();
    socket.set_nonblocking(true).unwrap();
    app.wait_for("a line at the receiver", |app| {
        ask(app, "/say?found").unwrap();
        let mut buffer = [0; 8192];
        let mut received = std::iter::from_fn(|| {
            let length = socket.recv(&mut buffer).ok()?;
            Some(buffer[..length].starts_with(b"found"))
        });
        received.any(|is_found| is_found).then_some(())
    });
}
