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
        title: "Busyness",
        support: later("use cheaper-algo = spare or backlog"),
        rows: "
cheaper-busyness-backlog-alert | number=33 | queue that starts emergency workers
cheaper-busyness-backlog-multiplier | number=3 | rounds that such a worker stays
cheaper-busyness-backlog-nonzero | seconds=60 | age of a queue that starts such workers
cheaper-busyness-backlog-step | number=1 | such workers at once
cheaper-busyness-max | number=50 | percent of time in requests that asks for a worker
cheaper-busyness-min | number=25 | percent that gives one up
cheaper-busyness-multiplier | number=10 | quiet rounds before a worker goes
cheaper-busyness-penalty | number=2 | rounds more for one that went too early
cheaper-busyness-verbose | flag | log what is decided
",
    },
];
