//! One reduced pass of the lifecycle harness over ours: no request is lost, whatever happens, and
//! clients, app and server log tell the same. The whole harness, with the other servers:
//! `docs/lifecycle.md`.

#![forbid(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use imperator_bench::lifecycle::breakage::Breakage;
use imperator_bench::lifecycle::leaks;
use imperator_bench::lifecycle::place::{Programs, Setup};
use imperator_bench::lifecycle::rows::{Event, run};
use imperator_bench::lifecycle::servers::Server;
use support::{Nginx, python, require, skips_without};

fn programs() -> Programs {
    Programs {
        imperator: PathBuf::from(env!("CARGO_BIN_EXE_imperator")),
        uwsgi: PathBuf::new(),
        peers: PathBuf::new(),
        nginx: require("nginx").unwrap_or_default(),
        python: python().to_owned(),
    }
}

fn setup(workers: usize) -> Setup {
    Setup {
        server: Server::Ours,
        programs: programs(),
        workers,
        threads: if workers == 1 { 8 } else { 4 },
        load_seconds: 0.0,
        max_requests: None,
        ready_timeout: 30,
    }
}

/// Lets `event` happen to ours, and looks at the whole row.
#[track_caller]
fn must_lose_nothing(workers: usize, event: Event, times: usize) {
    if skips_without("nginx", Nginx::is_installed()) {
        return;
    }
    let (row, mut place) =
        run(setup(workers), event, times).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(
        row.is_clean(),
        "{row:#?}\n{}\nkept: {}",
        place.last_words(),
        place.keep().display()
    );
    println!(
        "{}: {} sent, {} failed",
        row.event, row.account.sent, row.account.failed
    );
}

#[test]
fn five_reloads_lose_nothing_with_four_workers() {
    must_lose_nothing(4, Event::Reloads, 5);
}

#[test]
fn five_reloads_lose_nothing_with_one_worker() {
    must_lose_nothing(1, Event::Reloads, 5);
}

#[test]
fn code_that_cannot_be_loaded_loses_nothing() {
    for breakage in [Breakage::Import, Breakage::Segfault] {
        must_lose_nothing(1, Event::Bad(breakage), 1);
    }
}

#[test]
fn a_config_that_cannot_be_followed_loses_nothing() {
    for breakage in [Breakage::MissingVirtualenv, Breakage::PortTaken] {
        must_lose_nothing(4, Event::Bad(breakage), 1);
    }
}

#[test]
fn a_killed_worker_costs_what_was_inside_it() {
    must_lose_nothing(4, Event::Kills, 3);
}

#[test]
fn recycling_loses_nothing() {
    must_lose_nothing(4, Event::Recycling, 10);
}

#[test]
fn a_killed_emperor_costs_nothing() {
    must_lose_nothing(4, Event::EmperorKilled, 2);
}

#[test]
fn an_upgrade_of_the_emperor_costs_nothing() {
    must_lose_nothing(4, Event::EmperorUpgraded, 1);
}

#[test]
fn edits_of_other_apps_cost_nothing() {
    must_lose_nothing(1, Event::OthersEdited, 15);
}

#[test]
fn reloads_and_apps_that_come_and_go_leave_nothing_behind() {
    if skips_without("nginx", Nginx::is_installed()) {
        return;
    }
    let told = |line: String| println!("{line}");
    let found = leaks::measure(&setup(1), 8, &told).unwrap_or_else(|error| panic!("{error:#}"));
    for leaks in found {
        assert!(leaks.is_clean(), "{leaks:#?}");
    }
}
