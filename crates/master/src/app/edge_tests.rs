//! Scenarios: what the app says of itself, and what comes at an odd moment, as text.

use super::tests::{check, event};

#[test]
fn a_first_generation_that_fails_is_told_with_its_next_try() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  is                    -> starting, starting 1
           0 ms  unprepared 1          -> abandon 1, failed 1: config
         100 ms  is                    -> failing, failed, failures 1, retry in 400
         500 ms  tick                  -> prepare 2
         500 ms  is                    -> failing, starting 2, failed, failures 1
         500 ms  prepared 2 x1 direct  -> worker 2.1 #1
         510 ms  unspawned #1          -> forget #1, failed 2: spawn
         600 ms  is                    -> failing, failed, failures 2, retry in 910
         700 ms  changed               -> prepare 3
         700 ms  is                    -> starting, starting 3, failed
         700 ms  prepared 3 x1 direct  -> worker 3.1 #2
         700 ms  spawned #2 100        ->
         710 ms  accepting #2          -> serve 3
         710 ms  is                    -> serving 3
         720 ms  exited 77 0           ->
         720 ms  is                    -> serving 3, strays 1
        ",
    );
}

#[test]
fn a_serving_app_says_what_starts_and_what_failed_beside_it() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  reload                -> prepare 2
         100 ms  is                    -> serving 1, starting 2
         110 ms  unprepared 2          -> abandon 2, failed 2: config
         110 ms  is                    -> serving 1, failed
         120 ms  pause                 -> pause #1
         120 ms  is                    -> paused 1, failed
         130 ms  pause                 -> resume #1
         140 ms  stop                  -> unlink, finish #1
         140 ms  is                    -> stopping, failed
         141 ms  retire                ->
         150 ms  exited 100 0          -> forget #1, end
         160 ms  reload                ->
         160 ms  stop                  ->
        ",
    );
}

#[test]
fn a_serving_app_whose_workers_do_not_come_up_is_failing() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 mold    -> mold 1 #1
            0 ms  spawned #1 100        ->
           10 ms  loaded #1             -> fork 1.1 #2
           11 ms  spawned #2 101        ->
           50 ms  accepting #2          -> serve 1
        20000 ms  killed 101            -> forget #2, fork 1.1 #3
        20000 ms  is                    -> serving 1
        20001 ms  spawned #3 102        ->
        20010 ms  exited 102 1          -> forget #3, failed 1: worker exit code 1, fork 1.1 #4
        20011 ms  spawned #4 103        ->
        20020 ms  exited 103 1          -> forget #4, failed 1: worker exit code 1
        20020 ms  is                    -> failing 1, failures 2, retry in 500
        20520 ms  tick                  -> fork 1.1 #5
        20521 ms  spawned #5 104        ->
        20530 ms  accepting #5          ->
        20530 ms  is                    -> serving 1
        ",
    );
}

#[test]
fn an_app_that_sleeps_says_so_and_waits_for_no_connection_while_it_is_paused_or_stops() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x1 direct -> worker 1.1 #1
           0 ms  spawned #1 100       ->
          50 ms  accepting #1         -> serve 1
          60 ms  cheap                -> sleep, drain #1
          60 ms  is                   -> asleep, waits for a connection, empty [1, 2]
          61 ms  pause                ->
          61 ms  is                   -> paused, empty [1, 2]
          62 ms  pause                ->
          70 ms  stop                 -> unlink
          70 ms  is                   -> stopping, empty [1, 2]
        ",
    );
}

#[test]
fn a_generation_that_is_not_ready_in_time_is_given_up_and_the_old_one_serves_on() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
            0 ms  spawned #1 100        ->
            0 ms  spawned #2 101        ->
           50 ms  accepting #1          ->
           50 ms  accepting #2          -> serve 1
         1000 ms  killed 101            -> forget #2, worker 1.2 #3
         1001 ms  spawned #3 102        ->
         1100 ms  reload                -> prepare 2
         1100 ms  prepared 2 x2 direct  -> worker 2.1 #4, worker 2.2 #5
         1101 ms  spawned #4 200        ->
         1101 ms  spawned #5 201        ->
         1200 ms  accepting #4          ->
         1300 ms  accepting #3          ->
        21099 ms  tick                  ->
        21100 ms  tick                  -> stacks #5 201
        21400 ms  tick                  -> failed 2: late, drain #4, drain #5
        21401 ms  is                    -> serving 1, failed
        22000 ms  exited 200 0          -> forget #4
        23400 ms  tick                  -> kill #5 201
        23401 ms  killed 201            -> forget #5
        99000 ms  tick                  ->
        ",
    );
}

