//! Carries out what the supervisor decides: starts masters, passes orders on, keeps copies of the
//! sockets and log pipes of each app so that a dead master's successor gets them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use imperator_core::config::vassal_args;
use imperator_core::message::{
    AppStatus, Failure, FromMaster, Held, MAX_FDS, Owner, Start, ToMaster, VERSION, fd,
};
use imperator_core::settings::empire::Empire;
use imperator_process::channel::{Channel, Received};
use imperator_process::image;
use imperator_process::signals;
use imperator_process::spawn::{self, Plan};
use tracing::{error, info, warn};

use crate::hooks;
use crate::options::Options;
use crate::plan::App;
use crate::runtime::{self, AppRecord, Runtime, Stopped};
use crate::seen::Seen;
use crate::store::Store;
use crate::supervisor::{Name, Order, Pid};
use crate::systemd;
use crate::tyrant;

mod handing;
pub mod keeping;
pub mod others;

/// The first word to a master that another emperor started.
const ADOPT: ToMaster = ToMaster::Adopt {
    version: VERSION,
    history: true,
};

/// Orders that a master has not read yet; it has hung when there are more.
const MAX_UNSENT: usize = 32;

/// A master of an earlier emperor that has not answered by then is reported.
pub const SILENCE: Duration = Duration::from_secs(5);

/// A master that lives.
pub struct Master {
    pub pid: Pid,
    pub channel: Channel,
    /// Of an adopted one: not our child, so its death is seen on the channel, and signals go
    /// through this, never to a reused pid.
    pub pidfd: Option<OwnedFd>,
    pub started: Instant,
    /// It has said something since we have its channel.
    pub spoke: bool,
    pub goodbye: Option<String>,
    /// The channel is closed.
    pub hung_up: bool,
    unsent: VecDeque<ToMaster>,
}

/// What outlives an app's master.
#[derive(Default)]
pub struct Kept {
    pub listeners: Vec<(Held, OwnedFd)>,
    /// The files of Unix sockets among them: device and inode.
    files: Vec<(PathBuf, (u64, u64))>,
    /// Read ends of the log pipe and the request-log pipe.
    logs: Option<(OwnedFd, OwnedFd)>,
    last_generation: u32,
    /// Whose all this is, under `emperor-tyrant`.
    owner: Option<Owner>,
    pub status: Option<AppStatus>,
    /// Why the last spawn failed, or how the last master died.
    pub death: Option<Failure>,
    /// Stopped by hand, by whom.
    pub stopped: Option<Stopped>,
}

pub struct Effects {
    pub runtime: Runtime,
    executable: PathBuf,
    env: Vec<(OsString, OsString)>,
    nofile_soft: u64,
    pub empire: Empire,
    pub masters: BTreeMap<Name, Master>,
    pub kept: BTreeMap<Name, Kept>,
    /// Masters that shall take over from those in `masters`.
    pub heirs: BTreeMap<Name, others::Heir>,
    /// Masters that finish what they have: another one has taken over, or they were given up.
    pub retired: BTreeMap<Pid, (Name, Master)>,
    pub store: Store,
    /// Apps that start because a connection waits.
    pub called: BTreeSet<Name>,
    /// Which file this process runs on.
    pub build: Option<String>,
}

