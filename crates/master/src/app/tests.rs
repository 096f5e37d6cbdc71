//! Scenarios of the app's decisions, as text.

use std::time::{Duration, Instant};

use imperator_core::message::Failure;
use imperator_core::settings::scaling::Scaling;
use imperator_process::reap::End;

use super::App;
use crate::clock;
use crate::event::{Action, Event, ProcessId, Sample, Shape};

const MERCY: Duration = Duration::from_secs(5);
const READY: Duration = Duration::from_secs(20);

/// Each line: time, event, and the actions that must follow. `#n` is a process, a bare number a pid.
/// `is` asks what the app says of itself. What a `tick` brings must have been announced as a
/// deadline. `(…)` behind what is forgotten, on lines that have one: what its end has to say.
#[track_caller]
pub(super) fn check(scenario: &str) {
    let start = clock::now();
    let mut app = App::new(0);
    for line in scenario.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (head, expected) = line.split_once("->").expect("a line has an arrow");
        let mut words = head.split_ascii_whitespace();
        let millis: u64 = words.next().unwrap().parse().unwrap();
        assert_eq!(words.next(), Some("ms"));
        let now = start + Duration::from_millis(millis);
        let words: Vec<_> = words.collect();
        if *words == ["is"] {
            assert_eq!(
                told(&app, now),
                expected.trim(),
                "at: {}\n{app:#?}",
                head.trim()
            );
            continue;
        }
        let is_due = app.deadline().is_some_and(|at| at <= now);
        let event = match *words {
            // Hooks run; in seconds, until when at most.
            ["busy", generation, seconds] => Event::Busy {
                generation: generation.parse().unwrap(),
                until: now + Duration::from_secs(seconds.parse().unwrap()),
            },
            _ => event(&words),
        };
        let is_tick = matches!(event, Event::Tick);
        let actions = app.step(event, now);
        assert!(
            !is_tick || is_due || actions.is_empty(),
            "no deadline announced this: {}\n{app:#?}",
            head.trim()
        );
        let partings = expected.contains('(');
        let shown = actions.iter().map(|action| {
            if let (Action::Forget { parting, .. }, true) = (action, partings) {
                return format!("{action} ({parting:?})");
            }
            action.to_string()
        });
        let shown: Vec<_> = shown.collect();
        assert_eq!(
            shown.join(", "),
            expected.trim(),
            "after: {}\n{app:#?}",
            head.trim()
        );
    }
}

/// What status and history make of it.
fn told(app: &App, now: Instant) -> String {
    let serving = app.serving().map(|it| format!(" {it}"));
    let state = format!("{:?}{}", app.state(), serving.unwrap_or_default());
    let mut told = vec![state.to_lowercase()];
    told.extend(app.starting().map(|it| format!("starting {it}")));
    told.extend(app.has_failed().then(|| "failed".to_owned()));
    if app.failures() > 0 {
        told.push(format!("failures {}", app.failures()));
    }
    let retry = app.retry_at().map(|at| at - now);
    told.extend(retry.map(|it| format!("retry in {}", it.as_millis())));
    if app.strays() > 0 {
        told.push(format!("strays {}", app.strays()));
    }
    told.extend(app.is_asleep().then(|| "waits for a connection".to_owned()));
    let empty = app.empty_places(2);
    told.extend((!empty.is_empty()).then(|| format!("empty {empty:?}")));
    told.join(", ")
}