#[test]
fn a_config_that_takes_too_long_is_given_up() {
    check(
        "
            0 ms  begin       -> prepare 1
        59999 ms  tick        ->
        60000 ms  tick        -> abandon 1, failed 1: late
        60500 ms  tick        -> prepare 2
        60500 ms  busy 1 600  ->
        60501 ms  busy 2 600  ->
       720500 ms  tick        ->
       720501 ms  tick        -> abandon 2, failed 2: late
        ",
    );
}

#[test]
fn a_worker_of_the_next_generation_that_dies_before_the_others_accept_costs_that_generation() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  reload                -> prepare 2
         110 ms  prepared 2 x2 direct  -> worker 2.1 #2, worker 2.2 #3
         110 ms  spawned #2 200        ->
         110 ms  spawned #3 201        ->
         150 ms  accepting #2          ->
         160 ms  killed 200            -> forget #2, failed 2: worker SIGKILL, drain #3
         161 ms  is                    -> serving 1, failed
        ",
    );
}

#[test]
fn what_is_unchanged_leaves_the_serving_generation_and_a_stale_answer_nothing() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
         100 ms  changed               -> prepare 2 if changed
         101 ms  changed               -> abandon 2, prepare 3 if changed
         102 ms  unchanged 2           ->
         102 ms  is                    -> serving 1, starting 3
         103 ms  unchanged 3           ->
         103 ms  is                    -> serving 1
        ",
    );
}

#[test]
fn a_replacement_that_hangs_is_given_up_and_tried_later() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
            0 ms  spawned #1 100        ->
            0 ms  spawned #2 101        ->
           50 ms  accepting #1          ->
           50 ms  accepting #2          -> serve 1
        20000 ms  killed 101            -> forget #2, worker 1.2 #3
        20001 ms  spawned #3 102        ->
        39999 ms  tick                  ->
        40000 ms  tick                  -> failed 1: late, drain #3, worker 1.2 #4
        40001 ms  unspawned #4          -> forget #4, failed 1: spawn
        40500 ms  tick                  ->
        40501 ms  tick                  -> worker 1.2 #5
        42000 ms  tick                  -> kill #3 102
        42001 ms  is                    -> serving 1
        ",
    );
}

#[test]
fn a_worn_worker_whose_replacement_hangs_serves_on() {
    check(
        "
            0 ms  begin                -> prepare 1
            0 ms  prepared 1 x1 direct -> worker 1.1 #1
            0 ms  spawned #1 100       ->
           50 ms  accepting #1         -> serve 1
        20000 ms  worn #1              -> worker 1.1 #2
        20001 ms  spawned #2 101       ->
        40000 ms  tick                 -> failed 1: late, drain #2
        40001 ms  is                   -> serving 1
        42000 ms  tick                 -> kill #2 101
        42001 ms  killed 101           -> forget #2
        69999 ms  tick                 ->
        70000 ms  tick                 -> worker 1.1 #3
        70001 ms  spawned #3 102       ->
        70050 ms  accepting #3         -> drain #1
        75049 ms  tick                 ->
        75050 ms  tick                 -> stacks #1 100
        ",
    );
}

#[test]
fn a_worker_that_must_go_is_killed_when_no_replacement_comes_and_a_worn_one_may_ask_again() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
           50 ms  accepting #1          -> serve 1
        20000 ms  worn #1               -> worker 1.1 #2
        20001 ms  spawned #2 101        ->
        20002 ms  worn #1               ->
        20003 ms  wants-to-drain #1     -> heard #1
        20004 ms  wants-to-drain #1     ->
        20010 ms  exited 101 1          -> forget #2, failed 1: worker exit code 1, worker 1.1 #3
        20011 ms  spawned #3 102        ->
        20020 ms  exited 102 1          -> forget #3, failed 1: worker exit code 1
        20020 ms  is                    -> serving 1
        20520 ms  tick                  -> worker 1.1 #4
        20521 ms  spawned #4 103        ->
        40520 ms  tick                  -> failed 1: late, drain #4
        41519 ms  tick                  ->
        41520 ms  tick                  -> worker 1.1 #5
        42000 ms  exited 103 0          -> forget #4
        45002 ms  tick                  ->
        45003 ms  tick                  -> kill #1 100
        ",
    );
}

