//! Which part of a path keeps a user out, what was expected and found there, and the command that
//! lets the user in. Only for messages: nobody decides by it who may do what.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use crate::privileges::Identity;

/// Bits of a mode, as in `rwx`.
pub const READ: u32 = 4;
pub const WRITE: u32 = 2;
pub const ENTER: u32 = 1;

/// Who wants something: an app's user, or this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

impl Who {
    /// `None`: this process itself.
    pub fn of(identity: Option<&Identity>) -> Self {
        match identity {
            Some(identity) => Self {
                uid: identity.uid,
                gid: identity.gid,
                groups: identity.groups.clone(),
            },
            None => Self {
                uid: Uid::effective().as_raw(),
                gid: Gid::effective().as_raw(),
                groups: rustix::process::getgroups()
                    .map(|groups| groups.iter().map(|group| group.as_raw()).collect())
                    .unwrap_or_default(),
            },
        }
    }
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    pub path: PathBuf,
    who: Who,
    wanted: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    kind: char,
}

/// The first part of `path` that refuses `who`: a directory on the way that may not be entered, or
/// the last part, of which `wanted` is asked. `None`: nothing of that kind is in the way.
pub fn barrier(path: &Path, who: &Who, wanted: u32) -> Option<Barrier> {
    // Root's rights are not in modes.
    if who.uid == 0 {
        return None;
    }
    let mut here = PathBuf::new();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        here.push(match part {
            Component::Normal(name) => name,
            Component::RootDir => OsStr::new("/"),
            Component::ParentDir => OsStr::new(".."),
            Component::CurDir => OsStr::new("."),
            Component::Prefix(prefix) => prefix.as_os_str(),
        });
        let bits = if parts.peek().is_some() {
            ENTER
        } else {
            wanted
        };
        let found = here.metadata().ok()?;
        if !allows((found.mode(), found.uid(), found.gid()), who, bits) {
            return Some(Barrier::new(here, &found, who.clone(), bits));
        }
    }
    None
}

/// As the kernel decides by the mode, without its ACLs.
fn allows((mode, uid, gid): (u32, u32, u32), who: &Who, bits: u32) -> bool {
    let granted = if uid == who.uid {
        mode >> 6
    } else if gid == who.gid || who.groups.contains(&gid) {
        mode >> 3
    } else {
        mode
    };
    granted & bits == bits
}

impl Barrier {
    fn new(path: PathBuf, found: &Metadata, who: Who, wanted: u32) -> Self {
        let kind = found.file_type();
        Self {
            path,
            who,
            wanted,
            mode: found.mode(),
            uid: found.uid(),
            gid: found.gid(),
            kind: if kind.is_dir() {
                'd'
            } else if kind.is_socket() {
                's'
            } else {
                '-'
            },
        }
    }

    /// `www-data may write to and enter directory /srv/run`
    pub fn expected(&self) -> String {
        let is_directory = self.kind == 'd';
        let mut verbs = Vec::new();
        if self.wanted & READ != 0 {
            verbs.push(if is_directory { "list" } else { "read" });
        }
        if self.wanted & WRITE != 0 {
            verbs.push("write to");
        }
        if self.wanted & ENTER != 0 {
            verbs.push(if is_directory { "enter" } else { "execute" });
        }
        let kind = match self.kind {
            'd' => "directory",
            's' => "socket",
            _ => "file",
        };
        let verbs = verbs.join(" and ");
        format!(
            "{} may {verbs} {kind} {}",
            user_name(self.who.uid),
            self.path.display()
        )
    }

    /// `drwx------ root:root (0700) /srv/run`
    pub fn found(&self) -> String {
        let letters = ['r', 'w', 'x'];
        let shown: String = (0..9)
            .map(|bit| match self.mode >> (8 - bit) & 1 {
                0 => '-',
                _ => letters[bit % 3],
            })
            .collect();
        format!(
            "{}{shown} {}:{} ({:04o}) {}",
            self.kind,
            user_name(self.uid),
            group_name(self.gid),
            self.mode & 0o7777,
            self.path.display()
        )
    }

    /// The command that mends it, and gives as little as will do.
    pub fn command(&self) -> String {
        let mut bits = String::new();
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (ENTER, 'x')] {
            if self.wanted & bit != 0 {
                bits.push(letter);
            }
        }
        let path = quoted(&self.path);
        if self.uid == self.who.uid {
            return format!("chmod u+{bits} {path}");
        }
        let chmod = format!("chmod g+{bits} {path}");
        if self.gid == self.who.gid || self.who.groups.contains(&self.gid) {
            return chmod;
        }
        format!("chgrp {} {path} && {chmod}", group_name(self.who.gid))
    }
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:,".contains(letter);
    if text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub fn user_name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn group_name(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_part_of_a_path_that_keeps_a_user_out_is_named_with_what_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(directory.path(), 0o755);
        let inner = directory.path().join("in ner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("app.py"), "").unwrap();
        let file = inner.join("app.py");
        let who = Who {
            uid: 54321,
            gid: 54321,
            groups: vec![54322],
        };
        mode(&inner, 0o711);
        mode(&file, 0o604);
        assert_eq!(barrier(&file, &who, READ), None);
        mode(&inner, 0o700);
        let barrier = barrier(&file, &who, READ).unwrap();
        assert_eq!(barrier.path, inner);
        assert!(barrier.expected().starts_with("54321 may enter directory "));
        assert!(
            barrier.found().starts_with("drwx------ "),
            "{}",
            barrier.found()
        );
        assert_eq!(
            barrier.command(),
            format!("chgrp 54321 '{0}' && chmod g+x '{0}'", inner.display())
        );
        let root = Who {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        };
        assert_eq!(super::barrier(&file, &root, READ), None);
    }

    #[test]
    fn modes_are_read_as_the_kernel_reads_them() {
        let who = Who {
            uid: 10,
            gid: 20,
            groups: vec![30],
        };
        assert!(allows((0o400, 10, 0), &who, READ));
        // The owner's bits count, also where others have more.
        assert!(!allows((0o077, 10, 20), &who, READ));
        assert!(allows((0o070, 0, 30), &who, WRITE | ENTER));
        assert!(!allows((0o707, 0, 20), &who, READ));
        assert!(allows((0o001, 0, 0), &who, ENTER));
    }
}
