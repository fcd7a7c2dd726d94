//! Positions: the integers below 2^m that name every point of the identifier circle.
//!
//! All arithmetic of the ring lives here. A [`Position`] alone does not know how large its ring is;
//! whatever wraps around asks the [`RingSize`].

use std::fmt::{self, Write as _};
use std::num::NonZeroU8;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Largest number of bits of an identifier space: the width of a SHA-256 digest.
pub const RING_BITS_MAX: u16 = 256;

/// Decimal digits of 2^256 - 1; a longer number cannot be a position.
pub const POSITION_DIGITS_MAX: usize = 78;

/// Decimal digits of the longest number that [`Position::modulo`] takes: more than any that means something, and few
/// enough to be read in no time.
pub const NUMBER_DIGITS_MAX: usize = 1000;

const LIMBS: usize = 4;

/// Largest power of ten in one limb: positions are printed and parsed 19 digits at a time.
const CHUNK: u64 = 10_000_000_000_000_000_000;
const CHUNK_DIGITS: usize = 19;

/// A point on the identifier circle: an unsigned integer of at most 256 bits.
///
/// Ordered as a number. Printed and parsed in decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position([u64; LIMBS]); // most significant limb first, so that the derived order is numeric

/// Why a text is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionParseError {
    /// The text is empty or holds something other than the digits 0 to 9.
    #[error("a position is a whole number, 0 or more, in decimal digits")]
    NotDecimal,
    /// The number needs more than 256 bits.
    #[error("a position is below 2^256")]
    TooLarge,
    /// The number has more digits than [`NUMBER_DIGITS_MAX`].
    #[error("a position has at most {NUMBER_DIGITS_MAX} digits")]
    TooLong,
}

impl Position {
    /// The position 0.
    pub const ZERO: Self = Self([0; LIMBS]);
    /// The position 2^256 - 1.
    pub const MAX: Self = Self([u64::MAX; LIMBS]);

    /// The position whose 32 big-endian bytes are given.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; LIMBS];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.as_chunks().0) {
            *limb = u64::from_be_bytes(*chunk);
        }
        Self(limbs)
    }

    /// The 32 big-endian bytes of this position; they sort as the positions do.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *chunk = limb.to_be_bytes();
        }
        bytes
    }

    /// How many binary digits it has: 0 for the position 0, else n where 2^(n-1) <= self < 2^n.
    #[expect(clippy::cast_possible_truncation, reason = "a limb has 64 digits")]
    pub fn bit_length(self) -> u16 {
        let mut digits = RING_BITS_MAX;
        for limb in self.0 {
            digits -= limb.leading_zeros() as u16;
            if limb != 0 {
                break;
            }
        }
        digits
    }

    /// The number that `text` is, modulo 2^256: on a ring of any size, that is the same point.
    ///
    /// # Errors
    /// The text is no whole number in decimal digits, or has more than [`NUMBER_DIGITS_MAX`] of them.
    pub fn modulo(text: &str) -> Result<Self, PositionParseError> {
        let digits = significant_digits(text)?;
        if digits.len() > NUMBER_DIGITS_MAX {
            return Err(PositionParseError::TooLong);
        }
        Ok(digits.bytes().fold(Self::ZERO, |sum, byte| sum.mul_add(10, u64::from(byte - b'0')).0))
    }

    fn wrapping_add(self, other: Self) -> Self {
        let mut limbs = [0; LIMBS];
        let mut carry = false;
        for idx in (0..LIMBS).rev() {
            let (sum, over_a) = self.0[idx].overflowing_add(other.0[idx]);
            let (sum, over_b) = sum.overflowing_add(u64::from(carry));
            limbs[idx] = sum;
            carry = over_a || over_b;
        }
        Self(limbs)
    }

    fn wrapping_sub(self, other: Self) -> Self {
        let mut limbs = [0; LIMBS];
        let mut borrow = false;
        for idx in (0..LIMBS).rev() {
            let (difference, under_a) = self.0[idx].overflowing_sub(other.0[idx]);
            let (difference, under_b) = difference.overflowing_sub(u64::from(borrow));
            limbs[idx] = difference;
            borrow = under_a || under_b;
        }
        Self(limbs)
    }

    /// 2^exponent, for an exponent below 256.
    fn power_of_two(exponent: u16) -> Self {
        assert!(exponent < RING_BITS_MAX, "2^{exponent} is no position");
        let mut limbs = [0; LIMBS];
        limbs[LIMBS - 1 - usize::from(exponent / 64)] = 1 << (exponent % 64);
        Self(limbs)
    }

    /// self * factor + addend, or `None` above 2^256 - 1.
    fn checked_mul_add(self, factor: u64, addend: u64) -> Option<Self> {
        let (position, carry) = self.mul_add(factor, addend);
        (carry == 0).then_some(position)
    }

    /// self * factor + addend modulo 2^256, and what is above.
    fn mul_add(self, factor: u64, addend: u64) -> (Self, u128) {
        let mut limbs = [0; LIMBS];
        let mut carry = u128::from(addend);
        for idx in (0..LIMBS).rev() {
            let sum = u128::from(self.0[idx]) * u128::from(factor) + carry;
            limbs[idx] = low_limb(sum);
            carry = sum >> 64;
        }
        (Self(limbs), carry)
    }

    /// Quotient and remainder of a division by `divisor`.
    fn div_rem(self, divisor: u64) -> (Self, u64) {
        let mut limbs = [0; LIMBS];
        let mut rest = 0u128;
        for (quotient, limb) in limbs.iter_mut().zip(self.0) {
            let value = rest << 64 | u128::from(limb);
            *quotient = low_limb(value / u128::from(divisor));
            rest = value % u128::from(divisor);
        }
        (Self(limbs), low_limb(rest))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low 64 bits are what is asked for")]
fn low_limb(value: u128) -> u64 {
    value as u64
}

/// The digits of a whole number from the first that is not 0.
fn significant_digits(text: &str) -> Result<&str, PositionParseError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PositionParseError::NotDecimal);
    }
    Ok(text.trim_start_matches('0'))
}

