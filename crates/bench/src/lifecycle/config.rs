//! The configs of the servers and of the nginx before them, as alike as they can be.

use std::fs;
use std::process::Command;

use crate::lifecycle::place::Place;
use crate::lifecycle::servers::Server;

impl Place {
    pub(super) fn good_config(&self) -> String {
        let setup = &self.setup;
        let directory = self.directory().display();
        let backlog = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        let mut ini = format!(
            "[uwsgi]\nsocket = {directory}/app.sock\nchdir = {directory}/app\nmodule = life\nmaster = true\n\
             processes = {}\nthreads = {}\nlisten = {}\n",
            setup.workers,
            setup.threads,
            backlog.trim().parse::<u32>().unwrap_or(128).min(1024),
        );
        if let Some(count) = setup.max_requests {
            ini += &format!("max-requests = {count}\nmin-worker-lifetime = 0\n");
        }
        match setup.server {
            Server::Ours => {
                ini += &format!(
                    "http-socket = {directory}/http.sock\npython = {}\nready-timeout = {}\n\
                     ready-request = /ready\n",
                    setup.programs.python.display(),
                    setup.ready_timeout,
                );
            }
            Server::UwsgiLazy => ini += "plugin = python3\nlazy-apps = true\ndie-on-term = true\n",
            Server::UwsgiChain => {
                ini += &format!(
                    "plugin = python3\nlazy-apps = true\ndie-on-term = true\n\
                     touch-chain-reload = {directory}/chain\n"
                );
            }
            Server::Uwsgi => ini += "plugin = python3\ndie-on-term = true\n",
            Server::UwsgiEmperor => ini += "plugin = python3\n",
            Server::Gunicorn | Server::Granian => (),
        }
        ini
    }

    /// Another app beside the one under load.
    pub(super) fn other_config(&self, number: usize, edit: usize) -> String {
        let directory = self.directory().display();
        format!(
            "[uwsgi]\nsocket = {directory}/other{number}.sock\nchdir = {directory}\nmodule = other\n\
             master = true\n{}\nenv = EDIT={edit}\n",
            self.interpreter()
        )
    }

    /// An app of one process that speaks HTTP.
    pub(super) fn hello_config(&self, socket: &str, module: &str) -> String {
        let directory = self.directory().display();
        format!(
            "[uwsgi]\nhttp-socket = {directory}/{socket}\nchdir = {directory}/app\nmodule = {module}\n\
             master = true\nvacuum = true\n{}\n",
            self.interpreter()
        )
    }

    /// How a config names the Python.
    fn interpreter(&self) -> String {
        if self.setup.server == Server::Ours {
            format!("python = {}", self.setup.programs.python.display())
        } else {
            "plugin = python3".to_owned()
        }
    }

    pub(super) fn server_command(&self) -> Command {
        let setup = &self.setup;
        let programs = &setup.programs;
        let app = self.path("app");
        match setup.server {
            Server::Ours => {
                let mut command = Command::new(self.path("bin/imperator"));
                command.arg(self.path("vassals"));
                command.env("RUNTIME_DIRECTORY", self.path("run"));
                command
            }
            Server::Uwsgi | Server::UwsgiLazy | Server::UwsgiChain => {
                // The file that chain reload waits for must be there first.
                let _ = fs::File::options()
                    .append(true)
                    .create(true)
                    .open(self.path("chain"));
                let mut command = Command::new(&programs.uwsgi);
                command.arg("--ini").arg(self.path("vassals/life.ini"));
                command
            }
            Server::UwsgiEmperor => {
                let mut command = Command::new(&programs.uwsgi);
                command.arg("--emperor").arg(self.path("vassals"));
                command
            }
            Server::Gunicorn => {
                let mut command = Command::new(programs.peers.join("gunicorn"));
                command.args(["life:application", "--worker-class", "gthread"]);
                command.args(["--workers", &setup.workers.to_string()]);
                command.args(["--threads", &setup.threads.to_string()]);
                command.args(["--graceful-timeout", "60", "--timeout", "60"]);
                command.args(["--access-logfile", "-"]);
                for socket in ["app.sock", "http.sock"] {
                    command.arg("--bind");
                    command.arg(format!("unix:{}", self.path(socket).display()));
                }
                if let Some(count) = setup.max_requests {
                    command.args(["--max-requests", &count.to_string()]);
                }
                command.current_dir(app);
                command
            }
            Server::Granian => {
                let mut command = Command::new(programs.peers.join("granian"));
                command.args(["--interface", "wsgi", "life:application", "--access-log"]);
                command.args(["--workers", &setup.workers.to_string()]);
                command.args(["--blocking-threads", &setup.threads.to_string()]);
                command.arg("--respawn-failed-workers");
                command.arg("--uds").arg(self.path("app.sock"));
                command.current_dir(app);
                command
            }
        }
    }

    pub(super) fn front_config(&self) -> String {
        let directory = self.directory().display();
        let pass = if self.setup.server.reads_ini() {
            let parameters: String = [
                ("QUERY_STRING", "$query_string"),
                ("REQUEST_METHOD", "$request_method"),
                ("CONTENT_TYPE", "$content_type"),
                ("CONTENT_LENGTH", "$content_length"),
                ("REQUEST_URI", "$request_uri"),
                ("PATH_INFO", "$document_uri"),
                ("DOCUMENT_ROOT", "$document_root"),
                ("SERVER_PROTOCOL", "$server_protocol"),
                ("REQUEST_SCHEME", "$scheme"),
                ("REMOTE_ADDR", "127.0.0.1"),
                ("REMOTE_PORT", "40000"),
                ("SERVER_PORT", "80"),
                ("SERVER_NAME", "$server_name"),
            ]
            .map(|(name, value)| format!("uwsgi_param {name} {value};\n"))
            .concat();
            format!(
                "uwsgi_pass unix:{directory}/app.sock;\nuwsgi_buffering off;\n\
                 uwsgi_request_buffering off;\n{parameters}"
            )
        } else {
            format!(
                "proxy_pass http://unix:{directory}/app.sock:;\nproxy_http_version 1.1;\n\
                 proxy_buffering off;\nproxy_request_buffering off;\n"
            )
        };
        let user = if nix::unistd::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        FRONT
            .replace("USER", user)
            .replace("DIRECTORY", &directory.to_string())
            .replace("PASS", &pass)
    }
}

const FRONT: &str = "\
USER
daemon off;
worker_processes 1;
pid DIRECTORY/front.pid;
error_log DIRECTORY/front.errors error;
events { worker_connections 2048; }
http {
    access_log off;
    client_body_temp_path DIRECTORY/front.body;
    proxy_temp_path DIRECTORY/front.proxy;
    fastcgi_temp_path DIRECTORY/front.fastcgi;
    uwsgi_temp_path DIRECTORY/front.uwsgi;
    scgi_temp_path DIRECTORY/front.scgi;
    server {
        listen unix:DIRECTORY/front.sock backlog=1024;
        server_name localhost;
        location / {
            PASS
        }
    }
}
";
