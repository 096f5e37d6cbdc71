//! The two ways in which a master starts: by an emperor over descriptor 3, or alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use imperator_core::message::{Config, Owner, Start, ToMaster, VERSION, fd};
use imperator_core::signals::{self, Who};
use imperator_process::channel::{Channel, Received};
use imperator_process::poll::{self, Interest};
use imperator_process::signals::SignalSet;
use imperator_process::spawn::{self, Group, Plan};
use imperator_process::{fds, limits, privileges, reap};

use crate::app::App;
use crate::chronicle::{Chronicle, start_order};
use crate::clock;
use crate::control::Control;
use crate::effects::{Effects, Origin, own_env};
use crate::extension;
use crate::log::Log;
use crate::resolve::{Request, Resolving};
use crate::run::Master;
use crate::sockets::Sockets;
use crate::stats::Stats;
use crate::touched::Touched;

/// The emperor writes `Start` before it starts us; more time only says that nobody is there.
const START_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
/// Set in a daemon, so that it does not become one again.
const DAEMON: &str = "IMPERATOR_DAEMON";

/// The master of one app under an emperor: fd 3 is the channel, and says `Start` first.
pub fn run_under_emperor() -> i32 {
    report(under_emperor())
}

/// The master of one app in the foreground; `resolve` are the arguments that name its config.
pub fn run_alone(resolve: Vec<String>) -> i32 {
    report(alone(resolve))
}

fn report(result: Result<i32, String>) -> i32 {
    result.unwrap_or_else(|text| {
        // Nobody is left to hear of a stderr that is closed.
        let _ = writeln!(io::stderr(), "imperator: {text}");
        1
    })
}

fn under_emperor() -> Result<i32, String> {
    let channel = fds::take_inherited(fd::CHANNEL)
        .map_err(|error| format!("a master is started by the emperor, not by hand: {error}"))?;
    let channel = Channel::from(channel);
    let (start, fds) = receive_start(&channel)?;
    let mut control = Control::default();
    if start.heir {
        control.listen_later(start.runtime);
    } else {
        control
            .listen(&start.runtime)
            .map_err(|error| format!("cannot listen in {}: {error}", start.runtime.display()))?;
    }
    control
        .add_emperor(channel, start.history)
        .map_err(|error| format!("cannot use the emperor's channel: {error}"))?;
    control.introduce(&start.name, &start.config);
    let origin = Origin {
        name: start.name,
        config: start.config,
        resolve: start.resolve,
        cwd: start.cwd,
        nofile_soft: start.nofile_soft,
        is_alone: false,
    };
    let mut fds = fds.into_iter();
    let mut sockets = Sockets::default();
    for (held, fd) in start.listeners.into_iter().zip(&mut fds) {
        sockets
            .adopt(held.address.clone(), fd)
            .map_err(|error| format!("cannot take over {}: {error}", held.address))?;
    }
    let logs = match (start.logs, fds.next(), fds.next()) {
        (true, Some(app), Some(requests)) => Some((app, requests)),
        (_, _, _) => None,
    };
    let last_generation = start.last_generation;
    let mut master = master(origin, sockets, logs, control, last_generation, start.owner)?;
    master.effects.succession.is_heir = start.heir;
    if start.called {
        master.app.call();
    }
    Ok(master.run())
}

fn receive_start(channel: &Channel) -> Result<(Start, Vec<OwnedFd>), String> {
    let is_there = poll::wait_one(channel, Interest::Read, START_LIMIT);
    if !is_there.map_err(|error| error.to_string())? {
        return Err("the emperor said nothing".to_owned());
    }
    match channel.receive::<ToMaster>() {
        Ok(Received::Message(ToMaster::Start(start), fds)) if start.version == VERSION => {
            Ok((*start, fds))
        }
        Ok(Received::Message(ToMaster::Start(start), _)) => Err(format!(
            "the emperor speaks version {} of our messages, not {VERSION}",
            start.version
        )),
        Ok(Received::Message(_, _)) => Err("the emperor did not say what to start".to_owned()),
        Ok(Received::Closed | Received::Empty) => Err("the emperor is gone".to_owned()),
        Err(error) => Err(format!("cannot understand the emperor: {error}")),
    }
}

fn alone(resolve: Vec<String>) -> Result<i32, String> {
    let cwd = std::env::current_dir()
        .map_err(|error| format!("cannot tell the working directory: {error}"))?;
    let file = PathBuf::from(config_file(&resolve));
    let (file, section) = match file.to_str().and_then(|text| text.rsplit_once(':')) {
        Some((path, section)) if !section.contains('/') => {
            (PathBuf::from(path), Some(section.to_owned()))
        }
        Some(_) | None => (file, None),
    };
    let stem = file.file_stem().map(|it| it.to_string_lossy().into_owned());
    let mut name = stem.unwrap_or_else(|| "app".to_owned());
    if let Some(section) = &section {
        name = format!("{name}:{section}");
    }
    let nofile_soft = limits::raise_nofile()
        .map_err(|error| format!("cannot raise the limit of open files: {error}"))?;
    let origin = Origin {
        name,
        config: Config { file, section },
        resolve,
        cwd,
        nofile_soft,
        is_alone: true,
    };
    if std::env::var_os(DAEMON).is_none()
        && let Some(log) = wants_daemon(&origin)
    {
        return daemonize(&origin.cwd.join(log));
    }
    let mut master = master(
        origin,
        Sockets::default(),
        None,
        Control::default(),
        0,
        None,
    )?;
    Ok(master.run())
}

