//! Starting, reloading and ending: an app alone, and vassals under an emperor.

use std::time::Duration;

use super::config::pid;
use super::pair::{Facts, Server, Which, compare, compare_runs, folder, outcome};
use super::support::{
    Address, Empire, Folder, Original, Process, Signal, is_alive, uwsgi_get, wait_for,
};

const INI: &str = "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\nvacuum = true\n";

/// Waits for the end; tells the exit code.
fn end(server: &mut Server) -> String {
    let status = server.process().wait(Duration::from_secs(30));
    status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("exit {code}"))
}

#[test]
fn int_and_quit_stop_with_exit_code_0() {
    for signal in [Signal::INT, Signal::QUIT] {
        compare(&[], INI, |server, facts| {
            let worker = pid(server);
            server.send(signal);
            facts.note("end", end(server));
            facts.note("socket left", server.folder().join("s").exists());
            facts.note("worker left", is_alive(i32::try_from(worker).unwrap()));
        });
    }
}

#[test]
fn term_stops_with_die_on_term() {
    let ini = format!("{INI}die-on-term = true\n");
    compare(&[], &ini, |server, facts| {
        server.get("/who");
        server.send(Signal::TERM);
        facts.note("end", end(server));
    });
}

#[test]
fn term_stops_here_and_reloads_there() {
    compare(
        &[("after TERM", "SIGTERM without `die-on-term`")],
        INI,
        |server, facts| {
            let before = pid(server);
            server.send(Signal::TERM);
            let after = wait_for("the end or another worker", String::new, || {
                if server.process().ended().is_some() {
                    return Some("it ended");
                }
                let path = server.folder().join("s");
                let reply = uwsgi_get(path, "/process")
                    .ok()
                    .filter(|reply| reply.status == 200);
                let now = reply?.json()["pid"].as_i64()?;
                (now != before).then_some("another worker answers")
            });
            facts.note("after TERM", after);
        },
    );
}

#[test]
fn hup_reloads_code_and_config_on_the_same_socket() {
    compare_runs(&[], |which| {
        let folder = Folder::new();
        folder.write("app.py", &app("first"));
        let ini = "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/app.py\n";
        let mut server = Server::start_in(which, folder, ini);
        let mut facts = Facts::default();
        facts.note("before", server.get("/").text());
        let master = server.process().pid();
        server.folder().write("app.py", &app("second"));
        server.send(Signal::HUP);
        server.wait_for("the new code", |server| {
            (server.get("/").text() == "second").then_some(())
        });
        facts.note("master lives", is_alive(master));
        facts
    });
}

fn app(answer: &str) -> String {
    format!("def application(e, s):\n    s('200 OK', [])\n    return [b'{answer}']\n")
}

#[test]
fn a_worker_that_is_killed_is_replaced() {
    compare(&[], INI, |server, facts| {
        let before = pid(server);
        super::support::send(i32::try_from(before).unwrap(), Signal::KILL);
        let after = pid(server);
        facts.note("another pid", before != after);
    });
}

#[test]
fn bad_starts_end_with_their_exit_codes() {
    for (name, args, text) in [
        (
            "an unknown option on the command line",
            vec!["--no-such-option"],
            "",
        ),
        (
            "a config that is not there",
            vec!["--ini", "{dir}/missing.ini"],
            "",
        ),
        (
            "an unknown key under strict",
            vec!["--ini", "{dir}/app.ini"],
            "[uwsgi]\nstrict = true\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\nno-such-key = 1\n",
        ),
        (
            "a mode of four digits",
            vec!["--ini", "{dir}/app.ini"],
            "[uwsgi]\nsocket = {dir}/s\nchmod-socket = 0660\nwsgi-file = {dir}/facts.py\n",
        ),
    ] {
        compare_runs(&[], |which| {
            let folder = folder();
            folder.write("app.ini", text);
            let mut server = Server::start_with(which, folder, &args, &[]);
            let mut facts = Facts::default();
            facts.note(name, end(&mut server));
            facts
        });
    }
}

