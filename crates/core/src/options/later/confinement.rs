//! Families of what confines an app, and of what belongs to the machine. To ignore the first would
//! run an app with more rights than its config gives it, in silence; so it is an error.

use super::super::Support::Refused;
use super::{Family, harmless, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Confinement",
        support: Refused {
            why: "it confines the app, and that is left to the service manager",
            instead: "let systemd confine the service, or run the app in a container",
            stops: true,
        },
        rows: "
chroot | path | change the root directory
emperor-cap vassals-cap vassal-cap | text | keep only these capabilities for vassals
namespace ns | path | run in a namespace of its own
namespace-net ns-net | text | join a network namespace
pivot-root pivot_root | text | change the root directory
setns | path | join a namespace
unshare unshare2 | text | leave shared namespaces
",
    },
    Family {
        title: "Namespaces, control groups, mounts",
        support: left_out(
            "namespaces, control groups and mounts are left to the service manager",
            "let systemd set them up for the service, or run the app in a container",
        ),
        rows: "
emperor-use-clone | text | start vassals in namespaces of their own
mount-as-emperor | text | mount something after a vassal's start
mount-as-vassal | text | mount something before a vassal's start
namespace-keep-mount | path | keep a mount in the new namespace
refork re-fork | flag | fork again after rights are dropped
refork-as-root re-fork-as-root | flag | fork again before rights are dropped
refork-post-jail re-fork-post-jail | flag | fork again after confinement
setns-preopen | flag | open the own namespaces early
setns-socket | path | lend the own namespaces to others on this path
setns-socket-skip setns-skip | text | lend all but this namespace
umount-as-emperor | text | unmount something after a vassal's start
umount-as-vassal | text | unmount something before a vassal's start
",
    },
    Family {
        title: "FreeBSD",
        support: harmless("this is not FreeBSD, and uWSGI does not know it on Linux either"),
        rows: "
jail | path | run in this FreeBSD jail
jail-attach | text | join a FreeBSD jail
jail-ip4 | text | IPv4 address of the jail
jail-ip6 | text | IPv6 address of the jail
jail2 libjail | text | option of the jail
jidfile jid-file | path | write the jail's number to this file
",
    },
];
