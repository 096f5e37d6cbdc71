//! What a config asks of this machine and the machine does not have: directories, virtualenvs, users,
//! free sockets. Looks only; starts, binds and writes nothing. All of it are warnings: the config may
//! be meant for another machine, and `--import` tells what would fail here.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use imperator_core::address::Address;
use imperator_core::finding::{Finding, Place};
use imperator_core::message::{Failure, Owner};
use imperator_core::settings::{Settings, Target};
use imperator_process::privileges::{self, Identity, IdentityError};
use nix::unistd::{Uid, User};
use rustix::fs::{Access, AtFlags};

use super::gather::Subject;
use super::taken::Listening;

/// `uid` and `gid` of a config.
type Asked = (Option<String>, Option<String>);

/// Looks at the machine for all apps.
pub(crate) struct Machine {
    listening: Listening,
    somaxconn: u32,
    identities: BTreeMap<Asked, Result<Option<Identity>, IdentityError>>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        Self {
            listening: Listening::look(),
            somaxconn: somaxconn
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(u32::MAX),
            identities: BTreeMap::new(),
        }
    }

    /// What this app would miss here.
    pub(crate) fn findings(&mut self, subject: &Subject) -> Vec<Finding> {
        let Some(settings) = &subject.resolved.settings else {
            return Vec::new();
        };
        if subject.is_emperor() {
            return Vec::new();
        }
        let mut look = Look {
            settings,
            cwd: &subject.cwd,
            identity: None,
            findings: Vec::new(),
        };
        let owner = subject.owner.as_ref().map(identity_of);
        let asked = (settings.uid.clone(), settings.gid.clone());
        let identity = self
            .identities
            .entry(asked)
            .or_insert_with_key(|(uid, gid)| privileges::identity(uid.as_deref(), gid.as_deref()));
        look.identity(identity);
        if let Some(owner) = &owner {
            look.under_tyrant(owner);
        }
        look.interpreter();
        look.code();
        look.files();
        look.sockets(&mut self.listening, self.somaxconn);
        look.findings
    }
}

/// Who owns a vassal's file, as an identity.
pub(crate) fn identity_of(owner: &Owner) -> Identity {
    let name = User::from_uid(Uid::from_raw(owner.uid)).ok().flatten();
    Identity {
        uid: owner.uid,
        gid: owner.gid,
        groups: owner.groups.clone(),
        name: name.map(|user| user.name),
        home: None,
    }
}

/// Apps that want one socket: of one emperor only the first can have it.
pub(crate) fn shared_sockets(subjects: &[Subject]) -> Vec<Finding> {
    let mut first: BTreeMap<Address, (&Subject, &Place)> = BTreeMap::new();
    let mut findings = Vec::new();
    for subject in subjects {
        let settings = subject.resolved.settings.iter();
        for listen in settings.flat_map(|settings| &settings.listens) {
            let address = absolute(&listen.address, &subject.cwd);
            let (other, place) = *first
                .entry(address.clone())
                .or_insert((subject, &listen.place));
            let is_same = std::ptr::eq(other, subject) || other.config == subject.config;
            let any_port = matches!(&address, Address::Tcp(tcp) if tcp.port() == 0);
            if is_same || any_port {
                continue;
            }
            let at = (listen.place.line > 0).then(|| listen.place.clone());
            let text = format!(
                "socket {address} belongs to app \"{}\" already ({place})",
                other.name
            );
            // Files named one by one need not run together.
            let finding = if other.source == subject.source {
                Finding::error(at, text)
            } else {
                Finding::warning(at, text)
            };
            let hint = "give each app a socket of its own";
            findings.push(
                finding
                    .with_hint(hint)
                    .with_mark(listen.address.to_string()),
            );
        }
    }
    findings
}

fn absolute(address: &Address, cwd: &Path) -> Address {
    match address {
        Address::Unix(path) => Address::Unix(cwd.join(path)),
        Address::Abstract(_) | Address::Tcp(_) => address.clone(),
    }
}

