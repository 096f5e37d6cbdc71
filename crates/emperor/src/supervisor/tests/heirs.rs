//! Scenarios: masters that take over from others, apps that sleep without one, restarts.

use super::check;

#[test]
fn an_outdated_master_serves_until_its_heir_does() {
    check(
        2,
        "
           0 ms adopted blog 100      ->
          10 ms serving blog          ->
          20 ms outdated blog         ->
          30 ms changed blog          -> changed blog
          40 ms serving blog          ->
        1000 ms touched blog          -> succeed blog
        1000 ms heir-spawned blog 101 ->
        1100 ms heir-starting blog    ->
        1500 ms touched blog          -> heir reload blog
        1600 ms changed blog          ->
        1700 ms tick                  -> heir changed blog
       11000 ms tick                  ->
       12000 ms heir-serving blog     -> promote blog
       13000 ms touched blog          -> reload blog
       13200 ms ended 100             ->
    ",
    );
}

#[test]
fn an_heir_that_fails_changes_nothing_and_the_old_master_tells_why() {
    check(
        2,
        "
           0 ms adopted blog 100      ->
          10 ms serving blog          ->
          20 ms outdated blog         ->
        1000 ms touched blog          -> succeed blog
        1000 ms heir-spawned blog 101 ->
        2000 ms heir-failing blog     -> dismiss blog, reload blog
        2100 ms ended 101             ->
        2200 ms serving blog          ->
        3000 ms touched blog          -> succeed blog
        3000 ms heir-spawned blog 102 ->
        3100 ms ended 102             -> reload blog
        3200 ms serving blog          ->
        4000 ms touched blog          -> succeed blog
        4000 ms heir-failed blog      -> reload blog
    ",
    );
}

#[test]
fn an_heir_that_never_comes_is_given_up_and_one_that_retired_is_pressed() {
    check(
        2,
        "
              0 ms adopted blog 100      ->
             10 ms serving blog          ->
             20 ms outdated blog         ->
           1000 ms touched blog          -> succeed blog
           1000 ms heir-spawned blog 101 ->
         601000 ms tick                  -> dismiss blog, reload blog
         606000 ms tick                  -> kill blog 101
         606100 ms ended 101             ->
         606200 ms serving blog          ->
         700000 ms touched blog          -> succeed blog
         700000 ms heir-spawned blog 102 ->
         701000 ms heir-serving blog     -> promote blog
         775999 ms tick                  ->
         776000 ms tick                  -> press 100
         781000 ms tick                  -> kill blog 100
         781001 ms ended 100             ->
    ",
    );
}

#[test]
fn an_heir_steps_in_when_the_old_master_dies_and_goes_when_the_app_does() {
    check(
        2,
        "
           0 ms adopted blog 100      ->
          10 ms serving blog          ->
          20 ms outdated blog         ->
        1000 ms touched blog          -> succeed blog
        1000 ms heir-spawned blog 101 ->
        1500 ms ended 100             -> promote blog
        1600 ms serving blog          ->
        1700 ms outdated blog         ->
        2000 ms touched blog          -> succeed blog
        2000 ms heir-spawned blog 102 ->
        2100 ms gone blog             -> stop blog, dismiss blog
        2200 ms ended 101             -> forget blog
        2300 ms ended 102             ->
    ",
    );
}

#[test]
fn a_sleeping_app_needs_no_master_until_it_is_called_or_changed() {
    check(
        2,
        "
           0 ms found blog            -> spawn blog
           0 ms spawned blog 100      ->
         100 ms asleep blog           ->
         100 ms dispensable blog      -> retire blog
         200 ms ended 100             -> doze blog
         300 ms called blog           -> spawn blog
         300 ms spawned blog 101      ->
         400 ms serving blog          ->
         500 ms called blog           ->
         600 ms asleep blog           ->
         600 ms dispensable blog      -> retire blog
         610 ms changed blog          ->
         700 ms ended 101             -> spawn blog
         700 ms spawned blog 102      ->
         800 ms asleep blog           ->
         810 ms dispensable blog      -> retire blog
         900 ms ended 102             -> doze blog
        1000 ms touched blog          -> spawn blog
        1000 ms spawned blog 103      ->
        1100 ms asleep blog           ->
        1110 ms dispensable blog      -> retire blog
        1200 ms ended 103             -> doze blog
        1300 ms halt blog             -> release blog
        1400 ms called blog           ->
        1500 ms gone blog             -> forget blog
    ",
    );
}

#[test]
fn who_slept_or_was_stopped_under_the_emperor_before_does_so_under_this_one() {
    check(
        2,
        "
           0 ms dozed blog            ->
           0 ms halt shop             -> release shop
           0 ms found blog            ->
           0 ms found shop            ->
           0 ms found news            -> spawn news
           0 ms spawned news 100      ->
         100 ms serving news          ->
         200 ms reload-all            -> reload news
         300 ms serving news          ->
         400 ms retry                 -> retry news
         500 ms called shop           ->
         600 ms called blog           -> spawn blog
         600 ms spawned blog 101      ->
         700 ms serving blog          ->
         800 ms dozed blog            ->
         900 ms halt blog             -> stop blog
         910 ms reload-all            -> reload news
    ",
    );
}

#[test]
fn what_an_earlier_emperor_knew_is_known() {
    check(
        2,
        "
           0 ms failed bad 3 2000     ->
           0 ms found bad             ->
           0 ms is                    -> bad backingoff(3) 2000 settled
        1999 ms tick                  ->
        2000 ms tick                  -> spawn bad
        2000 ms spawned bad 100       ->
        2100 ms ended 100             ->
        6099 ms tick                  ->
        6100 ms tick                  -> spawn bad
    ",
    );
}

#[test]
fn a_restart_leaves_the_sockets_and_forgets_nothing() {
    check(
        2,
        "
           0 ms found blog            -> spawn blog
           0 ms found shop            -> spawn shop
           0 ms spawned blog 100      ->
           0 ms spawned shop 101      ->
         100 ms serving blog          ->
         100 ms leave                 -> retire blog, retire shop
         300 ms ended 100             ->
       75100 ms tick                  -> stopnow shop
       75200 ms ended 101             ->
    ",
    );
}
