//! What one node believes about its ring: the part of its state that may be read by anybody at any time.

use crate::defect::breaks;
use crate::{
    Config, Fingers, NodeName, Peer, Pong, Position, Refusal, Request, RingSize, RingTag, State,
    SuccessorList, between, owned,
};

/// Where a node stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// In no ring; waits for `create` or `join`.
    Idle,
    /// Looking for its place in a ring.
    Joining,
    /// A member.
    Member,
    /// Told its neighbours that it goes.
    Leaving,
}

/// One node's beliefs: itself, its predecessor, its successors and its fingers.
///
/// A value: the node publishes a copy after each change, and all routing is a pure function of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    pub(crate) config: Config,
    pub(crate) me: Peer,
    pub(crate) phase: Phase,
    pub(crate) predecessor: Option<Peer>,
    pub(crate) successors: SuccessorList,
    pub(crate) fingers: Fingers,
}

impl View {
    pub(crate) fn new(config: Config, me: Peer) -> Self {
        Self {
            config,
            me,
            phase: Phase::Idle,
            predecessor: None,
            successors: SuccessorList::default(),
            fingers: Fingers::default(),
        }
    }

    /// A member that believes this: for checkers and simulators that start from a chosen state.
    /// `successors` are cut where they are no proper list.
    pub fn member(
        config: Config,
        me: Peer,
        predecessor: Option<Peer>,
        successors: &[Peer],
        fingers: Fingers,
    ) -> Self {
        let predecessor = predecessor.filter(|peer| peer.position != me.position);
        let head = successors.split_first().filter(|(head, _)| head.position != me.position);
        let successors = head.map_or_else(SuccessorList::default, |(head, tail)| {
            SuccessorList::copied(me.position, config.successors(), head.clone(), tail)
        });
        Self { phase: Phase::Member, predecessor, successors, fingers, ..Self::new(config, me) }
    }

    /// The same for a node that leaves.
    pub fn leaving(self) -> Self {
        Self { phase: Phase::Leaving, ..self }
    }

    /// The ring this node belongs to, or would.
    pub fn ring(&self) -> &RingTag {
        self.config.ring()
    }