/// A failure that begins with the place of a config line, as a finding.
pub(crate) fn of_failure(failure: &Failure, settings: &Settings, is_error: bool) -> Finding {
    let mounts = settings.mounts.iter().map(|mount| &mount.place);
    let places = settings.places.values().chain(mounts);
    let found = places
        .filter_map(|place| {
            let rest = failure.summary.strip_prefix(&format!("{place}: "))?;
            Some((place, rest))
        })
        .next();
    let (place, text) = match found {
        Some((place, text)) => (Some(place.clone()), text),
        None => (None, failure.summary.as_str()),
    };
    let mut finding = if is_error {
        Finding::error(place, text)
    } else {
        Finding::warning(place, text)
    };
    finding.hint.clone_from(&failure.hint);
    finding
}

struct Look<'a> {
    settings: &'a Settings,
    cwd: &'a Path,
    identity: Option<&'a Identity>,
    findings: Vec<Finding>,
}

impl<'a> Look<'a> {
    fn warn(&mut self, place: Option<&Place>, mark: &str, text: String, hint: impl Into<String>) {
        let place = place.filter(|place| place.line > 0).cloned();
        let finding = Finding::warning(place, text).with_hint(hint);
        self.findings.push(finding.with_mark(mark));
    }

    fn place(&self, option: &str) -> Option<&'a Place> {
        self.settings.places.get(option)
    }

    /// Where the app's relative paths start.
    fn home(&self) -> PathBuf {
        let limits = &self.settings.limits;
        let parts = [limits.force_cwd.as_ref(), self.settings.chdir.as_ref()];
        let parts = parts.into_iter().flatten();
        parts.fold(self.cwd.to_owned(), |home, part| home.join(part))
    }

    fn identity(&mut self, identity: &'a Result<Option<Identity>, IdentityError>) {
        match identity {
            Ok(identity) => self.identity = identity.as_ref(),
            Err(error @ (IdentityError::NoUser(_) | IdentityError::NoGroup(_))) => {
                self.unknown(error, "uid", "gid");
            }
            // The service may be root where this command is not.
            Err(IdentityError::NotRoot { .. } | IdentityError::Lookup { .. }) => (),
        }
        if let Some(text) = &self.settings.chown_socket
            && let Err(error) = privileges::owner(text)
        {
            self.unknown(&error, "chown-socket", "chown-socket");
        }
    }

    /// A tyrant's vassal has its owner's rights, and cannot become anybody else.
    fn under_tyrant(&mut self, owner: &'a Identity) {
        let asks = |asked: Option<&Identity>| asked.is_some_and(|it| it.uid != owner.uid);
        if asks(self.identity) {
            let who = owner.name.clone().unwrap_or_else(|| owner.uid.to_string());
            let text =
                format!("under emperor-tyrant this app is run by \"{who}\", who owns its file");
            let hint = "remove the line, or chown the file";
            self.warn(self.place("uid"), "", text, hint);
        }
        self.identity = Some(owner);
    }

    fn unknown(&mut self, error: &IdentityError, of_user: &str, of_group: &str) {
        let (option, name, how) = match error {
            IdentityError::NoUser(name) => (of_user, name, "the user (adduser --system"),
            IdentityError::NoGroup(name) => (of_group, name, "the group (addgroup --system"),
            IdentityError::NotRoot { .. } | IdentityError::Lookup { .. } => return,
        };
        let hint = format!("make {how} {name}), or name another one");
        self.warn(self.place(option), name, error.to_string(), hint);
    }

    fn interpreter(&mut self) {
        if self.settings.mounts.is_empty() {
            return;
        }
        let python = match imperator_master::interpreter(self.settings, self.cwd) {
            Ok(python) => python,
            Err(failure) => {
                self.findings
                    .push(of_failure(&failure, self.settings, false));
                return;
            }
        };
        let option = ["python", "virtualenv"]
            .into_iter()
            .find(|option| self.place(option).is_some());
        if let Some((major, minor)) = version_of(&python)
            && (major, minor) < (3, 9)
        {
            let text = format!("{} is Python {major}.{minor}", python.display());
            let hint = "Imperator needs CPython 3.9 or later: make the virtualenv anew with one";
            self.warn(option.and_then(|it| self.place(it)), "", text, hint);
            return;
        }
        self.may(&python, Access::EXEC_OK, option.unwrap_or("uid"));
    }

    fn code(&mut self) {
        let home = self.home();
        if let Some(chdir) = &self.settings.chdir {
            let mark = chdir.to_string_lossy();
            if !home.is_dir() {
                let hint = self.elsewhere(chdir, "make it, or name another one");
                let text = missing("directory", &home);
                self.warn(self.place("chdir"), &mark, text, hint);
                return;
            }
        }
        self.may(&home, Access::EXEC_OK, "chdir");
        for mount in &self.settings.mounts {
            let Target::File(path) = &mount.target else {
                continue;
            };
            let file = home.join(path);
            if !file.is_file() {
                let hint = self.elsewhere(path, "name the file that holds the app");
                let text = missing("file", &file);
                self.warn(Some(&mount.place), &path.to_string_lossy(), text, hint);
            }
        }
        for path in &self.settings.pythonpath {
            let text = path.to_string_lossy();
            if !text.contains(['*', '?', '[']) && !home.join(path).exists() {
                let said = missing("directory", &home.join(path));
                let hint = "name the directory that holds the app's modules";
                self.warn(self.place("pythonpath"), &text, said, hint);
            }
        }
    }

    /// A relative path that is right from the file's own directory: an emperor runs the apps of a
    /// directory in that directory.
    fn elsewhere(&self, path: &Path, hint: &str) -> String {
        let own = self.settings.places.values().next();
        let beside = own.and_then(|place| place.file.parent());
        match beside {
            Some(directory) if path.is_relative() && directory.join(path).exists() => format!(
                "it is in {0}; under `imperator {0}` the app runs there",
                directory.display()
            ),
            _ => hint.to_owned(),
        }
    }

    fn files(&mut self) {
        let home = self.home();
        for (_, directory) in &self.settings.static_files.maps {
            if !home.join(directory).exists() {
                let text = missing("directory", &home.join(directory));
                let mark = directory.to_string_lossy();
                let hint = "requests for its files go on to the app";
                self.warn(self.place("static-map"), &mark, text, hint);
            }
        }
        let settings = self.settings;
        let logs = &settings.logs;
        let loggers = logs.loggers.iter().map(|it| (&it.target, "logger"));
        let requests = logs.req_loggers.iter().map(|it| (&it.target, "req-logger"));
        let targets = loggers
            .chain(requests)
            .chain(logs.logto.iter().map(|it| (it, "logto")))
            .chain(logs.logto2.iter().map(|it| (it, "logto2")))
            .chain(logs.daemonize.iter().map(|it| (it, "daemonize")));
        let mut files: Vec<(&Path, &str)> = targets
            .filter_map(|(target, option)| Some((target.path()?, option)))
            .collect();
        files.extend(settings.pidfile.iter().map(|it| (it.as_path(), "pidfile")));
        for (path, option) in files {
            let directory = self.cwd.join(path);
            let directory = directory.parent().unwrap_or(Path::new("/"));
            if !directory.is_dir() {
                let text = missing("directory", directory);
                let hint = "make it; the file itself is made when it is needed";
                self.warn(self.place(option), &path.to_string_lossy(), text, hint);
            }
        }
    }

    fn sockets(&mut self, listening: &mut Listening, somaxconn: u32) {
        for listen in &self.settings.listens {
            let mark = listen.address.to_string();
            for file in listen
                .tls
                .iter()
                .flat_map(|tls| [&tls.certificate, &tls.key])
            {
                if !self.cwd.join(file).is_file() {
                    let text = missing("file", &self.cwd.join(file));
                    let hint = "https = address,certificate.pem,key.pem";
                    self.warn(Some(&listen.place), &file.to_string_lossy(), text, hint);
                }
            }
            let address = absolute(&listen.address, self.cwd);
            if let Address::Unix(path) = &address {
                let directory = path.parent().unwrap_or(Path::new("/"));
                let what = path.symlink_metadata().map(|it| it.file_type());
                if !directory.is_dir() {
                    let text = missing("directory", directory);
                    let hint = if directory.starts_with("/run") {
                        "make it at each boot: RuntimeDirectory= in the unit, or tmpfiles.d"
                    } else {
                        "make it, or put the socket elsewhere"
                    };
                    self.warn(Some(&listen.place), &mark, text, hint);
                } else if what.is_ok_and(|it| !it.is_socket() && !it.is_symlink()) {
                    let text = format!("{} is there and is no socket", path.display());
                    let hint = "remove it, or name another path";
                    self.warn(Some(&listen.place), &mark, text, hint);
                } else if !is_allowed(directory, Access::WRITE_OK) {
                    let text = format!("this user cannot make a socket in {}", directory.display());
                    let hint = "start as root, or give the directory to the user of the service";
                    self.warn(Some(&listen.place), &mark, text, hint);
                }
            }
            if let Some(owner) = listening.owner(&address) {
                let who = match owner.pid {
                    0 => owner.name,
                    pid => format!("{} (pid {pid})", owner.name),
                };
                let text = format!("{who} listens on {address} now");
                let hint = "stop it before this app is started";
                self.warn(Some(&listen.place), &mark, text, hint);
            }
        }
        if self.place("listen").is_some() && self.settings.backlog > somaxconn {
            let text = format!(
                "\"listen\" is cut to {somaxconn}, which is this machine's net.core.somaxconn"
            );
            let hint = format!("sysctl -w net.core.somaxconn={}", self.settings.backlog);
            let mark = self.settings.backlog.to_string();
            self.warn(self.place("listen"), &mark, text, hint);
        }
    }

    /// Whether the app's own user may use this path, as far as mode bits tell.
    fn may(&mut self, path: &Path, access: Access, option: &str) {
        let Some(identity) = self.identity else {
            return;
        };
        let Some((barrier, mode)) = barrier(path, identity, access) else {
            return;
        };
        let user = match &identity.name {
            Some(name) => format!("\"{name}\""),
            None => identity.uid.to_string(),
        };
        let text = format!(
            "user {user} cannot use {}: {} has mode {mode:03o}",
            path.display(),
            barrier.display()
        );
        let place = self.place(option).or_else(|| self.place("uid"));
        let hint = format!(
            "put it where this user may go, or open {} to the user's group",
            barrier.display()
        );
        self.warn(place, "", text, hint);
    }
}

