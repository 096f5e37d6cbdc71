//! Starts a program: `std::process::Command` with one `pre_exec` whose memory is prepared before
//! the fork. A failed step comes back with its name over std's own exec-error pipe.

use std::ffi::{CString, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::mask::{self, SignalMask};
use crate::privileges::Identity;

/// Where a child stands among sessions and process groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Group {
    /// The parent's.
    Inherit,
    /// A process group of its own: Ctrl-C in the terminal is not for it.
    #[default]
    Own,
    /// A session of its own, without a terminal.
    Session,
}

/// A limit of the kernel for one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bytes.
    AddressSpace,
    /// Of the process's user.
    Processes,
    OpenFiles,
}

impl Limit {
    fn resource(self) -> Resource {
        match self {
            Self::AddressSpace => Resource::RLIMIT_AS,
            Self::Processes => Resource::RLIMIT_NPROC,
            Self::OpenFiles => Resource::RLIMIT_NOFILE,
        }
    }
}

/// What to start, and as what.
#[derive(Debug)]
pub struct Plan<'a> {
    /// An absolute path.
    pub program: PathBuf,
    /// `None`: the program's path.
    pub argv0: Option<OsString>,
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Descriptors and the numbers that the child finds them at. All others are close-on-exec.
    pub fds: Vec<(BorrowedFd<'a>, RawFd)>,
    pub group: Group,
    pub identity: Option<Identity>,
    pub chdir: Option<PathBuf>,
    /// The soft limit of open files.
    pub nofile: Option<u64>,
    /// Soft and hard limits; what only root may raise stays below the hard limit there is.
    pub limits: Vec<(Limit, u64)>,
    pub nice: Option<i32>,
    pub umask: Option<u32>,
    /// Sent to the child when this process dies: for a program that reads no channel of ours. It
    /// is set after the change of user, which would clear it.
    pub death_signal: Option<i32>,
}

impl Plan<'_> {
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            argv0: None,
            args: Vec::new(),
            env: Vec::new(),
            fds: Vec::new(),
            group: Group::default(),
            identity: None,
            chdir: None,
            nofile: None,
            limits: Vec::new(),
            nice: None,
            umask: None,
            death_signal: None,
        }
    }
}

/// The steps from fork to exec, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Prepare = 1,
    /// fork(2), and whatever std does before our steps.
    Fork = 2,
    Group = 3,
    Descriptors = 4,
    Limits = 5,
    Setgroups = 6,
    Setgid = 7,
    Setuid = 8,
    Chdir = 9,
    Exec = 10,
}

const STEPS: [Step; 10] = [
    Step::Prepare,
    Step::Fork,
    Step::Group,
    Step::Descriptors,
    Step::Limits,
    Step::Setgroups,
    Step::Setgid,
    Step::Setuid,
    Step::Chdir,
    Step::Exec,
];

/// Which step failed on what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnError {
    pub step: Step,
    pub errno: i32,
    /// The program, directory or user concerned.
    pub object: String,
}

impl SpawnError {
    pub fn io(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Prepare => "prepare the start of",
            Step::Fork => "fork for",
            Step::Group => "make a process group for",
            Step::Descriptors => "pass descriptors to",
            Step::Limits => "set the limits of",
            Step::Setgroups => "set the groups of",
            Step::Setgid => "set the group",
            Step::Setuid => "become user",
            Step::Chdir => "change into directory",
            Step::Exec => "execute",
        };
        write!(f, "cannot {step} {}: {}", self.object, self.io())
    }
}

impl std::error::Error for SpawnError {}

