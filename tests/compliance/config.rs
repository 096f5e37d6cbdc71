//! What options do to the app: where it is loaded from, what it sees, who may connect.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::pair::{Facts, Server, Which, compare, compare_runs, folder, outcome};
use super::support::Vars;

/// An ini with a socket and these lines.
fn ini(lines: &str) -> String {
    format!("[uwsgi]\nsocket = {{dir}}/s\n{lines}")
}

#[test]
fn the_app_is_found_by_file_module_and_callable() {
    for lines in [
        "wsgi-file = {dir}/facts.py\n",
        "wsgi-file = facts.py\n",
        "wsgi-file = {dir}/facts.py\ncallable = other\n",
        "chdir = {dir}\nmodule = facts\n",
        "chdir = {dir}\nmodule = facts:other\n",
        "chdir = {dir}\nmodule = facts:factory()\n",
        "pythonpath = {dir}\nmodule = facts\ncallable = other\n",
        "chdir = {dir}\nwsgi = facts:other\n",
        "env = DJANGO_SETTINGS_MODULE=nothing\nchdir = {dir}\nmodule = facts:application\n",
    ] {
        compare(&[], &ini(lines), |server, facts| {
            let reply = server.get("/who");
            let vars = Vars::request("GET", "/who").with("SCRIPT_NAME", "");
            facts.note("status", outcome(&reply));
            facts.note("text", server.ask(&vars, b"").text());
        });
    }
}

#[test]
fn the_environment_is_as_asked() {
    let lines = "\
wsgi-file = {dir}/facts.py
env = PLAIN=value
env = SPACES=a b  c
env = TWICE=first
env = TWICE=last
env = EMPTY=
env = EQUALS=a=b
place = holder
env = PLACED=%(place)/%n
env = INHERITED=$(FROM_OUTSIDE)
";
    let row = "the environment of an app";
    compare_runs(&[("UWSGI_RELOADS", row)], |which| {
        let folder = folder();
        folder.write("app.ini", &ini(lines));
        let outside = [("FROM_OUTSIDE", "outside"), ("PASSED", "on")];
        let server = Server::start_with(which, folder, &["--ini", "{dir}/app.ini"], &outside);
        let env = server.get("/process").json()["env"].clone();
        let mut facts = Facts::default();
        for name in [
            "PLAIN",
            "SPACES",
            "TWICE",
            "EMPTY",
            "EQUALS",
            "PLACED",
            "INHERITED",
            "FROM_OUTSIDE",
            "PASSED",
            "UWSGI_RELOADS",
            "NOTIFY_SOCKET",
        ] {
            facts.note(name, &env[name]);
        }
        facts
    });
}

#[test]
fn chdir_is_the_apps() {
    let lines = "wsgi-file = {dir}/facts.py\nchdir = {dir}/inner\n";
    compare_runs(&[], |which| {
        let folder = folder();
        std::fs::create_dir(folder.join("inner")).unwrap();
        let top = folder.path().to_owned();
        let server = Server::start_in(which, folder, &ini(lines));
        let seen = server.get("/process").json();
        let mut facts = Facts::default();
        let cwd = seen["cwd"].as_str().unwrap_or("");
        facts.note(
            "cwd",
            cwd.strip_prefix(top.to_str().unwrap()).unwrap_or(cwd),
        );
        facts
    });
}

#[test]
fn the_last_pythonpath_is_searched_first() {
    let lines = "wsgi-file = {dir}/facts.py\npythonpath = {dir}/one\npythonpath = {dir}/two\n";
    compare(&[], &ini(lines), |server, facts| {
        let top = server.folder().path().to_str().unwrap().to_owned();
        let seen = server.get("/process").json();
        let paths: Vec<&str> = seen["path"]
            .as_array()
            .expect("sys.path")
            .iter()
            .filter_map(|path| path.as_str()?.strip_prefix(&top))
            .filter(|path| !path.is_empty())
            .map(|path| path.trim_end_matches('/'))
            .collect();
        facts.note("order", paths.join(" "));
    });
}

#[test]
fn sockets_have_the_mode_that_chmod_socket_says() {
    for (lines, name) in [
        ("", "without chmod-socket"),
        ("chmod-socket = 660\n", "660"),
        ("chmod-socket = 600\n", "600"),
        ("chmod-socket = 666\n", "666"),
        ("chmod-socket = 777\n", "777"),
        ("chmod-socket = 1\n", "1"),
    ] {
        let lines = format!("wsgi-file = {{dir}}/facts.py\n{lines}");
        compare(&[], &ini(&lines), |server, facts| {
            // An answer: everything that is done to the socket at start is done.
            server.get("/who");
            let mode = std::fs::metadata(server.socket())
                .unwrap()
                .permissions()
                .mode();
            facts.note(name, format!("{:o}", mode & 0o7777));
        });
    }
}

