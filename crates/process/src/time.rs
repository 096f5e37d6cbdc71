//! Local time as text: what strftime(3) and ctime(3) make of a second.

use std::ffi::CString;

/// Longer texts are left out, as strftime(3) does.
const ROOM: usize = 256;

/// A second since 1970 in local time, as `format` says. Empty when the format cannot be used.
pub fn strftime(format: &str, second: i64) -> String {
    let Ok(format) = CString::new(format) else {
        return String::new();
    };
    // SAFETY: all zeroes is a valid `tm`: numbers, and a null pointer that nobody follows.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals; localtime_r(3) writes only through the second.
    unsafe { libc::localtime_r(&raw const second, &raw mut parts) };
    let mut text = [0_u8; ROOM];
    // SAFETY: at most ROOM bytes are written to `text`; the format ends with a zero; `parts` is
    // whole.
    let written = unsafe {
        libc::strftime(
            text.as_mut_ptr().cast(),
            ROOM,
            format.as_ptr(),
            &raw const parts,
        )
    };
    String::from_utf8_lossy(&text[..written.min(ROOM)]).into_owned()
}

/// CLOCK_MONOTONIC in microseconds: the same clock in all processes of a machine.
pub fn monotonic_micros() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        seconds * 1_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1000
    })
}

/// "Tue Nov  3 04:05:06 2026"
pub fn ctime(second: i64) -> String {
    strftime("%a %b %e %H:%M:%S %Y", second)
}

/// Microseconds since 1970 as "2026-11-03T07:35:06.123456Z".
pub fn utc(micros: u64) -> String {
    let (second, micro) = (micros / 1_000_000, micros % 1_000_000);
    let (days, rest) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}

/// Year, month and day of a day since 1970: eras of 400 years, years that begin in March.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    (year, month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_795_401_037, "2026-11-23T02:30:37"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(utc(second * 1_000_000 + 42), format!("{text}.000042Z"));
        }
    }

    #[test]
    fn a_second_is_written_as_the_format_says() {
        // Any time zone: the second has the same number of its minute.
        assert_eq!(strftime("%S%%", 1_795_401_037), "37%");
        assert_eq!(strftime("a\0b", 0), "");
        assert_eq!(strftime(&"%Y".repeat(100), 0), "");
        let text = ctime(1_795_401_037);
        assert!(text.len() == 24 && text.ends_with(":37 2026"), "{text}");
    }
}
