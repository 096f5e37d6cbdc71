//! `imperator logs`: what an app printed, from its master's memory.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use imperator_core::message::{FromMaster, LogLine, ToMaster};
use imperator_emperor::control::Request;
use imperator_process::channel::{Channel, Received};
use imperator_process::poll::{Interest, wait_one};
use imperator_process::time;
use serde_json::json;

use super::{Code, FAILING, NOT_RUNNING, Question, ask, choose, complain, left};

/// A master that says nothing for so long does not know the question.
const PATIENCE: Duration = Duration::from_secs(10);
/// While one follows, nobody waits for an answer.
const LONG: Duration = Duration::from_secs(3600);

pub(super) fn run(question: &Question) -> Code {
    let app = question.apps.first().cloned().unwrap_or_default();
    let request = Request::Guest { app: app.clone() };
    let (name, channel) = match ask(&question.runtime, &request) {
        Ok(answered) => {
            let code = answered.complain();
            let Some((name, channel)) = answered.guest else {
                return Err(code.max(FAILING));
            };
            (name, Channel::from(channel))
        }
        Err(error) => {
            let (orphans, code) = choose(left(question, &error)?, &question.apps);
            let found = orphans.into_iter().next();
            let Some((name, master)) = found.map(|it| (it.record.name, it.master)) else {
                return Err(code.max(FAILING));
            };
            let Some((_, channel)) = master else {
                complain(&format!("{name} is stopped"));
                return Err(NOT_RUNNING);
            };
            (name, channel)
        }
    };
    let follow = question.has("follow");
    let requests = question.has("requests");
    let lines = question.matches.get_one::<usize>("lines").copied();
    let mut printer = Printer {
        json: question.json,
        plain: !io::stdout().is_terminal(),
        last: lines.map(|most| (most, VecDeque::new())),
    };
    // First what is there, of which perhaps only the end is wanted; then what comes.
    let read = read(&channel, (0, false, requests), &mut printer).and_then(|last| match follow {
        true => read(&channel, (last, true, requests), &mut printer).map(|_| ()),
        false => Ok(()),
    });
    match read {
        Ok(()) => Ok(0),
        // A reader that was closed early is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            complain(&format!(
                "the master of {name} does not answer: is it of an older version?"
            ));
            Err(FAILING)
        }
        Err(error) => {
            complain(&format!("{name}: {error}"));
            Err(FAILING)
        }
    }
}

/// Prints the lines after a number, and those that come when `follow`; tells the last one's number.
fn read(
    channel: &Channel,
    (after, follow, requests): (u64, bool, bool),
    printer: &mut Printer,
) -> io::Result<u64> {
    let logs = ToMaster::Logs {
        after,
        follow,
        requests,
    };
    channel.send(&logs, &[])?;
    let mut last = after;
    let mut patience = PATIENCE;
    loop {
        if !wait_one(channel, Interest::Read, patience)? {
            if follow && patience == LONG {
                continue;
            }
            return Err(io::ErrorKind::TimedOut.into());
        }
        match channel.receive::<FromMaster>() {
            Ok(Received::Message(FromMaster::Logs { lines, missed, end }, _)) => {
                printer.missed(missed);
                for line in lines {
                    last = line.number;
                    printer.take(line)?;
                }
                if end {
                    printer.finish()?;
                    return Ok(last);
                }
                if follow {
                    patience = LONG;
                    io::stdout().flush()?;
                }
            }
            Ok(Received::Message(_, _) | Received::Empty) => (),
            Ok(Received::Closed) => {
                printer.finish()?;
                return Err(io::Error::other("its master has ended"));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => (),
            Err(error) => return Err(error),
        }
    }
}

struct Printer {
    json: bool,
    /// Nobody reads it on a terminal, which would obey what stands in it.
    plain: bool,
    /// Only so many of those that are there already.
    last: Option<(usize, VecDeque<LogLine>)>,
}

impl Printer {
    fn take(&mut self, line: LogLine) -> io::Result<()> {
        let Some((most, kept)) = &mut self.last else {
            return self.print(&line);
        };
        kept.push_back(line);
        if kept.len() > *most {
            kept.pop_front();
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        for line in self.last.take().into_iter().flat_map(|(_, kept)| kept) {
            self.print(&line)?;
        }
        io::stdout().flush()
    }

    fn missed(&self, lines: u64) {
        if lines > 0 {
            complain(&format!(
                "{lines} lines were gone before they could be read"
            ));
        }
    }

    fn print(&self, line: &LogLine) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            let value = json!({
                "time": time::utc(line.at),
                "source": line.source,
                "line": line.text,
            });
            return writeln!(stdout, "{value}");
        }
        match self.plain {
            true => writeln!(stdout, "{}", line.text),
            false => writeln!(stdout, "{}", harmless(&line.text)),
        }
    }
}

/// Control characters are shown, not obeyed; colours may stay.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(colour) = colour(rest) {
            out.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match letter {
            '\t' => out.push(letter),
            letter if letter.is_control() => out.extend(letter.escape_default()),
            letter => out.push(letter),
        }
        rest = &rest[letter.len_utf8()..];
    }
    out
}

/// The length of a colour's sequence at the beginning: ESC `[`, numbers, `m`.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\u{1b}[")?;
    let end = numbers.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    numbers[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_wrote_into_the_log_moves_no_cursor() {
        assert_eq!(
            harmless("a\tb \u{1b}[31mred\u{1b}[0m"),
            "a\tb \u{1b}[31mred\u{1b}[0m"
        );
        assert_eq!(harmless("x\u{1b}[2Jy\r\u{9b}"), "x\\u{1b}[2Jy\\r\\u{9b}");
        assert_eq!(harmless("\u{1b}]0;title\u{7}ä"), "\\u{1b}]0;title\\u{7}ä");
    }
}
