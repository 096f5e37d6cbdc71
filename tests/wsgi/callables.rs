//! What a config may name as the app: files with odd names, code of the config, factories and classes;
//! and what is said of names that lead to no WSGI app.

use super::harness::interpreters;
use super::support::{Address, Alone, Folder, Vars, uwsgi};

/// One line of a config, and what the log says of it.
const NONE: &[(&str, &[&str])] = &[
    (
        "app:create('prod')",
        &[
            "\"create('prod')\" is no name",
            "eval = from app import create; application = create('prod')",
        ],
    ),
    ("app:fails()", &["RuntimeError: no settings", "app.py:"]),
    (
        "app:needs()",
        &["TypeError: needs() missing 1 required positional argument: 'name'"],
    ),
    ("app:text()", &["\"text()\" is no WSGI app but of type str"]),
    (
        "app:later()",
        &["the factory \"later\" is async def", "make it a plain def"],
    ),
    (
        "app:create",
        &[
            "\"create\" takes 0 to 1 arguments",
            "if it is a factory, set callable = create()",
        ],
    ),
    (
        "app:one",
        &["\"one\" takes one argument", "environ and start_response"],
    ),
    ("app:three", &["\"three\" takes 3 arguments"]),
    ("app:asgi", &["\"asgi\" is an ASGI app (async def)"]),
    (
        "app:asgi_object",
        &["\"asgi_object\" is an ASGI app (async def)"],
    ),
    (
        "app:nobody",
        &["app.py has no \"nobody\"; it has \"application\""],
    ),
    (
        "factories",
        &["has no \"application\"; it has \"make_app\": set callable = make_app()"],
    ),
    (
        "app:Holder().app",
        &["\"Holder().app\" is no name", "application = Holder().app"],
    ),
];

const APP: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'good']

def create(name=None):
    return application

def fails():
    raise RuntimeError('no settings')

def needs(name):
    return application

def text():
    return 'application'

async def later():
    return application

def one(request):
    return []

def three(scope, receive, send):
    return []

async def asgi(scope, receive, send):
    pass

class Asgi:
    async def __call__(self, scope, receive, send):
        pass

asgi_object = Asgi()

class Site:
    def __init__(self, environ, start_response):
        start_response('200 OK', [])

    def __iter__(self):
        yield b'a class'

class Holder:
    def app(self, environ, start_response):
        start_response('200 OK', [])
        return [b'a method']

holder = Holder()

def any_number(*arguments):
    return application(*arguments)

def more(environ, start_response, extra=None):
    return application(environ, start_response)
";

/// What can be called, and what it answers.
const SOME: &[(&str, &str)] = &[
    ("app:create()", "good"),
    (" app : create() ", "good"),
    ("app:Site", "a class"),
    ("app:holder.app", "a method"),
    ("app:any_number", "good"),
    ("app:more", "good"),
];

fn ask(app: &Alone, script_name: &str) -> Option<(u16, String)> {
    let vars = Vars::request("GET", "/").with("SCRIPT_NAME", script_name);
    let reply = uwsgi(&Address::Unix(app.path("s")), &vars, b"").ok()?;
    Some((reply.status, reply.text()))
}

#[test]
fn what_is_no_app_says_so_when_it_is_loaded_and_what_is_one_answers() {
    for python in [interpreters().first(), interpreters().last()]
        .into_iter()
        .flatten()
    {
        let folder = Folder::new();
        folder.write("app.py", APP);
        folder.write("factories.py", "def make_app():\n    pass\n");
        let mut ini = format!(
            "[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\npython = {}\nneed-app = false\n",
            python.display()
        );
        let all = NONE.iter().map(|(target, _)| target);
        for (at, target) in all.chain(SOME.iter().map(|(target, _)| target)).enumerate() {
            ini.push_str(&format!("mount = /{at}={target}\n"));
        }
        let app = Alone::start_in(folder, &ini);
        app.wait_for("an answer", |app| ask(app, "/").map(|_| ()));
        for (target, expected) in NONE {
            app.wait_for(&format!("{target}: one line with {expected:?}"), |app| {
                let log = app.log();
                let mut lines = log.lines();
                let has = |line: &str| expected.iter().all(|part| line.contains(part));
                lines.any(has).then_some(())
            });
        }
        for (at, (target, expected)) in SOME.iter().enumerate() {
            let found = ask(&app, &format!("/{}", NONE.len() + at));
            let good = Some((200, (*expected).to_owned()));
            assert_eq!(found, good, "{target}: {}", app.report());
        }
    }
}

