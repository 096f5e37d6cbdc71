//! Scenarios: scaling, sleep, recycling, the ways to reload, pause and stop, as text.

use super::tests::check;

#[test]
fn cheaper_starts_the_least_and_adds_when_all_are_busy() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x3 direct+cheaper -> worker 1.1 #1
           0 ms  spawned #1 100               ->
          50 ms  accepting #1                 -> serve 1
        1000 ms  sample 1 #1                  ->
        2000 ms  sample 2 #1                  -> scale 1 to 2, worker 1.2 #2
        2000 ms  spawned #2 101               ->
        2050 ms  accepting #2                 ->
        3000 ms  sample 3                     ->
        4000 ms  sample 4                     -> drain #1, scale 2 to 1
        4010 ms  exited 100 0                 -> forget #1
        5000 ms  sample 4                     ->
        6000 ms  sample 4                     ->
        ",
    );
}

#[test]
fn a_busy_worker_is_never_scaled_away_and_a_reload_keeps_the_capacity() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x3 direct+cheaper -> worker 1.1 #1
           0 ms  spawned #1 100               ->
          50 ms  accepting #1                 -> serve 1
          60 ms  more                         -> scale 1 to 2, worker 1.2 #2
          60 ms  spawned #2 101               ->
          70 ms  more                         -> scale 2 to 3, worker 1.3 #3
          70 ms  spawned #3 102               ->
          71 ms  more                         ->
          80 ms  accepting #2                 ->
          80 ms  accepting #3                 ->
        1000 ms  sample 1 #1                  ->
        2000 ms  sample 1 #1                  -> drain #2, scale 3 to 2
        2001 ms  exited 101 0                 -> forget #2
        2500 ms  reload                       -> prepare 2
        2510 ms  prepared 2 x3 direct+cheaper -> worker 2.1 #4, worker 2.2 #5
        2511 ms  spawned #4 103               ->
        2511 ms  spawned #5 104               ->
        2520 ms  accepting #4                 ->
        2530 ms  accepting #5                 -> serve 2, drain #1, drain #3
        2540 ms  fewer                        -> drain #4, scale 2 to 1
        2550 ms  fewer                        ->
        ",
    );
}

#[test]
fn too_much_memory_takes_an_idle_worker_and_no_busy_one() {
    check(
        "
           0 ms  begin                              -> prepare 1
           0 ms  prepared 1 x2 direct+cheaper+tight -> worker 1.1 #1
           0 ms  spawned #1 100                     ->
          50 ms  accepting #1                       -> serve 1
          60 ms  more                               -> scale 1 to 2, worker 1.2 #2
          60 ms  spawned #2 101                     ->
          70 ms  accepting #2                       ->
        1000 ms  sample 1 #1 #2                     ->
        2000 ms  sample 2 #1                        -> drain #2, scale 2 to 1
        3000 ms  sample 3                           ->
        ",
    );
}

#[test]
fn a_worker_that_dies_in_a_scaled_app_is_replaced_and_no_other_place_is_filled() {
    check(
        "
           0 ms  begin                        -> prepare 1
           0 ms  prepared 1 x3 direct+cheaper -> worker 1.1 #1
           0 ms  spawned #1 100               ->
          50 ms  accepting #1                 -> serve 1
       20000 ms  killed 100                   -> forget #1, worker 1.1 #2
        ",
    );
}

#[test]
fn an_idle_app_sleeps_and_its_first_connection_starts_it_again() {
    check(
        "
           0 ms  begin                     -> prepare 1
           0 ms  prepared 1 x2 mold+idle   -> mold 1 #1
           0 ms  spawned #1 100            ->
          10 ms  loaded #1                 -> fork 1.1 #2, fork 1.2 #3
          11 ms  spawned #2 101            ->
          11 ms  spawned #3 102            ->
          12 ms  accepting #2              ->
          12 ms  accepting #3              -> serve 1
        1000 ms  sample 5                  ->
        2000 ms  sample 5                  ->
        3999 ms  sample 5                  ->
        4000 ms  sample 5                  -> sleep, drain #1, drain #2, drain #3
        4001 ms  exited 100 0              -> forget #1
        4001 ms  exited 101 0              -> forget #2
        4001 ms  exited 102 0              -> forget #3
       90000 ms  tick                      ->
       90001 ms  wake                      -> prepare 2
       90002 ms  wake                      ->
       90010 ms  prepared 2 x2 direct+idle -> worker 2.1 #4, worker 2.2 #5
        ",
    );
}

