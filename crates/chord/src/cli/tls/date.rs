//! Days by the calendar, for certificates that begin and end on one.

use std::time::SystemTime;

/// A day: year, month and day of the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) year: i32,
    pub(super) month: u8,
    pub(super) of_month: u8,
}

impl Day {
    /// So many days after the one that is now, by Greenwich.
    pub(super) fn after(now: SystemTime, days: u64) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::of(since.as_secs() / 86_400 + days)
    }

    /// So many days after the first of 1970.
    fn of(mut left: u64) -> Self {
        let mut year: i32 = 1970;
        while left >= days_of(year) {
            left -= days_of(year);
            year += 1;
        }
        let february = if days_of(year) == 366 { 29 } else { 28 };
        let mut month = 1;
        for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if left < days {
                break;
            }
            left -= days;
            month += 1;
        }
        Self { year, month, of_month: u8::try_from(left + 1).unwrap_or(u8::MAX) }
    }
}

fn days_of(year: i32) -> u64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let day = |year, month, of_month| Day { year, month, of_month };
        for (number, expected) in [
            (0, day(1970, 1, 1)),
            (58, day(1970, 2, 28)),
            (59, day(1970, 3, 1)),
            (364, day(1970, 12, 31)),
            (365, day(1971, 1, 1)),
            (11_016, day(2000, 2, 29)),
            (20_783, day(2026, 11, 26)),
        ] {
            assert_eq!(Day::of(number), expected);
        }
    }
}
