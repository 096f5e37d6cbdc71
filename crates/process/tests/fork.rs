//! The double fork and reaping, in helper programs: a test function runs beside other threads,
//! and nobody may fork there.

use std::path::PathBuf;
use std::process::Command;

fn run(mode: &str) -> Vec<String> {
    let me = std::env::current_exe().unwrap();
    let helper: PathBuf = me.parent().unwrap().join("../examples/forks");
    let output = Command::new(&helper).arg(mode).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", helper.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_forked_worker_is_the_subreapers_child_and_hooks_run_once() {
    assert_eq!(
        run("subreaper"),
        [
            "mold: Err(Os { code: 10, kind: Uncategorized, message: \"No child processes\" })",
            "mold: exit code 0",
            "mold: hooks (1, 0, 1)",
            "worker: exit code 7",
            "worker: hooks (1, 1, 0), parent subreaper, leads its group: true",
        ]
    );
}

#[test]
fn a_child_that_a_real_time_signal_killed_is_not_lost() {
    assert_eq!(run("signals"), ["SIGKILL", "SIGSEGV", "signal 37"]);
}
