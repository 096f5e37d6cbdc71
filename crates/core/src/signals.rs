//! The one table of signals: what each does to an emperor, a master and a worker, here and in the
//! original. The emperor's loop obeys it and `docs/signals.md` is generated from it.

use std::fmt::Write as _;

/// What a signal makes one of our processes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A new generation beside the old one; of an emperor: for all apps, few at once.
    Reload,
    /// Finish what runs, then end; a second one ends at once.
    Stop,
    /// Write a readable status to the log.
    Status,
    /// Write a line to the log, nothing else.
    Log,
    /// Stop accepting, or accept again.
    Pause,
    /// Look at all files now.
    Rescan,
    /// Try again now what waits after a failure.
    Retry,
    /// Tell what ended.
    Reap,
    /// Ask the master for a successor, then drain.
    Drain,
    /// Write the stacks of all Python threads to the log.
    Stacks,
    Ignore,
    /// What the kernel does with it.
    Default,
}

impl Act {
    fn text(self, who: Who) -> &'static str {
        match (self, who) {
            (Self::Reload, Who::Emperor) => "graceful reload of all apps, few at once",
            (Self::Reload, Who::Master | Who::Worker) => "graceful reload: a new generation",
            (Self::Stop, Who::Emperor) => "graceful stop of all apps; a second one: stop now",
            (Self::Stop, Who::Master | Who::Worker) => "graceful stop; a second one: stop now",
            (Self::Status, _) => "logs a readable status",
            (Self::Log, _) => "logs that it came",
            (Self::Pause, Who::Emperor) => "all apps stop accepting; again: go on",
            (Self::Pause, Who::Master | Who::Worker) => "stops accepting; again: goes on",
            (Self::Rescan, _) => "looks at all vassal files now",
            (Self::Retry, _) => "retries now what waits after a failure",
            (Self::Reap, _) => "reaps its children",
            (Self::Drain, _) => "drains: answers what it has accepted, then ends",
            (Self::Stacks, _) => "logs the stacks of its Python threads",
            (Self::Ignore, _) => "ignored",
            (Self::Default, _) => "the kernel's default",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Emperor,
    Master,
    Worker,
}

/// One signal.
#[derive(Debug, Clone, Copy)]
pub struct Signal {
    pub name: &'static str,
    /// Its number on Linux for x86, Arm, RISC-V and POWER; `None` for a real-time signal, whose
    /// number the C library decides.
    pub number: Option<i32>,
    pub emperor: Act,
    pub master: Act,
    pub worker: Act,
    /// What the original's Emperor, master and worker do.
    pub original: [&'static str; 3],
}

/// Deaths of children: no config may give it another meaning.
pub const CHLD: i32 = 17;

pub const SIGNALS: &[Signal] = &[
    Signal {
        name: "HUP",
        number: Some(1),
        emperor: Act::Reload,
        master: Act::Reload,
        worker: Act::Drain,
        original: [
            "reloads all vassals at once",
            "graceful reload",
            "finishes its request, exits 17",
        ],
    },
    Signal {
        name: "INT",
        number: Some(2),
        emperor: Act::Stop,
        master: Act::Stop,
        worker: Act::Drain,
        original: [
            "stops all, cutting requests",
            "stops now, cutting requests",
            "exits at once",
        ],
    },
    Signal {
        name: "QUIT",
        number: Some(3),
        emperor: Act::Stop,
        master: Act::Stop,
        worker: Act::Drain,
        original: [
            "stops all, cutting requests",
            "stops now; with die-on-term a brutal reload",
            "terminates",
        ],
    },
    Signal {
        name: "TERM",
        number: Some(15),
        emperor: Act::Stop,
        master: Act::Stop,
        worker: Act::Drain,
        original: [
            "stops all, cutting requests",
            "brutal reload; with die-on-term a stop",
            "exits at once",
        ],
    },
    Signal {
        name: "USR1",
        number: Some(10),
        emperor: Act::Status,
        master: Act::Status,
        worker: Act::Ignore,
        original: [
            "logs its vassals",
            "logs options and counters",
            "logs its counters",
        ],
    },
    Signal {
        name: "USR2",
        number: Some(12),
        emperor: Act::Log,
        master: Act::Log,
        worker: Act::Ignore,
        original: ["dies", "dies", "logs its request and a C backtrace"],
    },
    Signal {
        name: "TSTP",
        number: Some(20),
        emperor: Act::Pause,
        master: Act::Pause,
        worker: Act::Ignore,
        original: [
            "stopped by the kernel",
            "pauses all workers; again: resumes",
            "pauses before the next accept",
        ],
    },
    Signal {
        name: "WINCH",
        number: Some(28),
        emperor: Act::Rescan,
        master: Act::Ignore,
        worker: Act::Ignore,
        original: ["scans its vassals", "ignored", "wakes up from accept"],
    },
    Signal {
        name: "URG",
        number: Some(23),
        emperor: Act::Retry,
        master: Act::Retry,
        worker: Act::Ignore,
        original: ["clears its blacklist", "ignored", "ignored"],
    },
    Signal {
        name: "ALRM",
        number: Some(14),
        emperor: Act::Ignore,
        master: Act::Ignore,
        worker: Act::Default,
        original: ["dies", "dies", "exits when it has no master"],
    },
    Signal {
        name: "PIPE",
        number: Some(13),
        emperor: Act::Ignore,
        master: Act::Ignore,
        worker: Act::Ignore,
        original: ["ignored", "ignored", "logs a line"],
    },
    Signal {
        name: "CHLD",
        number: Some(17),
        emperor: Act::Reap,
        master: Act::Reap,
        worker: Act::Default,
        original: ["reaps vassals", "reaps workers", "the kernel's default"],
    },
    Signal {
        name: "RTMIN+5",
        number: None,
        emperor: Act::Default,
        master: Act::Default,
        worker: Act::Stacks,
        original: ["dies", "dies", "dies"],
    },
];

impl Signal {
    pub fn act(&self, who: Who) -> Act {
        match who {
            Who::Emperor => self.emperor,
            Who::Master => self.master,
            Who::Worker => self.worker,
        }
    }
}

/// The numbers that `who` must have a handler for.
pub fn handled(who: Who) -> Vec<i32> {
    SIGNALS
        .iter()
        .filter(|signal| signal.act(who) != Act::Default)
        .filter_map(|signal| signal.number)
        .collect()
}

/// What `who` does about a signal that it has a handler for.
pub fn act(who: Who, number: i32) -> Act {
    SIGNALS
        .iter()
        .find(|signal| signal.number == Some(number))
        .map_or(Act::Ignore, |signal| signal.act(who))
}

/// `docs/signals.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Signals\n\n\
         Generated from `crates/core/src/signals.rs` by `UPDATE=1 cargo test -p imperator-core \
         signals`; edit that table.\n\n\
         \"Emperor\" is `imperator DIR`. \"Master\" is the parent of one app's workers, under an \
         emperor or alone (`imperator app.ini`). A worker that runs Python gets these handlers \
         before the app is imported: an app that installs its own gets the signal instead, and \
         the order of its master still drains it.\n\n\
         No signal of this table ends a process silently, and none cuts a request that was \
         accepted, except a second stop signal.\n",
    );
    for (who, title, column) in [
        (Who::Emperor, "Emperor", 0),
        (Who::Master, "Master", 1),
        (Who::Worker, "Worker", 2),
    ] {
        let _ = write!(
            text,
            "\n## {title}\n\n| signal | here | in uWSGI 2.0 |\n|---|---|---|\n"
        );
        for signal in SIGNALS {
            let here = signal.act(who).text(who);
            let there = signal.original[column];
            let _ = writeln!(text, "| {} | {here} | {there} |", signal.name);
        }
    }
    text.push_str(&crate::command::markdown());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/signals.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            page,
            markdown(),
            "run UPDATE=1 cargo test -p imperator-core signals"
        );
    }

    #[test]
    fn each_signal_stands_once_and_every_stop_signal_stops() {
        let mut numbers: Vec<_> = SIGNALS.iter().filter_map(|signal| signal.number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|two| two[0] != two[1]));
        for number in [2, 3, 15] {
            assert_eq!(act(Who::Emperor, number), Act::Stop);
            assert_eq!(act(Who::Master, number), Act::Stop);
        }
    }
}
