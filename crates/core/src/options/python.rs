//! Rows: the interpreter and what it loads.

use super::Support::{Differs, Full, Ignored, Later, Refused};
use super::{Draft, Given, Invalid, Opt, Value, ignored, nothing, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "callable",
        Value::Text,
        Full,
        "name of the WSGI callable, application by default",
        set!(callable, text),
    )
    .default("application"),
    ignored(
        "enable-threads",
        Value::Flag,
        "let the app use threads",
        "threads of the app always run",
    )
    .short('T'),
    opt(
        "eval",
        Value::Text,
        Full,
        "Python code that defines the WSGI callable",
        |draft, given| {
            draft.python.eval = Some((Draft::some_text(given)?, given.place.clone()));
            Ok(())
        },
    ),
    opt(
        "import",
        Value::Text,
        Full,
        "module or file to import before the app",
        import,
    )
    .aka(&["py-import", "pyimport", "python-import"]),
    opt(
        "ini-paste",
        Value::Path,
        Full,
        "read [uwsgi] of a PasteDeploy file and load its app",
        |draft, given| draft.python.ini_paste(given),
    )
    .immediate(),
    opt(
        "ini-paste-logged",
        Value::Path,
        Full,
        "as ini-paste, and set up logging from it",
        |draft, given| {
            draft.settings.interpreter.paste_logger = true;
            draft.python.ini_paste(given)
        },
    )
    .immediate(),
    opt(
        "lazy-apps",
        Value::Flag,
        Full,
        "load the app in each worker instead of once before forking",
        set!(lazy_apps, flag),
    ),
    opt(
        "manage-script-name",
        Value::Flag,
        Full,
        "cut the mount's prefix from PATH_INFO into SCRIPT_NAME",
        set!(manage_script_name, flag),
    ),
    opt(
        "module",
        Value::Text,
        Full,
        "WSGI module to import, package.module[:callable]",
        |draft, given| draft.module(given),
    )
    .aka(&["wsgi"])
    .short('w'),
    opt(
        "mount",
        Value::Pair,
        Full,
        "serve an app below a prefix, /prefix=module:callable",
        |draft, given| draft.mount(given),
    )
    .aka(&["worker-mount"]),
    opt(
        "need-app",
        Value::Flag,
        Differs("is on unless switched off"),
        "fail when no app can be loaded",
        set!(need_app, flag),
    )
    .default("true")
    .was("false"),
    opt(
        "need-plugins",
        Value::Text,
        Ignored("Python and HTTP are built in"),
        "plugins that must be there",
        plugins,
    )
    .aka(&["need-plugin"])
    .immediate(),
    opt(
        "no-site",
        Value::Flag,
        Full,
        "start the interpreter without the site module",
        set!(interpreter.no_site, flag),
    ),
    opt(
        "optimize",
        Value::Number,
        Full,
        "the interpreter's -O: 0, 1 or 2",
        |draft, given| {
            let level = draft.number(given)?.min(2);
            draft.settings.interpreter.optimize = u8::try_from(level).unwrap_or(2);
            Ok(())
        },
    )
    .short('O')
    .default("0"),
    opt(
        "paste",
        Value::Text,
        Full,
        "load a PasteDeploy app, config:/path/app.ini",
        |draft, given| {
            draft.python.paste = Some((Draft::some_text(given)?, given.place.clone()));
            Ok(())
        },
    ),
    opt(
        "paste-logger",
        Value::Flag,
        Full,
        "set up logging from the paste config",
        set!(interpreter.paste_logger, flag),
    ),
    opt(
        "pecan",
        Value::Path,
        Later("write a file with application = pecan.deploy.deploy('config.py') and set wsgi-file"),
        "load a Pecan config",
        nothing,
    ),
    opt(
        "plugins",
        Value::Text,
        Ignored("Python and HTTP are built in"),
        "plugins to load",
        plugins,
    )
    .aka(&["plugin"])
    .immediate(),
    ignored(
        "plugins-dir",
        Value::Path,
        "where plugins are",
        "there are no plugins to find",
    )
    .aka(&["plugin-dir"])
    .immediate(),
    opt(
        "pump",
        Value::Text,
        Refused {
            why: "pump never became a standard",
            instead: "wrap the app into a WSGI callable and set module",
            stops: true,
        },
        "load a pump app",
        nothing,
    ),
    ignored(
        "py-call-osafterfork",
        Value::Flag,
        "tell Python about forks",
        "Python is always told about forks",
    ),
    ignored(
        "py-call-uwsgi-fork-hooks",
        Value::Flag,
        "run Python's fork hooks",
        "Python's fork hooks always run",
    ),
    opt(
        "py-executable",
        Value::Path,
        Full,
        "what sys.executable says",
        set!(interpreter.executable, text),
    )
    .aka(&["py-sys-executable"]),
    ignored(
        "py-master-check-signals",
        Value::Flag,
        "let Python's signal handlers run in the master",
        "the master runs no Python",
    ),
    ignored(
        "py-programname",
        Value::Path,
        "program name of the interpreter",
        "the app's own interpreter runs under its own name",
    )
    .aka(&["py-program-name"]),
    opt(
        "py-sharedarea",
        Value::Text,
        Refused {
            why: "there are no shared areas",
            instead: "use multiprocessing.shared_memory",
            stops: false,
        },
        "make a shared area from Python",
        nothing,
    ),
    opt(
        "pyargv",
        Value::Text,
        Full,
        "arguments in sys.argv, separated by spaces",
        |draft, given| {
            draft.settings.interpreter.argv = given
                .text
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect();
            Ok(())
        },
    ),
    opt(
        "pymodule-alias",
        Value::Pair,
        Full,
        "import a module or file under another name, name=module",
        |draft, given| {
            let Some((alias, module)) = given.text.split_once('=') else {
                let text = format!("\"{}\" is no alias", given.text);
                return Err(Invalid::with_hint(
                    text,
                    "write name=module or name=/path.py",
                ));
            };
            let pair = (alias.to_owned(), module.to_owned());
            draft.settings.interpreter.aliases.push(pair);
            Ok(())
        },
    )
    .aka(&["post-pymodule-alias"]),
    opt(
        "pyrun",
        Value::Path,
        Later("start the script by attach-daemon, or as a service of its own"),
        "run a script in place of the app",
        nothing,
    )
    .aka(&["py"]),
    opt(
        "pyshell",
        Value::Text,
        Later("start the app's python by hand: python3 -i -c 'import …'"),
        "an interactive shell in the first worker",
        nothing,
    ),
    opt(
        "pyshell-oneshot",
        Value::Text,
        Later("start the app's python by hand: python3 -i -c 'import …'"),
        "an interactive shell in the first worker, once",
        nothing,
    ),
    opt(
        "python",
        Value::Path,
        Full,
        "interpreter that runs the app",
        set!(python, path),
    )
    .ours(),
    opt(
        "python-raw",
        Value::Text,
        Refused {
            why: "a raw connection is no WSGI",
            instead: "let an asyncio or socketserver program of its own serve it",
            stops: true,
        },
        "hand connections to a callable",
        nothing,
    ),
    opt(
        "python-version",
        Value::Nothing,
        Later("imperator status names the version of each app"),
        "print the version of Python",
        nothing,
    ),
    opt(
        "python-worker-override",
        Value::Path,
        Later("run that server by attach-daemon, or as a service of its own"),
        "a script that serves in place of the worker",
        nothing,
    ),
    opt(
        "pythonpath",
        Value::Path,
        Full,
        "directory to put in front of sys.path",
        |draft, given| {
            let path = Draft::path(given)?;
            draft.settings.pythonpath.push(path);
            Ok(())
        },
    )
    .aka(&["python-path", "pp"]),
    ignored(
        "reload-os-env",
        Value::Flag,
        "read os.environ again before the app is loaded",
        "os.environ is always the environment: no request changes it",
    ),
    opt(
        "shared-import",
        Value::Text,
        Differs("imported like import: workers are all that runs Python"),
        "module or file to import in every process",
        import,
    )
    .aka(&[
        "shared-py-import",
        "shared-pyimport",
        "shared-python-import",
    ]),
    ignored(
        "single-interpreter",
        Value::Flag,
        "load all apps into one interpreter",
        "each worker has one interpreter",
    )
    .short('i'),
    opt(
        "spooler-import",
        Value::Text,
        Refused {
            why: "there is no spooler",
            instead: "use a task queue (Celery, RQ, Huey) in a service or attach-daemon",
            stops: false,
        },
        "module to import in the spooler",
        nothing,
    )
    .aka(&[
        "spooler-py-import",
        "spooler-pyimport",
        "spooler-python-import",
    ]),
    opt(
        "test",
        Value::Text,
        Later("run imperator check --import"),
        "import a module or file and exit",
        nothing,
    )
    .short('J'),
    opt(
        "virtualenv",
        Value::Path,
        Differs("its own bin/python3 runs the app"),
        "virtualenv of the app",
        set!(virtualenv, path),
    )
    .aka(&["home", "pyhome", "venv"])
    .short('H'),
    opt(
        "web3",
        Value::Text,
        Refused {
            why: "web3 never became a standard",
            instead: "wrap the app into a WSGI callable and set module",
            stops: true,
        },
        "load a web3 app",
        nothing,
    ),
    opt(
        "wsgi-file",
        Value::Path,
        Full,
        "Python file that holds the WSGI callable",
        |draft, given| draft.wsgi_file(given),
    )
    .aka(&["file"]),
    opt(
        "wsgi-lite",
        Value::Text,
        Refused {
            why: "wsgi-lite never became a standard",
            instead: "wrap the app with wsgi_lite.lite and set module",
            stops: true,
        },
        "load a wsgi-lite app",
        nothing,
    ),
];

fn import(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    let module = Draft::some_text(given)?;
    draft.settings.interpreter.imports.push(module);
    Ok(())
}

const OTHER_LANGUAGES: [&str; 8] = ["psgi", "php", "rack", "ruby", "lua", "jvm", "cgi", "v8"];

/// Plugins that are built in or that stand for one of our options are dropped in silence.
fn plugins(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    for plugin in given.text.split(',').map(str::trim) {
        let name = plugin.rsplit('/').next().unwrap_or(plugin);
        let name = name.strip_suffix("_plugin.so").unwrap_or(name);
        let built_in = name.starts_with("python")
            || matches!(
                name,
                "" | "http" | "logfile" | "logsocket" | "syslog" | "systemd_logger"
            );
        if !built_in {
            let hint = match OTHER_LANGUAGES.iter().any(|it| name.starts_with(it)) {
                true => "run this app under uwsgi: only Python runs here",
                false => "remove it: each option that needs it is told where it stands",
            };
            draft.warn(format!("has no plugin \"{name}\""), hint);
        }
    }
    Ok(())
}