#[test]
fn an_app_that_cannot_be_loaded_is_tried_again() {
    let ini = "[uwsgi]\nsocket = {dir}/s\nneed-app = true\nmodule = no_such_module\n";
    let row = "the first load of an app fails";
    compare_runs(&[("then", row)], |which| {
        let mut server = Server::start(which, ini);
        let mut facts = Facts::default();
        server.wait_for("the reason in the log", |server| {
            server.log().contains("No module named").then_some(())
        });
        let then = match which {
            Which::Original => end(&mut server),
            Which::Ours => {
                super::support::stays(Duration::from_millis(300), "it runs", || {
                    server.process().ended().is_none()
                });
                "it runs on".to_owned()
            }
        };
        facts.note("then", then);
        facts
    });
}

/// An emperor of one of the two.
enum Throne {
    Original(Original),
    Ours(Empire),
}

impl Throne {
    fn start(which: Which, folder: Folder, vassals: &[(&str, &str)]) -> Self {
        match which {
            Which::Original => Self::Original(Original::emperor(folder, vassals)),
            Which::Ours => Self::Ours(Empire::start_with(folder, vassals, &["{dir}/vassals"])),
        }
    }

    fn folder(&self) -> &Folder {
        match self {
            Self::Original(original) => &original.folder,
            Self::Ours(ours) => &ours.folder,
        }
    }

    fn process(&mut self) -> &mut Process {
        match self {
            Self::Original(original) => original.process(),
            Self::Ours(ours) => ours.process(),
        }
    }

    fn report(&self) -> String {
        match self {
            Self::Original(original) => original.report(),
            Self::Ours(ours) => ours.report(),
        }
    }

    /// The vassal's answer, once it gives one.
    #[track_caller]
    fn answer(&self, name: &str) -> String {
        self.wait_answer(name, |_| true)
    }

    #[track_caller]
    fn wait_answer(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        let socket = Address::Unix(self.folder().join(&format!("{name}.sock")));
        wait_for(
            &format!("an answer of {name}"),
            || self.report(),
            || {
                let reply = uwsgi_get(socket.clone(), "/").ok()?;
                (reply.status == 200 && wanted(&reply.text())).then(|| reply.text())
            },
        )
    }

    /// Whether anybody accepts on the vassal's socket.
    fn is_served(&self, name: &str) -> bool {
        let path = self.folder().join(&format!("{name}.sock"));
        std::os::unix::net::UnixStream::connect(path).is_ok()
    }
}

/// A vassal whose answer is its version, with the pid of the worker.
fn vassal(name: &str) -> String {
    format!(
        "[uwsgi]\nplugins = python3\nmaster = true\nsocket = {{dir}}/{name}.sock\nwsgi-file = {{dir}}/{name}.py\nvacuum = true\n"
    )
}

fn write_app(folder: &Folder, name: &str, version: &str) {
    let text = format!(
        "import os\ndef application(e, s):\n    s('200 OK', [])\n    return [('{version} %d' % os.getpid()).encode()]\n"
    );
    folder.write(&format!("{name}.py"), &text);
}

fn version(answer: &str) -> &str {
    answer.split(' ').next().unwrap_or("")
}

#[test]
fn a_vassal_is_added_touched_and_removed() {
    compare_runs(&[], |which| {
        let folder = Folder::new();
        for name in ["one", "two"] {
            write_app(&folder, name, "first");
        }
        let mut throne = Throne::start(which, folder, &[("one.ini", &vassal("one"))]);
        let mut facts = Facts::default();
        let one = throne.answer("one");
        facts.note("present at start", version(&one));

        throne.folder().write("vassals/two.ini", &vassal("two"));
        facts.note("added", version(&throne.answer("two")));

        write_app(throne.folder(), "two", "second");
        throne.folder().touch("vassals/two.ini");
        let two = throne.wait_answer("two", |text| text.starts_with("second"));
        facts.note("touched", version(&two));
        facts.note(
            "its neighbour has the same worker",
            throne.answer("one") == one,
        );

        throne.folder().remove("vassals/two.ini");
        let gone = |name: &str| (!throne.is_served(name)).then_some(());
        wait_for("the end of two", || throne.report(), || gone("two"));
        facts.note("the neighbour of the removed", throne.answer("one") == one);

        std::fs::rename(
            throne.folder().join("vassals/one.ini"),
            throne.folder().join("vassals/one.ini.disabled"),
        )
        .unwrap();
        wait_for("the end of one", || throne.report(), || gone("one"));
        facts.note(
            "the emperor without vassals",
            throne.process().ended().is_none(),
        );
        facts
    });
}

