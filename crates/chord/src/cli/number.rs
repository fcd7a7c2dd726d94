//! Numbers on the command line: parsed with their bounds, refused in a sentence.

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
    fn what_is_added_may_be_negative_and_has_64_bits() {
        assert_eq!((signed("-5"), signed("9223372036854775807")), (Ok(-5), Ok(i64::MAX)));
        for wrong in ["", "x", "1.5", "9223372036854775808"] {
            assert_eq!(signed(wrong).unwrap_err(), "what is added is a whole number from -2^63 to 2^63 - 1");
        }
    }
}
