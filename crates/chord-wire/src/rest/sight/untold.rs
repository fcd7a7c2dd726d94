//! Nodes that cannot tell of themselves, as those of another program and those whose answers make no sense: they take part in the ring by the word of the others, and
//! what they believe is unknown, which is not the same as wrong.

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::{Position, between};

use super::{SeenPlace, Side, Sight, predecessor};

impl Sight {
    /// Whether it can be known if that one shares the belief that it is next to `of`. One that cannot tell does not share it
    /// all the same, if a member that can stands between the two.
    pub(super) fn is_known(&self, side: Side, of: &SeenPlace, about: &str) -> bool {
        let Some(other) = self.node(about) else { return false };
        if !other.is_untold() {
            return true;
        }
        let (from, to) = match side {
            Side::Successor => (of.position, other.position),
            Side::Predecessor => (other.position, of.position),
        };
        self.members().any(|(place, _)| between(from, place.position, to))
    }

    /// Those that cannot tell and are in the ring by the word of a member.
    pub(super) fn untold(&self) -> Vec<&SeenPlace> {
        if !self.nodes.values().any(SeenPlace::is_untold) {
            return Vec::new();
        }
        let named: BTreeSet<&str> = self
            .members()
            .flat_map(|(_, report)| report.ring.predecessor.iter().chain(&report.ring.successors))
            .map(|peer| peer.node.as_str())
            .collect();
        let others = self.order().into_iter().filter(|place| place.is_untold());
        others.filter(|place| named.contains(place.name())).collect()
    }

    /// For which positions these answer perhaps: from whoever is seen before each of them.
    pub(super) fn untold_ranges(&self) -> Vec<(Position, Position)> {
        let untold = self.untold();
        if untold.is_empty() {
            return Vec::new();
        }
        let members = self.members().map(|(place, _)| place.position);
        let all: BTreeSet<Position> = members.chain(untold.iter().map(|place| place.position)).collect();
        let before = |at: Position| all.range(..at).next_back().or(all.last()).copied().unwrap_or(at);
        untold.iter().map(|place| (before(place.position), place.position)).collect()
    }

    /// Who comes behind each of these: whoever takes it for its predecessor, or else the next one in a list that has it.
    pub(super) fn behind_untold(&self) -> BTreeMap<&str, &str> {
        let mut behind = BTreeMap::new();
        for place in self.untold() {
            let name = place.name();
            let mut members = self.members();
            let says_so = members.find(|(_, report)| predecessor(&report.ring) == Some(name));
            let says_so = says_so.map(|(place, _)| place.name());
            let in_list = || {
                self.members().find_map(|(_, report)| {
                    let mut list = report.ring.successors.iter().map(|peer| peer.node.as_str());
                    list.find(|listed| *listed == name)?;
                    list.next()
                })
            };
            if let Some(next) = says_so.or_else(in_list) {
                behind.insert(name, next);
            }
        }
        behind
    }
}
