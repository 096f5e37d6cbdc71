//! Who an app runs as: its `uid` and `gid`, looked up before its interpreter is started.

use imperator_core::message::Failure;
use imperator_core::settings::Settings;
use imperator_core::why::CauseId;
use imperator_process::privileges::{self, Identity, IdentityError};

use crate::failure;

/// `None`: as this process.
///
/// # Errors
/// Who does not exist, or who we may not become, with the way out.
pub(crate) fn of(settings: &Settings) -> Result<Option<Identity>, Failure> {
    let limits = &settings.limits;
    let with_groups = |mut who: Identity| {
        // As in the original, groups that are named stand in for the user's own.
        if limits.no_initgroups || !limits.add_gids.is_empty() {
            who.groups.clear();
        }
        for group in &limits.add_gids {
            who.groups.push(privileges::group(group)?);
        }
        who.groups.dedup();
        Ok(who)
    };
    let who = privileges::identity(settings.uid.as_deref(), settings.gid.as_deref());
    let who = who.and_then(|who| who.map(with_groups).transpose());
    who.map_err(|error| {
        let cause = match &error {
            IdentityError::NoUser(_) | IdentityError::NoGroup(_) => CauseId::UnknownUser,
            IdentityError::NotRoot { .. } => CauseId::Permission,
            IdentityError::Lookup { .. } => CauseId::Other,
        };
        let hint = match &error {
            IdentityError::NoUser(name) => {
                format!("make the user (adduser --system {name}), or set uid to another one")
            }
            IdentityError::NoGroup(name) => {
                format!("make the group (addgroup --system {name}), or set gid to another one")
            }
            IdentityError::NotRoot { .. } => "start as root, or remove uid and gid".to_owned(),
            IdentityError::Lookup { .. } => "look at nsswitch.conf and its services".to_owned(),
        };
        failure::at(
            settings,
            &["uid", "gid", "add-gid"],
            error.to_string(),
            hint,
        )
        .of(cause)
    })
}
