//! `imperator upgrade`, and HUP: another binary in the place of this one, in the same process, with
//! all children, sockets and knowledge. It has to answer a self-check first.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imperator_core::message::{AppStatus, Failure, Held, Owner};
use imperator_process::estate::Estate;
use imperator_process::spawn::{self, Plan};
use imperator_process::{fds, image};
use serde::{Deserialize, Serialize};

use crate::runtime::Stopped;
use crate::supervisor::{Name, Pid};

/// Raised when the text changes its meaning; fields may be added without.
pub const VERSION: u32 = 1;
/// The hidden command that a new binary has to answer, before the arguments that it would get.
pub const SELF_CHECK: &str = "self-check";
/// A binary that has not answered by then is not taken.
const CHECK_LIMIT: Duration = Duration::from_secs(20);
/// More output of a self-check is not read.
const MAX_OUTPUT: usize = 64 << 10;

/// What a binary says when it could take this one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The version of the program.
    pub imperator: String,
    /// The [`VERSION`] that it reads.
    pub state: u32,
}

/// All that an emperor knows and its successor cannot see by itself. Descriptors by number.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    /// Where the arguments are to be understood.
    pub start: PathBuf,
    pub lock: RawFd,
    pub control: RawFd,
    pub masters: Vec<MasterState>,
    #[serde(default)]
    pub retired: Vec<MasterState>,
    pub kept: Vec<KeptState>,
    #[serde(default)]
    pub halted: Vec<Name>,
    /// Apps that sleep without a master.
    #[serde(default)]
    pub dozing: Vec<Name>,
    /// Apps whose masters died too often: how often in a row, and the milliseconds they still wait.
    #[serde(default)]
    pub waiting: Vec<(Name, u32, u64)>,
    /// Apps whose reload is still to come.
    #[serde(default)]
    pub reload: Vec<Name>,
    /// What systemd keeps: how many at most; keys, apps and inodes.
    #[serde(default)]
    pub store_max: usize,
    #[serde(default)]
    pub stored: Vec<(String, Name, u64)>,
    /// systemd was told READY=1.
    #[serde(default)]
    pub ready: bool,
    /// … and RELOADING=1 after it.
    #[serde(default)]
    pub reloading: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterState {
    pub name: Name,
    pub pid: Pid,
    pub channel: RawFd,
    /// Of one that is not our child.
    #[serde(default)]
    pub pidfd: Option<RawFd>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptState {
    pub name: Name,
    pub listeners: Vec<(Held, RawFd)>,
    #[serde(default)]
    pub logs: Option<(RawFd, RawFd)>,
    #[serde(default)]
    pub last_generation: u32,
    #[serde(default)]
    pub owner: Option<Owner>,
    #[serde(default)]
    pub status: Option<AppStatus>,
    #[serde(default)]
    pub death: Option<Failure>,
    #[serde(default)]
    pub stopped: Option<Stopped>,
}

/// Where the arguments of a process that took another one's place are to be understood.
pub fn start_of(estate: &Estate) -> Option<PathBuf> {
    let text = estate.text.as_deref()?;
    read(text).ok().map(|state| state.start)
}

/// # Errors
/// One line that says why the text is of no use.
pub fn read(text: &[u8]) -> Result<State, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } =
        serde_json::from_slice(text).map_err(|error| format!("it is no state: {error}"))?;
    if version != VERSION {
        return Err(format!("it is of version {version}, not {VERSION}"));
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// A new binary that is asked whether it could run here.
pub struct Check {
    pub pid: Pid,
    /// Its pid may be another one's now.
    pub is_reaped: bool,
    output: std::fs::File,
    text: Vec<u8>,
    pub deadline: Instant,
    /// The file that was asked.
    pub build: String,
}

impl Check {
    /// Starts `program` with the arguments that it would be executed with.
    ///
    /// # Errors
    /// One line: it cannot be executed.
    pub fn start(
        program: &Path,
        args: &[OsString],
        start: &Path,
        now: Instant,
    ) -> Result<Self, String> {
        let build = image::of(program)
            .map_err(|error| format!("cannot look at {}: {error}", program.display()))?;
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (read, write): (OwnedFd, OwnedFd) =
            pipe.map_err(|error| format!("cannot make a pipe: {error}"))?;
        let null = std::fs::File::open("/dev/null")
            .map_err(|error| format!("cannot open /dev/null: {error}"))?;
        fds::set_nonblocking(&read, true).map_err(|error| error.to_string())?;
        let mut plan = Plan::new(program);
        plan.argv0 = Some("imperator".into());
        plan.args = std::iter::once(SELF_CHECK.into())
            .chain(args.iter().skip(1).cloned())
            .collect();
        plan.env = std::env::vars_os()
            .filter(|(key, _)| !crate::systemd::is_private(&key.to_string_lossy()))
            .collect();
        plan.fds = vec![(null.as_fd(), 0), (write.as_fd(), 1), (write.as_fd(), 2)];
        plan.chdir = Some(start.to_owned());
        let pid = spawn::spawn(&plan).map_err(|error| error.to_string())?;
        Ok(Self {
            pid,
            is_reaped: false,
            output: read.into(),
            text: Vec::new(),
            deadline: now + CHECK_LIMIT,
            build,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// What came of it; `None`: it is still busy.
    pub fn result(&mut self, now: Instant) -> Option<Result<Answer, String>> {
        let mut chunk = [0; 4096];
        loop {
            match self.output.read(&mut chunk) {
                Ok(0) => return Some(understand(&self.text)),
                Ok(count) if self.text.len() + count > MAX_OUTPUT => {
                    return Some(Err("its self-check says too much".to_owned()));
                }
                Ok(count) => self.text.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Some(Err(error.to_string())),
            }
        }
        (self.deadline <= now).then(|| {
            let seconds = CHECK_LIMIT.as_secs();
            Err(format!("its self-check did not end within {seconds} s"))
        })
    }
}

fn understand(text: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(text);
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    let answer: Answer = serde_json::from_str(last).map_err(|_| match text.trim() {
        "" => "its self-check says nothing".to_owned(),
        said => format!("its self-check fails: {said}"),
    })?;
    if answer.state != VERSION {
        return Err(format!(
            "it is version {} and reads another state than this one writes; hint: restart the \
             emperor, apps serve on",
            answer.imperator
        ));
    }
    Ok(answer)
}

/// The number of a descriptor that is handed over.
pub(crate) fn number<'a>(fds: &mut Vec<BorrowedFd<'a>>, fd: &'a impl AsFd) -> RawFd {
    let fd = fd.as_fd();
    fds.push(fd);
    fd.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_and_another_version_is_refused() {
        let state = State {
            version: VERSION,
            start: "/srv".into(),
            lock: 7,
            control: 8,
            masters: vec![MasterState {
                name: "blog".to_owned(),
                pid: 100,
                channel: 9,
                pidfd: None,
            }],
            waiting: vec![("bad".to_owned(), 3, 2000)],
            dozing: vec!["shop".to_owned()],
            ..State::default()
        };
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(read(&text), Ok(state));
        // A later one may say more, and leave out what has a default.
        let more =
            br#"{"version":1,"start":"/","lock":3,"control":4,"masters":[],"kept":[],"x":1}"#;
        assert_eq!(read(more).unwrap().lock, 3);
        let other = br#"{"version":2,"masters":"elsewhere"}"#;
        assert_eq!(read(other), Err("it is of version 2, not 1".to_owned()));
        assert!(read(b"").unwrap_err().starts_with("it is no state"));
    }

    #[test]
    fn a_self_check_is_its_last_line() {
        let good = b"a warning\n{\"imperator\":\"9.0\",\"state\":1}\n";
        assert_eq!(understand(good).unwrap().imperator, "9.0");
        let other = understand(b"{\"imperator\":\"9.0\",\"state\":2}").unwrap_err();
        assert!(other.contains("restart the emperor"), "{other}");
        let broken = understand(b"no such directory: /x\n").unwrap_err();
        assert_eq!(broken, "its self-check fails: no such directory: /x");
        assert_eq!(understand(b"").unwrap_err(), "its self-check says nothing");
    }
}
