//! Holdings: of whose ranges a node keeps copies, by the word of their owners.

use std::collections::VecDeque;
use std::time::Duration;

use chord_ring::{NodeName, Peer, Position, between, owned};

use super::message::{Denial, Group};
use crate::{Range, Version};

/// Groups that a node remembers being a member of, at most. A node is in R - 1 of them at a time, and in a few more while the
/// ring changes.
pub const HOLDINGS_MAX: usize = 64;

/// Ranges that a node remembers having owned, at most: as many nodes may join before it at once and be told that it has
/// everything.
const FORMERS_MAX: usize = 16;

/// After so long without a word of its owner a holding is offered to whoever owns the range by then: several rounds of
/// repair, so that a few may be lost.
pub const HOLDING_LAPSES_AFTER: Duration = Duration::from_secs(30);

/// How long after an owner was heard of last its confirmation is awaited: it may have chosen others since.
const CONFIRMATION_WAIT: Duration = Duration::from_secs(5);

/// One range of which a node keeps copies.
#[derive(Clone, Debug)]
struct Holding {
    group: Group,
    /// Whether its owner has confirmed that this node has everything.
    is_confirmed: bool,
    heard_at: Duration,
}

impl Holding {
    fn is_current(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard_at) <= HOLDING_LAPSES_AFTER
    }
}

/// A range of which a node had everything as its owner, until somebody came between its predecessor and itself. It was a member
/// of its own group, so that it has everything until then, as another member has.
#[derive(Clone, Debug)]
struct Former {
    range: Range,
    lost_at: Duration,
    /// Who came between, if it has been the predecessor ever since: nobody else has owned any of it after this node.
    heir: Option<Peer>,
}

impl Former {
    fn is_current(&self, now: Duration) -> bool {
        self.heir.is_some() || now.saturating_sub(self.lost_at) <= HOLDING_LAPSES_AFTER
    }
}

/// All of a node's holdings, at most one for each owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    kept: Vec<Holding>,
    /// Oldest first.
    formers: VecDeque<Former>,
}

impl Holdings {
    /// An owner names this node as a member of that group.
    ///
    /// # Errors
    /// A later one is known: of the same owner, or of another one for a part of the same range, who has taken it over.
    pub(super) fn hear(&mut self, group: &Group, now: Duration) -> Result<(), Denial> {
        let is_later = |holding: &Holding| {
            let is_rival = holding.is_current(now) && overlap(holding.group.range(), group.range());
            holding.group.owner != group.owner && is_rival && holding.group.id > group.id
        };
        let rivals = self.kept.iter().filter(|holding| is_later(holding));
        if let Some(known) = rivals.map(|holding| holding.group.id).max() {
            return Err(Denial::OldGroup { known });
        }
        match self.kept.iter_mut().find(|holding| holding.group.owner == group.owner) {
            Some(holding) if holding.group.id > group.id => {
                return Err(Denial::OldGroup { known: holding.group.id });
            }
            Some(holding) => {
                // A range that has become smaller is as complete as before.
                let is_within = is_within(group.range(), holding.group.range());
                holding.is_confirmed &= holding.group.id == group.id || is_within;
                holding.group.clone_from(group);
                holding.heard_at = now;
            }
            None => {
                if self.kept.len() >= HOLDINGS_MAX {
                    let oldest = self.kept.iter().enumerate().min_by_key(|(_, holding)| holding.heard_at);
                    if let Some((idx, _)) = oldest {
                        self.kept.swap_remove(idx);
                    }
                }
                self.kept.push(Holding { group: group.clone(), is_confirmed: false, heard_at: now });
            }
        }
        Ok(())
    }

    /// The latest group that is known for a part of that range.
    pub(super) fn latest_of(&self, range: Range) -> Option<Version> {
        let rivals = self.kept.iter().filter(|holding| overlap(holding.group.range(), range));
        rivals.map(|holding| holding.group.id).max()
    }

    /// The owner confirms that this node has everything of that group's range.
    ///
    /// # Errors
    /// As for [`Holdings::hear`].
    pub(super) fn confirm(&mut self, group: &Group, now: Duration) -> Result<(), Denial> {
        self.hear(group, now)?;
        if let Some(holding) = self.kept.iter_mut().find(|holding| holding.group.owner == group.owner) {
            holding.is_confirmed = true;
        }
        Ok(())
    }

    /// Some record is not there any more: each owner has to confirm anew that nothing lacks.
    pub(super) fn doubt(&mut self) {
        for holding in &mut self.kept {
            holding.is_confirmed = false;
        }
        self.formers.clear();
    }

    /// That is the predecessor from now on. A former range that was lost to another may have had other owners since.
    pub(super) fn note_predecessor(&mut self, predecessor: Option<&Peer>) {
        for former in &mut self.formers {
            former.heir = former.heir.take().filter(|heir| Some(heir) == predecessor);
        }
    }

