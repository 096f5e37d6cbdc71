//! Scenarios: one line per look, `active busy backlog -> what is wanted`.

use super::*;
use crate::clock;

/// Each line: `ms active+starting busy backlog [running ms]`, and what must be wanted.
#[track_caller]
fn check(settings: &Scaling, most: u32, scenario: &str) {
    let start = clock::now();
    let mut scaler = Scaler::default();
    let mut requests = 0;
    for line in scenario.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (head, expected) = line.split_once("->").expect("a line has an arrow");
        let words: Vec<&str> = head.split_ascii_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().expect("a number");
        let (active, starting) = words[1].split_once('+').unwrap_or((words[1], "0"));
        let busy = number(words[2]);
        requests += busy;
        let load = Load {
            active: u32::try_from(number(active)).unwrap(),
            starting: u32::try_from(number(starting)).unwrap(),
            busy: u32::try_from(busy).unwrap(),
            most,
            backlog: number(words[3]),
            running_micros: words.get(4).map_or(0, |it| number(it) * 1000),
            requests,
            rss: words.get(5).map_or(0, |it| number(it)),
        };
        let now = start + Duration::from_millis(number(words[0]));
        let wanted = match scaler.scale(&load, settings, now) {
            Scale::Stay => String::new(),
            Scale::More(count) => format!("+{count}"),
            Scale::Fewer(count) => format!("-{count}"),
            Scale::Sleep => "sleep".to_owned(),
        };
        assert_eq!(wanted, expected.trim(), "after: {line}\n{scaler:#?}");
    }
}

fn cheaper(algorithm: Algorithm) -> Scaling {
    Scaling {
        least: Some(1),
        algorithm,
        overload: 2,
        ..Scaling::default()
    }
}

#[test]
fn without_cheaper_nothing_is_wanted() {
    check(
        &Scaling::default(),
        4,
        "
           0 4 4 99 ->
        1000 4 4 99 ->
        2000 4 0 0  ->
        ",
    );
}

#[test]
fn spare_adds_when_all_are_busy_for_longer_than_overload_and_ends_one_when_two_idle() {
    check(
        &cheaper(Algorithm::Spare),
        4,
        "
           0 1 1 0   ->
        1000 1 1 0   ->
        2000 1 1 0   -> +1
        3000 1+1 1 0 ->
        4000 2 2 0   ->
        5000 2 1 0   ->
        6000 2 2 0   ->
        7000 2 2 0   ->
        7500 2 2 0   -> +1
        8000 3 1 0   ->
        9000 3 1 0   ->
       10000 3 1 0   -> -1
       11000 2 1 0   ->
       12000 2 1 0   ->
       13000 2 0 0   ->
       14000 2 0 0   ->
       15000 2 0 0   -> -1
       16000 1 0 0   ->
       17000 1 0 0   ->
        ",
    );
}

#[test]
fn spare_ends_one_only_when_two_are_idle_look_after_look() {
    check(
        &cheaper(Algorithm::Spare),
        4,
        "
           0 3 1 0   ->
        1000 3 1 0   ->
        2000 3 2 0   ->
        3000 3 1 0   ->
        4000 3 1 0   ->
        5000 3 1 0   -> -1
        6000 3 1 0   ->
        7000 3 1 0   ->
        8000 3 3 0   ->
        9000 3 1 0   ->
       10000 3 1 0   ->
       11000 3 1 0   -> -1
        ",
    );
}

#[test]
fn a_step_is_cut_to_the_places_that_are_left() {
    let settings = Scaling {
        step: 5,
        overload: 0,
        ..cheaper(Algorithm::Spare)
    };
    check(
        &settings,
        4,
        "
           0 1 1 0 -> +3
        1000 4 4 0 ->
        ",
    );
}

