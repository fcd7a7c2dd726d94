//! Keys and values, all computed from a number, so that a value is checked without being kept.

use std::fmt;

use serde::{Serialize, Serializer};

use super::VALUE_BYTES_MAX;
use crate::cli::number;

/// Digits of a key: enough for the largest number of keys.
const DIGITS: usize = 8;

/// Length of a key: a letter before its digits.
pub(super) const KEY_BYTES: usize = 1 + DIGITS;

/// How long values are: as long as the lower bound, or anything up to the upper one, by the number of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) low: usize,
    pub(super) high: usize,
}

/// The key of that number.
pub(super) fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'k'; KEY_BYTES];
    key[1..].copy_from_slice(&digits(number));
    key
}

/// Puts so many bytes of the value of that key behind what is there: the digits of the key, again and again.
pub(super) fn write_value(number: u64, bytes: usize, to: &mut Vec<u8>) {
    let (begin, digits) = (to.len(), digits(number));
    to.resize(begin + bytes, b'0');
    for chunk in to[begin..].chunks_mut(DIGITS) {
        chunk.copy_from_slice(&digits[..chunk.len()]);
    }
}

/// Whether this is what was written under the key of that number.
pub(super) fn is_value(value: &[u8], number: u64, bytes: usize) -> bool {
    let digits = digits(number);
    value.len() == bytes && value.chunks(DIGITS).all(|chunk| digits.starts_with(chunk))
}

fn digits(number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    digits
}

impl Sizes {
    /// All of that length.
    pub(super) const fn of(bytes: usize) -> Self {
        Self { low: bytes, high: bytes }
    }

    /// How long the value of that key is: the same each time that it is written.
    pub(super) fn of_key(self, number: u64) -> usize {
        let span = self.high - self.low + 1;
        // Multiplicative hashing (Knuth, TAOCP 3, 6.4); of 0, which is asked for most, it would make the smallest.
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.low + usize::try_from(mixed).unwrap_or(0) % span
    }

    /// `64`, or `16-1024`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bytes = number::within::<usize>("the size of a value in bytes", 0..=VALUE_BYTES_MAX);
        let Some((low, high)) = text.split_once('-') else { return bytes(text).map(Self::of) };
        let sizes = Self { low: bytes(low)?, high: bytes(high)? };
        if sizes.low > sizes.high {
            return Err("sizes go from the smaller to the larger, as in 16-1024".to_owned());
        }
        Ok(sizes)
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { low, high } if low == high => write!(f, "{low}"),
            Self { low, high } => write!(f, "{low}-{high}"),
        }
    }
}

impl Serialize for Sizes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.low == self.high { self.low.serialize(to) } else { to.collect_str(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: u64, bytes: usize) -> Vec<u8> {
        let mut value = Vec::new();
        write_value(number, bytes, &mut value);
        value
    }

    #[test]
    fn a_key_is_a_letter_and_its_digits() {
        assert_eq!((&key(42), &key(7_654_321)), (b"k00000042", b"k07654321"));
    }

    #[test]
    fn another_keys_value_is_not_taken() {
        assert_eq!(value(42, 11), b"00000042000");
        for bytes in [0, 1, 8, 11, 64] {
            assert!(is_value(&value(5, bytes), 5, bytes));
        }
        assert!(!is_value(&value(42, 8), 43, 8));
        assert!(!is_value(b"0000004200", 42, 8));
        assert!(!is_value(b"", 42, 8));
    }

    #[test]
    fn sizes_differ_from_key_to_key_and_stay_the_same_for_each() {
        let sizes = Sizes::parse("10-12").unwrap();
        let mut seen = [0; 13];
        for number in 0..3000 {
            assert_eq!(sizes.of_key(number), sizes.of_key(number));
            seen[sizes.of_key(number)] += 1;
        }
        assert!(seen[10..].iter().all(|count| (900..1100).contains(count)), "{seen:?}");
        assert_eq!(Sizes::of(64).of_key(7), 64);
        assert_ne!(Sizes::parse("16-1024").unwrap().of_key(0), 16, "the key that is asked for most");
    }

    #[test]
    fn sizes_are_one_or_go_from_the_smaller_to_the_larger() {
        assert_eq!(Sizes::parse("64"), Ok(Sizes::of(64)));
        assert_eq!(Sizes::parse("16-1024").unwrap().to_string(), "16-1024");
        for wrong in ["", "-", "64-", "-64", "64-16", "1-2-3", "64k", "1048577"] {
            assert!(Sizes::parse(wrong).is_err(), "{wrong}");
        }
    }
}
