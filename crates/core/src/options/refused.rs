//! Rows: what confines an app. To ignore such a line would run the app with more rights than its
//! config gives it, in silence; so it is an error until we can do it.

use super::{Opt, Value, nothing, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "cap",
        Value::Text,
        INSTEAD,
        "keep only these capabilities",
        nothing,
    ),
    opt(
        "chroot",
        Value::Path,
        INSTEAD,
        "change the root directory",
        nothing,
    ),
    opt(
        "namespace",
        Value::Path,
        INSTEAD,
        "run in a namespace of its own",
        nothing,
    )
    .aka(&["ns"]),
    opt(
        "pivot-root",
        Value::Text,
        INSTEAD,
        "change the root directory",
        nothing,
    )
    .aka(&["pivot_root"]),
    opt("setns", Value::Path, INSTEAD, "join a namespace", nothing),
    opt(
        "unshare",
        Value::Text,
        INSTEAD,
        "leave shared namespaces",
        nothing,
    )
    .aka(&["unshare2"]),
];

const INSTEAD: super::Support = super::Support::Refused {
    why: "it confines the app, and that is left to the service manager",
    instead: "let systemd confine the service, or run the app in a container",
    stops: true,
};
