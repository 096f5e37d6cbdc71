//! Families of sockets: protocols, TLS, tuning.

use super::{Family, harmless, later, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Other protocols",
        support: left_out(
            "only the uwsgi protocol and HTTP are spoken",
            "use socket or http-socket; nginx, Apache and lighttpd speak one of them",
        ),
        rows: "
fastcgi-modifier1 | number | modifier of FastCGI requests
fastcgi-modifier2 | number | second modifier of FastCGI requests
raw-modifier1 | number | modifier of raw connections
raw-modifier2 | number | second modifier of raw connections
scgi-modifier1 | number | modifier of SCGI requests
scgi-modifier2 | number | second modifier of SCGI requests
",
    },
    Family {
        title: "Modifiers",
        support: harmless("requests of Python apps have modifier 0; others are refused one by one"),
        rows: "
https-socket-modifier1 | number | modifier of requests of https-socket
https-socket-modifier2 | number | second modifier of requests of https-socket
",
    },
    Family {
        title: "TLS",
        support: later("let nginx or Apache speak TLS in front of the app"),
        rows: "
https-export-cert | flag | hand the client's certificate to the app
https-session-context | text | name that TLS sessions are kept under
sni | text | certificate for one server name
sni-dir | path | directory of certificates by server name
sni-dir-ciphers | text | ciphers for those
sni-regexp | text | certificate for server names of a pattern
ssl-enable-tlsv1 | flag | speak TLS 1.0
ssl-enable3 ssl-enable-sslv3 | flag | speak SSL 3
ssl-option | number | set an option of OpenSSL by its number
ssl-sessions-timeout ssl-session-timeout | seconds=300 | how long a TLS session may be resumed
ssl-sessions-use-cache ssl-session-use-cache | text | keep TLS sessions in a cache
ssl-tmp-dir | path | directory for temporary files of TLS
ssl-verbose | flag | log more about TLS errors
ssl-verify-depth | number | longest chain of certificates
",
    },
    Family {
        title: "Habits of sockets",
        support: harmless("connections are taken and handed on without it"),
        rows: "
no-fd-passing | flag | pass no descriptors over Unix sockets
",
    },
];