#[test]
fn sockets_have_the_owner_that_chown_socket_says() {
    if super::support::skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    for owner in ["nobody", "nobody:www-data", "www-data:daemon", "65534:33"] {
        let lines = format!("wsgi-file = {{dir}}/facts.py\nchown-socket = {owner}\n");
        compare(&[], &ini(&lines), |server, facts| {
            server.get("/who");
            let meta = std::fs::metadata(server.socket()).unwrap();
            facts.note(owner, format!("{}:{}", meta.uid(), meta.gid()));
        });
    }
}

#[test]
fn the_app_runs_as_uid_and_gid() {
    if super::support::skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    for lines in [
        "uid = www-data\ngid = www-data\n",
        "uid = nobody\ngid = nogroup\n",
        "uid = 33\ngid = 65534\n",
    ] {
        let text = format!(
            "[uwsgi]\nsocket = {{dir}}/run/s\nchmod-socket = 666\n{lines}wsgi-file = {{dir}}/facts.py\n"
        );
        compare_runs(&[], |which| {
            let folder = folder();
            std::fs::create_dir(folder.join("run")).unwrap();
            let everybody = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(folder.join("run"), everybody).unwrap();
            std::os::unix::fs::symlink("run/s", folder.join("s")).unwrap();
            // Ours needs an interpreter that this user may execute; the original takes `python`
            // for a script to run.
            let python = match which {
                Which::Original => "",
                Which::Ours => "python = /usr/bin/python3\n",
            };
            let server = Server::start_in(which, folder, &format!("{text}{python}"));
            let seen = server.get("/process").json();
            let mut facts = Facts::default();
            for name in ["uid", "gid"] {
                facts.note(name, &seen[name]);
            }
            facts
        });
    }
}

#[test]
fn mounts_are_chosen_by_the_longest_prefix() {
    let lines = "\
module = facts
chdir = {dir}
mount = /a=one.py
mount = /a/deep=two.py
mount = /b=two:application
manage-script-name = true
";
    compare_runs(&[], |which| {
        let folder = folder();
        for name in ["one", "two"] {
            let text = format!(
                "import json\ndef application(e, s):\n    s('200 OK', [])\n    return [json.dumps(['{name}', e.get('SCRIPT_NAME'), e.get('PATH_INFO')]).encode()]\n"
            );
            folder.write(&format!("{name}.py"), &text);
        }
        let server = Server::start_in(which, folder, &ini(lines));
        let mut facts = Facts::default();
        for uri in [
            "/a",
            "/a/",
            "/a/x",
            "/ax",
            "/a/deep",
            "/a/deep/er",
            "/a/deeper",
            "/b",
            "/b/x/y",
            "/c",
        ] {
            let reply = server.get(uri).json();
            // The app without a prefix shows whether SCRIPT_NAME is there, a difference of its own.
            let plain = reply["path_info"]
                .as_str()
                .map(|path| format!("plain {path}"));
            facts.note(uri, plain.unwrap_or_else(|| reply.to_string()));
        }
        facts
    });
}

#[test]
fn the_ini_language_reaches_the_app() {
    let text = "\
; a comment
# another
[other]
env = FROM=other section
[uwsgi]
name = value with spaces
socket = %d/s
wsgi-file = %dfacts.py
env = NAME=%(name)
env = VASSAL=%n
env = FULL=%s
ini = :more
if-env = PATH
env = IF=yes
endif =
[more]
env = MORE=%(name)
";
    compare(&[], text, |server, facts| {
        let env = server.get("/process").json()["env"].clone();
        for name in ["FROM", "NAME", "VASSAL", "FULL", "MORE", "IF"] {
            facts.note(name, &env[name]);
        }
    });
}

#[test]
fn uwsgi_variables_are_options() {
    compare_runs(&[], |which| {
        let folder = folder();
        folder.write("app.ini", &ini("chdir = {dir}\n"));
        let env = [("UWSGI_MODULE", "facts:other"), ("UWSGI_MASTER", "true")];
        let server = Server::start_with(which, folder, &["--ini", "{dir}/app.ini"], &env);
        let mut facts = Facts::default();
        facts.note("answer", server.get("/who").text());
        facts
    });
}

#[test]
fn a_command_line_is_a_config_too() {
    compare_runs(&[], |which| {
        let folder = folder();
        let args = [
            "-s",
            "{dir}/s",
            "--chdir",
            "{dir}",
            "-w",
            "facts:other",
            "-p",
            "2",
            "-L",
        ];
        let server = Server::start_with(which, folder, &args, &[]);
        let mut facts = Facts::default();
        facts.note("answer", server.get("/who").text());
        facts
    });
}

/// The pid of the process that answers.
#[track_caller]
pub(crate) fn pid(server: &Server) -> i64 {
    server.wait_for("the answer of a worker", |server| {
        let reply = server.get("/process");
        // One that is killed meanwhile answers nobody.
        (reply.status == 200).then(|| reply.json()["pid"].as_i64().expect("a pid"))
    })
}

#[test]
fn which_is_which() {
    // The comparison would be worth nothing if both ran the same program.
    compare_runs(&[("server", "the program's name")], |which| {
        let mut facts = Facts::default();
        facts.note(
            "server",
            match which {
                Which::Original => "uwsgi",
                Which::Ours => "imperator",
            },
        );
        facts
    });
}
