//! Records that a seed node's words cannot carry: they stay with our own nodes, and it is asked about them no more.

use std::collections::HashSet;

use chord_kv::Version;
use chord_ring::Position;

/// How many are kept in mind of one peer: some hundred KiB. Beyond them all are forgotten, and each is tried once more.
const UNSAYABLE_MAX: usize = 4096;

/// Records by where they lie and which version they are.
#[derive(Debug, Default)]
pub(super) struct Unsayable {
    records: HashSet<(Position, Version)>,
    has_been_said: bool,
}

impl Unsayable {
    /// The record turned out to be one. Whether this is to be said: it is the first of this peer.
    pub(super) fn add(&mut self, position: Position, version: Version) -> bool {
        if self.records.len() >= UNSAYABLE_MAX {
            self.records.clear();
        }
        self.records.insert((position, version));
        !std::mem::replace(&mut self.has_been_said, true)
    }

    pub(super) fn contains(&self, position: Position, version: Version) -> bool {
        self.records.contains(&(position, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_limit_are_kept_in_mind_and_the_first_is_to_be_said() {
        let mut unsayable = Unsayable::default();
        let version = Version::new(1, 0, Position::ZERO);
        let position = |number: usize| Position::from(number as u64);
        assert!(unsayable.add(position(0), version));
        for number in 1..UNSAYABLE_MAX {
            assert!(!unsayable.add(position(number), version));
        }
        assert!(unsayable.contains(position(0), version));
        assert!(!unsayable.contains(position(0), Version::new(2, 0, Position::ZERO)), "a newer one");
        assert!(!unsayable.add(position(UNSAYABLE_MAX), version), "said once");
        assert!(!unsayable.contains(position(0), version), "forgotten");
        assert!(unsayable.contains(position(UNSAYABLE_MAX), version));
    }
}
