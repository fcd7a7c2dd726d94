//! What holds of a whole ring and no node can see: the definitions of [`Oracle`](crate::Oracle), on sets of positions as
//! bits. A test holds the two against each other, state by state.

use super::facts::{Facts, Place, Set};
use super::global::Global;
use super::local::Locals;

/// A ring seen from outside.
pub(super) struct Census<'a> {
    facts: [Option<&'a Facts>; super::NODES_MAX],
    n_positions: usize,
}

impl<'a> Census<'a> {
    pub(super) fn new(locals: &'a Locals, global: &Global) -> Self {
        let mut facts = [None; super::NODES_MAX];
        for (facts, local) in facts.iter_mut().zip(global.places()) {
            *facts = Some(locals.facts(*local));
        }
        Self { facts, n_positions: global.len() }
    }

    fn all(&self) -> impl Iterator<Item = (usize, &'a Facts)> {
        self.facts.iter().enumerate().filter_map(|(at, facts)| Some((at, (*facts)?)))
    }

    /// A set that the node at `at` sees, as all see it.
    fn turned(&self, set: Set, at: usize) -> Set {
        let wide = u16::from(set) << at;
        let all = (1 << self.n_positions) - 1;
        #[expect(clippy::cast_possible_truncation, reason = "it is masked to the positions there are")]
        let turned = ((wide | wide >> self.n_positions) & all) as Set;
        turned
    }

    /// The members.
    pub(super) fn members(&self) -> Set {
        self.all().filter(|(_, facts)| facts.place == Place::Member).fold(0, |set, (at, _)| set | 1 << at)
    }

    /// The members that no list skips, be it stored or on its way, and that nobody is about to give up, when whoever is
    /// at `without` is gone.
    pub(super) fn principals(&self, without: Set) -> Set {
        let mut out = without;
        for (at, facts) in self.all().filter(|(at, _)| without >> at & 1 == 0) {
            out |= self.turned(facts.skips | facts.gives_up, at);
        }
        self.members() & !out
    }

    /// Whom what is at that position skips.
    pub(super) fn skipped_by(&self, at: usize) -> Set {
        self.facts[at].map_or(0, |facts| self.turned(facts.skips, at))
    }

    /// Whether every member has a live successor, and keeps one whatever it hears of what is on its way, when whoever
    /// is at `without` is gone.
    pub(super) fn is_everybody_linked(&self, without: Set) -> bool {
        let live = self.members() & !without;
        self.all()
            .filter(|(at, _)| without >> at & 1 == 0)
            .all(|(at, facts)| facts.links.iter().all(|link| self.turned(*link, at) & live != 0))
    }

    /// Whether the ring has more than r principals and everybody a live successor when whoever is at `without` is gone,
    /// by what is stored alone.
    pub(super) fn is_sound_as_stored(&self, without: Set, successors: usize) -> bool {
        let live = self.members() & !without;
        let rest = || self.all().filter(|(at, _)| live >> at & 1 == 1);
        let skipped = rest().fold(0, |set, (at, facts)| set | self.turned(facts.stored_skips, at));
        (live & !skipped).count_ones() as usize > successors
            && rest()
                .all(|(at, facts)| facts.list.iter().any(|steps| self.turned(1 << steps, at) & live != 0))
    }

    /// Whether there is a member that knows of no other, as the founder of a ring does until the first newcomer notifies it.
    pub(super) fn does_anybody_know_nobody(&self) -> bool {
        let knows_nobody = |facts: &Facts| facts.list.is_empty() && facts.predecessor.is_none();
        self.all().any(|(_, facts)| facts.place == Place::Member && knows_nobody(facts))
    }

    /// The rule that a node found broken.
    pub(super) fn broken(&self) -> Option<&'static str> {
        self.all().find_map(|(_, facts)| facts.broken)
    }

    /// The first live entry of a member's list. A member that has no entry, as the founder of a ring has until the
    /// first newcomer is known to it, is its own ring.
    fn best(&self, at: usize, live: Set) -> Option<usize> {
        let facts = self.facts[at]?;
        if facts.list.is_empty() {
            return Some(at);
        }
        let on = |steps: &u8| (at + usize::from(*steps)) % self.n_positions;
        facts.list.iter().map(on).find(|at| live >> at & 1 == 1)
    }

    /// The one ring to which following first live successors leads from everywhere, if there is one and it goes round
    /// once.
    pub(super) fn ring(&self) -> Option<Set> {
        let live = self.members();
        let mut the_ring = None;
        for at in (0..self.n_positions).filter(|at| live >> at & 1 == 1) {
            let end = (0..self.n_positions).try_fold(at, |at, _| self.best(at, live))?;
            let ring = self.turn_from(end, live)?;
            if *the_ring.get_or_insert(ring) != ring {
                return None;
            }
        }
        the_ring
    }

    /// The members from `start` back to it, if that takes one turn.
    fn turn_from(&self, start: usize, live: Set) -> Option<Set> {
        let (mut at, mut ring, mut gone) = (start, 0, 0);
        loop {
            ring |= 1 << at;
            let next = self.best(at, live)?;
            gone += match (next + self.n_positions - at) % self.n_positions {
                0 => self.n_positions,
                steps => steps,
            };
            at = next;
            if at == start {
                return (gone == self.n_positions).then_some(ring);
            }
            if gone > self.n_positions {
                return None;
            }
        }
    }

    /// Whether the members of each of these groups are an ideal ring of their own: every predecessor is the member
    /// before, every list names the next r members in order.
    fn is_ideal_among(&self, group: Set, successors: usize) -> bool {
        let n_members = group.count_ones() as usize;
        let next = |at: usize, steps: usize| (at + steps) % self.n_positions;
        self.all().filter(|(at, _)| group >> at & 1 == 1).all(|(at, facts)| {
            let others = (1..self.n_positions).filter(|steps| group >> next(at, *steps) & 1 == 1);
            let wanted = successors.min(n_members - 1);
            let before = others.clone().next_back();
            facts.list.len() == wanted
                && others.zip(&facts.list).all(|(wanted, entry)| wanted == usize::from(*entry))
                && facts.predecessor.map(usize::from) == before
        })
    }

    /// Whether all members are the ideal ring, and nobody joins or leaves.
    pub(super) fn is_ideal(&self, successors: usize) -> bool {
        self.all().all(|(_, facts)| matches!(facts.place, Place::Member | Place::Empty))
            && self.is_ideal_among(self.members(), successors)
    }

    /// Whether whoever knows of each other is an ideal ring: one, or several that do not know of each other at all.
    pub(super) fn is_ideal_in_parts(&self, successors: usize) -> bool {
        self.all().all(|(_, facts)| matches!(facts.place, Place::Member | Place::Empty))
            && self.parts().into_iter().all(|part| self.is_ideal_among(part, successors))
    }

    /// The members in groups: two are in one if either has the other for its predecessor or its first live successor,
    /// or remembers it, or asks it something.
    pub(super) fn parts(&self) -> Vec<Set> {
        let live = self.members();
        let mut parts: Vec<Set> = Vec::new();
        for (at, facts) in self.all().filter(|(at, _)| live >> at & 1 == 1) {
            let before = facts.predecessor.map_or(0, |steps| 1 << steps);
            let best = self.best(at, live).map_or(0, |best| 1 << best);
            let mut part = 1 << at | best | (self.turned(before | facts.remembered | facts.asked, at) & live);
            parts.retain(|other| {
                let meets = other & part != 0;
                part |= if meets { *other } else { 0 };
                !meets
            });
            parts.push(part);
        }
        parts
    }
}
