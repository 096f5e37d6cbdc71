//! What the supervisor does, as scenarios in text, and over random sequences of events.

use super::*;

/// Runs a scenario: each line is a time in milliseconds, an event, and the actions that follow.
/// `is` asks what the supervisor says of its apps. What a `tick` brings must have been announced
/// as a deadline.
#[track_caller]
fn check(places: usize, scenario: &str) {
    let start = Instant::now();
    let mut supervisor = Supervisor::new(places);
    for line in scenario
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (when, rest) = line.split_once(" ms ").expect("a time");
        let (event, expected) = rest.split_once("->").expect("an arrow");
        let now = start + Duration::from_millis(when.trim().parse().expect("milliseconds"));
        if event.trim() == "is" {
            assert_eq!(
                told(&supervisor, now),
                expected.trim(),
                "in line \"{line}\""
            );
            continue;
        }
        let is_due = supervisor.deadline().is_some_and(|at| at <= now);
        let actions = supervisor.step(read(event), now);
        assert!(
            event.trim() != "tick" || is_due || actions.is_empty(),
            "no deadline announced this: \"{line}\""
        );
        let said: Vec<String> = actions.iter().map(show).collect();
        assert_eq!(said.join(", "), expected.trim(), "in line \"{line}\"");
    }
}

/// Each app in one word, and what more is known of it; then the whole.
fn told(supervisor: &Supervisor, now: Instant) -> String {
    let mut told = Vec::new();
    for name in &supervisor.names() {
        let (situation, wait) = supervisor.situation(name, now).expect("a known app");
        let mut words = vec![name.clone(), format!("{situation:?}").to_lowercase()];
        words.extend(wait.map(|wait| wait.as_millis().to_string()));
        let notes = [
            (supervisor.is_ending(name), "ends"),
            (supervisor.is_halted(name), "by hand"),
            (supervisor.with_heirs().contains(name), "heir"),
            (supervisor.waiting_for_reload().contains(name), "to reload"),
            (supervisor.has_settled(name), "settled"),
        ];
        words.extend(notes.iter().filter(|it| it.0).map(|it| it.1.to_owned()));
        told.push(words.join(" "));
        let is_halted = situation == Situation::Halted;
        assert_eq!(supervisor.halted().contains(name), is_halted);
        let dozes = situation == Situation::Dozing;
        assert_eq!(supervisor.dozes(name), dozes);
        assert_eq!(supervisor.dozing().any(|it| it == name), dozes);
        let failures = match situation {
            Situation::BackingOff(failures) => Some(failures),
            Situation::Waiting
            | Situation::Up
            | Situation::Stopping
            | Situation::Halted
            | Situation::Dozing => None,
        };
        let backing_off = supervisor.backing_off(now);
        let backing_off = backing_off.iter().find(|it| it.0 == *name);
        assert_eq!(backing_off.map(|it| it.1), failures);
        assert!(failures.is_none_or(|failures| failures == supervisor.deaths(name)));
        let has_none = supervisor.without_master().contains(name);
        assert_eq!(has_none, supervisor.pid(name).is_none());
    }
    told.extend(supervisor.is_busy().then(|| "busy".to_owned()));
    told.extend(supervisor.is_stopping().then(|| "stopping".to_owned()));
    told.extend(supervisor.is_finished().then(|| "finished".to_owned()));
    told.join(", ")
}

fn read(text: &str) -> Event {
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = |index: usize| words[index].to_owned();
    let pid = |index: usize| words[index].parse().expect("a pid");
    let report = |state, changing| Event::Reported {
        name: name(1),
        state,
        changing,
        mercy: Some(Duration::from_secs(60)),
    };
    match words[0] {
        "found" => Event::Found {
            name: name(1),
            after: words.get(3).map(|&after| after.to_owned()),
        },
        "gone" => Event::Gone(name(1)),
        "changed" => Event::Changed(name(1)),
        "beside" => Event::Beside(name(1)),
        "touched" => Event::Touched(name(1)),
        "adopted" => Event::Adopted(name(1), pid(2)),
        "spawned" => Event::Spawned(name(1), pid(2)),
        "spawn-failed" => Event::SpawnFailed(name(1)),
        "serving" => report(AppState::Serving, false),
        "reloading" => report(AppState::Serving, true),
        "failing" => report(AppState::Failing, false),
        "hung-up" => Event::HungUp(pid(1)),
        "ended" => Event::Ended(pid(1)),
        "retry" => Event::Retry(words.get(1).map(|&name| name.to_owned())),
        "halt" => Event::Halt(name(1)),
        "outdated" => Event::Outdated(name(1)),
        "heir-spawned" => Event::HeirSpawned(name(1), pid(2)),
        "heir-failed" => Event::HeirFailed(name(1)),
        "heir-serving" => Event::HeirReported(name(1), AppState::Serving),
        "heir-failing" => Event::HeirReported(name(1), AppState::Failing),
        "heir-starting" => Event::HeirReported(name(1), AppState::Starting),
        "asleep" => report(AppState::Asleep, false),
        "dispensable" => Event::Dispensable(name(1)),
        "dozed" => Event::Dozed(name(1)),
        "called" => Event::Called(name(1)),
        "failed" => {
            let wait = Duration::from_millis(words[3].parse().expect("milliseconds"));
            Event::Failed(name(1), words[2].parse().expect("a count"), wait)
        }
        "retired" => Event::Retired(name(1), pid(2)),
        "give-up-heir" => Event::GiveUpHeir(name(1)),
        "starting" => report(AppState::Starting, false),
        "leave" => Event::Leave,
        "restart" => Event::Restart(name(1)),
        "reload-all" => Event::ReloadAll,
        "pause-all" => Event::PauseAll,
        "stop" => Event::Stop,
        "stop-now" => Event::StopNow,
        "tick" => Event::Tick,
        other => panic!("no event: {other}"),
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Spawn(name) => format!("spawn {name}"),
        Action::Order(name, order) => {
            format!("{} {name}", format!("{order:?}").to_lowercase())
        }
        Action::Succeed(name) => format!("succeed {name}"),
        Action::Promote(name) => format!("promote {name}"),
        Action::Dismiss(name) => format!("dismiss {name}"),
        Action::OrderHeir(name, order) => {
            format!("heir {} {name}", format!("{order:?}").to_lowercase())
        }
        Action::Press(pid) => format!("press {pid}"),
        Action::Kill(name, pid) => format!("kill {name} {pid}"),
        Action::Doze(name) => format!("doze {name}"),
        Action::Release(name) => format!("release {name}"),
        Action::Forget(name) => format!("forget {name}"),
    }
}

