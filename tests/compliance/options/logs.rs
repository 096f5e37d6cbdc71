//! Options of logs: which requests get a line, what it says, where lines go, what becomes of files.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use super::pair::{self, Facts, Server, compare_runs};
use super::support::{Address, Exchange, Vars};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "daemonize",
        "a_daemon_serves_from_a_session_of_its_own_and_logs_to_its_file",
    ),
    (
        "daemonize2",
        "a_daemon_serves_from_a_session_of_its_own_and_logs_to_its_file",
    ),
    (
        "log-ioerror",
        "each_selection_finds_its_requests_and_no_others",
    ),
    ("log-json", "log_json_makes_every_line_an_object"),
    ("log-socket", "lines_go_to_a_unix_socket_with_their_prefix"),
    ("log-syslog", "each_receiver_gets_lines_in_its_own_dress"),
    (
        "logfile-chown",
        "log_files_belong_to_the_apps_user_as_the_config_says",
    ),
    (
        "logto2",
        "log_files_belong_to_the_apps_user_as_the_config_says",
    ),
    ("stats", "the_stats_hold_what_uwsgitop_reads"),
];

/// Waits for the line with this text; tells it from there on.
#[track_caller]
fn line(server: &Server, log: fn(&Server) -> String, text: &str) -> String {
    server.wait_for(&format!("a line with \"{text}\""), |server| {
        let log = log(server);
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let found = whole.lines().find(|line| line.contains(text))?;
        Some(found[found.find(text)?..].to_owned())
    })
}

fn stderr(server: &Server) -> String {
    server.log()
}

fn app_log(server: &Server) -> String {
    server.folder().read("app.log")
}

fn request_log(server: &Server) -> String {
    server.folder().read("requests.log")
}

/// Waits for the whole line: what comes over another pipe may come later.
#[track_caller]
fn begins(server: &Server, log: fn(&Server) -> String, whole: &str) {
    server.wait_for(&format!("the line \"{whole}\""), |server| {
        log(server).lines().any(|line| line == whole).then_some(())
    });
}

/// The lines of a log that begin with one of these.
fn lines_of(log: &str, starts: &[&str]) -> String {
    let is_one = |line: &&str| starts.iter().any(|start| line.starts_with(start));
    // What comes over another pipe may come earlier.
    let mut found: Vec<&str> = log.lines().filter(is_one).collect();
    found.sort_unstable();
    found.join(" | ")
}

/// Asks for both, and tells which of them got a line. The second one must.
fn picked(server: &mut Server, facts: &mut Facts, not: &str, this: &str) {
    server.get(not);
    server.get("/status?201");
    server.get(this);
    line(server, stderr, &format!("LINE {this} "));
    facts.note("lines", lines_of(&server.log(), &["LINE "]));
}

const SELECTION: &[Case] = &[
    Case {
        options: &["disable-logging", "log-4xx"],
        ini: "disable-logging = true\nlog-4xx = true\nlog-format = LINE %(uri) %(status)\n",
        see: |server, facts| picked(server, facts, "/status?503", "/status?404"),
        ..Case::PLAIN
    },
    Case {
        options: &["log-5xx"],
        ini: "disable-logging = true\nlog-5xx = true\nlog-format = LINE %(uri) %(status)\n",
        see: |server, facts| picked(server, facts, "/status?404", "/status?503"),
        ..Case::PLAIN
    },
    Case {
        options: &["log-zero"],
        ini: "disable-logging = true\nlog-zero = true\nlog-format = LINE %(uri) %(status)\n",
        see: |server, facts| picked(server, facts, "/headers", "/nothing"),
        ..Case::PLAIN
    },
    Case {
        options: &["log-big"],
        ini: "disable-logging = true\nlog-big = 13\nlog-format = LINE %(uri) %(rsize)\n",
        // "said" and "told" are six bytes, the chunks thirteen.
        see: |server, facts| picked(server, facts, "/status?404", "/chunks"),
        ..Case::PLAIN
    },
    Case {
        options: &["log-slow"],
        ini: "disable-logging = true\nlog-slow = 1500\nlog-format = LINE %(uri) %(status)\n",
        see: |server, facts| picked(server, facts, "/status?503", "/slow?1.7"),
        ..Case::PLAIN
    },
    Case {
        options: &["log-sendfile"],
        ini: "disable-logging = true\nlog-sendfile = true\nlog-format = LINE %(uri) %(status)\n",
        see: |server, facts| picked(server, facts, "/headers", "/file"),
        ..Case::PLAIN
    },
];

