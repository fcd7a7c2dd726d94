//! Positions and intervals against vectors, exhaustive small rings and dumb oracles.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use chord_ring::{
    NODE_NAME_BYTES_MAX, NUMBER_DIGITS_MAX, NodeName, NodeNameError, POSITION_DIGITS_MAX, Position,
    PositionParseError, RING_NAME_BYTES_MAX, RingName, RingNameError, RingSize, RingSizeParseError, between,
    owned,
};
use proptest::prelude::*;

fn ring(bits: u64) -> RingSize {
    RingSize::new(bits).expect("a size")
}

fn at(number: u64) -> Position {
    Position::from(number)
}

/// The rings small enough to try everything on: m, and the positions of each.
fn small_rings() -> impl Iterator<Item = (RingSize, u64)> {
    (1..=4).map(|bits| (ring(bits), 1 << bits))
}

#[test]
fn every_vector_has_its_position() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("data/positions.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    let mut checked = 0;
    for case in cases {
        let text = case["string"].as_str().unwrap();
        for (bits, expected) in case["positions"].as_object().unwrap() {
            let size: RingSize = bits.parse().unwrap();
            let position = size.position_of(text.as_bytes());
            assert_eq!(position.to_string(), expected.as_str().unwrap(), "{text:?} with m = {bits}");
            assert_eq!(expected.as_str().unwrap().parse(), Ok(position));
            checked += 1;
        }
    }
    assert!(cases.len() >= 8 && checked >= 100, "{checked} vectors of {} strings", cases.len());
}

/// The positions met on a walk from just after `from` up to and with `to`: at least one step, so that a walk
/// from a position to itself goes all the way round.
fn walk(positions: u64, from: u64, to: u64) -> Vec<u64> {
    let mut met = Vec::new();
    let mut here = from;
    loop {
        here = (here + 1) % positions;
        met.push(here);
        if here == to {
            return met;
        }
    }
}

#[test]
fn intervals_hold_what_a_walk_round_the_circle_meets() {
    for (_, positions) in small_rings() {
        for from in 0..positions {
            for to in 0..positions {
                let met = walk(positions, from, to);
                for x in 0..positions {
                    let on_the_way = met[..met.len() - 1].contains(&x);
                    assert_eq!(between(at(from), at(x), at(to)), on_the_way, "{x} in ({from}, {to})");
                    assert_eq!(owned(at(from), at(x), at(to)), met.contains(&x), "{x} in ({from}, {to}]");
                }
            }
        }
    }
}

#[test]
fn distances_count_the_steps_of_a_walk() {
    for (size, positions) in small_rings() {
        for from in 0..positions {
            for to in 0..positions {
                let steps = walk(positions, from, to).len() as u64 % positions;
                assert_eq!(size.distance(at(from), at(to)), at(steps), "{from} to {to} of {positions}");
            }
        }
    }
}

#[test]
fn fingers_start_at_powers_of_two() {
    for (size, positions) in small_rings() {
        for from in 0..positions {
            for exponent in 0..size.bits() {
                let start = (from + (1 << exponent)) % positions;
                assert_eq!(size.finger_start(at(from), exponent), at(start));
            }
        }
    }
}

/// TSE 2017, sections III-A and VI-A.
#[test]
fn between_is_strict_at_its_ends_and_whole_when_they_are_equal() {
    for (_, positions) in small_rings() {
        for a in 0..positions {
            for x in 0..positions {
                assert_eq!(between(at(a), at(x), at(a)), x != a);
                assert!(a == x || !between(at(a), at(a), at(x)));
                assert!(a == x || !between(at(x), at(a), at(a)));
                assert!(owned(at(a), at(x), at(a)), "who is its own predecessor owns everything");
            }
        }
    }
}