#[test]
fn a_mold_that_wants_to_go_is_made_anew_and_one_that_loads_is_not_heard() {
    check(
        "
           0 ms  begin               -> prepare 1
           0 ms  prepared 1 x1 mold  -> mold 1 #1
           0 ms  spawned #1 100      ->
           1 ms  wants-to-drain #1   ->
          10 ms  loaded #1           -> fork 1.1 #2
          11 ms  spawned #2 101      ->
          12 ms  accepting #2        -> serve 1
        1000 ms  wants-to-drain #1   -> drain #1
        1010 ms  exited 100 0        -> forget #1, mold 1 #3
        1011 ms  spawned #3 102      ->
        1012 ms  pause               -> pause #2
        1013 ms  pause               -> resume #2
        1020 ms  loaded #3           ->
        1030 ms  reload-chain        -> fork 1.1 #4
        1031 ms  spawned #4 103      ->
        1032 ms  accepting #4        -> drain #2
        1033 ms  exited 101 0        -> forget #2
        1040 ms  reload-workers brutal -> fork 1.1 #5
        1041 ms  spawned #5 104      ->
        1042 ms  accepting #5        -> drain #4, kill #4 103
        1050 ms  stop                -> unlink, drain #3, finish #5
        ",
    );
}

#[test]
fn forks_that_their_mold_did_not_tell_are_forgotten_with_it_and_begun_anew() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 mold    -> mold 1 #1
           0 ms  spawned #1 100        ->
          10 ms  loaded #1             -> fork 1.1 #2, fork 1.2 #3
          11 ms  spawned #2 101        ->
          11 ms  spawned #3 102        ->
          12 ms  accepting #2          ->
          12 ms  accepting #3          -> serve 1
       20000 ms  reload                -> prepare 2
       20000 ms  prepared 2 x1 direct  -> worker 2.1 #4
       20001 ms  killed 102            -> forget #3, fork 1.2 #5
       20002 ms  killed 100            -> forget #1, forget #5, mold 1 #6, worker 1.2 #7
       20003 ms  spawned #4 200        ->
       20004 ms  accepting #4          -> serve 2, drain #2, drain #6, drain #7
        ",
    );
}

#[test]
fn a_killed_mold_that_the_kernel_keeps_is_given_up_and_made_anew() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 mold    -> mold 1 #1
            0 ms  spawned #1 100        ->
           10 ms  loaded #1             -> fork 1.1 #2
           11 ms  spawned #2 101        ->
           12 ms  accepting #2          -> serve 1
           20 ms  overdue #1            -> kill #1 100
        10019 ms  tick                  ->
        10020 ms  tick                  -> forget #1, mold 1 #3
        10030 ms  killed 101            -> forget #2, worker 1.1 #4
        ",
    );
}

#[test]
fn a_stop_now_kills_at_once_and_what_has_no_pid_yet_as_soon_as_it_has_one() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
            0 ms  spawned #1 100        ->
           50 ms  stop-now              -> unlink, abandon 1, finish #1, finish #2, kill #1 100
           60 ms  spawned #2 101        -> kill #2 101
           70 ms  killed 101            -> forget #2
           80 ms  killed 100            -> forget #1, end
        ",
    );
}

#[test]
fn a_brutal_reload_that_had_to_wait_is_brutal_still() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
        1000 ms  accepting #1          -> serve 1
        5000 ms  reload                -> prepare 2
        5000 ms  prepared 2 x1 direct  -> worker 2.1 #2
        5000 ms  spawned #2 200        ->
        7000 ms  reload-now            ->
        7100 ms  changed               ->
        8000 ms  accepting #2          -> serve 2, drain #1, prepare 3
        8001 ms  prepared 3 x1 direct  -> worker 3.1 #3
        8002 ms  spawned #3 300        ->
        8100 ms  accepting #3          -> serve 3, drain #2, kill #2 200
        ",
    );
}

