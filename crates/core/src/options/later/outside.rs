//! Families of what happens around an app.

use super::{Family, harmless, later, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Descriptors",
        support: left_out(
            "only sockets that the config names are inherited",
            "use touch-reload, and let systemd pass sockets",
        ),
        rows: "
alarm-fd | text | raise an alarm when a descriptor is ready
brutal-reload-on-fd | text | reload at once when a descriptor is ready
reload-on-fd | text | reload when a descriptor is ready
safe-fd fd-safe | number | leave this descriptor open
",
    },
    Family {
        title: "Threads of alarms",
        support: harmless("alarms hold nobody up"),
        rows: "
alarm-cheap | flag | send alarms by one thread
",
    },
    Family {
        title: "Mounted file systems",
        support: later("bind the unit to the mount by RequiresMountsFor"),
        rows: "
mountpoint-check check-mountpoint check-mount mount-check | path | end when this mount does not answer
",
    },
    Family {
        title: "Network interfaces",
        support: later("order the unit behind network-online.target"),
        rows: "
wait-for-interface wait-interface wait-for-iface wait-iface | text | wait for a network interface
wait-for-interface-timeout wait-interface-timeout wait-for-iface-timeout wait-iface-timeout | seconds=60 | how long
",
    },
    Family {
        title: "Packets to syslog",
        support: harmless("lines reach syslog whole, up to the limit of a line"),
        rows: "
rsyslog-packet-size | bytes=1024 | longest packet to syslog
rsyslog-split-messages | flag | send longer lines in several packets
",
    },
    Family {
        title: "Crashes",
        support: harmless("a worker that crashes is named with its signal, and leaves a core where the system wants it"),
        rows: "
use-abort | flag | leave a core at a crash
",
    },
];
