//! `imperator check` and `imperator migrate` as an operator sees them: whole texts, exit codes, JSON.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand at the edge: they read clocks"
)]

mod debian;
mod files;
mod imports;
mod migrate;
mod texts;
mod wild;

use std::process::{Command, Output, Stdio};

use support::{Folder, command};

#[path = "../support/mod.rs"]
mod support;

/// What the command answered: its exit code and its standard output.
struct Said {
    code: Option<i32>,
    text: String,
    errors: String,
}

impl Said {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.text, self.errors))
    }

    /// Compares all of it; in `expected`, `{dir}` stands for the folder.
    #[track_caller]
    fn is(&self, folder: &Folder, code: i32, expected: &str) {
        let expected = folder.fill(expected);
        assert_eq!(
            (self.text.as_str(), self.code),
            (expected.as_str(), Some(code)),
            "\n{}\ninstead of\n{expected}\n{}",
            self.text,
            self.errors
        );
    }
}

/// Runs `imperator` in the folder, never for ever.
fn say(folder: &Folder, arguments: &[&str]) -> Said {
    run(command(folder).args(arguments))
}

fn run(command: &mut Command) -> Said {
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after=5", "60"]);
    bounded.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    // Of whoever runs the tests.
    bounded.env_remove("PYTHONDONTWRITEBYTECODE");
    if let Some(directory) = command.get_current_dir() {
        bounded.current_dir(directory);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = bounded.stdin(Stdio::null()).output().expect("the command");
    Said {
        code: status.code(),
        text: String::from_utf8_lossy(&stdout).into_owned(),
        errors: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
