//! One second as the texts that request lines want of it.

use imperator_process::time;

use crate::sys::{self, LocalTime};

/// One second, as ctime(3) and as Apache writes it.
#[derive(Debug)]
pub(super) struct Stamps {
    pub(super) ctime: String,
    pub(super) apache: String,
    /// As log-date wants it; else as Apache.
    pub(super) own: Option<String>,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl Stamps {
    /// `own`: the format of `%(ftime)`.
    pub(super) fn of(second: u64, own: Option<&str>) -> Self {
        let second = i64::try_from(second).unwrap_or(0);
        Self {
            own: own.map(|format| time::strftime(format, second)),
            ..Self::at(sys::local_time(second))
        }
    }

    pub(super) fn at(time: LocalTime) -> Self {
        let LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            weekday,
            offset,
        } = time;
        let (month, weekday) = (MONTHS[month], WEEKDAYS[weekday]);
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs() / 60;
        Self {
            ctime: format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}"),
            apache: format!(
                "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} {sign}{:02}{:02}",
                minutes / 60,
                minutes % 60
            ),
            own: None,
        }
    }
}
