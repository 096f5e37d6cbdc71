//! `emperor-on-demand-*`: vassals that name no socket and start at their first request.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::emperor::Emperor;
use super::pair::{self, Facts, compare_runs};
use super::support::{Address, Vars, is_alive, set_mode, uwsgi};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "emperor-on-demand-directory",
        "a_vassal_on_demand_starts_when_asked_and_goes_when_idle",
    ),
    (
        "emperor-on-demand-exec",
        "a_vassal_on_demand_starts_when_asked_and_goes_when_idle",
    ),
    (
        "emperor-on-demand-extension",
        "a_vassal_on_demand_starts_when_asked_and_goes_when_idle",
    ),
    (
        "on-demand-socket",
        "sockets_on_demand_follow_their_files_and_commands_cost_their_apps_alone",
    ),
];

/// Notes each import of the app.
const APP: &str = "\
import os
with open('{dir}/loads', 'a') as loads:
    loads.write('x')
from facts import application
";

fn socket_of(emperor: &Emperor, path: &str) -> PathBuf {
    let path = emperor.path(path);
    emperor.wait_for("the socket", || {
        // Bound, made for all, and listened on.
        let mode = std::fs::metadata(&path).ok()?.permissions().mode();
        let listens = std::fs::read_to_string("/proc/net/unix").ok()?;
        let flag = listens
            .lines()
            .any(|line| line.contains(" 00010000 ") && line.ends_with(&*path.to_string_lossy()));
        (flag && mode & 0o777 == 0o666).then(|| path.clone())
    })
}

fn process(emperor: &Emperor, socket: &Path) -> i64 {
    let address = Address::Unix(socket.to_owned());
    let reply = uwsgi(&address, &Vars::request("GET", "/process"), b"").expect("an answer");
    assert_eq!(reply.status, 200, "{}", emperor.report());
    reply.json()["pid"].as_i64().expect("a pid")
}

/// The first request is the only one: nobody asks twice.
#[test]
fn a_vassal_on_demand_starts_when_asked_and_goes_when_idle() {
    for (args, socket, sleeps) in [
        (["--emperor-on-demand-ext", ".name"], "named", true),
        (["--emperor-on-demand-dir", "{dir}"], "app.socket", false),
        (["--emperor-on-demand-exec", "{dir}/where"], "told", false),
    ] {
        compare_runs(&[], |which| {
            let folder = pair::folder();
            folder.write("lazy.py", APP);
            let told = folder.write(
                "where",
                "#!/bin/sh\necho \"$#$1\" > {dir}/asked\necho {dir}/told\n",
            );
            set_mode(&told, 0o755);
            folder.write("vassals/app.ini.name", "{dir}/named\nmore\n");
            let idle = if sleeps {
                "idle = 1\ndie-on-idle = true\n"
            } else {
                ""
            };
            let text = format!(
                "[uwsgi]\nplugin = python3\npythonpath = {{dir}}\nwsgi-file = {{dir}}/lazy.py\n{idle}"
            );
            folder.write("vassals/app.ini", &text);
            let args = [&args[..], &["--emperor-freq", "1"]].concat();
            let emperor = Emperor::empty(which, folder, &args);
            let mut facts = Facts::default();
            let socket = socket_of(&emperor, socket);
            if let Emperor::Ours(ours) = &emperor {
                let asleep = ours.wait_state("app", "asleep");
                assert_eq!(asleep["status"]["workers"], serde_json::json!([]));
            }
            facts.note("loaded unasked", emperor.path("loads").exists());
            let first = process(&emperor, &socket);
            if sleeps {
                let pid = i32::try_from(first).expect("a pid");
                emperor.wait_for("it to be idle", || (!is_alive(pid)).then_some(()));
                facts.note("another one", process(&emperor, &socket) != first);
            }
            facts.note("loads", emperor.text("loads"));
            facts.note("listens", socket.exists());
            if args[0].ends_with("exec") {
                facts.note("asked", emperor.text("asked"));
            }
            facts
        });
    }
}
