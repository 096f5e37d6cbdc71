//! One whole look at a vassal's path. It may hang with a file system, so the monitor has it done
//! elsewhere where that may be.

use std::path::Path;

use imperator_core::settings::empire::Empire;

use super::file::{Link, Stamp, Stand, Text, link, read, stand};
use crate::tyrant;

/// A vassal's path: what stands there.
pub(super) struct Found {
    pub link: Option<Link>,
    /// `None`: nothing, or it came between our two looks.
    pub stand: Option<Stand>,
    /// Under `emperor-tyrant`.
    pub owner: Option<(u32, u32)>,
    /// `None`: it was not to be read.
    pub text: Option<Text>,
}

/// Looks at a vassal's path. What stands there is not read when stamp and owner are `known`.
pub(super) fn find(
    path: &Path,
    empire: &Empire,
    known: Option<(Stamp, Option<(u32, u32)>)>,
) -> Found {
    let link = link(path);
    let stand = match link.as_ref().filter(|_| empire.nofollow) {
        Some(link) => Some(Stand {
            stamp: link.stamp,
            unfit: None,
            dangling: false,
        }),
        None => stand(path),
    };
    let owner = tyrant::owner_of(path, empire);
    let text = stand.as_ref().and_then(|stand| {
        let same = known == Some((stand.stamp, owner));
        (!same).then(|| stand.unfit.clone().map_or_else(|| read(path), Err))
    });
    Found {
        link,
        stand,
        owner,
        text,
    }
}
