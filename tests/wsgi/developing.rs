//! What helps who develops an app: edits that serve at once, and the stacks of a worker that hangs.

use std::io::Read;
use std::time::Duration;

use super::harness::interpreters;
use super::support::{Address, Alone, Exchange, Folder, stays, uwsgi_get};

const APP: &str = "\
def application(environ, start_response):
    if environ['PATH_INFO'] == '/late':
        import late
        text = late.text
    elif environ['PATH_INFO'] == '/hang':
        import os, time
        while not os.path.exists('go-on'):
            time.sleep(0.1)
        text = 'hung'
    else:
        import part
        text = part.text
    start_response('200 OK', [])
    return [text.encode()]
";

fn answers(app: &Alone, uri: &str) -> Option<String> {
    let reply = uwsgi_get(app.path("s").as_path(), uri).ok()?;
    (reply.status == 200).then(|| reply.text())
}

#[track_caller]
fn wait_for_text(app: &Alone, uri: &str, text: &str) {
    app.wait_for(&format!("{uri} to answer {text:?}"), |app| {
        answers(app, uri).filter(|found| found == text)
    });
}

/// `processes` and `lazy-apps` decide who loads: a mold, or each worker.
#[test]
fn an_edit_of_a_loaded_module_serves_and_a_broken_one_changes_nothing() {
    for (python, lines) in interpreters().iter().zip(
        [
            "processes = 1\n",
            "processes = 2\n",
            "processes = 2\nlazy-apps = true\n",
        ]
        .iter()
        .cycle(),
    ) {
        let folder = Folder::new();
        folder.write("site.py", APP);
        folder.write("part.py", "text = 'one'\n");
        folder.write("late.py", "text = 'late one'\n");
        folder.write("ignored.py", "text = 'ignored'\n");
        // A module that is loaded at the start, beside those that requests load.
        folder.write(
            "web.py",
            "import ignored\nimport part\nfrom site_app import *\n",
        );
        folder.write("site_app.py", APP);
        // Looks by the clock would come too late for this test: only inotify can tell.
        let ini = format!(
            "[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\nmodule = web\npython = {}\n\
             py-autoreload = 3600\npy-auto-reload-ignore = ignored\n{lines}",
            python.display()
        );
        let app = Alone::start_in(folder, &ini);
        wait_for_text(&app, "/", "one");
        // In place, as vim does; and by a rename, as others do.
        app.folder
            .write_in_place("part.py", "text = 'number two'\n");
        wait_for_text(&app, "/", "number two");
        app.folder.write("part.py", "text = 'the third'\n");
        wait_for_text(&app, "/", "the third");
        // Loaded by a request of this generation's.
        wait_for_text(&app, "/late", "late one");
        app.folder.write("late.py", "text = 'late number two'\n");
        wait_for_text(&app, "/late", "late number two");
        // Broken: nothing changes, and the mended one serves.
        app.folder
            .write("part.py", "text = 'never'\nthis is no Python\n");
        app.wait_for("the failure in the log", |app| {
            app.log().contains("part.py:2").then_some(())
        });
        assert_eq!(answers(&app, "/").as_deref(), Some("the third"));
        app.folder.write("part.py", "text = 'mended'\n");
        wait_for_text(&app, "/", "mended");
        app.folder.write("ignored.py", "text = 'changed'\n");
        stays(Duration::from_millis(300), "no reload", || {
            !app.log().contains("ignored.py changed")
        });
    }
}

#[test]
fn a_first_start_that_failed_is_tried_again_when_the_broken_file_is_mended() {
    let folder = Folder::new();
    folder.write("site_app.py", APP);
    folder.write("web.py", "import part\nfrom site_app import *\n");
    folder.write("part.py", "text = 'broken\n");
    let ini = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\npy-autoreload = 3600\n";
    let app = Alone::start_in(folder, ini);
    app.wait_for("three failures, so that the pause is long", |app| {
        let failures = app
            .log()
            .matches("cannot load module = web: SyntaxError")
            .count();
        (failures >= 3).then_some(())
    });
    app.folder.write("part.py", "text = 'mended'\n");
    app.wait_for("the reason for the next try", |app| {
        app.log().contains("part.py changed").then_some(())
    });
    wait_for_text(&app, "/", "mended");
}

/// Generated version files, build numbers: written at each import, by the app.
#[test]
fn an_app_that_rewrites_a_module_of_its_own_is_not_reloaded_for_ever() {
    let folder = Folder::new();
    folder.write("site_app.py", APP);
    folder.write("part.py", "text = 'one'\n");
    folder.write("build.py", "number = 0\n");
    let web = "import os\nimport build\nfrom site_app import *\n\
               with open('build.py', 'w') as file:\n    \
               file.write('number = %d\\n' % (build.number + 1))\n";
    folder.write("web.py", web);
    let ini = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\npy-autoreload = 3600\n";
    let app = Alone::start_in(folder, ini);
    let told = "build.py changes each time when the app is loaded";
    let log = app.wait_for("the note about the restless file", |app| {
        Some(app.log()).filter(|log| log.contains(told))
    });
    let reloads = |log: &str| log.matches("build.py changed: reload").count();
    let before = log.split(told).next().map(reloads);
    assert!(before.is_some_and(|it| (1..=5).contains(&it)), "{log}");
    // Another edit may be the last one of its author: it is served, only later.
    app.wait_for("the next reload", |app| {
        (Some(reloads(&app.log())) > before).then_some(())
    });
    // An edit of another file still serves.
    app.folder.write("part.py", "text = 'edited'\n");
    wait_for_text(&app, "/", "edited");
}

#[test]
fn the_tracebacker_tells_the_stacks_of_a_worker_that_hangs() {
    for python in interpreters() {
        let folder = Folder::new();
        folder.write("site_app.py", APP);
        folder.write("part.py", "text = 'one'\n");
        let ini = format!(
            "[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\nmodule = site_app\npython = {}\n\
             processes = 2\nlazy-apps = true\npy-tracebacker = {{dir}}/stacks.\n",
            python.display()
        );
        let app = Alone::start_in(folder, &ini);
        wait_for_text(&app, "/", "one");
        let socket = app.path("s");
        let hanging = std::thread::spawn(move || uwsgi_get(socket.as_path(), "/hang"));
        let told = |worker: &str| {
            let address = Address::Unix(app.path(&format!("stacks.{worker}")));
            let mut text = String::new();
            let mut exchange = Exchange::connect(&address).ok()?;
            exchange.read_to_string(&mut text).ok()?;
            Some(text)
        };
        app.wait_for("the stack of the hanging request", |_| {
            let texts = [told("1")?, told("2")?];
            let mut hanging = texts.iter().filter(|text| text.contains("time.sleep(0.1)"));
            hanging
                .next()
                .map(|text| assert!(text.contains("MainThread"), "{text}"))
        });
        app.folder.write("go-on", "");
        assert_eq!(hanging.join().unwrap().unwrap().text(), "hung");
    }
}