impl Effects {
    pub fn new(runtime: Runtime, options: &Options, nofile_soft: u64) -> Self {
        let added = |key: &OsString| options.env.iter().any(|(name, _)| key == name.as_str());
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(key, _)| !systemd::is_private(&key.to_string_lossy()) && !added(key))
            .map(|(key, value)| (for_vassals(key), value))
            .collect();
        for (index, (key, value)) in options.env.iter().enumerate() {
            // A later one of the same name wins.
            if !options.env[index + 1..].iter().any(|(name, _)| name == key) {
                env.push((key.into(), value.into()));
            }
        }
        Self {
            runtime,
            executable: options.executable.clone(),
            env,
            nofile_soft,
            empire: options.empire.clone(),
            masters: BTreeMap::new(),
            kept: BTreeMap::new(),
            heirs: BTreeMap::new(),
            retired: BTreeMap::new(),
            store: Store::default(),
            called: BTreeSet::new(),
            build: image::own().ok(),
        }
    }

    /// Starts a master for this app on the sockets that are kept for it.
    ///
    /// # Errors
    /// One line that says what failed.
    pub fn spawn(
        &mut self,
        name: &str,
        app: &App,
        seen: Option<Seen>,
        now: Instant,
    ) -> Result<Pid, String> {
        let kept = self.kept.entry(name.to_owned()).or_default();
        kept.status = None;
        kept.stopped = None;
        let master = self.launch(name, app, seen, false, now)?;
        let pid = master.pid;
        self.masters.insert(name.to_owned(), master);
        Ok(pid)
    }

    /// `heir`: beside a master that serves.
    fn launch(
        &mut self,
        name: &str,
        app: &App,
        seen: Option<Seen>,
        heir: bool,
        now: Instant,
    ) -> Result<Master, String> {
        let mut record = AppRecord::new(name, &app.config);
        if let Some(old) = self.runtime.record(name) {
            record = AppRecord {
                config: record.config,
                halted: false,
                stopped: None,
                dozing: false,
                ..old
            };
        }
        record.seen = seen;
        let runtime = self
            .runtime
            .remember(&record)
            .map_err(|error| format!("cannot make its runtime directory: {error}"))?;
        let owner = tyrant::owner(&app.config.file, &self.empire)?;
        let kept = self.kept.entry(name.to_owned()).or_default();
        if kept
            .owner
            .as_ref()
            .is_some_and(|old| Some(old) != owner.as_ref())
        {
            // What one user bound and logged is not for another.
            *kept = Kept::default();
        }
        kept.owner.clone_from(&owner);
        let kept = &self.kept[name];
        // Two masters would tear each other's lines.
        let logs = kept.logs.as_ref().filter(|_| !heir);
        let start = Start {
            version: VERSION,
            name: name.to_owned(),
            config: app.config.clone(),
            resolve: vassal_args(&self.empire.vassals, &app.config, &app.cwd),
            cwd: app.cwd.clone(),
            runtime,
            nofile_soft: self.nofile_soft,
            listeners: kept
                .listeners
                .iter()
                .map(|(held, _)| held.clone())
                .collect(),
            logs: logs.is_some(),
            last_generation: kept.last_generation,
            owner,
            heir,
            called: self.called.remove(name),
            history: true,
        };
        let mut fds: Vec<BorrowedFd<'_>> = kept
            .listeners
            .iter()
            .map(|(_, socket)| socket.as_fd())
            .collect();
        if let Some((log, requests)) = logs {
            fds.extend([log.as_fd(), requests.as_fd()]);
        }
        let (pid, channel) = self.start(name, &start, &fds)?;
        Ok(Master::new(pid, channel, None, now))
    }

    fn start(
        &self,
        name: &str,
        start: &Start,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Pid, Channel), String> {
        let (here, there) =
            Channel::pair().map_err(|error| format!("cannot make a channel: {error}"))?;
        here.set_nonblocking(true)
            .and_then(|()| here.send(&ToMaster::Start(Box::new(start.clone())), fds))
            .map_err(|error| format!("cannot send its start message: {error}"))?;
        let program = self.program();
        let mut plan = match &self.empire.start_hook {
            Some(hook) => hooks::before(hook, &start.config, name, &program, &start.cwd),
            None => {
                let mut plan = Plan::new(program);
                plan.argv0 = Some("imperator".into());
                plan.args = vec!["master".into(), name.into()];
                plan
            }
        };
        plan.env.extend_from_slice(&self.env);
        plan.fds = vec![(there.as_fd(), fd::CHANNEL)];
        let pid = spawn::spawn(&plan).map_err(|error| error.to_string())?;
        Ok((pid, here))
    }

    /// Takes over a master of an earlier emperor.
    pub fn adopt(
        &mut self,
        name: &str,
        pid: Pid,
        channel: Channel,
        pidfd: Option<OwnedFd>,
        now: Instant,
    ) {
        let mut master = Master::new(pid, channel, pidfd, now);
        say(name, &mut master, ADOPT);
        self.masters.insert(name.to_owned(), master);
    }

    pub fn order(&mut self, name: &str, order: Order) {
        let Some(master) = self.masters.get_mut(name) else {
            return;
        };
        match order {
            Order::Reload => info!("[emperor] reload the uwsgi instance {name}"),
            Order::Stop | Order::Retire => info!("[emperor] stop the uwsgi instance {name}"),
            Order::StopNow => warn!(
                "[emperor] curse the uwsgi instance {name} (pid: {})",
                master.pid
            ),
            Order::Changed => info!("[emperor] the config of {name} may have changed"),
            Order::Retry | Order::Pause => (),
        }
        say(name, master, order.message());
    }

    pub fn kill(&mut self, name: &str, pid: Pid) {
        let own = self.masters.get(name).filter(|master| master.pid == pid);
        let other = self.retired.get(&pid).map(|(_, master)| master);
        let Some(master) = own.or(other) else {
            return;
        };
        warn!("[emperor] master of {name} (pid {pid}) does not end: SIGKILL");
        let result = match &master.pidfd {
            Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL)
                .map_err(io::Error::from),
            // Our child and not reaped yet, so the pid is still its own.
            None => signals::send_group(pid, rustix::process::Signal::KILL.as_raw()),
        };
        if let Err(error) = result {
            error!("[emperor] cannot kill {pid}: {error}");
        }
    }

    pub fn forget(&mut self, name: &str) {
        self.release(name);
        self.masters.remove(name);
        self.kept.remove(name);
        let record = runtime::record_in(&self.runtime.app_directory(name));
        self.runtime.forget(name);
        if let Some(hook) = &self.empire.stop_hook
            && let Some(record) = record
            && let Err(error) = hooks::after(hook, &record.config, &self.env)
        {
            error!("[emperor] vassals-stop-hook for {name}: {error}");
        }
        info!("[emperor] removed uwsgi instance {name}");
    }

    /// What a master said next; `None`: nothing more now.
    pub fn receive(&mut self, name: &str) -> Option<FromMaster> {
        let master = self.masters.get_mut(name)?;
        let kept = self.kept.entry(name.to_owned()).or_default();
        let message = master.receive(name, kept)?;
        if let FromMaster::Holding { .. } = &message {
            self.store_sockets(name);
        }
        Some(message)
    }

    /// Asks masters for a fresh report; tells which were asked.
    pub fn ask(&mut self, wanted: impl Fn(&str) -> bool) -> BTreeSet<Name> {
        let mut asked = BTreeSet::new();
        for (name, master) in self.masters.iter_mut().filter(|(name, _)| wanted(name)) {
            // One that has not read its earlier orders is not asked on top.
            if !master.hung_up && master.unsent.is_empty() && master.spoke {
                say(name, master, ToMaster::Report { stacks: false });
                asked.insert(name.clone());
            }
        }
        asked
    }

    /// Has busy workers of this app write what they do. `false`: its master takes no messages now.
    pub fn ask_for_stacks(&mut self, name: &str) -> bool {
        let master = self.masters.get_mut(name);
        let hears = |it: &&mut Master| !it.hung_up && it.unsent.is_empty() && it.spoke;
        let Some(master) = master.filter(hears) else {
            return false;
        };
        say(name, master, ToMaster::Report { stacks: true });
        true
    }

    /// A channel on which a client may ask this app's master itself, and give no order.
    ///
    /// # Errors
    /// There is no master, or it takes no messages now.
    pub fn let_in(&mut self, name: &str) -> io::Result<OwnedFd> {
        let master = self.masters.get(name).filter(|it| !it.hung_up);
        let master = master.ok_or(io::ErrorKind::NotFound)?;
        if !master.unsent.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (here, there) = Channel::pair()?;
        master.channel.send(&ToMaster::Guest, &[there.as_fd()])?;
        Ok(here.into())
    }

    pub fn is_adopted(&self, name: &str) -> bool {
        let master = self.masters.get(name);
        master.is_some_and(|master| master.pidfd.is_some())
    }
}

