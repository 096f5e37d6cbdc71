//! A privileged process opens a file as somebody else: the kernel then checks that user's rights,
//! and a link that this user has put there leads nowhere that he may not go himself.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{self, Gid, Uid};

use crate::privileges::Identity;

/// Runs `work` with the file system rights of `user` (setfsuid(2)): for short calls of a process
/// with one thread.
///
/// # Errors
/// What setgroups(2) says; or that the rights are still ours.
pub fn as_user<T>(user: &Identity, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let theirs: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let ours = unistd::getgroups()?;
    unistd::setgroups(&theirs)?;
    let old_gid = unistd::setfsgid(gid);
    let old_uid = unistd::setfsuid(uid);
    // The calls answer with the id that was; asking for the same one again tells the one that is.
    let changed = unistd::setfsuid(uid) == uid && unistd::setfsgid(gid) == gid;
    let result = match changed {
        true => work(),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    };
    unistd::setfsuid(old_uid);
    unistd::setfsgid(old_gid);
    unistd::setgroups(&ours)?;
    result
}

/// Whether `user` could put something of his own where `path` leads: its directory, or one above,
/// is his to write to.
pub fn may_place(user: &Identity, path: &Path) -> bool {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => return false,
    };
    // Links are followed first: what counts is where the names really stand.
    let Ok(real) = parent.canonicalize() else {
        return true;
    };
    real.ancestors().enumerate().any(|(above, directory)| {
        let Ok(found) = directory.metadata() else {
            return true;
        };
        let is_group = found.gid() == user.gid || user.groups.contains(&found.gid());
        let others = found.mode() & 0o002 != 0;
        let group = is_group && found.mode() & 0o020 != 0;
        // In a sticky directory (/tmp) new names are free, and those that are there are safe.
        let sticky = above > 0 && found.mode() & 0o1000 != 0;
        found.uid() == user.uid || ((group || others) && !sticky)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn somebody() -> Identity {
        Identity {
            uid: 61_234,
            gid: 61_234,
            groups: vec![61_234],
            name: None,
            home: None,
        }
    }

    #[test]
    fn root_opens_with_the_rights_of_a_user_and_is_root_again() {
        if !crate::privileges::is_root() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("as-user-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let file = folder.join("secret");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let groups = unistd::getgroups().unwrap();
        let error = as_user(&somebody(), || std::fs::File::open(&file)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(std::fs::File::open(&file).is_ok());
        assert_eq!(unistd::getgroups().unwrap(), groups);
        assert!(!may_place(&somebody(), Path::new("/etc/x.log")));
        assert!(may_place(&somebody(), Path::new("/tmp/x.log")));
        assert!(!may_place(&somebody(), &file));
        std::os::unix::fs::chown(&folder, Some(61_234), None).unwrap();
        assert!(may_place(&somebody(), &file));
        let link = Path::new("/etc/../").join(folder.strip_prefix("/").unwrap());
        assert!(may_place(&somebody(), &link.join("x")));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
