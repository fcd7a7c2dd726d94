//! What holds of a ring as a whole, and no node can see: ring members, principals, live successors (TSE 2017,
//! sections II and IV).
//!
//! A list that is on its way to somebody who may store it already matters as if it were stored, and so does the news
//! that a peer does not answer.

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::{NodeName, Peer, Phase, Position, Purpose, State, View, between};

/// A list on its way to a node that may store it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The node that asked.
    pub to: &'a View,
    /// What it will hear.
    pub state: &'a State,
}

impl Incoming<'_> {
    /// Whether a node that has asked for that purpose may store the list that it hears: that of a would-be predecessor only
    /// if it is alone, when it takes that one for its successor too.
    pub fn may_store(to: &View, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Ring | Purpose::Probe => true,
            Purpose::Rectify => to.successors().is_empty(),
            Purpose::Finger | Purpose::LeavePredecessor | Purpose::LeaveSuccessor => false,
        }
    }
}

/// A node is about to hear that a peer does not answer, and may give it up.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// The node that asked.
    pub to: &'a NodeName,
    /// The peer that it asked.
    pub peer: &'a NodeName,
}

/// A ring at one instant, seen from outside.
#[derive(Clone, Debug, Default)]
pub struct Oracle<'a> {
    /// All members, those that do not serve too: they may come back.
    members: BTreeMap<&'a NodeName, &'a View>,
    asleep: BTreeSet<&'a NodeName>,
    incoming: Vec<Incoming<'a>>,
    losses: Vec<Loss<'a>>,
}

impl<'a> Oracle<'a> {
    /// A ring of these nodes, all of which serve; those that are no members are left out.
    pub fn new(views: impl IntoIterator<Item = &'a View>) -> Self {
        let members = views.into_iter().filter(|view| view.is_member());
        Self { members: members.map(|view| (&view.me().name, view)).collect(), ..Self::default() }
    }

    /// The same, where these members are frozen: they keep what they believe, and answer nobody.
    pub fn with_asleep(self, asleep: impl IntoIterator<Item = &'a NodeName>) -> Self {
        Self { asleep: asleep.into_iter().collect(), ..self }
    }

    /// The same, with what is on its way. Only what goes to a member or a joiner counts.
    pub fn with_in_flight(
        self,
        incoming: impl IntoIterator<Item = Incoming<'a>>,
        losses: impl IntoIterator<Item = Loss<'a>>,
    ) -> Self {
        let listens = |view: &View| matches!(view.phase(), Phase::Member | Phase::Joining);
        let incoming = incoming.into_iter().filter(|incoming| listens(incoming.to)).collect();
        // A joiner has nobody to give up.
        let losses = losses.into_iter().filter(|loss| self.members.contains_key(loss.to)).collect();
        Self { incoming, losses, ..self }
    }

    /// The ring as it would be if `victim` were gone, with what is on its way to it.
    pub fn without(&self, victim: &NodeName) -> Self {
        let mut left = self.clone();
        left.members.remove(victim);
        left.incoming.retain(|incoming| incoming.to.me().name != *victim);
        left.losses.retain(|loss| loss.to != victim);
        left
    }

    /// The positions of the members that serve.
    pub fn members(&self) -> BTreeSet<Position> {
        self.serving().map(|view| view.me().position).collect()
    }

    /// The member whose position comes first at or after `target`: the owner of a key there, among those that serve.
    pub fn owner(&self, target: Position) -> Option<Position> {
        let members = self.members();
        members.range(target..).next().or(members.first()).copied()
    }

    /// Of a node's list the first entry that serves: `best` of TSE 2017, section II.
    pub fn best(&self, view: &'a View) -> Option<&'a Peer> {
        view.successors().as_slice().iter().find(|peer| self.serves(&peer.name))
    }

    /// The one ring to which following first live successors leads from everywhere, if there is one and it goes round
    /// once: at least one ring, at most one, ordered, and all appendages connected to it.
    pub fn ring(&self) -> Option<BTreeSet<Position>> {
        let mut rings = BTreeSet::new();
        for view in self.serving() {
            // So many steps end in the ring, wherever they begin.
            let mut at = view;
            for _ in 0..self.members.len() {
                at = self.next(at)?;
            }
            rings.insert(self.turn(at)?);
        }
        rings.pop_first().filter(|_| rings.is_empty())
    }

    /// Whether every member that serves is in the one ring.
    pub fn is_one_ordered_ring(&self) -> bool {
        self.ring() == Some(self.members())
    }

    /// The members that serve and that no node's (self, list) skips, be it stored or on its way.
    pub fn principals(&self) -> BTreeSet<Position> {
        let stored = self.members.values().map(|view| (view.me(), view.successors().as_slice()));
        let on_its_way = self.incoming.iter().map(|incoming| {
            let state = incoming.state;
            (&state.peer, state.successors.as_slice())
        });
        let lists: Vec<(&Peer, &[Peer])> = stored.chain(on_its_way).collect();
        let given_up: BTreeSet<Position> =
            self.losses.iter().filter_map(|loss| Some(self.members.get(loss.peer)?.me().position)).collect();
        let mut members = self.members();
        members.retain(|other| {
            !given_up.contains(other)
                && !lists.iter().any(|(first, list)| skips(first.position, list, *other))
        });
        members
    }

    /// Whether every member has a live successor, by what it holds and by what it will hold when it hears what is on
    /// its way: the first assumption of the proof.
    pub fn is_everybody_linked(&self) -> bool {
        self.members.iter().all(|(name, view)| {
            let gives_up =
                |peer: &Peer| self.losses.iter().any(|loss| loss.to == *name && *loss.peer == peer.name);
            view.successors().as_slice().iter().any(|peer| self.serves(&peer.name) && !gives_up(peer))
        }) && self.incoming.iter().all(|incoming| self.leaves_a_link(incoming))
    }

    fn leaves_a_link(&self, incoming: &Incoming<'a>) -> bool {
        let (to, state) = (incoming.to, incoming.state);
        let (me, r) = (to.me().position, to.config().successors());
        let list = state.successors.iter().take_while(|peer| peer.position != me);
        let head = state.successors.first().map_or(state.peer.position, |head| head.position);
        let is_before_me = between(state.peer.position, me, head);
        if to.phase() == Phase::Joining && !is_before_me {
            return true;
        }
        // Whoever has no list takes that of the member before it as it is; all others put the member before it.
        if is_before_me && to.successors().is_empty() && !state.successors.is_empty() {
            return list.take(r).any(|peer| self.serves(&peer.name));
        }
        self.serves(&state.peer.name) || list.take(r - 1).any(|peer| self.serves(&peer.name))
    }

    fn serving(&self) -> impl Iterator<Item = &'a View> {
        self.members.iter().filter(|(name, _)| !self.asleep.contains(*name)).map(|(_, view)| *view)
    }

    fn serves(&self, name: &NodeName) -> bool {
        self.members.contains_key(name) && !self.asleep.contains(name)
    }

    fn next(&self, view: &'a View) -> Option<&'a View> {
        match self.best(view) {
            Some(peer) => self.members.get(&peer.name).copied(),
            None => (self.serving().count() == 1).then_some(view),
        }
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
}

/// Whether `list`, read after `first`, passes over `other`.
fn skips(first: Position, list: &[Peer], other: Position) -> bool {
    let mut before = first;
    list.iter().any(|peer| {
        let passes = between(before, other, peer.position);
        before = peer.position;
        passes
    })
}