/// The first argument that names a file.
fn config_file(resolve: &[String]) -> &str {
    let options = [
        "--ini",
        "--ini-file",
        "--json",
        "--js",
        "--yaml",
        "--yml",
        "--xml",
        "--xmlconfig",
    ];
    let mut arguments = resolve.iter();
    let mut first = "";
    while let Some(argument) = arguments.next() {
        if argument == "--" || options.contains(&argument.as_str()) {
            return arguments.next().map_or("", String::as_str);
        }
        let value = options
            .iter()
            .find_map(|it| argument.strip_prefix(it)?.strip_prefix('='));
        if let Some(value) = value {
            return value;
        }
        if first.is_empty() && !argument.starts_with('-') {
            first = argument;
        }
    }
    first
}

fn master(
    origin: Origin,
    sockets: Sockets,
    logs: Option<(OwnedFd, OwnedFd)>,
    control: Control,
    last_generation: u32,
    owner: Option<Owner>,
) -> Result<Master, String> {
    // Before the rights go: who owns the vassal needs none on our files.
    let extension = extension::open().ok();
    if let Some(Owner { uid, gid, groups }) = owner {
        privileges::become_user(uid, gid, &groups)
            .map_err(|error| format!("emperor-tyrant, uid {uid}, gid {gid}: {error}"))?;
    }
    let signals = SignalSet::listen(&signals::handled(Who::Master))
        .map_err(|error| format!("cannot listen for signals: {error}"))?;
    reap::become_subreaper().map_err(|error| format!("cannot become a subreaper: {error}"))?;
    let log = Log::new(&origin.name, origin.is_alone, logs)
        .map_err(|error| format!("cannot make the log pipes: {error}"))?;
    let locks = imperator_process::shared::create("imperator-locks", 1)
        .map_err(|error| format!("cannot make the locks of the app: {error}"))?;
    let effects = Effects {
        locks,
        origin,
        extension,
        generations: BTreeMap::new(),
        serving: None,
        configured: None,
        resolving: None,
        sockets,
        log,
        stats: Stats::default(),
        children: BTreeMap::new(),
        failure: None,
        failing: None,
        fallback: None,
        falling: None,
        helpers: BTreeSet::new(),
        files: Vec::new(),
        sources: crate::sources::Sources::default(),
        touched: Touched::default(),
        modules: Default::default(),
        notes: Vec::new(),
        sockets_changed: false,
        respawns: BTreeMap::new(),
        gone_requests: 0,
        harakiris: BTreeMap::new(),
        look_now: false,
        own_umask: None,
        numbers: Default::default(),
        troubles: Default::default(),
        chronicle: Chronicle::new(clock::epoch_micros(), start_order()),
        title: None,
        kernel: crate::backlog::Diagnosis::default(),
        queues: crate::effects::Queues::default(),
        pidfile: None,
        beside: Default::default(),
        stop_reason: None,
        ended: false,
        succession: Default::default(),
    };
    Ok(Master::new(
        App::new(last_generation),
        effects,
        control,
        signals,
    ))
}

/// Where the config wants a daemon to log. What is wrong with the config is said later.
fn wants_daemon(origin: &Origin) -> Option<PathBuf> {
    let stderr = io::stderr();
    let request = Request {
        args: &origin.resolve,
        cwd: &origin.cwd,
        env: own_env(true),
        log: stderr.as_fd(),
        nofile: origin.nofile_soft,
    };
    let mut resolving = Resolving::start(request, (0, false), clock::now()).ok()?;
    let resolved = loop {
        if let Some(result) = resolving.read() {
            break result.ok();
        }
        let left = resolving.deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            resolving.kill();
            break None;
        }
        // An error shows again at the next read.
        let _ = poll::wait_one(&resolving, Interest::Read, left);
    };
    let target = resolved?.settings?.logs.daemonize?;
    target.path().map(Path::to_owned)
}

/// Starts this very command again in a session of its own, with its output in the log file.
fn daemonize(log: &Path) -> Result<i32, String> {
    let cannot = |error: &dyn std::fmt::Display| {
        format!(
            "cannot become a daemon that logs to {}: {error}",
            log.display()
        )
    };
    let out = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .map_err(|error| cannot(&error))?;
    let null = std::fs::File::open("/dev/null").map_err(|error| cannot(&error))?;
    let mut plan = Plan::new("/proc/self/exe");
    let mut args = std::env::args_os();
    plan.argv0 = args.next();
    plan.args = args.collect();
    plan.env = std::env::vars_os().collect();
    plan.env.push((DAEMON.into(), "1".into()));
    plan.fds = vec![(null.as_fd(), 0), (out.as_fd(), 1), (out.as_fd(), 2)];
    plan.group = Group::Session;
    spawn::spawn(&plan).map_err(|error| cannot(&error))?;
    Ok(0)
}
