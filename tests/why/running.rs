//! What goes wrong while the app serves.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::{Signal, background, send, uwsgi_get, wait_within};
use super::{APP, Empire, app_serves, empire, json, names, other_serves, text_of};

/// Sends a request that nobody waits for.
fn request(empire: &Empire, path: &'static str) {
    let socket = empire.path("app.s");
    background(move || {
        let _ = uwsgi_get(socket, path);
    });
}

#[test]
fn a_crash_at_import_is_named_with_its_signal_and_where() {
    let code = "import ctypes\ndef into_the_void():\n    ctypes.string_at(0)\ninto_the_void()\n";
    let empire = empire(code, "");
    names(
        &empire,
        "crash",
        "crash",
        &[
            "SIGSEGV",
            "app.ini:3",
            "into_the_void",
            "where: ",
            "update or rebuild",
        ],
    );
    other_serves(&empire);
}

#[test]
fn a_crash_in_a_request_is_named_with_its_signal_pid_and_where_while_others_serve() {
    let code = format!(
        "import ctypes\n{APP}\nplain = application\n\ndef into_the_void():\n    \
         ctypes.string_at(0)\n\ndef application(environ, start_response):\n    \
         if environ['PATH_INFO'] == '/crash':\n        into_the_void()\n    \
         return plain(environ, start_response)\n"
    );
    let empire = empire(&code, "");
    empire.wait_serving("app");
    request(&empire, "/crash");
    names(
        &empire,
        "crash",
        "crash",
        &[
            "worker 1 (pid ",
            "signal: SIGSEGV",
            "pid: ",
            "into_the_void",
            "where: ",
        ],
    );
    app_serves(&empire);
    other_serves(&empire);
    // The next death is another one: what was said before is no word of it. (Not by SIGKILL: on
    // some machines that may be the kernel's, whose count another test raises.)
    let pid = empire.wait_for("a worker", |empire| {
        let reply = uwsgi_get(empire.path("app.s"), "/").ok()?;
        String::from_utf8(reply.body).ok()?.parse().ok()
    });
    send(pid, Signal::XCPU);
    let said = names(
        &empire,
        "crash",
        "crash",
        &[&format!("pid: {pid}"), "SIGXCPU"],
    );
    assert!(!said.contains("into_the_void"), "{said}");
}

#[test]
fn a_worker_that_the_kernel_killed_for_want_of_memory_is_named_so() {
    let code = format!(
        "{APP}\nplain = application\n\ndef application(environ, start_response):\n    \
         if environ['PATH_INFO'] == '/eat':\n        \
         open(os.environ['CGROUP'] + '/cgroup.procs', 'w').write(str(os.getpid()))\n        \
         data = [bytearray(os.urandom(1 << 20)) for _ in range(300)]\n    \
         return plain(environ, start_response)\n"
    );
    let Some(group) = Group::new("app", 64) else {
        eprintln!("SKIPPED: no control group of memory can be made here; limit-as is tested");
        return;
    };
    let empire = empire(&code, &format!("env = CGROUP={}", group.0.display()));
    empire.wait_serving("app");
    request(&empire, "/eat");
    names(
        &empire,
        "out-of-memory",
        "out of memory",
        &["SIGKILL", "pid: ", "kernel: ", "MemoryMax"],
    );
    let history = text_of(&empire.command(&["history", "app"]));
    assert!(
        history.contains(" was killed by the kernel for want of memory"),
        "{history}"
    );
    app_serves(&empire);
    other_serves(&empire);
}

/// By its size the one that serves would be killed.
#[test]
fn when_memory_runs_out_at_a_reload_what_loads_dies_and_what_serves_lives() {
    let Some(group) = Group::new("load", 128) else {
        eprintln!("SKIPPED: no control group of memory can be made here");
        return;
    };
    let enter = "open(os.environ['CGROUP'] + '/cgroup.procs', 'w').write(str(os.getpid()))";
    let code = format!("{APP}\n{enter}\nkept = os.urandom(70 << 20)\n");
    let empire = empire(&code, &format!("env = CGROUP={}", group.0.display()));
    let before = empire.wait_serving("app");
    let eats = format!("{APP}\n{enter}\ndata = [os.urandom(1 << 20) for _ in range(300)]\n");
    empire.folder.write("app.py", &eats);
    empire.touch("app.ini");
    names(
        &empire,
        "reload-failed",
        "reload failed",
        &[
            "generation 1 serves on; generation 2 failed: out of memory: ",
            "kernel: ",
        ],
    );
    let pid = |app: &serde_json::Value| app["status"]["workers"][0]["pid"].as_i64();
    assert_eq!(pid(&empire.app("app")), pid(&before), "{}", empire.report());
    app_serves(&empire);
    other_serves(&empire);
}

/// A control group with little memory.
struct Group(PathBuf);

