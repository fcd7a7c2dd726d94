//! What must hold of a ring: in every state, by every step, and when nodes come and go no more.

use std::fmt;

use chord_ring::{Position, Question};

use super::census::Census;
use super::facts::Set;
use super::global::Global;
use super::graph::{Judge, Seen};
use super::moves::{Event, Moves};

/// What can be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Property {
    /// A node found one of its own rules broken.
    LocalRule(&'static str),
    /// A member has no live successor, or will have none when it hears what is on its way (`OneLiveSuccessor`).
    Linked,
    /// There are fewer than r + 1 members that nobody skips (`SufficientPrincipals`).
    Principals,
    /// Not all first live successors lead to one ring that goes round once.
    OneRing,
    /// A member that nobody skips is not in the ring.
    PrincipalsInRing,
    /// A member that nobody skipped is skipped now, or given up.
    Demoted,
    /// A lookup ended with the name of a node that is no member.
    DeadOwner,
    /// In the ideal ring a lookup failed, or named another than the owner.
    WrongOwner,
    /// Nodes come and go no more, and yet the ring does not become ideal.
    Unrepaired,
    /// Members that knew of each other, be it through others, do not any more, and nobody failed.
    FellApart,
    /// Members that know of each other do not become one ring.
    Apart,
    /// Two rings were to be seen to merge, and no probe ever made them: whatever else was found says nothing about that.
    NeverMerged,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalRule(rule) => write!(f, "a node found a rule of its own broken: {rule}"),
            Self::Linked => f.write_str("a member has no live successor left"),
            Self::Principals => f.write_str("fewer than r + 1 members are skipped by nobody"),
            Self::OneRing => f.write_str("the members are not one ordered ring"),
            Self::PrincipalsInRing => f.write_str("a member that nobody skips is not in the ring"),
            Self::Demoted => f.write_str("a member that nobody skipped is skipped or given up, and lives"),
            Self::DeadOwner => f.write_str("a lookup named an owner that is no member"),
            Self::WrongOwner => f.write_str("a lookup in the ideal ring did not find the owner"),
            Self::Unrepaired => f.write_str("from here the ring never becomes ideal"),
            Self::FellApart => {
                f.write_str("members that knew of each other do not any more, and nobody failed")
            }
            Self::Apart => f.write_str("from here members that know of each other never become one ring"),
            Self::NeverMerged => f.write_str("no probe ever led from one ring to the other"),
        }
    }
}

/// What the proof promises while its assumptions hold (TSE 2017, sections IV and VI-B).
pub(super) struct Proof {
    /// Whether the ring began with one node: there are no r + 1 principals before there are r + 1 members.
    pub(super) grows: bool,
    /// Whether every state's lookups are run, from every member for every position.
    pub(super) lookups: bool,
    /// Whether r + 1 members that nobody skips are left: else little is claimed but that the ring becomes ideal.
    pub(super) has_minimum: bool,
}

impl Judge for Proof {
    fn state(&self, moves: &Moves, seen: &Seen<'_>) -> Option<Property> {
        let census = Census::new(&moves.locals, seen.state);
        if let Some(rule) = census.broken() {
            return Some(Property::LocalRule(rule));
        }
        if !self.has_minimum {
            return (!census.is_everybody_linked(0)).then_some(Property::Linked);
        }
        let principals = seen.principals;
        // What is skipped by nobody never is, and no failure takes one of the last r + 1: so a grown ring stays grown.
        let is_grown = self.is_grown(moves, seen);
        if !self.grows && !is_grown {
            return Some(Property::Principals);
        }
        if is_grown && !census.is_everybody_linked(0) {
            return Some(Property::Linked);
        }
        let Some(ring) = census.ring() else { return Some(Property::OneRing) };
        if is_grown && principals & !ring != 0 {
            return Some(Property::PrincipalsInRing);
        }
        if self.lookups { wrong_lookup(moves, seen.state, &census) } else { None }
    }

    /// Principals are lost only by their own failure (TSE 2017, section VII-B).
    fn step(&self, moves: &Moves, before: &Seen<'_>, event: Event, after: &Seen<'_>) -> Option<Property> {
        // Whoever joins a ring that is no ring yet, as others do at that time, may skip one of them.
        if !self.has_minimum || self.grows && !self.is_grown(moves, before) {
            return None;
        }
        let lost = event.is_loss().map_or(0, |at| 1 << at);
        (before.principals & !lost & !after.principals != 0).then_some(Property::Demoted)
    }

    fn is_goal(&self, moves: &Moves, state: &Global) -> bool {
        let r = moves.locals.positions().settings().successors();
        Census::new(&moves.locals, state).is_ideal(r)
    }
}

impl Proof {
    /// Whether the proof speaks of this ring: it has more than r principals, and its founder has heard of one of those who
    /// joined it.
    fn is_grown(&self, moves: &Moves, seen: &Seen<'_>) -> bool {
        let r = moves.locals.positions().settings().successors();
        let knows_nobody = || Census::new(&moves.locals, seen.state).does_anybody_know_nobody();
        seen.principals.count_ones() as usize > r && !(self.grows && knows_nobody())
    }
}

/// What is promised where the proof's assumptions do not hold and nodes remember peers.
pub(super) struct Memory {
    /// Whether nobody may lose touch with those whom it knows, but by a failure.
    pub(super) together: bool,
    /// Whether all members must become one ring, not only those that know of each other.
    pub(super) whole: bool,
}

impl Judge for Memory {
    fn state(&self, moves: &Moves, seen: &Seen<'_>) -> Option<Property> {
        Census::new(&moves.locals, seen.state).broken().map(Property::LocalRule)
    }

    fn step(&self, moves: &Moves, before: &Seen<'_>, event: Event, after: &Seen<'_>) -> Option<Property> {
        if !self.together || !event.is_repair() {
            return None;
        }
        let after = Census::new(&moves.locals, after.state).parts();
        let is_kept = |part: &Set| after.iter().any(|whole| part & !whole == 0);
        (!Census::new(&moves.locals, before.state).parts().iter().all(is_kept)).then_some(Property::FellApart)
    }

    fn is_goal(&self, moves: &Moves, state: &Global) -> bool {
        let r = moves.locals.positions().settings().successors();
        let census = Census::new(&moves.locals, state);
        if self.whole { census.is_ideal(r) } else { census.is_ideal_in_parts(r) }
    }
}

/// Looks every position up from every member.
fn wrong_lookup(moves: &Moves, state: &Global, census: &Census<'_>) -> Option<Property> {
    let positions = moves.locals.positions();
    let r = positions.settings().successors();
    let (members, is_ideal) = (census.members(), census.is_ideal(r));
    for at in (0..state.len()).filter(|at| members >> at & 1 == 1) {
        for target in 0..state.len() {
            let steps = (target + state.len() - at) % state.len();
            let position: Position = positions.peer(steps).position;
            let question = Question { target: position, named: false, path: Vec::new() };
            let owner = moves.look_up(state, at, question).ok();
            let owner = owner.map(|found| state.on(at, positions.steps_to(&found.owner.name)));
            if owner.is_some_and(|owner| members >> owner & 1 == 0) {
                return Some(Property::DeadOwner);
            }
            if is_ideal && owner != first_member(members, target, state.len()) {
                return Some(Property::WrongOwner);
            }
        }
    }
    None
}

/// The first member at or after `target`.
fn first_member(members: Set, target: usize, n_positions: usize) -> Option<usize> {
    (0..n_positions).map(|steps| (target + steps) % n_positions).find(|at| members >> at & 1 == 1)
}
