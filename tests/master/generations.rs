//! What a generation must do before it serves, how it takes over, and what runs when it does not.

use std::time::Duration;

use crate::apps::{
    APP, ask, folder, ini, pid_of, serving, start, start_in, wait_log, wait_version,
};
use crate::support::{Alone, Load, Signal, is_alive, send};

/// An app that answers `/health` with what this code returns: a status line and a text.
fn healthy(code: &str) -> String {
    format!(
        "{APP}
inner = application

def health(environ):
    {code}

def application(environ, start_response):
    if environ['PATH_INFO'] != '/health':
        return inner(environ, start_response)
    status, text = health(environ)
    start_response(status, [])
    return [text.encode()]
"
    )
}

/// Brings the app to reload this code, and waits for the failure of its generation.
#[track_caller]
fn fails(app: &Alone, generation: u32, code: &str, texts: &[&str]) {
    app.folder.write("app.py", code);
    app.send(Signal::HUP);
    app.wait_for(&format!("generation {generation} to fail"), |app| {
        let log = app.log();
        let told = log.split_once(&format!("generation {generation} failed: "))?;
        texts.iter().all(|text| told.1.contains(text)).then_some(())
    });
}

#[test]
fn a_generation_must_answer_its_ready_request_before_it_serves() {
    let tells = "open('asked', 'a').write('%s %s %s %d\\n' % (environ['HTTP_HOST'], \
                 environ['QUERY_STRING'], environ['REQUEST_METHOD'], os.getpid()))\n    \
                 return '302 Found', 'x' * 1000000";
    let lines = "processes = 2\nready-request = /health?full=1\nready-host = www.example.org\nready-timeout = 60";
    let app = start_in(folder(&healthy(tells)), lines);
    let before = pid_of(&serving(&app));
    let asked = app.folder.read("asked");
    let asked: Vec<_> = asked
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .collect();
    assert_eq!(asked.len(), 2, "each worker is asked: {asked:?}");
    assert_ne!(asked[0].1, asked[1].1, "by its own process: {asked:?}");
    for (what, _) in asked {
        assert_eq!(what, "www.example.org full=1 GET");
    }
    let load = Load::uwsgi(app.path("app.sock"), 2, "/");
    fails(
        &app,
        2,
        &healthy("return '503 Busy', 'the database is away'"),
        &[
            "app.ini:7: ",
            "ready-request = /health?full=1 was answered 503 Service Unavailable, not 2xx or 3xx",
            "generation 1 serves on",
        ],
    );
    fails(
        &app,
        3,
        &healthy("return '400 Bad Request', 'Invalid HTTP_HOST header'"),
        &[
            "was answered 400 Bad Request",
            "the app refuses the Host \"www.example.org\"",
            "hint: ",
            "ready-host",
        ],
    );
    fails(
        &app,
        4,
        &healthy("1 / 0"),
        &["was answered 500 Internal Server Error"],
    );
    wait_log(&app, "ZeroDivisionError");
    load.wait_for_more(20);
    load.stop().must_be_clean(20, || app.report());
    assert!(is_alive(before), "{}", app.report());
    app.folder.write(
        "app.py",
        &healthy("return '204 No Content', ''").replace("\"one\"", "\"two\""),
    );
    app.send(Signal::HUP);
    wait_version(&app, "two");
}

#[test]
fn a_ready_request_that_is_not_answered_is_told_with_its_stack() {
    let app = start_in(
        folder(&healthy("return '200 OK', ''")),
        "ready-request = /health\nready-timeout = 5",
    );
    let before = pid_of(&serving(&app));
    fails(
        &app,
        2,
        &healthy("time.sleep(1000)"),
        &["ready-request = /health was not answered within 5 s"],
    );
    wait_log(&app, "in health");
    assert_eq!(pid_of(&serving(&app)), before);
}

#[test]
fn a_worker_that_is_replaced_is_not_asked_again() {
    let code = "return ('503 No', '') if os.path.exists('sick') else ('200 OK', '')";
    let app = start_in(folder(&healthy(code)), "ready-request = /health");
    let before = pid_of(&serving(&app));
    app.folder.write("sick", "");
    send(before, Signal::KILL);
    app.wait_for("its replacement", |app| {
        ask(app, "/").filter(|facts| pid_of(facts) != before)
    });
    assert!(!app.log().contains(" failed: "), "{}", app.report());
}

