//! What an old generation finishes before it goes, and what is told of one that does not finish.

use std::os::unix::fs::symlink;

use crate::apps::{
    APP, ask, folder, ini, pid_of, serving, start, start_in, wait_log, wait_version,
};
use crate::support::{Signal, background, is_alive, uwsgi_get};

fn version(code: &str, new: &str) -> String {
    code.replace("\"one\"", &format!("\"{new}\""))
}

#[test]
fn what_is_killed_at_the_end_of_the_mercy_tells_its_stacks_before() {
    let app = start("worker-reload-mercy = 1");
    let before = pid_of(&serving(&app));
    let socket = app.path("app.sock");
    background(move || drop(uwsgi_get(socket, "/slow?600")));
    app.wait_for("the slow request", |app| {
        app.path("slow-started").exists().then_some(())
    });
    app.folder.write("app.py", &version(APP, "two"));
    app.send(Signal::HUP);
    wait_version(&app, "two");
    wait_log(
        &app,
        &format!("worker 1 (pid {before}) is late and will be killed; what it does now:"),
    );
    wait_log(&app, "in slow");
    wait_log(
        &app,
        &format!("worker 1 (pid {before}) did not finish in time and was killed"),
    );
    app.wait_for("its end", |_| (!is_alive(before)).then_some(()));
}

#[test]
fn threads_and_exit_handlers_of_the_old_code_have_their_turn() {
    let code = format!(
        "{APP}
import atexit
atexit.register(lambda: open('exits', 'a').write('exit '))

def work():
    while not os.path.exists('finish'):
        time.sleep(0.01)
    open('exits', 'a').write('thread ')

inner = application
started = []

def application(environ, start_response):
    if not started and environ['PATH_INFO'] == '/start':
        started.append(threading.Thread(target=work))
        started[0].start()
    return inner(environ, start_response)
"
    );
    let app = start_in(folder(&code), "");
    let before = pid_of(&serving(&app));
    ask(&app, "/start").expect("an answer");
    app.folder.write("app.py", &version(APP, "two"));
    app.send(Signal::HUP);
    wait_version(&app, "two");
    assert!(is_alive(before), "its thread works: {}", app.report());
    app.folder.write("finish", "");
    app.wait_for("its end", |_| (!is_alive(before)).then_some(()));
    assert_eq!(app.folder.read("exits"), "thread exit ");
}

#[test]
fn a_symlinked_deploy_is_looked_up_once_for_each_generation() {
    let folder = folder(APP);
    for release in ["1", "2"] {
        let code = version(APP, release);
        folder.write(&format!("releases/{release}/app.py"), &code);
    }
    symlink("releases/1", folder.join("current")).expect("a link");
    let text = ini("lazy-apps = true\nprocesses = 2");
    let text = text.replace("chdir = {dir}", "chdir = {dir}/current");
    let app = crate::support::Alone::start_in(folder, &text);
    assert_eq!(serving(&app)["version"], "1");
    std::fs::remove_file(app.path("current")).expect("to unlink");
    symlink("releases/2", app.path("current")).expect("a link");
    // Workers that come now are of their generation: whoever was there before makes room.
    let before = app.family();
    app.wait_for("a new worker", |app| {
        let facts = ask(app, "/")?;
        assert_eq!(facts["version"], "1", "{}", app.report());
        let pid = pid_of(&facts);
        let is_new = !before.contains(&pid);
        if !is_new {
            crate::support::send(pid, Signal::KILL);
        }
        is_new.then_some(())
    });
    app.send(Signal::HUP);
    let facts = wait_version(&app, "2");
    assert!(facts["cwd"].as_str().unwrap().ends_with("/releases/2"));
    // Nothing of the old code is left.
    app.wait_for("the end of the old code", |app| {
        let mut all = app.family().into_iter();
        all.all(|pid| {
            let cwd = std::fs::read_link(format!("/proc/{pid}/cwd"));
            !cwd.is_ok_and(|cwd| cwd.ends_with("releases/1"))
        })
        .then_some(())
    });
}

#[test]
fn a_changed_directory_interpreter_and_user_just_work() {
    let folder = folder(APP);
    folder.write("other/app.py", &version(APP, "other"));
    let app = start_in(folder, "python = python3");
    let first = serving(&app);
    let python = first["executable"].as_str().unwrap().to_owned();
    symlink(python, app.path("another-python")).expect("a link");
    let text = ini("python = {dir}/another-python");
    let text = text.replace("chdir = {dir}", "chdir = {dir}/other");
    app.folder.write("app.ini", &text);
    app.send(Signal::HUP);
    let facts = wait_version(&app, "other");
    assert!(
        facts["executable"]
            .as_str()
            .unwrap()
            .ends_with("another-python"),
        "{facts:#}"
    );
    assert_eq!(facts["uid"], first["uid"]);
}