#[test]
fn a_cheap_app_waits_for_its_first_connection_and_reads_what_changes_meanwhile() {
    check(
        "
           0 ms  begin                      -> prepare 1
          10 ms  prepared 1 x1 direct+cheap -> sleep 1
         100 ms  changed                    -> prepare 2
         110 ms  unprepared 2               -> abandon 2, failed 2: config
         609 ms  tick                       ->
         610 ms  tick                       -> prepare 3
         610 ms  is                         -> failing, starting 3, failed, failures 1, waits for a connection, empty [1, 2]
         620 ms  prepared 3 x1 direct+cheap -> sleep 3
         620 ms  is                         -> asleep, failed, waits for a connection, empty [1, 2]
         700 ms  wake                       -> prepare 4
         710 ms  prepared 4 x1 direct+cheap -> worker 4.1 #1
         710 ms  spawned #1 100             ->
         720 ms  exited 100 1               -> forget #1, failed 4: worker exit code 1
        1220 ms  tick                       -> prepare 5
        1230 ms  prepared 5 x1 direct+cheap -> worker 5.1 #2
        ",
    );
}

#[test]
fn an_app_that_runs_alone_dies_on_idle() {
    check(
        "
           0 ms  begin                    -> prepare 1
           0 ms  prepared 1 x1 direct+die -> worker 1.1 #1
           0 ms  spawned #1 100           ->
          50 ms  accepting #1             -> serve 1
        1000 ms  sample 0                 ->
        3000 ms  sample 0                 -> sleep and end, unlink, finish #1
        3010 ms  exited 100 0             -> forget #1, end
        ",
    );
}

#[test]
fn somebody_may_send_an_app_to_sleep() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x1 direct -> worker 1.1 #1
           0 ms  spawned #1 100       ->
          50 ms  accepting #1         -> serve 1
          60 ms  cheap                -> sleep, drain #1
          70 ms  wake                 -> prepare 2
        ",
    );
}

#[test]
fn a_worker_that_is_worn_before_it_is_heard_to_accept_is_replaced_when_it_serves() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x1 direct -> worker 1.1 #1
           0 ms  spawned #1 100       ->
          49 ms  worn #1              ->
          50 ms  accepting #1         -> serve 1, worker 1.1 #2
          51 ms  spawned #2 101       ->
         100 ms  accepting #2         -> drain #1
        ",
    );
}

#[test]
fn worn_workers_are_replaced_one_at_a_time_and_go_when_the_next_one_accepts() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x2 direct -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100       ->
           0 ms  spawned #2 101       ->
          50 ms  accepting #1         ->
          50 ms  accepting #2         -> serve 1
       20000 ms  worn #1              -> worker 1.1 #3
       20001 ms  worn #2              ->
       20002 ms  worn #2              ->
       20003 ms  spawned #3 102       ->
       20050 ms  accepting #3         -> drain #1
       20051 ms  exited 100 0         -> forget #1, worker 1.2 #4
       20052 ms  spawned #4 103       ->
       20100 ms  accepting #4         -> drain #2
        ",
    );
}

#[test]
fn a_worn_worker_whose_replacement_fails_serves_on_and_gets_another_turn() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x1 direct -> worker 1.1 #1
           0 ms  spawned #1 100       ->
          50 ms  accepting #1         -> serve 1
       20000 ms  worn #1              -> worker 1.1 #2
       20003 ms  spawned #2 101       ->
       20050 ms  unloaded #2          -> failed 1: import, drain #2
       20051 ms  killed 101           -> forget #2
       50049 ms  tick                 ->
       50050 ms  tick                 -> worker 1.1 #3
       50051 ms  spawned #3 102       ->
       50090 ms  accepting #3         -> drain #1
        ",
    );
}

#[test]
fn a_chain_reload_ends_at_the_first_worker_that_does_not_come_up() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x3 direct -> worker 1.1 #1, worker 1.2 #2, worker 1.3 #3
           0 ms  spawned #1 100       ->
           0 ms  spawned #2 101       ->
           0 ms  spawned #3 102       ->
          50 ms  accepting #1         ->
          50 ms  accepting #2         ->
          50 ms  accepting #3         -> serve 1
         100 ms  reload-chain         -> worker 1.1 #4
         101 ms  spawned #4 103       ->
         150 ms  accepting #4         -> drain #1, worker 1.2 #5
         151 ms  spawned #5 104       ->
         160 ms  exited 100 0         -> forget #1
         170 ms  unloaded #5          -> failed 1: import, drain #5
         171 ms  exited 104 22        -> forget #5
       99000 ms  tick                 ->
       99001 ms  reload-chain         -> worker 1.1 #6
        ",
    );
}

