//! Rows of what has no effect: what is not here yet, what is left out by design, what is harmless
//! to ignore. Families share a reason; each name has a line of its own, in text, because a table of
//! 600 must be readable at a glance.

mod confinement;
mod left_out;
mod plugins;
mod requests;
mod routers;
mod sockets;
mod tools;

use std::sync::LazyLock;

use super::{Opt, Support, Value, nothing, opt};

/// Options that are not here for one reason.
#[derive(Debug)]
pub struct Family {
    pub title: &'static str,
    pub support: Support,
    /// One line for each option: `name alias -s | value=default | what it did`. A `!` behind the
    /// value: it is acted on as soon as it is read.
    rows: &'static str,
}

/// All families, by topic.
static FAMILIES: &[&[Family]] = &[
    left_out::FAMILIES,
    routers::FAMILIES,
    sockets::FAMILIES,
    confinement::FAMILIES,
    requests::FAMILIES,
    tools::FAMILIES,
    plugins::FAMILIES,
];

/// Each family with its rows. They are read once.
pub fn families() -> &'static [(&'static Family, Vec<Opt>)] {
    static READ: LazyLock<Vec<(&Family, Vec<Opt>)>> = LazyLock::new(|| {
        let families = FAMILIES.iter().copied().flatten();
        families.map(|family| (family, family.read())).collect()
    });
    &READ
}

/// The rows of all families.
pub(super) fn rows() -> impl Iterator<Item = &'static Opt> {
    families()
        .iter()
        .flat_map(|(_, rows)| rows)
        .chain(UNTOLD.iter())
}

impl Family {
    /// # Panics
    /// Where a line is not as [`Family::rows`] says; a test reads them all.
    fn read(&self) -> Vec<Opt> {
        let lines = self.rows.lines().filter(|line| !line.is_empty());
        lines.map(|line| read(line, self.support)).collect()
    }
}

fn read(line: &'static str, support: Support) -> Opt {
    let fields: Vec<&str> = line.split(" | ").collect();
    let [names, value, help] = fields[..] else {
        panic!("no row of three fields: {line}");
    };
    let (value, immediate) = match value.strip_suffix('!') {
        Some(value) => (value, true),
        None => (value, false),
    };
    let (value, default) = value.split_once('=').unwrap_or((value, ""));
    let short = |name: &&str| name.len() == 2 && name.starts_with('-');
    let (shorts, mut names): (Vec<&str>, Vec<&str>) = names.split(' ').partition(short);
    let name = names.remove(0);
    Opt {
        // Read once, and kept as long as the program runs.
        aliases: names.leak(),
        short: shorts.first().and_then(|short| short.chars().nth(1)),
        immediate,
        default,
        ..opt(name, value_of(value), support, help, nothing)
    }
}

fn value_of(word: &str) -> Value {
    match word {
        "address" => Value::Address,
        "bytes" => Value::Bytes,
        "flag" => Value::Flag,
        "kibibytes" => Value::Kibibytes,
        "mebibytes" => Value::Mebibytes,
        "milliseconds" => Value::Milliseconds,
        "mode" => Value::Mode,
        "none" => Value::Nothing,
        "number" => Value::Number,
        "pair" => Value::Pair,
        "path" => Value::Path,
        "seconds" => Value::Seconds,
        "text" => Value::Text,
        other => panic!("no kind of value: {other}"),
    }
}

/// Left out by design; the app runs without it.
const fn left_out(why: &'static str, instead: &'static str) -> Support {
    Support::Refused {
        why,
        instead,
        stops: false,
    }
}

const fn later(meanwhile: &'static str) -> Support {
    Support::Later(meanwhile)
}

const fn harmless(why: &'static str) -> Support {
    Support::Ignored(why)
}

/// Names without a line of their own.
static UNTOLD: LazyLock<Vec<Opt>> = LazyLock::new(|| {
    let names = TEXT.split_ascii_whitespace();
    names
        .map(|name| opt(name, Value::Text, later("do without it"), "", nothing))
        .collect()
});