#[test]
fn files_with_odd_names_serve_and_shadow_no_module() {
    const ODD: &str = "\
import json
import logging
import site


def application(environ, start_response):
    start_response('200 OK', [])
    return [json.dumps([__name__, __file__, logging.__name__, hasattr(site, 'main')]).encode()]
";
    let names = [
        "my-app.v2.py",
        "with space.py",
        "größe.wsgi",
        "json.py",
        "site.wsgi",
        "a:b.py",
        "it's.py",
    ];
    let folder = Folder::new();
    let mut ini = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nneed-app = true\n".to_owned();
    for (at, name) in names.iter().enumerate() {
        folder.write(&format!("release/{name}"), ODD);
        ini.push_str(&format!("mount = /{at}={{dir}}/current/{name}\n"));
    }
    std::os::unix::fs::symlink("release", folder.join("current")).expect("a link");
    // Mounts are files by their ends; the option takes any.
    const DEFAULT: &str = "no extension";
    folder.write(&format!("release/{DEFAULT}"), ODD);
    ini.push_str(&format!("wsgi-file = {{dir}}/current/{DEFAULT}\n"));
    let app = Alone::start_in(folder, &ini);
    app.wait_for("an answer", |app| ask(app, ""));
    for (at, name) in names
        .iter()
        .map(Some)
        .enumerate()
        .chain([(names.len(), None)])
    {
        let mount = name.map_or(String::new(), |_| format!("/{at}"));
        let file = name.unwrap_or(&DEFAULT);
        let (status, text) = ask(&app, &mount).expect("an answer");
        assert_eq!(status, 200, "{file}: {}", app.report());
        let text: serde_json::Value = serde_json::from_str(&text).expect("json");
        let path = app.path(&format!("release/{file}"));
        let path = path.to_str().expect("UTF-8");
        // A generation is of one release: the link is followed when it begins.
        assert_eq!(text[1], path, "{text}");
        let module = path.replace(['/', '.'], "_");
        let module = module.strip_suffix("_py").unwrap_or(&module);
        assert_eq!(text[0], format!("uwsgi_file_{module}"));
        assert_eq!(
            (&text[2], &text[3]),
            (&"logging".into(), &true.into()),
            "{text}"
        );
    }
}

#[test]
fn code_and_arguments_of_the_config_serve_and_mistakes_are_named() {
    let start = |lines: &str| {
        let folder = Folder::new();
        folder.write("app.py", APP);
        let ini = format!("[uwsgi]\nsocket = {{dir}}/s\nchdir = {{dir}}\n{lines}");
        Alone::start_in(folder, &ini)
    };
    let app = start(
        "eval = import sys; from app import create; application = create('prod'); \
         print('ARGUMENTS', sys.argv[1:])\npyargv = --site shop -v\n",
    );
    app.wait_for("the app of a factory with arguments", |app| {
        ask(app, "").filter(|(status, text)| (*status, text.as_str()) == (200, "good"))
    });
    app.wait_for("its arguments", |app| {
        let line = "ARGUMENTS ['--site', 'shop', '-v']";
        app.log().contains(line).then_some(())
    });
    for (line, expected) in [
        (
            "eval = def application(:",
            ["SyntaxError", "mend the code of eval in the ini"],
        ),
        (
            "eval = 1/0",
            ["ZeroDivisionError", "app.ini:4: cannot load eval"],
        ),
        (
            "eval = x = 1",
            ["the code of eval has no \"application\"", "app.ini:4"],
        ),
        (
            "module = app.py",
            [
                "\"app.py\" is a file",
                "set wsgi-file = app.py, or module = app",
            ],
        ),
        (
            "module = ./deep/app.py",
            ["\"./deep/app.py\" is a file", "module = deep.app"],
        ),
    ] {
        let app = start(&format!("{line}\n"));
        app.wait_for(&format!("{expected:?} in the log"), |app| {
            let log = app.log();
            expected.iter().all(|part| log.contains(part)).then_some(())
        });
    }
}
