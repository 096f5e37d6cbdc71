//! The world that a config may see: the machine, this process and its file system. Everything here may
//! block; the process that uses it has a deadline.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use imperator_core::config::{Kind, World};
use imperator_core::ini::{MAX_FILE, magic::Facts};
use nix::unistd::{Gid, Group, SysconfVar, Uid, User};

/// The machine, this process and its file system.
#[derive(Clone)]
pub(crate) struct RealWorld {
    facts: Facts,
    /// Whether a config may run commands and ask the network; `imperator check` does neither.
    commands: bool,
}

impl RealWorld {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let uid = Uid::effective();
        let gid = Gid::effective();
        #[expect(
            clippy::disallowed_methods,
            reason = "this process is the edge: it reads the clock once, for %t"
        )]
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let cpus = nix::unistd::sysconf(SysconfVar::_NPROCESSORS_ONLN);
        Ok(Self {
            facts: Facts {
                hostname: nix::unistd::gethostname()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                uid: uid.as_raw(),
                gid: gid.as_raw(),
                user: User::from_uid(uid).ok().flatten().map(|user| user.name),
                group: Group::from_gid(gid).ok().flatten().map(|group| group.name),
                cpus: cpus
                    .ok()
                    .flatten()
                    .and_then(|cpus| u32::try_from(cpus).ok())
                    .unwrap_or(1),
                binary: std::env::current_exe().unwrap_or_default(),
                cwd: std::env::current_dir().context("find the working directory")?,
                seconds: now.as_secs(),
                micros: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            },
            commands: true,
        })
    }

    /// The same world for an app that runs in another directory; relative paths start there.
    pub(crate) fn within(&self, cwd: &Path) -> Self {
        let mut world = self.clone();
        world.facts.cwd = cwd.to_owned();
        world
    }

    /// The same world, where commands are not run.
    pub(crate) fn without_commands(self) -> Self {
        Self {
            commands: false,
            ..self
        }
    }
}

/// Why a command gave nothing, where none may be run.
pub(crate) const NO_COMMANDS: &str = "no command is run here";

impl World for RealWorld {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let path = &self.facts.cwd.join(path);
        let plain = |error: std::io::Error| plain_reason(&error);
        let kind = std::fs::metadata(path).map_err(plain)?.file_type();
        if !kind.is_file() && !kind.is_fifo() {
            let what = if kind.is_dir() {
                "it is a directory"
            } else {
                "it is no regular file"
            };
            return Err(what.to_owned());
        }
        let file = std::fs::File::open(path).map_err(plain)?;
        let mut bytes = Vec::new();
        // One byte more than allowed, so that the reader sees that there is too much.
        let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX) + 1;
        file.take(limit).read_to_end(&mut bytes).map_err(plain)?;
        Ok(bytes)
    }

    fn run(&self, command: &str) -> Result<Vec<u8>, String> {
        if !self.commands {
            return Err(NO_COMMANDS.to_owned());
        }
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(&self.facts.cwd)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| plain_reason(&error))?;
        if !output.status.success() {
            return Err(format!("the command ended with {}", output.status));
        }
        Ok(output.stdout)
    }

    fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        if !self.commands {
            return Err(NO_COMMANDS.to_owned());
        }
        get(url, &self.facts.hostname)
    }

    fn is_own(&self, config: &Path) -> bool {
        let own = self.facts.uid;
        let owner = std::fs::metadata(self.facts.cwd.join(config)).map(|metadata| metadata.uid());
        owner.is_ok_and(|owner| owner == own || owner == 0)
    }

    fn kind(&self, path: &Path) -> Kind {
        match std::fs::metadata(self.facts.cwd.join(path)) {
            Err(_) => Kind::Missing,
            Ok(metadata) if metadata.is_file() => Kind::File,
            Ok(metadata) if metadata.is_dir() => Kind::Directory,
            Ok(_) => Kind::Other,
        }
    }

    fn inode(&self, path: &Path) -> u64 {
        std::fs::symlink_metadata(self.facts.cwd.join(path)).map_or(0, |metadata| metadata.ino())
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let joined = self.facts.cwd.join(path);
        let is_link =
            std::fs::symlink_metadata(&joined).is_ok_and(|metadata| metadata.is_symlink());
        if is_link {
            return joined;
        }
        std::fs::canonicalize(&joined).unwrap_or(joined)
    }

    fn glob(&self, pattern: &str, limit: usize) -> Vec<Vec<u8>> {
        let as_glob_3 = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        // Relative patterns start from the config's own directory, and give relative paths.
        let cwd = &self.facts.cwd;
        let escaped = glob::Pattern::escape(&cwd.to_string_lossy());
        let from_cwd = match pattern.starts_with('/') {
            true => pattern.to_owned(),
            false => format!("{escaped}/{pattern}"),
        };
        let Ok(paths) = glob::glob_with(&from_cwd, as_glob_3) else {
            return Vec::new();
        };
        let mut paths: Vec<Vec<u8>> = paths
            .flatten()
            .take(limit)
            .map(|path| {
                let is_directory = path.is_dir();
                let path = match pattern.starts_with('/') {
                    true => path,
                    false => path.strip_prefix(cwd).map_or(path.clone(), Path::to_owned),
                };
                let mut bytes = path.into_os_string().into_vec();
                if is_directory {
                    bytes.push(b'/');
                }
                bytes
            })
            .collect();
        paths.sort();
        paths
    }

    fn names(&self, directory: &Path) -> Result<Vec<String>, String> {
        let plain = |error: std::io::Error| plain_reason(&error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.facts.cwd.join(directory)).map_err(plain)? {
            let entry = entry.map_err(plain)?;
            let is_file = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            if let Ok(name) = entry.file_name().into_string()
                && is_file
                && !name.starts_with('.')
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn look_up(&self, host: &str) -> Result<String, String> {
        let addresses = (host, 0).to_socket_addrs();
        let addresses = addresses.map_err(|error| plain_reason(&error))?;
        let found = addresses
            .map(|address| address.ip())
            .find(std::net::IpAddr::is_ipv4);
        found
            .map(|address| address.to_string())
            .ok_or_else(|| "it has no IPv4 address".to_owned())
    }

    fn interface(&self, prefix: &str) -> Option<String> {
        let all = nix::ifaddrs::getifaddrs().ok()?;
        let addresses = all.filter_map(|it| it.address?.as_sockaddr_in().map(|it| it.ip()));
        let mut texts = addresses.map(|address| address.to_string());
        texts.find(|address| address.starts_with(prefix))
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        // getenv(3) knows no name with these, and std would panic.
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            return None;
        }
        std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
    }

    fn uwsgi_env(&self) -> Vec<(String, Vec<u8>)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_vec())))
            .filter(|(name, _)| name.starts_with("UWSGI_"))
            .collect()
    }
}

