//! `current -> releases/1`: a generation is of one release, whatever becomes of the link.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Alone, Folder, Signal, python, send, uwsgi_get};

const APP: &str = r#"
import os, sys
import early

VERSION = "?"

def application(environ, start_response):
    import late
    release = os.path.basename(os.path.dirname(sys.prefix))
    start_response("200 OK", [])
    return [f"{VERSION} {early.VERSION} {late.VERSION} {release} {os.getpid()}".encode()]
"#;

/// Which release each part of the answer is of, and who answered.
fn ask(app: &Alone) -> Option<(String, i32)> {
    let reply = uwsgi_get(app.path("app.sock"), "/").ok()?;
    let text = String::from_utf8(reply.body).ok()?;
    let (releases, pid) = text.rsplit_once(' ')?;
    Some((releases.to_owned(), pid.parse().ok()?))
}

fn point(folder: &Folder, release: &str) {
    let (new, link) = (folder.join("new"), folder.join("current"));
    symlink(format!("releases/{release}"), &new).expect("a link");
    std::fs::rename(new, link).expect("to move the link");
}

fn a_generation_is_of_one_release(lines: &str) {
    let folder = Folder::new();
    for release in ["1", "2"] {
        let path = |name: &str| format!("releases/{release}/{name}");
        folder.write(&path("app/wsgi.py"), &APP.replace("?", release));
        for module in ["early", "late"] {
            let text = format!("VERSION = {release}\n");
            folder.write(&path(&format!("lib/{module}.py")), &text);
        }
        let mut venv = Command::new(python());
        venv.args(["-m", "venv", "--without-pip"]);
        let made = venv.arg(folder.join(&path("venv"))).status();
        assert!(made.expect("python").success());
    }
    point(&folder, "1");
    let ini = format!(
        "[uwsgi]\nsocket = {{dir}}/app.sock\nenv = PYTHONDONTWRITEBYTECODE=1\n\
         chdir = {{dir}}/current\nwsgi-file = {{dir}}/current/app/wsgi.py\n\
         pythonpath = {{dir}}/current/lib\nvirtualenv = {{dir}}/current/venv\n{lines}\n"
    );
    let mut app = Alone::start_in(folder, &ini);
    let serves = |app: &Alone, releases: &str| {
        app.wait_for("the app to serve", |app| {
            ask(app).filter(|(of, _)| of == releases)
        })
    };
    app.wait_for("the first generation", |app| {
        app.log().contains("generation 1 serves").then_some(())
    });
    let before = app.family();
    point(&app.folder, "2");
    // Whoever was there before the link was moved makes room for one that comes after.
    app.wait_for("a new worker", |app| {
        let (releases, pid) = ask(app)?;
        assert_eq!(releases, "1 1 1 1");
        let is_new = !before.contains(&pid);
        if !is_new {
            send(pid, Signal::KILL);
        }
        is_new.then_some(())
    });
    app.send(Signal::HUP);
    serves(&app, "2 2 2 2");
    app.wait_for("nobody to be left in the old release", |app| {
        let is_old = |pid: &i32| {
            let place = std::fs::read_link(format!("/proc/{pid}/cwd"));
            place.is_ok_and(|place| place.ends_with("releases/1"))
        };
        (!app.family().iter().any(is_old)).then_some(())
    });
    std::fs::remove_dir_all(app.path("releases/1")).expect("to remove the old release");
    let (_, pid) = serves(&app, "2 2 2 2");
    send(pid, Signal::KILL);
    app.wait_for("the next worker", |app| {
        ask(app).filter(|(releases, now)| releases == "2 2 2 2" && *now != pid)
    });
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
}

#[test]
fn a_worker_that_loads_the_app_itself_is_of_its_generations_release() {
    a_generation_is_of_one_release("");
}

#[test]
fn a_worker_that_is_forked_is_of_its_generations_release() {
    a_generation_is_of_one_release("processes = 2");
}
