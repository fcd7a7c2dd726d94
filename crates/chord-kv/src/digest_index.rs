//! Digests that are kept up to date, so that the digest of a large range costs little.
//!
//! The circle is cut into stretches, each with the digest of its records. A range is then some whole stretches,
//! whose digests are there, and a part of at most two for each time that it begins or ends, whose records are looked
//! at. The cuts follow the records: a stretch with too many is cut in two, so it does not matter how small a part
//! of the circle a node holds, nor how the positions are spread.

use std::collections::BTreeMap;
use std::ops::Bound;

use chord_ring::Position;

use crate::{Digest, Range};

/// A stretch with so many records is cut in two, and again at each doubling if it could not be: 64 to 128 records are
/// looked at in a few microseconds, and a million records make 16 thousand digests or fewer. A power of two.
pub const STRETCH_RECORDS_MAX: u64 = 128;

const _: () = assert!(STRETCH_RECORDS_MAX.is_power_of_two());

/// The digests of all stretches of the circle.
#[derive(Clone, Debug)]
pub struct DigestIndex {
    /// By the last position of the stretch; it begins after the one before. The last ends at the last position there is.
    stretches: BTreeMap<Position, Digest>,
}

/// A stretch that holds too many records, which [`DigestIndex::split`] cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded {
    /// Where its records lie.
    pub range: Range,
}

impl Default for DigestIndex {
    fn default() -> Self {
        Self { stretches: BTreeMap::from([(Position::MAX, Digest::EMPTY)]) }
    }
}

impl DigestIndex {
    /// The index of no records.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of these records, each with its position, in the order of the positions.
    ///
    /// # Errors
    /// The first error that the records have in them.
    pub fn of_sorted<E>(records: impl Iterator<Item = Result<(Position, Digest), E>>) -> Result<Self, E> {
        let mut index = Self::new();
        let mut gathered = Digest::EMPTY;
        let mut last = Position::ZERO;
        for record in records {
            let (position, digest) = record?;
            if position != last && gathered.records() >= STRETCH_RECORDS_MAX / 2 {
                index.stretches.insert(last, std::mem::take(&mut gathered));
            }
            gathered.combine(&digest);
            last = position;
        }
        index.stretches.insert(Position::MAX, gathered);
        Ok(index)
    }

    /// Counts a record that came, and tells if there are now too many in its stretch.
    pub fn add(&mut self, position: Position, record: &Digest) -> Option<Crowded> {
        let (up_to, digest) = self.stretch_mut(position);
        digest.combine(record);
        let records = digest.records();
        (records >= STRETCH_RECORDS_MAX && records.is_power_of_two())
            .then(|| Crowded { range: Range { after: self.before(up_to).unwrap_or(Position::MAX), up_to } })
    }

    /// Counts a record in place of another at the same position.
    pub fn replace(&mut self, position: Position, old: &Digest, new: &Digest) {
        let (_, digest) = self.stretch_mut(position);
        digest.take_away(old);
        digest.combine(new);
    }

    /// Counts a record out that is gone.
    pub fn remove(&mut self, position: Position, record: &Digest) {
        let (up_to, digest) = self.stretch_mut(position);
        digest.take_away(record);
        if digest.records() == 0 && up_to != Position::MAX {
            self.stretches.remove(&up_to);
        }
    }

    /// Cuts a stretch in two as evenly as can be, given all of its records in the order of their positions. Records at
    /// one position stay together.
    pub fn split(&mut self, crowded: Crowded, records: &[(Position, Digest)]) {
        let half = records.len() / 2;
        let cuts = (1..records.len()).filter(|idx| records[*idx].0 != records[idx - 1].0);
        let (Some(cut), Some(whole)) =
            (cuts.min_by_key(|idx| idx.abs_diff(half)), self.stretches.get_mut(&crowded.range.up_to))
        else {
            return;
        };
        let mut left = Digest::EMPTY;
        records[..cut].iter().for_each(|(_, digest)| left.combine(digest));
        whole.take_away(&left);
        self.stretches.insert(records[cut - 1].0, left);
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.stretches.values().map(Digest::records).sum()
    }

    /// The digest of a range. `scan` gives that of a part of a stretch, from the records themselves.
    ///
    /// # Errors
    /// That of `scan`.
    pub fn digest<E>(
        &self,
        range: &Range,
        mut scan: impl FnMut(&Range) -> Result<Digest, E>,
    ) -> Result<Digest, E> {
        let mut sum = Digest::EMPTY;
        for (after, up_to) in arcs(range).into_iter().flatten() {
            let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut begins_after = self
                .stretches
                .range((begin, Bound::Unbounded))
                .next()
                .and_then(|first| self.before(*first.0));
            for (ends, digest) in self.stretches.range((begin, Bound::Unbounded)) {
                if begins_after >= after && *ends <= up_to {
                    sum.combine(digest);
                } else if *digest != Digest::EMPTY {
                    let from = begins_after.max(after).unwrap_or(Position::MAX);
                    sum.combine(&scan(&Range { after: from, up_to: up_to.min(*ends) })?);
                }
                if *ends >= up_to {
                    break;
                }
                begins_after = Some(*ends);
            }
        }
        Ok(sum)
    }

