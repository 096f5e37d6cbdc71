//! Families of requests, answers and numbers.

use super::{Family, later};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Metrics",
        support: later("read the numbers from stats, by an exporter"),
        rows: "
carbon | address | send numbers to this Graphite server
carbon-freq | seconds=60 | how often they are sent
carbon-hostname-dots | text | what stands for dots of the machine's name
carbon-id | text | name of the app in Graphite
carbon-idle-avg | text=last | average that an idle app has
carbon-max-retry | number=1 | how often a failed send is tried again
carbon-name-resolve carbon-resolve-names | flag | the server may be a name
carbon-no-workers | flag | send no numbers of single workers
carbon-retry-delay | seconds=7 | pause before it is tried again
carbon-root | text=uwsgi | root of the names in Graphite
carbon-timeout | seconds=3 | longest wait for the server
carbon-use-metrics | flag | send metrics instead
enable-metrics | flag | count more, by name
metric | text | define a number by name
metric-threshold metric-alarm alarm-metric | text | raise an alarm when a number passes a mark
metrics-dir metric-dir | path | write each number to a file of this directory
metrics-dir-restore metric-dir-restore | flag | go on from the numbers in those files
metrics-no-cores | flag | count nothing for single threads
stats-push | text | send stats to this place
stats-pusher-default-freq stats-pushers-default-freq | seconds=3 | how often they are sent
",
    },
    Family {
        title: "Answers",
        support: later("do it in the app, or in nginx"),
        rows: "
exception-handler | text | tell a handler of exceptions
",
    },
    Family {
        title: "Notes to a socket",
        support: later("use a log socket, or hooks"),
        rows: "
notify-socket | address | log what is sent to this socket
",
    },
];
