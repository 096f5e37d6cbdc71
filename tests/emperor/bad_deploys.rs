//! Every kind of bad deploy, under light load: the workers that serve keep their pids and lose no
//! request, and the status names the generation that failed beside the one that serves.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use crate::control::said;
use crate::support::{Address, Empire, Folder, Load, Vars, dawdle, set_mode, uwsgi};
use crate::{generation, settled};

const APP: &str = r#"
def application(environ, start_response):
    sick = environ["PATH_INFO"] == "/ready" and SICK
    start_response("503 Sick" if sick else "200 OK", [])
    return [b"ave"]

SICK = False
"#;

fn ini(lines: &str) -> String {
    format!(
        "[uwsgi]\nsocket = {{dir}}/blog.s\nchdir = {{dir}}\nmodule = app\nprocesses = 2\n\
         env = PYTHONDONTWRITEBYTECODE=1\nready-request = /ready\n{lines}\n"
    )
}

/// What is deployed, and what the status says of it.
struct Bad {
    kind: &'static str,
    code: String,
    lines: String,
    says: &'static str,
}

fn bad(kind: &'static str, code: &str, lines: &str, says: &'static str) -> Bad {
    let code = if code.is_empty() { APP } else { code };
    Bad {
        kind,
        code: code.to_owned(),
        lines: lines.to_owned(),
        says,
    }
}

fn kinds(taken: u16) -> Vec<Bad> {
    let exit = "import os\nos._exit(3)\n";
    let crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n";
    let sick = format!("{APP}SICK = True\n");
    vec![
        bad("syntax error", "def broken(:\n", "", "SyntaxError"),
        bad(
            "import error",
            "from os import nothing_such\n",
            "",
            "ImportError",
        ),
        bad("exception at load", "1 / 0\n", "", "ZeroDivisionError"),
        bad(
            "hang at load",
            "import time\ntime.sleep(1000)\n",
            "ready-timeout = 2",
            "not ready within 2 s",
        ),
        bad("exit", exit, "", "exit code 3"),
        bad("segfault at load", crash, "", "SIGSEGV"),
        bad(
            "missing module",
            "import nothing_such\n",
            "",
            "No module named 'nothing_such'",
        ),
        bad(
            "missing virtualenv",
            "",
            "virtualenv = {dir}/no-venv",
            "no-venv",
        ),
        bad(
            "wrong Python",
            "",
            "python = {dir}/no-python",
            "exit code 0",
        ),
        bad("failing ready-request", &sick, "", "was answered 503"),
        bad(
            "out of memory at load",
            "waste = bytearray(4 << 30)\n",
            "limit-as = 1024",
            "MemoryError",
        ),
        bad("broken ini", "", "socket = nonsense:port", "nonsense"),
        bad(
            "port taken",
            "",
            &format!("http-socket = 127.0.0.1:{taken}"),
            "in use",
        ),
    ]
}

fn workers(app: &serde_json::Value) -> BTreeSet<i64> {
    let workers = app["status"]["workers"].as_array();
    let of_first = |it: &&serde_json::Value| it["generation"] == 1;
    let all = workers.into_iter().flatten().filter(of_first);
    all.filter_map(|it| it["pid"].as_i64()).collect()
}

#[test]
fn no_bad_deploy_touches_the_workers_that_serve() {
    let folder = Folder::new();
    folder.write("app.py", APP);
    let python = folder.write("no-python", "#!/bin/sh\nexit 0\n");
    set_mode(&python, 0o755);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let empire = Empire::start_with(folder, &[("blog.ini", &ini(""))], &["{dir}/vassals"]);
    let before = settled(&empire, "blog");
    let (serving, pids) = (generation(&before), workers(&before));
    assert_eq!((serving, pids.len()), (1, 2), "{before:#}");
    let (to, vars) = (
        Address::from(empire.path("blog.s")),
        Vars::request("GET", "/"),
    );
    let load = Load::start(2, move || {
        // Light: the deploys need the machine as well.
        dawdle(Duration::from_millis(10));
        uwsgi(&to, &vars, b"")
    });
    for Bad {
        kind,
        code,
        lines,
        says,
    } in kinds(port)
    {
        empire.folder.write("app.py", &code);
        // An edit that means the same app as before would reload nothing.
        empire.write("blog.ini", &ini(&format!("{lines}\nenv = DEPLOY={kind}")));
        let app = empire.wait_for(&format!("{kind} to be told"), |empire| {
            let app = empire.app("blog");
            let summary = app["failure"]["summary"].as_str()?;
            (summary.contains(says) && app["status"]["next"].is_null()).then_some(app)
        });
        assert_eq!(app["condition"], "serving-old", "{kind}: {app:#}");
        assert_eq!(generation(&app), serving, "{kind}: {app:#}");
        assert_eq!(workers(&app), pids, "{kind}: {app:#}");
        let failed = app["status"]["failed"].as_u64();
        assert!(failed > Some(serving), "{kind}: {app:#}");
    }
    // The directory of the ini files goes, and comes back.
    let (vassals, away) = (empire.path("vassals"), empire.path("away"));
    std::fs::rename(&vassals, &away).expect("to move the directory away");
    load.wait_for_more(50);
    assert_eq!(workers(&empire.app("blog")), pids);
    std::fs::rename(&away, &vassals).expect("to move it back");
    // Mended: the next generation serves, and nothing is said any more.
    empire.folder.write("app.py", APP);
    empire.write("blog.ini", &ini("env = DEPLOY=mended"));
    empire.wait_for("the mended app", |empire| {
        let app = empire.app("blog");
        let is_new = generation(&app) > serving && app["condition"] == "serving";
        (is_new && app["failure"].is_null()).then_some(())
    });
    load.wait_for_more(20);
    load.stop().must_be_clean(100, || empire.report());
}

#[test]
fn an_ini_that_is_written_back_after_a_failed_edit_starts_the_mended_code() {
    let folder = Folder::new();
    folder.write("app.py", APP);
    let empire = Empire::start_with(folder, &[("blog.ini", &ini(""))], &["{dir}/vassals"]);
    settled(&empire, "blog");
    empire.folder.write("app.py", "def broken(:\n");
    empire.write("blog.ini", &ini("env = DEPLOY=broken"));
    let failed = empire.wait_state("blog", "serving-old");
    let summary = failed["failure"]["summary"].as_str().expect("a cause");
    assert!(summary.contains("SyntaxError"), "{failed:#}");
    let line = format!("serving generation 1; generation 2 failed: {summary}");
    let text = said(&empire.command(&["status", "blog"]));
    assert!(text.contains(&line), "{text}");
    let table = said(&empire.command(&["status"]));
    let mut lines = table.lines().filter(|line| line.starts_with("blog "));
    let line = lines.next().unwrap_or_default();
    assert!(
        line.contains("serving-old") && line.contains("SyntaxError"),
        "{table}"
    );
    assert!(lines.next().is_none(), "{table}");
    empire.folder.write("app.py", APP);
    empire.write("blog.ini", &ini(""));
    empire.wait_for("the mended code", |empire| {
        let app = empire.app("blog");
        let is_new = generation(&app) > 1 && app["condition"] == "serving";
        (is_new && app["failure"].is_null()).then_some(())
    });
}
