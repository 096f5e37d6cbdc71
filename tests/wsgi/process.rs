//! Processes and threads: the mold and its forks, app threads, the app's own forks and signals,
//! the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::harness::{BOTH, Protocol, Served, on_each, on_each_over_both};
use super::support::{Empire, Folder, Signal, is_alive, repository, send, stays, uwsgi_get};

/// The facts of `count` different workers, by pid. Each is held inside a request, so that the next
/// request goes to another one.
fn workers(served: &Served, count: usize) -> BTreeMap<String, BTreeMap<String, String>> {
    let answers: Vec<String> = std::thread::scope(|scope| {
        let asks: Vec<_> = (1..=count)
            .map(|held| {
                let ask = scope.spawn(|| served.text(Protocol::Uwsgi, "/facts?hold"));
                served.app.wait_for("one more worker to be held", |app| {
                    (app.folder.listing().matches("held-").count() == held).then_some(())
                });
                ask
            })
            .collect();
        served.app.folder.write("go-on", "");
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    answers
        .iter()
        .map(|text| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let facts: BTreeMap<String, String> = pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            (facts["pid"].clone(), facts)
        })
        .collect()
}

fn title(pid: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.trim_end_matches('\0').to_owned()
}

#[test]
fn a_mold_imports_once_and_forks_workers_that_are_the_masters() {
    on_each("processes = 3\n", |served| {
        let workers = workers(served, 3);
        for (pid, facts) in &workers {
            assert_eq!(facts["parent"], served.app.pid().to_string(), "{facts:?}");
            assert_eq!(facts["group"], *pid, "{facts:?}");
            for (of, expected) in [
                ("forked", "True"),
                ("hooks", "True"),
                ("molds", "1"),
                ("frozen", "True"),
            ] {
                assert_eq!(facts[of], expected, "{of} {facts:?}");
            }
            assert_eq!(facts["main"], "True", "{facts:?}");
            assert_eq!(facts["argv"], "['uwsgi']", "{facts:?}");
            assert_eq!(facts["name"], "app", "{facts:?}");
            let title = title(pid);
            assert!(title.starts_with("imperator: app worker "), "{title}");
        }
        for of in ["random", "openssl"] {
            let mut randoms: Vec<&String> = workers.values().map(|facts| &facts[of]).collect();
            randoms.sort();
            randoms.dedup();
            assert_eq!(
                randoms.len(),
                3,
                "forked workers draw different numbers: {of} {randoms:?}"
            );
        }
        assert_eq!(served.app.folder.read("imports").lines().count(), 1);
        let molds = served.app.family().into_iter();
        let molds: Vec<String> = molds.map(|pid| title(&pid.to_string())).collect();
        assert!(
            molds.contains(&"imperator: app mold".to_owned()),
            "{molds:?}"
        );
    });
}

#[test]
fn lazy_apps_import_in_every_worker() {
    on_each("processes = 2\nlazy-apps = true\n", |served| {
        workers(served, 2);
        assert_eq!(served.app.folder.read("imports").lines().count(), 2);
    });
}

#[test]
fn an_app_that_starts_threads_is_loaded_per_worker_and_its_status_says_so() {
    let folder = Folder::new();
    let app = std::fs::read_to_string(repository().join("tests/wsgi/app.py")).unwrap();
    folder.write("web.py", &app);
    let ini = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\nprocesses = 2\n\
               env = START_A_THREAD=1\n";
    let empire = Empire::start_with(folder, &[("app.ini", ini)], &["{dir}/vassals"]);
    let app = empire.wait_serving("app");
    let notes = app["status"]["notes"].to_string();
    let told = "the app starts threads while it loads (helper): each worker loads it itself";
    assert!(notes.contains(told), "{notes}\n{}", empire.report());
    assert!(app["status"]["mold"].is_null(), "{app}");
}

#[test]
fn an_app_that_starts_threads_has_them_in_every_worker() {
    on_each("processes = 2\nenv = START_A_THREAD=1\n", |served| {
        for facts in workers(served, 2).values() {
            assert_eq!(facts["threads"], "MainThread helper", "{facts:?}");
            assert_eq!(facts["forked"], "False", "{facts:?}");
        }
    });
}

#[test]
fn threads_run_the_app_at_the_same_time_and_have_names() {
    on_each_over_both("threads = 2\n", |served, protocol| {
        // Each waits for the other one, inside the app.
        let names: Vec<String> = std::thread::scope(|scope| {
            let asks = [(), ()].map(|()| scope.spawn(|| served.text(protocol, "/meet")));
            asks.map(|ask| ask.join().unwrap()).into()
        });
        assert!(names.contains(&"MainThread".to_owned()), "{names:?}");
        assert!(names.contains(&"uWSGIWorker1Core1".to_owned()), "{names:?}");
    });
}

#[test]
fn every_thread_of_the_app_starts_processes_that_hear_signals() {
    on_each("threads = 2\n", |served| {
        let mut ends: Vec<String> = std::thread::scope(|scope| {
            let ask = || served.text(Protocol::Uwsgi, "/terminate-a-child");
            let asks = [(), ()].map(|()| scope.spawn(ask));
            asks.map(|ask| ask.join().unwrap()).into()
        });
        ends.sort();
        assert_eq!(ends, ["MainThread -15", "uWSGIWorker1Core1 -15"]);
    });
}

#[test]
fn a_process_that_the_app_forks_answers_nothing() {
    on_each("", |served| {
        for protocol in BOTH {
            assert_eq!(served.text(protocol, "/fork"), "one answer");
        }
        served.app.wait_for("the child to end", |app| {
            app.log()
                .contains("a process that the app forked came back")
                .then_some(())
        });
        assert!(!served.seen().contains(&"in the child".to_owned()));
    });
}

#[test]
fn a_process_that_the_app_forks_keeps_no_socket_of_ours() {
    on_each("", |served| {
        let child = served.text(Protocol::Uwsgi, "/fork-and-stay");
        let inode = |pid: &str, fd: &str| {
            let link = std::fs::read_link(format!("/proc/{pid}/fd/{fd}"));
            link.map_or_else(
                |_| String::new(),
                |link| link.to_string_lossy().into_owned(),
            )
        };
        let pid = served.fact("pid");
        let folder = served.app.folder.path().to_str().unwrap();
        // The listeners are gone; what one of our threads wakes another with may stay.
        let holds_listener = || {
            let listening = std::fs::read_to_string("/proc/net/unix").unwrap();
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            fds.flatten().any(|fd| {
                let fd = fd.file_name().to_string_lossy().into_owned();
                let ours = inode(&pid, &fd);
                let number = ours.trim_start_matches("socket:[").trim_end_matches(']');
                ours.starts_with("socket:[")
                    && ours == inode(&child, &fd)
                    && listening
                        .lines()
                        .any(|line| line.contains(number) && line.contains(folder))
            })
        };
        // The answer may come before the child's fork hooks have run.
        served.app.wait_for("the child to hold no listener", |_| {
            (!holds_listener()).then_some(())
        });
        assert!(is_alive(child.parse().unwrap()));
        served.app.folder.write("child-may-go", "");
    });
}

#[test]
fn an_app_that_handles_a_signal_gets_it() {
    on_each("", |served| {
        assert_eq!(
            served.text(Protocol::Uwsgi, "/listen-to-signals"),
            "listening"
        );
        let pid: i32 = served.fact("pid").parse().unwrap();
        for signal in [Signal::TERM, Signal::USR2] {
            send(pid, signal);
            let line = format!("signal {} on MainThread", signal.as_raw());
            served.wait_seen(&line, 1);
        }
        assert_eq!(served.fact("pid"), pid.to_string());
    });
}

/// What faulthandler has written into the file that the worker shares with its master.
fn stacks(pid: i32) -> Option<String> {
    let mut descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let file = descriptors.find(|it| {
        let target = std::fs::read_link(it.path()).unwrap_or_default();
        target.to_string_lossy().contains("imperator-stacks")
    })?;
    let bytes = std::fs::read(file.path()).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn the_worker_tells_its_python_stacks_when_it_is_asked() {
    on_each("", |served| {
        let pid: i32 = served.fact("pid").parse().unwrap();
        let socket = served.app.path("s");
        std::thread::scope(|scope| {
            let ask = scope.spawn(|| uwsgi_get(socket.as_path(), "/hang").unwrap().text());
            // Asked again until the request is inside.
            let signal = imperator_process::signals::stack_dump();
            served.app.wait_for("the stack in the master's file", |_| {
                imperator_process::signals::send(pid, signal).unwrap();
                stacks(pid)?
                    .contains("in a_name_that_a_stack_shows")
                    .then_some(())
            });
            served.app.folder.write("go-on", "");
            assert_eq!(ask.join().unwrap(), "went on");
        });
        assert!(is_alive(pid));
    });
}

#[test]
fn at_the_end_each_worker_runs_its_atexit_hooks() {
    for (lines, count) in [("", 1), ("processes = 2\n", 2), ("threads = 3\n", 1)] {
        on_each(lines, |served| {
            let workers = workers(served, count);
            served.app.send(Signal::TERM);
            let ends = || served.app.folder.read("ends");
            served.app.wait_for("every worker to note its end", |_| {
                workers
                    .keys()
                    .all(|pid| ends().lines().any(|line| line == pid))
                    .then_some(())
            });
            stays(
                Duration::from_millis(100),
                "no process but a worker notes an end",
                || ends().lines().count() == workers.len(),
            );
        });
    }
}
