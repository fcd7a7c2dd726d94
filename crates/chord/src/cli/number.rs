//! Numbers on the command line: parsed with their bounds, refused in a sentence.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A parser for whole numbers in `range`; `what` begins the sentence that refuses others: "the number of
/// nodes".
pub(crate) fn within<N>(
    what: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static
where
    N: TryFrom<u64>,
{
    move |text: &str| {
        let (low, high) = (range.start(), range.end());
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| format!("{what} is a whole number from {low} to {high}"))
    }
}

/// Whole seconds that an operation may take: up to an hour, the longest time the wire can carry.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    within("the time in seconds", 1..=3600)(text)
}

/// A whole number of 64 bits with a sign.
pub(crate) fn signed(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "what is added is a whole number from -2^63 to 2^63 - 1".to_owned())
}

/// The units of a time that something lives, in milliseconds. The longest is tried last: `ms` ends in `s`.
const UNITS_MS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 60 * 60 * 1000), ("d", DAY_MS)];

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Longest time that something can be told to live, in days: a century, far beyond every use and every overflow.
const DAYS_MAX: u64 = 36_500;

/// A time with its unit: `500ms`, `30s`, `10m`, `2h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parts = UNITS_MS.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)));
    let ms = parts.and_then(|(number, unit_ms)| {
        let number =
            number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<u64>().ok())??;
        number.checked_mul(unit_ms)
    });
    ms.filter(|ms| (1..=DAYS_MAX * DAY_MS).contains(ms)).map(Duration::from_millis).ok_or_else(|| {
        format!("a time is a whole number with its unit, as in 500ms, 30s, 10m, 2h or 7d, up to {DAYS_MAX}d")
    })
}

/// A number of bytes, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// The units of bytes, the largest first; the last one is for itself.
const BYTE_UNITS: [(&str, u64); 6] =
    [("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Bytes {
    pub(crate) fn of(bytes: usize) -> Self {
        Self(bytes as u64)
    }

    /// For people: in whole mebibytes, or kibibytes where it is little.
    pub(crate) fn about(self) -> String {
        if self.0 < 1 << 20 { format!("{} KiB", self.0 >> 10) } else { format!("{} MiB", self.0 >> 20) }
    }

    fn parse(text: &str) -> Option<Self> {
        let with_unit = BYTE_UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, unit_bytes) = with_unit.unwrap_or((text, 1));
        Some(Self(digits(number)?.checked_mul(unit_bytes)?))
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, bytes): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*bytes);
        let (unit, bytes) = BYTE_UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// A parser for numbers of bytes in `range`, with or without a unit.
pub(crate) fn bytes(
    what: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Bytes, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let parsed = Bytes::parse(text).filter(|bytes| range.contains(&bytes.0));
        parsed.ok_or_else(|| {
            let (low, high) = (Bytes(*range.start()), Bytes(*range.end()));
            format!("{what} is a number of bytes, as in 4096, 64KiB or 2MiB, from {low} to {high}")
        })
    }
}

/// How long something is waited for: a time with its unit, which may be 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl Wait {
    fn parse(text: &str) -> Option<u64> {
        let (number, unit_ms) =
            UNITS_MS.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)))?;
        digits(number)?.checked_mul(unit_ms)
    }
}

impl fmt::Display for Wait {
    /// In the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let fits = |(_, unit_ms): &&(&str, u64)| ms.is_multiple_of(u128::from(*unit_ms));
        let (unit, unit_ms) = match ms {
            0 => ("s", 1000),
            _ => *UNITS_MS.iter().rev().find(fits).unwrap_or(&("ms", 1)),
        };
        write!(f, "{}{unit}", ms / u128::from(unit_ms))
    }
}

/// A parser for waits of so many milliseconds.
pub(crate) fn wait(
    what: &'static str,
    range_ms: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Wait, String> + Clone + Send + Sync + 'static {
    let of = |ms: u64| Wait(Duration::from_millis(ms));
    move |text: &str| {
        Wait::parse(text).filter(|ms| range_ms.contains(ms)).map(of).ok_or_else(|| {
            let (low, high) = (of(*range_ms.start()), of(*range_ms.end()));
            format!("{what} is a time with its unit, as in 500ms, 10s or 2m, from {low} to {high}")
        })
    }
}

/// Unlike `str::parse`, takes no sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_belong_to_the_range() {
        let parse = within::<u8>("the number of nodes", 1..=200);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("200"), Ok(200));
        let refused = "the number of nodes is a whole number from 1 to 200";
        for wrong in ["0", "201", "-1", "", "x", "1.5", "99999999999999999999999"] {
            assert_eq!(parse(wrong).unwrap_err(), refused);
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        let parsed = ["500ms", "30s", "10m", "2h", "7d"].map(|text| duration(text).unwrap().as_millis());
        assert_eq!(parsed, [500, 30_000, 600_000, 7_200_000, 604_800_000]);
        assert_eq!(duration("36500d").unwrap().as_secs(), 3_153_600_000);
        for wrong in [
            "",
            "30",
            "s",
            "ms",
            "0s",
            "-1s",
            "+1s",
            "1.5h",
            "1 s",
            "1w",
            "30S",
            "36501d",
            "99999999999999999999d",
        ] {
            let refused = duration(wrong).unwrap_err();
            assert!(refused.contains("30s"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn bytes_may_have_a_unit_and_are_shown_in_the_largest_that_fits() {
        let parse = bytes("the size", 1..=1 << 20);
        for (text, number, shown) in [
            ("1", 1, "1B"),
            ("1B", 1, "1B"),
            ("1024", 1024, "1KiB"),
            ("1MiB", 1 << 20, "1MiB"),
            ("1023KiB", 1023 << 10, "1023KiB"),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!((parsed.0, parsed.to_string().as_str()), (number, shown));
        }
        for wrong in [
            "",
            "0",
            "-1",
            "+1",
            "KiB",
            "1 KiB",
            "1KB",
            "1kib",
            "1.5KiB",
            "1025KiB",
            "16384PiB",
            "99999999999999999999",
        ] {
            let refused = parse(wrong).unwrap_err();
            assert_eq!(
                refused, "the size is a number of bytes, as in 4096, 64KiB or 2MiB, from 1B to 1MiB",
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_wait_may_be_none_and_is_shown_in_the_largest_unit_that_fits() {
        let parse = wait("the wait", 0..=3_600_000);
        for (text, ms, shown) in [
            ("0s", 0, "0s"),
            ("0ms", 0, "0s"),
            ("1500ms", 1500, "1500ms"),
            ("90s", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("1h", 3_600_000, "1h"),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!((parsed.0.as_millis(), parsed.to_string().as_str()), (ms, shown));
        }
        for wrong in ["", "0", "10", "-1s", "s", "1.5s", "61m", "99999999999999999999d"] {
            let refused = parse(wrong).unwrap_err();
            assert_eq!(
                refused, "the wait is a time with its unit, as in 500ms, 10s or 2m, from 0s to 1h",
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_added_may_be_negative_and_has_64_bits() {
        assert_eq!((signed("-5"), signed("9223372036854775807")), (Ok(-5), Ok(i64::MAX)));
        for wrong in ["", "x", "1.5", "9223372036854775808"] {
            assert_eq!(signed(wrong).unwrap_err(), "what is added is a whole number from -2^63 to 2^63 - 1");
        }
    }
}