/// TSE 2017, section VI-A, `IncludedReversesBetween`.
#[test]
fn what_is_not_between_lies_in_the_closed_arc_back() {
    for (_, positions) in small_rings() {
        for (a, b) in (0..positions).flat_map(|a| (0..positions).map(move |b| (a, b))).filter(|(a, b)| a != b)
        {
            for x in 0..positions {
                let in_closed_arc_back = x == b || owned(at(b), at(x), at(a));
                assert_eq!(!between(at(a), at(x), at(b)), in_closed_arc_back, "{a} {x} {b}");
            }
        }
    }
}

#[test]
fn intervals_do_not_change_when_the_circle_is_turned() {
    for (_, positions) in small_rings() {
        let turn = |position: u64, by: u64| at((position + by) % positions);
        for a in 0..positions {
            for x in 0..positions {
                for b in 0..positions {
                    for by in 1..positions {
                        let turned = (turn(a, by), turn(x, by), turn(b, by));
                        assert_eq!(between(at(a), at(x), at(b)), between(turned.0, turned.1, turned.2));
                        assert_eq!(owned(at(a), at(x), at(b)), owned(turned.0, turned.1, turned.2));
                    }
                }
            }
        }
    }
}

#[test]
fn three_different_positions_are_in_one_order_or_the_other() {
    for (_, positions) in small_rings() {
        for a in 0..positions {
            for x in (0..positions).filter(|x| *x != a) {
                for b in (0..positions).filter(|b| *b != a && *b != x) {
                    assert_ne!(between(at(a), at(x), at(b)), between(at(b), at(x), at(a)), "{a} {x} {b}");
                    assert_eq!(between(at(a), at(x), at(b)), between(at(x), at(b), at(a)), "{a} {x} {b}");
                }
            }
        }
    }
}

#[test]
fn the_owners_of_a_ring_share_it_without_gap_or_overlap() {
    let (positions, members) = (16, 0..1u64 << 16);
    for members in members.step_by(7).skip(1) {
        let members: Vec<_> = (0..positions).filter(|position| members >> position & 1 == 1).collect();
        for key in 0..positions {
            let owners = (0..members.len()).filter(|idx| {
                let predecessor = members[(idx + members.len() - 1) % members.len()];
                owned(at(predecessor), at(key), at(members[*idx]))
            });
            assert_eq!(owners.count(), 1, "{key} among {members:?}");
        }
    }
}

#[test]
fn a_fraction_is_the_part_of_the_circle() {
    assert!(ring(1).fraction(at(1)).total_cmp(&0.5).is_eq());
    assert!(ring(8).fraction(at(64)).total_cmp(&0.25).is_eq());
    let half = ring(256).finger_start(Position::ZERO, 255);
    assert!(ring(256).fraction(half).total_cmp(&0.5).is_eq());
    assert!(ring(160).fraction(Position::ZERO).total_cmp(&0.0).is_eq());
}

#[test]
fn sizes_are_from_1_to_256_bits() {
    assert_eq!((ring(1).bits(), ring(256).bits()), (1, 256));
    for bits in [0, 257, 65_537, u64::MAX] {
        let refused = RingSize::new(bits).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("the ring size is a number of bits from 1 to 256, not {bits}")
        );
        assert_eq!(bits.to_string().parse::<RingSize>(), Err(RingSizeParseError::OutOfRange(refused)));
    }
    for text in ["", "seven", "-1", "7.0", " 7", "18446744073709551616"] {
        assert_eq!(text.parse::<RingSize>(), Err(RingSizeParseError::NotANumber), "{text:?}");
    }
    assert_eq!("7".parse(), Ok(ring(7)));
}

#[test]
fn what_is_no_position_is_refused() {
    let too_large = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    assert_eq!(too_large.len(), POSITION_DIGITS_MAX);
    for text in [too_large, &"9".repeat(POSITION_DIGITS_MAX), &"1".repeat(10_000)] {
        assert_eq!(text.parse::<Position>(), Err(PositionParseError::TooLarge));
    }
    for text in ["", "-1", "+1", " 1", "1.0", "0x10", "1e3", "١"] {
        assert_eq!(text.parse::<Position>(), Err(PositionParseError::NotDecimal), "{text:?}");
    }
    assert_eq!(too_large.replace("936", "935").parse(), Ok(Position::MAX));
    assert_eq!(format!("{}1", "0".repeat(10_000)).parse(), Ok(at(1)), "zeros in front do not count");
}

