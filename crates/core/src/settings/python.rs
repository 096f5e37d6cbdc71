//! How the interpreter is started, what it loads before the app, and how it answers for it (uWSGI:
//! plugins/python, plugins/gevent).

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Python {
    /// `optimize`: 0, 1 or 2, as the interpreter's -O.
    pub optimize: u8,
    pub no_site: bool,
    /// `py-executable`: what `sys.executable` says.
    pub executable: Option<String>,
    /// `pyargv`: `sys.argv` behind "uwsgi".
    pub argv: Vec<String>,
    /// `import` and `shared-import`, in order: modules or paths of files.
    pub imports: Vec<String>,
    /// `pymodule-alias` (and `post-`): a module's other name, and a module or the path of a file.
    pub aliases: Vec<(String, String)>,
    pub paste_logger: bool,
    pub tracebacker: Option<String>,
    pub autoreload: Option<Autoreload>,
    pub wsgi: Wsgi,
    pub gevent: Option<Gevent>,
}

/// `py-autoreload`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autoreload {
    /// How often the files are looked at where nobody tells that they changed.
    pub every: Duration,
    /// `py-auto-reload-ignore`: names of modules.
    pub ignored: Vec<String>,
}

/// What the `wsgi-*` options change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wsgi {
    pub no_file_wrapper: bool,
    /// bytearray, memoryview and other buffers may be answered.
    pub buffers: bool,
    /// A plain bytes object is no answer.
    pub strict: bool,
    /// The head is sent by `start_response`.
    pub early_head: bool,
    /// The client is told the traceback.
    pub tell_exceptions: bool,
}

/// `gevent = N` and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gevent {
    /// Requests at a time in one worker, at least 1.
    pub greenlets: u32,
    /// When the standard library is patched.
    pub patch: Option<Patch>,
    /// At the end, wait for every greenlet, not only for those of requests.
    pub wait_for_hub: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Patch {
    /// Before the app is loaded.
    Early,
    /// In each worker, before its first request.
    Late,
}
