//! No request is lost: by reloads, by the emperor's death, by a master's, by a stop.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::sites::uwsgi_pass;
use super::support::{
    Address, Alone, Empire, Folder, Load, Nginx, Signal, Tally, Wrk, is_alive, repository, require,
    send, skips_without, uwsgi_get, wait_for, wrk,
};

const TOUCHES: u32 = 20;

fn ini(processes: u32, more: &str) -> String {
    let app = repository().join("tests/apps/counting.py");
    format!(
        "[uwsgi]\nsocket = {{dir}}/s\nwsgi-file = {}\nprocesses = {processes}\ndisable-logging = true\n{more}",
        app.display()
    )
}

/// Load from wrk behind nginx, with 16 connections, until it is told to stop.
pub(crate) struct Browsers {
    wrk: Option<Child>,
}

impl Browsers {
    pub(crate) fn start(nginx: &Nginx) -> Self {
        let mut command = wrk(nginx.port(), "/", 16, 600);
        let wrk = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self {
            wrk: Some(wrk.expect("wrk")),
        }
    }

    pub(crate) fn stop(mut self) -> Wrk {
        let child = self.wrk.take().expect("it runs");
        // At SIGINT it ends its requests and prints what it counted.
        send(i32::try_from(child.id()).unwrap(), Signal::INT);
        Wrk::read(&child.wait_with_output().expect("wrk's output"))
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        if let Some(mut child) = self.wrk.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The mark of the code's load that answers now.
fn load_mark(empire: &Empire) -> Option<String> {
    let reply = uwsgi_get(empire.path("s"), "/").ok()?;
    let text = reply.text();
    (reply.status == 200).then(|| text.split(' ').next().unwrap_or("").to_owned())
}

/// Touches the ini; waits until the code that is loaded then is the only one that answers.
#[track_caller]
fn touch_and_wait(empire: &Empire) {
    let before = load_mark(empire).expect("an answer");
    empire.touch("app.ini");
    empire.wait_for("the next generation", |empire| {
        (0..5)
            .all(|_| load_mark(empire).is_some_and(|mark| mark != before))
            .then_some(())
    });
}

/// Master, mold and workers of the app, once nothing drains or starts.
fn calm(empire: &Empire) -> Vec<i32> {
    empire.wait_for("no worker that starts or drains", |empire| {
        let app = empire.app("app");
        let status = &app["status"];
        let workers = status["workers"].as_array()?;
        let serves = |worker: &Value| {
            worker["state"] == "accepting" && worker["generation"] == status["generation"]
        };
        let is_calm = app["condition"] == "serving" && workers.iter().all(serves);
        let pids = workers.iter().map(|worker| &worker["pid"]);
        let pids = pids
            .chain([&app["pid"], &status["mold"]])
            .filter_map(Value::as_i64);
        is_calm.then(|| pids.map(|pid| i32::try_from(pid).expect("a pid")).collect())
    })
}

#[track_caller]
fn assert_all_live(pids: &[i32], empire: &Empire) {
    let dead: Vec<&i32> = pids.iter().filter(|&&pid| !is_alive(pid)).collect();
    assert!(
        dead.is_empty(),
        "{dead:?} of {pids:?} ended\n{}",
        empire.report()
    );
}

/// Every process below the emperor.
fn below(empire: &Empire) -> Vec<i32> {
    let me = empire.pid();
    empire
        .family()
        .into_iter()
        .filter(|&pid| pid != me)
        .collect()
}

fn reloads_and_the_emperors_death_lose_nothing(processes: u32) {
    let there = Nginx::is_installed() && require("wrk").is_some();
    if skips_without("nginx or wrk", there) {
        return;
    }
    let text = ini(processes, "");
    let mut empire = Empire::start(&[("app.ini", &text)]);
    let socket = empire.path("s");
    empire.wait_for("an answer", load_mark);
    let nginx = Nginx::start(&empire.folder, &uwsgi_pass(&Address::Unix(socket.clone())));
    let browsers = Browsers::start(&nginx);
    let load = Load::http(nginx.address(), 2, "/");
    load.wait_for_more(100);

    for _ in 0..TOUCHES {
        touch_and_wait(&empire);
    }

    let before = calm(&empire);
    empire.send(Signal::KILL);
    load.wait_for_more(200);
    assert_all_live(&before, &empire);

    empire.start_again();
    empire.wait_serving("app");
    load.wait_for_more(200);
    assert_all_live(&before, &empire);
    assert_eq!(before, calm(&empire), "the next emperor did not adopt");
    // It governs: a touch reloads.
    touch_and_wait(&empire);
    load.wait_for_more(100);

    let tally = load.stop();
    let counted = browsers.stop();
    let report = || format!("{}\n{}", nginx.report(), empire.report());
    tally.must_be_clean(500, report);
    assert!(counted.requests > 1000, "{counted:?}");
    assert_eq!(
        (counted.non_2xx, counted.socket_errors),
        (0, 0),
        "{}\n{}",
        counted.text,
        report()
    );
}

#[test]
fn two_workers_under_load_lose_nothing_by_20_touches_and_the_emperors_death() {
    reloads_and_the_emperors_death_lose_nothing(2);
}

#[test]
fn one_worker_under_load_loses_nothing_by_20_touches_and_the_emperors_death() {
    reloads_and_the_emperors_death_lose_nothing(1);
}

#[test]
fn a_killed_master_under_load_loses_nothing() {
    let text = ini(2, "");
    let empire = Empire::start(&[("app.ini", &text)]);
    let socket = empire.path("s");
    empire.wait_for("an answer", load_mark);
    let load = Load::uwsgi(socket.clone(), 8, "/");
    load.wait_for_more(100);
    let workers: Vec<i32> = below(&empire);
    let master = master_of(&empire);
    send(master, Signal::KILL);
    load.wait_for_more(100);
    empire.wait_for("new workers", |empire| {
        let all_new = workers.iter().all(|&pid| !is_alive(pid));
        (all_new && !below(empire).is_empty()).then_some(())
    });
    load.wait_for_more(100);
    load.stop().must_be_clean(300, || empire.report());
}

/// The process that the workers are children of.
fn master_of(empire: &Empire) -> i32 {
    let emperor = empire.pid();
    let parent = |pid: i32| -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(')')?
            .1
            .split_ascii_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    let below = below(empire);
    *below
        .iter()
        .find(|&&pid| parent(pid) == Some(emperor))
        .unwrap_or_else(|| panic!("no master\n{}", empire.report()))
}

#[test]
fn a_reload_of_the_emperor_under_load_loses_nothing() {
    let text = ini(2, "");
    let empire = Empire::start(&[("app.ini", &text)]);
    empire.wait_for("an answer", load_mark);
    let load = Load::uwsgi(empire.path("s"), 8, "/");
    for _ in 0..5 {
        let before = empire.wait_for("an answer", load_mark);
        empire.send(Signal::HUP);
        empire.wait_for("the next generation", |empire| {
            load_mark(empire).filter(|mark| *mark != before)
        });
    }
    load.wait_for_more(100);
    load.stop().must_be_clean(300, || empire.report());
}

/// Load directly on the app's socket; then the stop. Requests that were connected are answered;
/// later ones find nobody, and that is no failure.
fn stop_under_load(
    load: Load,
    stop: impl FnOnce(),
    ended: impl FnOnce(),
    report: impl Fn() -> String,
) {
    load.wait_for_more(200);
    stop();
    ended();
    let Tally {
        answered,
        failed,
        refused,
    } = load.stop();
    assert!(
        failed.is_empty(),
        "{failed:#?}, {answered} answered, {refused} refused\n{}",
        report()
    );
    assert!(refused > 0, "the load ended before the server did");
}

fn stops_a_master_alone(stop: impl Fn(&mut Alone)) {
    let folder = Folder::new();
    let mut app = Alone::start_in(folder, &ini(2, "threads = 2\n"));
    let socket = app.path("s");
    app.wait_for("an answer", |_| uwsgi_get(socket.as_path(), "/").ok());
    let load = Load::uwsgi(socket.clone(), 16, "/");
    load.wait_for_more(100);
    let app = std::cell::RefCell::new(&mut app);
    stop_under_load(
        load,
        || stop(&mut app.borrow_mut()),
        || assert_eq!(app.borrow_mut().wait_for_end(), 0),
        || app.borrow().report(),
    );
    let left = app.borrow().family();
    assert_eq!(left, Vec::<i32>::new());
    assert!(!socket.exists(), "the socket is left");
}

#[test]
fn ctrl_c_under_load_loses_no_connected_request() {
    stops_a_master_alone(|app| app.process().send_group(Signal::INT));
}

#[test]
fn quit_to_every_process_under_load_loses_no_connected_request() {
    stops_a_master_alone(|app| {
        for pid in app.family() {
            send(pid, Signal::QUIT);
        }
    });
}

#[test]
fn term_to_every_process_under_load_loses_no_connected_request() {
    stops_a_master_alone(|app| {
        for pid in app.family() {
            send(pid, Signal::TERM);
        }
    });
}

#[test]
fn a_stopped_emperor_under_load_loses_no_connected_request() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let text = ini(2, "");
        let mut empire = Empire::start(&[("app.ini", &text)]);
        empire.wait_for("an answer", load_mark);
        let load = Load::uwsgi(empire.path("s"), 16, "/");
        load.wait_for_more(100);
        let empire = std::cell::RefCell::new(&mut empire);
        stop_under_load(
            load,
            || {
                // As systemd does with KillMode=control-group: everybody gets it at once.
                for pid in empire.borrow().family() {
                    send(pid, signal);
                }
            },
            || assert_eq!(empire.borrow_mut().wait_for_end(), 0),
            || empire.borrow().report(),
        );
        wait_for(
            "the last process",
            || empire.borrow().report(),
            || empire.borrow().family().is_empty().then_some(()),
        );
    }
}

#[test]
fn a_slow_request_under_load_outlives_the_reload() {
    let text = ini(1, "");
    let empire = Empire::start(&[("app.ini", &text)]);
    empire.wait_for("an answer", load_mark);
    let load = Load::uwsgi(empire.path("s"), 4, "/slow");
    load.wait_for_more(4);
    for _ in 0..3 {
        let before = load.answered();
        empire.touch("app.ini");
        empire.wait_for("more answers", |_| {
            (load.answered() > before + 4).then_some(())
        });
    }
    load.stop().must_be_clean(16, || empire.report());
}
