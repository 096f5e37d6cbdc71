//! `emperor-tyrant`: each vassal runs as the owner of its file (uWSGI: core/emperor.c).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use imperator_core::message::Owner;
use imperator_core::settings::empire::Empire;
use imperator_process::privileges;

/// Who owns a vassal file, user and group; `None` without `emperor-tyrant`, or when nobody can tell.
pub fn owner_of(path: &Path, empire: &Empire) -> Option<(u32, u32)> {
    if !empire.tyrant {
        return None;
    }
    let metadata = if empire.tyrant_nofollow {
        fs::symlink_metadata(path)
    } else {
        fs::metadata(path)
    };
    metadata.ok().map(|it| (it.uid(), it.gid()))
}

/// Who the master of a vassal becomes.
///
/// # Errors
/// A text that says why it must not be started.
pub fn owner(path: &Path, empire: &Empire) -> Result<Option<Owner>, String> {
    if !empire.tyrant {
        return Ok(None);
    }
    let (uid, gid) = owner_of(path, empire)
        .ok_or_else(|| format!("emperor-tyrant: cannot tell who owns {}", path.display()))?;
    if uid == 0 || gid == 0 {
        return Err(format!(
            "emperor-tyrant: {} belongs to user {uid} and group {gid}, and no vassal runs as root; \
             chown it to the app's user and group",
            path.display()
        ));
    }
    if !privileges::is_root() {
        return Err("emperor-tyrant: only root can start vassals as their owners".to_owned());
    }
    let groups = if empire.tyrant_initgroups {
        privileges::groups_of(uid, gid).map_err(|error| format!("emperor-tyrant: {error}"))?
    } else {
        Vec::new()
    };
    Ok(Some(Owner { uid, gid, groups }))
}
