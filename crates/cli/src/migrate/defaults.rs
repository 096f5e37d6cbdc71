//! Defaults that are others than uWSGI's, told by `migrate` where they reach an app.

use imperator_core::config::Listed;
use imperator_core::options::is_true;
use imperator_core::settings::Settings;

pub(crate) struct Default {
    /// An app that sets one of these has decided for itself.
    unless: &'static [&'static str],
    /// Whether it makes a difference for this app.
    matters: fn(&Settings) -> bool,
    pub(crate) text: &'static str,
    /// The line that brings uWSGI's value back; empty where there is none.
    pub(crate) back: &'static str,
}

impl Default {
    pub(crate) fn reaches(&self, listed: &[Listed], settings: &Settings) -> bool {
        let sets = |name: &&str| listed.iter().any(|option| option.key == **name);
        let as_before = !self.back.is_empty() && is_original(listed);
        (self.matters)(settings) && !as_before && !self.unless.iter().any(sets)
    }
}

/// `original-defaults` brings all of them back at once.
fn is_original(listed: &[Listed]) -> bool {
    let mut switches = listed.iter().filter(|option| option.key == SWITCH);
    switches.next().is_some_and(|option| is_true(&option.value))
}

pub(crate) const SWITCH: &str = "original-defaults";

fn always(_: &Settings) -> bool {
    true
}

fn speaks_http(settings: &Settings) -> bool {
    use imperator_core::settings::Protocol;
    let mut listens = settings.listens.iter();
    listens.any(|listen| listen.protocol == Protocol::Http)
}

pub(crate) static DEFAULTS: &[Default] = &[
    Default {
        unless: &["need-app"],
        matters: always,
        text: "an app that cannot be loaded fails its start or reload (the old code serves on); uWSGI served 500 for everything",
        back: "need-app = false",
    },
    Default {
        unless: &["die-on-term", "hook-master-start"],
        matters: always,
        text: "SIGTERM stops gracefully; uWSGI reloaded brutally",
        back: "",
    },
    Default {
        unless: &["listen", "l"],
        matters: always,
        text: "the listen queue is 1024 long, or as long as net.core.somaxconn allows; uWSGI's was 100",
        back: "listen = 100",
    },
    Default {
        unless: &["buffer-size", "b"],
        matters: always,
        text: "request headers may have 32 KiB; uWSGI refused more than 4 KiB",
        back: "buffer-size = 4096",
    },
    Default {
        unless: &["vacuum"],
        matters: always,
        text: "socket files are removed at the end; uWSGI left them",
        back: "vacuum = false",
    },
    Default {
        unless: &[
            "auto-procname",
            "procname",
            "procname-prefix",
            "procname-prefix-spaced",
        ],
        matters: always,
        text: "ps shows what each process of the app is",
        back: "auto-procname = false",
    },
    Default {
        unless: &[
            "disable-write-exception",
            "ignore-write-errors",
            "write-errors-exception-only",
        ],
        matters: always,
        text: "a client that leaves raises nothing in the app; uWSGI raised OSError",
        back: "disable-write-exception = false",
    },
    Default {
        unless: &["enable-threads", "threads"],
        matters: always,
        text: "threads of the app run; uWSGI froze them without enable-threads",
        back: "",
    },
    Default {
        unless: &["single-interpreter"],
        matters: |settings| settings.mounts.len() > 1,
        text: "all mounts share one interpreter; uWSGI made a sub-interpreter for each",
        back: "",
    },
    Default {
        unless: &["py-call-uwsgi-fork-hooks", "lazy-apps", "lazy"],
        matters: |settings| settings.processes > 1,
        text: "os.register_at_fork works in workers; uWSGI ran no fork hooks",
        back: "",
    },
    Default {
        unless: &["http-keepalive"],
        matters: speaks_http,
        text: "HTTP requests are read strictly (RFC 9112): what could be smuggled past a proxy is answered 400",
        back: "",
    },
    Default {
        unless: &[],
        matters: always,
        text: "UWSGI_FILE and the other loader variables of a request have no effect",
        back: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that bring uWSGI's values back say what `original-defaults` says.
    #[test]
    fn the_way_back_leads_to_the_originals_values() {
        let original = Settings::of_uwsgi();
        let expected = [
            format!("need-app = {}", original.need_app),
            format!("listen = {}", original.backlog),
            format!("buffer-size = {}", original.buffer_size),
            format!("vacuum = {}", original.vacuum),
            format!("auto-procname = {}", original.auto_procname),
            format!("disable-write-exception = {}", !original.write_exception),
        ];
        let backs = DEFAULTS.iter().map(|default| default.back);
        let backs: Vec<&str> = backs.filter(|back| !back.is_empty()).collect();
        assert_eq!(backs, expected);
    }
}
