//! Users and groups: looked up before a fork (NSS is not async-signal-safe), applied by the child.

use std::ffi::CString;
use std::fmt;

use nix::unistd::{Gid, Group, Uid, User};

/// Who a child is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// `None`: a number that no user has.
    pub name: Option<String>,
    pub home: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    NoUser(String),
    NoGroup(String),
    /// We are not root, and somebody else than we are is asked for.
    NotRoot {
        me: u32,
        wanted: String,
    },
    Lookup {
        what: String,
        errno: i32,
    },
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser(name) => write!(f, "user \"{name}\" does not exist"),
            Self::NoGroup(name) => write!(f, "group \"{name}\" does not exist"),
            Self::NotRoot { me, wanted } => {
                write!(
                    f,
                    "cannot become {wanted}: this process is no root, it runs with uid {me}"
                )
            }
            Self::Lookup { what, errno } => {
                let error = std::io::Error::from_raw_os_error(*errno);
                write!(f, "cannot look up \"{what}\": {error}")
            }
        }
    }
}

impl std::error::Error for IdentityError {}

/// (uid_t)-1 and (gid_t)-1: "leave as it is" to the kernel (setreuid(2), chown(2)).
const UNCHANGED: u32 = u32::MAX;

/// What `uid = …` and `gid = …` mean, each a name or a number. A number needs no entry in the user
/// database. Without `gid` it is the user's own group. `None`: nothing was asked for, or what was
/// asked for is what we are and cannot change anyway.
///
/// # Errors
/// A name that does not exist, or one that we may not become.
pub fn identity(uid: Option<&str>, gid: Option<&str>) -> Result<Option<Identity>, IdentityError> {
    if uid.is_none() && gid.is_none() {
        return Ok(None);
    }
    let me = Uid::effective();
    let user = uid.map(user).transpose()?;
    let gid = match (gid, &user) {
        (Some(text), _) => group(text)?,
        (None, Some((_, Some(user)))) => user.gid.as_raw(),
        // A bare number has no group of its own: the same number, never root's group.
        (None, Some((number, None))) => *number,
        (None, None) => Gid::effective().as_raw(),
    };
    let (number, user) = user.unwrap_or_else(|| (me.as_raw(), None));
    if !me.is_root() {
        let (my_uid, my_gid) = (me.as_raw(), Gid::effective().as_raw());
        if (number, gid) == (my_uid, my_gid) {
            return Ok(None);
        }
        let wanted = uid.map_or_else(|| format!("gid {gid}"), |uid| format!("user \"{uid}\""));
        return Err(IdentityError::NotRoot { me: my_uid, wanted });
    }
    let groups = match &user {
        Some(user) => supplementary(&user.name, gid)?,
        None => vec![gid],
    };
    Ok(Some(Identity {
        uid: number,
        gid,
        groups,
        name: user.as_ref().map(|user| user.name.clone()),
        home: user.map(|user| user.dir),
    }))
}

/// The owner that `chown-socket = user[:group]` names; `None` leaves that half alone.
///
/// # Errors
/// A name that does not exist.
pub fn owner(text: &str) -> Result<(Option<u32>, Option<u32>), IdentityError> {
    let (user_text, group_text) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let uid = match user_text {
        "" => None,
        text => Some(user(text)?.0),
    };
    let gid = match group_text {
        None | Some("") => None,
        Some(text) => Some(group(text)?),
    };
    Ok((uid, gid))
}

/// A user's number, and its entry when it has one.
fn user(text: &str) -> Result<(u32, Option<User>), IdentityError> {
    let lookup = |error: nix::Error| IdentityError::Lookup {
        what: text.to_owned(),
        errno: error as i32,
    };
    if let Ok(number) = text.parse::<u32>() {
        if number == UNCHANGED {
            return Err(IdentityError::NoUser(text.to_owned()));
        }
        let entry = User::from_uid(Uid::from_raw(number)).map_err(lookup)?;
        return Ok((number, entry));
    }
    match User::from_name(text).map_err(lookup)? {
        Some(entry) => Ok((entry.uid.as_raw(), Some(entry))),
        None => Err(IdentityError::NoUser(text.to_owned())),
    }
}

/// A group's number.
///
/// # Errors
/// A name that does not exist.
pub fn group(text: &str) -> Result<u32, IdentityError> {
    if let Ok(number) = text.parse::<u32>() {
        let no_group = || IdentityError::NoGroup(text.to_owned());
        return (number != UNCHANGED).then_some(number).ok_or_else(no_group);
    }
    match Group::from_name(text) {
        Ok(Some(entry)) => Ok(entry.gid.as_raw()),
        Ok(None) => Err(IdentityError::NoGroup(text.to_owned())),
        Err(error) => Err(IdentityError::Lookup {
            what: text.to_owned(),
            errno: error as i32,
        }),
    }
}