#[test]
fn spare2_keeps_as_many_idle_as_cheaper_says() {
    let settings = Scaling {
        least: Some(2),
        step: 8,
        idle_cycles: 1,
        ..cheaper(Algorithm::Spare2)
    };
    check(
        &settings,
        8,
        "
           0 2 1 0   -> +1
        1000 2+1 1 0 ->
        2000 3 3 0   -> +2
        3000 5 1 0   ->
        4000 5 1 0   -> -1
        5000 4 1 0   ->
        6000 4 2 0   ->
        7000 4 1 0   ->
        8000 4 3 0   -> +1
        9000 5 1 0   ->
       10000 5 1 0   -> -1
        ",
    );
}

#[test]
fn backlog_counts_who_waits() {
    check(
        &cheaper(Algorithm::Backlog),
        4,
        "
           0 1 0 3   -> +1
        1000 2 2 2   ->
        2000 2 2 1   -> -1
        3000 1 1 0   ->
        ",
    );
}

#[test]
fn busyness_adds_above_its_maximum_and_ends_after_some_windows_below_its_minimum() {
    let mut settings = cheaper(Algorithm::Busyness);
    settings.busyness.multiplier = 2;
    check(
        &settings,
        4,
        "
           0 1 0 0 0     ->
        1000 1 1 0 1000  ->
        2000 1 1 0 1900  -> +1
        3000 2 1 0 2000  ->
        4000 2 1 0 3200  ->
        6000 2 0 0 3300  ->
        8000 2 0 0 3400  -> -1
       10000 1 0 0 4600  -> +1
       12000 2 0 0 4600  ->
       14000 2 0 0 4600  ->
       16000 2 0 0 4600  ->
       18000 2 0 0 4600  -> -1
        ",
    );
}

#[test]
fn busyness_starts_workers_for_a_backlog_at_once_and_ends_them_soon() {
    let mut settings = cheaper(Algorithm::Busyness);
    settings.busyness.backlog_alert = 5;
    settings.busyness.backlog_step = 2;
    settings.busyness.backlog_multiplier = 2;
    settings.busyness.backlog_nonzero = Duration::from_secs(3);
    check(
        &settings,
        8,
        "
           0 1 1 6   -> +2
        1000 1+2 1 6 ->
        2000 3 0 0   ->
        4000 3 0 0   ->
        6000 3 0 0   -> -1
        8000 2 0 0   -> -1
        9000 1 1 1   ->
       12000 1 1 1   -> +1
        ",
    );
}

#[test]
fn memory_limits_forbid_more_and_take_one_away() {
    let settings = Scaling {
        overload: 0,
        rss_soft: Some(100),
        rss_hard: Some(200),
        ..cheaper(Algorithm::Spare)
    };
    check(
        &settings,
        4,
        "
           0 2 2 0 0 99  -> +1
        1000 3 3 0 0 100 ->
        2000 3 3 0 0 200 -> -1
        3000 1 1 0 0 200 ->
        ",
    );
}

#[test]
fn an_app_without_a_request_for_idle_sleeps() {
    let settings = Scaling {
        idle: Some(Duration::from_secs(2)),
        ..Scaling::default()
    };
    check(
        &settings,
        2,
        "
           0 2 0 0 ->
        1000 2 1 0 ->
        2000 2 0 0 ->
        3000 2 0 0 ->
        3999 2 0 0 ->
        4000 2 0 0 -> sleep
        ",
    );
    check(
        &settings,
        2,
        "
           0 2 0 0   ->
        1900 2 0 1   ->
        2500 1+1 0 0 ->
        4000 2 0 0   ->
        5999 2 0 0   ->
        6000 2 0 0   -> sleep
        ",
    );
}

#[test]
fn an_app_for_which_a_connection_waits_does_not_sleep() {
    let settings = Scaling {
        idle: Some(Duration::from_secs(2)),
        ..Scaling::default()
    };
    check(
        &settings,
        2,
        "
           0 2 0 0 ->
        2000 2 0 1 ->
        2100 2 0 0 ->
        4099 2 0 0 ->
        4100 2 0 0 -> sleep
        ",
    );
}

#[test]
fn manual_decides_nothing() {
    check(
        &cheaper(Algorithm::Manual),
        4,
        "
           0 1 1 50 ->
        9000 3 0 0  ->
        ",
    );
}
