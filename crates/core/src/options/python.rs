//! Rows: the interpreter and what it loads.

use super::Support::{Differs, Full, Ignored};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "callable",
        Value::Text,
        Full,
        "name of the WSGI callable, application by default",
        |draft, given| {
            draft.settings.callable = Some(Draft::some_text(given)?);
            Ok(())
        },
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
        "lazy-apps",
        Value::Flag,
        Full,
        "load the app in each worker instead of once before forking",
        |draft, given| {
            draft.settings.lazy_apps = draft.flag(given);
            Ok(())
        },
    ),
    opt(
        "manage-script-name",
        Value::Flag,
        Full,
        "cut the mount's prefix from PATH_INFO into SCRIPT_NAME",
        |draft, given| {
            draft.settings.manage_script_name = draft.flag(given);
            Ok(())
        },
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
        |draft, given| {
            draft.settings.need_app = draft.flag(given);
            Ok(())
        },
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
        "python",
        Value::Path,
        Full,
        "interpreter that runs the app",
        |draft, given| {
            draft.settings.python = Some(Draft::path(given)?);
            Ok(())
        },
    )
    .ours(),
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
        "single-interpreter",
        Value::Flag,
        "load all apps into one interpreter",
        "each worker has one interpreter",
    )
    .short('i'),
    opt(
        "virtualenv",
        Value::Path,
        Differs("its own bin/python3 runs the app"),
        "virtualenv of the app",
        |draft, given| {
            draft.settings.virtualenv = Some(Draft::path(given)?);
            Ok(())
        },
    )
    .aka(&["home", "pyhome", "venv"])
    .short('H'),
    opt(
        "wsgi-file",
        Value::Path,
        Full,
        "Python file that holds the WSGI callable",
        |draft, given| draft.wsgi_file(given),
    )
    .aka(&["file"]),
];

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
            draft.warn(format!("has no plugin \"{name}\""), None);
        }
    }
    Ok(())
}