#[test]
fn selections_of_requests_are_the_originals() {
    run(SELECTION);
}

const REQUEST_LINES: &[Case] = &[
    Case {
        options: &["log-format"],
        ini: "log-format = LINE %(method) %(uri) %(user) %(addr) %(host) %(proto) %(uagent) \
              %(referer) %(status) %(rsize) %(hsize) %(size) %(cl) %(vars) %(core) \
              %(pktsize) %(modifier1) %(modifier2) %(headers) %(werr) %(rerr) %(ioerr) %(wid) \
              %(var.HTTP_X_OWN) %(var.HTTP_NO) %(metric.core.busy_workers) %(nobody) 100%% end\n",
        see: |server, facts| {
            let vars = Vars::request("POST", "/chunks?a=1")
                .with("HTTP_USER_AGENT", "agent smith")
                .with("HTTP_REFERER", "http://here/")
                .with("HTTP_X_OWN", "mine")
                .with("REMOTE_USER", "me");
            server.ask(&vars, b"12345");
            facts.note("line", line(server, stderr, "LINE "));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-format"],
        ini: "log-format = LINE %(switches) end\n",
        differs: &[("line", "`switches` in the request line")],
        see: |server, facts| {
            server.get("/chunks");
            facts.note("line", line(server, stderr, "LINE "));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-format"],
        ini: "log-format = LINE %(time) %(tmsecs) %(tmicros) %(epoch) %(micros) %(msecs) %(secs) \
              %(ctime) %(ltime) %(ftime) %(pid) end\n",
        see: |server, facts| {
            server.get("/slow?0.1");
            // Which digits there are changes; their number and the rest do not.
            let shape: String = line(server, stderr, "LINE ")
                .chars()
                .map(|letter| match letter {
                    '0'..='9' => '9',
                    'A'..='Z' => 'A',
                    'a'..='z' => 'a',
                    other => other,
                })
                .collect();
            let (line, pid) = shape
                .strip_suffix(" aaa")
                .and_then(|it| it.rsplit_once(' '))
                .unwrap();
            facts.note("line", line);
            facts.note("a pid", pid.chars().all(|digit| digit == '9'));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-micros"],
        ini: "log-micros = true\n",
        see: |server, facts| {
            server.get("/slow?0.01");
            let line = line(server, stderr, "GET /slow");
            let (_, rest) = line.split_once(" bytes in ").unwrap();
            let mut words = rest.split(' ');
            let number: u64 = words.next().unwrap().parse().unwrap();
            facts.note("at least 10000", number >= 10_000);
            facts.note("unit", words.next().unwrap());
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-x-forwarded-for"],
        ini: "log-x-forwarded-for = true\nlog-format = LINE %(addr) end\n",
        see: |server, facts| {
            let vars = Vars::request("GET", "/nothing").with("REMOTE_ADDR", "10.0.0.1");
            server.ask(
                &vars.with("HTTP_X_FORWARDED_FOR", "192.0.2.7, 10.0.0.9"),
                b"",
            );
            facts.note("line", line(server, stderr, "LINE "));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["memory-report"],
        ini: "memory-report = true\n",
        see: |server, facts| {
            server.get("/nothing");
            let line = line(server, stderr, "{address space usage: ");
            let words = line
                .split_whitespace()
                .filter(|word| !word.contains(char::is_numeric));
            facts.note("words", words.take(8).collect::<Vec<_>>().join(" "));
            facts.note("zero", line.contains("{rss usage: 0 "));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-date", "log-format-strftime"],
        ini: "log-date = Y%%Y\nlog-format-strftime = true\nlog-format = LINE %(ftime) end\n",
        see: |server, facts| {
            server.get("/say?APP-LINE");
            let line = line(server, stderr, "LINE Y");
            facts.note(
                "the format of the request's time",
                line.trim_matches(char::is_numeric),
            );
            let stamped = |line: &str| line.starts_with("Y2") && line[5..].starts_with(" - ");
            server.wait_for("a line of the server's own", |server| {
                server.log().lines().any(stamped).then_some(())
            });
            begins(server, stderr, "APP-LINE");
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-date"],
        ini: "log-date = true\n",
        see: |server, facts| {
            server.get("/nothing");
            line(server, stderr, "GET /nothing");
            // "Mon Nov 23 05:26:17 2026 - "
            let stamped =
                |line: &str| line.get(24..27) == Some(" - ") && line.get(13..14) == Some(":");
            server.wait_for("a line of the server's own", |server| {
                server.log().lines().any(stamped).then_some(())
            });
            facts.note("stamped", true);
        },
        ..Case::PLAIN
    },
];

#[test]
fn request_lines_say_what_the_originals_say() {
    run(REQUEST_LINES);
}

const LOGGERS: &[Case] = &[
    Case {
        options: &["logger", "req-logger"],
        ini: "plugin = logfile\nlogger = file:{dir}/app.log\n\
              req-logger = file:{dir}/requests.log\nlog-format = LINE %(uri)\n",
        see: |server, facts| {
            server.get("/say?APP-LINE");
            line(server, app_log, "APP-LINE");
            line(server, request_log, "LINE /say");
            let starts = ["APP-LINE", "LINE "];
            facts.note("app", lines_of(&app_log(server), &starts));
            facts.note("requests", lines_of(&request_log(server), &starts));
            facts.note("stderr", lines_of(&server.log(), &starts));
        },
        ..Case::PLAIN
    },
    Case {
        // Without a req-logger requests go the way of all lines; stdio is where logto points.
        options: &["logger", "logto"],
        ini: "plugin = logfile\nlogger = stdio\nlogger = file:{dir}/app.log\n\
              logto = {dir}/requests.log\nlog-format = LINE %(uri)\n",
        see: |server, facts| {
            server.get("/say?APP-LINE");
            line(server, app_log, "LINE /say");
            line(server, request_log, "LINE /say");
            begins(server, app_log, "APP-LINE");
            begins(server, request_log, "APP-LINE");
            let starts = ["APP-LINE", "LINE "];
            facts.note("file", lines_of(&app_log(server), &starts));
            facts.note("stdio", lines_of(&request_log(server), &starts));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-route", "logger", "log-encoder"],
        ini: "plugin = logfile\nlogger = app file:{dir}/app.log\nlogger = file:{dir}/rest.log\n\
              log-route = app ^\\{\nlog-route = default ^((?!\\{).)*$\n\
              log-encoder = format:app >${msg}<\nlog-encoder = nl:app\n\
              log-format = LINE %(uri)\n",
        see: |server, facts| {
            server.get("/say?{JSON}");
            server.get("/say?PLAIN");
            let rest = |server: &Server| server.folder().read("rest.log");
            line(server, rest, "LINE /say?PLAIN");
            line(server, app_log, "{JSON}");
            begins(server, rest, "PLAIN");
            facts.note("app", app_log(server));
            facts.note(
                "rest",
                lines_of(&rest(server), &["PLAIN", "{JSON}", "LINE"]),
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["logger"],
        ini: "plugin = logpipe\nlogger = pipe:/usr/bin/tee {dir}/app.log\n",
        see: |server, facts| {
            server.get("/say?THROUGH-THE-PIPE");
            facts.note("line", line(server, app_log, "THROUGH"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-drain"],
        ini: "log-drain = NOISE\n",
        see: |server, facts| {
            server.get("/say?NOISE");
            server.get("/say?VOICE");
            line(server, stderr, "GET /say?VOICE");
            facts.note("noise", server.log().contains("NOISE"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-filter"],
        ini: "log-filter = VOICE\nlog-filter = SONG\n",
        see: |server, facts| {
            for text in ["NOISE", "SONG", "VOICE"] {
                server.get(&format!("/say?{text}"));
            }
            line(server, stderr, "GET /say?VOICE");
            let log = server.log();
            facts.note("noise", log.contains("NOISE"));
            facts.note("song", log.contains("SONG"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-req-route"],
        ini: "plugin = logfile\nlogger = file:{dir}/app.log\nlogger = bad file:{dir}/bad.log\n\
              req-logger = file:{dir}/requests.log\nlog-req-route = bad 404$\n\
              log-format = LINE %(uri) %(status)\n",
        see: |server, facts| {
            server.get("/status?404");
            server.get("/status?201");
            let bad = |server: &Server| server.folder().read("bad.log");
            line(server, request_log, "LINE /status?201");
            line(server, bad, "LINE /status?404");
            facts.note("requests", request_log(server));
            facts.note("bad", bad(server));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-encoder"],
        ini: "plugin = logfile\nlogger = file:{dir}/app.log\n\
              log-encoder = prefix A:\n\
              log-encoder = json {\"u\":${unix},\"y\":\"${strftime:%%Y}\",\"m\":\"${msg}\"}${no}\n\
              log-encoder = nl\n",
        see: |server, facts| {
            server.get("/say?Z\\b\"c\"");
            let line = line(server, app_log, "\"m\":\"A:Z");
            facts.note("line", line);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-req-encoder"],
        ini: "plugin = logfile\nreq-logger = file:{dir}/requests.log\n\
              log-format = \"uri\":\"%(uri)\"\nlog-req-encoder = format {${msg}}\n\
              log-req-encoder = suffix !\nlog-req-encoder = nl\n",
        see: |server, facts| {
            server.get("/nothing");
            facts.note("line", line(server, request_log, "{"));
        },
        ..Case::PLAIN
    },
];

#[test]
fn lines_go_where_the_original_sends_them() {
    run(LOGGERS);
}

#[test]
fn lines_go_to_a_unix_socket_with_their_prefix() {
    compare_runs(&[], |which| {
        let folder = pair::folder();
        let socket = UnixDatagram::bind(folder.join("log")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let ini = "[uwsgi]\nplugin = logsocket\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\n\
                   log-socket = {dir}/log,web: \n";
        let server = Server::start_in(which, folder, ini);
        let mut facts = Facts::default();
        // The socket's queue holds ten lines: those of the start may fill it.
        let line = server.wait_for("the line", |server| {
            server.get("/say?OVER-THE-SOCKET");
            let mut buffer = [0; 8192];
            let mut received = std::iter::from_fn(|| {
                let length = socket.recv(&mut buffer).ok()?;
                Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
            });
            received.find(|text| text.contains("OVER-THE-SOCKET"))
        });
        facts.note("datagram", format!("{line:?}"));
        facts
    });
}

const FILES: &[Case] = &[
    Case {
        // A logger's file is named from the app's directory, that of logto from where it began.
        options: &["logger", "logto"],
        ini: "plugin = logfile\nchdir = {dir}/sub\nlogto = main.log\nlogger = stdio\n\
              logger = file:named.log\n",
        files: &[("sub/empty", "")],
        see: |server, facts| {
            server.get("/say?HERE");
            for name in ["named.log", "main.log", "sub/named.log", "sub/main.log"] {
                let is_there = matches!(name, "main.log" | "sub/named.log");
                if is_there {
                    server.wait_for(name, |server| {
                        server.folder().read(name).contains("HERE").then_some(())
                    });
                }
                facts.note(name, server.folder().join(name).exists());
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["logto", "logfile-chmod", "log-truncate"],
        ini: "logto = {dir}/app.log\nlogfile-chmod = 604\nlog-truncate = true\n",
        files: &[("app.log", "OLD\n")],
        see: |server, facts| {
            server.get("/say?NEW");
            line(server, app_log, "NEW");
            facts.note("old", app_log(server).contains("OLD"));
            let mode = server.folder().join("app.log").metadata().unwrap();
            facts.note("mode", format!("{:o}", mode.permissions().mode() & 0o777));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["logto"],
        ini: "logto = {dir}/app.log\n",
        files: &[("app.log", "OLD\n")],
        see: |server, facts| {
            server.get("/say?NEW");
            line(server, app_log, "NEW");
            facts.note("old", app_log(server).starts_with("OLD\n"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["log-maxsize", "log-backupname"],
        ini: "logto = {dir}/app.log\nlog-maxsize = 20000\nlog-backupname = {dir}/old.log\n",
        see: |server, facts| {
            let text = "x".repeat(1000);
            for _ in 0..25 {
                server.get(&format!("/say?{text}"));
            }
            server.wait_for("the rotated file", |server| {
                server.folder().join("old.log").exists().then_some(())
            });
            // A line may still meet the old file.
            server.wait_for("a line in the new file", |server| {
                server.get("/say?AFTER");
                app_log(server).contains("AFTER").then_some(())
            });
            let old = server.folder().read("old.log");
            facts.note("the old file holds the lines", old.contains(&text));
            facts.note("its end tells where it went", old.contains("old.log"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["logger"],
        ini: "plugin = logfile\n\
              logger = file:logfile={dir}/app.log,maxsize=5000,backupname={dir}/old.log\n",
        see: |server, facts| {
            let text = "x".repeat(1000);
            for _ in 0..6 {
                server.get(&format!("/say?{text}"));
            }
            server.wait_for("the rotated file", |server| {
                server.folder().join("old.log").exists().then_some(())
            });
            facts.note(
                "the old file holds the lines",
                server.folder().read("old.log").contains(&text),
            );
        },
        ..Case::PLAIN
    },
];

#[test]
fn log_files_are_made_and_rotated_as_by_the_original() {
    run(FILES);
}

/// All that the stats server sends to who asks as a browser does.
fn stats(server: &Server) -> String {
    use std::io::Write;
    let address = Address::Unix(server.folder().join("stats"));
    server.wait_for("the stats", |_| {
        let mut exchange = Exchange::connect(&address).ok()?;
        let _ = exchange.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let raw = exchange.read_all().ok()?;
        let text = String::from_utf8(raw).ok()?;
        text.contains("\"accepting\":").then_some(text)
    })
}

const STATS: &[Case] = &[
    Case {
        options: &["stats-http"],
        ini: "stats = {dir}/stats\nstats-http = true\n",
        see: |server, facts| {
            server.get("/nothing");
            let text = stats(server);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            facts.note("head", head);
            facts.note("body", body.starts_with('{'));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["stats-minified"],
        ini: "stats = {dir}/stats\nstats-minified = true\n",
        see: |server, facts| {
            server.get("/nothing");
            facts.note("lines", stats(server).trim_end().lines().count());
        },
        ..Case::PLAIN
    },
    Case {
        options: &["stats-no-cores"],
        ini: "stats = {dir}/stats\nstats-no-cores = true\n",
        see: |server, facts| {
            server.get("/nothing");
            facts.note("cores", stats(server).contains("\"cores\""));
        },
        ..Case::PLAIN
    },
];

#[test]
fn the_stats_look_as_the_original_makes_them() {
    run(STATS);
}