#[test]
fn an_app_that_is_found_gets_a_master_and_one_that_goes_is_stopped() {
    check(
        2,
        "
           0 ms found blog            -> spawn blog
           0 ms spawned blog 100      ->
         300 ms serving blog          ->
        5000 ms changed blog          -> changed blog
        5100 ms serving blog          ->
        6000 ms touched blog          -> reload blog
        6100 ms serving blog          ->
        7000 ms gone blog             -> stop blog
        7200 ms ended 100             -> forget blog
    ",
    );
}

#[test]
fn a_restart_ends_the_master_before_the_next_one_comes() {
    check(
        2,
        "
           0 ms found blog            -> spawn blog
           0 ms spawned blog 100      ->
         300 ms serving blog          ->
        1000 ms restart blog          -> stop blog
        1100 ms restart blog          ->
        1200 ms ended 100             -> spawn blog
        1200 ms spawned blog 101      ->
        1300 ms serving blog          ->
        2000 ms halt blog             -> stop blog
        2050 ms retry                 ->
        2100 ms ended 101             -> release blog
        3000 ms restart blog          -> spawn blog
        3000 ms spawned blog 102      ->
        3100 ms halt blog             -> stop blog
        3200 ms retry blog            ->
        3300 ms ended 102             -> spawn blog
        3300 ms spawned blog 103      ->
        3400 ms gone blog             -> stop blog
        3500 ms restart blog          ->
        3600 ms ended 103             -> forget blog
    ",
    );
}

#[test]
fn a_dead_master_is_replaced_at_once_and_then_later_each_time() {
    check(
        2,
        "
           0 ms found blog            -> spawn blog
           0 ms spawned blog 100      ->
         300 ms serving blog          ->
         400 ms ended 100             -> spawn blog
         400 ms spawned blog 101      ->
         500 ms ended 101             ->
         999 ms tick                  ->
        1000 ms tick                  -> spawn blog
        1000 ms spawned blog 102      ->
        1100 ms ended 102             ->
        2099 ms tick                  ->
        2100 ms tick                  -> spawn blog
    ",
    );
}

#[test]
fn a_crash_loop_is_forgiven_when_the_file_changes_and_delays_nobody() {
    check(
        1,
        "
           0 ms found bad             -> spawn bad
           0 ms spawned bad 100       ->
          10 ms ended 100             ->
          20 ms found good            -> spawn good
          20 ms spawned good 200      ->
         300 ms serving good          ->
         510 ms tick                  -> spawn bad
         510 ms spawned bad 101       ->
         520 ms ended 101             ->
         600 ms changed bad           -> spawn bad
         600 ms spawned bad 102       ->
         610 ms ended 102             ->
        1109 ms tick                  ->
        1110 ms tick                  -> spawn bad
    ",
    );
}

#[test]
fn few_start_at_once_and_a_start_that_hangs_lets_others_begin() {
    check(
        2,
        "
           0 ms found a               -> spawn a
           0 ms spawned a 1           ->
           0 ms found b               -> spawn b
           0 ms spawned b 2           ->
           0 ms found c               ->
           1 ms found d               ->
         500 ms serving b             -> spawn c
         500 ms spawned c 3           ->
         900 ms failing c             -> spawn d
         900 ms spawned d 4           ->
         950 ms serving d             ->
         960 ms found e               -> spawn e
         960 ms spawned e 5           ->
         970 ms found f               ->
        1999 ms tick                  ->
        2000 ms tick                  -> spawn f
    ",
    );
}

