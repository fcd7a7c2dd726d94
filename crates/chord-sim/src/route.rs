//! Lookups in a ring that stands still: from node to node by the shipped [`Lookup`], without messages and time.
//!
//! The papers' lookups differ from those of this program on purpose, and only in what a driver does with a step: who
//! remembers the dead, and whether a node that is named as the owner is asked. Both drivers are here.

use chord_ring::{Failure, Lookup, NodeName, Peer, Position, Question, Step, View, between};

use crate::{IdealRing, Place};

/// Who drives a lookup from node to node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Each node forwards the question, and knows only for itself who did not answer. What this program does.
    Recursive,
    /// The asker puts the question to one node after another, and remembers who did not answer (TON 2003, section V).
    Iterative,
}

/// When a lookup is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The owner says itself that it is. What this program does.
    Claimed,
    /// The first node that is named as the owner and lives is believed: a list that reaches the target names it. What the
    /// path lengths of the papers show.
    Believed,
    /// The same, but only its first live successor is believed of a node: what lies behind that goes to the closest
    /// preceding node (TON 2003, figure 5).
    BelievedOfNext,
}

/// How one lookup went. Nodes are named by their places, or as a world names its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<Id = Place> {
    /// The owner that was found.
    pub owner: Result<Id, Failure>,
    /// The nodes that had the question, in order, the asker not counted; the owner is the last.
    pub contacts: Vec<Id>,
    /// How many nodes were asked in vain.
    pub timeouts: u32,
}

/// How near a second node is to a first: the latency between them, in any unit.
pub type Nearness<'a> = &'a dyn Fn(Place, Place) -> f64;

/// An ideal ring, some of whose nodes died a moment ago and nobody noticed.
#[derive(Clone)]
pub struct Still<'a> {
    ring: &'a IdealRing,
    style: Style,
    ending: Ending,
    dead: &'a [bool],
    nearness: Option<Nearness<'a>>,
}

impl<'a> Still<'a> {
    /// A ring whose nodes all live.
    pub fn new(ring: &'a IdealRing, style: Style, ending: Ending) -> Self {
        Self { ring, style, ending, dead: &[], nearness: None }
    }

    /// The same ring, where these nodes are dead, by place.
    pub fn with_dead(self, dead: &'a [bool]) -> Self {
        Self { dead, ..self }
    }

    /// The same ring, where each node remembers the r successors of its fingers too: of a finger and those the nearest
    /// is asked, or the owner if it is among them (TON 2003, section VI-E).
    pub fn with_nearness(self, nearness: Nearness<'a>) -> Self {
        Self { nearness: Some(nearness), ..self }
    }

    /// Who drives the lookups.
    pub fn style(&self) -> Style {
        self.style
    }

    /// The ring.
    pub fn ring(&self) -> &'a IdealRing {
        self.ring
    }

    /// Whether the node at that place is dead.
    pub fn is_dead(&self, place: Place) -> bool {
        self.dead.get(place).is_some_and(|is_dead| *is_dead)
    }

    /// How many nodes live.
    pub fn n_alive(&self) -> usize {
        (0..self.ring.views().len()).filter(|place| !self.is_dead(*place)).count()
    }

    /// The owner of `target` among those that live, seen from outside; none if nobody does.
    pub fn owner(&self, target: Position) -> Option<Place> {
        let n_nodes = self.ring.views().len();
        let first = self.ring.owner(target);
        (first..first + n_nodes).map(|place| place % n_nodes).find(|place| !self.is_dead(*place))
    }

    /// Looks `target` up from the node at `asker`.
    pub fn look_up(&self, asker: Place, target: Position) -> Route {
        Walk::of(self, self.style, self.ending).look_up(asker, target)
    }
}

/// Nodes among which a lookup can walk.
pub(crate) trait Nodes {
    type Id: Copy;

    /// The node that a peer names, if it lives.
    fn find(&self, peer: &Peer) -> Option<Self::Id>;

    /// What a node that lives believes.
    fn view(&self, id: Self::Id) -> Option<&View>;

    /// Whom to ask instead of `peer`, if nearness counts: `from` is the node to which it should be near.
    fn nearest(&self, _from: Self::Id, peer: Peer, question: Question) -> (Peer, Question) {
        (peer, question)
    }
}

