//! Options of processes: how many, how long, as whom, with which limits and names.

use super::super::config::pid as worker;
use super::pair::{Facts, Server, Which, compare_runs, folder, outcome};
use super::support::{Signal, background, is_alive, uwsgi_get};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("add-gid", "the_app_has_the_groups_that_it_is_given"),
    ("no-initgroups", "the_app_has_the_groups_that_it_is_given"),
    (
        "cheaper-busyness-backlog-alert",
        "busyness_starts_workers_for_a_backlog_at_once_and_ends_them_soon",
    ),
    (
        "cheaper-busyness-backlog-multiplier",
        "busyness_starts_workers_for_a_backlog_at_once_and_ends_them_soon",
    ),
    (
        "cheaper-busyness-backlog-nonzero",
        "busyness_starts_workers_for_a_backlog_at_once_and_ends_them_soon",
    ),
    (
        "cheaper-busyness-backlog-step",
        "busyness_starts_workers_for_a_backlog_at_once_and_ends_them_soon",
    ),
    (
        "cheaper-busyness-max",
        "busyness_scales_a_real_app_by_the_time_in_requests",
    ),
    (
        "cheaper-busyness-min",
        "busyness_scales_a_real_app_by_the_time_in_requests",
    ),
    (
        "cheaper-busyness-multiplier",
        "busyness_adds_above_its_maximum_and_ends_after_some_windows_below_its_minimum",
    ),
    (
        "cheaper-busyness-penalty",
        "busyness_adds_above_its_maximum_and_ends_after_some_windows_below_its_minimum",
    ),
    (
        "cheaper-busyness-verbose",
        "busyness_scales_a_real_app_by_the_time_in_requests",
    ),
    ("cheaper-idle", "spare2_keeps_as_many_idle_as_cheaper_says"),
    (
        "cheaper-rss-limit-hard",
        "memory_limits_forbid_more_and_take_one_away",
    ),
    (
        "cheaper-rss-limit-soft",
        "memory_limits_forbid_more_and_take_one_away",
    ),
    (
        "harakiri-graceful-signal",
        "a_graceful_harakiri_sends_its_signal_first",
    ),
    (
        "harakiri-graceful-timeout",
        "a_graceful_harakiri_sends_its_signal_first",
    ),
    ("harakiri-grace", "without_a_grace_nothing_is_raised"),
    (
        "stuck-timeout",
        "threads_that_are_all_taken_go_where_stuck_timeout_says_so",
    ),
    (
        "harakiri-queue-threshold",
        "nobody_is_killed_while_few_connections_wait",
    ),
    ("immediate-gid", "immediate_ids_are_the_apps"),
    ("immediate-uid", "immediate_ids_are_the_apps"),
    (
        "recycle-jitter",
        "a_delta_spreads_as_the_original_does_and_jitter_stays_within_its_percentage",
    ),
    (
        "max-worker-lifetime-delta",
        "a_delta_spreads_as_the_original_does_and_jitter_stays_within_its_percentage",
    ),
    (
        "reload-on-exception-repr",
        "exceptions_are_told_apart_by_type_text_and_both",
    ),
    (
        "reload-on-exception-type",
        "exceptions_are_told_apart_by_type_text_and_both",
    ),
];

/// A line of /proc/PID/`file` of the answering worker, from its key on.
fn proc_line(server: &Server, file: &str, key: &str) -> String {
    let path = format!("/proc/{}/{file}", worker(server));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let words: Vec<_> = line.unwrap_or("").split_ascii_whitespace().collect();
    words.join(" ")
}

/// What ps shows of a process.
fn title(pid: i64) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    text.trim_end().to_owned()
}

fn note_titles(server: &mut Server, facts: &mut Facts) {
    facts.note("worker", title(worker(server)));
    let master = i64::from(server.process().pid());
    // The original's master names itself when its workers serve already.
    let shown = server.wait_for("the master's title", |_| {
        let shown = title(master);
        (!shown.contains("app.ini")).then_some(shown)
    });
    facts.note("master", shown);
}

