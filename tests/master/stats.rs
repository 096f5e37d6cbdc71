//! The stats server, in the original's shape.

use std::io::Read;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::apps::{ask, serving, start};
use crate::support::Alone;

pub(crate) fn stats(app: &Alone) -> Option<Value> {
    let mut text = String::new();
    let mut stream = UnixStream::connect(app.path("stats.sock")).ok()?;
    stream.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[test]
fn the_stats_have_what_tools_read() {
    let app = start("processes = 2\nthreads = 2\nstats = {dir}/stats.sock");
    serving(&app);
    for _ in 0..5 {
        ask(&app, "/").unwrap();
    }
    let stats = app.wait_for("six requests in the stats", |app| {
        let stats = stats(app)?;
        let workers = stats["workers"].as_array()?;
        let requests: u64 = workers
            .iter()
            .filter_map(|it| it["requests"].as_u64())
            .sum();
        let at_rest = |it: &Value| {
            it["status"] == "idle" && it["accepting"] == 1 && it["rss"].as_u64() > Some(1_000_000)
        };
        (requests >= 6 && workers.iter().all(at_rest)).then_some(stats)
    });
    assert_eq!(stats["pid"].as_i64(), Some(i64::from(app.pid())));
    assert_eq!(stats["sockets"][0]["proto"], "uwsgi");
    let workers = stats["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for (index, worker) in workers.iter().enumerate() {
        assert_eq!(worker["id"].as_u64(), Some(index as u64 + 1));
        for key in [
            "pid",
            "accepting",
            "requests",
            "delta_requests",
            "exceptions",
            "harakiri_count",
            "signals",
            "signal_queue",
            "rss",
            "vsz",
            "running_time",
            "last_spawn",
            "respawn_count",
            "tx",
            "avg_rt",
        ] {
            assert!(worker[key].is_u64(), "{key}: {worker:#}");
        }
        assert_eq!(
            (&worker["status"], &worker["accepting"]),
            (&"idle".into(), &1.into())
        );
        assert_eq!(worker["cores"].as_array().unwrap().len(), 2);
        assert!(worker["rss"].as_u64().unwrap() > 1_000_000);
    }
}

#[test]
fn a_running_request_is_seen_without_its_cookies() {
    let app = start("stats = {dir}/stats.sock");
    serving(&app);
    let socket = app.path("app.sock");
    crate::support::background(move || {
        let vars = crate::support::Vars::request("GET", "/slow?60")
            .with("HTTP_COOKIE", "sessionid=secret");
        let _ = crate::support::uwsgi(&socket.into(), &vars, b"");
    });
    let stats = app.wait_for("a busy worker", |app| {
        stats(app).filter(|it| it["workers"][0]["status"] == "busy")
    });
    assert_eq!(stats["workers"][0]["cores"][0]["in_request"], 1);
    assert!(!stats.to_string().contains("secret"));
}
