//! What holds of a ring as a whole, and no node can see: the global checks of `ring.md`, section 3.7.
//!
//! A list that is on its way already matters as if it were stored, and so does a failure that is on its way
//! (`ring.md`, section 3.5).

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::*;

use super::{Cluster, Message};

/// A ring at one instant, as it is or as it would be without one of its members.
pub struct Oracle<'a> {
    cluster: &'a Cluster,
    without: Option<&'a NodeName>,
    /// All members, the frozen too: they come back.
    members: BTreeMap<&'a NodeName, &'a View>,
}

impl<'a> Oracle<'a> {
    pub fn new(cluster: &'a Cluster) -> Self {
        Self::of(cluster, None)
    }

    pub fn without(cluster: &'a Cluster, victim: &'a NodeName) -> Self {
        Self::of(cluster, Some(victim))
    }

    fn of(cluster: &'a Cluster, without: Option<&'a NodeName>) -> Self {
        let nodes = cluster.nodes.iter().filter(|(name, _)| Some(*name) != without);
        let views = nodes.map(|(name, node)| (name, node.view()));
        Self { cluster, without, members: views.filter(|(_, view)| view.is_member()).collect() }
    }

    /// The members that serve.
    pub fn members(&self) -> BTreeSet<Position> {
        let awake = self.members.iter().filter(|(name, _)| !self.cluster.frozen.contains(**name));
        awake.map(|(_, view)| view.me().position).collect()
    }

    fn lives(&self, peer: &Peer) -> bool {
        self.members.contains_key(&peer.name) && !self.cluster.frozen.contains(&peer.name)
    }

    /// Of each member that serves, the first entry of its list that does.
    pub fn best(&self, view: &'a View) -> Option<&'a Peer> {
        view.successors().as_slice().iter().find(|peer| self.lives(peer))
    }

    /// The one ring that following first live successors leads to from everywhere, if there is one and it goes round
    /// once: at least one ring, at most one, ordered, and all appendages connected to it (TSE 2017, section II).
    pub fn ring(&self) -> Option<BTreeSet<Position>> {
        let mut rings = BTreeSet::new();
        for view in self.members.values().filter(|view| self.lives(view.me())) {
            // So many steps end in the ring, wherever they begin.
            let mut at = *view;
            for _ in 0..self.members.len() {
                at = self.next(at)?;
            }
            rings.insert(self.turn(at)?);
        }
        rings.pop_first().filter(|_| rings.is_empty())
    }

    fn next(&self, view: &'a View) -> Option<&'a View> {
        self.best(view).map_or_else(
            || (self.members().len() == 1).then_some(view),
            |peer| Some(self.members[&peer.name]),
        )
    }

    /// The members from `start` back to it; none if that takes more than one turn.
    fn turn(&self, start: &'a View) -> Option<BTreeSet<Position>> {
        let first = start.me().position;
        let mut ring = BTreeSet::from([first]);
        let mut at = start;
        loop {
            let next = self.next(at)?;
            if next.me() == start.me() {
                return Some(ring);
            }
            if !between(at.me().position, next.me().position, first) {
                return None;
            }
            ring.insert(next.me().position);
            at = next;
        }
    }

    /// Whether every member is in the one ring.
    pub fn is_one_ordered_ring(&self) -> bool {
        self.ring() == Some(self.members())
    }

    /// The members that nobody's (self, list) skips (`ring.md`, section 1.3), be it stored or on its way.
    pub fn principals(&self) -> BTreeSet<Position> {
        let stored = self.members.values().map(|view| (view.me(), view.successors().as_slice()));
        let on_its_way = self.answers().map(|(_, state)| (&state.peer, state.successors.as_slice()));
        let lists: Vec<(&Peer, &[Peer])> = stored.chain(on_its_way).collect();
        let skips = |(first, list): &(&Peer, &[Peer]), other: Position| {
            let mut before = first.position;
            list.iter().any(|peer| {
                let skips = between(before, other, peer.position);
                before = peer.position;
                skips
            })
        };
        let is_given_up = |at: Position| {
            self.failures().any(|(_, peer)| self.members.get(peer).is_some_and(|v| v.me().position == at))
        };
        let mut members = self.members();
        members.retain(|other| !lists.iter().any(|list| skips(list, *other)) && !is_given_up(*other));
        members
    }

    /// Whether everybody keeps a live successor, by what is stored and by what is on its way to be: the first
    /// assumption of the proof (`ring.md`, section 1.4).
    pub fn is_everybody_linked(&self) -> bool {
        let by_its_list = |name: &NodeName, view: &View| {
            let given_up: Vec<&NodeName> =
                self.failures().filter(|(asker, _)| *asker == name).map(|(_, peer)| peer).collect();
            let list = view.successors().as_slice();
            list.iter().any(|peer| self.lives(peer) && !given_up.contains(&&peer.name))
        };
        let by_an_answer = |asker: &NodeName, state: &State| {
            let Some(node) = self.cluster.nodes.get(asker) else { return true };
            let me = node.view().me().position;
            let r = node.view().config().successors();
            let list = state.successors.iter().take_while(|peer| peer.position != me);
            if node.view().phase() == Phase::Joining {
                let head = state.successors.first().map_or(state.peer.position, |head| head.position);
                return !between(state.peer.position, me, head) || list.take(r).any(|peer| self.lives(peer));
            }
            self.lives(&state.peer) || list.take(r - 1).any(|peer| self.lives(peer))
        };
        self.members.iter().all(|(name, view)| by_its_list(name, view))
            && self.answers().all(|(asker, state)| by_an_answer(asker, state))
    }

    /// The lists on their way to somebody who may store them.
    fn answers(&self) -> impl Iterator<Item = (&'a NodeName, &'a State)> {
        self.incoming(Purpose::Ring).chain(self.incoming(Purpose::Probe)).filter_map(|(to, _, answer)| {
            match answer {
                Ok(Answer::State(state)) => Some((to, state)),
                Ok(_) | Err(_) => None,
            }
        })
    }

    /// The failures on their way: who asked, and whom it may give up.
    fn failures(&self) -> impl Iterator<Item = (&'a NodeName, &'a NodeName)> {
        self.incoming(Purpose::Ring).filter(|(_, _, answer)| answer.is_err()).map(|(to, from, _)| (to, from))
    }

    fn incoming(
        &self,
        purpose: Purpose,
    ) -> impl Iterator<Item = (&'a NodeName, &'a NodeName, &'a Result<Answer, Failure>)> {
        let listens = move |to: &NodeName| {
            let phase = self.cluster.nodes.get(to).map(|node| node.view().phase());
            matches!(phase, Some(Phase::Member | Phase::Joining)) && Some(to) != self.without
        };
        self.cluster.in_flight.iter().filter_map(move |message| match message {
            Message::Answer { id, from, to, answer } if id.purpose == purpose && listens(to) => {
                Some((to, from, answer))
            }
            Message::Answer { .. } | Message::Request { .. } => None,
        })
    }
}