/// Workers that run, by the stats socket.
fn running(server: &Server) -> Option<usize> {
    use std::io::Read;
    let mut stream = std::os::unix::net::UnixStream::connect(server.folder().join("stats")).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let stats: serde_json::Value = serde_json::from_str(&text).ok()?;
    let workers = stats["workers"].as_array()?;
    let runs = |it: &&serde_json::Value| {
        it["status"] != "cheap" && it["pid"].as_i64().is_some_and(|pid| pid > 0)
    };
    Some(workers.iter().filter(runs).count())
}

#[track_caller]
fn wait_running(server: &Server, wanted: usize) {
    server.wait_for(&format!("{wanted} workers"), |server| {
        (running(server) == Some(wanted)).then_some(())
    });
}

/// So many slow requests at a time.
fn load(server: &Server, requests: usize, seconds: u32) {
    for _ in 0..requests {
        let socket = server.socket();
        background(move || {
            let _ = uwsgi_get(socket, &format!("/slow?{seconds}"));
        });
    }
}

const SCALING: &[Case] = &[
    Case {
        options: &["cheaper"],
        ini: "processes = 3\ncheaper = 1\nstats = {dir}/stats\n",
        see: |server, facts| {
            facts.note("/", outcome(&server.get("/")));
            facts.note("at the start", running(server).unwrap_or(99));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["cheaper-initial"],
        ini: "processes = 4\ncheaper = 1\ncheaper-initial = 3\nstats = {dir}/stats\n",
        see: |server, facts| {
            server.get("/");
            wait_running(server, 3);
            facts.note("/", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["cheaper-overload", "cheaper-step", "cheaper-algo"],
        ini: "processes = 3\ncheaper = 1\ncheaper-overload = 2\ncheaper-step = 2\n\
              cheaper-algo = spare\nstats = {dir}/stats\n",
        see: |server, facts| {
            server.get("/");
            load(server, 1, 20);
            wait_running(server, 3);
            facts.note("two more", true);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["cheap"],
        ini: "cheap = true\nstats = {dir}/stats\n",
        see: |server, facts| {
            wait_running(server, 0);
            facts.note("first answer", outcome(&server.get("/")));
            facts.note("second answer", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["idle"],
        ini: "idle = 2\nprocesses = 2\nstats = {dir}/stats\n",
        see: |server, facts| {
            facts.note("before", outcome(&server.get("/")));
            wait_running(server, 0);
            facts.note("after", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["die-on-idle"],
        ini: "idle = 2\ndie-on-idle = true\nvacuum = true\n",
        see: |server, facts| {
            facts.note("before", outcome(&server.get("/")));
            let status = server.process().wait(super::support::PATIENCE);
            facts.note("exit", format!("{:?}", status.code()));
            facts.note("socket left", server.folder().join("s").exists());
        },
        ..Case::PLAIN
    },
];

#[test]
fn workers_come_and_go_with_the_load() {
    run(SCALING);
}

const RECYCLING: &[Case] = &[
    Case {
        options: &["max-requests-delta", "min-worker-lifetime"],
        ini: "max-requests = 2\nmax-requests-delta = 1000\nmin-worker-lifetime = 0\n",
        see: |server, facts| {
            let before = worker(server);
            server.wait_for("another worker", |server| {
                (worker(server) != before).then_some(())
            });
            facts.note("/", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["max-worker-lifetime"],
        ini: "max-worker-lifetime = 2\nmin-worker-lifetime = 1\n",
        see: |server, facts| {
            let before = worker(server);
            server.wait_for("another worker", |server| {
                (worker(server) != before).then_some(())
            });
            facts.note("/", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["reload-on-as"],
        ini: "reload-on-as = 1\nmin-worker-lifetime = 0\n",
        see: |server, facts| {
            let before = worker(server);
            server.wait_for("another worker", |server| {
                let now = worker(server);
                (now != before && now != 0).then_some(())
            });
            facts.note("/", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["evil-reload-on-rss", "mem-collector-freq"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/grows.py\n\
              evil-reload-on-rss = 100\nmem-collector-freq = 1\n",
        files: &[("grows.py", GROWS)],
        see: kills,
        ..Case::PLAIN
    },
    Case {
        options: &["evil-reload-on-as"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/grows.py\n\
              evil-reload-on-as = 2000\nmem-collector-freq = 1\n",
        files: &[("grows.py", GROWS)],
        see: kills,
        ..Case::PLAIN
    },
    Case {
        options: &["reload-on-exception"],
        ini: "reload-on-exception = true\n",
        differs: &[("the answer", "`reload-on-exception`")],
        see: replaces,
        ..Case::PLAIN
    },
    Case {
        options: &["reload-on-exception-value"],
        ini: "reload-on-exception-value = before the headers\n",
        differs: &[("the answer", "`reload-on-exception`")],
        see: replaces,
        ..Case::PLAIN
    },
    Case {
        options: &["harakiri-verbose"],
        ini: "harakiri = 1\nharakiri-verbose = true\n",
        see: |server, facts| {
            server.get("/slow?8");
            for line in ["HARAKIRI: -- syscall> ", "HARAKIRI: -- wchan> "] {
                server.wait_for(line, |server| server.log().contains(line).then_some(()));
            }
            facts.note("/", outcome(&server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["lazy"],
        ini: "lazy = true\nprocesses = 2\n",
        ..Case::PLAIN
    },
];

/// Small while it is loaded: who is killed there never serves. Then 150 MB, and 3 GB of addresses.
const GROWS: &str = "import json, mmap, os\n\nkept = []\n\n\
def application(environ, start_response):\n    \
    if environ['PATH_INFO'] == '/grow':\n        \
    kept.append(bytearray(b'x') * (150 << 20))\n        \
    kept.append(mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))\n    \
    start_response('200 OK', [])\n    \
    return [json.dumps({'pid': os.getpid()}).encode()]\n";

/// An exception of the app costs its worker.
fn replaces(server: &mut Server, facts: &mut Facts) {
    let before = worker(server);
    facts.note("the answer", outcome(&server.get("/boom")));
    server.wait_for("another worker", |server| {
        let now = worker(server);
        (now != before && now != 0).then_some(())
    });
}

fn kills(server: &mut Server, facts: &mut Facts) {
    let before = worker(server);
    let pid = i32::try_from(before).unwrap_or(0);
    server.get("/grow");
    server.wait_for("its end", |_| (!is_alive(pid)).then_some(()));
    facts.note("killed", true);
    server.send(Signal::INT);
}

#[test]
fn workers_are_replaced_when_they_are_worn() {
    run(RECYCLING);
}

const LIMITS: &[Case] = &[
    Case {
        options: &["limit-as", "limit-nproc", "max-fd"],
        ini: "limit-as = 3000\nlimit-nproc = 4000\nmax-fd = 512\n",
        see: |server, facts| {
            for key in ["Max address space", "Max processes", "Max open files"] {
                facts.note(key, proc_line(server, "limits", key));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["umask"],
        ini: "umask = 027\n",
        see: |server, facts| {
            facts.note("umask", &server.get("/process").json()["umask"]);
            let socket = std::fs::metadata(server.folder().join("s")).expect("the socket");
            let mode = std::os::unix::fs::PermissionsExt::mode(&socket.permissions());
            facts.note("socket", format!("{:o}", mode & 0o777));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["prio"],
        ini: "prio = 7\n",
        see: |server, facts| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker(server)));
            let stat = stat.expect("stat");
            let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
            let nice = fields.split_ascii_whitespace().nth(16);
            facts.note("nice", nice.unwrap_or("?"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["cpu-affinity"],
        ini: "cpu-affinity = 1\n",
        see: |server, facts| {
            let line = proc_line(server, "status", "Cpus_allowed_list");
            facts.note("processors", line);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["never-swap"],
        ini: "never-swap = true\n",
        see: |server, facts| {
            let line = proc_line(server, "status", "VmLck");
            facts.note("locked", line != "VmLck: 0 kB" && !line.is_empty());
        },
        ..Case::PLAIN
    },
    Case {
        options: &["chdir2"],
        ini: "chdir = {dir}\nchdir2 = /var\n",
        see: |server, facts| facts.note("cwd", &server.get("/process").json()["cwd"]),
        ..Case::PLAIN
    },
    Case {
        options: &["force-cwd"],
        ini: "force-cwd = /var\n",
        differs: &[("at the start", "`force-cwd`")],
        see: |server, facts| {
            let place = |server: &Server| server.get("/process").json()["cwd"].to_string();
            facts.note("at the start", place(server) == "\"/var\"");
            let before = worker(server);
            server.send(Signal::HUP);
            server.wait_for("the reload", |server| {
                let now = worker(server);
                (now != before && now != 0).then_some(())
            });
            facts.note("after a reload", place(server));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["thread-stacksize"],
        ini: "threads = 2\nthread-stacksize = 512\n",
        ..Case::PLAIN
    },
    Case {
        options: &["reaper"],
        ini: "reaper = true\nwsgi-file = {dir}/zombie.py\n",
        files: &[("zombie.py", ZOMBIE)],
        see: |server, facts| {
            let child = server.get("/").text();
            // The child has ended before it is looked for by the next request.
            let path = format!("/proc/{child}");
            server.wait_for("its grave", |server| {
                server.get("/");
                (!std::path::Path::new(&path).exists()).then_some(())
            });
            facts.note("reaped", true);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["skip-atexit"],
        ini: "skip-atexit = true\nwsgi-file = {dir}/atexit.py\n",
        files: &[("atexit.py", ATEXIT)],
        see: |server, facts| {
            facts.note("/", outcome(&server.get("/")));
            server.send(Signal::INT);
            server.process().wait(super::support::PATIENCE);
            facts.note("atexit ran", server.folder().join("ended").exists());
        },
        ..Case::PLAIN
    },
];

const ZOMBIE: &str = "import os\n\n\
def application(environ, start_response):\n    \
    child = os.fork()\n    \
    if child == 0:\n        os._exit(0)\n    \
    start_response('200 OK', [])\n    \
    return [str(child).encode()]\n";

const ATEXIT: &str = "import atexit, os\n\
place = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ended')\n\
atexit.register(lambda: open(place, 'w').close())\n\n\
def application(environ, start_response):\n    \
    start_response('200 OK', [])\n    \
    return [b'x']\n";

#[test]
fn processes_have_their_limits_and_their_place() {
    run(LIMITS);
}

#[test]
fn the_app_has_the_groups_that_it_is_given() {
    if super::support::skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    for lines in [
        "add-gid = 12\nadd-gid = daemon\nno-initgroups = true\n",
        "add-gid = 12\n",
        "",
    ] {
        compare_runs(&[], |which| {
            // Ours needs an interpreter that this user may execute; the original takes `python`
            // for a script to run.
            let python = match which {
                Which::Original => "",
                Which::Ours => "python = /usr/bin/python3\n",
            };
            let ini = format!(
                "{}uid = www-data\ngid = www-data\nchown-socket = www-data\n{lines}{python}",
                super::BASE
            );
            let mut facts = Facts::default();
            let server = Server::start_in(which, folder(), &ini);
            let seen = server.get("/process").json();
            let groups = seen["groups"].as_array().cloned().unwrap_or_default();
            let mut groups: Vec<_> = groups
                .iter()
                .filter_map(serde_json::Value::as_u64)
                .collect();
            groups.sort_unstable();
            facts.note("groups", format!("{groups:?}"));
            facts
        });
    }
}

const TITLES: &[Case] = &[
    Case {
        options: &["auto-procname"],
        ini: "auto-procname = true\n",
        see: note_titles,
        ..Case::PLAIN
    },
    Case {
        options: &["procname-prefix-spaced", "procname-master"],
        ini: "procname-prefix-spaced = [shop]\nprocname-master = the chief of all these workers\n",
        see: note_titles,
        ..Case::PLAIN
    },
    Case {
        options: &["procname", "procname-append"],
        ini: "procname = shop\nprocname-append = /live\n",
        see: note_titles,
        ..Case::PLAIN
    },
    Case {
        options: &["procname-prefix"],
        ini: "procname-prefix = P:\n",
        see: note_titles,
        ..Case::PLAIN
    },
];

#[test]
fn ps_shows_the_titles_of_the_original() {
    run(TITLES);
}
