//! Families of logs.

use super::{Family, harmless, later};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "More of logs",
        support: later("leave it to logrotate, journald or the log reader"),
        rows: "
log-4xx | flag | log requests that are answered 4xx
log-5xx | flag | log requests that are answered 5xx
log-backupname | path | name of the rotated log
log-big | bytes | log answers that are larger
log-date logdate log-prefix | text | put the time before each line
log-drain | text | drop lines that match
log-encoder | text | change each line before it is written
log-filter | text | keep only lines that match
log-ioerror | flag | log requests that broke
log-maxsize | bytes | rotate a log that is larger
log-micros | flag | tell microseconds
log-reopen | flag | open the log again at a reload
log-req-encoder | text | change each request line before it is written
log-req-route | text | send request lines that match to a logger
log-route | text | send lines that match to a logger
log-sendfile | flag | log requests for files
log-slow | milliseconds | log requests that take longer
log-socket | address | send the log to this socket
log-syslog | text | send the log to syslog
log-truncate | flag | begin with an empty log
log-x-forwarded-for | flag | log the address that X-Forwarded-For tells
log-zero | flag | log answers without a body
logfile-chmod | mode | mode of the log
logfile-chown | flag | give the log to the app's user
logformat-strftime log-format-strftime | flag | times in log-format are as log-date says
logger-req | text | where request lines go
stats-http | flag | put an HTTP head before stats
stats-minified stats-min | flag | stats without blanks
stats-no-cores | flag | stats without threads
",
    },
    Family {
        title: "The log's pipe",
        support: harmless("lines reach the log whole, whatever their length up to its limit"),
        rows: "
log-master-bufsize | bytes=8192 | longest line of the log
log-master-req-stream | flag | send request lines to the master as a stream
log-master-stream | flag | send lines to the master as a stream
rsyslog-packet-size | bytes=1024 | longest packet to syslog
rsyslog-split-messages | flag | send longer lines in several packets
threaded-logger | flag | write the log in a thread of the master
",
    },
];
