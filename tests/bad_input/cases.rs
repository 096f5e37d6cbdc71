//! The broken apps, as data.

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Lines after `[uwsgi]` and the socket.
    lines: &'static str,
    /// `NAME.py` of the folder.
    pub(crate) code: Option<&'static str>,
    pub(crate) condition: &'static str,
    /// What the failure's line and hint name; `{dir}` is the folder.
    pub(crate) says: &'static [&'static str],
}

impl Case {
    pub(crate) fn ini(&self) -> String {
        if self.lines.contains('[') {
            return self.lines.to_owned();
        }
        format!("[uwsgi]\nsocket = {{dir}}/%n.sock\n{}", self.lines)
    }
}

/// An interpreter that says it is 3.8. BOOT, its second argument, looks at the version.
pub(crate) const OLD_PYTHON: &str = "\
#!/bin/sh
exec python3 -c \"import sys
sys.version_info = (3, 8, 18, 'final', 0)
sys.version = '3.8.18 (fake)'
boot = sys.argv.pop(1)
sys.argv[0] = '-c'
exec(boot)\" \"$2\"
";

const FILE: &str = "wsgi-file = {dir}/%n.py\n";

const fn fails(
    name: &'static str,
    lines: &'static str,
    code: Option<&'static str>,
    says: &'static [&'static str],
) -> Case {
    Case {
        name,
        lines,
        code,
        condition: "failing",
        says,
    }
}

const fn serves(name: &'static str, lines: &'static str, code: &'static str) -> Case {
    Case {
        name,
        lines,
        code: Some(code),
        condition: "serving",
        says: &[],
    }
}

pub(crate) const CASES: &[Case] = &[
    // What is to be loaded.
    fails(
        "no-module",
        "module = no_such_module\n",
        None,
        &["no-module.ini:3", "no_such_module", "pythonpath"],
    ),
    fails(
        "no-file",
        "wsgi-file = {dir}/nowhere.py\n",
        None,
        &["no-file.ini:3", "nowhere.py"],
    ),
    fails(
        "no-callable",
        FILE,
        Some("app = 1\n"),
        &["no-callable.ini:3", "application"],
    ),
    fails(
        "not-callable",
        FILE,
        Some("application = 1\n"),
        &["not-callable.ini:3", "application"],
    ),
    fails(
        "raises",
        FILE,
        Some("def deep():\n    raise ValueError('broken at import')\n\ndeep()\n"),
        &["broken at import", "ValueError"],
    ),
    fails("syntax", FILE, Some("def broken(:\n"), &["SyntaxError"]),
    fails("exits", FILE, Some("import sys\nsys.exit(3)\n"), &["exit"]),
    fails(
        "exits-hard",
        FILE,
        Some("import os\nos._exit(7)\n"),
        &["exit code 7"],
    ),
    fails(
        "segfault",
        FILE,
        Some("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"),
        &["SIGSEGV"],
    ),
    // Who runs it.
    fails(
        "old-python",
        "wsgi-file = {dir}/good.py\npython = {dir}/old-python\n",
        None,
        &["old-python.ini:4", "3.8", "3.9"],
    ),
    fails(
        "no-python",
        "wsgi-file = {dir}/good.py\npython = {dir}/nowhere/python3\n",
        None,
        &["no-python.ini:4", "{dir}/nowhere/python3"],
    ),
    fails(
        "not-python",
        "wsgi-file = {dir}/good.py\npython = {dir}/not-python\n",
        None,
        &["exit code 3"],
    ),
    fails(
        "empty-venv",
        "wsgi-file = {dir}/good.py\nvirtualenv = {dir}/empty-venv\n",
        None,
        &["empty-venv.ini:4", "{dir}/empty-venv"],
    ),
    fails(
        "no-such-user",
        "wsgi-file = {dir}/good.py\nuid = nobody-has-this-name\n",
        None,
        &["no-such-user.ini:4", "nobody-has-this-name"],
    ),
    fails(
        "no-such-number",
        "wsgi-file = {dir}/good.py\nuid = 4294967295\n",
        None,
        &["no-such-number.ini:4", "4294967295", "does not exist"],
    ),
    fails(
        "no-such-group",
        "wsgi-file = {dir}/good.py\ngid = nobody-has-this-name\n",
        None,
        &["no-such-group.ini:4", "nobody-has-this-name"],
    ),
    fails(
        "no-directory",
        "wsgi-file = {dir}/good.py\nchdir = {dir}/nowhere\n",
        None,
        &["no-directory.ini:4", "{dir}/nowhere"],
    ),
    // Where it listens.
    fails(
        "taken",
        "[uwsgi]\nsocket = {dir}/taken.sock\nwsgi-file = {dir}/good.py\n",
        None,
        &["taken.ini:2", "{dir}/taken.sock"],
    ),
    fails(
        "no-port",
        "[uwsgi]\nsocket = 127.0.0.1:99999\nwsgi-file = {dir}/good.py\n",
        None,
        &["no-port.ini:2", "99999"],
    ),
    fails(
        "no-socket-directory",
        "[uwsgi]\nsocket = {dir}/nowhere/s\nwsgi-file = {dir}/good.py\n",
        None,
        &["no-socket-directory.ini:2", "{dir}/nowhere/s"],
    ),
    // The config itself.
    fails(
        "bad-mode",
        "wsgi-file = {dir}/good.py\nchmod-socket = 0660\n",
        None,
        &["bad-mode.ini:4", "0660"],
    ),
    fails(
        "strict",
        "wsgi-file = {dir}/good.py\nstrict = true\nproceses = 2\n",
        None,
        &["strict.ini:5", "proceses", "processes"],
    ),
    // Strange, but it runs.
    serves(
        "prints-a-megabyte",
        FILE,
        "print('m' * 1000000)\ndef application(e, s):\n    s('200 OK', [])\n    return []\n",
    ),
    serves(
        "forks",
        FILE,
        "import os, time\nif os.fork() == 0:\n    time.sleep(3600)\n    os._exit(0)\ndef application(e, s):\n    s('200 OK', [])\n    return []\n",
    ),
    serves(
        "starts-threads",
        "processes = 2\nwsgi-file = {dir}/%n.py\n",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\ndef application(e, s):\n    s('200 OK', [])\n    return []\n",
    ),
    serves(
        "bom",
        "\u{feff}[uwsgi]\nsocket = {dir}/bom.sock\nwsgi-file = {dir}/bom.py\n",
        "def application(e, s):\n    s('200 OK', [])\n    return []\n",
    ),
    serves(
        "twice",
        "[uwsgi]\nsocket = {dir}/twice.sock\n[other]\na = b\n[uwsgi]\nwsgi-file = {dir}/twice.py\n",
        "def application(e, s):\n    s('200 OK', [])\n    return []\n",
    ),
];
