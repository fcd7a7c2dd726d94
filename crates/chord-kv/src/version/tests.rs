use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_760_000_000_000;

fn writer(number: u64) -> Position {
    Position::from(number)
}

#[test]
fn no_two_who_share_a_clock_get_the_same_version() {
    const EACH: usize = 10_000;
    let clock = VersionClock::new();
    let some = || (0..EACH).map(|_| clock.next(NOW_MS, writer(1))).collect::<Vec<_>>();
    let made: Vec<Version> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
        makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect()
    });
    assert_eq!(made.iter().collect::<std::collections::BTreeSet<_>>().len(), 4 * EACH);
}

#[test]
fn a_copy_is_plausible_if_some_clock_can_have_made_its_version() {
    const YEAR_MS: u64 = 366 * 24 * 3_600_000;
    let at = |time_ms| Version::new(time_ms, u16::MAX, writer(1));
    let now_ms = CLOCK_SET_MS + YEAR_MS;
    assert!(at(0).is_plausible(now_ms) && at(now_ms + 50 * YEAR_MS).is_plausible(now_ms));
    assert!(at(CLOCK_SET_MS + YEAR_MS).is_plausible(0), "a clock that was never set refuses nothing honest");
    assert!(!at(now_ms + 51 * YEAR_MS).is_plausible(now_ms) && !at(u64::MAX).is_plausible(u64::MAX));
}

#[test]
fn what_is_too_far_ahead_is_for_its_owner_to_surpass() {
    let clock = VersionClock::new();
    let near = Version::new(NOW_MS + 1, 0, writer(2));
    assert!(clock.next_over(NOW_MS, writer(1), &near).unwrap() > near);
    let far = Version::new(NOW_MS + CLOCK_AHEAD_MS_MAX + 1, 0, writer(2));
    assert_eq!(clock.next_over(NOW_MS, writer(1), &far), None);
}

#[test]
fn a_version_has_the_time_of_its_clock_when_the_clock_moves() {
    let clock = VersionClock::new();
    assert_eq!(clock.next(NOW_MS, writer(1)), Version::new(NOW_MS, 0, writer(1)));
    assert_eq!(clock.next(NOW_MS, writer(1)), Version::new(NOW_MS, 1, writer(1)));
    assert_eq!(clock.next(NOW_MS + 1, writer(1)), Version::new(NOW_MS + 1, 0, writer(1)));
}

#[test]
fn versions_grow_when_the_clock_goes_back() {
    let clock = VersionClock::new();
    let before = clock.next(NOW_MS, writer(9));
    assert!(clock.next(NOW_MS - 3_600_000, writer(1)) > before);
}

#[test]
fn a_full_counter_carries_into_time() {
    let clock = VersionClock::new();
    clock.observe(&Version::new(NOW_MS, u16::MAX, writer(2)), NOW_MS).unwrap();
    assert_eq!(clock.next(NOW_MS, writer(1)), Version::new(NOW_MS + 1, 0, writer(1)));
}

#[test]
fn a_version_is_believed_up_to_the_bound_and_not_beyond() {
    let clock = VersionClock::new();
    let at_bound = Version::new(NOW_MS + CLOCK_AHEAD_MS_MAX, 0, writer(2));
    let beyond = Version::new(NOW_MS + CLOCK_AHEAD_MS_MAX + 1, 0, writer(2));
    let refused = clock.observe(&beyond, NOW_MS).unwrap_err();
    assert_eq!(refused, ClockAhead { ahead_ms: CLOCK_AHEAD_MS_MAX + 1 });
    assert_eq!(clock.next(NOW_MS, writer(1)).time_ms(), NOW_MS, "what is not believed moves nothing");
    clock.observe(&at_bound, NOW_MS).unwrap();
    assert!(clock.next(NOW_MS, writer(1)) > at_bound);
}

#[test]
fn a_stored_version_from_the_far_future_is_surpassed_without_following_it() {
    let clock = VersionClock::new();
    let wild = Version::new(NOW_MS + 365 * 86_400_000, 5, writer(9));
    let made = clock.next_after(NOW_MS, writer(1), Some(&wild));
    assert_eq!(made, Version::new(wild.time_ms(), 6, writer(1)));
    assert_eq!(clock.next(NOW_MS, writer(1)).time_ms(), NOW_MS);
}