impl Order {
    fn message(self) -> ToMaster {
        match self {
            Self::Reload => ToMaster::Reload {
                at: imperator_process::time::monotonic_micros(),
            },
            Self::Changed => ToMaster::Changed,
            Self::Retry => ToMaster::Retry,
            Self::Pause => ToMaster::Pause,
            Self::Stop => ToMaster::Stop,
            Self::Retire => ToMaster::Retire,
            Self::StopNow => ToMaster::StopNow,
        }
    }
}

impl Master {
    fn new(pid: Pid, channel: Channel, pidfd: Option<OwnedFd>, now: Instant) -> Self {
        Self {
            pid,
            channel,
            pidfd,
            started: now,
            spoke: false,
            goodbye: None,
            hung_up: false,
            unsent: VecDeque::new(),
        }
    }

    /// What it said next, noted in `kept`; `None`: nothing more now.
    fn receive(&mut self, name: &str, kept: &mut Kept) -> Option<FromMaster> {
        while !self.hung_up {
            match self.channel.receive::<FromMaster>() {
                Ok(Received::Message(message, fds)) => {
                    self.spoke = true;
                    match &message {
                        FromMaster::Holding { listeners } => keep(kept, name, listeners, fds),
                        FromMaster::Report(status) => kept.note(status),
                        FromMaster::Goodbye { why } => self.goodbye = Some(why.clone()),
                        FromMaster::Hello { .. }
                        | FromMaster::Ceded
                        | FromMaster::WantsReload
                        | FromMaster::Happened { .. }
                        | FromMaster::Logs { .. } => (),
                    }
                    return Some(message);
                }
                Ok(Received::Empty) => return None,
                Ok(Received::Closed) => self.hung_up = true,
                // The next one may be understood.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    warn!("[emperor] {name}: a message of its master is not understood: {error}");
                }
                Err(error) => {
                    warn!("[emperor] {name}: cannot read from its master: {error}");
                    self.hung_up = true;
                }
            }
        }
        None
    }

    /// It was adopted, and has not answered in time.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.pidfd.is_some() && !self.spoke && now >= self.started + SILENCE
    }

    pub fn wants_write(&self) -> bool {
        !self.unsent.is_empty() && !self.hung_up
    }
}