#[test]
fn whose_turn_it_is_gets_its_replacement_whatever_became_of_earlier_ones() {
    check(
        "
            0 ms  begin                -> prepare 1
            0 ms  prepared 1 x1 direct -> worker 1.1 #1
            0 ms  spawned #1 100       ->
           50 ms  accepting #1         -> serve 1
        20000 ms  reload-chain         -> worker 1.1 #2
        20001 ms  unspawned #2         -> forget #2, failed 1: spawn
        20002 ms  reload-chain         -> worker 1.1 #3
        20003 ms  unspawned #3         -> forget #3, failed 1: spawn
        20004 ms  reload-chain         -> worker 1.1 #4
        20005 ms  unspawned #4         -> forget #4, failed 1: spawn
        20006 ms  reload-workers       -> worker 1.1 #5
        20007 ms  spawned #5 101       ->
        20050 ms  accepting #5         -> drain #1
        ",
    );
}

#[test]
fn a_call_before_the_first_start_wakes_a_cheap_app() {
    let now = crate::clock::now();
    for is_called in [false, true] {
        let mut app = super::App::new(7);
        if is_called {
            app.call();
        }
        let words = ["begin", "prepared 8 x1 direct+cheap"];
        let lines = words.map(|line| event(&line.split(' ').collect::<Vec<_>>()));
        let actions = lines.map(|event| app.step(event, now)[0].to_string());
        let then = if is_called {
            "worker 8.1 #1"
        } else {
            "sleep 8"
        };
        assert_eq!(actions, ["prepare 8", then]);
    }
}

#[test]
fn an_overlap_waits_for_room_as_long_as_others_finish() {
    check(
        "
           0 ms  begin                                -> prepare 1
           0 ms  prepared 1 x1 direct+patient         -> worker 1.1 #1
           0 ms  spawned #1 100                       ->
          50 ms  accepting #1                         -> serve 1
         100 ms  reload                               -> prepare 2
         110 ms  prepared 2 x1 direct+rolling+patient -> worker 2.1 #2
         110 ms  spawned #2 200                       ->
         190 ms  accepting #2                         -> serve 2, drain #1
         200 ms  reload                               -> prepare 3
         210 ms  prepared 3 x1 direct+rolling         ->
       20210 ms  tick                                 ->
       40210 ms  tick                                 ->
       60190 ms  tick                                 -> stacks #1 100
       60490 ms  tick                                 -> kill #1 100
       60500 ms  killed 100                           -> forget #1, worker 3.1 #3
       60501 ms  spawned #3 300                       ->
       80509 ms  tick                                 -> stacks #3 300
       80809 ms  tick                                 -> failed 3: late, drain #3
       80810 ms  is                                   -> serving 2, failed
        ",
    );
}

#[test]
fn an_overlap_takes_the_idle_first_and_who_waited_for_a_replacement_accepts_until_it_is_there() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x2 direct         -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100               ->
           0 ms  spawned #2 101               ->
          50 ms  accepting #1                 ->
          50 ms  accepting #2                 -> serve 1
          90 ms  sample 1 #1                  ->
         100 ms  reload                       -> prepare 2
         110 ms  prepared 2 x2 direct+rolling -> worker 2.1 #3
         111 ms  spawned #3 200               ->
         120 ms  wants-to-drain #1            -> heard #1, worker 1.1 #4
         121 ms  spawned #4 102               ->
         190 ms  accepting #3                 -> serve 2, drain #4, drain #2
         191 ms  exited 102 0                 -> forget #4
         200 ms  exited 101 0                 -> forget #2, worker 2.2 #5
         201 ms  spawned #5 201               ->
         290 ms  accepting #5                 -> drain #1
       99000 ms  is                           -> serving 2
        ",
    );
}

#[test]
fn who_is_paused_or_reloads_is_not_scaled() {
    check(
        "
           0 ms  begin                          -> prepare 1
           0 ms  prepared 1 x3 mold+cheaper+idle -> mold 1 #1
           0 ms  spawned #1 100                 ->
          10 ms  loaded #1                      -> fork 1.1 #2
          11 ms  spawned #2 101                 ->
          12 ms  accepting #2                   -> serve 1
        1000 ms  sample 1 #2                    ->
        1000 ms  is                             -> serving 1, empty [2, 3]
        2000 ms  sample 2 #2                    -> scale 1 to 2, fork 1.2 #3
        2001 ms  spawned #3 102                 ->
        2002 ms  accepting #3                   ->
        2003 ms  reload                         -> prepare 2
        2004 ms  more                           -> scale 2 to 3, fork 1.3 #4
        2005 ms  cheap                          ->
        2006 ms  spawned #4 103                 ->
        2007 ms  accepting #4                   ->
        9000 ms  sample 3                       ->
       10000 ms  sample 3                       ->
       11000 ms  unprepared 2                   -> abandon 2, failed 2: config
       11001 ms  pause                          -> pause #2, pause #3, pause #4
       20000 ms  sample 3                       ->
       30000 ms  sample 3                       ->
       30001 ms  pause                          -> resume #2, resume #3, resume #4
        ",
    );
}

