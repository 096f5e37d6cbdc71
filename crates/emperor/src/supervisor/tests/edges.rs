//! Scenarios: what the supervisor says of its apps, and what comes at an odd moment.

use super::check;

#[test]
fn what_it_says_of_an_app_from_its_first_start_to_its_end() {
    check(
        1,
        "
           0 ms found blog            -> spawn blog
           0 ms found shop            ->
           0 ms is                    -> blog waiting, shop waiting, busy
           0 ms spawned blog 100      ->
          10 ms starting blog         ->
          10 ms is                    -> blog up, shop waiting, busy
         300 ms serving blog          -> spawn shop
         300 ms spawned shop 200      ->
         400 ms failing shop          ->
         400 ms is                    -> blog up settled, shop up settled
         500 ms touched blog          -> reload blog
         510 ms reloading blog        ->
         520 ms touched shop          ->
         520 ms is                    -> blog up settled, shop up to reload settled, busy
         600 ms pause-all             -> pause blog, pause shop
         700 ms retry shop            -> retry shop
         800 ms halt shop             -> stop shop
         800 ms is                    -> blog up settled, shop stopping 75000 ends by hand settled, busy
         900 ms ended 200             -> release shop
         900 ms serving blog          ->
         900 ms is                    -> blog up settled, shop halted by hand settled
        1000 ms stop                  -> stop blog, forget shop
        1000 ms is                    -> blog stopping 75000 ends settled, stopping
        1001 ms found late            ->
        1002 ms changed blog          ->
        1003 ms retry blog            ->
        1004 ms restart blog          ->
        1100 ms ended 100             -> forget blog
        1100 ms is                    -> stopping, finished
    ",
    );
}

#[test]
fn what_it_says_of_apps_that_die_sleep_or_get_another_master() {
    check(
        2,
        "
           0 ms found bad             -> spawn bad
           0 ms spawned bad 100       ->
          10 ms ended 100             ->
          10 ms is                    -> bad backingoff(1) 500 settled
         510 ms tick                  -> spawn bad
         510 ms spawned bad 101       ->
       10509 ms ended 101             ->
       10509 ms is                    -> bad backingoff(2) 1000 settled
       11509 ms tick                  -> spawn bad
       11509 ms spawned bad 102       ->
       21509 ms ended 102             ->
       21509 ms is                    -> bad backingoff(1) 500 settled
       21600 ms gone bad              -> forget bad
       30000 ms adopted blog 200      ->
       30000 ms is                    -> blog up
       30010 ms asleep blog           ->
       30020 ms outdated blog         ->
       30030 ms touched blog          -> succeed blog
       30030 ms is                    -> blog up heir settled, busy
       30040 ms dispensable blog      ->
       30050 ms heir-spawned blog 201 ->
       30060 ms give-up-heir blog     -> dismiss blog
       30060 ms is                    -> blog up settled, busy
       30070 ms ended 201             ->
       30080 ms asleep blog           ->
       30090 ms dispensable blog      -> retire blog
       30100 ms ended 200             -> doze blog
       30100 ms is                    -> blog dozing settled
       30110 ms leave                 ->
       30110 ms is                    -> stopping, finished
    ",
    );
}

#[test]
fn an_app_that_goes_while_it_starts_stays_gone() {
    check(
        2,
        "
           0 ms found blog            -> spawn blog
           1 ms gone blog             ->
           2 ms restart blog          ->
           3 ms spawned blog 100      -> stop blog
         100 ms ended 100             -> forget blog
        1000 ms found blog            -> spawn blog
        1001 ms gone blog             ->
        1002 ms found blog            ->
        1003 ms spawned blog 101      ->
        1004 ms gone blog             -> stop blog
        1005 ms restart blog          ->
        1100 ms ended 101             -> forget blog
        2000 ms found blog            -> spawn blog
        2001 ms gone blog             ->
        2002 ms spawn-failed blog     -> forget blog
    ",
    );
}

