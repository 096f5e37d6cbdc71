//! One server with its app, its config and an nginx in front, in a temporary directory; all of its
//! processes carry a mark and are gone when it is dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;

use crate::clock::wait_for;
use crate::lifecycle::ask::{Style, ask};
use crate::lifecycle::breakage::Breakage;
use crate::lifecycle::processes::{self, MARK, Started};
use crate::lifecycle::servers::Server;
use crate::target::Target;

/// How long a server may take to serve: it is reached only by one that does not.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LAST_LINES: usize = 40;
const APP: &str = include_str!("../../apps/life.py");

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    pub imperator: PathBuf,
    pub uwsgi: PathBuf,
    /// `bin` of the virtualenv with gunicorn and Granian.
    pub peers: PathBuf,
    pub nginx: PathBuf,
    /// The interpreter of all: the one that the original's plugin is linked to.
    pub python: PathBuf,
}

impl Programs {
    /// The program that is missing for this server.
    pub fn missing(&self, server: Server) -> Option<PathBuf> {
        let needed = match server {
            Server::Ours => self.imperator.clone(),
            Server::Gunicorn | Server::Granian => self.peers.join(server.name()),
            Server::Uwsgi | Server::UwsgiLazy | Server::UwsgiChain | Server::UwsgiEmperor => {
                self.uwsgi.clone()
            }
        };
        [needed, self.nginx.clone(), self.python.clone()]
            .into_iter()
            .find(|path| !path.exists())
    }
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub server: Server,
    pub programs: Programs,
    pub workers: usize,
    pub threads: usize,
    /// How long the app sleeps while it is loaded.
    pub load_seconds: f64,
    /// Workers are replaced after so many requests.
    pub max_requests: Option<u32>,
    /// How long ours may take to load, in seconds.
    pub ready_timeout: u32,
}

pub struct Place {
    pub setup: Setup,
    directory: tempfile::TempDir,
    /// `None` between two starts.
    server: Option<Started>,
    nginx: Option<Started>,
    pub version: u64,
    pub ids: Arc<AtomicU64>,
    config: String,
    taken: TcpListener,
}