impl Nodes for Still<'_> {
    type Id = Place;

    fn find(&self, peer: &Peer) -> Option<Place> {
        Some(self.ring.place(peer)).filter(|place| !self.is_dead(*place))
    }

    fn view(&self, place: Place) -> Option<&View> {
        self.ring.views().get(place)
    }

    /// The nearest of `peer` and those of its successors that precede the target; the owner, if it is among them.
    fn nearest(&self, from: Place, peer: Peer, question: Question) -> (Peer, Question) {
        let Some(nearness) = self.nearness.filter(|_| !question.named) else { return (peer, question) };
        let (views, target) = (self.ring.views(), question.target);
        let known = views[self.ring.place(&peer)].successors();
        if let Some(owner) = known.at_or_after(peer.position, target).first() {
            return (owner.clone(), Question { named: true, ..question });
        }
        let preceding =
            known.as_slice().iter().take_while(|next| between(peer.position, next.position, target));
        let away = |peer: &&Peer| nearness(from, self.ring.place(peer));
        let nearest = preceding.chain([&peer]).min_by(|a, b| away(a).total_cmp(&away(b)));
        (nearest.unwrap_or(&peer).clone(), question)
    }
}

/// A lookup under way.
pub(crate) struct Walk<'a, N: Nodes> {
    nodes: &'a N,
    style: Style,
    ending: Ending,
    contacts: Vec<N::Id>,
    timeouts: u32,
    /// In an iterative lookup: what the asker found out.
    known_dead: Vec<NodeName>,
}

impl<'a, N: Nodes> Walk<'a, N> {
    pub(crate) fn of(nodes: &'a N, style: Style, ending: Ending) -> Self {
        Self { nodes, style, ending, contacts: Vec::new(), timeouts: 0, known_dead: Vec::new() }
    }

    pub(crate) fn look_up(mut self, asker: N::Id, target: Position) -> Route<N::Id> {
        let question = Question { target, named: false, path: Vec::new() };
        let owner = self.visit(asker, asker, question);
        Route { owner, contacts: self.contacts, timeouts: self.timeouts }
    }

    /// Whom the node `at` finds to be the owner.
    fn visit(&mut self, asker: N::Id, at: N::Id, question: Question) -> Result<N::Id, Failure> {
        let view = self.nodes.view(at).ok_or(Failure::Unreachable)?;
        let mut lookup = Lookup::new(question);
        let mut failed = self.known_dead.clone();
        for dead in &failed {
            lookup.failed(dead, &Failure::Silent);
        }
        loop {
            let (peer, question) = match lookup.step(view) {
                Step::Here(_) => return Ok(at),
                Step::Stuck(refusal) => return Err(refusal.into()),
                Step::Ask { peer, question, .. } => {
                    let (peer, question) = self.by_the_ending(view, &failed, peer, question);
                    let from = if self.style == Style::Iterative { asker } else { at };
                    self.nodes.nearest(from, peer, question)
                }
            };
            match self.ask(asker, &peer, question) {
                Ok(owner) => return Ok(owner),
                Err(failure) => {
                    lookup.failed(&peer.name, &failure);
                    failed.push(peer.name);
                }
            }
        }
    }

    /// By the book of figure 5 nobody is named as the owner while a live node is known that lies before the target.
    fn by_the_ending(
        &self,
        view: &View,
        failed: &[NodeName],
        peer: Peer,
        question: Question,
    ) -> (Peer, Question) {
        if self.ending != Ending::BelievedOfNext || !question.named {
            return (peer, question);
        }
        match view.preceding(question.target).find(|peer| !failed.contains(&peer.name)) {
            Some(closest) => (closest.clone(), Question { named: false, ..question }),
            None => (peer, question),
        }
    }

    fn ask(&mut self, asker: N::Id, peer: &Peer, question: Question) -> Result<N::Id, Failure> {
        let Some(id) = self.nodes.find(peer) else {
            self.timeouts += 1;
            if self.style == Style::Iterative {
                self.known_dead.push(peer.name.clone());
            }
            return Err(Failure::Silent);
        };
        self.contacts.push(id);
        if question.named && self.ending != Ending::Claimed {
            return Ok(id);
        }
        self.visit(asker, id, question)
    }
}
