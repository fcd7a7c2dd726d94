//! One lookup at one node: who owns a position, and whom to ask next.

use std::time::Duration;

use crate::defect::breaks;
use crate::{Failure, Found, NodeName, Peer, Position, Question, Refusal, Shortcuts, View, owned};

/// What to do next in a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This node is the owner.
    Here(Found),
    /// Ask this peer, and report what it said with [`Lookup::answered`] or [`Lookup::failed`].
    Ask {
        /// Whom to ask.
        peer: Peer,
        /// What to ask it.
        question: Question,
        /// Why that one.
        because: Because,
    },
    /// There is nobody left to ask.
    Stuck(Refusal),
}

/// Why a lookup goes to a peer next, by what the node knows that asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Because {
    /// The target lies between the node and its first successor, which therefore owns it.
    NextIsOwner,
    /// It is the first of the node's successors at or after the target that may own it; from 1.
    FirstAtOrAfter(usize),
    /// The node leaves, and has handed on what it owned: that successor, from 1, is its heir.
    Heir(usize),
    /// Of all that the node knows this finger is the closest before the target.
    ClosestFinger,
    /// Of all that the node knows this successor, from 1, is the closest before the target.
    ClosestSuccessor(usize),
    /// The node was named as the owner, and knows one before it, which may be that.
    MayBeBefore,
    /// It is the node's predecessor, and nobody else is left to ask.
    LastResort,
}

/// Why a lookup goes to one peer, and how many it goes to only when they have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Why, once those are set aside.
    pub because: Because,
    /// How many peers the node would rather ask.
    pub passed_over: usize,
}

/// What a member that does not follow a lookup, as a seed node does not, has shown of its range: whether it is the
/// owner, for which it was taken. Without a predecessor it owns whatever it is named for.
///
/// # Errors
/// The target lies outside.
pub fn owner_by_range(member: Peer, predecessor: Option<&Peer>, target: Position) -> Result<Found, Refusal> {
    let before = predecessor.filter(|before| before.name != member.name);
    match before {
        Some(before) if !owned(before.position, target, member.position) => Err(Refusal::NoRoute),
        Some(_) | None => {
            Ok(Found { owner: member, hops: 0, path: Vec::new(), after: None, took: Vec::new() })
        }
    }
}

/// One lookup as one node sees it: recursive, round dead peers.
///
/// A node asks no peer twice, and none that the question has been to on its way here, with one exception: the asker may
/// be named as the owner at the end. Another branch of the same lookup may ask a peer again, if this one ended blind.
///
/// Without I/O: [`Lookup::step`] says what to do on the node's present view, the caller does it and reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lookup {
    question: Question,
    failed: Vec<NodeName>,
    is_over: bool,
}

impl Lookup {
    /// The lookup that `question` starts here or carries on here.
    pub fn new(question: Question) -> Self {
        Self { question, failed: Vec::new(), is_over: false }
    }

    /// A lookup that starts here.
    pub fn of(target: Position) -> Self {
        Self::new(Question { target, named: false, path: Vec::new() })
    }

    /// The position whose owner is sought.
    pub fn target(&self) -> Position {
        self.question.target
    }

    /// The peer that was asked brought no answer: it is not asked again in this lookup.
    ///
    /// The hop limit ends the lookup everywhere on its path: else each node there would try its next best, and so the
    /// whole ring.
    pub fn failed(&mut self, peer: &NodeName, failure: &Failure) {
        self.is_over |= *failure == Failure::Refused(Refusal::HopLimit);
        self.set_aside(peer);
    }

    /// Why this lookup goes to the peer of that name, as `view` has it; `None` if it does not, whoever else fails.
    ///
    /// The same decision as [`step`](Self::step), so that a reason that is told is the one that counted.
    pub fn why(&self, view: &View, peer: &NodeName) -> Option<Chosen> {
        let (mut lookup, mut passed_over) = (self.clone(), 0);
        while let Step::Ask { peer: next, because, .. } = lookup.step(view) {
            if next.name == *peer {
                return Some(Chosen { because, passed_over });
            }
            lookup.set_aside(&next.name);
            passed_over += 1;
        }
        None
    }

    fn set_aside(&mut self, peer: &NodeName) {
        if !self.failed.contains(peer) {
            self.failed.push(peer.clone());
        }
    }

    /// The next step that leads round the peers for which `avoid` holds, if there is one; else the next step.
    pub fn step_round(&self, view: &View, avoid: impl Fn(&NodeName) -> bool) -> Step {
        let mut careful = self.clone();
        loop {
            match careful.step(view) {
                Step::Ask { peer, .. } if avoid(&peer.name) => careful.set_aside(&peer.name),
                Step::Stuck(_) => return self.step(view),
                step @ (Step::Here(_) | Step::Ask { .. }) => return step,
            }
        }
    }

    /// How often the question was forwarded, if this node is the owner: then there is nobody to ask.
    pub fn ends_here(&self, view: &View) -> Option<u32> {
        let is_here = !self.is_over && view.can_route() && view.owns(self.target());
        is_here.then(|| self.hops())
    }

    /// What to do next, as `view` has it now.
    pub fn step(&self, view: &View) -> Step {
        if self.ends_here(view).is_some() {
            return self.here(view);
        }
        if self.is_over {
            return Step::Stuck(Refusal::HopLimit);
        }
        if !view.can_route() {
            return Step::Stuck(Refusal::NotMember);
        }
        if self.question.path.len() >= view.hops_max() {
            return Step::Stuck(Refusal::HopLimit);
        }
        if self.question.named && view.is_member() {
            return self.claim(view);
        }
        self.forward(view)
    }

