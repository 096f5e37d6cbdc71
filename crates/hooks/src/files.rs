//! Actions on the file system, and the change of user.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags};
use nix::unistd::{Gid, Group, Uid, User};

pub(crate) fn write(path: &Path, text: &str, append: bool) -> io::Result<()> {
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .append(append)
        .truncate(!append)
        .mode(0o666)
        .open(path)?;
    file.write_all(text.as_bytes())
}

pub(crate) fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

pub(crate) fn sticky(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    chmod(path, mode | 0o1000)
}

pub(crate) fn chown_by_name(path: &Path, user: &str, group: &str) -> Result<(), String> {
    let lookup = |error: nix::Error| format!("cannot look up \"{user}\" and \"{group}\": {error}");
    let uid = User::from_name(user).map_err(lookup)?;
    let uid = uid
        .ok_or_else(|| format!("there is no user \"{user}\""))?
        .uid;
    let gid = Group::from_name(group).map_err(lookup)?;
    let gid = gid
        .ok_or_else(|| format!("there is no group \"{group}\""))?
        .gid;
    std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
        .map_err(|error| error.to_string())
}

/// All three ids, so that there is no way back.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::setgroups(&groups)?;
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    Ok(())
}

pub(crate) fn mount(fs: &str, what: &str, place: &Path, options: &str) -> Result<(), String> {
    let (names, data) = options.split_once(' ').unwrap_or((options, ""));
    let mut flags = MsFlags::empty();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        flags |= match name {
            "defaults" => MsFlags::empty(),
            "bind" => MsFlags::MS_BIND,
            "dirsync" => MsFlags::MS_DIRSYNC,
            "mandlock" => MsFlags::MS_MANDLOCK,
            "move" => MsFlags::MS_MOVE,
            "noatime" => MsFlags::MS_NOATIME,
            "nodev" => MsFlags::MS_NODEV,
            "noexec" => MsFlags::MS_NOEXEC,
            "nosuid" => MsFlags::MS_NOSUID,
            "private" => MsFlags::MS_PRIVATE,
            "rdonly" | "readonly" | "ro" => MsFlags::MS_RDONLY,
            "rec" | "recursive" => MsFlags::MS_REC,
            "remount" => MsFlags::MS_REMOUNT,
            "shared" => MsFlags::MS_SHARED,
            "sync" => MsFlags::MS_SYNCHRONOUS,
            other => return Err(format!("there is no mount flag \"{other}\"")),
        };
    }
    let data = Some(data).filter(|data| !data.is_empty());
    let fs = Some(fs).filter(|fs| !fs.is_empty());
    nix::mount::mount(Some(what), place, fs, flags, data)
        .map_err(|error| io::Error::from(error).to_string())
}

pub(crate) fn umount(place: &Path, options: &str) -> Result<(), String> {
    let mut flags = MntFlags::empty();
    for name in options.split(',').filter(|name| !name.is_empty()) {
        flags |= match name {
            "force" => MntFlags::MNT_FORCE,
            "detach" => MntFlags::MNT_DETACH,
            // What is mounted below goes with it.
            "rec" | "recursive" => MntFlags::MNT_DETACH,
            other => return Err(format!("there is no umount flag \"{other}\"")),
        };
    }
    nix::mount::umount2(place, flags).map_err(|error| io::Error::from(error).to_string())
}
