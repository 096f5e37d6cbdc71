//! Every name of the original's module `uwsgi`: here it has the same kind, and works or says what to use
//! instead.

use std::collections::BTreeMap;
use std::path::Path;

use super::harness::interpreters;
use super::support::{Alone, Folder, Original, skips_without, uwsgi_get};

/// Of an original that has what these belong to in its config, or a later version.
const MORE: &str = "add_ms_timer chunked_read_nb i_am_the_spooler mule_get_msg queue_get queue_last \
    queue_pop queue_pull queue_push queue_set queue_slot send_to_spooler set_spooler_frequency \
    sharedarea_inc64 sharedarea_read sharedarea_write snmp_incr_counter32 snmp_set_gauge spool \
    spooler_get_task spooler_jobs spooler_pid spooler_pids websocket_recv_nb";

/// What works; each other function raises.
const WORK: &[&str] = &[
    "accepting",
    "async_sleep",
    "disconnect",
    "get_logvar",
    "i_am_the_lord",
    "i_am_the_spooler",
    "in_farm",
    "is_connected",
    "is_locked",
    "listen_queue",
    "lock",
    "log",
    "log_this_request",
    "logsize",
    "masterpid",
    "mem",
    "micros",
    "mule_id",
    "ready",
    "reload",
    "request_id",
    "set_logvar",
    "set_user_harakiri",
    "setprocname",
    "stop",
    "suspend",
    "total_requests",
    "unlock",
    "worker_id",
    "workers",
];

const APP: &str = "\
import os
import uwsgi


def told(name):
    it = getattr(uwsgi, name, uwsgi)
    if it is uwsgi:
        return 'nothing'
    if not callable(it):
        return type(it).__name__
    if name in os.environ.get('CALLED', '').split():
        try:
            it()
        except NotImplementedError as error:
            start = 'uwsgi.%s is not here under Imperator: ' % name
            text = str(error)
            return 'raises' if text.startswith(start) and len(text) > len(start) + 8 else text
    return 'works'


def application(environ, start_response):
    start_response('200 OK', [])
    names = os.environ.get('NAMES', '').split() or [name for name in dir(uwsgi) if name[:2] != '__']
    return ['\\n'.join('%s %s' % (name, told(name)) for name in names).encode()]
";

fn told(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.collect()
}

/// What the original has, with the kind of each.
fn original() -> Option<String> {
    if skips_without("the original uwsgi-core", Original::is_installed()) {
        return None;
    }
    let folder = Folder::new();
    folder.write("web.py", APP);
    let ini = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\nneed-app = true\n";
    let original = Original::start_in(folder, ini);
    let socket = original.path("s");
    let reply = original.wait_for("its names", |_| {
        let reply = uwsgi_get(socket.as_path(), "/").ok()?;
        (reply.status == 200).then_some(reply)
    });
    Some(reply.text())
}

fn ours(python: &Path, names: &str, called: &str) -> String {
    let folder = Folder::new();
    folder.write("web.py", APP);
    let ini = format!(
        "[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\nmodule = web\npython = {}\n\
         env = NAMES={names}\nenv = CALLED={called}\n",
        python.display()
    );
    let app = Alone::start_in(folder, &ini);
    let reply = app.wait_for("an answer", |app| {
        uwsgi_get(app.path("s").as_path(), "/").ok()
    });
    assert_eq!(reply.status, 200, "{}", app.report());
    reply.text()
}

#[test]
fn every_name_that_the_original_has_is_here_and_works_or_says_what_to_use() {
    let Some(original) = original() else { return };
    let theirs = told(&original);
    assert!(theirs.len() > 100, "{original}");
    let names: Vec<&str> = theirs
        .keys()
        .copied()
        .chain(MORE.split_ascii_whitespace())
        .collect();
    // What works would stop the app, or wait.
    let called: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !WORK.contains(name))
        .collect();
    for python in interpreters() {
        let text = ours(python, &names.join(" "), &called.join(" "));
        let here = told(&text);
        let wrong: Vec<String> = names
            .iter()
            .filter_map(|name| {
                let kind = theirs.get(name).copied().unwrap_or("works");
                let expected = match kind {
                    "works" if WORK.contains(name) => "works",
                    "works" => "raises",
                    kind => kind,
                };
                let found = here.get(name).copied().unwrap_or("nothing");
                (found != expected).then(|| format!("{name}: {found} instead of {expected}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", python.display());
    }
}