pub(super) fn event(words: &[&str]) -> Event {
    let number = |word: &str| word.trim_start_matches(['#', 'x']).parse::<u32>().unwrap();
    let process = |word: &str| ProcessId(u64::from(number(word)));
    let failure = |text: &str| {
        Box::new(Failure {
            summary: text.to_owned(),
            hint: None,
            detail: None,
            at: 0,
            ..Failure::default()
        })
    };
    match *words {
        ["begin"] => Event::Begin,
        ["reload"] => Event::Reload,
        ["changed"] => Event::Changed,
        ["retry"] => Event::Retry,
        ["pause"] => Event::Pause,
        ["stop"] => Event::Stop,
        ["stop-now"] => Event::StopNow,
        ["retire"] => Event::Retire,
        ["tick"] => Event::Tick,
        ["prepared", generation, workers, how] => Event::Prepared {
            generation: number(generation),
            shape: Shape {
                workers: number(workers),
                scaling: scaling(how),
                direct: how.starts_with("direct"),
                mercy: if how.contains("patient") {
                    3 * READY
                } else {
                    MERCY
                },
                ready_timeout: READY,
                overlap: how.split('+').any(|it| it == "rolling").then_some(1),
                fallback: how.split('+').any(|it| it == "spare"),
            },
        },
        ["reload-now"] => Event::ReloadNow,
        ["reload-workers"] => Event::ReloadWorkers { brutal: false },
        ["reload-workers", "brutal"] => Event::ReloadWorkers { brutal: true },
        ["reload-chain"] => Event::ReloadChain,
        ["more"] => Event::More,
        ["fewer"] => Event::Fewer,
        ["cheap"] => Event::Cheap,
        ["wake"] => Event::Wake,
        // Who is busy, and how many requests there were so far.
        ["sample", requests, ref busy @ ..] => Event::Sample(Sample {
            busy: busy.iter().map(|it| process(it)).collect(),
            requests: requests.parse().unwrap(),
            ..Sample::default()
        }),
        ["worn", id] => Event::WantsToDrain {
            process: process(id),
            patient: true,
        },
        ["unchanged", generation] => Event::Unchanged {
            generation: number(generation),
        },
        ["unprepared", generation] => Event::PrepareFailed {
            generation: number(generation),
            failure: failure("config"),
            fallback: false,
        },
        ["unprepared", generation, "spare"] => Event::PrepareFailed {
            generation: number(generation),
            failure: failure("config"),
            fallback: true,
        },
        ["spawned", id, pid] => Event::Spawned {
            process: process(id),
            pid: pid.parse().unwrap(),
        },
        ["unspawned", id] => Event::SpawnFailed {
            process: process(id),
            failure: failure("spawn"),
        },
        ["loaded", id] => Event::Loaded {
            process: process(id),
            threads: false,
        },
        ["loaded", id, "threads"] => Event::Loaded {
            process: process(id),
            threads: true,
        },
        ["unloaded", id] => Event::LoadFailed {
            process: process(id),
            failure: failure("import"),
        },
        ["accepting", id] => Event::Accepting {
            process: process(id),
        },
        ["wants-to-drain", id] => Event::WantsToDrain {
            process: process(id),
            patient: false,
        },
        ["overdue", id] => Event::Overdue {
            process: process(id),
        },
        ["exited", pid, code] => Event::Exited {
            pid: pid.parse().unwrap(),
            end: End::Code(code.parse().unwrap()),
        },
        ["killed", pid] => Event::Exited {
            pid: pid.parse().unwrap(),
            end: End::Signal(9),
        },
        _ => panic!("no event: {words:?}"),
    }
}

/// `mold`, `direct`; with `cheaper`, `idle`, `die`, `cheap`, joined by `+`; `patient` is a long mercy.
fn scaling(how: &str) -> Scaling {
    let has = |word: &str| how.split('+').any(|it| it == word);
    Scaling {
        least: has("cheaper").then_some(1),
        overload: 1,
        idle: (has("idle") || has("die")).then_some(Duration::from_secs(2)),
        die_on_idle: has("die"),
        cheap: has("cheap"),
        rss_hard: has("tight").then_some(0),
        ..Scaling::default()
    }
}

#[test]
fn a_generation_whose_hooks_run_may_take_as_long_as_they_may() {
    check(
        "
             0 ms  begin                 -> prepare 1
             0 ms  busy 1 600            ->
        100000 ms  tick                  ->
        599000 ms  prepared 1 1 direct   -> worker 1.1 #1
    ",
    );
}

#[test]
fn a_mold_loads_once_and_forks_the_workers() {
    check(
        "
           0 ms  begin               -> prepare 1
          10 ms  prepared 1 x2 mold  -> mold 1 #1
          11 ms  spawned #1 100      ->
          90 ms  loaded #1           -> fork 1.1 #2, fork 1.2 #3
          91 ms  spawned #2 102      ->
          91 ms  accepting #2        ->
          92 ms  accepting #3        -> serve 1
          93 ms  spawned #3 103      ->
        ",
    );
}

#[test]
fn an_app_with_threads_gets_workers_that_load_it_themselves() {
    check(
        "
           0 ms  begin               -> prepare 1
          10 ms  prepared 1 x2 mold  -> mold 1 #1
          11 ms  spawned #1 100      ->
          90 ms  loaded #1 threads   -> drain #1, worker 1.1 #2, worker 1.2 #3
          91 ms  spawned #2 102      ->
          91 ms  spawned #3 103      ->
          95 ms  exited 100 0        -> forget #1
         120 ms  accepting #2        ->
         121 ms  accepting #3        -> serve 1
        ",
    );
}

#[test]
fn a_reload_brings_up_the_next_generation_and_only_then_drains_the_old() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  reload                -> prepare 2
         110 ms  prepared 2 x1 direct  -> worker 2.1 #2
         110 ms  spawned #2 200        ->
         190 ms  accepting #2          -> serve 2, drain #1
        5189 ms  tick                  ->
        5190 ms  tick                  -> stacks #1 100
        5489 ms  tick                  ->
        5490 ms  tick                  -> kill #1 100
        5500 ms  killed 100            -> forget #1
        ",
    );
}

