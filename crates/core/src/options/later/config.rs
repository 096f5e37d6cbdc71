//! Families of the config language and of the command line.

use super::{Family, harmless, later};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "More of the config language",
        support: later("write the lines out in the ini file"),
        rows: "
inject-after | path! | put a file's text behind the config
inject-before | path! | put a file's text before the config
",
    },
    Family {
        title: "Looks at the config",
        support: later("use imperator check and imperator explain"),
        rows: "
dump-options | flag | print all options
",
    },
    Family {
        title: "Locks of the start",
        support: harmless("an app's sockets and pid file already tell a second start who runs"),
        rows: "
flock | path! | end when this file is locked
flock-wait | path! | wait until this file is not locked
flock-wait2 | path! | the same, later in the start
flock2 | path! | end when this file is locked, later in the start
",
    },
    Family {
        title: "Values for the app",
        support: later("use env, and os.environ in the app"),
        rows: "
mode | text | text that the app finds as uwsgi.mode
",
    },
];