#[test]
fn only_files_with_a_configs_extension_are_vassals() {
    compare_runs(&[], |which| {
        let folder = Folder::new();
        let others = ["two.txt", "three.ini.bak", "four.ini~", "five"];
        for name in others.iter().map(|name| name.split('.').next().unwrap()) {
            write_app(&folder, name.trim_end_matches('~'), "first");
        }
        write_app(&folder, "one", "first");
        let text = |name: &str| vassal(name.split('.').next().unwrap());
        let texts: Vec<String> = others.iter().map(|name| text(name)).collect();
        let one = vassal("one");
        let mut vassals = vec![("one.ini", one.as_str())];
        vassals.extend(others.iter().copied().zip(texts.iter().map(String::as_str)));
        let throne = Throne::start(which, folder, &vassals);
        throne.answer("one");
        let mut facts = Facts::default();
        for name in ["two", "three", "four", "five"] {
            facts.note(name, throne.is_served(name));
        }
        facts
    });
}

#[test]
fn a_broken_vassal_does_not_touch_its_neighbours() {
    compare_runs(&[], |which| {
        let folder = Folder::new();
        write_app(&folder, "good", "first");
        let broken = "[uwsgi]\nplugins = python3\nmaster = true\nneed-app = true\nsocket = {dir}/bad.sock\nmodule = no_such_module\n";
        let throne = Throne::start(
            which,
            folder,
            &[("bad.ini", broken), ("good.ini", &vassal("good"))],
        );
        let mut facts = Facts::default();
        let before = throne.answer("good");
        // Mended, it serves, at once or after its throttle.
        write_app(throne.folder(), "bad", "mended");
        throne.folder().write("vassals/bad.ini", &vassal("bad"));
        facts.note("mended", version(&throne.answer("bad")));
        facts.note("the neighbour", throne.answer("good") == before);
        facts
    });
}

#[test]
fn the_emperor_stops_all_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        compare_runs(&[], |which| {
            let folder = Folder::new();
            write_app(&folder, "one", "first");
            let mut throne = Throne::start(which, folder, &[("one.ini", &vassal("one"))]);
            let answer = throne.answer("one");
            let worker: i32 = answer.split(' ').nth(1).unwrap().parse().unwrap();
            throne.process().send(signal);
            let status = throne.process().wait(Duration::from_secs(60));
            let mut facts = Facts::default();
            facts.note("code", format!("{:?}", status.code()));
            wait_for(
                "the worker's end",
                || throne.report(),
                || (!is_alive(worker)).then_some(()),
            );
            facts.note("socket left", throne.folder().join("one.sock").exists());
            facts
        });
    }
}

#[test]
fn hup_reloads_all_vassals() {
    compare_runs(&[], |which| {
        let folder = Folder::new();
        for name in ["one", "two"] {
            write_app(&folder, name, "first");
        }
        let (one, two) = (vassal("one"), vassal("two"));
        let vassals = [("one.ini", one.as_str()), ("two.ini", two.as_str())];
        let mut throne = Throne::start(which, folder, &vassals);
        let mut facts = Facts::default();
        for name in ["one", "two"] {
            throne.answer(name);
            write_app(throne.folder(), name, "second");
        }
        throne.process().send(Signal::HUP);
        for name in ["one", "two"] {
            let answer = throne.wait_answer(name, |text| text.starts_with("second"));
            facts.note(name, version(&answer));
        }
        facts
    });
}

#[test]
fn an_answer_of_a_started_pair_is_the_same() {
    compare(&[], INI, |server, facts| {
        facts.note("answer", outcome(&server.get("/who")));
    });
}