impl Group {
    fn new(name: &str, megabytes: u64) -> Option<Self> {
        let bytes = (megabytes << 20).to_string();
        let name = format!("imp.why.{name}.{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/memory");
        let (base, limit, swap) = match old.is_dir() {
            true => (old, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max", "memory.swap.max"),
        };
        let group = Self(base.join(name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), &bytes).ok()?;
        let no_swap = match old.is_dir() {
            true => bytes.as_str(),
            false => "0",
        };
        // Not everywhere is swap counted, and not everywhere is any.
        let _ = fs::write(group.0.join(swap), no_swap);
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever is in it still holds it; the name says whose it was.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn requests_that_wait_while_a_worker_is_stopped_are_named_with_its_pid_and_the_command() {
    let empire = empire(APP, "listen = 8");
    let app = empire.wait_serving("app");
    let pid = app["status"]["workers"][0]["pid"].as_i64().unwrap();
    let pid = i32::try_from(pid).unwrap();
    send(pid, Signal::STOP);
    let socket = empire.path("app.s");
    let waiting: Vec<_> = (0..3)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let said = names(
        &empire,
        "queue-full-workers-idle",
        "requests wait while workers are idle",
        &[
            "3 connections wait (of at most 8) while 1 thread is idle",
            &format!("processes that are stopped (SIGSTOP): {pid}"),
            &format!("way out: kill -CONT {pid}"),
        ],
    );
    drop(waiting);
    super::run_the_way_out(&said);
    app_serves(&empire);
    other_serves(&empire);
}

#[test]
fn a_request_that_hits_its_deadline_is_named_with_its_line() {
    let empire = empire(APP, "harakiri = 1");
    empire.wait_serving("app");
    request(&empire, "/slow");
    names(
        &empire,
        "request-deadline",
        "request deadline hit",
        &[
            "app.ini:4: a request ran past harakiri of 1 s: ",
            "GET /slow",
            "worker: *** HARAKIRI ON WORKER 1 (pid: ",
            "raise harakiri",
        ],
    );
    app_serves(&empire);
    other_serves(&empire);
}

#[test]
fn workers_that_are_all_busy_are_named_with_what_they_do() {
    let mut empire = empire(APP, "processes = 2");
    empire.wait_serving("app");
    // Without an emperor the masters are asked, and they ask their workers: nobody has before.
    empire.send(Signal::KILL);
    empire.wait_for_end();
    request(&empire, "/slow");
    request(&empire, "/slow");
    let in_here = empire.folder.fill(IN_HERE);
    empire.wait_for("the stacks of both workers, without an emperor", |empire| {
        let said = text_of(&empire.command(&["why", "app"]));
        let is_named = said.starts_with("app: every worker is busy: 2 of 2 threads");
        (is_named && said.matches(&in_here).count() == 2).then_some(())
    });
    empire.start_again();
    empire.wait_for("both workers to be busy", |empire| {
        (empire.app("app")["status"]["busy"] == 2).then_some(())
    });
    request(&empire, "/");
    names(
        &empire,
        "every-worker-busy",
        "every worker is busy",
        &[
            "2 of 2 threads are inside a request",
            "1 connection waits",
            "request: worker 1 (pid ",
            "request: worker 2 (pid ",
            "GET /slow",
            "set harakiri = SECONDS",
            "  worker 1 (pid ",
            "  worker 2 (pid ",
            IN_HERE,
        ],
    );
    // Who is late is left out of one answer, and stands in the next one.
    empire.wait_for("the stacks of both workers", |empire| {
        let told = json(empire, "app");
        let detail = told["detail"].as_str().unwrap_or_default();
        (detail.matches(&in_here).count() == 2).then_some(())
    });
    nothing_is_logged(&empire);
    other_serves(&empire);
}

#[test]
fn a_worker_whose_threads_are_all_in_old_requests_is_named_with_its_stacks_while_others_serve() {
    let empire = empire(APP, "processes = 2");
    empire.wait_serving("app");
    request(&empire, "/slow");
    wait_stuck(&empire);
    let said = names(
        &empire,
        "worker-stuck",
        "a worker can answer nobody",
        &[
            "its one thread is in a request older than 30 s",
            "stuck: worker ",
            "GET /slow",
            IN_HERE,
        ],
    );
    assert_eq!(said.matches("stuck: ").count(), 1, "{said}");
    let all = text_of(&empire.command(&["why"]));
    assert!(all.contains("app: a worker can answer nobody"), "{all}");
    nothing_is_logged(&empire);
    app_serves(&empire);
    other_serves(&empire);
}

#[test]
fn a_worker_whose_interpreter_nobody_gets_is_named_with_its_stacks() {
    let code = format!(
        "{APP}\nimport ctypes\nplain = application\n\n\ndef holds():\n    \
         lock, library = ctypes.create_string_buffer(256), ctypes.PyDLL(None)\n    \
         library.pthread_mutex_lock(lock)\n    library.pthread_mutex_lock(lock)\n\n\n\
         def application(environ, start_response):\n    \
         if environ['PATH_INFO'] == '/holds':\n        holds()\n    \
         return plain(environ, start_response)\n"
    );
    let empire = empire(&code, "threads = 2");
    empire.wait_serving("app");
    request(&empire, "/holds");
    wait_stuck(&empire);
    let said = names(
        &empire,
        "worker-stuck",
        "a worker can answer nobody",
        &["a thread holds the GIL", "GET /holds", "in holds"],
    );
    assert!(said.contains("nobody gets its interpreter"), "{said}");
    let log = empire.log();
    assert!(!log.contains("in holds"), "{log}");
    other_serves(&empire);
}

/// Where `/slow` stays, as faulthandler tells it.
const IN_HERE: &str = "File \"{dir}/app.py\", line 7 in stuck_in_here";

/// What `why` was told stands nowhere else.
#[track_caller]
fn nothing_is_logged(empire: &Empire) {
    let lines = text_of(&empire.command(&["logs", "app"]));
    for log in [empire.log(), lines] {
        for text in ["stuck_in_here", "Python stacks", "most recent call first"] {
            assert!(!log.contains(text), "{text} is in {log}");
        }
    }
}

/// Waits until the app has a worker that can answer nobody: after 30 s, and at the next look.
#[track_caller]
fn wait_stuck(empire: &Empire) {
    let patience = Duration::from_secs(50);
    let report = || empire.report();
    wait_within(patience, "a worker that is stuck", report, || {
        let stuck = &empire.app("app")["status"]["stuck"];
        stuck
            .as_array()
            .is_some_and(|it| !it.is_empty())
            .then_some(())
    });
}