impl From<u64> for Position {
    fn from(value: u64) -> Self {
        Self([0, 0, 0, value])
    }
}

impl FromStr for Position {
    type Err = PositionParseError;

    fn from_str(text: &str) -> Result<Self, PositionParseError> {
        let digits = significant_digits(text)?;
        if digits.len() > POSITION_DIGITS_MAX {
            return Err(PositionParseError::TooLarge);
        }
        digits.bytes().try_fold(Self::ZERO, |sum, byte| {
            sum.checked_mul_add(10, u64::from(byte - b'0')).ok_or(PositionParseError::TooLarge)
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chunks = Vec::with_capacity(POSITION_DIGITS_MAX.div_ceil(CHUNK_DIGITS));
        let mut rest = *self;
        while rest != Self::ZERO {
            let (quotient, chunk) = rest.div_rem(CHUNK);
            chunks.push(chunk);
            rest = quotient;
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            write!(text, "{chunk:0CHUNK_DIGITS$}")?;
        }
        f.pad_integral(true, "", &text)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The size of an identifier space: m, its number of bits, from 1 to 256. The ring has 2^m positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingSize(u16);

/// A number of bits that is no ring size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring size is a number of bits from 1 to 256, not {0}")]
pub struct RingSizeError(pub u64);

impl RingSize {
    /// The ring size of a node that was told none: that of the papers, the width of SHA-1.
    pub const DEFAULT: Self = Self(160);

    /// A ring of 2^bits positions.
    ///
    /// # Errors
    /// `bits` is 0 or above 256.
    pub fn new(bits: u64) -> Result<Self, RingSizeError> {
        match u16::try_from(bits) {
            Ok(small @ 1..=RING_BITS_MAX) => Ok(Self(small)),
            Ok(_) | Err(_) => Err(RingSizeError(bits)),
        }
    }

    /// m, the number of bits: 1 to 256.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// `position` modulo 2^m.
    pub fn reduce(self, position: Position) -> Position {
        let mut limbs = position.0;
        for (below, limb) in [0, 64, 128, 192].into_iter().zip(limbs.iter_mut().rev()) {
            let kept = u32::from(self.0).saturating_sub(below);
            *limb &= 1u64.checked_shl(kept).map_or(u64::MAX, |bound| bound - 1);
        }
        Position(limbs)
    }

    /// Where `bytes` lie on this ring: their SHA-256, big-endian, modulo 2^m.
    pub fn position_of(self, bytes: &[u8]) -> Position {
        self.reduce(Position::from_be_bytes(Sha256::digest(bytes).into()))
    }

    /// How far it is clockwise from `from` to `to`: 0 when they are equal, else 1 to 2^m - 1.
    pub fn distance(self, from: Position, to: Position) -> Position {
        self.reduce(to.wrapping_sub(from))
    }

    /// The position just before that one.
    pub fn before(self, position: Position) -> Position {
        self.reduce(position.wrapping_sub(1.into()))
    }

    /// `from` + 2^exponent modulo 2^m: where finger number `exponent` of a node at `from` starts
    /// (TON 2003, table I, counted from 0).
    pub fn finger_start(self, from: Position, exponent: u16) -> Position {
        self.reduce(from.wrapping_add(Position::power_of_two(exponent)))
    }

    /// The ends of the `parts` arcs of nearly the same length that the arc after `from`, up to and with `to`, falls into:
    /// clockwise, the last of them `to`. With equal ends the arc is the whole circle, as in [`owned`](crate::owned).
    ///
    /// An arc of fewer positions than parts is not divided: its one end is `to`.
    pub fn divide(self, from: Position, to: Position, parts: NonZeroU8) -> Vec<Position> {
        let parts = u64::from(parts.get());
        let (step, _) = match self.distance(from, to) {
            // One less than the length, which may need one bit more than there are.
            Position::ZERO => self.reduce(Position::MAX).div_rem(parts),
            length => length.div_rem(parts),
        };
        if step == Position::ZERO {
            return vec![to];
        }
        let mut end = from;
        let inner = (1..parts).map(|_| {
            end = self.reduce(end.wrapping_add(step));
            end
        });
        inner.collect::<Vec<_>>().into_iter().chain([to]).collect()
    }

    /// The part of the whole circle that a clockwise distance covers, from 0.0 to just below 1.0.
    pub fn fraction(self, distance: Position) -> f64 {
        let bits = i32::from(self.0);
        distance.0.iter().zip([192, 128, 64, 0]).fold(0.0, |sum, (limb, weight)| {
            #[expect(clippy::cast_precision_loss, reason = "a share of the ring is for people")]
            let limb = *limb as f64;
            sum + limb * 2f64.powi(weight - bits)
        })
    }
}

impl fmt::Display for RingSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RingSize {
    type Err = RingSizeParseError;

    fn from_str(text: &str) -> Result<Self, RingSizeParseError> {
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let bits = digits.and_then(|digits| digits.parse().ok()).ok_or(RingSizeParseError::NotANumber)?;
        Ok(Self::new(bits)?)
    }
}

/// Why a text is not a ring size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingSizeParseError {
    /// Not a whole number.
    #[error("the ring size is a whole number of bits from 1 to 256")]
    NotANumber,
    /// A number, but not from 1 to 256.
    #[error(transparent)]
    OutOfRange(#[from] RingSizeError),
}