impl Kept {
    fn note(&mut self, status: &AppStatus) {
        let generation = status.generation.into_iter().chain(status.next).max();
        self.last_generation = self.last_generation.max(generation.unwrap_or(0));
        self.status = Some(status.clone());
    }
}

fn keep(kept: &mut Kept, name: &str, listeners: &[Held], mut fds: Vec<OwnedFd>) {
    if fds.len() < listeners.len() || fds.len() > MAX_FDS {
        warn!("[emperor] {name}: its master sent fewer sockets than it named");
        return;
    }
    let rest = fds.split_off(listeners.len());
    kept.listeners = listeners.iter().cloned().zip(fds).collect();
    kept.files = keeping::files(&kept.listeners);
    let mut rest = rest.into_iter();
    if let (Some(log), Some(requests)) = (rest.next(), rest.next()) {
        kept.logs = Some((log, requests));
    }
}

fn say(name: &str, master: &mut Master, message: ToMaster) {
    if master.hung_up {
        return;
    }
    if master.unsent.len() >= MAX_UNSENT {
        warn!("[emperor] {name}: its master reads no orders; one is dropped");
        return;
    }
    master.unsent.push_back(message);
    flush(name, master);
}

fn flush(name: &str, master: &mut Master) {
    while let Some(message) = master.unsent.front() {
        match master.channel.send(message, &[]) {
            Ok(()) => {
                master.unsent.pop_front();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                // EPIPE: it is gone, and reading tells so.
                if error.kind() != io::ErrorKind::BrokenPipe {
                    warn!("[emperor] {name}: cannot send to its master: {error}");
                }
                master.unsent.clear();
            }
        }
    }
}

/// uWSGI: core/emperor.c, uwsgi_emperor_spawn_vassal: a variable for the vassals alone.
fn for_vassals(key: OsString) -> OsString {
    match key
        .to_str()
        .and_then(|key| key.strip_prefix("UWSGI_VASSAL_"))
    {
        Some(rest) => format!("UWSGI_{rest}").into(),
        None => key,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_master_is_silent_only_when_its_time_to_answer_is_over() {
        let start = Instant::now();
        let (channel, _its_end) = Channel::pair().unwrap();
        let pidfd = Some(rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap());
        let mut master = Master::new(1, channel, pidfd, start);
        assert!(!master.is_silent(start));
        assert!(master.is_silent(start + SILENCE));
        master.spoke = true;
        assert!(!master.is_silent(start + SILENCE));
    }
}