#[test]
fn all_workers_are_replaced_at_once_and_brutally_without_mercy() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100        ->
           0 ms  spawned #2 101        ->
          50 ms  accepting #1          ->
          50 ms  accepting #2          -> serve 1
         100 ms  reload-workers        -> worker 1.1 #3, worker 1.2 #4
         101 ms  spawned #3 102        ->
         101 ms  spawned #4 103        ->
         150 ms  accepting #3          -> drain #1
         151 ms  accepting #4          -> drain #2
         200 ms  reload-workers brutal -> worker 1.1 #5, worker 1.2 #6
         201 ms  spawned #5 104        ->
         250 ms  accepting #5          -> drain #3, kill #3 102
        ",
    );
}

#[test]
fn a_brutal_reload_kills_the_old_generation_when_the_next_one_serves() {
    check(
        "
           0 ms  begin                -> prepare 1
           0 ms  prepared 1 x1 direct -> worker 1.1 #1
           0 ms  spawned #1 100       ->
          50 ms  accepting #1         -> serve 1
         100 ms  reload-now           -> prepare 2
         110 ms  unprepared 2         -> abandon 2, failed 2: config
         120 ms  reload-now           -> prepare 3
         130 ms  prepared 3 x1 direct -> worker 3.1 #2
         130 ms  spawned #2 101       ->
         150 ms  accepting #2         -> serve 3, drain #1, kill #1 100
         160 ms  reload               -> prepare 4
         170 ms  prepared 4 x1 direct -> worker 4.1 #3
         170 ms  spawned #3 102       ->
         180 ms  accepting #3         -> serve 4, drain #2
        ",
    );
}

#[test]
fn who_retires_drains_and_leaves_the_sockets_and_what_waits_there() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 direct  -> worker 1.1 #1, worker 1.2 #2
           0 ms  spawned #1 100        ->
           0 ms  spawned #2 101        ->
          40 ms  accepting #1          ->
          50 ms  accepting #2          -> serve 1
          60 ms  retire                -> cede, drain #1, drain #2
          61 ms  stop                  ->
          70 ms  exited 100 0          -> forget #1
          80 ms  exited 101 0          -> forget #2, end
        ",
    );
}

#[test]
fn a_stop_finishes_what_waits_and_kills_at_the_deadline() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x2 mold    -> mold 1 #1
           0 ms  spawned #1 100        ->
          10 ms  loaded #1             -> fork 1.1 #2, fork 1.2 #3
          11 ms  spawned #2 102        ->
          11 ms  spawned #3 103        ->
          12 ms  accepting #2          ->
          12 ms  accepting #3          -> serve 1
         100 ms  stop                  -> unlink, drain #1, finish #2, finish #3
         101 ms  exited 100 0          -> forget #1
         101 ms  stop                  ->
         102 ms  exited 102 0          -> forget #2
        5100 ms  tick                  -> stacks #3 103
        5400 ms  tick                  -> kill #3 103
        5401 ms  killed 103            -> forget #3, end
        ",
    );
}

#[test]
fn a_stop_now_kills_and_ends_even_if_the_kernel_keeps_a_process() {
    check(
        "
            0 ms  begin                 -> prepare 1
            0 ms  prepared 1 x1 direct  -> worker 1.1 #1
            0 ms  spawned #1 100        ->
           50 ms  accepting #1          -> serve 1
          100 ms  stop                  -> unlink, finish #1
          200 ms  stop-now              -> kill #1 100
        10199 ms  tick                  ->
        10200 ms  tick                  -> forget #1, end
        ",
    );
}

#[test]
fn a_stop_while_nothing_runs_ends_at_once() {
    check(
        "
           0 ms  begin  -> prepare 1
           1 ms  stop   -> unlink, abandon 1, end
        ",
    );
}

#[test]
fn a_pause_reaches_all_and_those_that_come_later() {
    check(
        "
           0 ms  begin                 -> prepare 1
           0 ms  prepared 1 x1 direct  -> worker 1.1 #1
           0 ms  spawned #1 100        ->
          50 ms  accepting #1          -> serve 1
          60 ms  pause                 -> pause #1
          70 ms  killed 100            -> forget #1, worker 1.1 #2
          71 ms  spawned #2 101        ->
          90 ms  accepting #2          -> pause #2
          95 ms  pause                 -> resume #2
        ",
    );
}
