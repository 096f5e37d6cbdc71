//! What goes wrong while the app serves.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::support::{Signal, background, send, uwsgi_get};
use super::{APP, Empire, app_serves, empire, names, other_serves};

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
    let Some(group) = Group::new("app") else {
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
    app_serves(&empire);
    other_serves(&empire);
}

/// A control group with little memory.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Self> {
        let name = format!("imp.why.{name}.{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/memory");
        let (base, limit, swap) = match old.is_dir() {
            true => (old, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max", "memory.swap.max"),
        };
        let group = Self(base.join(name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), "67108864").ok()?;
        let no_swap = match old.is_dir() {
            true => "67108864",
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
            "3 connections wait (of at most 8) while 1 threads are idle",
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
    let empire = empire(APP, "processes = 2");
    empire.wait_serving("app");
    request(&empire, "/slow");
    request(&empire, "/slow");
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
            "1 connections wait",
            "request: worker 1 (pid ",
            "request: worker 2 (pid ",
            "GET /slow",
            "set harakiri = SECONDS",
        ],
    );
    other_serves(&empire);
}
