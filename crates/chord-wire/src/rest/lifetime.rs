//! Lifetimes: how long a value is to be there.

use std::time::Duration;

/// What a lifetime looks like: up to 31 years in seconds, and a few years less with the shortest unit. What the command
/// line takes is taken here, without zeros in front.
pub(super) const LIFETIME_PATTERN: &str =
    "^([1-9][0-9]{0,8}(ms|s)?|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$";

/// Each unit, its milliseconds, and how many digits may stand before it. What ends in `s` is tried last but one, since `ms`
/// does too; no unit is seconds.
const UNITS: [(&str, u64, usize); 6] = [
    ("ms", 1, 9),
    ("s", 1000, 9),
    ("m", 60_000, 7),
    ("h", 3_600_000, 5),
    ("d", 86_400_000, 4),
    ("", 1000, 9),
];

/// A text that is no lifetime. Never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a ttl is a whole number above 0 with its unit, as in 500ms, 30s, 10m, 2h or 7d; without one it is seconds"
)]
pub struct BadLifetime;

/// The lifetime that is written so: `500ms`, `30s`, `10m`, `2h`, `7d`, or `30` for seconds.
///
/// # Errors
/// It is nothing of the kind, or longer than nine digits of seconds, seven of minutes, five of hours or four of days.
pub fn read_lifetime(text: &str) -> Result<Duration, BadLifetime> {
    let unit = UNITS.iter().find_map(|unit| Some((text.strip_suffix(unit.0)?, unit.1, unit.2)));
    let (number, unit_ms, digits_max) = unit.ok_or(BadLifetime)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| is_number && number.len() <= digits_max);
    number.map(|number: u64| Duration::from_millis(number * unit_ms)).ok_or(BadLifetime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lifetimes_have_units_and_seconds_need_none() {
        let parsed =
            ["500ms", "30s", "10m", "2h", "7d", "30"].map(|text| read_lifetime(text).unwrap().as_millis());
        assert_eq!(parsed, [500, 30_000, 600_000, 7_200_000, 604_800_000, 30_000]);
    }

    #[test]
    fn what_is_no_lifetime_is_refused() {
        let wrong = [
            "",
            "s",
            "0",
            "0s",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "1S",
            "1w",
            "01",
            "1000000000",
            "10000d",
            "1\u{661}s",
        ];
        for wrong in wrong {
            assert_eq!(read_lifetime(wrong), Err(BadLifetime), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_documented_pattern_is_understood(text in LIFETIME_PATTERN.trim_matches(['^', '$'])) {
            prop_assert!(read_lifetime(&text).is_ok(), "{}", text);
        }

        #[test]
        fn no_text_makes_a_time_overflow(text in "[0-9]{0,30}(ms|s|m|h|d)?") {
            if let Ok(lifetime) = read_lifetime(&text) {
                prop_assert!(lifetime < Duration::from_secs(1_000_000_000));
            }
        }
    }
}
