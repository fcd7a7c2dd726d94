//! Names that are one node's word alone: nobody has heard those who bear them, and nobody else knows of them. They may be made up.

use std::collections::BTreeMap;

use super::{SeenPlace, Sight};
use crate::rest::SeenAs;

/// Who names one.
#[derive(Clone, Copy, Debug)]
enum Named<'a> {
    Nobody,
    By(&'a str),
    BySeveral,
}

impl Sight {
    /// Those that never told of themselves, are no member's neighbour and are named by one member of several, with that one. A
    /// node that has died is missed by those next to it, and known to more.
    pub(super) fn unheard(&self) -> BTreeMap<&str, &str> {
        let is_unheard = |place: &&SeenPlace| {
            let is_nowhere = matches!(place.seen.answer, SeenAs::Unreachable | SeenAs::Silent);
            is_nowhere && !place.was_heard && !place.seen.has_left
        };
        let unheard = self.nodes.values().filter(is_unheard);
        let mut unheard: BTreeMap<&str, Named<'_>> =
            unheard.map(|place| (place.name(), Named::Nobody)).collect();
        // Where there is one member, nobody is there to know better.
        if unheard.is_empty() || self.members().nth(1).is_none() {
            return BTreeMap::new();
        }
        for neighbour in self.neighbours() {
            unheard.remove(neighbour);
        }
        for (place, report) in self.members() {
            for name in report.names() {
                if let Some(named) = unheard.get_mut(name) {
                    *named = match *named {
                        Named::Nobody => Named::By(place.name()),
                        Named::By(other) if other == place.name() => Named::By(other),
                        Named::By(_) | Named::BySeveral => Named::BySeveral,
                    };
                }
            }
        }
        let by_one = |(name, named)| match named {
            Named::By(who) => Some((name, who)),
            Named::Nobody | Named::BySeveral => None,
        };
        unheard.into_iter().filter_map(by_one).collect()
    }
}
