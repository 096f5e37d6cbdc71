//! Rows: rights that an app keeps. One that runs as a user of its own has no capability at all, which
//! is less than `cap` would leave it; one that stays root would have all of them, so that is an error.

use super::Support::Differs;
use super::{Draft, Opt, Value, opt};
use crate::finding::Finding;

pub(super) static OPTIONS: &[Opt] = &[opt(
    "cap",
    Value::Text,
    Differs("an app with a uid keeps no capability; without a uid it is an error"),
    "keep only these capabilities",
    |draft, given| {
        draft.capabilities = Some(given.place.clone());
        Ok(())
    },
)];

/// Whether the app is as confined as `cap` says.
pub(super) fn check(draft: &Draft, findings: &mut Vec<Finding>) {
    let Some(place) = &draft.capabilities else {
        return;
    };
    let place = place.known();
    if draft.settings.uid.is_some() {
        let text = "option \"cap\" keeps nothing: as another user the app has no capability";
        let hint = "low ports are bound before; for more, let systemd set AmbientCapabilities";
        findings.push(Finding::warning(place, text).with_hint(hint));
    } else {
        let text = "option \"cap\" would leave a root app all its capabilities";
        let hint = "add uid, or let systemd confine the service";
        findings.push(Finding::error(place, text).with_hint(hint));
    }
}