#[test]
fn a_version_of_unknown_age_is_newer_than_its_like_and_older_than_all_that_was_written() {
    let written = VersionClock::new().next(1, writer(0));
    let first = Version::of_unknown_age(None, writer(7));
    assert_eq!(first, Version::new(0, 0, writer(7)));
    assert_eq!(Version::of_unknown_age(Some(&written), writer(7)), first);
    let second = Version::of_unknown_age(Some(&first), writer(3));
    assert!(first < second && second < written);
    let last = Version::new(0, u16::MAX, writer(9));
    assert!(Version::of_unknown_age(Some(&last), Position::MAX) < written, "however many there are");
}

#[test]
fn only_what_surpasses_a_record_by_the_least_follows_it_closely() {
    let wild = Version::new(NOW_MS + 365 * 86_400_000, 5, writer(9));
    let next = VersionClock::new().next_after(NOW_MS, writer(1), Some(&wild));
    assert!(next.follows_closely(&wild));
    assert!(!Version::new(wild.time_ms(), 7, writer(1)).follows_closely(&wild));
    assert!(!wild.follows_closely(&Version::new(NOW_MS, 0, writer(1))));
}

#[test]
fn the_end_of_time_is_reached_without_panic_or_wrap() {
    let last = Version::new(u64::MAX, u16::MAX, Position::MAX);
    assert_eq!(last.time_ms(), VERSION_TIME_MS_MAX);
    let clock = VersionClock::new();
    assert_eq!(clock.next_after(NOW_MS, Position::MAX, Some(&last)), last);
    assert_eq!(clock.next(u64::MAX, writer(1)).time_ms(), VERSION_TIME_MS_MAX);
    clock.observe(&last, u64::MAX).unwrap();
    assert_eq!(clock.next(0, Position::MAX), last);
}

#[test]
fn time_counts_before_counter_and_counter_before_writer() {
    let sorted = [(1, 0, 9), (1, 1, 0), (1, 1, 1), (2, 0, 0)].map(|(t, c, w)| Version::new(t, c, writer(w)));
    assert!(sorted.is_sorted_by(|a, b| a < b));
}

#[test]
fn what_is_no_version_is_refused_by_the_part_that_is_wrong() {
    use VersionParseError::{BadCounter, BadTime, BadWriter, NotThreeNumbers};
    let cases = [
        ("", NotThreeNumbers),
        ("1.2", NotThreeNumbers),
        ("1.2.3.4", NotThreeNumbers),
        (".2.3", BadTime),
        ("+1.2.3", BadTime),
        ("281474976710656.0.0", BadTime),
        ("1.65536.0", BadCounter),
        ("1.-2.0", BadCounter),
        ("1.2.", BadWriter(PositionParseError::NotDecimal)),
        ("1.2.x", BadWriter(PositionParseError::NotDecimal)),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Version>(), Err(error), "{text}");
    }
    assert_eq!("281474976710655.65535.7".parse(), Ok(Version::new(u64::MAX, u16::MAX, writer(7))));
}

fn any_version() -> impl Strategy<Value = Version> {
    (0..=VERSION_TIME_MS_MAX, any::<u16>(), any::<[u8; 32]>())
        .prop_map(|(time_ms, counter, bytes)| Version::new(time_ms, counter, Position::from_be_bytes(bytes)))
}

proptest! {
    #[test]
    fn versions_survive_their_text(version in any_version()) {
        prop_assert_eq!(version.to_string().parse(), Ok(version));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9.]{0,100}|\\PC*") {
        let _ = text.parse::<Version>();
    }

    /// Times within a small window, so that clocks stand still, jump back and meet full counters.
    #[test]
    fn each_version_is_greater_than_all_that_was_made_or_believed(
        steps in prop::collection::vec((0u64..200_000, 0u64..200_000, any::<u16>(), 0u64..4, 0..3), 1..60)
    ) {
        let clock = VersionClock::new();
        let mut greatest = Version::new(0, 0, Position::ZERO);
        for (now_ms, time_ms, counter, name, kind) in steps {
            let other = Version::new(time_ms, counter, writer(name));
            let believable = time_ms <= now_ms + CLOCK_AHEAD_MS_MAX;
            match kind {
                0 => {
                    prop_assert_eq!(clock.observe(&other, now_ms).is_ok(), believable);
                    if believable {
                        greatest = greatest.max(other);
                    }
                }
                1 => {
                    let made = clock.next(now_ms, writer(name));
                    prop_assert!(made > greatest, "{} after {}", made, greatest);
                    greatest = made;
                }
                _ => {
                    let made = clock.next_after(now_ms, writer(name), Some(&other));
                    prop_assert!(made > greatest && made > other, "{} after {} and {}", made, greatest, other);
                    if believable {
                        greatest = made;
                    }
                }
            }
        }
    }
}
