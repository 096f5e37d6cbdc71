//! Real front ends with configuration of their own in a test's folder: never the system's
//! services, never a fixed port.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use super::folder::Folder;
use super::process::{Process, require};
use super::wire::{Address, http_get};
use super::{PATIENCE, wait_within};

/// A port that was free a moment ago. Below those that the kernel gives away by itself, and tests
/// that run at once begin at different ones, so that nobody is faster.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 16_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let of_process = std::process::id().wrapping_mul(61);
    let ports = (0..COUNT).map(|_| {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + of_process.wrapping_add(turn) % COUNT
    });
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    // In all addresses: some tests bind another one than 127.0.0.1.
    let free = ports.find(|&port| TcpListener::bind(("0.0.0.0", port)).is_ok());
    free.expect("a free port")
}

/// nginx in front, on a Unix socket and a port.
pub(crate) struct Nginx {
    process: Process,
    port: u16,
    socket: PathBuf,
    errors: PathBuf,
}

impl Nginx {
    pub(crate) fn is_installed() -> bool {
        require("nginx").is_some()
    }

    /// `locations` goes into the one server block; `{dir}` is the folder.
    #[track_caller]
    pub(crate) fn start(folder: &Folder, locations: &str) -> Self {
        let socket = folder.join("nginx.sock");
        let errors = folder.join("nginx.errors");
        let root = rustix::process::geteuid().is_root();
        let (process, port) = start_on_free_port(|port| {
            let text = NGINX
                .replace("USER", if root { "user root;" } else { "" })
                .replace("PORT", &port.to_string())
                .replace("LOCATIONS", locations);
            let config = folder.write("nginx.conf", &text);
            let mut command = Command::new(require("nginx").expect("nginx"));
            command.arg("-p").arg(folder.path());
            command.arg("-e").arg(&errors).arg("-c").arg(config);
            Process::start(command, &folder.join("nginx.log"))
        });
        Self {
            process,
            port,
            socket,
            errors,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.socket.clone())
    }

    /// Its error log and output.
    pub(crate) fn report(&self) -> String {
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let from = errors.len().saturating_sub(4000);
        let errors = errors.get(from..).unwrap_or(&errors);
        format!("nginx errors:\n{errors}\n{}", self.process.log())
    }
}

/// Apache in front, on a port.
pub(crate) struct Apache {
    process: Process,
    port: u16,
    errors: PathBuf,
}

impl Apache {
    pub(crate) fn is_installed() -> bool {
        require("apache2").is_some()
            && std::path::Path::new(APACHE_MODULES)
                .join("mod_proxy_uwsgi.so")
                .exists()
    }

    /// `directives` goes to the end of the configuration; `{dir}` is the folder.
    #[track_caller]
    pub(crate) fn start(folder: &Folder, directives: &str) -> Self {
        let errors = folder.join("apache.errors");
        let root = rustix::process::geteuid().is_root();
        let user = if root {
            "User www-data\nGroup www-data"
        } else {
            ""
        };
        let (process, port) = start_on_free_port(|port| {
            let text = APACHE
                .replace("USER", user)
                .replace("MODULES", APACHE_MODULES)
                .replace("PORT", &port.to_string())
                .replace("DIRECTIVES", directives);
            let config = folder.write("apache.conf", &text);
            let mut command = Command::new(require("apache2").expect("apache2"));
            command.arg("-f").arg(config).arg("-DFOREGROUND");
            Process::start(command, &folder.join("apache.log"))
        });
        Self {
            process,
            port,
            errors,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> Address {
        Address::from(self.port)
    }

    pub(crate) fn report(&self) -> String {
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        format!("apache errors:\n{errors}\n{}", self.process.log())
    }
}

/// What `wrk` counted.
#[derive(Debug)]
pub(crate) struct Wrk {
    pub(crate) requests: u64,
    pub(crate) socket_errors: u64,
    pub(crate) non_2xx: u64,
    pub(crate) text: String,
}

/// A command line of wrk, to be run on a thread of the test; [`Wrk::read`] reads its output.
pub(crate) fn wrk(port: u16, uri: &str, connections: u32, seconds: u32) -> Command {
    let mut command = Command::new(require("wrk").expect("wrk"));
    command
        .args(["--threads", "1", "--timeout", "30s"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg(format!("http://127.0.0.1:{port}{uri}"));
    command
}

impl Wrk {
    pub(crate) fn read(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers = |line: &str| -> u64 {
            line.split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|word| word.parse::<u64>().ok())
                .sum()
        };
        let line = |part: &str| text.lines().find(|line| line.contains(part));
        Self {
            requests: line(" requests in ")
                .and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
                .unwrap_or(0),
            socket_errors: line("Socket errors:").map_or(0, numbers),
            non_2xx: line("Non-2xx").map_or(0, |line| {
                line.rsplit(' ').next().unwrap_or("").parse().unwrap_or(1)
            }),
            text,
        }
    }
}

/// Starts a server on a free port, and again on another one when somebody else was faster.
#[track_caller]
fn start_on_free_port(start: impl Fn(u16) -> Process) -> (Process, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut process = start(port);
        let log = process.log_path().to_owned();
        let up = wait_within(
            PATIENCE,
            "the front end to answer or to end",
            || std::fs::read_to_string(&log).unwrap_or_default(),
            || match http_get(port, "/health-of-the-front-end") {
                Ok(_) => Some(true),
                Err(_) if process.ended().is_some() => Some(false),
                Err(_) => None,
            },
        );
        if up {
            return (process, port);
        }
        eprintln!("{}", process.report());
    }
    panic!("the front end did not start on five ports");
}

const NGINX: &str = "\
USER
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.errors info;
events { worker_connections 1024; }
http {
    access_log {dir}/nginx.access;
    client_body_temp_path {dir}/nginx.body;
    proxy_temp_path {dir}/nginx.proxy;
    fastcgi_temp_path {dir}/nginx.fastcgi;
    uwsgi_temp_path {dir}/nginx.uwsgi;
    scgi_temp_path {dir}/nginx.scgi;
    client_max_body_size 100m;
    server {
        listen 127.0.0.1:PORT;
        listen unix:{dir}/nginx.sock;
        server_name test.example;
        location = /health-of-the-front-end { return 204; }
        LOCATIONS
    }
}
";

const APACHE_MODULES: &str = "/usr/lib/apache2/modules";

const APACHE: &str = "\
USER
ServerRoot {dir}
ServerName test.example
PidFile {dir}/apache.pid
DefaultRuntimeDir {dir}
ErrorLog {dir}/apache.errors
LogLevel warn
Listen 127.0.0.1:PORT
DocumentRoot {dir}
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule proxy_module MODULES/mod_proxy.so
LoadModule proxy_uwsgi_module MODULES/mod_proxy_uwsgi.so
ThreadsPerChild 25
StartServers 1
DIRECTIVES
";
