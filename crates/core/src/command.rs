//! The one table of what a master can be told from outside without a signal: the letters of
//! `master-fifo`, and the functions of the original that hooks call by name.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What a master is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// A new generation beside the old one.
    Reload,
    /// As `Reload`, but what the old generation still does then is cut.
    ReloadNow,
    /// The workers of this generation are replaced, all at once.
    ReloadWorkers,
    ReloadWorkersNow,
    /// One after another.
    ReloadChain,
    /// Finish what runs, then end.
    Stop,
    StopNow,
    /// Stop accepting, or go on.
    Pause,
    /// A readable status in the log.
    Status,
    ReopenLogs,
    RotateLogs,
    /// Write the pidfiles again.
    Pidfiles,
    MoreWorkers,
    FewerWorkers,
    /// End all workers until a request comes.
    Cheap,
    /// Listen on another one of the FIFOs.
    Slot(u8),
    /// What we have nothing for: the operator is told so.
    Nothing,
}

/// One letter of a FIFO.
#[derive(Debug)]
pub struct Letter {
    pub letter: u8,
    /// The original's function behind it, as hooks name it.
    pub function: &'static str,
    pub command: Command,
    pub original: &'static str,
    pub here: &'static str,
}

const fn letter(
    letter: u8,
    function: &'static str,
    command: Command,
    original: &'static str,
    here: &'static str,
) -> Letter {
    Letter {
        letter,
        function,
        command,
        original,
        here,
    }
}

const RELOAD: &str = "graceful reload: a new generation";

/// `0` to `9` stand in no row: each is its own slot.
pub const LETTERS: &[Letter] = &[
    letter(
        b'+',
        "uwsgi_cheaper_increase",
        Command::MoreWorkers,
        "one worker more",
        "one worker more",
    ),
    letter(
        b'-',
        "uwsgi_cheaper_decrease",
        Command::FewerWorkers,
        "one worker less",
        "one worker less",
    ),
    letter(
        b'B',
        "vassal_sos",
        Command::Nothing,
        "asks the Emperor for reinforcements",
        "nothing: no broodlords here",
    ),
    letter(
        b'C',
        "uwsgi_go_cheap",
        Command::Cheap,
        "kills all workers until a request comes",
        "drains all workers until a request comes",
    ),
    letter(
        b'E',
        "emperor_rescan",
        Command::Nothing,
        "its Emperor scans its vassals",
        "nothing: the emperor is no child of an app",
    ),
    letter(
        b'L',
        "uwsgi_log_rotate",
        Command::RotateLogs,
        "rotates the log",
        "rotates the log files",
    ),
    letter(
        b'P',
        "uwsgi_update_pidfiles",
        Command::Pidfiles,
        "writes the pidfiles again",
        "writes the pidfiles again",
    ),
    letter(
        b'Q',
        "kill_them_all",
        Command::StopNow,
        "stops now, cutting requests",
        "stops now, cutting requests",
    ),
    letter(
        b'R',
        "reap_them_all",
        Command::ReloadNow,
        "brutal reload, cutting requests",
        "a new generation; once it serves, what the old one does is cut",
    ),
    letter(
        b'S',
        "subscriptions_blocker",
        Command::Nothing,
        "blocks or unblocks subscriptions",
        "nothing: there are no subscriptions",
    ),
    letter(
        b'W',
        "uwsgi_brutally_reload_workers",
        Command::ReloadWorkersNow,
        "kills the workers, which are forked anew",
        "replaces the workers, and cuts what they do",
    ),
    letter(
        b'c',
        "uwsgi_chain_reload",
        Command::ReloadChain,
        "reloads one worker after the other",
        "replaces one worker after another, the next one first",
    ),
    letter(
        b'f',
        "uwsgi_refork_master",
        Command::Reload,
        "a second instance beside this one",
        RELOAD,
    ),
    letter(
        b'l',
        "uwsgi_log_reopen",
        Command::ReopenLogs,
        "opens the log again",
        "opens the log files again",
    ),
    letter(
        b'p',
        "suspend_resume_them_all",
        Command::Pause,
        "pauses the workers; again: resumes",
        "stops accepting; again: goes on",
    ),
    letter(
        b'q',
        "gracefully_kill_them_all",
        Command::Stop,
        "graceful stop",
        "graceful stop",
    ),
    letter(
        b'r',
        "grace_them_all",
        Command::Reload,
        "graceful reload",
        RELOAD,
    ),
    letter(
        b's',
        "stats",
        Command::Status,
        "logs options and counters",
        "logs a readable status",
    ),
    letter(
        b'w',
        "uwsgi_reload_workers",
        Command::ReloadWorkers,
        "forks the workers anew, without loading code",
        "replaces the workers; each goes when its replacement accepts",
    ),
];

/// What a byte in a FIFO means; `None`: nothing, in silence, as in the original.
pub fn of_letter(byte: u8) -> Option<Command> {
    if byte.is_ascii_digit() {
        return Some(Command::Slot(byte - b'0'));
    }
    let mut letters = LETTERS.iter();
    letters
        .find(|letter| letter.letter == byte)
        .map(|it| it.command)
}

/// What a function of the original does, by its name.
pub fn of_function(name: &str) -> Option<Command> {
    let mut letters = LETTERS.iter();
    letters
        .find(|letter| letter.function == name)
        .map(|it| it.command)
}

/// The section of `docs/signals.md`.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "\n## Letters of a master's FIFO\n\n\
         `master-fifo = PATH` makes a named pipe; `echo r > PATH` reloads. Several letters may come \
         at once. A second `master-fifo` is the slot 1: writing `1` into the first one makes the \
         second one listen.\n\n\
         | letter | here | in uWSGI 2.0 |\n|---|---|---|\n",
    );
    for letter in LETTERS {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            char::from(letter.letter),
            letter.here,
            letter.original
        );
    }
    text.push_str("| 0 to 9 | listens on that FIFO | listens on that FIFO |\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_the_original_stands_once() {
        let letters: String = LETTERS.iter().map(|it| char::from(it.letter)).collect();
        assert_eq!(letters, "+-BCELPQRSWcflpqrsw");
        assert_eq!(of_letter(b'3'), Some(Command::Slot(3)));
        assert_eq!(of_letter(b'\n'), None);
        let stop = of_function("gracefully_kill_them_all");
        assert_eq!(stop, Some(Command::Stop));
        assert_eq!(of_function("malloc"), None);
    }
}
