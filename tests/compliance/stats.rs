//! The stats socket: its JSON is what uwsgitop, exporters and dashboards read.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::pair::{Server, compare};
use super::support::{Address, Exchange, Vars, background, skips_without, test_env, uwsgi};

const INI: &str = "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/facts.py
processes = 2
threads = 2
stats = {dir}/stats
memory-report = true
";

fn stats(server: &Server) -> Value {
    let address = Address::Unix(server.folder().join("stats"));
    server.wait_for("the stats of two workers that are up", |_| {
        let raw = Exchange::connect(&address).ok()?.read_all().ok()?;
        let stats: Value = serde_json::from_slice(&raw).ok()?;
        let up = |worker: &Value| worker["status"] == "idle" && worker["pid"].as_i64() > Some(0);
        let workers = stats["workers"].as_array()?;
        (workers.len() == 2 && workers.iter().all(up)).then_some(stats)
    })
}

fn keys(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn the_stats_hold_what_uwsgitop_reads() {
    compare(&[], INI, |server, facts| {
        for _ in 0..5 {
            server.get("/headers");
        }
        server.get("/boom");
        let stats = stats(server);
        let worker = &stats["workers"][0];
        // Every key of the original, with the type of its value.
        for (name, value) in [
            ("top", &stats),
            ("socket", &stats["sockets"][0]),
            ("worker", worker),
            ("app", &worker["apps"][0]),
            ("core", &worker["cores"][0]),
        ] {
            for key in keys(value) {
                let kind = match &value[&key] {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "number",
                    Value::String(_) => "text",
                    Value::Array(_) => "list",
                    Value::Object(_) => "object",
                };
                facts.note(format!("{name}: {key}"), kind);
            }
        }
        let sum = |key: &str| -> i64 {
            let workers = stats["workers"].as_array().unwrap();
            workers
                .iter()
                .filter_map(|worker| worker[key].as_i64())
                .sum()
        };
        facts.note("requests", sum("requests"));
        facts.note("exceptions", sum("exceptions"));
        facts.note(
            "cores of a worker",
            worker["cores"].as_array().map_or(0, Vec::len),
        );
        // Of a worker that had a request: the original looks at its end.
        facts.note("memory is reported", sum("rss") > 1_000_000);
        facts.note("bytes sent are counted", sum("tx") > 500);
    });
}

#[test]
fn the_stats_of_a_running_request_hold_no_cookie_here() {
    let row = "`vars` of a core in the stats";
    compare(&[("cookie", row)], INI, |server, facts| {
        let socket = server.socket();
        let vars = Vars::request("GET", "/slow?1").with("HTTP_COOKIE", "sessionid=secret");
        background(move || drop(uwsgi(&Address::Unix(socket), &vars, b"")));
        let address = Address::Unix(server.folder().join("stats"));
        let text = server.wait_for("the stats of a running request", |_| {
            let raw = Exchange::connect(&address).ok()?.read_all().ok()?;
            let text = String::from_utf8(raw).ok()?;
            let stats: Value = serde_json::from_str(&text).ok()?;
            let runs = |core: &Value| core["in_request"] == 1;
            let workers = stats["workers"].as_array()?;
            let mut cores = workers
                .iter()
                .filter_map(|worker| worker["cores"].as_array());
            cores.any(|cores| cores.iter().any(runs)).then_some(text)
        });
        facts.note("cookie", text.contains("sessionid=secret"));
    });
}

#[test]
fn uwsgitop_shows_the_workers() {
    let uwsgitop = test_env().join("bin/uwsgitop");
    if skips_without("uwsgitop", uwsgitop.exists()) {
        return;
    }
    compare(&[], INI, |server, facts| {
        server.get("/headers");
        let pids: Vec<String> = stats(server)["workers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|worker| worker["pid"].to_string())
            .collect();
        let socket = server.folder().join("stats");
        // script(1) gives it the terminal that it wants; it runs until it is told to end: longer
        // where the machine is busy.
        let look = |seconds: &str| {
            let output = Command::new("timeout")
                .args(["--kill-after=1", seconds])
                .args(["script", "--quiet", "--return", "--command"])
                .arg(format!(
                    "stty cols 150 rows 40; {} {}",
                    uwsgitop.display(),
                    socket.display()
                ))
                .arg("/dev/null")
                .env("TERM", "xterm")
                .stdin(Stdio::null())
                .output()
                .expect("timeout and script");
            let screen = String::from_utf8_lossy(&output.stdout).into_owned();
            let shown = pids.iter().filter(|pid| screen.contains(*pid)).count();
            (shown, screen)
        };
        let looks = ["2", "8", "25"].iter().map(|seconds| look(seconds));
        let mut looks =
            looks.skip_while(|(shown, screen)| *shown < 2 && !screen.contains("Traceback"));
        let (shown, screen) = looks.next().unwrap_or_default();
        assert!(!screen.contains("Traceback"), "{screen}");
        assert_eq!(shown, 2, "{screen}");
        facts.note("workers on the screen", shown);
    });
}