#[test]
fn of_starts_that_hang_there_are_not_many_either() {
    check(
        1,
        "
           0 ms found a               -> spawn a
           0 ms spawned a 1           ->
           0 ms found b               ->
           0 ms found c               ->
           0 ms found d               ->
        2000 ms tick                  -> spawn b
        2000 ms spawned b 2           ->
        4000 ms tick                  ->
        9999 ms tick                  ->
       10000 ms tick                  -> spawn c
       10000 ms spawned c 3           ->
       12000 ms tick                  -> spawn d
    ",
    );
}

#[test]
fn a_reload_of_all_takes_turns() {
    check(
        1,
        "
           0 ms adopted a 1           ->
           0 ms adopted b 2           ->
           0 ms serving a             ->
           0 ms serving b             ->
         100 ms reload-all            -> reload a
         110 ms reloading a           ->
         400 ms serving a             -> reload b
         700 ms serving b             ->
         800 ms tick                  ->
    ",
    );
}

#[test]
fn an_order_to_an_app_in_the_midst_of_a_reload_waits_for_no_place() {
    check(
        1,
        "
           0 ms adopted a 1           ->
           0 ms adopted b 2           ->
           0 ms serving a             ->
           0 ms serving b             ->
         100 ms touched a             -> reload a
         110 ms reloading a           ->
         150 ms touched b             ->
         200 ms touched a             ->
         210 ms changed a             ->
         300 ms tick                  -> reload a
         510 ms changed a             -> changed a
         600 ms serving a             -> reload b
    ",
    );
}

#[test]
fn an_adopted_master_is_no_second_one() {
    check(
        2,
        "
           0 ms adopted blog 100      ->
           0 ms found blog            ->
           0 ms serving blog          ->
           0 ms adopted old 101       ->
           0 ms gone old              -> stop old
         100 ms ended 101             -> forget old
        9000 ms ended 100             -> spawn blog
    ",
    );
}

#[test]
fn a_stop_ends_even_when_a_master_does_not() {
    check(
        2,
        "
           0 ms found a               -> spawn a
           0 ms spawned a 1           ->
         300 ms serving a             ->
        1000 ms stop                  -> stop a
       75999 ms tick                  ->
       76000 ms tick                  -> stopnow a
       81000 ms tick                  -> kill a 1
       86000 ms tick                  -> kill a 1
       91000 ms tick                  -> kill a 1
       96000 ms tick                  -> forget a
    ",
    );
}

#[test]
fn the_second_stop_signal_ends_now() {
    check(
        2,
        "
           0 ms found a               -> spawn a
           0 ms found b               -> spawn b
           0 ms found c               ->
           0 ms spawned a 1           ->
        1000 ms stop                  -> stop a, forget c
        1001 ms spawned b 2           -> stop b
        2000 ms stop-now              -> stopnow a, stopnow b
        2100 ms ended 1               -> forget a
        7000 ms tick                  -> kill b 2
        7001 ms ended 2               -> forget b
    ",
    );
}

#[test]
fn a_renamed_file_waits_for_the_sockets_of_its_old_name() {
    check(
        2,
        "
           0 ms adopted old 1         ->
           0 ms serving old           ->
         100 ms found new after old   ->
         100 ms gone old              -> stop old
         150 ms ended 1               -> forget old, spawn new
    ",
    );
    check(
        2,
        "
           0 ms adopted old 1         ->
         100 ms found new after old   ->
         100 ms gone old              -> stop old
        5099 ms tick                  ->
        5100 ms tick                  -> spawn new
    ",
    );
}

#[test]
fn what_comes_back_while_it_stops_is_started_again() {
    check(
        2,
        "
           0 ms adopted a 1           ->
         100 ms gone a                -> stop a
         110 ms found a               ->
         200 ms ended 1               -> spawn a
    ",
    );
}

#[test]
fn a_halted_app_stays_so_until_somebody_wants_it() {
    check(
        2,
        "
           0 ms adopted a 1           ->
         100 ms halt a                -> stop a
         200 ms ended 1               -> release a
         300 ms retry                 ->
         400 ms retry a               -> spawn a
         400 ms spawned a 2           ->
         500 ms halt a                -> stop a
         550 ms beside a              ->
         600 ms ended 2               -> release a
         650 ms beside a              ->
         700 ms touched a             -> spawn a
    ",
    );
}

#[test]
fn a_master_that_closed_its_channel_and_stays_is_killed_and_replaced() {
    check(
        2,
        "
           0 ms adopted a 1           ->
           0 ms serving a             ->
         100 ms hung-up 1             ->
        5100 ms tick                  -> kill a 1
        5101 ms tick                  ->
        5102 ms ended 1              -> spawn a
    ",
    );
}

#[test]
fn a_spawn_that_fails_backs_off() {
    check(
        2,
        "
           0 ms found a               -> spawn a
           0 ms spawn-failed a        ->
         499 ms tick                  ->
         500 ms retry                 -> spawn a
         500 ms spawn-failed a        ->
        1000 ms tick                  -> spawn a
    ",
    );
}

mod edges;
mod heirs;
mod random;
