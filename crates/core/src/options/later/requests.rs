//! Families of requests, answers and numbers.

use super::{Family, harmless, later};

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
        title: "Websockets",
        support: later("serve websockets by an ASGI server beside this app"),
        rows: "
websockets-max-size | kibibytes=1024 | largest message of a websocket
websockets-ping-freq | seconds=30 | how often a websocket is probed
websockets-pong-tolerance | seconds=3 | how long it may take to answer
",
    },
    Family {
        title: "Bodies in chunks",
        support: harmless("chunked bodies are decoded, within the limits of all bodies"),
        rows: "
chunked-input-limit | bytes=1048576 | largest chunk of a request body
chunked-input-timeout | seconds | longest wait for a chunk
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
    Family {
        title: "Routes of answers",
        support: later("write the rule into nginx or the app; route works before the app"),
        rows: "
error-route | text | action before an error is sent, by path
error-route-host | text | action before an error is sent, by the Host header
error-route-if | text | action before an error is sent, on a condition
error-route-if-not | text | action before an error is sent, unless a condition holds
error-route-label | text | place that goto names, before an error is sent
error-route-qs | text | action before an error is sent, by query
error-route-referer | text | action before an error is sent, by the Referer header
error-route-remote-addr | text | action before an error is sent, by the client's address
error-route-remote-user | text | action before an error is sent, by the user
error-route-run | text | action before an error is sent, always
error-route-status | text | action before an error is sent, by status
error-route-uri | text | action before an error is sent, by URI
error-route-user-agent | text | action before an error is sent, by the client's program
final-route | text | action after the request, by path
final-route-host | text | action after the request, by the Host header
final-route-if | text | action after the request, on a condition
final-route-if-not | text | action after the request, unless a condition holds
final-route-label | text | place that goto names, after the request
final-route-qs | text | action after the request, by query
final-route-referer | text | action after the request, by the Referer header
final-route-remote-addr | text | action after the request, by the client's address
final-route-remote-user | text | action after the request, by the user
final-route-run | text | action after the request, always
final-route-status | text | action after the request, by status
final-route-uri | text | action after the request, by URI
final-route-user-agent | text | action after the request, by the client's program
response-route | text | action before an answer is sent, by path
response-route-host | text | action before an answer is sent, by the Host header
response-route-if | text | action before an answer is sent, on a condition
response-route-if-not | text | action before an answer is sent, unless a condition holds
response-route-label | text | place that goto names, before an answer is sent
response-route-qs | text | action before an answer is sent, by query
response-route-referer | text | action before an answer is sent, by the Referer header
response-route-remote-addr | text | action before an answer is sent, by the client's address
response-route-remote-user | text | action before an answer is sent, by the user
response-route-run | text | action before an answer is sent, always
response-route-status | text | action before an answer is sent, by status
response-route-uri | text | action before an answer is sent, by URI
response-route-user-agent | text | action before an answer is sent, by the client's program
",
    },
];