    /// This node was named as the owner by one that does not know its predecessor: if that one is dead, or says so
    /// itself, then it is.
    fn claim(&self, view: &View) -> Step {
        let Some(predecessor) = view.predecessor() else { return self.here(view) };
        if self.failed.contains(&predecessor.name) || self.question.path.last() == Some(&predecessor.name) {
            return self.here(view);
        }
        if self.may_own(predecessor) {
            return self.ask(view, predecessor, true, Because::MayBeBefore);
        }
        // It had the question, so it lives, and lies nearer behind the target than this node does.
        Step::Stuck(Refusal::NoRoute)
    }

    fn forward(&self, view: &View) -> Step {
        let me = view.me().position;
        let leaving_mine = !view.is_member()
            && view.predecessor().is_some_and(|predecessor| owned(predecessor.position, self.target(), me));
        let is_handed_on = leaving_mine || (self.question.named && !view.is_member());
        let owners = if is_handed_on {
            view.successors().as_slice()
        } else {
            view.successors().at_or_after(me, self.target())
        };
        if let Some(owner) = owners.iter().find(|peer| self.may_own(peer)) {
            if breaks!(view.config, NamesUnasked) {
                return Step::Here(Found {
                    owner: owner.clone(),
                    hops: self.hops(),
                    path: self.path_through(view),
                    after: None,
                    took: Vec::new(),
                });
            }
            let because = match view.successors().rank(owner) {
                Some(rank) if is_handed_on => Because::Heir(rank),
                None | Some(1) => Because::NextIsOwner,
                Some(rank) => Because::FirstAtOrAfter(rank),
            };
            return self.ask(view, owner, true, because);
        }
        let mut preceding = view.preceding(self.target());
        if let Some(peer) = preceding.find_map(|peer| self.usable(Some(peer))) {
            let is_finger = view.fingers().runs().iter().any(|run| run.peer == *peer);
            let because = match view.successors().rank(peer) {
                Some(rank) if !is_finger => Because::ClosestSuccessor(rank),
                _ => Because::ClosestFinger,
            };
            return self.ask(view, peer, false, because);
        }
        match self.usable(view.predecessor()) {
            // The last resort: by what is known here it is no owner, and must not take itself for one because its own
            // predecessor is slow.
            Some(predecessor) => self.ask(view, predecessor, false, Because::LastResort),
            None => Step::Stuck(Refusal::NoRoute),
        }
    }

    /// Who is believed to be the owner by what was learned, for one who would only be told the way to it otherwise.
    ///
    /// That it checks it itself is what makes this safe: a question to it is [`named`](Question::named).
    pub fn shortcut(&self, view: &View, shortcuts: &Shortcuts, now: Duration) -> Option<Peer> {
        let owner = shortcuts.owner_of(self.target(), now).filter(|owner| owner.name != view.me().name);
        self.usable(owner).cloned()
    }

    /// The whole answer of the peer that was asked, as this node passes it on.
    ///
    /// A peer that knows no paths, as a seed node does, names only the owner: the path then holds what is known.
    pub fn answered(&self, view: &View, asked: &Peer, found: Found) -> Found {
        if found.path.len() > self.question.path.len() + 1 {
            return found;
        }
        let mut path = self.path_through(view);
        path.push(asked.name.clone());
        if found.owner.name != asked.name {
            path.push(found.owner.name.clone());
        }
        let hops = self.hops().saturating_add(1).saturating_add(found.hops);
        Found { hops, path, ..found }
    }

    fn usable<'a>(&self, peer: Option<&'a Peer>) -> Option<&'a Peer> {
        peer.filter(|peer| !self.failed.contains(&peer.name) && !self.question.path.contains(&peer.name))
    }

    /// Whether `peer` can be named as the owner. The asker can, though it stands in the path: it started the lookup
    /// because it did not know that its predecessor is dead, or had none, and nobody has asked it yet.
    fn may_own(&self, peer: &Peer) -> bool {
        let asked = self.question.path.get(1..).unwrap_or_default();
        !self.failed.contains(&peer.name) && !asked.contains(&peer.name)
    }

    fn ask(&self, view: &View, peer: &Peer, named: bool, because: Because) -> Step {
        let question = Question { target: self.target(), named, path: self.path_through(view) };
        Step::Ask { peer: peer.clone(), question, because }
    }

    fn here(&self, view: &View) -> Step {
        let after = view.predecessor().map(|predecessor| predecessor.position);
        Step::Here(Found {
            owner: view.me().clone(),
            hops: self.hops(),
            path: self.path_through(view),
            after,
            took: Vec::new(),
        })
    }

    fn path_through(&self, view: &View) -> Vec<NodeName> {
        let mut path = Vec::with_capacity(self.question.path.len() + 2);
        path.extend_from_slice(&self.question.path);
        path.push(view.me().name.clone());
        path
    }

    fn hops(&self) -> u32 {
        u32::try_from(self.question.path.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_owns_what_lies_after_its_predecessor_and_without_one_everything() {
        let peer = |port: u16| {
            let name: NodeName = format!("127.0.0.1:{port}").parse().unwrap();
            Peer { position: Position::from(u64::from(port)), name }
        };
        let (member, before) = (peer(200), peer(100));
        let owns = |before: Option<&Peer>, target: u64| {
            owner_by_range(member.clone(), before, Position::from(target)).is_ok()
        };
        for (target, is_its) in [(99, false), (100, false), (101, true), (200, true), (201, false)] {
            assert_eq!(owns(Some(&before), target), is_its, "{target}");
            assert!(owns(None, target) && owns(Some(&member), target), "{target}");
        }
        let found = owner_by_range(member.clone(), None, Position::ZERO).unwrap();
        assert_eq!((found.owner, found.hops), (member, 0));
    }
}
