//! Starts one server of a scene, with nginx in front where the scene says so.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::lifecycle::processes;
use crate::server::Server;
use crate::target::Target;

use super::rows::{Scene, Side, Way};

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Our command.
    pub ours: PathBuf,
    /// This program: the floor.
    pub bench: PathBuf,
    /// A virtualenv with the peers and Django, of the interpreter that all of them use.
    pub environment: PathBuf,
    pub nginx: Option<PathBuf>,
}

/// What is installed into the environment, in the versions that the table is about.
const NEEDED: [&str; 4] = ["uwsgi==2.0.31", "gunicorn", "granian", "Django>=5.2,<5.3"];
/// Builds only where Apache's headers are.
const WANTED: &str = "mod_wsgi";
const APXS: &str = "/usr/bin/apxs";

impl Programs {
    /// Makes the virtualenv, once, and installs the peers.
    ///
    /// # Errors
    /// When `python` cannot make one, or a peer cannot be installed.
    pub fn install(&self, python: &Path, say: &mut dyn FnMut(&str)) -> Result<(), anyhow::Error> {
        let listed = NEEDED.join("\n");
        let done = self.environment.join("peers.txt");
        if fs::read_to_string(&done).is_ok_and(|text| text == listed) {
            // Apache's headers may have come since.
            if self.of(Side::ModWsgi).is_none() && Path::new(APXS).exists() {
                self.install_wanted(say);
            }
            return Ok(());
        }
        say(&format!("installing into {}", self.environment.display()));
        call(
            Command::new(python)
                .args(["-m", "venv"])
                .arg(&self.environment),
        )?;
        let pip = self.environment.join("bin/pip");
        call(Command::new(&pip).args(["install", "-q"]).args(NEEDED))?;
        self.install_wanted(say);
        Ok(fs::write(done, listed)?)
    }

    fn install_wanted(&self, say: &mut dyn FnMut(&str)) {
        let mut pip = Command::new(self.environment.join("bin/pip"));
        if let Err(error) = call(pip.args(["install", "-q", WANTED])) {
            say(&format!(
                "without {WANTED}, which needs apache2-dev: {error}"
            ));
        }
    }

    /// The program of a peer, when it is there.
    pub fn of(&self, side: Side) -> Option<PathBuf> {
        let path = match side {
            Side::Ours => self.ours.clone(),
            Side::Floor => self.bench.clone(),
            Side::Uwsgi => self.environment.join("bin/uwsgi"),
            Side::Gunicorn => self.environment.join("bin/gunicorn"),
            Side::Granian => self.environment.join("bin/granian"),
            Side::ModWsgi => self.environment.join("bin/mod_wsgi-express"),
        };
        path.exists().then_some(path)
    }
}

