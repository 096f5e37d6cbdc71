//! What one app's config means, typed: the end of the config pipeline and all that master and
//! worker ever see of an ini file. Two equal `Settings` need no reload.

pub mod alarms;
pub mod answers;
pub mod empire;
pub mod harakiri;
pub mod http;
pub mod limits;
pub mod mounting;
pub mod python;
pub mod readiness;
pub mod recycling;
pub mod routes;
pub mod scaling;
pub mod static_files;
pub mod tcp;
pub mod tls;
pub mod trust;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::counters::MAX_CORES;
use crate::finding::{Finding, Place};

pub mod cron;
pub mod daemons;
pub mod hooks;
pub mod outside;
use alarms::Alarms;
use answers::Answers;
use empire::Empire;
use harakiri::Harakiri;
use http::Http;
use limits::{Limits, Titles};
use mounting::Mounting;
use python::Python;
use readiness::Readiness;
use recycling::Recycling;
use routes::Route;
use scaling::Scaling;
use static_files::StaticFiles;
use tcp::Tcp;
use tls::Tls;

pub mod logs;

pub use logs::{LogTarget, Logs};

/// What `imperator resolve` prints as JSON for one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// `None` when a finding is an error.
    pub settings: Option<Settings>,
    pub findings: Vec<Finding>,
    /// Every file that was read, the app's own first: a change in one of them is a change of the app.
    pub files: Vec<PathBuf>,
    /// The config itself ends the start, with this code: `exit`, `no-server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// `show-config`: the options are to be printed.
    #[serde(default)]
    pub show_config: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Uwsgi,
    Http,
}

/// One `socket`, `uwsgi-socket`, `http-socket` or `http` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    pub protocol: Protocol,
    pub address: Address,
    /// `https`: HTTP inside TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
    pub place: Place,
}

/// What names the WSGI callable. One app process group may have several (`mount`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// `module = pkg.mod[:callable]`
    Module(String),
    /// `wsgi-file = path`
    File(PathBuf),
    /// `eval = code`
    Eval(String),
    /// `paste = config:/path.ini`
    Paste(String),
}

/// `mount = /prefix=module:app` (or a file). The plain `module`/`wsgi-file` app has the prefix "".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub prefix: String,
    pub target: Target,
    pub place: Place,
}

