//! `cron` and its kin: when a command is due. Pure: who calls this has the local time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Place;

/// A minute as a wall clock shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    /// 0 to 59
    pub minute: i32,
    /// 0 to 23
    pub hour: i32,
    /// Of the month, 1 to 31.
    pub day: i32,
    /// 1 to 12
    pub month: i32,
    /// 0 is Sunday.
    pub weekday: i32,
}

/// One scheduled command. A negative number is an interval: -1 any, -5 every fifth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    pub minute: i32,
    pub hour: i32,
    pub day: i32,
    pub month: i32,
    /// 0 and 7 are Sunday.
    pub week: i32,
    pub command: String,
    /// Not started while the one before runs.
    pub unique: bool,
    /// Killed when it runs longer.
    pub harakiri: Harakiri,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harakiri {
    /// What `cron-harakiri` says.
    Common,
    Never,
    After(Duration),
}

impl Cron {
    /// Whether this minute is one of its own. When both day and weekday are named, either will do,
    /// as in crontab(5).
    pub fn is_due(&self, now: Minute) -> bool {
        let day = matches(self.day, now.day);
        let week = match self.week {
            7 => now.weekday == 0,
            week => matches(week, now.weekday),
        };
        let date = if self.day >= 0 && self.week >= 0 {
            day || week
        } else {
            day && week
        };
        matches(self.minute, now.minute)
            && matches(self.hour, now.hour)
            && matches(self.month, now.month)
            && date
    }

    /// As a person writes it.
    pub fn schedule(&self) -> String {
        let fields = [self.minute, self.hour, self.day, self.month, self.week];
        fields.map(|field| field.to_string()).join(" ")
    }
}

fn matches(field: i32, now: i32) -> bool {
    match field.checked_neg() {
        Some(every) if every > 0 => now % every == 0,
        // The most negative number divides none but 0.
        None => now == 0,
        Some(_) => field == now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cron(fields: [i32; 5]) -> Cron {
        let [minute, hour, day, month, week] = fields;
        Cron {
            minute,
            hour,
            day,
            month,
            week,
            command: String::new(),
            unique: false,
            harakiri: Harakiri::Common,
            place: Place {
                file: "app.ini".into(),
                line: 1,
            },
        }
    }

    fn at(fields: [i32; 5]) -> Minute {
        let [minute, hour, day, month, weekday] = fields;
        Minute {
            minute,
            hour,
            day,
            month,
            weekday,
        }
    }

    #[test]
    fn schedules_read_as_in_the_original() {
        // A schedule, a minute (minute, hour, day, month, weekday), whether it runs.
        for (schedule, now, due) in [
            ([-1, -1, -1, -1, -1], [17, 3, 9, 11, 4], true),
            ([0, 2, -1, -1, -1], [0, 2, 9, 11, 4], true),
            ([0, 2, -1, -1, -1], [1, 2, 9, 11, 4], false),
            ([-15, -1, -1, -1, -1], [45, 3, 9, 11, 4], true),
            ([-15, -1, -1, -1, -1], [46, 3, 9, 11, 4], false),
            ([-10, 8, -1, -1, -1], [50, 8, 1, 1, 1], true),
            ([0, 0, -1, -1, 0], [0, 0, 9, 11, 0], true),
            ([0, 0, -1, -1, 7], [0, 0, 9, 11, 0], true),
            ([0, 0, -1, -1, 7], [0, 0, 9, 11, 6], false),
            // Day and weekday named: either.
            ([0, 0, 13, -1, 5], [0, 0, 13, 11, 1], true),
            ([0, 0, 13, -1, 5], [0, 0, 6, 11, 5], true),
            ([0, 0, 13, -1, 5], [0, 0, 6, 11, 1], false),
            // An interval of days counts from 0, so it does not meet the first.
            ([0, 0, -2, -1, -1], [0, 0, 1, 11, 1], false),
            ([0, 0, -2, -1, -1], [0, 0, 2, 11, 1], true),
            // What no clock shows never runs.
            ([60, -1, -1, -1, -1], [0, 0, 1, 1, 1], false),
        ] {
            assert_eq!(cron(schedule).is_due(at(now)), due, "{schedule:?} {now:?}");
        }
    }

    fn any_minute() -> impl Strategy<Value = Minute> {
        (0..60, 0..24, 1..32, 1..13, 0..7).prop_map(|(a, b, c, d, e)| at([a, b, c, d, e]))
    }

    proptest! {
        #[test]
        fn minus_one_is_always_due_and_no_number_panics(
            now in any_minute(),
            fields in proptest::array::uniform5(any::<i32>()),
        ) {
            prop_assert!(cron([-1; 5]).is_due(now));
            let _ = cron(fields).is_due(now);
        }

        #[test]
        fn an_interval_is_the_same_as_all_its_numbers(now in any_minute(), every in 1..60_i32) {
            let by_interval = cron([-every, -1, -1, -1, -1]).is_due(now);
            let by_number = (0..60).step_by(usize::try_from(every).unwrap())
                .any(|minute| cron([minute, -1, -1, -1, -1]).is_due(now));
            prop_assert_eq!(by_interval, by_number);
        }

        #[test]
        fn naming_more_never_makes_it_due_more_often(
            now in any_minute(), minute in 0..60, hour in 0..24, month in 1..13,
        ) {
            let one = cron([minute, -1, -1, -1, -1]).is_due(now);
            let two = cron([minute, hour, -1, -1, -1]).is_due(now);
            let three = cron([minute, hour, -1, month, -1]).is_due(now);
            prop_assert!(one >= two && two >= three);
        }

        #[test]
        fn day_or_weekday_is_enough_when_both_are_named(
            now in any_minute(), day in 1..32, week in 0..8,
        ) {
            let either = cron([-1, -1, day, -1, week]).is_due(now);
            let by_day = cron([-1, -1, day, -1, -1]).is_due(now);
            let by_week = cron([-1, -1, -1, -1, week]).is_due(now);
            prop_assert_eq!(either, by_day || by_week);
        }
    }
}