    /// Where the stretch before the one that ends at `up_to` ends; none before the first, which holds position 0.
    fn before(&self, up_to: Position) -> Option<Position> {
        self.stretches.range(..up_to).next_back().map(|(before, _)| *before)
    }

    fn stretch_mut(&mut self, position: Position) -> (Position, &mut Digest) {
        let stretch = self.stretches.range_mut(position..).next();
        let (up_to, digest) = stretch.expect("the last stretch ends at the last position");
        (*up_to, digest)
    }
}

/// A range as one arc that does not pass the origin, or two: after a position, or from 0 on, up to another.
fn arcs(range: &Range) -> [Option<(Option<Position>, Position)>; 2] {
    if range.after == Position::MAX {
        return [Some((None, range.up_to)), None];
    }
    if range.after < range.up_to {
        return [Some((Some(range.after), range.up_to)), None];
    }
    [Some((Some(range.after), Position::MAX)), Some((None, range.up_to))]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Version;

    /// A record: where it lies, and its digest.
    type Entry = (Position, Digest);

    fn plain(entries: &[Entry], range: &Range) -> Digest {
        let mut sum = Digest::EMPTY;
        for (_, digest) in entries.iter().filter(|entry| range.contains(entry.0)) {
            sum.combine(digest);
        }
        sum
    }

    fn sorted(entries: &[Entry], range: &Range) -> Vec<Entry> {
        let mut inside: Vec<_> = entries.iter().filter(|entry| range.contains(entry.0)).copied().collect();
        inside.sort_by_key(|entry| entry.0);
        inside
    }

    fn filled(entries: &[Entry]) -> DigestIndex {
        let mut index = DigestIndex::new();
        for (n, (position, digest)) in entries.iter().enumerate() {
            if let Some(crowded) = index.add(*position, digest) {
                index.split(crowded, &sorted(&entries[..=n], &crowded.range));
            }
        }
        index
    }

    /// So many records, spread over so many positions.
    fn entries(positions: u64, n: u32) -> Vec<Entry> {
        let entry = |n: u32| {
            let position = Position::from(u64::from(n.wrapping_mul(2_654_435_761)) % positions);
            let version = Version::new(1, 0, Position::ZERO);
            (position, Digest::of_identity(position, &n.to_be_bytes(), &version))
        };
        (0..n).map(entry).collect()
    }

    fn position(number: u64) -> Position {
        if number == u64::MAX { Position::MAX } else { Position::from(number) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_digest_of_a_range_is_that_of_a_plain_scan(
            positions in prop_oneof![Just(1u64), Just(2), Just(3), Just(16), Just(5000), Just(1 << 32)],
            gone in 0usize..3000,
            ends in prop::collection::vec((any::<u32>(), any::<u32>(), 0..8u8), 1..10),
        ) {
            let all = entries(positions, 4000);
            let mut index = filled(&all);
            let (out, left) = all.split_at(gone);
            for (position, digest) in out {
                index.remove(*position, digest);
            }
            let built: Result<_, ()> = DigestIndex::of_sorted(sorted(left, &Range::ALL).into_iter().map(Ok));
            let built = built.unwrap();
            for (after, up_to, edge) in ends {
                let range = Range {
                    after: position(if edge == 1 { u64::MAX } else { u64::from(after) % (positions + 2) }),
                    up_to: position(if edge == 2 { u64::MAX } else { u64::from(up_to) % (positions + 2) }),
                };
                let scan = |part: &Range| Ok::<_, ()>(plain(left, part));
                prop_assert_eq!(index.digest(&range, scan).unwrap(), plain(left, &range));
                prop_assert_eq!(built.digest(&range, scan).unwrap(), plain(left, &range));
            }
        }
    }

    #[test]
    fn few_records_are_looked_at_whatever_part_of_the_circle_they_lie_in() {
        for positions in [1 << 32, 5000] {
            let all = entries(positions, 20_000);
            let mut looked_at = 0;
            let range = Range { after: Position::from(positions / 7), up_to: Position::from(positions / 2) };
            let scan = |part: &Range| {
                let digest = plain(&all, part);
                looked_at += digest.records();
                Ok::<_, ()>(digest)
            };
            filled(&all).digest(&range, scan).unwrap();
            assert!(looked_at <= 2 * STRETCH_RECORDS_MAX, "{looked_at} records were looked at");
        }
    }

    #[test]
    fn a_record_that_took_the_place_of_another_counts_alone() {
        let all = entries(1 << 20, 1000);
        let (position, old) = all[500];
        let new = Digest::of_identity(position, b"new", &Version::new(2, 0, Position::ZERO));
        let mut replaced = filled(&all);
        replaced.replace(position, &old, &new);
        let scan = |_: &Range| Ok::<_, ()>(Digest::EMPTY);
        let mut wanted = plain(&all, &Range::ALL);
        wanted.take_away(&old);
        wanted.combine(&new);
        assert_eq!(replaced.digest(&Range::ALL, scan), Ok(wanted));
    }

    #[test]
    fn what_was_added_and_taken_away_leaves_nothing() {
        let all = entries(1 << 20, 4000);
        let mut index = filled(&all);
        assert!(index.stretches.len() > 2, "it was cut");
        for (position, digest) in &all {
            index.remove(*position, digest);
        }
        assert_eq!(index.stretches, DigestIndex::new().stretches);
    }
}