impl Place {
    /// Writes everything that is needed, and starts nothing.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare(setup: Setup) -> Result<Self, anyhow::Error> {
        processes::adopt_orphans();
        let directory = processes::directory("life.")?;
        let taken = TcpListener::bind(("127.0.0.1", 0))?;
        let mut place = Self {
            setup,
            directory,
            server: None,
            nginx: None,
            version: 0,
            ids: Arc::new(AtomicU64::new(1)),
            config: String::new(),
            taken,
        };
        for name in ["app", "vassals", "bin"] {
            fs::create_dir(place.path(name))?;
        }
        place.config = place.good_config();
        place.write("app/load-seconds", &place.setup.load_seconds.to_string())?;
        place.write("vassals/life.ini", &place.config)?;
        place.put(None)?;
        place.write("front.conf", &place.front_config())?;
        place.install()?;
        Ok(place)
    }

    /// Starts everything, and waits for a first answer through nginx.
    ///
    /// # Errors
    /// With the server's last words, when there is none.
    pub fn start(setup: Setup) -> Result<Self, anyhow::Error> {
        let mut place = Self::prepare(setup)?;
        place.start_server()?;
        let program = place.setup.programs.nginx.clone();
        let mut command = Command::new(program);
        command.arg("-p").arg(place.directory.path());
        command.arg("-e").arg(place.path("front.errors"));
        command.arg("-c").arg(place.path("front.conf"));
        place.nginx = Some(place.spawn(command, "front.out")?);
        if !place.wait_up(PATIENCE) {
            bail!(
                "{} does not serve:\n{}",
                place.setup.server.name(),
                place.last_words()
            );
        }
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file whole: beside it first, then renamed.
    pub fn write(&self, name: &str, text: &str) -> Result<(), anyhow::Error> {
        let path = self.path(name);
        // Not beside it in vassals/, where a name could be taken for an app's.
        let new = self.path(".new");
        fs::write(&new, text).with_context(|| format!("write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("rename to {}", path.display()))
    }

    pub fn front(&self) -> Target {
        self.target("front.sock")
    }

    /// Where a client that keeps its connection goes: to the server itself, where it speaks HTTP.
    pub fn keeper(&self) -> Target {
        match self.setup.server {
            Server::Ours | Server::Gunicorn => self.target("http.sock"),
            Server::Granian => self.target("app.sock"),
            Server::Uwsgi | Server::UwsgiLazy | Server::UwsgiChain | Server::UwsgiEmperor => {
                self.front()
            }
        }
    }

    fn target(&self, socket: &str) -> Target {
        format!("http:{}", self.path(socket).display())
            .parse()
            .expect("a socket's path is a target")
    }

    /// Ours runs from a directory of its own, where an upgrade can put another file. The first is
    /// a link where it can be.
    fn install(&self) -> Result<(), anyhow::Error> {
        if self.setup.server != Server::Ours {
            return Ok(());
        }
        for (from, to) in self.ours()? {
            if fs::hard_link(&from, &to).is_err() {
                copy(&from, &to)?;
            }
        }
        Ok(())
    }

    /// Puts other files with the same content in the place of ours.
    pub fn install_again(&self) -> Result<(), anyhow::Error> {
        for (from, to) in self.ours()? {
            let new = to.with_extension("new");
            copy(&from, &new)?;
            fs::rename(&new, &to)?;
        }
        Ok(())
    }

    /// The files of ours: as built, and in this place. The command last: it loads the other.
    fn ours(&self) -> Result<[(PathBuf, PathBuf); 2], anyhow::Error> {
        let program = &self.setup.programs.imperator;
        let from = program
            .parent()
            .context("the command stands in no directory")?;
        Ok(["libimperator_python.so", "imperator"]
            .map(|name| (from.join(name), self.path("bin").join(name))))
    }

    fn spawn(&self, mut command: Command, log: &str) -> Result<Started, anyhow::Error> {
        let output = File::options()
            .append(true)
            .create(true)
            .open(self.path(log))?;
        let text = format!("{command:?}");
        command
            .env(MARK, self.directory.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        processes::start(&mut command).with_context(|| format!("start {text}"))
    }

    /// The server, or its emperor. Whatever ran before must have ended.
    pub fn start_server(&mut self) -> Result<(), anyhow::Error> {
        let command = self.server_command();
        self.server = Some(self.spawn(command, "server.log")?);
        Ok(())
    }

    pub fn server_pid(&self) -> i32 {
        self.server.as_ref().map_or(0, Started::pid)
    }

    /// Kills the server's first process, the emperor where there is one, and waits for its end.
    pub fn kill_server(&mut self) {
        processes::send(self.server_pid(), Signal::SIGKILL);
        self.reap_server();
    }

    /// Asks it to stop, and waits for its end.
    pub fn stop_server(&mut self) {
        // The original's Emperor takes SIGTERM for a reload.
        let signal = if self.setup.server == Server::UwsgiEmperor {
            Signal::SIGINT
        } else {
            Signal::SIGTERM
        };
        processes::send(self.server_pid(), signal);
        self.reap_server();
    }

    fn reap_server(&mut self) {
        if let Some(mut child) = self.server.take() {
            let ended = wait_for(PATIENCE, || child.has_ended().then_some(()));
            if ended.is_none() {
                child.kill();
            }
        }
    }

    /// Ends all that is left of the server, and starts it afresh: what an operator does with a
    /// server that a bad deploy has ended.
    pub fn rescue(&mut self) -> Result<(), anyhow::Error> {
        let nginx = self.nginx.as_ref().map(Started::pid);
        self.kill_server();
        processes::bury(self.directory.path(), nginx);
        for socket in ["app.sock", "http.sock"] {
            let _ = fs::remove_file(self.path(socket));
        }
        self.start_server()
    }

    pub fn wait_up(&self, patience: Duration) -> bool {
        let front = self.front();
        wait_for(patience, || {
            ask(&front, Style::Short, 0, &mut None).result.ok()
        })
        .is_some()
    }

    /// Whether the first process has ended by itself.
    pub fn server_ended(&mut self) -> bool {
        let child = self.server.as_mut();
        child.is_none_or(Started::has_ended)
    }

    /// Puts the next version there, or a bad one, and tells the server.
    pub fn deploy(&mut self, broken: Option<Breakage>) -> Result<(), anyhow::Error> {
        let seen = self.put(broken)?;
        match self.setup.server {
            // An edit is a deploy, also one that takes back what failed.
            Server::Ours | Server::UwsgiEmperor if seen => Ok(()),
            Server::Ours
            | Server::Uwsgi
            | Server::UwsgiLazy
            | Server::UwsgiChain
            | Server::UwsgiEmperor
            | Server::Gunicorn
            | Server::Granian => self.reload(),
        }
    }

    /// Tells whether something happened that an emperor sees.
    fn put(&mut self, broken: Option<Breakage>) -> Result<bool, anyhow::Error> {
        if broken.is_none() {
            self.version += 1;
            self.write("app/version", &self.version.to_string())?;
        }
        let code = broken.and_then(Breakage::code).unwrap_or_default();
        self.write("app/life.py", &format!("{APP}\n{code}"))?;
        let taken = self.taken.local_addr()?.to_string();
        let config = broken.and_then(|broken| broken.config(&self.config, &taken));
        let (vassals, away) = (self.path("vassals"), self.path("away"));
        if away.exists() {
            fs::rename(&away, &vassals)?;
        }
        let config = config.unwrap_or_else(|| self.config.clone());
        let there = fs::read_to_string(self.path("vassals/life.ini"));
        let edited = there.is_ok_and(|there| there != config);
        if edited {
            self.write("vassals/life.ini", &config)?;
        }
        if broken == Some(Breakage::VanishedDirectory) {
            fs::rename(&vassals, &away)?;
            return Ok(true);
        }
        Ok(edited)
    }

    /// Tells the server that there is something new.
    pub fn reload(&self) -> Result<(), anyhow::Error> {
        match self.setup.server {
            Server::Ours | Server::UwsgiEmperor => touch(&self.path("vassals/life.ini")),
            Server::UwsgiChain => touch(&self.path("chain")),
            Server::Uwsgi | Server::UwsgiLazy | Server::Gunicorn | Server::Granian => {
                processes::send(self.server_pid(), Signal::SIGHUP);
                Ok(())
            }
        }
    }

    /// Runs our command on this place's emperor.
    pub fn imperator(&self, args: &[&str]) -> Result<std::process::Output, anyhow::Error> {
        let mut command = Command::new(self.path("bin/imperator"));
        command
            .args(args)
            .env("RUNTIME_DIRECTORY", self.path("run"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        processes::output(&mut command).context("imperator")
    }

    /// What our emperor says, or our command without one.
    pub fn status(&self) -> serde_json::Value {
        let output = self.imperator(&["status", "--json"]);
        let bytes = output.map(|output| output.stdout).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// How many lines our status of all apps has, as people read it.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn status_lines(&self) -> Result<usize, anyhow::Error> {
        let output = self.imperator(&["status"]).context("run status")?;
        Ok(output.stdout.split(|byte| *byte == b'\n').count() - 1)
    }

    /// Our status of the app; `Null` while nobody answers.
    pub fn app_status(&self, name: &str) -> serde_json::Value {
        let status = self.status();
        let apps = status["apps"].as_array().cloned().unwrap_or_default();
        let of_name = apps.into_iter().find(|app| app["name"] == name);
        of_name.unwrap_or_default()
    }

    /// Whether our emperor of now answers for the app, not its master alone.
    pub fn is_governed(&self) -> bool {
        self.status()["emperor"]["pid"] == self.server_pid()
            && self.app_status("life")["condition"] == "serving"
    }

    /// All living processes of this place but nginx.
    pub fn family(&self) -> Vec<i32> {
        processes::marked(self.directory.path(), self.nginx.as_ref().map(Started::pid))
    }

    pub fn log(&self) -> String {
        let bytes = fs::read(self.path("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn last_words(&self) -> String {
        let mut text = String::new();
        for name in ["server.log", "front.errors"] {
            let bytes = fs::read(self.path(name)).unwrap_or_default();
            let all = String::from_utf8_lossy(&bytes);
            // Requests would hide what happened.
            let lines: Vec<&str> = all.lines().filter(|line| !line.contains("/r/")).collect();
            let from = lines.len().saturating_sub(LAST_LINES);
            text += &format!("{name}:\n{}\n", lines[from..].join("\n"));
        }
        text
    }

    /// Leaves the directory, for whoever looks for a cause.
    pub fn keep(&mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        processes::keep(self.directory.path());
        self.directory.path().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // nginx writes its titles over the environment, and so over the mark.
        let front = self.nginx.as_ref().map(Started::pid);
        let front = crate::cpu::pids_of_trees(front.as_slice());
        for pid in &front {
            processes::send(*pid, Signal::SIGKILL);
        }
        for child in [&mut self.server, &mut self.nginx].into_iter().flatten() {
            child.kill();
        }
        processes::bury(self.directory.path(), None);
        processes::reap(&front);
    }
}

/// In a process of its own: a file that this one has open for writing cannot be executed, and a
/// child that another thread starts meanwhile would hold it open.
fn copy(from: &Path, to: &Path) -> Result<(), anyhow::Error> {
    let copied = processes::output(Command::new("cp").arg(from).arg(to))?;
    anyhow::ensure!(
        copied.status.success(),
        "cannot copy {}: run cargo build first",
        from.display()
    );
    Ok(())
}

/// A new modification time, a second and more after the old: the original looks at whole seconds.
pub fn touch(path: &Path) -> Result<(), anyhow::Error> {
    let before = fs::metadata(path).and_then(|meta| meta.modified());
    let before = before.with_context(|| format!("touch {}", path.display()))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a touch is the time that it happens at"
    )]
    let new = SystemTime::now().max(before + Duration::from_secs(1));
    let file = File::options().append(true).open(path)?;
    file.set_modified(new)?;
    Ok(())
}