    /// The range of which this node had everything as its owner was `before`, and its range is `now_own` from now on, since
    /// `heir` came between.
    pub(super) fn note_former(&mut self, before: Range, now_own: Range, heir: Option<&Peer>, now: Duration) {
        if is_within(before, now_own) || before.up_to != now_own.up_to {
            return;
        }
        self.formers.retain(|former| former.is_current(now) && !is_within(former.range, before));
        if self.formers.len() >= FORMERS_MAX {
            self.formers.pop_front();
        }
        self.formers.push_back(Former { range: before, lost_at: now, heir: heir.cloned() });
    }

    /// The part of a former range that `heir` owns, if it came between and nobody else has owned any of it since.
    ///
    /// One that has been a member for a shorter time than it has been the predecessor is another node of the same name: the
    /// one that came between may have written since, and be gone with it.
    pub(super) fn yield_to(&self, heir: &Peer, member_for: Duration, now: Duration) -> Option<Range> {
        let former = self.formers.iter().rev().find(|former| former.heir.as_ref() == Some(heir))?;
        let is_it = member_for >= now.saturating_sub(former.lost_at);
        is_it.then_some(Range { after: former.range.after, up_to: heir.position })
    }

    /// Whether an owner counts on this node for that position.
    pub(super) fn holds(&self, position: Position, now: Duration) -> bool {
        let mut current = self.kept.iter().filter(|holding| holding.is_current(now));
        current.any(|holding| holding.group.range().contains(position))
    }

    /// The ranges of which this node has everything, by the word of their owners, or since it was their owner.
    fn settled(&self, now: Duration) -> impl Iterator<Item = Range> {
        let confirmed =
            self.kept.iter().filter(move |holding| holding.is_confirmed && holding.is_current(now));
        let formers = self.formers.iter().filter(move |former| former.is_current(now));
        confirmed.map(|holding| holding.group.range()).chain(formers.map(|former| former.range))
    }

    /// Whether this node has everything of `range`, part by part: by the word of owners, or as it knows itself of `own`.
    pub(super) fn cover(&self, range: Range, own: Option<Range>, now: Duration) -> bool {
        let arcs: Vec<Range> = self.settled(now).chain(own).collect();
        covers(&arcs, range)
    }

    /// Whether this node has everything at that position, by the word of an owner, or since it was the owner.
    pub(super) fn is_settled_at(&self, position: Position, now: Duration) -> bool {
        self.settled(now).any(|range| range.contains(position))
    }

    /// Whether all owners that count on this node have confirmed that it has everything. One that does and has not, is heard
    /// of every moment.
    pub(super) fn are_confirmed(&self, now: Duration) -> bool {
        let is_awaited = |holding: &Holding| now.saturating_sub(holding.heard_at) <= CONFIRMATION_WAIT;
        self.kept.iter().all(|holding| holding.is_confirmed || !is_awaited(holding))
    }

    /// The ranges for which owners count on this node.
    pub(super) fn current(&self, now: Duration) -> Vec<Range> {
        let current = self.kept.iter().filter(|holding| holding.is_current(now));
        current.map(|holding| holding.group.range()).collect()
    }

    /// The ranges for which owners count on this node by what they have said since then.
    pub(super) fn heard_since(&self, time: Duration, now: Duration) -> Vec<Range> {
        let heard = self.kept.iter().filter(|holding| holding.heard_at >= time && holding.is_current(now));
        heard.map(|holding| holding.group.range()).collect()
    }

    /// The owners that count on this node.
    pub(super) fn owners(&self, now: Duration) -> impl Iterator<Item = &NodeName> {
        let current = self.kept.iter().filter(move |holding| holding.is_current(now));
        current.map(|holding| &holding.group.owner.name)
    }

    /// Forgets the holdings of which nothing is here any more: those that lapsed, all of whose records were dropped.
    pub(super) fn forget_lapsed(&mut self, now: Duration) {
        self.kept.retain(|holding| holding.is_current(now));
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.formers.clear();
    }
}

/// Whether the one range lies in the other.
pub(super) fn is_within(inner: Range, outer: Range) -> bool {
    if outer.after == outer.up_to {
        return true;
    }
    let begins_within = inner.after == outer.after || between(outer.after, inner.after, outer.up_to);
    // Clockwise from there, it ends before the outer one does.
    inner.after != inner.up_to && begins_within && owned(inner.after, inner.up_to, outer.up_to)
}

/// Whether two ranges have a position in common.
fn overlap(one: Range, other: Range) -> bool {
    one.contains(other.up_to) || other.contains(one.up_to)
}