const TEXT: &str = "
abstract-socket add-gid add-header alarm-cheap alarm-fd async asyncio attach-control-daemon
attach-daemon attach-daemon2 binary-path binsh blacklist brutal-reload-on-fd chdir2 cheap
cheaper cheaper-algo cheaper-initial cheaper-overload cheaper-rss-limit-hard
cheaper-rss-limit-soft cheaper-step check-mount check-mountpoint check-static
check-static-docroot cpu-affinity cron cron-harakiri cron2 daemons-honour-stdin declare-option
declare-option2 del-header die-on-idle drop-after-apps drop-after-init dump-options
early-emperor early-envdir emperor-chdir-attr emperor-collect-attribute emperor-command-socket
emperor-extra-ext emperor-extra-extension emperor-fork-server-attr emperor-magic-exec
emperor-on-demand-dir emperor-on-demand-directory emperor-on-demand-exec emperor-on-demand-ext
emperor-on-demand-extension emperor-proxy-socket emperor-trigger-socket emperor-use-fork-server
emperor-wait-for-command emperor-wrapper emperor-wrapper-attr emperor-wrapper-fallback
emperor-wrapper-override enable-proxy-protocol end-blacklist end-whitelist envdir error-page-403
error-page-404 error-page-500 error-route error-route-host error-route-if error-route-if-not
error-route-label error-route-qs error-route-referer error-route-remote-addr
error-route-remote-user error-route-run error-route-status error-route-uri
error-route-user-agent eval evil-reload-on-as evil-reload-on-rss exec-as-emperor exec-as-root
exec-as-user exec-as-user-atexit exec-as-vassal exec-asap exec-in-jail exec-post-app
exec-post-jail exec-pre-app exec-pre-jail exit exit-on-reload fallback-config fd-safe
file-serve-mode file-write fileserve-mode final-route final-route-host final-route-if
final-route-if-not final-route-label final-route-qs final-route-referer final-route-remote-addr
final-route-remote-user final-route-run final-route-status final-route-uri
final-route-user-agent flock flock-wait flock-wait2 flock2 for-glob for-readline force-cwd
fs-brutal-reload fs-reload get gevent gevent-early-monkey-patch gevent-monkey-patch
gevent-wait-for-hub harakiri-graceful-signal harakiri-graceful-timeout harakiri-no-arh
harakiri-queue-threshold heartbeat help honour-range honour-stdin hook-accepting
hook-accepting-once hook-accepting1 hook-accepting1-once hook-as-emperor
hook-as-emperor-before-vassal hook-as-emperor-setns hook-as-on-config-vassal
hook-as-on-demand-vassal hook-as-root hook-as-user hook-as-user-atexit hook-as-vassal
hook-as-vassal-before-drop hook-asap hook-emperor-lost hook-emperor-reload hook-emperor-start
hook-emperor-stop hook-in-jail hook-master-start hook-post-app hook-post-fork hook-post-jail
hook-pre-app hook-pre-jail hook-touch http-auto-chunked http-auto-gzip
http-enable-proxy-protocol http-harakiri http-headers-timeout http-manage-expect
http-server-name-as-http-host http-to http-var httprouter idle if-hostname-match
if-not-hostname-match immediate-gid immediate-uid import ini-paste ini-paste-logged inject-after
inject-before iprint js json ksm lazy limit-as limit-nproc log-4xx log-5xx log-backupname
log-big log-date log-drain log-encoder log-filter log-format-strftime log-ioerror
log-master-bufsize log-master-req-stream log-master-stream log-maxsize log-micros log-prefix
log-reopen log-req-encoder log-req-route log-route log-sendfile log-slow log-socket log-syslog
log-truncate log-x-forwarded-for log-zero logdate logfile-chmod logfile-chown logformat-strftime
logger-req loop master-as-root master-fifo max-fd max-vars max-worker-lifetime
max-worker-lifetime-delta mime-file mimefile mode mount-check mountpoint-check never-swap
no-harakiri-after-req-hook no-harakiri-arh no-initgroups no-server no-site optimize paste
paste-logger pecan post-pymodule-alias print prio procname procname-append procname-master
procname-prefix procname-prefix-spaced pump py py-auto-reload py-auto-reload-ignore
py-autoreload py-executable py-import py-program-name py-programname py-sys-executable
py-tracebacker pyargv pyimport pymodule-alias pyrun pyshell pyshell-oneshot python-auto-reload
python-autoreload python-import python-raw reaper reload-mercy reload-on-as reload-on-exception
reload-on-exception-repr reload-on-exception-type reload-on-exception-value reload-on-fd
reload-os-env rem-header resolve response-route response-route-host response-route-if
response-route-if-not response-route-label response-route-qs response-route-referer
response-route-remote-addr response-route-remote-user response-route-run response-route-status
response-route-uri response-route-user-agent route route-host route-if route-if-not route-label
route-qs route-referer route-remote-addr route-remote-user route-run route-uri route-user-agent
safe-fd shared-import shared-py-import shared-pyimport shared-python-import show-config
skip-atexit skip-atexit-teardown smart-attach-daemon smart-attach-daemon2 start_response-nodelay
static-cache-paths static-cache-paths-name static-check static-expires static-expires-mtime
static-expires-path-info static-expires-path-info-mtime static-expires-type
static-expires-type-mtime static-expires-uri static-expires-uri-mtime static-gzip
static-gzip-all static-gzip-dir static-gzip-ext static-gzip-prefix static-gzip-suffix
static-index static-map2 static-safe static-skip-ext stats-http stats-min stats-minified
stats-no-cores test thread-stack-size thread-stacksize threaded-logger threads-stack-size
threads-stacksize touch-chain-reload touch-exec touch-logreopen touch-logrotate
touch-workers-reload umask unenv unique-cron usage use-abort vassal-fork-base version
wait-for-dir wait-for-file wait-for-fs wait-for-fs-timeout wait-for-iface wait-for-iface-timeout
wait-for-interface wait-for-interface-timeout wait-for-mountpoint wait-for-socket
wait-for-socket-timeout wait-iface wait-iface-timeout wait-interface wait-interface-timeout web3
whitelist write-errors-exception-only write-errors-tolerance wsgi-accept-buffer
wsgi-accept-buffers wsgi-disable-file-wrapper wsgi-env-behavior wsgi-env-behaviour wsgi-lite
wsgi-strict xml xmlconfig yaml yml zeus
";