#[test]
fn the_end_of_a_process_says_whether_it_was_lost_ordered_or_late() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 mold    -> mold 1 #1
           0 ms  spawned #1 100        ->
          10 ms  loaded #1             -> fork 1.1 #2, fork 1.2 #3
          11 ms  spawned #2 101        ->
          11 ms  spawned #3 102        ->
          12 ms  accepting #2          ->
          12 ms  accepting #3          -> serve 1
       20000 ms  killed 100            -> forget #1 (Unexpected), mold 1 #4
       20001 ms  unspawned #4          -> forget #4 (Told), failed 1: spawn, mold 1 #5
       20002 ms  killed 101            -> forget #2 (Unexpected), worker 1.1 #6
       20003 ms  spawned #6 103        ->
       20004 ms  exited 103 1          -> forget #6 (Told), failed 1: worker exit code 1, worker 1.1 #7
       20005 ms  spawned #7 104        ->
       20006 ms  accepting #7          ->
       20007 ms  overdue #7            -> kill #7 104, worker 1.1 #8
       20008 ms  killed 104            -> forget #7 (Told)
       20009 ms  spawned #8 105        ->
       20010 ms  accepting #8          ->
       20011 ms  retire                -> cede, drain #3, drain #5, drain #8
       20012 ms  exited 102 0          -> forget #3 (Ordered)
       25011 ms  tick                  -> stacks #8 105
       25311 ms  tick                  -> kill #8 105
       25312 ms  killed 105            -> forget #8 (Late)
        ",
    );
}

#[test]
fn a_stray_that_died_while_a_fork_was_outstanding_is_not_taken_for_a_later_worker() {
    check(
        "
           0 ms  begin               -> prepare 1
           0 ms  prepared 1 x1 mold  -> mold 1 #1
           1 ms  spawned #1 100      ->
          10 ms  loaded #1           -> fork 1.1 #2
          11 ms  exited 102 0        ->
          12 ms  spawned #2 101      ->
          13 ms  accepting #2        -> serve 1
          14 ms  exited 103 0        ->
       20000 ms  killed 101          -> forget #2, fork 1.1 #3
       20001 ms  spawned #3 102      ->
       20002 ms  accepting #3        ->
       40000 ms  killed 102          -> forget #3, fork 1.1 #4
       40001 ms  spawned #4 103      ->
       40002 ms  is                  -> serving 1, strays 2
        ",
    );
}

#[test]
fn nobody_takes_turns_while_a_generation_starts() {
    check(
        "
            0 ms  begin                -> prepare 1
            0 ms  prepared 1 x1 direct -> worker 1.1 #1
            0 ms  spawned #1 100       ->
           50 ms  accepting #1         -> serve 1
        20000 ms  reload               -> prepare 2
        20001 ms  worn #1              ->
        20002 ms  prepared 2 x1 direct -> worker 2.1 #2
        20003 ms  unspawned #2         -> forget #2, failed 2: spawn, worker 1.1 #3
        ",
    );
}

#[test]
fn who_was_to_go_without_mercy_and_stays_has_it_again() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
           50 ms  accepting #1          -> serve 1
        20000 ms  reload-workers brutal -> worker 1.1 #2
        20001 ms  unspawned #2          -> forget #2, failed 1: spawn
        20002 ms  stop                  -> unlink, finish #1
        25002 ms  tick                  -> stacks #1 100
        ",
    );
}

#[test]
fn who_waited_in_vain_for_a_replacement_goes_when_a_later_one_accepts() {
    check(
        "
            0 ms  begin               -> prepare 1
            0 ms  prepared 1 x1 mold  -> mold 1 #1
            0 ms  spawned #1 100      ->
           10 ms  loaded #1           -> fork 1.1 #2
           11 ms  spawned #2 101      ->
           12 ms  accepting #2        -> serve 1
        20000 ms  reload-chain        -> fork 1.1 #3
        30000 ms  killed 100          -> forget #1, forget #3, mold 1 #4, worker 1.1 #5
        30001 ms  spawned #5 102      ->
        45000 ms  tick                ->
        45500 ms  accepting #5        -> drain #2
        ",
    );
}