#[test]
fn a_generation_that_fails_changes_nothing_and_is_not_retried_by_the_clock() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
           50 ms  accepting #1          -> serve 1
          100 ms  reload                -> prepare 2
          110 ms  prepared 2 x1 direct  -> worker 2.1 #2
          110 ms  spawned #2 200        ->
          150 ms  unloaded #2           -> failed 2: import, drain #2
          151 ms  killed 200            -> forget #2
        99000 ms  tick                  ->
        99001 ms  changed               -> prepare 3
        99002 ms  unprepared 3          -> abandon 3, failed 3: config
        99003 ms  exited 100 1          -> forget #1, worker 1.1 #3
        ",
    );
}

#[test]
fn the_first_generation_is_retried_later_each_time_and_at_once_when_something_changes() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  exited 100 3          -> forget #1, failed 1: worker exit code 3
         549 ms  tick                  ->
         550 ms  tick                  -> prepare 2
         560 ms  unprepared 2          -> abandon 2, failed 2: config
        1559 ms  tick                  ->
        1560 ms  tick                  -> prepare 3
        1570 ms  unprepared 3          -> abandon 3, failed 3: config
        1600 ms  changed               -> prepare 4
        1610 ms  unprepared 4          -> abandon 4, failed 4: config
        1700 ms  retry                 -> prepare 5
        ",
    );
}

#[test]
fn a_reload_during_a_reload_starts_it_anew() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  changed               -> prepare 2 if changed
         101 ms  changed               -> abandon 2, prepare 3 if changed
         102 ms  reload                -> abandon 3, prepare 4
         103 ms  changed               -> abandon 4, prepare 5
         104 ms  prepared 4 x1 direct  ->
         105 ms  prepared 5 x1 direct  -> worker 5.1 #2
         105 ms  spawned #2 200        ->
         106 ms  reload                -> abandon 5, drain #2, prepare 6
         107 ms  accepting #2          ->
         108 ms  killed 200            -> forget #2
        ",
    );
}

#[test]
fn a_worker_that_begins_to_accept_while_its_generation_is_given_up_finishes_its_request() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100        ->
           0 ms  spawned #2 101        ->
          50 ms  reload                -> abandon 1, drain #1, drain #2, prepare 2
          60 ms  accepting #1          ->
        2049 ms  tick                  ->
        2050 ms  tick                  -> kill #2 101
        5059 ms  tick                  ->
        5060 ms  tick                  -> stacks #1 100
        5360 ms  tick                  -> kill #1 100
        ",
    );
}

#[test]
fn an_import_that_hangs_fails_at_its_deadline() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x2 mold    -> mold 1 #1
            0 ms  spawned #1 100        ->
        19999 ms  tick                  ->
        20000 ms  tick                  -> stacks #1 100
        20299 ms  tick                  ->
        20300 ms  tick                  -> failed 1: late, kill #1 100
        20301 ms  killed 100            -> forget #1
        20800 ms  tick                  -> prepare 2
        ",
    );
}

#[test]
fn a_worker_that_dies_as_it_serves_is_replaced_at_once_and_in_the_end_once_a_second() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
           50 ms  accepting #1          -> serve 1
        20000 ms  killed 100            -> forget #1, worker 1.1 #2
        20001 ms  spawned #2 101        ->
        20050 ms  accepting #2          ->
        20100 ms  killed 101            -> forget #2, worker 1.1 #3
        20101 ms  spawned #3 102        ->
        20150 ms  accepting #3          ->
        20200 ms  killed 102            -> forget #3, worker 1.1 #4
        20201 ms  spawned #4 103        ->
        20250 ms  accepting #4          ->
        20300 ms  killed 103            -> forget #4, worker 1.1 #5
        20301 ms  spawned #5 104        ->
        20350 ms  accepting #5          ->
        20400 ms  killed 104            -> forget #5
        21299 ms  tick                  ->
        21300 ms  tick                  -> worker 1.1 #6
        21301 ms  spawned #6 105        ->
        21350 ms  accepting #6          ->
        22300 ms  killed 105            -> forget #6, worker 1.1 #7
        22301 ms  spawned #7 106        ->
        22350 ms  accepting #7          ->
        22351 ms  killed 106            -> forget #7
        22352 ms  retry                 -> worker 1.1 #8
        22353 ms  spawned #8 107        ->
        22400 ms  accepting #8          ->
        32400 ms  killed 107            -> forget #8, worker 1.1 #9
        32401 ms  spawned #9 108        ->
        32450 ms  accepting #9          ->
        32451 ms  killed 108            -> forget #9, worker 1.1 #10
        ",
    );
}

