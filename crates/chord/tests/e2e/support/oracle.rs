//! Who owns what, by sorting: positions after the wire's documentation, section 1.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// How many different successors a node keeps where nothing else was asked for.
const SUCCESSORS: usize = 8;

/// A position as 32 big-endian bytes, which sort as the number does.
pub(crate) type PositionBytes = [u8; 32];

/// SHA-256 of the text modulo 2^`ring_size`.
pub(crate) fn position(text: &str, ring_size: usize) -> PositionBytes {
    modulo(Sha256::digest(text.as_bytes()).into(), ring_size)
}

/// The lowest `ring_size` bits.
fn modulo(mut number: PositionBytes, ring_size: usize) -> PositionBytes {
    for (idx, byte) in number.iter_mut().rev().enumerate() {
        let bits = ring_size.saturating_sub(8 * idx);
        if bits < 8 {
            *byte &= (1 << bits) - 1;
        }
    }
    number
}

/// 2^`exponent`, modulo 2^256.
pub(crate) fn power_of_two(exponent: usize) -> PositionBytes {
    let mut number = [0; 32];
    if exponent < 256 {
        number[31 - exponent / 8] = 1 << (exponent % 8);
    }
    number
}

/// One more, modulo 2^256.
pub(crate) fn increment(mut number: PositionBytes) -> PositionBytes {
    for byte in number.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    number
}

/// In decimal digits.
pub(crate) fn decimal(number: PositionBytes) -> String {
    let mut rest = number;
    let mut digits = Vec::new();
    while digits.is_empty() || rest != [0; 32] {
        let mut remainder = 0_u16;
        for byte in &mut rest {
            let part = remainder << 8 | u16::from(*byte);
            *byte = u8::try_from(part / 10).expect("the quotient of a smaller remainder is one digit");
            remainder = part % 10;
        }
        digits.push(char::from(b'0' + u8::try_from(remainder).expect("below ten")));
    }
    digits.iter().rev().collect()
}

/// All nodes, sorted.
#[derive(Clone)]
pub(crate) struct Oracle {
    ring_size: usize,
    nodes: BTreeMap<PositionBytes, String>,
}

impl Oracle {
    pub(crate) fn new<'a>(ring_size: usize, names: impl IntoIterator<Item = &'a String>) -> Self {
        let nodes = names.into_iter().map(|name| (position(name, ring_size), name.clone())).collect();
        Self { ring_size, nodes }
    }

    /// The names, in the order of the ring.
    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.values().cloned().collect()
    }

    pub(crate) fn owner_of_key(&self, key: &str) -> &str {
        self.owner(position(key, self.ring_size))
    }

    /// The first node at or after that number, taken modulo the ring size.
    pub(crate) fn owner(&self, number: PositionBytes) -> &str {
        let at = modulo(number, self.ring_size);
        let (_, name) =
            self.nodes.range(at..).chain(&self.nodes).next().expect("a ring has at least one node");
        name
    }

    /// The node before; nobody in a ring of one.
    pub(crate) fn predecessor(&self, name: &str) -> Option<String> {
        self.others_after(name).pop()
    }

    /// What `get_successor_list` must answer: the nearest successors, the node itself, and round again, one entry
    /// for each bit of the ring size.
    pub(crate) fn successor_list(&self, name: &str) -> Vec<String> {
        let mut once = self.others_after(name);
        once.truncate(SUCCESSORS);
        once.push(name.to_owned());
        once.into_iter().cycle().take(self.ring_size).collect()
    }

    /// All others, clockwise from `name`.
    fn others_after(&self, name: &str) -> Vec<String> {
        let names = self.names();
        let idx = names.iter().position(|other| other == name).expect("the node is in the ring");
        names.iter().cycle().skip(idx + 1).take(names.len() - 1).cloned().collect()
    }
}

/// The reference positions that every part of the project agrees on.
pub(crate) fn reference_positions() -> Vec<(String, Vec<(usize, String)>)> {
    let text = include_str!("../../../../chord-ring/tests/data/positions.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("the vectors are JSON");
    let cases = vectors["cases"].as_array().expect("the vectors have cases");
    cases
        .iter()
        .map(|case| {
            let positions = case["positions"].as_object().expect("a case has positions");
            let of_size = |(size, position): (&String, &serde_json::Value)| {
                let size = size.parse().expect("a ring size is a number");
                (size, position.as_str().expect("a position is a string of digits").to_owned())
            };
            (
                case["string"].as_str().expect("a case has a string").to_owned(),
                positions.iter().map(of_size).collect(),
            )
        })
        .collect()
}

#[test]
fn the_tests_own_positions_are_those_of_the_reference() {
    for (text, positions) in reference_positions() {
        for (ring_size, expected) in positions {
            assert_eq!(decimal(position(&text, ring_size)), expected, "{text:?} at ring size {ring_size}");
        }
    }
}
