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
fastcgi-nph-socket | address | listen for FastCGI, answers with a status line
fastcgi-socket | address | listen for FastCGI on this address
puwsgi-socket | address | listen for uwsgi requests on kept connections
raw-modifier1 | number | modifier of raw connections
raw-modifier2 | number | second modifier of raw connections
raw-socket | address | hand connections to the app as they are
scgi-modifier1 | number | modifier of SCGI requests
scgi-modifier2 | number | second modifier of SCGI requests
scgi-nph-socket | address | listen for SCGI, answers with a status line
scgi-socket | address | listen for SCGI on this address
",
    },
    Family {
        title: "Modifiers",
        support: harmless("requests of Python apps have modifier 0; others are refused one by one"),
        rows: "
allowed-modifiers | text | modifiers that requests may have
http-modifier1 | number | modifier of requests of the HTTP router
http-modifier2 | number | second modifier of requests of the HTTP router
http-socket-modifier1 | number | modifier of requests of http-socket
http-socket-modifier2 | number | second modifier of requests of http-socket
https-socket-modifier1 | number | modifier of requests of https-socket
https-socket-modifier2 | number | second modifier of requests of https-socket
remap-modifier | text | take one modifier for another, OLD:NEW
",
    },
    Family {
        title: "TLS",
        support: later("let nginx or Apache speak TLS in front of the app"),
        rows: "
http-to-https | address | send plain HTTP requests to HTTPS
https | text | listen for HTTPS, ADDRESS,CERT,KEY[,CIPHERS]
https-export-cert | flag | hand the client's certificate to the app
https-session-context | text | name that TLS sessions are kept under
https-socket | text | listen for HTTPS in the workers, ADDRESS,CERT,KEY
https2 | text | listen for HTTPS, with options
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
suwsgi-socket ssl-socket | text | listen for the uwsgi protocol over TLS
",
    },
    Family {
        title: "Sockets bound early",
        support: later("name the address in socket itself: sockets are bound before rights are dropped"),
        rows: "
shared-socket undeferred-shared-socket | address | bind an address that sockets name as =0, =1 …
",
    },
    Family {
        title: "Sockets of some workers",
        support: later("split the app into two configs"),
        rows: "
map-socket | text | let only these workers accept on a socket, 0:1,2
",
    },
    Family {
        title: "Socket buffers and flags",
        support: later("the system's settings (sysctl net.core, net.ipv4) stand in for most of them"),
        rows: "
freebind | flag | bind addresses that the machine does not have yet
reuse-port | flag | let other servers bind the same port
so-keepalive | flag | probe silent TCP connections
so-send-timeout socket-send-timeout so-write-timeout socket-write-timeout | seconds | longest write to a client
socket-rcvbuf | bytes | size of receive buffers
socket-sndbuf | bytes | size of send buffers
tcp-fast-open tcp-fastopen | number | take requests with the first TCP packet
tcp-nodelay | flag | send small answers at once
",
    },
    Family {
        title: "Habits of sockets",
        support: harmless("connections are taken and handed on without it"),
        rows: "
no-defer-accept | flag | accept TCP connections before they send something
no-fd-passing | flag | pass no descriptors over Unix sockets
shutdown-sockets | flag | shut listening sockets down at the end
",
    },
];