#[test]
fn an_app_that_was_stopped_before_its_file_is_seen_stays_stopped() {
    check(
        2,
        "
           0 ms halt blog             -> release blog
           0 ms found blog            ->
           0 ms is                    -> blog halted by hand settled
           0 ms beside blog           ->
         100 ms retry blog            -> spawn blog
         101 ms halt blog             ->
         101 ms is                    -> blog waiting by hand settled, busy
         102 ms retry                 ->
         103 ms retry blog            ->
         104 ms spawned blog 100      ->
         200 ms serving blog          ->
         300 ms beside blog           -> changed blog
         310 ms serving blog          ->
         400 ms halt blog             -> stop blog
         410 ms retry blog            ->
         500 ms ended 100             -> spawn blog
         501 ms halt blog             ->
         502 ms retry                 ->
         503 ms spawned blog 101      -> stop blog
         600 ms ended 101             -> release blog
         700 ms restart blog          -> spawn blog
         701 ms halt blog             ->
         702 ms restart blog          ->
         703 ms spawned blog 102      -> stop blog
         704 ms halt blog             ->
         705 ms restart blog          ->
         800 ms ended 102             -> spawn blog
         801 ms spawned blog 103      ->
         900 ms ended 103             ->
         900 ms is                    -> blog backingoff(1) 500 settled
    ",
    );
}

#[test]
fn a_master_that_closes_its_channel_while_it_ends_is_killed_soon() {
    check(
        2,
        "
           0 ms adopted a 1           ->
           0 ms serving a             ->
         100 ms gone a                -> stop a
         200 ms hung-up 1             ->
        5199 ms tick                  ->
        5200 ms tick                  -> kill a 1
        5300 ms hung-up 1             ->
       10200 ms tick                  -> kill a 1
       15200 ms tick                  -> kill a 1
       20200 ms tick                  -> kill a 1
       25200 ms tick                  -> kill a 1
       25300 ms ended 1               -> forget a
    ",
    );
}

#[test]
fn a_second_stop_presses_who_retired_and_waits_for_all() {
    check(
        2,
        "
           0 ms adopted blog 100      ->
           0 ms serving blog          ->
           0 ms retired blog 90       ->
        1000 ms stop                  -> stop blog
        1100 ms ended 100             -> forget blog
        1100 ms is                    -> stopping
        2000 ms stop-now              -> press 90
        2001 ms adopted shop 300      -> stop shop
        2002 ms stop-now              -> stopnow shop
        2003 ms ended 300             -> forget shop
        6999 ms tick                  ->
        7000 ms tick                  -> kill blog 90
       12000 ms tick                  -> kill blog 90
       17000 ms tick                  -> kill blog 90
       21999 ms is                    -> stopping
       22000 ms tick                  ->
       22000 ms is                    -> stopping, finished
    ",
    );
}

#[test]
fn a_stop_now_kills_without_asking_first() {
    check(
        2,
        "
           0 ms adopted a 1           ->
           0 ms found b               -> spawn b
           0 ms found c               -> spawn c
           0 ms found d               ->
         100 ms stop-now              -> forget d, stopnow a
         101 ms spawned b 2           -> stop b
         102 ms spawn-failed c        -> forget c
        5100 ms tick                  -> kill a 1
    ",
    );
}

#[test]
fn who_retired_under_an_earlier_binary_has_its_mercy_and_is_killed_as_long_as_it_lives() {
    check(
        2,
        "
           0 ms retired blog 90       ->
       74999 ms tick                  ->
       75000 ms tick                  -> press 90
       75001 ms tick                  ->
       80000 ms tick                  -> kill blog 90
       80001 ms tick                  ->
       85000 ms tick                  -> kill blog 90
       90000 ms tick                  -> kill blog 90
       95000 ms tick                  -> kill blog 90
       99000 ms ended 90              ->
    ",
    );
}

#[test]
fn an_heir_that_is_there_when_its_app_is_given_up_ends_and_is_killed_if_it_must() {
    check(
        2,
        "
           0 ms adopted blog 100      ->
           0 ms serving blog          ->
           0 ms outdated blog         ->
         100 ms touched blog          -> succeed blog
         110 ms gone blog             -> stop blog
         120 ms heir-spawned blog 101 -> dismiss blog
         200 ms ended 100             -> forget blog
        5119 ms tick                  ->
        5120 ms tick                  -> kill blog 101
        5130 ms ended 101             ->
    ",
    );
}

#[test]
fn an_adopted_master_is_of_today_until_it_is_known_to_be_old_and_starts_anew_settled() {
    check(
        2,
        "
           0 ms halt blog             -> release blog
           0 ms outdated blog         ->
           1 ms adopted blog 100      ->
           1 ms is                    -> blog up
           2 ms touched blog          -> reload blog
        1000 ms serving blog          ->
        1001 ms is                    -> blog up settled
        1002 ms adopted blog 101      ->
        2000 ms ended 101             ->
        2001 ms ended 100             -> spawn blog
    ",
    );
}

#[test]
fn a_file_that_waits_for_itself_or_for_a_stranger_waits_for_nobody() {
    check(
        2,
        "
           0 ms found a after a       -> spawn a
           0 ms found b after x       -> spawn b
    ",
    );
}