#[test]
fn a_position_is_printed_to_a_width() {
    assert_eq!(format!("[{:>4}|{:<4}|{:04}]", at(7), at(7), at(7)), "[   7|7   |0007]");
    assert_eq!(Position::from(10_000_000_000_000_000_000).to_string(), "10000000000000000000");
    assert_eq!(Position::ZERO.to_string(), "0");
}

#[test]
fn a_nodes_name_is_a_host_and_a_port() {
    let cases = [
        ("127.0.0.1:4567", "127.0.0.1", 4567),
        ("node1:5000", "node1", 5000),
        ("a_b-c.example.:1", "a_b-c.example.", 1),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ];
    for (text, host, port) in cases {
        let name: NodeName = text.parse().unwrap();
        assert_eq!((name.as_str(), name.host(), name.port()), (text, host, port));
        assert_eq!(name.to_string(), text);
    }
}

#[test]
fn what_is_no_nodes_name_is_refused_by_the_part_that_is_wrong() {
    use NodeNameError::{BadHost, BadPort, NoPort, TooLong};
    let cases = [
        ("", NoPort),
        ("localhost", NoPort),
        ("h:", BadPort),
        ("h:0", BadPort),
        ("h:65536", BadPort),
        ("h:080", BadPort),
        ("h:-1", BadPort),
        ("h:+1", BadPort),
        ("h: 1", BadPort),
        (":1", BadHost),
        ("::1:80", BadHost),
        ("[]:80", BadHost),
        ("[::1:80", BadHost),
        ("a b:1", BadHost),
        ("a/b:1", BadHost),
        ("user@h:1", BadHost),
        ("a,b:1", BadHost),
        ("ü:1", BadHost),
        ("h\n:1", BadHost),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<NodeName>(), Err(error), "{text:?}");
    }
    let host = "h".repeat(NODE_NAME_BYTES_MAX - 2);
    assert!(format!("{host}:1").parse::<NodeName>().is_ok());
    assert_eq!(format!("{host}h:1").parse::<NodeName>(), Err(TooLong));
}

#[test]
fn a_rings_name_is_short_and_plain() {
    for text in ["chord", "a", "A.b-c_9", &"r".repeat(RING_NAME_BYTES_MAX)] {
        assert_eq!(text.parse::<RingName>().unwrap().as_str(), text);
    }
    for text in ["", " ", "a b", "a,b", "ring/1", "ü", "a\n", &"r".repeat(RING_NAME_BYTES_MAX + 1)] {
        assert_eq!(text.parse::<RingName>(), Err(RingNameError), "{text:?}");
    }
    assert_eq!(RingName::default().as_str(), "chord");
}

#[test]
fn a_number_beyond_every_ring_is_taken_modulo_2_to_the_256() {
    let modulo = |text: &str| Position::modulo(text);
    let largest = Position::MAX.to_string();
    assert_eq!(modulo(&largest), Ok(Position::MAX));
    let two_to_the_256 = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    assert_eq!(modulo(two_to_the_256), Ok(Position::ZERO));
    // 10^256 is 2^256 times 5^256; so is whatever ten times that is.
    assert_eq!(modulo(&format!("1{}", "0".repeat(256))), Ok(Position::ZERO));
    assert_eq!(modulo(&format!("7{}42", "0".repeat(NUMBER_DIGITS_MAX - 3))), Ok(Position::from(42)));
    assert_eq!(modulo(&"1".repeat(NUMBER_DIGITS_MAX + 1)), Err(PositionParseError::TooLong));
    for wrong in ["", "-1", "+1", "1.0", "x"] {
        assert_eq!(modulo(wrong), Err(PositionParseError::NotDecimal), "{wrong}");
    }
}