/// Starts the program; returns its pid. Nobody reaps it but [`crate::reap`].
///
/// # Errors
/// The step that failed; then there is no process.
pub fn spawn(plan: &Plan<'_>) -> Result<i32, SpawnError> {
    let error = |step, io: &io::Error| SpawnError {
        step,
        errno: io.raw_os_error().unwrap_or(libc::EINVAL),
        object: object(plan, step),
    };
    let prepare = |io: &io::Error| error(Step::Prepare, io);
    let setup = ChildSetup::prepare(plan).map_err(|io| prepare(&io))?;
    let _reserved = reserve(plan).map_err(|io| prepare(&io))?;
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.args)
        .env_clear()
        .envs(plan.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    if let Some(argv0) = &plan.argv0 {
        command.arg0(argv0);
    }
    // SAFETY: `apply` makes only async-signal-safe calls on memory that is prepared above; it
    // allocates nothing, takes no lock and cannot panic.
    unsafe { command.pre_exec(move || setup.apply()) };
    // No handler of ours may run in the child before its dispositions are reset.
    let mask = SignalMask::block_all();
    let child = command.spawn();
    mask.restore();
    match child {
        Ok(child) => {
            i32::try_from(child.id()).map_err(|_| error(Step::Fork, &io::Error::other("")))
        }
        Err(io) => {
            let code = io.raw_os_error().unwrap_or(libc::EINVAL);
            let step = STEPS
                .into_iter()
                .find(|&step| step as i32 == code >> STEP_SHIFT)
                .unwrap_or(Step::Exec);
            let errno = io::Error::from_raw_os_error(code & ((1 << STEP_SHIFT) - 1));
            Err(error(step, &errno))
        }
    }
}

/// A failed step travels in the upper half of the errno that std carries to the parent.
const STEP_SHIFT: i32 = 16;

fn object(plan: &Plan<'_>, step: Step) -> String {
    let program = || plan.program.display().to_string();
    match (step, &plan.identity, &plan.chdir) {
        (Step::Setgid, Some(identity), _) => identity.gid.to_string(),
        (Step::Setuid, Some(identity), _) => match &identity.name {
            Some(name) => format!("\"{name}\""),
            None => identity.uid.to_string(),
        },
        (Step::Chdir, _, Some(chdir)) => chdir.display().to_string(),
        _ => program(),
    }
}

/// Occupies the target numbers that are free, so that std's exec-error pipe cannot be one of them.
fn reserve(plan: &Plan<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut reserved = Vec::new();
    let Some(highest) = plan.fds.iter().map(|&(_, number)| number).max() else {
        return Ok(reserved);
    };
    loop {
        let null = OwnedFd::from(File::open("/dev/null")?);
        if null.as_raw_fd() > highest {
            return Ok(reserved);
        }
        reserved.push(null);
    }
}

/// All that the child does between fork and exec, with its memory.
///
/// `apply` calls, in this order: setpgid or setsid · sigaction · close_range, dup2 · setrlimit, setpriority, umask ·
/// setgroups → setgid → setuid, each checked · prctl for the death signal, getppid · chdir (after the
/// identity: NFS root_squash) · the signal mask last.
struct ChildSetup {
    group: Group,
    /// Copies above all target numbers, so that no dup2 hits a source.
    fds: Vec<(OwnedFd, RawFd)>,
    nofile: Option<libc::rlimit>,
    limits: Vec<(Resource, u64)>,
    nice: Option<i32>,
    umask: Option<u32>,
    identity: Option<(Vec<libc::gid_t>, libc::gid_t, libc::uid_t)>,
    chdir: Option<CString>,
    /// The signal, and who the parent is now.
    death_signal: Option<(libc::c_int, libc::pid_t)>,
}

impl ChildSetup {
    fn prepare(plan: &Plan<'_>) -> io::Result<Self> {
        let above = plan
            .fds
            .iter()
            .map(|&(_, number)| number)
            .max()
            .unwrap_or(0)
            + 1;
        let mut fds = Vec::with_capacity(plan.fds.len());
        for &(fd, number) in &plan.fds {
            fds.push((rustix::io::fcntl_dupfd_cloexec(fd, above)?, number));
        }
        let nofile = match plan.nofile {
            Some(soft) => {
                let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
                Some(libc::rlimit {
                    rlim_cur: soft.min(hard),
                    rlim_max: hard,
                })
            }
            None => None,
        };
        let is_root = crate::privileges::is_root();
        let mut limits = Vec::with_capacity(plan.limits.len());
        for &(limit, value) in &plan.limits {
            let resource = limit.resource();
            let (_, hard) = getrlimit(resource)?;
            let value = if is_root { value } else { value.min(hard) };
            limits.push((resource, value));
        }
        let chdir = match &plan.chdir {
            Some(path) => Some(
                CString::new(path.as_os_str().as_bytes())
                    .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
            ),
            None => None,
        };
        let identity = plan
            .identity
            .as_ref()
            .map(|who| (who.groups.clone(), who.gid, who.uid));
        Ok(Self {
            group: plan.group,
            fds,
            nofile,
            limits,
            nice: plan.nice,
            umask: plan.umask,
            identity,
            chdir,
            death_signal: plan.death_signal.map(|signal| {
                let parent = rustix::process::getpid().as_raw_nonzero().get();
                (signal, parent)
            }),
        })
    }

