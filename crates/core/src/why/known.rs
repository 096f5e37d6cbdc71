//! The table of the known causes: what stands in the first line, what it means, the way out. All
//! texts that do not depend on the case are here; `docs/why.md` is made of them.

use super::CauseId;

/// What is said of a cause whatever the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// For programs: never changes.
    pub id: &'static str,
    /// Two or three words that open the first line.
    pub title: &'static str,
    pub meaning: &'static str,
    /// The way out where the case itself knows none that is nearer.
    pub way_out: &'static str,
}

pub const fn known(cause: CauseId) -> Known {
    let (id, title, meaning, way_out) = match cause {
        CauseId::ImportError => (
            "import-error",
            "import error",
            "The app, or a module that it imports, was not found, or has not the name that is asked for.",
            "install the package into the app's virtualenv, or set chdir or pythonpath to where the module is",
        ),
        CauseId::SyntaxError => (
            "syntax-error",
            "syntax error",
            "Python cannot compile a file of the app: the file is broken, or written for a newer Python.",
            "mend the line; python3 -m py_compile FILE checks it without the app",
        ),
        CauseId::Interpreter => (
            "interpreter",
            "wrong or missing interpreter",
            "The virtualenv or the interpreter of the config does not exist, cannot be executed, or is none that Imperator can load.",
            "make the virtualenv anew with python3 -m venv --clear DIR, or set virtualenv or python to a CPython 3.9 or later",
        ),
        CauseId::MissingFile => (
            "missing-file",
            "missing file or directory",
            "Something that the config names, or that the app opens while it is imported, is not there.",
            "make it, or correct the path",
        ),
        CauseId::Permission => (
            "permission",
            "no permission",
            "The user that the app runs as, or Imperator itself, may not use a socket, a directory or a file.",
            "give the right with the command that is shown, or run the app as another user",
        ),
        CauseId::AddressInUse => (
            "address-in-use",
            "address in use",
            "Another process listens where the app is to listen; it is named.",
            "stop that process, or give the app another address",
        ),
        CauseId::UnknownUser => (
            "unknown-user",
            "unknown user or group",
            "The config names a user or a group that this machine does not have.",
            "make it with adduser --system NAME or addgroup --system NAME, or name another one",
        ),
        CauseId::ConfigError => (
            "config-error",
            "config error",
            "The config cannot be understood, or asks for what cannot be run.",
            "mend the line; imperator check FILE looks at the whole file",
        ),
        CauseId::ExitsAtOnce => (
            "exits-at-once",
            "exits at once",
            "The app ends its process while it is imported: sys.exit, os._exit, or a library that does so.",
            "look for what calls exit at import: a command line that is parsed, a server that is started",
        ),
        CauseId::HangsAtImport => (
            "hangs-at-import",
            "hangs at import",
            "The import of the app does not end: it waits for a database, a lock, a network, or runs a server of its own.",
            "move the wait out of module level into the first request, give it a timeout, or raise ready-timeout",
        ),
        CauseId::Crash => (
            "crash",
            "crash",
            "A process of the app was ended by a signal: a C extension, the interpreter itself, or somebody's kill.",
            "update or rebuild the extension that the stack names for this Python",
        ),
        CauseId::OutOfMemory => (
            "out-of-memory",
            "out of memory",
            "The kernel killed a process for want of memory, or the app ran into its own limit-as.",
            "give the app more memory (limit-as, MemoryMax of the service), or let it use less: fewer processes, reload-on-rss",
        ),
        CauseId::EveryWorkerBusy => (
            "every-worker-busy",
            "every worker is busy",
            "Each thread of each worker is inside a request, so new ones wait. The stacks show in what.",
            "look at what the stacks wait for; set harakiri so that no request runs for ever, or raise processes or threads",
        ),
        CauseId::WorkerStuck => (
            "worker-stuck",
            "a worker can answer nobody",
            "All threads of one worker are in old requests, or one of them holds the interpreter. The stacks show in what.",
            "look at what the stacks wait for; set harakiri or stuck-timeout, so that such a worker is replaced",
        ),
        CauseId::QueueFullWorkersIdle => (
            "queue-full-workers-idle",
            "requests wait while workers are idle",
            "Connections wait to be accepted, and workers that could take them do not.",
            "let the workers that are stopped go on (kill -CONT PID), or imperator reload APP",
        ),
        CauseId::RequestDeadline => (
            "request-deadline",
            "request deadline hit",
            "A request ran longer than harakiri allows, and was ended.",
            "look at the stack of that request; raise harakiri if it may take that long",
        ),
        CauseId::ListenLimit => (
            "listen-limit",
            "listen limit",
            "The queue of connections is full, or the kernel allows a shorter one than listen asks for.",
            "sysctl -w net.core.somaxconn=N and listen = N; a queue that stays full wants more workers",
        ),
        CauseId::FdLimit => (
            "fd-limit",
            "limit of open files",
            "A process has as many descriptors open as it may have, so it can accept or open nothing more.",
            "raise max-fd of the app or LimitNOFILE of the service; ls -l /proc/PID/fd shows what is open",
        ),
        CauseId::ForkLimit => (
            "fork-limit",
            "limit of processes",
            "The kernel starts no further process for this user or this service.",
            "raise limit-nproc of the app, or TasksMax or LimitNPROC of the service; it is tried again by itself",
        ),
        CauseId::DiskFull => (
            "disk-full",
            "disk full",
            "A file system has no room left for a log, a socket, or what the app writes.",
            "make room: df -h PATH shows which; what failed is tried again by itself",
        ),
        CauseId::BackingOff => (
            "backing-off",
            "backing off",
            "What failed last may be mended by now, and the next try is still to come.",
            "imperator retry APP tries now",
        ),
        CauseId::ReloadFailed => (
            "reload-failed",
            "reload failed",
            "The new generation did not come up, and the old one serves on as before.",
            "mend what is shown and touch the config, or bring the old files back",
        ),
        CauseId::ReadinessRequest => (
            "readiness-request",
            "readiness request fails",
            "The app is imported, but does not answer ready-request with 2xx or 3xx, so it is given no traffic.",
            "ask the app for that path by hand; correct ready-request or ready-host, or what that path needs",
        ),
        CauseId::Asleep => (
            "asleep",
            "asleep",
            "The app is on demand, or was idle: none of its processes runs, and its sockets are open.",
            "nothing is wrong: the first request starts it; imperator start APP starts it now",
        ),
        CauseId::Stopped => (
            "stopped",
            "stopped by hand",
            "Somebody said imperator stop. It stays stopped, also under the next emperor.",
            "imperator start APP",
        ),
        CauseId::NeverHeardOf => (
            "never-heard-of",
            "never heard of",
            "The emperor runs no app of this name, and knows no file that would be one.",
            "imperator status names all apps; a new one is a file in a directory that the emperor watches",
        ),
        CauseId::ExceptionAtImport => (
            "exception-at-import",
            "exception at import",
            "The app raises an exception while it is imported.",
            "mend what the traceback shows; the app is tried again when its config is touched",
        ),
        CauseId::Starting => (
            "starting",
            "still starting",
            "The first generation is on its way, or waits for its turn.",
            "wait for it with imperator wait-ready APP",
        ),
        CauseId::Paused => (
            "paused",
            "paused",
            "Somebody sent SIGTSTP: the app's processes are there and accept nothing.",
            "send SIGTSTP again: kill -TSTP PID of its master",
        ),
        CauseId::MasterSilent => (
            "master-silent",
            "the master does not answer",
            "The app's master lives and says nothing; its workers serve on by themselves.",
            "look at it in ps; kill -9 PID has it replaced on the same sockets",
        ),
        CauseId::NothingWrong => (
            "nothing-wrong",
            "nothing is wrong",
            "The app serves as its config says.",
            "if a client sees errors all the same, look at the front end's log and at imperator logs APP",
        ),
        CauseId::Other => (
            "other",
            "failed",
            "A failure that has no name here.",
            "mend what is shown, then imperator retry APP",
        ),
    };
    Known {
        id,
        title,
        meaning,
        way_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_cause_has_one_name_for_programs_and_people() {
        let mut names = BTreeSet::new();
        for cause in CauseId::ALL {
            let known = known(cause);
            assert_eq!(
                serde_json::to_value(cause).unwrap(),
                known.id,
                "the name that programs see"
            );
            assert!(names.insert(known.id), "{} stands twice", known.id);
            assert!(known.meaning.ends_with('.'), "{}", known.id);
            assert!(!known.way_out.ends_with('.'), "{}", known.id);
        }
    }

    /// `UPDATE=1 cargo test -p imperator-core --lib why` writes the page's part anew.
    #[test]
    fn the_page_lists_each_cause_with_what_it_means_and_the_way_out() {
        const BEGIN: &str = "<!-- causes -->\n";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/why.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = text
            .split_once(BEGIN)
            .expect("a mark where the causes begin");
        let mut expected = String::new();
        for cause in CauseId::ALL {
            let Known {
                id,
                title,
                meaning,
                way_out,
            } = known(cause);
            expected.push_str(&format!(
                "\n### `{id}`: {title}\n\n{meaning}\n\n**Way out:** {way_out}.\n"
            ));
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, format!("{head}{BEGIN}{expected}")).unwrap();
            return;
        }
        assert_eq!(rest, expected, "UPDATE=1 writes it anew");
    }

    #[test]
    fn the_cause_of_a_newer_version_is_read() {
        let newer: CauseId = serde_json::from_str("\"moon-in-the-wrong-house\"").unwrap();
        assert_eq!(newer, CauseId::Other);
    }
}
