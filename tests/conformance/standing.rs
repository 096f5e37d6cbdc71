//! What an app finds where it stands: the interpreter of its own choice, as under plain `python3`, and
//! the standard library's processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::interpreters;
use super::support::{Alone, Folder, uwsgi_get};

const FACTS: &str = "\
import json, locale, logging, os, platform, signal, site, ssl, sys, sysconfig, threading, warnings


def facts():
    here = os.getcwd()
    main = sys.modules['__main__']
    return json.dumps({
        'executable': sys.executable,
        'prefixes': [sys.prefix, sys.base_prefix, sys.exec_prefix],
        'path': [it for it in sys.path if it not in ('', here)],
        'stdlib': sysconfig.get_path('stdlib'),
        'version': sys.version,
        'main': main.__name__,
        'encodings': [sys.getdefaultencoding(), sys.getfilesystemencoding(), locale.getlocale()],
        'flags': [sys.flags.optimize, sys.flags.dev_mode, sys.flags.isolated, sys.flags.utf8_mode],
        'limits': [sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size()],
        'logging': [logging.getLogger().level, len(logging.getLogger().handlers)],
        'warnings': [str(it[:3]) for it in warnings.filters],
        'user_site': site.ENABLE_USER_SITE,
        'child': signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        'pipe': signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
        'umask': os.umask(os.umask(0o22)),
        'platform': platform.python_implementation(),
    }, sort_keys=True)
";

const WEB: &str = "\
import faulthandler, logging, multiprocessing, os, subprocess, sys, warnings
from facts import facts


def square(number):
    return number * number


def tell(queue):
    queue.put(os.getpid())


def processes(environ):
    told = []
    for way in ('spawn', 'fork'):
        context = multiprocessing.get_context(way)
        queue = context.Queue()
        child = context.Process(target=tell, args=(queue,))
        child.start()
        told.append(queue.get(timeout=30) == child.pid)
        child.join(30)
        told.append(child.exitcode)
        with context.Pool(2) as pool:
            told.append(pool.map(square, range(4)))
    told.append(subprocess.run(['echo', 'hello'], stdout=subprocess.PIPE).stdout)
    return repr(told)


def output(environ):
    warnings.warn('a warning of the app')
    logging.getLogger('shop').error('an error of the app')
    print('a line of the app')
    sys.stderr.write('half a line, ')
    sys.stderr.write('and its end\\n')
    environ['wsgi.errors'].write('a line for wsgi.errors\\n')
    try:
        raise ValueError('shown by faulthandler')
    except ValueError:
        faulthandler.dump_traceback(file=2)
    return 'told'


VIEWS = {'/facts': lambda environ: facts(), '/processes': processes, '/output': output}


def application(environ, start_response):
    start_response('200 OK', [])
    return [VIEWS[environ['PATH_INFO']](environ).encode()]
";

fn text(app: &Alone, uri: &str) -> String {
    let reply = app.wait_for(uri, |app| uwsgi_get(app.path("s").as_path(), uri).ok());
    assert_eq!(reply.status, 200, "{uri}\n{}", app.report());
    reply.text()
}

fn start(folder: Folder, lines: &str) -> Alone {
    folder.write("facts.py", FACTS);
    folder.write("web.py", WEB);
    let ini = format!("[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\nmodule = web\n{lines}");
    Alone::start_in(folder, &ini)
}

/// What the same interpreter says as `python3 -c`.
#[track_caller]
fn plainly(python: &Path, folder: &Folder) -> String {
    folder.write("facts.py", FACTS);
    let output = Command::new(python)
        .args(["-c", "import facts; print(facts.facts(), end='')"])
        .current_dir(folder.path())
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .env_remove("PYTHONUNBUFFERED")
        .output()
        .expect("an interpreter");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn assert_same(python: &Path, app: &Alone) {
    let expected: serde_json::Value = serde_json::from_str(&plainly(python, &app.folder)).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text(app, "/facts")).unwrap();
    for (name, expected) in expected.as_object().expect("an object") {
        assert_eq!(told[name], *expected, "{name}\n{}", app.report());
    }
}

#[test]
fn an_interpreter_is_what_it_is_under_plain_python() {
    for python in interpreters() {
        for lines in ["", "processes = 2\n"] {
            let lines = format!("python = {}\n{lines}", python.display());
            assert_same(python, &start(Folder::new(), &lines));
        }
    }
}

/// With and without the packages of the machine.
#[test]
fn a_virtualenv_is_what_it_is_under_plain_python() {
    for python in interpreters() {
        for option in ["--without-pip", "--system-site-packages"] {
            let folder = Folder::new();
            let made = Command::new(python)
                .args(["-m", "venv", "--without-pip", option])
                .arg(folder.join("env"))
                .output()
                .expect("venv");
            assert!(made.status.success(), "{made:?}");
            let interpreter = folder.join("env/bin/python3");
            let app = start(folder, "virtualenv = {dir}/env\n");
            assert_same(&interpreter, &app);
            let path = text(&app, "/facts");
            assert!(path.contains("/env/lib/"), "{path}");
        }
    }
}

/// An interpreter in a place that nobody has heard of; Debian's has libpython inside, pyenv's beside.
#[test]
fn an_interpreter_with_a_prefix_of_its_own() {
    for python in interpreters() {
        let folder = Folder::new();
        let real = std::fs::canonicalize(python).expect("an interpreter");
        let prefix = real.parent().and_then(Path::parent).expect("a prefix");
        let name = real.file_name().expect("a name");
        std::fs::create_dir_all(folder.join("opt/bin")).unwrap();
        let own: PathBuf = folder.join("opt/bin").join(name);
        std::fs::copy(&real, &own).expect("a copy");
        std::os::unix::fs::symlink(prefix.join("lib"), folder.join("opt/lib")).unwrap();
        let own_prefix = folder.join("opt").display().to_string();
        let app = start(folder, &format!("python = {}\n", own.display()));
        assert_same(&own, &app);
        let told = text(&app, "/facts");
        assert!(told.contains(&format!("\"{own_prefix}\"")), "{told}");
    }
}

#[test]
fn multiprocessing_and_subprocess_work_in_requests() {
    const EXPECTED: &str = "[True, 0, [0, 1, 4, 9], True, 0, [0, 1, 4, 9], b'hello\\n']";
    for python in interpreters() {
        let app = start(Folder::new(), &format!("python = {}\n", python.display()));
        assert_eq!(text(&app, "/processes"), EXPECTED, "{}", app.report());
        // The worker is as it was.
        assert_eq!(text(&app, "/processes"), EXPECTED, "{}", app.report());
    }
}

#[test]
fn what_an_app_tells_stands_in_the_log_line_by_line() {
    for python in interpreters() {
        let app = start(Folder::new(), &format!("python = {}\n", python.display()));
        assert_eq!(text(&app, "/output"), "told");
        for line in [
            "UserWarning: a warning of the app",
            "an error of the app",
            "a line of the app",
            "half a line, and its end",
            "a line for wsgi.errors",
            "in output",
        ] {
            app.wait_for(line, |app| {
                app.log().lines().any(|it| it.contains(line)).then_some(())
            });
        }
    }
}