fn call(command: &mut Command) -> Result<(), anyhow::Error> {
    let output = processes::output(command.stdin(Stdio::null()))
        .with_context(|| format!("run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        text.lines().next_back().unwrap_or_default()
    );
    Ok(())
}

/// A server that runs, and what the load is sent to.
pub struct Running {
    /// Ended before what it stands in front of.
    _front: Option<Server>,
    pub server: Server,
    pub target: Target,
}

/// Starts `side` as `scene` has it, in `directory`.
///
/// # Errors
/// With the last words of what does not start.
pub fn start(
    programs: &Programs,
    scene: &Scene,
    side: Side,
    directory: &Path,
) -> Result<Running, anyhow::Error> {
    let program = programs.of(side).context("it is not installed")?;
    let own_way = match (scene.way, side) {
        (Way::Http, _) => Way::Http,
        (Way::Uwsgi | Way::Nginx, Side::Ours | Side::Uwsgi | Side::Floor) => Way::Uwsgi,
        (Way::Uwsgi | Way::Nginx, Side::Gunicorn | Side::Granian | Side::ModWsgi) => Way::Http,
    };
    let socket = directory.join("bench.sock");
    let _ = fs::remove_file(&socket);
    let address = match own_way {
        Way::Uwsgi | Way::Nginx => socket.display().to_string(),
        Way::Http => format!("127.0.0.1:{}", free_port()?),
    };
    let target: Target = match own_way {
        Way::Uwsgi | Way::Nginx => format!("uwsgi:{address}").parse()?,
        Way::Http => format!("http://{address}").parse()?,
    };
    let mut command = vec![program.display().to_string()];
    command.extend(arguments(programs, scene, side, &address, directory)?);
    let name = side.name();
    let log = directory.join(format!("{name}.log"));
    let server = Server::launch(&command, directory, target.clone(), &log, name)?;
    if scene.way != Way::Nginx {
        return Ok(Running {
            _front: None,
            server,
            target,
        });
    }
    let nginx = programs.nginx.as_ref().context("nginx is not installed")?;
    let port = free_port()?;
    let pass = match own_way {
        Way::Uwsgi | Way::Nginx => {
            format!("include /etc/nginx/uwsgi_params; uwsgi_pass unix:{address};")
        }
        Way::Http => {
            "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass http://app;"
                .to_owned()
        }
    };
    let config = directory.join("nginx.conf");
    fs::write(&config, nginx_config(port, &address, own_way, &pass))?;
    let front: Target = format!("http://127.0.0.1:{port}").parse()?;
    let command = [
        nginx.display().to_string(),
        "-p".to_owned(),
        directory.display().to_string(),
        "-e".to_owned(),
        directory.join("nginx.errors").display().to_string(),
        "-c".to_owned(),
        config.display().to_string(),
    ];
    let log = directory.join("nginx.log");
    let nginx = Server::launch(&command, directory, front.clone(), &log, "nginx")?;
    Ok(Running {
        _front: Some(nginx),
        server,
        target: front,
    })
}

fn arguments(
    programs: &Programs,
    scene: &Scene,
    side: Side,
    address: &str,
    directory: &Path,
) -> Result<Vec<String>, anyhow::Error> {
    let app = format!("{}:application", scene.module);
    let (processes, threads) = (scene.processes.to_string(), scene.threads.to_string());
    let words = |text: &[&str]| text.iter().map(|&word| word.to_owned()).collect();
    Ok(match side {
        Side::Ours | Side::Uwsgi => {
            let path = directory.join(format!("{}.ini", side.name()));
            fs::write(
                &path,
                ini(scene, side, address, directory, &programs.environment),
            )?;
            vec![path.display().to_string()]
        }
        Side::Floor => words(&["floor", address]),
        Side::Gunicorn => words(&[
            "--worker-class",
            "gthread",
            "--workers",
            &processes,
            "--threads",
            &threads,
            "--bind",
            address,
            "--keep-alive",
            "60",
            "--log-level",
            "warning",
            &app,
        ]),
        Side::Granian => {
            let port = address.rsplit(':').next().unwrap_or_default();
            words(&[
                "--interface",
                "wsgi",
                "--host",
                "127.0.0.1",
                "--port",
                port,
                "--workers",
                &processes,
                "--blocking-threads",
                &threads,
                "--no-ws",
                "--log-level",
                "warning",
                &app,
            ])
        }
        Side::ModWsgi => {
            let port = address.rsplit(':').next().unwrap_or_default();
            let script = directory.join(format!("{}.py", scene.module));
            let root = directory.join("mod_wsgi");
            // A connection has as many requests as with the others.
            let more = directory.join("mod_wsgi.conf");
            fs::write(&more, "MaxKeepAliveRequests 0\n")?;
            let mut arguments: Vec<String> = words(&[
                "start-server",
                &script.display().to_string(),
                "--host",
                "127.0.0.1",
                "--port",
                port,
                "--server-root",
                &root.display().to_string(),
                "--processes",
                &processes,
                "--threads",
                &threads,
                "--keep-alive-timeout",
                "60",
                "--include-file",
                &more.display().to_string(),
            ]);
            if nix::unistd::geteuid().is_root() {
                arguments.extend(words(&["--user", "nobody", "--group", "nogroup"]));
            }
            arguments
        }
    })
}

fn ini(scene: &Scene, side: Side, address: &str, directory: &Path, environment: &Path) -> String {
    let kind = match scene.way {
        Way::Uwsgi | Way::Nginx => "socket",
        Way::Http => "http-socket",
    };
    let backlog = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let mut ini = format!(
        "[uwsgi]\n{kind} = {address}\nchdir = {}\nmodule = {}\nvirtualenv = {}\nmaster = true\n\
         processes = {}\ndie-on-term = true\nneed-app = true\nlisten = {}\n",
        directory.display(),
        scene.module,
        environment.display(),
        scene.processes,
        backlog.trim().parse::<u32>().unwrap_or(128).min(1024),
    );
    if scene.threads > 1 {
        ini += &format!("threads = {}\n", scene.threads);
    }
    if !scene.logs {
        ini += "disable-logging = true\n";
    }
    if side == Side::Ours {
        let python = environment.join("bin/python");
        ini += &format!("python = {}\n", python.display());
        if scene.way == Way::Http {
            ini += "http-keepalive = 60\n";
        }
    }
    ini
}

fn nginx_config(port: u16, address: &str, way: Way, pass: &str) -> String {
    let upstream = match way {
        Way::Http => format!("upstream app {{ server {address}; keepalive 32; }}\n"),
        Way::Uwsgi | Way::Nginx => String::new(),
    };
    let user = match nix::unistd::geteuid().is_root() {
        true => "user root;\n",
        false => "",
    };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{ worker_connections 512; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000;\n{upstream}\
         server {{ listen 127.0.0.1:{port}; location / {{ {pass} }} }}\n}}\n"
    )
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, anyhow::Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}
