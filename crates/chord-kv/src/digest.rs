//! Digests: whether two stores hold the same records of a range, told by 40 bytes.

use std::fmt;

use chord_ring::Position;

use crate::{Record, Version};

/// The sum of a set of records: equal for equal sets, in whatever order they were added.
///
/// Each record counts as the SHA-256 of its identity: position, version and key. The value is not hashed,
/// because the version names it. Hashes are added modulo 2^256, not combined by XOR, since sets of equal XOR are
/// found by linear algebra.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    sum: [u64; 4], // least significant first
    records: u64,
}

impl Digest {
    /// The digest of no records.
    pub const EMPTY: Self = Self { sum: [0; 4], records: 0 };

    /// The digest of one record.
    pub fn of(record: &Record) -> Self {
        Self::of_identity(record.position, record.key.as_bytes(), &record.version)
    }

    /// The digest of one record with that identity.
    pub fn of_identity(position: Position, key: &[u8], version: &Version) -> Self {
        Self { sum: identity(position, key, version), records: 1 }
    }

    /// Adds one record.
    pub fn add(&mut self, record: &Record) {
        self.combine(&Self::of(record));
    }

    /// Adds the records of `other`, none of which may be here already: the digest of a range is the
    /// combination of those of its parts.
    pub fn combine(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, addend) in self.sum.iter_mut().zip(other.sum) {
            let (sum, over_a) = limb.overflowing_add(addend);
            let (sum, over_b) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over_a || over_b;
        }
        self.records = self.records.wrapping_add(other.records);
    }

    /// Takes the records of `other` away, all of which are here.
    pub fn take_away(&mut self, other: &Self) {
        let mut borrow = false;
        for (limb, subtrahend) in self.sum.iter_mut().zip(other.sum) {
            let (difference, under_a) = limb.overflowing_sub(subtrahend);
            let (difference, under_b) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = under_a || under_b;
        }
        self.records = self.records.wrapping_sub(other.records);
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The digest as bytes: the sum little-endian, then the number of records little-endian.
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let limbs = self.sum.into_iter().chain([self.records]);
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The digest that [`Digest::to_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 40]) -> Self {
        let [a, b, c, d, records] = little_endian(bytes);
        Self { sum: [a, b, c, d], records }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, middle, high, top] = self.sum;
        write!(f, "{top:016x}{high:016x}{middle:016x}{low:016x} of {} records", self.records)
    }
}

/// The parts of fixed length come first, so that no two identities are the same bytes.
fn identity(position: Position, key: &[u8], version: &Version) -> [u64; 4] {
    use sha2::{Digest as _, Sha256};
    let mut parts = [0; 32 + 8 + 2 + 32];
    parts[..32].copy_from_slice(&position.to_be_bytes());
    parts[32..40].copy_from_slice(&version.time_ms().to_be_bytes());
    parts[40..42].copy_from_slice(&version.counter().to_be_bytes());
    parts[42..].copy_from_slice(&version.writer().to_be_bytes());
    let hasher = Sha256::new().chain_update(parts).chain_update(key);
    let hash: [u8; 32] = hasher.finalize().into();
    little_endian(hash)
}

fn little_endian<const BYTES: usize, const LIMBS: usize>(bytes: [u8; BYTES]) -> [u64; LIMBS] {
    let mut limbs = [0; LIMBS];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.as_chunks().0) {
        *limb = u64::from_le_bytes(*chunk);
    }
    limbs
}
