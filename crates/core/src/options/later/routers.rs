//! Families of uWSGI's routers: processes that take connections for others.

use super::{Family, harmless, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Fastrouter",
        support: NO_ROUTER,
        rows: "
fastrouter | address | spread uwsgi requests over other servers
fastrouter-buffer-size | bytes | size of the router's buffers
fastrouter-cheap | flag | refuse connections while no node is there
fastrouter-events | number | events that the router takes at once
fastrouter-fallback | address | node for requests that fail elsewhere
fastrouter-fallback-on-no-key | flag | the same for names that nobody announced
fastrouter-gid | text | group of the router
fastrouter-gracetime | seconds=30 | when a dead node is tried again
fastrouter-harakiri | seconds | longest request
fastrouter-post-buffering | bytes | keep larger bodies on disk
fastrouter-post-buffering-dir | path | where bodies are kept
fastrouter-processes fastrouter-workers | number=1 | processes of the router
fastrouter-quiet | flag | log no failed connection
fastrouter-resubscribe | address | pass announcements on to this router
fastrouter-resubscribe-bind | address | address to pass them on from
fastrouter-stats fastrouter-stats-server fastrouter-ss | address | numbers of the router as JSON
fastrouter-subscription-fallback-key | text | name that stands in for unknown ones
fastrouter-subscription-server | address | take announcements on this address
fastrouter-subscription-slot | text | without effect in uWSGI, too
fastrouter-timeout | seconds=60 | wait this long for a silent side
fastrouter-to | address | node that requests go to
fastrouter-uid | text | user of the router
fastrouter-use-base | path | nodes are sockets in this directory
fastrouter-use-cache | text | look up the node in a cache
fastrouter-use-code-string | text | ask a function for the node
fastrouter-use-pattern | text | nodes are sockets of this pattern
fastrouter-use-socket | text | send everything to one of the own sockets
fastrouter-zerg | path | lend the router's socket by zerg
",
    },
    Family {
        title: "Rawrouter and sslrouter",
        support: NO_ROUTER,
        rows: "
rawrouter | address | spread TCP connections over other servers
rawrouter-buffer-size | bytes | size of the router's buffers
rawrouter-cheap | flag | refuse connections while no node is there
rawrouter-events | number | events that the router takes at once
rawrouter-fallback | address | node for connections that fail elsewhere
rawrouter-gracetime | seconds=30 | when a dead node is tried again
rawrouter-harakiri | seconds | longest connection
rawrouter-max-retries | number | other nodes to try
rawrouter-processes rawrouter-workers | number=1 | processes of the router
rawrouter-quiet | flag | log no failed connection
rawrouter-stats rawrouter-stats-server rawrouter-ss | address | numbers of the router as JSON
rawrouter-subscription-server | address | take announcements on this address
rawrouter-subscription-slot | text | without effect in uWSGI, too
rawrouter-timeout | seconds=60 | wait this long for a silent side
rawrouter-to | address | node that connections go to
rawrouter-use-base | path | nodes are sockets in this directory
rawrouter-use-cache | text | look up the node in a cache
rawrouter-use-code-string | text | ask a function for the node
rawrouter-use-pattern | text | nodes are sockets of this pattern
rawrouter-use-socket | text | send everything to one of the own sockets
rawrouter-xclient | flag | tell mail servers the client's address
rawrouter-zerg | path | lend the router's socket by zerg
sslrouter | text | spread TLS connections over other servers
sslrouter-buffer-size | bytes | size of the router's buffers
sslrouter-cheap | flag | refuse connections while no node is there
sslrouter-events | number | events that the router takes at once
sslrouter-fallback | address | node for connections that fail elsewhere
sslrouter-gracetime | seconds=30 | when a dead node is tried again
sslrouter-harakiri | seconds | longest connection
sslrouter-max-retries | number | other nodes to try
sslrouter-processes sslrouter-workers | number=1 | processes of the router
sslrouter-quiet | flag | log no failed connection
sslrouter-session-context | text | name that TLS sessions are kept under
sslrouter-sni | flag | choose the node by the TLS server name
sslrouter-stats sslrouter-stats-server sslrouter-ss | address | numbers of the router as JSON
sslrouter-subscription-server | address | take announcements on this address
sslrouter-timeout | seconds=60 | wait this long for a silent side
sslrouter-to | address | node that connections go to
sslrouter-use-base | path | nodes are sockets in this directory
sslrouter-use-cache | text | look up the node in a cache
sslrouter-use-code-string | text | ask a function for the node
sslrouter-use-pattern | text | nodes are sockets of this pattern
sslrouter-use-socket | text | send everything to one of the own sockets
sslrouter-zerg | path | lend the router's socket by zerg
sslrouter2 | text | spread TLS connections, with options
",
    },
    Family {
        title: "Nodes of the HTTP router",
        support: left_out(
            "HTTP requests that come here go to this app only",
            "spread requests over servers in nginx or Apache",
        ),
        rows: "
http-resubscribe | address | pass announcements on to this router
http-subscription-fallback-key | text | name that stands in for unknown ones
http-subscription-server | address | take announcements on this address
http-zerg | path | lend the router's socket by zerg
",
    },
    Family {
        title: "Processes of routers",
        support: harmless("the workers serve HTTP themselves; there is no router process"),
        rows: "
force-gateway | flag | run a router without a master
",
    },
];

const NO_ROUTER: super::Support = left_out(
    "there is no router process",
    "let nginx, HAProxy or Apache spread connections",
);