#[test]
fn what_loads_is_killed_first_when_memory_runs_out_and_what_serves_is_not() {
    let adjusted = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?;
        text.trim().parse::<i32>().ok()
    };
    let own = adjusted(i32::try_from(std::process::id()).unwrap()).unwrap();
    let slow = format!(
        "import os, time\nopen('loading', 'w').write(str(os.getpid()))\n\
         while not os.path.exists('go'):\n    time.sleep(0.01)\n{APP}"
    );
    for lines in ["processes = 2", ""] {
        let app = start_in(folder(&slow), lines);
        let loading = app.wait_for("the import", |app| {
            let text = std::fs::read_to_string(app.path("loading")).ok()?;
            text.parse::<i32>().ok()
        });
        app.wait_for("a higher value", |_| {
            (adjusted(loading)? == (own + 500).min(1000)).then_some(())
        });
        app.folder.write("go", "");
        serving(&app);
        app.wait_for("the usual value", |app| {
            let mut all = app.family().into_iter();
            all.all(|pid| adjusted(pid) == Some(own)).then_some(())
        });
    }
}

/// Each start and each end of a worker, in one file.
fn counted(version: &str) -> String {
    let code = "import atexit, os\n\ndef tell(what):\n    with open('workers', 'a') as file:\n        \
                file.write(what)\n\ntell('+')\natexit.register(tell, '-')\n";
    format!(
        "{code}{}",
        APP.replace("\"one\"", &format!("\"{version}\""))
    )
}

#[test]
fn an_overlap_of_one_has_one_worker_more_than_usual_and_loses_nothing() {
    let app = start_in(
        folder(&counted("one")),
        "processes = 3\nlazy-apps = true\nreload-overlap = 1",
    );
    serving(&app);
    let load = Load::uwsgi(app.path("app.sock"), 4, "/");
    load.wait_for_more(50);
    for version in ["two", "three"] {
        app.folder.write("app.py", &counted(version));
        app.send(Signal::HUP);
        let generation = if version == "two" { 2 } else { 3 };
        let done = "+".repeat(3 * generation).len();
        app.wait_for(version, |app| {
            let text = app.folder.read("workers");
            let count = |what: char| text.matches(what).count();
            (count('+') == done && count('-') == done - 3).then_some(())
        });
        load.wait_for_more(50);
        assert_eq!(ask(&app, "/").unwrap()["version"], version);
    }
    load.stop().must_be_clean(100, || app.report());
    let (mut now, mut most) = (0, 0);
    for what in app.folder.read("workers").chars() {
        now += if what == '+' { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!(most, 4, "{}", app.folder.read("workers"));
}

#[test]
fn an_overlap_changes_nothing_when_the_new_code_is_broken() {
    let app = start("processes = 2\nreload-overlap = 1");
    let before = pid_of(&serving(&app));
    fails(
        &app,
        2,
        "1 / 0\n",
        &["ZeroDivisionError", "generation 1 serves on"],
    );
    assert!(is_alive(before), "{}", app.report());
    assert_eq!(serving(&app)["version"], "one");
}

#[test]
fn a_first_generation_that_fails_gives_way_to_its_fallback_config() {
    let folder = folder("import nothing_of_this_name\n");
    let spare = APP.replace("\"one\"", "\"spare\"");
    folder.write("spare.py", &spare);
    folder.write(
        "spare.ini",
        &ini("").replace("module = app", "module = spare"),
    );
    let app = start_in(folder, "fallback-config = {dir}/spare.ini");
    wait_version(&app, "spare");
    wait_log(&app, "generation 1 failed: ");
    wait_log(&app, "No module named 'nothing_of_this_name'");
    wait_log(&app, "\"fallback-config\" takes its place: ");
    // Why it serves is told until something changes.
    app.send(Signal::USR1);
    wait_log(&app, "  failure: ");
    app.folder.write("app.py", APP);
    app.send(Signal::HUP);
    wait_version(&app, "one");
}

#[test]
fn a_mold_that_dies_is_made_anew() {
    let app = start("processes = 2");
    let facts = serving(&app);
    let mold = i32::try_from(facts["loaded"].as_i64().unwrap()).unwrap();
    send(mold, Signal::KILL);
    wait_log(&app, "the mold is there again");
    app.wait_for("a worker of the new mold", |app| {
        let facts = ask(app, "/")?;
        if facts["loaded"].as_i64()? == i64::from(mold) {
            // As long as one of the old ones is there, it may be the one that answers.
            send(pid_of(&facts), Signal::KILL);
            return None;
        }
        (facts["pid"] != facts["loaded"]).then_some(())
    });
}

#[test]
fn reloads_that_come_faster_than_the_import_do_not_keep_new_code_away() {
    let slow = |version: &str| {
        format!(
            "import time\ntime.sleep(1)\n{}",
            APP.replace("\"one\"", &format!("\"{version}\""))
        )
    };
    let app = start_in(folder(&slow("one")), "");
    serving(&app);
    app.folder.write("app.py", &slow("two"));
    // A hail that does not end before the new code serves.
    app.wait_for("the new code", |app| {
        app.send(Signal::HUP);
        crate::support::dawdle(Duration::from_millis(100));
        ask(app, "/").filter(|facts| facts["version"] == "two")
    });
    app.folder.write("app.py", &slow("three"));
    app.send(Signal::HUP);
    wait_version(&app, "three");
}
