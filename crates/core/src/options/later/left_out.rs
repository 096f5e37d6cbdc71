//! Families that have no place here by design: other programs do their work better.

use super::{Family, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Spooler",
        support: left_out(
            "there is no spooler",
            "run a task queue (Celery, RQ, Dramatiq) as a service, or by attach-daemon",
        ),
        rows: "
spooler -Q | path | keep tasks as files in this directory, and run them
spooler-chdir | path | directory that tasks run in
spooler-external | path | hand tasks to the spooler of another instance
spooler-frequency spooler-freq | seconds=30 | how often a spooler looks for tasks
spooler-harakiri | seconds | longest time that a task may take
spooler-max-tasks | number | replace a spooler after this many tasks
spooler-ordered | flag | run tasks in the order of their names
spooler-processes | number=1! | processes of each spooler
spooler-quiet | flag | log no line for each task
",
    },
    Family {
        title: "Mules",
        support: left_out(
            "there are no mules",
            "start a thread in the app, or a program of its own by attach-daemon",
        ),
        rows: "
farm | text | group of mules that share messages, NAME:1,2
mule | text | start one mule, running this file or function
mule-harakiri | seconds | longest time that a mule's task may take
mule-msg-size | bytes=65536 | largest message to a mule
mule-reload-mercy | seconds=60 | how long a mule may take to end
mules | number | start this many mules
",
    },
    Family {
        title: "Signals of uWSGI",
        support: left_out(
            "workers have no uWSGI signals",
            "use cron, a thread of the app, or the scheduler of a task queue",
        ),
        rows: "
signal | text! | send a signal to a running server, and exit
signal-bufsize signals-bufsize | bytes | size of the queue of signals
signal-rbtimer rbtimer | text | raise a signal every so many seconds
signal-timer timer | text | raise a signal every so many seconds
",
    },
    Family {
        title: "Shared memory, queue, locks, RPC",
        support: left_out(
            "workers share no memory, queue, lock or function of the server's",
            "use Redis or the database, or Python's multiprocessing.shared_memory and file locks",
        ),
        rows: "
locks | number | locks for uwsgi.lock beside the first one
queue | number | slots of the queue that workers share
queue-blocksize | bytes=8192 | size of a slot of the queue
queue-store | path | file that keeps the queue over restarts
queue-store-sync | seconds | how often the queue's file is written
rpc-max | number=64 | functions that can be called from outside
sharedarea -A | number | pages of memory that workers share
",
    },
    Family {
        title: "Cache",
        support: left_out(
            "there is no cache in the server",
            "use Redis or memcached, or let nginx cache answers",
        ),
        rows: "
add-cache-item | text | put an item into the cache at start
cache | number | cache of this many items that workers share
cache-blocksize | bytes=65536 | largest item of the cache
cache-expire-freq | seconds=3 | how often old items are looked for
cache-no-expire | flag | keep old items
cache-report-freed-items | flag | log each item that grew too old
cache-store | path | file that keeps the cache over restarts
cache-store-sync | seconds | how often the cache's file is written
cache-sync | address | fill the cache from another server at start
cache-udp-node | address | send changes of the cache to this server
cache-udp-server | address | take changes of the cache on this address
cache-use-last-modified | flag | remember when each item was changed
cache2 | text | cache that workers share, with options
check-cache | text | answer from the cache what is there
load-file-in-cache | path | put a file into the cache at start
load-file-in-cache-gzip | path | put a file into the cache, compressed
",
    },
    Family {
        title: "Legion",
        support: left_out(
            "there is no cluster of servers",
            "let Kubernetes, Nomad or keepalived decide which machine does it",
        ),
        rows: "
legion | text | join a cluster that elects a lord
legion-death | text | action when the server leaves the legion
legion-death-on-lord-error | seconds | stay away after a failed action of the lord
legion-freq | seconds=3 | how often nodes greet each other
legion-join | text | action when the legion is complete
legion-lord | text | action when this node becomes lord
legion-mcast | text | join a legion by multicast
legion-node | text | name another node of the legion
legion-node-joined | text | action when a node comes
legion-node-left | text | action when a node goes
legion-quorum | text | votes that a lord needs
legion-scroll | text | text that this node tells the others
legion-scroll-list-max-size | bytes | largest list of such texts
legion-scroll-max-size | bytes | largest such text
legion-setup | text | action when the legion is set up
legion-skew-tolerance | seconds=60 | how far clocks may be apart
legion-tolerance | seconds=15 | how long a silent node counts
legion-unlord | text | action when this node is lord no more
",
    },
    Family {
        title: "Subscriptions and clusters",
        support: left_out(
            "apps announce themselves to nobody",
            "name the apps' sockets in the config of nginx or Apache",
        ),
        rows: "
auto-weight | flag | announce the number of workers as weight
multicast | address | join this multicast group
multicast-loop | number=1 | hear one's own multicast packets
multicast-ttl | number=1 | routers that a multicast packet may pass
start-unsubscribed | flag | announce nothing at start
subscribe-freq | seconds=10 | how often the app announces itself
subscribe-to st subscribe | text | announce the app to this router
subscribe-with-modifier1 | number | modifier to announce
subscribe2 | text | announce the app to this router, with options
subscription-algo | text=wrr | how routers spread requests over nodes
subscription-dotsplit | flag | take a.b.c for b.c when that is not announced
subscription-notify-socket | path | where routers tell of announcements
subscription-tolerance | seconds=17 | how long a silent node counts
subscriptions-credentials-check | path | directory of uids that may announce a name
subscriptions-sign-check | text | take signed announcements only
subscriptions-sign-check-tolerance | seconds=86400 | age that a signed announcement may have
subscriptions-sign-skip-uid | text | user whose announcements need no signature
subscriptions-use-credentials | flag | check the uid behind an announcement
udp | address | take packets of other servers on this address
unsubscribe-on-graceful-reload | flag | withdraw the announcement for a reload
weight | number=1 | weight of this node to announce
",
    },
    Family {
        title: "Zerg and Broodlord",
        support: left_out(
            "no second server joins the sockets of the first",
            "raise processes, or let cheaper add workers under load",
        ),
        rows: "
emperor-broodlord | number | start up to this many helpers for busy apps
zerg | path | take the sockets of this zerg server
zerg-fallback | flag | bind the sockets where there is no zerg server
zerg-server | path | lend the sockets to others on this path
zergpool zerg-pool | text | hold sockets for others, PATH:SOCKET
",
    },
    Family {
        title: "SNMP",
        support: left_out(
            "there is no SNMP agent",
            "read the numbers from stats, by an exporter",
        ),
        rows: "
snmp | address | answer SNMP on this address
snmp-community | text=public | community of SNMP
",
    },
];
