//! Scenarios: reloads that overtake each other, one worker after another, the config to fall back
//! to, molds that die, as text.

use super::tests::check;

#[test]
fn reloads_faster_than_the_app_loads_do_not_keep_it_from_serving() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
        1000 ms  accepting #1          -> serve 1
        5000 ms  reload                -> prepare 2
        5000 ms  prepared 2 x1 direct  -> worker 2.1 #2
        5000 ms  spawned #2 200        ->
        6900 ms  reload                -> abandon 2, drain #2, prepare 3
        6900 ms  prepared 3 x1 direct  -> worker 3.1 #3
        6900 ms  spawned #3 300        ->
        6901 ms  exited 200 0          -> forget #2
        7100 ms  changed               ->
        7500 ms  reload                ->
        7600 ms  reload                ->
        8000 ms  accepting #3          -> serve 3, drain #1, prepare 4
        8100 ms  reload                -> abandon 4, prepare 5
        ",
    );
}

#[test]
fn a_reload_waits_no_longer_than_twice_a_start_for_one_that_hangs() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
        1000 ms  accepting #1          -> serve 1
        5000 ms  reload                -> prepare 2
        5000 ms  prepared 2 x1 direct  -> worker 2.1 #2
        5000 ms  spawned #2 200        ->
       20000 ms  reload                -> abandon 2, drain #2, prepare 3
       20000 ms  prepared 3 x1 direct  -> worker 3.1 #3
       20000 ms  spawned #3 300        ->
       20001 ms  exited 200 0          -> forget #2
       21000 ms  reload                ->
       27999 ms  tick                  ->
       28000 ms  tick                  -> abandon 3, drain #3, prepare 4
        ",
    );
}

#[test]
fn a_reload_that_waited_follows_a_generation_that_failed() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
        1000 ms  accepting #1          -> serve 1
        5000 ms  reload                -> prepare 2
        7000 ms  reload                ->
        8000 ms  unprepared 2          -> abandon 2, failed 2: config, prepare 3
        8001 ms  unprepared 3          -> abandon 3, failed 3: config
       99000 ms  tick                  ->
        ",
    );
}

#[test]
fn after_a_failed_generation_any_edit_starts_one_and_after_a_good_one_only_a_change() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
        1000 ms  accepting #1          -> serve 1
        5000 ms  changed               -> prepare 2 if changed
        5001 ms  unprepared 2          -> abandon 2, failed 2: config
        6000 ms  changed               -> prepare 3
        6000 ms  prepared 3 x1 direct  -> worker 3.1 #2
        6000 ms  spawned #2 200        ->
        6001 ms  unloaded #2           -> failed 3: import, drain #2
        6002 ms  exited 200 22         -> forget #2
        7000 ms  changed               -> prepare 4
        7000 ms  prepared 4 x1 direct  -> worker 4.1 #3
        7000 ms  spawned #3 300        ->
        7500 ms  accepting #3          -> serve 4, drain #1
        9000 ms  changed               -> prepare 5 if changed
        9001 ms  unchanged 5           ->
        ",
    );
}

#[test]
fn with_an_overlap_of_one_each_worker_goes_when_its_successor_accepts() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x2 direct         -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100               ->
           0 ms  spawned #2 101               ->
          50 ms  accepting #1                 ->
          50 ms  accepting #2                 -> serve 1
         100 ms  reload                       -> prepare 2
         110 ms  prepared 2 x2 direct+rolling -> worker 2.1 #3
         110 ms  spawned #3 200               ->
         190 ms  accepting #3                 -> serve 2, drain #1
         191 ms  tick                         ->
         200 ms  exited 100 0                 -> forget #1, worker 2.2 #4
         200 ms  spawned #4 201               ->
         290 ms  accepting #4                 -> drain #2
         300 ms  exited 101 0                 -> forget #2
       20000 ms  killed 200                   -> forget #3, worker 2.1 #5
        ",
    );
}

#[test]
fn an_overlap_changes_nothing_when_the_first_of_the_next_workers_fails() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x2 direct         -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100               ->
           0 ms  spawned #2 101               ->
          50 ms  accepting #1                 ->
          50 ms  accepting #2                 -> serve 1
         100 ms  reload                       -> prepare 2
         110 ms  prepared 2 x2 direct+rolling -> worker 2.1 #3
         110 ms  spawned #3 200               ->
         190 ms  unloaded #3                  -> failed 2: import, drain #3
         191 ms  exited 200 22                -> forget #3
       20000 ms  killed 100                   -> forget #1, worker 1.1 #4
        ",
    );
}

#[test]
fn a_later_worker_of_an_overlap_that_fails_is_retried_while_the_old_one_accepts() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x2 direct         -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100               ->
           0 ms  spawned #2 101               ->
          50 ms  accepting #1                 ->
          50 ms  accepting #2                 -> serve 1
         100 ms  reload                       -> prepare 2
         110 ms  prepared 2 x2 direct+rolling -> worker 2.1 #3
         110 ms  spawned #3 200               ->
         190 ms  accepting #3                 -> serve 2, drain #1
         200 ms  exited 100 0                 -> forget #1, worker 2.2 #4
         200 ms  spawned #4 201               ->
         210 ms  exited 201 1                 -> forget #4, failed 2: worker exit code 1, worker 2.2 #5
         210 ms  spawned #5 202               ->
         220 ms  exited 202 1                 -> forget #5, failed 2: worker exit code 1
         719 ms  tick                         ->
         720 ms  tick                         -> worker 2.2 #6
         720 ms  spawned #6 203               ->
         730 ms  accepting #6                 -> drain #2
        ",
    );
}

