//! The wall clock of a place: what localtime(3) makes of a moment.

use std::ffi::CString;
use std::sync::Mutex;

/// Fields as in `struct tm`, but the month counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    pub minute: i32,
    pub hour: i32,
    pub day: i32,
    pub month: i32,
    pub weekday: i32,
}

/// What clocks show at `epoch`, in this process's zone or in `zone` (as the variable TZ has it).
///
/// A `zone` is set in the environment for the time of the call: only for processes whose other
/// threads do not read it, as a master, which has none.
pub fn local_time(epoch: i64, zone: Option<&str>) -> Option<LocalTime> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let zone = zone.and_then(|zone| CString::new(zone).ok());
    let before = zone.as_ref().map(|_| std::env::var_os("TZ"));
    if let Some(zone) = &zone {
        set(Some(zone));
    }
    let moment = epoch as libc::time_t;
    // SAFETY: all fields of the C struct are plain numbers or a pointer that may be null.
    let mut fields: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to valid memory of this frame.
    let done = unsafe { libc::localtime_r(&raw const moment, &raw mut fields) };
    if let Some(before) = before {
        use std::os::unix::ffi::OsStrExt;
        let before = before.and_then(|text| CString::new(text.as_bytes()).ok());
        set(before.as_ref());
    }
    (!done.is_null()).then(|| LocalTime {
        minute: fields.tm_min,
        hour: fields.tm_hour,
        day: fields.tm_mday,
        month: fields.tm_mon + 1,
        weekday: fields.tm_wday,
    })
}

/// The zone of the next call, which must hear of it by tzset(3).
fn set(zone: Option<&CString>) {
    unsafe extern "C" {
        fn tzset();
    }
    match zone {
        Some(zone) => {
            // SAFETY: two C strings; no other thread reads the environment (see `local_time`).
            unsafe { libc::setenv(c"TZ".as_ptr(), zone.as_ptr(), 1) };
        }
        None => {
            // SAFETY: as above.
            unsafe { libc::unsetenv(c"TZ".as_ptr()) };
        }
    }
    // SAFETY: reads the variable that was just set.
    unsafe { tzset() };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(epoch: i64, zone: &str) -> (i32, i32) {
        let time = local_time(epoch, Some(zone)).unwrap();
        (time.hour, time.minute)
    }

    #[test]
    fn a_zone_shows_its_own_clock_also_when_it_changes() {
        // POSIX's way to write a zone needs no file.
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        // 2026-03-29 00:59 and 01:00 UTC: from 01:59 to 03:00.
        assert_eq!(clock(1_774_745_940, berlin), (1, 59));
        assert_eq!(clock(1_774_746_000, berlin), (3, 0));
        // 2026-10-25 00:59 and 01:00 UTC: from 02:59 back to 02:00.
        assert_eq!(clock(1_792_889_940, berlin), (2, 59));
        assert_eq!(clock(1_792_890_000, berlin), (2, 0));
        assert_eq!(clock(1_774_746_000, "UTC0"), (1, 0));
        let time = local_time(1_774_746_000, Some("UTC0")).unwrap();
        // The 29th of March 2026 is a Sunday.
        assert_eq!((time.day, time.month, time.weekday), (29, 3, 0));
    }
}