    fn apply(&self) -> io::Result<()> {
        match self.group {
            Group::Inherit => (),
            Group::Own => {
                // SAFETY: plain system call on this very process.
                check(Step::Group, unsafe { libc::setpgid(0, 0) })?;
            }
            Group::Session => {
                // SAFETY: as above.
                check(Step::Group, unsafe { libc::setsid() })?;
            }
        }
        reset_dispositions();
        close_strangers();
        for (fd, number) in &self.fds {
            // SAFETY: plain system call; the target number is nobody's (see `reserve`), or one of
            // the three standard descriptors.
            check(Step::Descriptors, unsafe {
                libc::dup2(fd.as_raw_fd(), *number)
            })?;
        }
        if let Some(limit) = &self.nofile {
            // SAFETY: `limit` is valid memory.
            check(Step::Limits, unsafe {
                libc::setrlimit(libc::RLIMIT_NOFILE, limit)
            })?;
        }
        for &(resource, value) in &self.limits {
            // A bare system call; its error is a number.
            if let Err(error) = setrlimit(resource, value, value) {
                return Err(failed(Step::Limits, error as i32));
            }
        }
        if let Some(nice) = self.nice {
            // SAFETY: plain system call on this very process.
            check(Step::Limits, unsafe {
                libc::setpriority(libc::PRIO_PROCESS, 0, nice)
            })?;
        }
        if let Some(umask) = self.umask {
            // SAFETY: cannot fail.
            unsafe { libc::umask(umask) };
        }
        if let Some((groups, gid, uid)) = &self.identity {
            // SAFETY: the slice is valid for its length.
            check(Step::Setgroups, unsafe {
                libc::setgroups(groups.len(), groups.as_ptr())
            })?;
            // SAFETY: plain system call; all three ids, so that there is no way back.
            check(Step::Setgid, unsafe { libc::setresgid(*gid, *gid, *gid) })?;
            // SAFETY: as above.
            check(Step::Setuid, unsafe { libc::setresuid(*uid, *uid, *uid) })?;
        }
        if let Some((signal, parent)) = self.death_signal {
            // SAFETY: plain system call on this very process.
            check(Step::Group, unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, signal)
            })?;
            // SAFETY: cannot fail.
            if unsafe { libc::getppid() } != parent {
                // It died before the call above: nobody is left to hear of the error.
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        if let Some(chdir) = &self.chdir {
            // SAFETY: a C string that lives as long as `self`.
            check(Step::Chdir, unsafe { libc::chdir(chdir.as_ptr()) })?;
        }
        mask::unblock_all();
        Ok(())
    }
}

/// Every signal as a fresh program expects it; what cannot be set (KILL, STOP, libc's own two)
/// stays. An ignored SIGHUP of nohup(1) ends here.
fn reset_dispositions() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL runs no code of ours; an impossible signal is EINVAL, without effect.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Whoever started us may have left descriptors open: none goes on to our children. Before Linux
/// 5.11 this does nothing.
fn close_strangers() {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: marks descriptors close-on-exec; closes none, so std's exec-error pipe stays.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, flags) };
}

/// `io::Error::last_os_error` and `from_raw_os_error` only read errno and store a number.
fn check(step: Step, result: libc::c_int) -> io::Result<()> {
    if result >= 0 {
        return Ok(());
    }
    let errno = io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EINVAL);
    Err(failed(step, errno))
}

fn failed(step: Step, errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno | ((step as i32) << STEP_SHIFT))
}