    /// What the operator chose: the ring, and r, the length of the successor list.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn ring_size(&self) -> RingSize {
        self.ring().size
    }

    /// The node itself.
    pub fn me(&self) -> &Peer {
        &self.me
    }

    /// Where the node stands in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the node is a member that stays.
    pub fn is_member(&self) -> bool {
        self.phase == Phase::Member
    }

    /// Whether the node can answer and forward lookups: a member, or one that leaves and still knows the way.
    pub fn can_route(&self) -> bool {
        matches!(self.phase, Phase::Member | Phase::Leaving)
    }

    /// The member before this one, if it knows one.
    pub fn predecessor(&self) -> Option<&Peer> {
        self.predecessor.as_ref()
    }

    /// The members after this one.
    pub fn successors(&self) -> &SuccessorList {
        &self.successors
    }

    /// Whether `candidate` would be a better first successor than the present one. Alone, everybody is.
    pub fn is_closer(&self, candidate: &Peer) -> bool {
        if breaks!(self.config, AdoptsNobodyAlone) && self.successors.is_empty() {
            return false;
        }
        let head = self.successors.head().map_or(self.me.position, |head| head.position);
        if breaks!(self.config, TurnsInterval) {
            return between(head, candidate.position, self.me.position);
        }
        between(self.me.position, candidate.position, head)
    }

    /// The shortcuts beyond the successor list.
    pub fn fingers(&self) -> &Fingers {
        &self.fingers
    }

    /// Whether this node is the only member that it knows.
    pub fn is_alone(&self) -> bool {
        self.successors.is_empty() && self.predecessor.is_none()
    }

    /// Whether the ring has at most r members, as far as this node knows: the proof's assumption of r + 1 members does
    /// not hold yet (TSE 2017, section VII-B).
    pub fn is_small(&self) -> bool {
        let list = self.successors.as_slice();
        let before = self.predecessor.as_ref();
        let comes_round = list.last().is_none_or(|last| before.is_none_or(|before| before == last));
        comes_round && list.len() < self.config.successors()
    }

    /// How many of the ring's own steps a lookup may take: twice the fingers that halve the distance, and the successor
    /// list for the last stretch.
    pub fn hops_max(&self) -> usize {
        2 * usize::from(self.ring_size().bits()) + self.config.successors()
    }

    /// Whether, as far as this node knows, `target` is its own: after its predecessor, up to itself.
    /// Alone it owns everything; without a predecessor but with successors it cannot tell, and says no.
    pub fn owns(&self, target: Position) -> bool {
        self.is_member()
            && match &self.predecessor {
                Some(_) if breaks!(self.config, OwnsAllButItself) && target == self.me.position => false,
                Some(predecessor) => owned(predecessor.position, target, self.me.position),
                None => self.successors.is_empty(),
            }
    }

    /// Entry `entry` of the whole finger table, counted from 0: from the successor list where that reaches so far.
    pub fn finger(&self, entry: u16) -> Option<&Peer> {
        let start = self.ring_size().finger_start(self.me.position, entry);
        self.successors.at_or_after(self.me.position, start).first().or_else(|| self.fingers.entry(entry))
    }

    /// The first finger entry that the successor list does not answer.
    pub(crate) fn first_far_finger(&self) -> u16 {
        let reach = |last: &Peer| self.ring_size().distance(self.me.position, last.position);
        self.successors.last().map_or(0, |last| reach(last).bit_length())
    }

    /// The known members strictly between this node and `target`, the closest to `target` first: the
    /// candidates of `closest_preceding_node` (TON 2003, figure 5), from fingers and successor list alike.
    pub fn preceding(&self, target: Position) -> impl Iterator<Item = &Peer> {
        let precedes = move |peer: &Peer| between(self.me.position, peer.position, target);
        let far = move |peer: &Peer| self.ring_size().distance(self.me.position, peer.position);
        // Both stand in the order of the ring, nearest to this node first.
        let mut fingers = self.fingers.runs().iter().rev().map(|run| &run.peer);
        let mut listed = self.successors.as_slice().iter().rev();
        let mut finger = fingers.find(|peer| precedes(peer));
        let mut entry = listed.find(|peer| precedes(peer));
        std::iter::from_fn(move || {
            if finger == entry {
                entry = listed.next();
            }
            let takes_finger = match (finger, entry) {
                (Some(finger), Some(entry)) => far(finger) > far(entry),
                (finger, _) => finger.is_some(),
            };
            if takes_finger {
                std::mem::replace(&mut finger, fingers.next())
            } else {
                std::mem::replace(&mut entry, listed.next())
            }
        })
    }

    /// Whether a peer of that name is among the neighbours.
    pub(crate) fn neighbours(&self, name: &NodeName) -> bool {
        let is = |peer: &Peer| peer.name == *name;
        self.predecessor.as_ref().is_some_and(is) || self.successors.as_slice().iter().any(is)
    }

    /// Answers `Ping`.
    pub fn pong(&self) -> Pong {
        Pong { peer: self.me.clone(), member: self.is_member(), ring: Some(self.ring().clone()) }
    }

    /// Answers `GetState`.
    ///
    /// # Errors
    /// The node is no member.
    pub fn state(&self) -> Result<State, Refusal> {
        if !self.is_member() {
            return Err(Refusal::NotMember);
        }
        Ok(State {
            peer: self.me.clone(),
            predecessor: self.predecessor.clone(),
            successors: self.successors.as_slice().to_vec(),
            ring_size: Some(self.ring_size()),
        })
    }

    /// Lets a request of a peer that says it is of the ring `theirs` in. Seed nodes and plain clients do not say.
    ///
    /// To `Ping` everybody is let in: whoever wants to join must hear which ring this is, to tell its operator.
    ///
    /// # Errors
    /// The rings differ in size or name.
    pub fn admit_request(&self, theirs: Option<&RingTag>, request: &Request) -> Result<(), Refusal> {
        match theirs {
            Some(theirs) if *request != Request::Ping => self.admit(theirs),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets a peer of the ring `theirs` in.
    ///
    /// # Errors
    /// The rings differ in size or name.
    pub fn admit(&self, theirs: &RingTag) -> Result<(), Refusal> {
        let ours = self.ring();
        if ours.size != theirs.size {
            return Err(Refusal::RingSizeDiffers { here: ours.size, there: theirs.size });
        }
        if ours.name != theirs.name {
            let (here, there) = (ours.name.clone(), theirs.name.clone());
            return Err(Refusal::ForeignRing { here, there });
        }
        Ok(())
    }
}

/// Whether these views together are one ring in order: every predecessor is the member before, every list begins with
/// the next member. The rest of a list may still be on its way.
pub fn is_one_ring<'a>(views: impl IntoIterator<Item = &'a View>) -> bool {
    is_ring_of(views, |_| 1)
}

