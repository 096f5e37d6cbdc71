//! What goes wrong while the app is loaded.

use super::support::skips_without;
use super::{APP, app_serves, empire, names, other_serves};

#[test]
fn an_import_error_is_named_with_its_line_and_the_command_that_installs() {
    let empire = empire("import os\nimport no_such_package\n", "");
    names(
        &empire,
        "import-error",
        "import error",
        &[
            "No module named 'no_such_package'",
            "file: {dir}/app.py:2",
            "module: no_such_package",
            "pip install no_such_package",
            "app.ini:3",
        ],
    );
    other_serves(&empire);
}

#[test]
fn a_callable_that_is_not_there_is_named_with_the_one_that_is() {
    let empire = empire(&APP.replace("def application", "def create_app"), "");
    names(
        &empire,
        "import-error",
        "import error",
        &["has no \"application\"", "set callable = create_app()"],
    );
}

#[test]
fn a_syntax_error_is_named_with_its_line_and_the_command_that_checks() {
    let empire = empire("x = 1\ndef broken(:\n    pass\n", "");
    names(
        &empire,
        "syntax-error",
        "syntax error",
        &[
            "file: {dir}/app.py:2",
            "mend {dir}/app.py:2",
            "python3 -m py_compile {dir}/app.py",
        ],
    );
    // The check of the way out agrees, and a mended file serves.
    let compiles = || {
        let mut command = std::process::Command::new("python3");
        command
            .args(["-m", "py_compile"])
            .arg(empire.path("app.py"));
        command.output().expect("python3").status.success()
    };
    assert!(!compiles());
    empire.folder.write("app.py", APP);
    assert!(compiles());
    empire.touch("app.ini");
    app_serves(&empire);
}

#[test]
fn a_virtualenv_or_an_interpreter_that_is_none_is_named_with_its_line() {
    let empire = empire(APP, "virtualenv = {dir}/venv");
    names(
        &empire,
        "interpreter",
        "wrong or missing interpreter",
        &[
            "app.ini:4: virtualenv {dir}/venv does not exist",
            "way out: make it: python3 -m venv {dir}/venv",
            "path: {dir}/venv",
        ],
    );
    let script = empire.folder.write("python", "#!/bin/sh\nexit 0\n");
    super::support::set_mode(&script, 0o755);
    let text = super::ini("app", "python = {dir}/python");
    empire.write("app.ini", &text);
    names(
        &empire,
        "interpreter",
        "wrong or missing interpreter",
        &["app.ini:4: the interpreter ended with exit code 0"],
    );
    // Made by a Python that is no longer there.
    let folder = &empire.folder;
    folder.write("venv/pyvenv.cfg", "home = /usr/bin\n");
    folder.write("venv/lib/python3.1/site-packages/a.py", "");
    folder.write("venv/bin/activate", "");
    let python = empire.path("venv/bin/python3");
    std::os::unix::fs::symlink("/usr/bin/python3", python).expect("a link");
    empire.write("app.ini", &super::ini("app", "virtualenv = {dir}/venv"));
    names(
        &empire,
        "interpreter",
        "wrong or missing interpreter",
        &[
            "app.ini:4: virtualenv {dir}/venv has packages of Python 3.1, and {dir}/venv/bin/python3 is Python 3.",
            "way out: make it anew: python3 -m venv --clear {dir}/venv",
        ],
    );
    other_serves(&empire);
}

#[test]
fn another_exception_is_named_with_its_line() {
    let empire = empire("x = 1\nx / 0\n", "");
    names(
        &empire,
        "exception-at-import",
        "exception at import",
        &["ZeroDivisionError", "file: {dir}/app.py:2", "Traceback"],
    );
}

#[test]
fn an_app_that_exits_at_once_is_named_with_its_code_and_last_words() {
    let code = "import os\nprint('last words', flush=True)\nos._exit(7)\n";
    let empire = empire(code, "");
    names(
        &empire,
        "exits-at-once",
        "exits at once",
        &["ended with exit code 7", "last words", "app.ini:3"],
    );
    empire.folder.write("app.py", "import sys\nsys.exit(3)\n");
    empire.touch("app.ini");
    names(
        &empire,
        "exits-at-once",
        "exits at once",
        &["called sys.exit(3)", "{dir}/app.py:2"],
    );
    other_serves(&empire);
}

#[test]
fn an_app_that_hangs_at_import_is_named_with_its_limit() {
    let code = "import time\ndef connect_for_ever():\n    time.sleep(1000)\nconnect_for_ever()\n";
    let empire = empire(code, "ready-timeout = 2");
    names(
        &empire,
        "hangs-at-import",
        "hangs at import",
        &["app.ini:3", "not ready within 2 s", "ready-timeout"],
    );
    other_serves(&empire);
}

#[test]
fn an_import_beyond_limit_as_is_out_of_memory() {
    let empire = empire(
        "data = bytearray(4 * 1024 * 1024 * 1024)\n",
        "limit-as = 1024",
    );
    names(
        &empire,
        "out-of-memory",
        "out of memory",
        &[
            "MemoryError",
            "limit: limit-as = 1024 MB ({dir}/vassals/app.ini:4)",
            "file: {dir}/app.py:1",
            "raise limit-as",
        ],
    );
    other_serves(&empire);
}

#[test]
fn a_config_error_is_named_with_its_line_and_told_with_the_way_out() {
    let empire = empire(APP, "socket = nonsense:port");
    names(
        &empire,
        "config-error",
        "config error",
        &[
            "{dir}/vassals/app.ini:4: ",
            "nonsense:port",
            "file: {dir}/vassals/app.ini:4",
        ],
    );
    empire.write("app.ini", &super::ini("app", ""));
    app_serves(&empire);
}

#[test]
fn a_user_or_group_that_does_not_exist_is_named_with_the_command_that_makes_it() {
    let is_root = rustix::process::geteuid().is_root();
    if skips_without("root", is_root) {
        return;
    }
    let empire = empire(APP, "uid = no-such-user");
    names(
        &empire,
        "unknown-user",
        "unknown user or group",
        &[
            "app.ini:4: user \"no-such-user\" does not exist",
            "adduser --system no-such-user",
        ],
    );
    empire.write("app.ini", &super::ini("app", "gid = no-such-group"));
    names(
        &empire,
        "unknown-user",
        "unknown user or group",
        &[
            "app.ini:4: group \"no-such-group\" does not exist",
            "addgroup --system no-such-group",
        ],
    );
    other_serves(&empire);
}

#[test]
fn a_readiness_request_that_fails_is_named_with_its_answer() {
    let code = APP.replace(
        "    start_response(\"200 OK\"",
        "    if environ[\"PATH_INFO\"] == \"/health\":\n        \
         start_response(\"503 Service Unavailable\", [])\n        return [b\"no database\"]\n    \
         start_response(\"200 OK\"",
    );
    let empire = empire(&code, "ready-request = /health");
    names(
        &empire,
        "readiness-request",
        "readiness request fails",
        &[
            "app.ini:4: ready-request = /health was answered 503",
            "no database",
        ],
    );
    other_serves(&empire);
}
