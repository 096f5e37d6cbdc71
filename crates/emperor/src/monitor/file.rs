//! One file as a scan finds it: what stands at its path, its stamp and its bytes. Reads, decides
//! nothing, and never waits for a FIFO or a log file in an ini's place.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A longer ini is a mistake (a log file, an image), and reading it would stop the loop.
pub const MAX_INI: u64 = 1 << 20;

/// What identifies one state of a file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub inode: (u64, u64),
    pub size: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Moves with every change, also with one that sets the mtime back.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// What `touch` changes, and a new file in the old one's place; chmod and chown do not.
    pub(super) fn is_touched_since(&self, old: &Self) -> bool {
        self.inode != old.inode || self.modified != old.modified
    }
}

/// The bytes of an ini file, or one line that says why there are none.
pub type Text = Result<Vec<u8>, String>;

/// What stands at a path of a vassal.
pub(super) struct Stand {
    /// Of the symlink itself when it leads nowhere.
    pub(super) stamp: Stamp,
    /// Why it is no file to read.
    pub(super) unfit: Option<String>,
    /// A symlink to nothing.
    pub(super) dangling: bool,
}

/// What stands at a path. `None`: nothing is there, or it came between our two looks.
pub(super) fn stand(path: &Path) -> Option<Stand> {
    let unfit = |metadata: &fs::Metadata, why: &str| Stand {
        stamp: Stamp::of(metadata),
        unfit: Some(format!("{}: {why}", path.display())),
        dangling: false,
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Some(unfit(&metadata, "this is a directory")),
        Ok(metadata) if !metadata.is_file() => Some(unfit(&metadata, "this is no regular file")),
        // Masters are told paths as text.
        Ok(metadata) if path.to_str().is_none() => {
            Some(unfit(&metadata, "its name is not UTF-8; rename it"))
        }
        Ok(metadata) => Some(Stand {
            stamp: Stamp::of(&metadata),
            unfit: None,
            dangling: false,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let link = fs::symlink_metadata(path).ok()?;
            let target = fs::read_link(path).ok()?;
            let why = format!(
                "this link leads to {}, which is not there",
                target.display()
            );
            Some(Stand {
                dangling: true,
                ..unfit(&link, &why)
            })
        }
        // A file system that is away is no order to stop what serves.
        Err(error) => {
            let link = fs::symlink_metadata(path).ok()?;
            Some(unfit(&link, &error.to_string()))
        }
    }
}

/// A symlink itself.
pub(super) struct Link {
    pub(super) stamp: Stamp,
    pub(super) target: PathBuf,
}

pub(super) fn link(path: &Path) -> Option<Link> {
    let metadata = fs::symlink_metadata(path).ok()?;
    metadata.is_symlink().then_some(())?;
    Some(Link {
        stamp: Stamp::of(&metadata),
        target: fs::read_link(path).ok()?,
    })
}

pub(super) fn read(path: &Path) -> Text {
    let bytes = read_limited(path).map_err(|error| match error.raw_os_error() {
        Some(_) => format!("cannot read {}: {error}", path.display()),
        None => format!("{}: {error}", path.display()),
    })?;
    if bytes.contains(&0) {
        return Err(format!(
            "{}: this is no ini file: it holds a NUL byte",
            path.display()
        ));
    }
    Ok(bytes)
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    // Without blocking: a FIFO in a file's place must not stop the loop.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > MAX_INI {
        return Err(io::Error::other(format!(
            "this is no ini file: it has {} bytes, more than {MAX_INI}",
            metadata.len()
        )));
    }
    let mut bytes = Vec::new();
    file.take(MAX_INI).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn read_included(path: &Path) -> (u64, Option<Stamp>) {
    let stamp = fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
    let content = match read_limited(path) {
        Ok(bytes) => hash(&bytes),
        // Too big to read at each look: its stamp stands for it.
        Err(error) => hash(&(
            error.kind() as i32,
            stamp.map(|stamp| (stamp.size, stamp.modified)),
        )),
    };
    (content, stamp)
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
