//! Who is named and finds no room, each once, however many name it.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use chord_ring::NodeName;
use chord_wire::rest::PICTURE_NODES_MAX;

/// Of how many names it is remembered that they found no room: sixteen rings as large as a picture. Each costs some ten bytes;
/// beyond it they are counted no more, and a number that large says enough.
const LEFT_OUT_MAX: usize = 16 * PICTURE_NODES_MAX;

/// Those that found no room in a round, by a number that follows from the name and that nobody can foresee.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    by: RandomState,
    names: BTreeSet<u64>,
}

impl LeftOut {
    /// There was no room for that one.
    pub(super) fn add(&mut self, name: &NodeName) {
        if self.names.len() < LEFT_OUT_MAX {
            self.names.insert(self.by.hash_one(name.as_str()));
        }
    }

    /// How many they are without those for whom there was room later.
    pub(super) fn without(&self, found: &BTreeSet<NodeName>) -> u64 {
        let found = found.iter().filter(|name| self.names.contains(&self.by.hash_one(name.as_str())));
        (self.names.len() - found.count()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> NodeName {
        format!("host{number}:1").parse().unwrap()
    }

    #[test]
    fn nodes_are_counted_and_not_how_often_they_are_named() {
        let mut left_out = LeftOut::default();
        (0..10).chain(5..15).for_each(|number| left_out.add(&name(number)));
        assert_eq!(left_out.without(&BTreeSet::new()), 15);
        assert_eq!(left_out.without(&BTreeSet::from([name(3), name(14), name(99)])), 13);
    }

    #[test]
    fn whoever_makes_names_up_costs_no_more_than_so_many() {
        let mut left_out = LeftOut::default();
        (0..LEFT_OUT_MAX + 1000).for_each(|number| left_out.add(&name(number)));
        assert_eq!(left_out.without(&BTreeSet::new()), LEFT_OUT_MAX as u64);
    }
}
