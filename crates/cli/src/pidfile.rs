//! `--stop FILE`, `--reload FILE`, `--pause FILE` and its like, as uWSGI has them: the signal goes to the
//! process that the pid file names. Only to a server: the file may be older than the last reboot.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};

/// Option and signal. The pause of one that is paused is its resume.
const ORDERS: &[(&str, Signal)] = &[
    ("--stop", Signal::INT),
    ("--reload", Signal::HUP),
    ("--pause", Signal::TSTP),
    ("--suspend", Signal::TSTP),
    ("--resume", Signal::TSTP),
];

/// A pid file holds one number.
const MAX_LENGTH: u64 = 64;

/// The order that stands first on the command line, with its file.
pub(crate) fn order(arguments: &[OsString]) -> Option<(&'static str, Signal, OsString)> {
    let word = arguments.first()?.to_str()?;
    let (name, joined) = match word.split_once('=') {
        Some((name, file)) => (name, Some(OsString::from(file))),
        None => (word, None),
    };
    let &(name, signal) = ORDERS.iter().find(|(order, _)| *order == name)?;
    let file = joined.or_else(|| arguments.get(1).cloned())?;
    Some((name, signal, file))
}

/// # Errors
/// No pid in the file, no process of that pid, or one that is no server.
pub(crate) fn send(name: &str, signal: Signal, file: &Path) -> anyhow::Result<ExitCode> {
    let doing = || format!("{name} {}", file.display());
    let text = read(file).with_context(doing)?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{}: the file holds no pid", doing()))?;
    let raw = pid.as_raw_nonzero();
    if let Ok(program) = std::fs::read_link(format!("/proc/{raw}/exe")) {
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        let is_server = ["imperator", "uwsgi"]
            .iter()
            .any(|name| program.starts_with(name));
        if !is_server {
            bail!(
                "{}: process {raw} is {program}, no server; the file is older than that process",
                doing()
            );
        }
    }
    rustix::process::kill_process(pid, signal)
        .with_context(|| format!("{}: no signal to process {raw}", doing()))?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file)?
        .take(MAX_LENGTH)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn an_order_stands_first_and_has_a_file() {
        for line in [&["--stop", "/run/a.pid"][..], &["--stop=/run/a.pid"]] {
            let (name, signal, file) = order(&words(line)).unwrap();
            assert_eq!((name, signal), ("--stop", Signal::INT));
            assert_eq!(file, "/run/a.pid");
        }
        assert!(order(&words(&["--stop"])).is_none());
        assert!(order(&words(&["reload", "shop"])).is_none());
    }

    #[test]
    fn a_process_that_is_no_server_gets_no_signal() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        assert!(send("--stop", Signal::INT, &file).is_err());
        std::fs::write(&file, "no pid\n").unwrap();
        assert!(send("--stop", Signal::INT, &file).is_err());
        let shell = std::process::Command::new("sleep").arg("30").spawn();
        let mut shell = shell.unwrap();
        std::fs::write(&file, shell.id().to_string()).unwrap();
        let error = send("--stop", Signal::INT, &file).unwrap_err().to_string();
        assert!(error.contains("no server"), "{error}");
        assert!(shell.try_wait().unwrap().is_none());
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
