//! The commands that ask a running emperor, as clap knows them: their help is what
//! `docs/commands.md` shows.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// What a command is called, what it does, and how it is used.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    about: &'static str,
    /// One a line.
    examples: &'static str,
}

pub(crate) const ALL: &[Entry] = &[
    Entry {
        name: "status",
        about: "Shows how every app is, one line each; with names, more about these",
        examples: "imperator status\nimperator status blog\nimperator status --json | jq '.apps[].condition'",
    },
    Entry {
        name: "why",
        about: "Tells why an app does not run as it should, with its traceback and the way out",
        examples: "imperator why\nimperator why blog",
    },
    Entry {
        name: "reload",
        about: "Brings up new generations beside the old ones; no request is lost",
        examples: "imperator reload blog\nimperator reload blog --wait && echo deployed\nimperator reload",
    },
    Entry {
        name: "stop",
        about: "Finishes the requests of apps and ends them; they stay stopped until somebody \
                starts them, reloads them or changes their files",
        examples: "imperator stop blog\nimperator stop --all --wait",
    },
    Entry {
        name: "start",
        about: "Starts apps that were stopped",
        examples: "imperator start blog\nimperator start --all --wait",
    },
    Entry {
        name: "restart",
        about: "Stops apps and starts them with new masters; there is a gap, which reload has not",
        examples: "imperator restart blog --wait",
    },
    Entry {
        name: "retry",
        about: "Tries again now what waits after a failure, whatever the back-off",
        examples: "imperator retry blog\nimperator retry",
    },
    Entry {
        name: "history",
        about: "Tells what happened when and by whom: found, started, ready, reloaded, failed, \
                killed, OOM, scaled",
        examples: "imperator history blog\nimperator history --json",
    },
    Entry {
        name: "logs",
        about: "Prints the last 256 KB that an app printed, wherever its logs go",
        examples: "imperator logs blog\nimperator logs blog -f\nimperator logs blog -n 20 --requests",
    },
    Entry {
        name: "wait-ready",
        about: "Waits until apps serve: for deploy scripts and probes",
        examples: "imperator wait-ready\nimperator wait-ready blog --timeout 30\nimperator wait-ready --timeout 0",
    },
    Entry {
        name: "upgrade",
        about: "Puts the emperor's file on disk in the place of the one that runs. The new file must \
                answer a self-check, else nothing changes. No app is touched: each gets a master of \
                the new version at its next reload",
        examples: "apt-get install imperator && imperator upgrade",
    },
];

/// Columns of the help, whatever terminal it is read in: the manual shows the same.
const COLUMNS: usize = 96;

pub(crate) fn parser() -> Command {
    let runtime = Arg::new("runtime-dir")
        .long("runtime-dir")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .global(true)
        .help("The runtime directory of the emperor that is asked");
    let parser = Command::new("imperator")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(runtime)
        .term_width(COLUMNS)
        .subcommand_required(true);
    ALL.iter().fold(parser, |parser, entry| {
        let indented: Vec<String> = entry.examples.lines().map(|it| format!("  {it}")).collect();
        let mut command = Command::new(entry.name)
            .about(entry.about)
            .after_help(format!("Examples:\n{}", indented.join("\n")))
            .arg(flag("json", "For programs"));
        for arg in arguments(entry.name) {
            command = command.arg(arg);
        }
        parser.subcommand(command)
    })
}

fn arguments(command: &str) -> Vec<Arg> {
    let all = || flag("all", "All apps").conflicts_with("app");
    let wait = |until| {
        [
            flag("wait", until),
            timeout("180")
                .requires("wait")
                .help("How long --wait may take, in seconds"),
        ]
    };
    let named = || apps().required_unless_present("all");
    match command {
        "reload" => {
            let wait = wait(
                "Return when the new generations serve, or with 1 and the traceback \
                             when one fails",
            );
            [vec![apps()], wait.to_vec()].concat()
        }
        "stop" => [
            vec![named(), all()],
            wait("Return when they have ended").to_vec(),
        ]
        .concat(),
        "start" => [
            vec![named(), all()],
            wait("Return when they serve").to_vec(),
        ]
        .concat(),
        "restart" => [
            vec![named(), all()],
            wait("Return when they serve again").to_vec(),
        ]
        .concat(),
        "logs" => vec![
            apps().required(true).action(ArgAction::Set),
            flag("follow", "Go on with what the app prints").short('f'),
            Arg::new("lines")
                .short('n')
                .long("lines")
                .value_name("N")
                .value_parser(value_parser!(usize))
                .help("No more than the last N lines"),
            flag(
                "requests",
                "The lines about requests, too: the last 64 KB of them",
            ),
        ],
        "upgrade" => Vec::new(),
        "wait-ready" => vec![
            apps(),
            timeout("60").help("How long to wait, in seconds; 0 looks once"),
            flag("patient", "Wait on while an app fails: it may recover"),
        ],
        _ => vec![apps()],
    }
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn apps() -> Arg {
    Arg::new("app")
        .value_name("APP")
        .action(ArgAction::Append)
        .help("An app's name as status shows it; a stanza's own name where that is enough")
}

fn timeout(default: &'static str) -> Arg {
    Arg::new("timeout")
        .long("timeout")
        .value_name("SECONDS")
        .value_parser(value_parser!(u64))
        .default_value(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_sound_and_shows_an_example_that_is_one() {
        parser().debug_assert();
        for entry in ALL {
            assert!(!entry.examples.is_empty(), "{}", entry.name);
            for example in entry.examples.lines() {
                let words = example.split(" && ").find(|it| it.starts_with("imperator"));
                let words = words
                    .unwrap_or_default()
                    .split([' '])
                    .take_while(|word| !["|", "&&"].contains(word));
                let parsed = parser().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{example}: {parsed:?}");
            }
        }
    }
}