fn missing(what: &str, path: &Path) -> String {
    // Without doubled slashes.
    let path: PathBuf = path.components().collect();
    match path.symlink_metadata() {
        Ok(it) if it.is_symlink() => format!("{} points nowhere", path.display()),
        Ok(_) => format!("{} is no {what}", path.display()),
        Err(_) => format!("{what} {} does not exist", path.display()),
    }
}

/// Of this very process, with its effective user.
fn is_allowed(path: &Path, access: Access) -> bool {
    rustix::fs::accessat(rustix::fs::CWD, path, access, AtFlags::EACCESS).is_ok()
}

/// The first directory, or the file itself, that keeps somebody out.
fn barrier(path: &Path, who: &Identity, access: Access) -> Option<(PathBuf, u32)> {
    if who.uid == 0 {
        return None;
    }
    let path = path.canonicalize().ok()?;
    let mut parts: Vec<&Path> = path.ancestors().collect();
    parts.reverse();
    for part in parts {
        let it = part.metadata().ok()?;
        let mode = it.mode() & 0o777;
        let bits = if it.uid() == who.uid {
            mode >> 6
        } else if who.gid == it.gid() || who.groups.contains(&it.gid()) {
            mode >> 3
        } else {
            mode
        };
        let wanted = if it.is_dir() || access == Access::EXEC_OK {
            0o1
        } else {
            0o4
        };
        // An access list may say more than the bits.
        if bits & wanted == 0 && !has_acl(part) {
            return Some((part.to_owned(), mode));
        }
    }
    None
}

fn has_acl(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    let mut none: [u8; 0] = [];
    rustix::fs::getxattr(&path, c"system.posix_acl_access", &mut none).is_ok_and(|size| size > 0)
}

/// An interpreter's version by what stands beside it: nothing is started.
fn version_of(python: &Path) -> Option<(u32, u32)> {
    let numbers = |text: &str| {
        let mut parts = text.trim().split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    let home = python.parent()?.parent()?;
    if let Ok(text) = std::fs::read_to_string(home.join("pyvenv.cfg")) {
        let value = text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            matches!(key.trim(), "version" | "version_info").then_some(value)
        });
        return numbers(value?);
    }
    let real = python.canonicalize().ok()?;
    numbers(real.file_name()?.to_str()?.strip_prefix("python")?)
}