/// Whether these views together are the ideal ring: every predecessor is the member before, every list names the
/// next r members in order (TSE 2017, section II).
pub fn is_ideal<'a>(views: impl IntoIterator<Item = &'a View>) -> bool {
    is_ring_of(views, |view| view.config.successors())
}

/// Whether every predecessor is the member before, and every list names the next `wanted` members in order, or all
/// others if there are not so many.
fn is_ring_of<'a>(views: impl IntoIterator<Item = &'a View>, wanted: impl Fn(&View) -> usize) -> bool {
    let mut views: Vec<&View> = views.into_iter().collect();
    views.sort_by_key(|view| view.me.position);
    let n_members = views.len();
    views.iter().enumerate().all(|(idx, view)| {
        let next = |steps: usize| &views[(idx + steps) % n_members].me;
        let (wanted, length) = (wanted(view), view.config.successors());
        let list = view.successors.as_slice();
        view.is_member()
            && list.len() >= wanted.min(n_members - 1)
            && list.len() <= length.min(n_members - 1)
            && list.iter().take(wanted).enumerate().all(|(place, peer)| peer == next(place + 1))
            && view.predecessor.as_ref() == (n_members > 1).then(|| next(n_members - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RingName, RingSize};

    fn peer(at: u64) -> Peer {
        Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() }
    }

    /// A member among those at 1, 2, 3 and 4 that keeps three successors.
    fn view(at: u64, predecessor: u64, successors: &[u64]) -> View {
        let tag = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
        let config = Config::new(tag).with_successors(3).unwrap();
        let successors: Vec<Peer> = successors.iter().map(|at| peer(*at)).collect();
        View::member(config, peer(at), Some(peer(predecessor)), &successors, Fingers::default())
    }

    #[test]
    fn a_ring_is_one_before_the_ends_of_its_lists_are_right() {
        let mut views =
            [view(1, 4, &[2, 3, 4]), view(2, 1, &[3, 4, 1]), view(3, 2, &[4, 1]), view(4, 3, &[1])];
        assert!(is_one_ring(&views) && !is_ideal(&views));
        views[2] = view(3, 2, &[4, 1, 2]);
        views[3] = view(4, 3, &[1, 2, 3]);
        assert!(is_one_ring(&views) && is_ideal(&views));
        views[3] = view(4, 2, &[1, 2, 3]);
        assert!(!is_one_ring(&views) && !is_ideal(&views), "one predecessor is wrong");
        views[3] = view(4, 3, &[2, 3]);
        assert!(!is_one_ring(&views) && !is_ideal(&views), "one head is wrong");
        assert!(!is_one_ring(&views[..3]), "a predecessor is no member");
    }
}