fn supplementary(name: &str, gid: u32) -> Result<Vec<u32>, IdentityError> {
    let lookup = |errno| IdentityError::Lookup {
        what: name.to_owned(),
        errno,
    };
    let name_c = CString::new(name).map_err(|_| lookup(libc::EINVAL))?;
    let groups = nix::unistd::getgrouplist(&name_c, Gid::from_raw(gid))
        .map_err(|error| lookup(error as i32))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// Gives up this process's own rights for good.
///
/// # Errors
/// Which of setgroups(2), setresgid(2) and setresuid(2) failed; then it must not go on.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> std::io::Result<()> {
    let failed = |what: &'static str| {
        move |error: nix::Error| std::io::Error::other(format!("{what}: {error}"))
    };
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::setgroups(&groups).map_err(failed("cannot set the supplementary groups"))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(failed("cannot become the group"))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(failed("cannot become the user"))
}

/// The supplementary groups of the user with this number; none for one without an entry.
///
/// # Errors
/// The user database cannot be read.
pub fn groups_of(uid: u32, gid: u32) -> Result<Vec<u32>, IdentityError> {
    match user(&uid.to_string())? {
        (_, Some(entry)) => supplementary(&entry.name, gid),
        (_, None) => Ok(Vec::new()),
    }
}

/// Whether this process may become anybody.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Who is at the other end of a connected Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

/// # Errors
/// What getsockopt(2) with SO_PEERCRED says.
pub fn peer(socket: impl std::os::fd::AsFd) -> std::io::Result<Peer> {
    let who = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(Peer {
        pid: who.pid.as_raw_nonzero().get(),
        uid: who.uid.as_raw(),
        gid: who.gid.as_raw(),
    })
}

/// The supplementary groups of the process at the other end.
///
/// # Errors
/// What getsockopt(2) with SO_PEERGROUPS says.
pub fn peer_groups(socket: impl std::os::fd::AsFd) -> std::io::Result<Vec<u32>> {
    use std::os::fd::AsRawFd;

    /// The kernel's NGROUPS_MAX; who has more groups is of none of the last ones.
    const MOST: usize = 65_536;
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice()))
            .map_err(|_| std::io::ErrorKind::InvalidInput)?;
        // SAFETY: the buffer is `length` bytes long and lives until the call returns; any bytes are
        // valid groups.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let error = std::io::Error::last_os_error();
        let count = usize::try_from(length).unwrap_or(0) / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let is_short = error.raw_os_error() == Some(libc::ERANGE);
        if !is_short || count <= groups.len() || count > MOST {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_for_changes_nothing() {
        assert_eq!(identity(None, None), Ok(None));
    }

    #[test]
    fn a_name_that_nobody_has_is_said() {
        assert_eq!(
            identity(Some("no-such-user-here"), None),
            Err(IdentityError::NoUser("no-such-user-here".into()))
        );
        assert_eq!(
            identity(Some("0"), Some("no-such-group-here")),
            Err(IdentityError::NoGroup("no-such-group-here".into()))
        );
    }

    #[test]
    fn an_unknown_number_needs_no_entry_and_never_keeps_the_group_of_root() {
        if !is_root() {
            return;
        }
        let who = identity(Some("61234"), None).unwrap().unwrap();
        assert_eq!((who.uid, who.gid, who.groups), (61234, 61234, vec![61234]));
        let who = identity(Some("61234"), Some("12")).unwrap().unwrap();
        assert_eq!((who.uid, who.gid), (61234, 12));
    }

    #[test]
    fn minus_one_is_nobody() {
        let minus_one = "4294967295";
        let error = identity(Some(minus_one), None).unwrap_err();
        assert_eq!(error.to_string(), "user \"4294967295\" does not exist");
        let error = owner(&format!(":{minus_one}")).unwrap_err();
        assert_eq!(error.to_string(), "group \"4294967295\" does not exist");
    }

    #[test]
    fn an_owner_may_name_one_half() {
        assert_eq!(owner("0"), Ok((Some(0), None)));
        assert_eq!(owner(":0"), Ok((None, Some(0))));
        assert_eq!(owner("root:0"), Ok((Some(0), Some(0))));
    }
}
