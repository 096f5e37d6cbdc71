//! What bad input gets: the app concerned is shown failing with one line that names the cause and
//! the place, every other app serves on, nothing panics, nobody waits.

mod cases;

#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use cases::{CASES, Case};
use serde_json::Value;
use support::{Empire, Folder, is_alive, uwsgi_get, wait_for};

const GOOD: &str = "[uwsgi]\nsocket = {dir}/good.sock\nwsgi-file = {dir}/good.py\n";
const APP: &str = "\
import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

/// All of them in one directory: each has its own line, and the good one never waits.
#[test]
fn each_broken_app_is_named_and_its_neighbour_serves_on() {
    let folder = Folder::new();
    folder.write("good.py", APP);
    prepare(&folder);
    let taken = UnixListener::bind(folder.join("taken.sock")).expect("a socket of somebody else");
    let mut vassals = vec![("good.ini".to_owned(), GOOD.to_owned())];
    for case in CASES {
        if let Some(code) = case.code {
            folder.write(&format!("{}.py", case.name), code);
        }
        vassals.push((format!("{}.ini", case.name), case.ini()));
    }
    let vassals: Vec<(&str, &str)> = vassals
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();

    let mut empire = Empire::start_with(folder, &vassals, &["{dir}/vassals"]);
    let good = || {
        let reply = uwsgi_get(empire.path("good.sock"), "/").ok()?;
        (reply.status == 200).then(|| reply.text())
    };
    let worker = wait_for("the good app's answer", || empire.report(), good);

    // Looked at all together: each retry of an app shows it as starting for a moment.
    let open = RefCell::new(CASES.iter().collect::<Vec<&Case>>());
    let shown = RefCell::new(BTreeMap::new());
    let report = || {
        let names: Vec<&str> = open.borrow().iter().map(|case| case.name).collect();
        let lines = shown.borrow();
        let lines: Vec<&String> = names.iter().filter_map(|name| lines.get(name)).collect();
        format!("{lines:#?}\n{}", empire.report())
    };
    wait_for("each case to be shown as it is", report, || {
        let status = empire.status();
        open.borrow_mut().retain(|case| {
            let outcome = look(&empire, &status, case);
            shown.borrow_mut().insert(case.name, format!("{outcome:?}"));
            outcome.is_err()
        });
        open.borrow().is_empty().then_some(())
    });

    assert_eq!(
        good().as_deref(),
        Some(worker.as_str()),
        "{}",
        empire.report()
    );
    // The socket of somebody else still is his.
    taken.set_nonblocking(true).expect("fcntl");
    assert!(std::os::unix::net::UnixStream::connect(empire.path("taken.sock")).is_ok());
    assert!(taken.accept().is_ok(), "the live socket was stolen");
    let log = empire.log();
    assert!(!log.contains("panicked"), "{}", empire.report());
    assert!(empire.process().ended().is_none());
}

/// Whether the app is what the case says, in one line that names all that it should.
fn look(empire: &Empire, status: &Value, case: &Case) -> Result<(), String> {
    let app = support::app(status, case.name);
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let condition = text(&app["condition"]);
    let (summary, hint) = (
        text(&app["failure"]["summary"]),
        text(&app["failure"]["hint"]),
    );
    let line = format!("{summary} {hint}");
    let said = case
        .says
        .iter()
        .all(|words| line.contains(&empire.folder.fill(words)));
    if condition == case.condition && said && summary.lines().count() <= 1 {
        return Ok(());
    }
    let wanted = format!("{} with {:?}", case.condition, case.says);
    Err(format!(
        "{}: wanted {wanted}, is {condition}: {summary} (hint: {hint})",
        case.name
    ))
}

/// What the cases name: interpreters that are none, directories that are empty.
fn prepare(folder: &Folder) {
    folder.write("old-python", cases::OLD_PYTHON);
    folder.write(
        "not-python",
        "#!/bin/sh\necho 'I am no Python' >&2\nexit 3\n",
    );
    for name in ["old-python", "not-python"] {
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.join(name), executable).expect("chmod");
    }
    std::fs::create_dir(folder.join("empty-venv")).expect("a directory");
}

#[test]
fn a_directory_that_does_not_exist_ends_the_start() {
    let mut empire = Empire::start_with(Folder::new(), &[], &["{dir}/no-such-directory"]);
    assert_eq!(empire.wait_for_end(), 1, "{}", empire.report());
    assert!(
        empire.log().contains("no-such-directory"),
        "{}",
        empire.report()
    );
}

#[test]
fn a_file_of_100_megabytes_and_one_of_noise_are_refused_quickly() {
    let folder = Folder::new();
    folder.write("good.py", APP);
    let huge = "# a comment that never ends\n".repeat(4_000_000);
    folder.write("vassals/huge.ini", &huge);
    let noise: Vec<u8> = (0..50_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    folder.write_bytes("vassals/noise.ini", &noise);
    let empire = Empire::start_with(folder, &[("good.ini", GOOD)], &["{dir}/vassals"]);
    let good = || uwsgi_get(empire.path("good.sock"), "/").ok();
    let reply = wait_for("the good app's answer", || empire.report(), good);
    assert_eq!(reply.status, 200);
    for name in ["huge", "noise"] {
        empire.wait_state(name, "failing");
    }
    assert!(!empire.log().contains("panicked"), "{}", empire.report());
}

/// A hanging import holds nobody up: not the apps that start with it, not a later one.
#[test]
fn apps_that_hang_at_import_delay_nobody_within_seconds() {
    let folder = Folder::new();
    folder.write("good.py", APP);
    folder.write("hang.py", "import time\ntime.sleep(3600)\n");
    let hang = "[uwsgi]\nsocket = {dir}/%n.sock\nwsgi-file = {dir}/hang.py\n";
    let names: Vec<String> = (0..6)
        .map(|number| format!("a-hang-{number:02}.ini"))
        .collect();
    let mut vassals: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), hang)).collect();
    vassals.push(("z-good.ini", GOOD));
    let empire = Empire::start_with(folder, &vassals, &["{dir}/vassals"]);
    empire.wait_for("the good app's answer", |empire| {
        uwsgi_get(empire.path("good.sock"), "/").ok()
    });
}

/// A log that floods is its app's own problem, and one that nobody reads blocks nobody.
#[test]
fn a_flood_of_output_blocks_nobody() {
    let folder = Folder::new();
    folder.write("good.py", APP);
    let flood = format!(
        "{APP}import threading\ndef flood():\n    while True:\n        print('x' * 1000, flush=True)\nthreading.Thread(target=flood, daemon=True).start()\n"
    );
    folder.write("flood.py", &flood);
    let vassal = "[uwsgi]\nsocket = {dir}/flood.sock\nwsgi-file = {dir}/flood.py\n";
    let empire = Empire::start_with(
        folder,
        &[("flood.ini", vassal), ("good.ini", GOOD)],
        &["{dir}/vassals"],
    );
    for name in ["good", "flood"] {
        let socket = empire.path(&format!("{name}.sock"));
        let answer = || uwsgi_get(socket.as_path(), "/").ok();
        wait_for("an answer", String::new, answer);
    }
    empire.remove("flood.ini");
    wait_for("the end of the flood", String::new, || {
        (!empire.path("flood.sock").exists()).then_some(())
    });
    let pid: i32 = uwsgi_get(empire.path("good.sock"), "/")
        .unwrap()
        .text()
        .parse()
        .unwrap();
    assert!(is_alive(pid));
}