#[test]
fn a_worker_that_took_long_to_load_and_dies_of_each_request_is_not_loaded_all_the_time() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
          600 ms  accepting #1          -> serve 1
          700 ms  killed 100            -> forget #1, worker 1.1 #2
          700 ms  spawned #2 101        ->
         1300 ms  accepting #2          ->
         1400 ms  killed 101            -> forget #2, worker 1.1 #3
         1400 ms  spawned #3 102        ->
         2000 ms  accepting #3          ->
         2100 ms  killed 102            -> forget #3, worker 1.1 #4
         2100 ms  spawned #4 103        ->
         2700 ms  accepting #4          ->
         2800 ms  killed 103            -> forget #4
         3299 ms  tick                  ->
         3300 ms  tick                  -> worker 1.1 #5
         3300 ms  spawned #5 104        ->
         7300 ms  accepting #5          ->
         7400 ms  killed 104            -> forget #5
         8399 ms  tick                  ->
         8400 ms  tick                  -> worker 1.1 #6
        ",
    );
}

#[test]
fn a_replacement_that_does_not_come_up_is_tried_ever_later() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
           50 ms  accepting #1          -> serve 1
        20000 ms  killed 100            -> forget #1, worker 1.1 #2
        20001 ms  spawned #2 101        ->
        20050 ms  killed 101            -> forget #2, failed 1: worker SIGKILL, worker 1.1 #3
        20101 ms  spawned #3 102        ->
        20200 ms  killed 102            -> forget #3, failed 1: worker SIGKILL
        20699 ms  tick                  ->
        20700 ms  tick                  -> worker 1.1 #4
        20701 ms  spawned #4 103        ->
        20800 ms  killed 103            -> forget #4, failed 1: worker SIGKILL
        21799 ms  tick                  ->
        21800 ms  tick                  -> worker 1.1 #5
        21801 ms  spawned #5 104        ->
        21802 ms  killed 104            -> forget #5, failed 1: worker SIGKILL
        21803 ms  retry                 -> worker 1.1 #6
        ",
    );
}

#[test]
fn a_reload_during_the_first_start_keeps_the_worker_that_accepts_until_the_next_are_ready() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100        ->
           0 ms  spawned #2 101        ->
          50 ms  accepting #1          ->
          60 ms  reload                -> serve 1, prepare 2
          60 ms  prepared 2 x1 direct  -> worker 2.1 #3
          60 ms  spawned #3 102        ->
          70 ms  unloaded #3           -> failed 2: import, drain #3
          80 ms  accepting #2          ->
        ",
    );
}

#[test]
fn a_worker_that_wants_to_go_is_replaced_first() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  wants-to-drain #1     -> heard #1, worker 1.1 #2
         100 ms  spawned #2 101        ->
         150 ms  accepting #2          -> drain #1
         160 ms  exited 100 0          -> forget #1
        ",
    );
}

#[test]
fn a_request_past_harakiri_costs_its_worker_which_is_replaced_at_once() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  overdue #1            -> kill #1 100, worker 1.1 #2
         101 ms  spawned #2 101        ->
         102 ms  killed 100            -> forget #1
         150 ms  accepting #2          ->
         160 ms  overdue #2            -> kill #2 101, worker 1.1 #3
        ",
    );
}

#[test]
fn a_forked_worker_that_dies_before_its_pid_is_told_is_known_dead() {
    check(
        "
           0 ms  begin               -> prepare 1
          10 ms  prepared 1 x2 mold  -> mold 1 #1
          11 ms  spawned #1 100      ->
          90 ms  loaded #1           -> fork 1.1 #2, fork 1.2 #3
          91 ms  killed 102          ->
          92 ms  spawned #2 102      -> forget #2, failed 1: worker SIGKILL, drain #1, drain #3
        ",
    );
}

#[test]
fn a_mold_that_dies_takes_no_worker_with_it() {
    check(
        "
           0 ms  begin               -> prepare 1
          10 ms  prepared 1 x2 mold  -> mold 1 #1
          11 ms  spawned #1 100      ->
          90 ms  loaded #1           -> fork 1.1 #2, fork 1.2 #3
          91 ms  spawned #2 102      ->
          91 ms  spawned #3 103      ->
          91 ms  accepting #2        ->
          92 ms  accepting #3        -> serve 1
         100 ms  killed 100          -> forget #1, mold 1 #4
         200 ms  killed 103          -> forget #3, worker 1.2 #5
        ",
    );
}
