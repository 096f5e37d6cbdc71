//! How an emperor starts, alone and with much to do.

use std::time::{Duration, Instant};

use super::support::{Empire, stays, wait_within};
use super::{ask, empire, folder, ini, settled, wait_greeting};

#[test]
fn a_directory_that_does_not_exist_is_an_error_with_exit_code_1() {
    let mut empire = Empire::start_with(folder(), &[], &["{dir}/nowhere"]);
    assert_eq!(empire.wait_for_end(), 1);
    let log = empire.log();
    assert!(
        log.contains("no such directory") && log.contains("/nowhere"),
        "{log}"
    );
    let mut empire = Empire::start_with(folder(), &[], &["--emperor", "{dir}/nowhere"]);
    assert_eq!(empire.wait_for_end(), 1);
}

#[test]
fn a_second_emperor_is_told_the_pid_of_the_first() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    let output = empire.command(&["vassals"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("(pid {})", empire.pid())), "{said}");
    assert!(said.contains("--runtime-dir"), "{said}");
    wait_greeting(&empire, "blog", "one");
}

#[test]
fn one_file_with_several_apps_is_an_emperor_and_one_of_its_sections_a_master() {
    let folder = folder();
    let stanza = |name: &str| format!("[{name}]\n{}", super::body(name, name));
    folder.write("site.ini", &format!("{}{}", stanza("a"), stanza("b")));
    let empire = Empire::start_with(folder, &[], &["{dir}/site.ini"]);
    wait_greeting(&empire, "a", "a");
    wait_greeting(&empire, "b", "b");
    assert_eq!(super::names(&empire), ["site:a", "site:b"]);
    drop(empire);

    let folder = super::folder();
    folder.write("site.ini", &format!("{}{}", stanza("a"), stanza("b")));
    let empire = Empire::start_with(folder, &[], &["{dir}/site.ini:b"]);
    wait_greeting(&empire, "b", "b");
    assert!(ask(&empire, "a").is_none());
}

#[test]
fn a_file_that_names_an_emperor_is_that_emperor() {
    let folder = folder();
    folder.write(
        "emperor.ini",
        "[uwsgi]\nemperor = {dir}/vassals\npidfile = {dir}/emperor.pid\n",
    );
    let vassals = [("blog.ini", ini("blog", "one"))];
    let vassals = vassals
        .each_ref()
        .map(|(name, text)| (*name, text.as_str()));
    let empire = Empire::start_with(folder, &vassals, &["--ini", "{dir}/emperor.ini"]);
    wait_greeting(&empire, "blog", "one");
    assert_eq!(
        empire.folder.read("emperor.pid").trim(),
        empire.pid().to_string()
    );
}

#[test]
fn crash_loops_delay_nobody_within_seconds() {
    let folder = folder();
    folder.write("crash.py", "import os\nos._exit(3)\n");
    // As many as may be on their way at once: if a failed start were one, nobody could begin.
    let loops = most_starts();
    let vassals: Vec<(String, String)> = (0..loops)
        .map(|number| {
            let name = format!("bad{number}");
            let text = ini(&name, "x").replace("app.py", "crash.py");
            (format!("{name}.ini"), text)
        })
        .collect();
    let vassals: Vec<(&str, &str)> = vassals
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let empire = Empire::start_with(folder, &vassals, &["{dir}/vassals"]);
    empire.wait_for("all to have failed", |empire| {
        let apps = empire.status()["apps"].as_array()?.clone();
        let failed = |app: &serde_json::Value| app["status"]["failures"].as_u64() >= Some(1);
        (apps.len() == loops && apps.iter().all(failed)).then_some(())
    });
    let start = Instant::now();
    empire.write("good.ini", &ini("good", "one"));
    wait_greeting(&empire, "good", "one");
    let took = start.elapsed();
    println!("beside {loops} crash loops an app served after {took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Mended, the bad ones are tried at once.
    empire.folder.write("crash.py", super::APP);
    empire.touch("bad0.ini");
    wait_greeting(&empire, "bad0", "x");
}

/// Twice the processors, and on a busy machine the slow ones beside them.
fn most_starts() -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    4 * (2 * cpus).max(2)
}

#[test]
fn five_hundred_vassals_do_not_start_at_once() {
    let count = std::env::var("VASSALS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(500);
    let folder = folder();
    for number in 0..count {
        let text = ini(&format!("v{number}"), "x");
        folder.write(&format!("vassals/v{number:03}.ini"), &text);
    }
    let empire = Empire::start_with(folder, &[], &["{dir}/vassals"]);
    let limit = most_starts();
    let is_starting = |app: &&serde_json::Value| app["state"] == "starting";
    let mut most = 0;
    // Each of them is read first, beside the starts of the first ones.
    let (patience, report) = (Duration::from_secs(100), || empire.report());
    wait_within(patience, "all apps to be known", report, || {
        (empire.status()["emperor"]["apps"] == count).then_some(())
    });
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        let status = empire.status();
        let apps = status["apps"].as_array().cloned().unwrap_or_default();
        let starting = apps.iter().filter(is_starting).count();
        // Each master is a process, each serving app one more, each starting one at most two.
        let processes = empire.family().len();
        // Looked at afterwards: some began to serve while the processes were counted.
        let status = empire.status();
        let serves = |app: &&serde_json::Value| app["state"] == "serving";
        let Some(serving) = status["apps"].as_array() else {
            continue;
        };
        let serving = serving.iter().filter(serves).count();
        assert!(
            starting <= limit,
            "{starting} of at most {limit} start at once"
        );
        assert!(
            processes <= 1 + 2 * serving + 4 * limit + 8,
            "{processes} processes with {serving} serving apps"
        );
        most = most.max(starting);
    }
    println!("at most {most} started at once, of {limit} allowed");
    // A file that is dropped in now is seen, whatever the queue is; the emperor is not busy.
    stays(Duration::from_millis(200), "it answers", || {
        !empire.status().is_null()
    });
}