/// A plain HTTP GET, as the original makes it: without TLS, without redirects.
fn get(url: &str, agent: &str) -> Result<Vec<u8>, String> {
    let plain = |error: std::io::Error| plain_reason(&error);
    let (host, path) = url.split_once('/').ok_or("the address has no path")?;
    let place = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let address = place.to_socket_addrs().map_err(plain)?.next();
    let address = address.ok_or("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(plain)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(plain)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(plain)?;
    write!(
        stream,
        "GET /{path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: imperator on {agent}\r\n\r\n"
    )
    .map_err(plain)?;
    let mut answer = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX) + 1;
    stream.take(limit).read_to_end(&mut answer).map_err(plain)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or("the answer is no HTTP")?;
    let status = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = status.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if code.len() != 3 || !code.starts_with('2') {
        return Err(format!("the answer is \"{status}\""));
    }
    Ok(answer.split_off(end + 4))
}

/// For each step of an HTTP request; the whole has the resolver's deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// `No such file or directory (os error 2)`, as we write errors.
pub(crate) fn plain_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_config_file_is_refused_in_words_and_large_ones_are_cut() {
        let world = RealWorld::look().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(world.read(path), Err("it is a directory".to_owned()));
        let nothing = world.read(&path.join("nope.ini"));
        assert_eq!(nothing, Err("no such file or directory".to_owned()));
        assert_eq!(
            world.read(Path::new("/dev/null")),
            Err("it is no regular file".to_owned())
        );

        let large = path.join("large.ini");
        let file = std::fs::File::create(&large).unwrap();
        file.set_len(100 << 20).unwrap();
        assert_eq!(
            world.read(&large).map(|bytes| bytes.len()),
            Ok(MAX_FILE + 1)
        );
        let resolved =
            imperator_core::config::resolve(&[format!("--ini={}", large.display())], &world);
        assert!(resolved.settings.is_none());
        assert!(
            resolved.findings[0].text.contains("larger than"),
            "{:?}",
            resolved.findings
        );
    }

    #[test]
    fn commands_give_their_output_and_a_failed_one_says_so() {
        let world = RealWorld::look().unwrap();
        assert_eq!(world.run("echo x"), Ok(b"x\n".to_vec()));
        assert!(world.run("exit 3").unwrap_err().contains("exit status: 3"));
        assert_eq!(world.env(b"A=B"), None);
    }
}
