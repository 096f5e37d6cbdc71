//! What systemd is told, and what is drained when the unit has stopped.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::support::{Empire, Signal, wait_for};
use super::{ask, empire, folder, ini, settled, wait_greeting};

#[test]
fn systemd_hears_ready_status_reload_watchdog_and_stop() {
    let folder = folder();
    let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let environ = "import os\ndef application(e, s):\n    s('200 OK', [])\n    return [' '.join(os.environ).encode()]\n";
    folder.write("environ.py", environ);
    let vassals = [
        ("bad.ini", ini("bad", "x").replace("app.py", "missing.py")),
        ("blog.ini", ini("blog", "one")),
        (
            "env.ini",
            "[uwsgi]\nsocket = {dir}/env.s\nwsgi-file = {dir}/environ.py\n".to_owned(),
        ),
    ];
    let vassals = vassals
        .each_ref()
        .map(|(name, text)| (*name, text.as_str()));
    let env = [
        ("NOTIFY_SOCKET", "{dir}/notify"),
        ("WATCHDOG_USEC", "400000"),
    ];
    let mut empire = Empire::start_env(folder, &vassals, &["{dir}/vassals"], &env);
    let heard = std::cell::RefCell::new(Vec::<String>::new());
    let hear = |what: &str, wanted: &dyn Fn(&[String]) -> bool| {
        let report = || format!("{:#?}", heard.borrow());
        wait_for(what, report, || {
            let mut datagram = [0; 4096];
            if let Ok(length) = socket.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
                heard.borrow_mut().push(text);
            }
            wanted(&heard.borrow()).then_some(())
        });
    };
    let has = |line: &'static str| {
        move |heard: &[String]| {
            heard
                .iter()
                .any(|said| said.lines().any(|said| said == line))
        }
    };
    hear("READY", &has("READY=1"));
    assert!(
        ask(&empire, "blog").is_some(),
        "ready means that it accepts"
    );
    hear(
        "the status",
        &has("STATUS=The Emperor is governing 3 vassals, 1 failing"),
    );
    let beats = |heard: &[String]| {
        heard
            .iter()
            .filter(|said| said.contains("WATCHDOG=1"))
            .count()
    };
    let before = beats(&heard.borrow());
    hear("two heartbeats", &move |heard| beats(heard) >= before + 2);

    let names = super::support::uwsgi_get(empire.path("env.s"), "/")
        .unwrap()
        .text();
    for private in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "IMPERATOR_"] {
        assert!(
            !names.contains(private),
            "{private} reached an app: {names}"
        );
    }

    heard.borrow_mut().clear();
    empire.send(Signal::HUP);
    hear("the reload in one datagram", &|heard| {
        heard
            .iter()
            .any(|said| said.contains("RELOADING=1") && said.contains("MONOTONIC_USEC="))
    });
    hear("READY after the reload", &has("READY=1"));
    empire.send(Signal::TERM);
    hear("STOPPING", &has("STOPPING=1"));
    assert_eq!(empire.wait_for_end(), 0);
}

#[test]
fn drain_ends_what_a_stopped_emperor_left_and_nothing_after_a_crash() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    let pid = wait_greeting(&empire, "blog", "one");
    assert!(
        !empire.command(&["drain"]).status.success(),
        "the emperor lives"
    );
    empire.send(Signal::KILL);
    empire.wait_for_end();

    let crashed = super::support::command(&empire.folder)
        .args(["drain", "--runtime-dir"])
        .arg(empire.runtime())
        .env("SERVICE_RESULT", "signal")
        .output()
        .unwrap();
    assert!(crashed.status.success());
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), pid)));

    let drained = empire.command(&["drain"]);
    assert!(drained.status.success(), "{drained:?}");
    assert!(ask(&empire, "blog").is_none());
    empire.wait_for("an empty house", |empire| {
        empire.family().is_empty().then_some(())
    });
}

#[test]
fn an_emperor_takes_its_own_options_from_its_file() {
    let folder = folder();
    let text = "[uwsgi]\nemperor = vassals\nchdir = {dir}\nlogto = {dir}/own.log\n\
                env = GREETING=imperial\npidfile = {dir}/pid\n";
    folder.write("emperor.ini", text);
    let blog = ini("blog", "x").replace("env = GREETING=x\n", "");
    let vassals = [("blog.ini", blog.as_str())];
    let empire = Empire::start_with(folder, &vassals, &["{dir}/emperor.ini"]);
    wait_greeting(&empire, "blog", "imperial");
    let log = empire.folder.read("own.log");
    assert!(
        log.contains("[emperor] vassal blog has been spawned"),
        "{log}"
    );
    assert_eq!(empire.folder.read("pid").trim(), empire.pid().to_string());
}