#[test]
fn an_overlap_counts_those_that_still_finish_and_waits_for_them() {
    check(
        "
           0 ms  begin                         -> prepare 1
           0 ms  prepared 1 x1 direct          -> worker 1.1 #1
           0 ms  spawned #1 100                ->
          50 ms  accepting #1                  -> serve 1
         100 ms  reload                        -> prepare 2
         110 ms  prepared 2 x1 direct+rolling  -> worker 2.1 #2
         110 ms  spawned #2 200                ->
         190 ms  accepting #2                  -> serve 2, drain #1
         200 ms  reload                        -> prepare 3
         210 ms  prepared 3 x1 direct+rolling  ->
        4000 ms  exited 100 0                  -> forget #1, worker 3.1 #3
        4000 ms  spawned #3 300                ->
        4100 ms  accepting #3                  -> serve 3, drain #2
        ",
    );
}

#[test]
fn an_overlap_takes_a_mold_and_lets_the_old_one_go() {
    check(
        "
           0 ms  begin                      -> prepare 1
           0 ms  prepared 1 x2 mold         -> mold 1 #1
           0 ms  spawned #1 100             ->
          10 ms  loaded #1                  -> fork 1.1 #2, fork 1.2 #3
          11 ms  spawned #2 101             ->
          11 ms  spawned #3 102             ->
          12 ms  accepting #2               ->
          12 ms  accepting #3               -> serve 1
         100 ms  reload                     -> prepare 2
         110 ms  prepared 2 x2 mold+rolling -> mold 2 #4
         110 ms  spawned #4 200             ->
         150 ms  loaded #4                  -> fork 2.1 #5
         151 ms  spawned #5 201             ->
         152 ms  accepting #5               -> serve 2, drain #1, drain #2
         160 ms  exited 100 0               -> forget #1
         170 ms  exited 101 0               -> forget #2, fork 2.2 #6
         171 ms  spawned #6 202             ->
         172 ms  accepting #6               -> drain #3
        ",
    );
}

#[test]
fn a_first_generation_that_fails_gives_way_to_the_config_that_it_names() {
    check(
        "
           0 ms  begin                       -> prepare 1
           0 ms  prepared 1 x1 direct+spare  -> worker 1.1 #1
           0 ms  spawned #1 100              ->
          50 ms  exited 100 1                -> forget #1, failed 1: worker exit code 1, prepare 2 fallback
          60 ms  prepared 2 x1 direct        -> worker 2.1 #2
          60 ms  spawned #2 200              ->
          90 ms  accepting #2                -> serve 2
       99000 ms  tick                        ->
       99001 ms  reload                      -> prepare 3
       99002 ms  prepared 3 x1 direct+spare  -> worker 3.1 #3
       99002 ms  spawned #3 300              ->
       99050 ms  unloaded #3                 -> failed 3: import, drain #3
        ",
    );
}

#[test]
fn a_fallback_that_fails_is_no_end() {
    check(
        "
           0 ms  begin              -> prepare 1
           1 ms  unprepared 1 spare -> abandon 1, failed 1: config, prepare 2 fallback
           2 ms  unprepared 2 spare -> abandon 2, failed 2: config
         501 ms  tick               ->
         502 ms  tick               -> prepare 3
         503 ms  unprepared 3 spare -> abandon 3, failed 3: config, prepare 4 fallback
        ",
    );
}

#[test]
fn a_mold_that_dies_is_made_anew_and_ever_later_when_it_dies_young() {
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
       20000 ms  killed 100          -> forget #1, mold 1 #4
       20001 ms  spawned #4 104      ->
       20100 ms  unloaded #4         -> failed 1: import, kill #4 104
       20101 ms  exited 104 22       -> forget #4, mold 1 #5
       20102 ms  spawned #5 105      ->
       20103 ms  killed 102          -> forget #2, worker 1.1 #6
       20104 ms  spawned #6 106      ->
       20150 ms  exited 105 1        -> forget #5, failed 1: mold exit code 1
       20160 ms  accepting #6        ->
       20649 ms  tick                ->
       20650 ms  tick                -> mold 1 #7
       20651 ms  spawned #7 107      ->
       20700 ms  loaded #7           ->
       40000 ms  killed 103          -> forget #3, fork 1.2 #8
        ",
    );
}

#[test]
fn a_mold_that_is_made_anew_with_threads_lets_workers_load_themselves() {
    check(
        "
           0 ms  begin               -> prepare 1
          10 ms  prepared 1 x1 mold  -> mold 1 #1
          11 ms  spawned #1 100      ->
          90 ms  loaded #1           -> fork 1.1 #2
          91 ms  spawned #2 102      ->
          91 ms  accepting #2        -> serve 1
       20000 ms  killed 100          -> forget #1, mold 1 #3
       20001 ms  spawned #3 104      ->
       20100 ms  loaded #3 threads   -> drain #3
       20101 ms  exited 104 0        -> forget #3
       20200 ms  killed 102          -> forget #2, worker 1.1 #4
        ",
    );
}

#[test]
fn a_process_that_ends_of_being_asked_where_it_hangs_was_late() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
        20000 ms  tick                  -> stacks #1 100
        20010 ms  killed 100            -> forget #1, failed 1: late
        ",
    );
}