/// Numbers below 2^256 with a digit for each byte, least significant first, in the way of the schoolbook.
mod schoolbook {
    pub(crate) fn add(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
        let mut carry = 0;
        digits(|idx| {
            let sum = u16::from(a[idx]) + u16::from(b[idx]) + carry;
            carry = sum >> 8;
            sum
        })
    }

    pub(crate) fn subtract(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
        let mut borrow = 0;
        digits(|idx| {
            let difference = 0x100 + u16::from(a[idx]) - u16::from(b[idx]) - borrow;
            borrow = u16::from(difference < 0x100);
            difference
        })
    }

    /// The lowest `bits` bits.
    pub(crate) fn lowest(a: [u8; 32], bits: u16) -> [u8; 32] {
        digits(|idx| {
            let bit = |bit: u16| u16::try_from(idx).expect("below 32") * 8 + bit < bits;
            (0..8).filter(|at| bit(*at)).fold(0, |kept, at| kept | u16::from(a[idx]) & 1 << at)
        })
    }

    pub(crate) fn power_of_two(exponent: u16) -> [u8; 32] {
        digits(|idx| if idx == usize::from(exponent / 8) { 1 << (exponent % 8) } else { 0 })
    }

    fn digits(mut digit: impl FnMut(usize) -> u16) -> [u8; 32] {
        std::array::from_fn(|idx| digit(idx).to_le_bytes()[0])
    }
}

fn from_le(mut bytes: [u8; 32]) -> Position {
    bytes.reverse();
    Position::from_be_bytes(bytes)
}

fn big(number: u128) -> Position {
    let mut bytes = [0; 32];
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    Position::from_be_bytes(bytes)
}

/// Bytes that are often all zeros or all ones, where carries run far.
fn any_bytes() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        any::<[u8; 32]>(),
        prop::array::uniform32(prop::sample::select(vec![0u8, 1, 0x80, 0xff])),
        (0u16..256).prop_map(schoolbook::power_of_two),
        (0u16..256).prop_map(|bits| schoolbook::lowest([0xff; 32], bits)),
    ]
}

fn any_bits() -> impl Strategy<Value = u16> {
    prop_oneof![1..=256u16, Just(63), Just(64), Just(65), Just(128), Just(160), Just(192), Just(256)]
}