/// One app, as its config asks for it. Durations and sizes have their real types; uWSGI's units
/// end in the option table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    // Sockets.
    pub listens: Vec<Listen>,
    /// `listen`: the backlog. The master caps it to somaxconn with a warning.
    pub backlog: u32,
    /// Mode bits of Unix sockets; `None` leaves what the umask gives.
    pub chmod_socket: Option<u32>,
    /// `user[:group]`.
    pub chown_socket: Option<String>,
    pub vacuum: bool,

    // Processes.
    pub processes: u32,
    pub threads: u32,
    pub lazy_apps: bool,
    pub harakiri: Option<Duration>,
    pub max_requests: Option<u64>,
    pub max_requests_delta: u64,
    /// Bytes of resident memory after which a worker is replaced.
    pub reload_on_rss: Option<u64>,
    /// No recycling before a worker has lived this long.
    pub min_worker_lifetime: Duration,
    /// How long a stopping or retiring worker may finish its requests before SIGKILL.
    pub worker_reload_mercy: Duration,
    /// How long a generation may take to become ready.
    pub ready_timeout: Duration,
    pub auto_procname: bool,
    pub touch_reload: Vec<PathBuf>,
    pub scaling: Scaling,
    pub recycling: Recycling,
    pub readiness: Readiness,
    pub limits: Limits,
    pub titles: Titles,
    /// What `harakiri` does beside ending the request.
    pub harakiri_options: Harakiri,

    // Identity and environment.
    pub uid: Option<String>,
    pub gid: Option<String>,
    /// `env = K=V`, in order; a later one of the same name wins.
    pub env: Vec<(String, String)>,
    /// Variables that the app does not get.
    pub unset_env: Vec<String>,
    pub chdir: Option<PathBuf>,

    // Python.
    /// `python = /path/to/python3` (ours, not uWSGI's).
    pub python: Option<PathBuf>,
    pub virtualenv: Option<PathBuf>,
    pub pythonpath: Vec<PathBuf>,
    /// In config order; empty when nothing is to be loaded.
    pub mounts: Vec<Mount>,
    /// Default "application".
    pub callable: Option<String>,
    pub manage_script_name: bool,
    pub need_app: bool,
    pub interpreter: Python,
    /// Every option as it was given, for `uwsgi.opt`; up to a limit of bytes.
    pub given: Vec<(String, String)>,

    // Requests.
    /// Bytes of the var block (uwsgi) or of the head (HTTP).
    pub buffer_size: u32,
    /// Bytes of body up to which it is read before the app is called; 0: streamed.
    pub post_buffering: u64,
    pub limit_post: Option<u64>,
    /// Wait for each read or write on a client's connection.
    pub socket_timeout: Duration,
    pub http_timeout: Duration,
    /// `None`: an HTTP connection serves one request.
    pub http_keepalive: Option<Duration>,
    pub static_files: StaticFiles,
    /// In config order.
    pub routes: Vec<Route>,
    pub answers: Answers,
    pub http: Http,
    pub tcp: Tcp,
    pub mounting: Mounting,
    /// Answer 403 to the original's loader variables instead of ignoring them.
    pub strict_vars: bool,
    /// Raise write errors into the app instead of only counting them.
    pub write_exception: bool,

    // Logs and numbers.
    pub logs: Logs,
    pub pidfile: Option<PathBuf>,
    pub stats: Option<Address>,

    // Beside the app.
    pub hooks: hooks::Hooks,
    pub daemons: Vec<daemons::Daemon>,
    pub crons: Vec<cron::Cron>,
    pub outside: outside::Outside,
    pub alarms: Alarms,

    /// `emperor = …` lines: this config is an emperor's own.
    pub emperor: Vec<String>,
    pub empire: Empire,
    /// Where `module`, `uid`, … stand, for messages: option name → place.
    pub places: std::collections::BTreeMap<String, Place>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listens: Vec::new(),
            backlog: 1024,
            chmod_socket: None,
            chown_socket: None,
            vacuum: true,
            processes: 1,
            threads: 1,
            lazy_apps: false,
            harakiri: None,
            max_requests: None,
            max_requests_delta: 0,
            reload_on_rss: None,
            min_worker_lifetime: Duration::from_secs(10),
            worker_reload_mercy: Duration::from_secs(60),
            ready_timeout: Duration::from_secs(60),
            auto_procname: true,
            touch_reload: Vec::new(),
            scaling: Scaling::default(),
            recycling: Recycling::default(),
            readiness: Readiness::default(),
            limits: Limits::default(),
            titles: Titles::default(),
            harakiri_options: Harakiri::default(),
            uid: None,
            gid: None,
            env: Vec::new(),
            unset_env: Vec::new(),
            chdir: None,
            python: None,
            virtualenv: None,
            pythonpath: Vec::new(),
            mounts: Vec::new(),
            callable: None,
            manage_script_name: false,
            need_app: true,
            interpreter: Python::default(),
            given: Vec::new(),
            buffer_size: 32768,
            post_buffering: 0,
            limit_post: None,
            socket_timeout: Duration::from_secs(4),
            http_timeout: Duration::from_secs(60),
            http_keepalive: None,
            static_files: StaticFiles::default(),
            routes: Vec::new(),
            answers: Answers::default(),
            http: Http::default(),
            tcp: Tcp::default(),
            mounting: Mounting::default(),
            strict_vars: false,
            write_exception: false,
            logs: Logs::default(),
            pidfile: None,
            stats: None,
            hooks: hooks::Hooks::default(),
            daemons: Vec::new(),
            crons: Vec::new(),
            outside: outside::Outside::default(),
            alarms: Alarms::default(),
            emperor: Vec::new(),
            empire: Empire::default(),
            places: std::collections::BTreeMap::new(),
        }
    }
}

impl Settings {
    /// What `original-defaults` gives: the original's values where ours differ on purpose.
    pub fn of_uwsgi() -> Self {
        Self {
            backlog: 100,
            vacuum: false,
            auto_procname: false,
            need_app: false,
            buffer_size: 4096,
            write_exception: true,
            recycling: Recycling {
                jitter: 0,
                ..Recycling::default()
            },
            ..Self::default()
        }
    }

    /// How many requests one worker answers at a time.
    pub fn cores(&self) -> usize {
        let cores = match &self.interpreter.gevent {
            Some(gevent) => gevent.greenlets,
            None => self.threads,
        };
        usize::try_from(cores.max(1)).unwrap_or(MAX_CORES)
    }

    /// Whether two configs ask for the same app. Places do not count: an edited comment moves
    /// lines and reloads nothing.
    pub fn same_app(&self, other: &Self) -> bool {
        let plain = |settings: &Self| {
            let mut settings = settings.clone();
            settings.places.clear();
            // What has no effect otherwise is no reason either.
            settings.given.clear();
            let nowhere = Place {
                file: PathBuf::new(),
                line: 0,
            };
            settings
                .listens
                .iter_mut()
                .for_each(|listen| listen.place = nowhere.clone());
            settings
                .mounts
                .iter_mut()
                .for_each(|mount| mount.place = nowhere.clone());
            let hooks = settings.hooks.all.iter_mut().map(|hook| &mut hook.place);
            let daemons = settings.daemons.iter_mut().map(|it| &mut it.place);
            let crons = settings.crons.iter_mut().map(|it| &mut it.place);
            for place in hooks.chain(daemons).chain(crons) {
                place.clone_from(&nowhere);
            }
            settings
        };
        plain(self) == plain(other)
    }
}
