//! The unit file under a systemd that is really booted: one boot, and each promise checked by name.

#![expect(
    clippy::disallowed_methods,
    reason = "tests stand at the edge: they read clocks and wait"
)]

#[path = "../support/mod.rs"]
mod support;

mod container;
mod sleep;
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use container::{Container, missing, text_of};
use support::{Load, free_port, repository, skips_without, uwsgi_get, wait_for};

/// Where the unit file looks for its vassals.
const VASSALS: &str = "/etc/imperator/vassals";
const UNIT: &str = "/etc/systemd/system/imperator.service";

/// Says who it is, and a line for the log when asked at `/say`.
const APP: &str = r#"
import os
print("a line at import", flush=True)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/say":
        print("a line at a request\nand a second one", flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d %d" % (os.getpid(), os.getppid(), os.getuid())]
"#;

#[test]
fn the_unit_keeps_its_promises_under_a_booted_systemd() {
    if let Some(what) = missing() {
        skips_without(what, false);
        return;
    }
    let system = Container::boot();
    if skips_without("the unit file", unit().exists()) {
        return;
    }
    install(&system);
    let mut checks = Checks::default();
    for (name, check) in CHECKS {
        checks.run(name, || check(&system));
    }
    assert!(
        checks.failed.is_empty(),
        "failed: {:#?}\n{}",
        checks.failed,
        system.report()
    );
}

type Check = fn(&Container);

/// In this order: each starts from what the one before left.
const CHECKS: &[(&str, Check)] = &[
    ("enable and start", enable_and_start),
    ("READY only when the apps accept", ready_when_apps_accept),
    (
        "systemctl status shows the Emperor's sentence",
        status_sentence,
    ),
    ("a dropped file serves", a_dropped_file_serves),
    ("an app changes its user", an_app_changes_its_user),
    (
        "the journal names the app on every line",
        journal_names_the_app,
    ),
    ("reload loses no request", reload_loses_no_request),
    ("kill -9 of a worker heals", killed_worker_heals),
    ("kill -9 of a master heals", killed_master_heals),
    (
        "kill -9 of the emperor changes no other pid, and the next one adopts",
        killed_emperor,
    ),
    (
        "a hung emperor is replaced by the watchdog, and apps serve on",
        watchdog,
    ),
    (
        "restart drains, and its sockets wait in the store: nobody is refused",
        restart_refuses_nobody,
    ),
    (
        "a restart drops the socket of an app that is gone, and keeps a stopped app stopped",
        restart_drops_what_is_gone,
    ),
    (
        "a store that is too small is told, and who is in it is refused nobody",
        store::small_store,
    ),
    (
        "a sleeping app has no process at all, and kill -9 of the emperor refuses it nobody",
        sleeping_app,
    ),
    (
        "stop leaves no process and no socket behind",
        stop_leaves_nothing,
    ),
];

#[derive(Default)]
struct Checks {
    failed: Vec<&'static str>,
}

impl Checks {
    fn run(&mut self, name: &'static str, check: impl FnOnce()) {
        let start = Instant::now();
        // One broken promise says nothing about the others.
        let good = catch_unwind(AssertUnwindSafe(check)).is_ok();
        let word = if good { "ok    " } else { "FAILED" };
        eprintln!("{word} {name} ({:.1} s)", start.elapsed().as_secs_f64());
        if !good {
            self.failed.push(name);
        }
    }
}

fn unit() -> PathBuf {
    repository().join("crates/cli/dist/imperator.service")
}

/// The files that a package would bring, and three apps: a good one that takes a second to import,
/// one that cannot be imported, and one with the rights of another user.
fn install(system: &Container) {
    let text = fs::read_to_string(unit()).expect("the unit file");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let program = line
        .and_then(|line| line.split_whitespace().next())
        .expect("ExecStart=");
    system.write(UNIT, &text);
    system.install(env!("CARGO_BIN_EXE_imperator").as_ref(), program);
    let extension =
        PathBuf::from(env!("CARGO_BIN_EXE_imperator")).with_file_name("libimperator_python.so");
    assert!(
        extension.exists(),
        "no {}: cargo build makes it",
        extension.display()
    );
    let directory = program
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    system.install(&extension, &format!("{directory}/libimperator_python.so"));
    system.write("/srv/app.py", APP);
    system.write(
        "/srv/slow.py",
        &format!("import time\ntime.sleep(1)\n{APP}"),
    );
    system.write(
        "/srv/broken.py",
        "raise RuntimeError('this app is broken')\n",
    );
    vassal(system, "slow", "wsgi-file = /srv/slow.py\nprocesses = 2");
    vassal(system, "broken", "wsgi-file = /srv/broken.py");
}

fn vassal(system: &Container, name: &str, lines: &str) {
    let text = format!(
        "[uwsgi]\nsocket = /srv/{name}.sock\nchmod-socket = 666\ndisable-logging = true\n{lines}\n"
    );
    system.write(&format!("{VASSALS}/{name}.ini"), &text);
}

fn socket(system: &Container, name: &str) -> PathBuf {
    system.path(&format!("/srv/{name}.sock"))
}

/// What an app says about itself: pid, parent, user.
fn ask(system: &Container, name: &str) -> Option<[i32; 3]> {
    let reply = uwsgi_get(socket(system, name), "/").ok()?;
    let text = reply.text();
    let mut numbers = text.split(' ').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

#[track_caller]
fn answers(system: &Container, name: &str) -> [i32; 3] {
    wait_for("an answer", || system.report(), || ask(system, name))
}

/// The unit's pids without the emperor's: masters, molds, workers.
fn below_the_emperor(system: &Container) -> BTreeSet<i32> {
    let emperor = system.main_pid();
    system
        .service_processes()
        .into_keys()
        .filter(|pid| *pid != emperor)
        .collect()
}

#[track_caller]
fn wait_for_status(system: &Container, sentence: &str) {
    wait_for(
        sentence,
        || system.report(),
        || {
            system
                .property("StatusText")
                .contains(sentence)
                .then_some(())
        },
    );
}

/// Waits until no app has anything under way: one generation each, whose workers accept.
#[track_caller]
fn settle(system: &Container) {
    let is_calm = |app: &Value| {
        let status = &app["status"];
        let workers = status["workers"].as_array();
        let calm = |worker: &Value| {
            worker["generation"] == status["generation"] && worker["state"] == "accepting"
        };
        status["state"] == "serving"
            && status["next"].is_null()
            && workers.is_some_and(|workers| workers.iter().all(calm))
    };
    wait_for(
        "all apps to be calm",
        || system.report(),
        || {
            let output = system.run(&["imperator", "status", "--json"]);
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            let apps = status["apps"].as_array()?;
            apps.iter().all(is_calm).then_some(())
        },
    );
}

fn kill(system: &Container, signal: &str, pid: i32) {
    system.must(&["sh", "-c", &format!("kill -{signal} {pid}")]);
}

fn enable_and_start(system: &Container) {
    system.must(&["systemctl", "daemon-reload"]);
    system.must(&["systemctl", "enable", "imperator"]);
    assert_eq!(
        system
            .must(&["systemctl", "is-enabled", "imperator"])
            .trim(),
        "enabled"
    );
    let started = Instant::now();
    system.must(&["systemctl", "start", "imperator"]);
    assert!(
        started.elapsed() > Duration::from_secs(1),
        "READY before the slow app was there"
    );
}

fn ready_when_apps_accept(system: &Container) {
    // At once, without waiting: `systemctl start` has returned, so it must accept.
    assert!(ask(system, "slow").is_some(), "{}", system.report());
}

fn status_sentence(system: &Container) {
    // At each new try the broken one is none for a moment.
    wait_for(
        "the Emperor's sentence",
        || system.report(),
        || {
            let shown = system.run(&["systemctl", "status", "--no-pager", "imperator"]);
            let status = text_of(&shown);
            let parts = ["The Emperor is governing 2 vassals", "1 failing"];
            parts.iter().all(|part| status.contains(part)).then_some(())
        },
    );
    system.remove(&format!("{VASSALS}/broken.ini"));
    wait_for_status(system, "The Emperor is governing 1 vassals");
}

fn a_dropped_file_serves(system: &Container) {
    vassal(system, "dropped", "wsgi-file = /srv/app.py");
    answers(system, "dropped");
    wait_for_status(system, "The Emperor is governing 2 vassals");
}

fn an_app_changes_its_user(system: &Container) {
    vassal(
        system,
        "user",
        "wsgi-file = /srv/app.py\nuid = www-data\ngid = www-data",
    );
    let [_, _, uid] = answers(system, "user");
    assert_eq!(uid, 33, "www-data of Debian");
}

fn journal_names_the_app(system: &Container) {
    uwsgi_get(socket(system, "dropped"), "/say").expect("an answer");
    let wanted = [
        "[dropped] a line at import",
        "[dropped] a line at a request",
        "[dropped] and a second one",
        "[user] a line at import",
    ];
    let journal = wait_for(
        "the apps' lines in the journal",
        || system.report(),
        || {
            let journal = system.journal();
            wanted
                .iter()
                .all(|line| journal.contains(line))
                .then_some(journal)
        },
    );
    for line in journal.lines() {
        let of_an_app = [
            "a line at",
            "a second one",
            "RuntimeError: this app",
            "Traceback",
        ];
        let named = ["[slow]", "[dropped]", "[user]", "[broken]"];
        if of_an_app.iter().any(|part| line.contains(part)) {
            assert!(named.iter().any(|name| line.contains(name)), "{line:?}");
        }
    }
}

fn reload_loses_no_request(system: &Container) {
    let loads = ["slow", "dropped"].map(|name| Load::uwsgi(socket(system, name), 4, "/"));
    for _ in 0..3 {
        let [before, ..] = answers(system, "dropped");
        system.must(&["systemctl", "reload", "imperator"]);
        wait_for(
            "a new generation",
            || system.report(),
            || ask(system, "dropped").filter(|[pid, ..]| *pid != before),
        );
        settle(system);
    }
    for load in loads {
        load.stop().must_be_clean(100, || system.report());
    }
}

fn killed_worker_heals(system: &Container) {
    let [worker, master, _] = answers(system, "dropped");
    kill(system, "KILL", worker);
    let [next, same_master, _] = wait_for(
        "another worker",
        || system.report(),
        || ask(system, "dropped").filter(|[pid, ..]| *pid != worker),
    );
    assert_ne!(next, worker);
    assert_eq!(same_master, master);
}

fn killed_master_heals(system: &Container) {
    let [_, master, _] = answers(system, "dropped");
    let load = Load::uwsgi(socket(system, "slow"), 2, "/");
    kill(system, "KILL", master);
    wait_for(
        "another master",
        || system.report(),
        || ask(system, "dropped").filter(|[_, parent, _]| ![master, 1].contains(parent)),
    );
    load.wait_for_more(10);
    load.stop().must_be_clean(10, || system.report());
}

fn killed_emperor(system: &Container) {
    // The next emperor also gets a short watchdog, for the check that follows.
    let watchdog = "[Service]\nWatchdogSec=5\n";
    system.write(
        "/run/systemd/system/imperator.service.d/watchdog.conf",
        watchdog,
    );
    system.must(&["systemctl", "daemon-reload"]);
    replaced_unnoticed(system, "KILL");
}

fn watchdog(system: &Container) {
    replaced_unnoticed(system, "STOP");
}

/// The emperor gets `signal`, and systemd starts the next one: no pid below it changes, no request
/// is lost, and the new one governs what it found.
fn replaced_unnoticed(system: &Container, signal: &str) {
    settle(system);
    let emperor = system.main_pid();
    let before = below_the_emperor(system);
    assert!(
        before.len() >= 5,
        "masters and workers of three apps: {before:?}"
    );
    let loads = ["slow", "dropped"].map(|name| Load::uwsgi(socket(system, name), 4, "/"));
    kill(system, signal, emperor);
    wait_for(
        "the next emperor",
        || system.report(),
        || {
            let next = system.main_pid();
            let active = system.property("ActiveState") == "active";
            (active && next != 0 && next != emperor).then_some(())
        },
    );
    wait_for_status(system, "The Emperor is governing 3 vassals");
    settle(system);
    // The new one has asked for each config; until a resolver has ended, it is seen here.
    wait_for(
        &format!("the processes to be those from before: {before:?}"),
        || system.report(),
        || (below_the_emperor(system) == before).then_some(()),
    );
    // It governs them: a change of the file reaches the master that it did not start.
    let [worker, master, _] = answers(system, "dropped");
    vassal(
        system,
        "dropped",
        &format!("wsgi-file = /srv/app.py\nenv = AFTER={signal}"),
    );
    let [_, same_master, _] = wait_for(
        "a reload by the new emperor",
        || system.report(),
        || ask(system, "dropped").filter(|[pid, ..]| *pid != worker),
    );
    assert_eq!(same_master, master);
    for load in loads {
        load.stop().must_be_clean(100, || system.report());
    }
}

/// A socket of TCP beside the Unix ones, long requests among the short ones, three times.
fn restart_refuses_nobody(system: &Container) {
    let port = free_port();
    vassal(
        system,
        "tcp",
        &format!("socket = 127.0.0.1:{port}\nwsgi-file = /srv/app.py"),
    );
    answers(system, "tcp");
    settle(system);
    wait_for_store(system, 5);
    let tcp: std::net::SocketAddr = ([127, 0, 0, 1], port).into();
    let mut loads = vec![Load::uwsgi(tcp, 2, "/")];
    loads.extend(["slow", "dropped"].map(|name| Load::uwsgi(socket(system, name), 2, "/")));
    loads.iter().for_each(|load| load.wait_for_more(20));
    for _ in 0..3 {
        let emperor = system.main_pid();
        let [worker, master, _] = answers(system, "dropped");
        system.must(&["systemctl", "restart", "imperator"]);
        assert_ne!(system.main_pid(), emperor);
        let [next, next_master, _] = answers(system, "dropped");
        assert!(
            next != worker && next_master != master,
            "a restart is a restart"
        );
        loads.iter().for_each(|load| load.wait_for_more(20));
    }
    settle(system);
    for load in loads {
        load.stop().must_be_clean(100, || system.report());
    }
    let journal = system.journal();
    assert!(journal.contains("this is a restart"), "{journal}");
    system.remove(&format!("{VASSALS}/tcp.ini"));
    wait_for_store(system, 3);
    wait_for(
        "nobody to listen for an app that is gone",
        || system.report(),
        || std::net::TcpStream::connect(tcp).is_err().then_some(()),
    );
}

fn wait_for_store(system: &Container, count: usize) {
    wait_for(
        &format!("{count} sockets in the store"),
        || system.report(),
        || (system.property("NFileDescriptorStore") == count.to_string()).then_some(()),
    );
}

fn restart_drops_what_is_gone(system: &Container) {
    for name in ["gone", "halted"] {
        vassal(system, name, "wsgi-file = /srv/app.py");
        answers(system, name);
    }
    settle(system);
    wait_for_store(system, 5);
    system.must(&["imperator", "stop", "halted"]);
    wait_for_store(system, 4);
    let drop_in = "/run/systemd/system/imperator.service.d/gone.conf";
    system.write(
        drop_in,
        &format!("[Service]\nExecStartPre=/bin/rm -f {VASSALS}/gone.ini\n"),
    );
    system.must(&["systemctl", "daemon-reload"]);
    system.must(&["systemctl", "restart", "imperator"]);
    answers(system, "dropped");
    wait_for_store(system, 3);
    wait_for(
        "the socket file of the app that is gone to go",
        || system.report(),
        || (!socket(system, "gone").exists()).then_some(()),
    );
    assert!(ask(system, "halted").is_none(), "{}", system.report());
    system.remove(drop_in);
    system.remove(&format!("{VASSALS}/halted.ini"));
    system.must(&["systemctl", "daemon-reload"]);
}

fn sleeping_app(system: &Container) {
    settle(system);
    let before = below_the_emperor(system);
    vassal(
        system,
        "sleeper",
        "wsgi-file = /srv/app.py\non-demand = true",
    );
    wait_for_store(system, 4);
    let asleep = || {
        let output = system.run(&["imperator", "status", "--json", "sleeper"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let app = &status["apps"][0];
        (app["condition"] == "asleep" && app["pid"].is_null()).then_some(())
    };
    wait_for("the app to sleep", || system.report(), asleep);
    wait_for(
        "no process more than before",
        || system.report(),
        || (below_the_emperor(system) == before).then_some(()),
    );
    // Before, while and after the emperor is killed.
    let load = Load::uwsgi(socket(system, "sleeper"), 1, "/");
    load.wait_for_more(5);
    load.stop().must_be_clean(5, || system.report());
    vassal(
        system,
        "sleeper",
        "wsgi-file = /srv/app.py\non-demand = true\nidle = 2",
    );
    wait_for("the app to sleep again", || system.report(), asleep);
    let emperor = system.main_pid();
    kill(system, "KILL", emperor);
    let load = Load::uwsgi(socket(system, "sleeper"), 2, "/");
    load.wait_for_more(5);
    load.stop().must_be_clean(5, || system.report());
    assert_ne!(system.main_pid(), emperor);
    wait_for("the app to sleep once more", || system.report(), asleep);
    sleep::over_emperors(system, &asleep);
}

fn stop_leaves_nothing(system: &Container) {
    system.must(&["systemctl", "stop", "imperator"]);
    assert_eq!(
        system.property("ActiveState"),
        "inactive",
        "{}",
        system.report()
    );
    let left = system.service_processes();
    assert!(left.is_empty(), "left: {left:#?}\n{}", system.report());
    for name in ["slow", "dropped", "user", "sleeper"] {
        let path = socket(system, name);
        assert!(!path.exists(), "{} is left", path.display());
    }
    let runtime = system.path("/run/imperator");
    assert!(!runtime.exists(), "{} is left", runtime.display());
}