proptest! {
    #[test]
    fn arithmetic_is_that_of_128_bit_numbers_on_smaller_rings(
        bits in 1u16..=127, from: u128, to: u128, exponent in 0u16..127
    ) {
        let size = ring(u64::from(bits));
        let modulo = 1u128 << bits;
        let (from, to) = (from % modulo, to % modulo);
        prop_assert_eq!(size.distance(big(from), big(to)), big((to + modulo - from) % modulo));
        let exponent = exponent % bits;
        prop_assert_eq!(size.finger_start(big(from), exponent), big((from + (1 << exponent)) % modulo));
        prop_assert_eq!(big(from).to_string(), from.to_string());
    }

    #[test]
    fn arithmetic_is_that_of_the_schoolbook_on_every_ring(
        bits in any_bits(), from in any_bytes(), to in any_bytes(), exponent in 0u16..256
    ) {
        let size = ring(u64::from(bits));
        let (a, b) = (schoolbook::lowest(from, bits), schoolbook::lowest(to, bits));
        prop_assert_eq!(size.reduce(from_le(from)), from_le(a));
        let distance = schoolbook::lowest(schoolbook::subtract(b, a), bits);
        prop_assert_eq!(size.distance(from_le(a), from_le(b)), from_le(distance));
        let exponent = exponent % bits;
        let start = schoolbook::lowest(schoolbook::add(a, schoolbook::power_of_two(exponent)), bits);
        prop_assert_eq!(size.finger_start(from_le(a), exponent), from_le(start));
    }

    #[test]
    fn positions_are_ordered_as_their_bytes(a in any_bytes(), b in any_bytes()) {
        let (x, y) = (Position::from_be_bytes(a), Position::from_be_bytes(b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.to_be_bytes(), a);
    }

    #[test]
    fn a_position_lies_between_the_powers_of_two_that_its_length_names(bytes in any_bytes()) {
        let (position, whole) = (Position::from_be_bytes(bytes), ring(256));
        let power = |exponent: u16| whole.finger_start(Position::ZERO, exponent);
        match position.bit_length() {
            0 => prop_assert_eq!(position, Position::ZERO),
            digits => {
                prop_assert!(power(digits - 1) <= position);
                prop_assert!(digits == 256 || position < power(digits));
            }
        }
    }

    #[test]
    fn positions_survive_their_text(bytes in any_bytes()) {
        let position = Position::from_be_bytes(bytes);
        let text = position.to_string();
        prop_assert!(text.len() <= POSITION_DIGITS_MAX && (text == "0" || !text.starts_with('0')));
        prop_assert_eq!(text.parse(), Ok(position));
    }

    #[test]
    fn being_between_is_a_matter_of_distances(bits in any_bits(), ends in any::<[[u8; 32]; 3]>()) {
        let size = ring(u64::from(bits));
        let [a, x, b] = ends.map(|bytes| size.reduce(Position::from_be_bytes(bytes)));
        prop_assume!(a != b);
        let (to_x, to_b) = (size.distance(a, x), size.distance(a, b));
        prop_assert_eq!(between(a, x, b), x != a && to_x < to_b);
        prop_assert_eq!(owned(a, x, b), x != a && to_x <= to_b);
    }

    #[test]
    fn distances_there_and_back_go_once_round(bits in any_bits(), ends in any::<[[u8; 32]; 2]>()) {
        let size = ring(u64::from(bits));
        let [a, b] = ends.map(|bytes| size.reduce(Position::from_be_bytes(bytes)));
        let back_from = size.distance(size.distance(a, b), Position::ZERO);
        prop_assert_eq!(back_from, size.distance(b, a));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC*|[0-9]{0,90}|[a-z\\[\\]:.0-9]{0,30}") {
        let _ = text.parse::<Position>();
        let _ = text.parse::<RingSize>();
        let _ = text.parse::<RingName>();
        if let Ok(name) = text.parse::<NodeName>() {
            prop_assert!(name.port() > 0 && !name.host().is_empty());
        }
    }
}

#[test]
fn an_arc_is_divided_into_parts_that_hold_each_of_its_positions_once() {
    let parts = NonZeroU8::new(4).unwrap();
    for (size, count) in small_rings() {
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (at(from), at(to)))) {
            let ends = size.divide(from, to, parts);
            assert_eq!(ends.last(), Some(&to), "{from} to {to}");
            let starts = [from].into_iter().chain(ends.iter().copied());
            let arcs: Vec<(Position, Position)> = starts.zip(ends.iter().copied()).collect();
            for position in (0..count).map(at) {
                let holders = arcs.iter().filter(|(start, end)| owned(*start, position, *end)).count();
                assert_eq!(holders, usize::from(owned(from, position, to)), "{position} in {from} to {to}");
            }
        }
    }
    let whole = ring(256).divide(at(0), at(0), parts);
    assert_eq!(whole.len(), 4);
    assert_eq!(whole[1].bit_length(), 255, "half of the circle");
}

#[test]
fn strings_spread_evenly() {
    let size = ring(3);
    let mut counts: BTreeMap<Position, u32> = BTreeMap::new();
    for number in 0..8000 {
        *counts.entry(size.position_of(format!("key-{number}").as_bytes())).or_default() += 1;
    }
    assert_eq!(counts.len(), 8);
    assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
}