/// Whether each position of `range` lies in one of the arcs.
fn covers(arcs: &[Range], range: Range) -> bool {
    let mut reached = range.after;
    // Each step ends at the end of another arc, so there are no more of them than arcs.
    for _ in 0..=arcs.len() {
        let rest = Range { after: reached, up_to: range.up_to };
        if arcs.iter().any(|arc| is_within(rest, *arc)) {
            return true;
        }
        // The arc that begins here or earlier, and goes farthest before the range ends.
        let steps = arcs.iter().filter(|arc| arc.after == reached || arc.contains(reached));
        let steps = steps.map(|arc| arc.up_to).filter(|end| *end != reached && rest.contains(*end));
        let farthest = steps.reduce(|far, end| if owned(reached, far, end) { end } else { far });
        match farthest {
            Some(end) if end != range.up_to => reached = end,
            Some(_) => return true,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(after: u64, up_to: u64) -> Range {
        Range { after: after.into(), up_to: up_to.into() }
    }

    /// The positions of a ring of 16 that lie in a range.
    fn members(range: Range) -> Vec<u64> {
        (0..16).filter(|position| range.contains((*position).into())).collect()
    }

    #[test]
    fn an_owner_that_has_chosen_others_is_not_waited_for_longer_than_a_moment() {
        let owner = Peer { position: 10.into(), name: "owner:1".parse().unwrap() };
        let members = vec![owner.name.clone()];
        let group = Group { id: Version::new(1, 0, 10.into()), owner, after: 5.into(), members };
        let (mut holdings, at) = (Holdings::default(), Duration::from_secs);
        assert!(holdings.are_confirmed(at(0)), "nobody counts on it");
        holdings.hear(&group, at(1)).unwrap();
        assert!(!holdings.are_confirmed(at(1)) && !holdings.are_confirmed(at(1) + CONFIRMATION_WAIT));
        assert!(holdings.are_confirmed(at(2) + CONFIRMATION_WAIT));
        holdings.hear(&group, at(20)).unwrap();
        assert!(!holdings.are_confirmed(at(20)));
        holdings.confirm(&group, at(20)).unwrap();
        assert!(holdings.are_confirmed(at(20)));
    }

    #[test]
    fn an_owner_yields_to_the_one_that_came_between_as_long_as_that_is_its_predecessor() {
        let peer = |at: u64| Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() };
        let (heir, at) = (peer(7), Duration::from_secs);
        let mut holdings = Holdings::default();
        holdings.note_former(range(3, 12), range(7, 12), Some(&heir), at(10));
        holdings.note_predecessor(Some(&heir));
        let yields = |holdings: &Holdings, member_for| holdings.yield_to(&heir, at(member_for), at(100));
        assert_eq!(yields(&holdings, 90), Some(range(3, 7)), "however long that takes");
        assert_eq!(yields(&holdings, 89), None, "it is another of that name");
        assert_eq!(holdings.yield_to(&peer(8), at(95), at(100)), None);
        assert!(holdings.is_settled_at(5.into(), at(100)));
        let mut damaged = holdings.clone();
        damaged.doubt();
        assert_eq!(yields(&damaged, 95), None);
        for other in [None, Some(peer(3)), Some(peer(9))] {
            let mut holdings = holdings.clone();
            holdings.note_predecessor(other.as_ref());
            holdings.note_predecessor(Some(&heir));
            assert_eq!(yields(&holdings, 95), None, "somebody else may have owned it: {other:?}");
            assert!(!holdings.is_settled_at(5.into(), at(100)));
        }
    }

    #[test]
    fn one_range_lies_in_another_when_each_of_its_positions_does() {
        let all = || (0..16).flat_map(|after| (0..16).map(move |up_to| range(after, up_to)));
        for (inner, outer) in all().flat_map(|inner| all().map(move |outer| (inner, outer))) {
            let expected = members(inner).iter().all(|position| members(outer).contains(position));
            assert_eq!(is_within(inner, outer), expected, "{inner:?} in {outer:?}");
        }
    }

    #[test]
    fn two_ranges_overlap_when_they_have_a_position_in_common() {
        let all = || (0..16).flat_map(|after| (0..16).map(move |up_to| range(after, up_to)));
        for (one, other) in all().flat_map(|one| all().map(move |other| (one, other))) {
            let expected = members(one).iter().any(|position| members(other).contains(position));
            assert_eq!(overlap(one, other), expected, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn arcs_cover_a_range_when_each_of_its_positions_lies_in_one() {
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 16
        };
        let mut covered = 0;
        for _ in 0..20_000 {
            let arcs: Vec<Range> = (0..next() % 5).map(|_| range(next(), next())).collect();
            let wanted = range(next(), next());
            let expected = members(wanted).iter().all(|position| {
                let position = (*position).into();
                arcs.iter().any(|arc| arc.contains(position))
            });
            covered += u32::from(expected);
            assert_eq!(covers(&arcs, wanted), expected, "{arcs:?} over {wanted:?}");
        }
        assert!(covered > 1000, "{covered}");
    }
}
