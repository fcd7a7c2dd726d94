//! Lookups in a ring that stands still: from node to node by the shipped [`Lookup`], without messages and time.
//!
//! The papers' lookups differ from those of this program on purpose, and only in what a driver does with a step: who
//! remembers the dead, and whether a node that is named as the owner is asked. Both drivers are here.

use chord_ring::{Failure, Found, Lookup, NodeName, Peer, Position, Question, Step, between};

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
    /// The first node that is named as the owner and lives is believed. What the papers do.
    Believed,
}

/// How one lookup went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The owner that was found.
    pub owner: Result<Place, Failure>,
    /// The nodes that had the question, in order, the asker not counted; the owner is the last.
    pub contacts: Vec<Place>,
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
        let mut walk = Walk { still: self, asker, contacts: Vec::new(), timeouts: 0, known_dead: Vec::new() };
        let question = Question { target, named: false, path: Vec::new() };
        let owner = walk.visit(asker, question).map(|found| self.ring.place(&found.owner));
        Route { owner, contacts: walk.contacts, timeouts: walk.timeouts }
    }
}

/// A lookup under way.
struct Walk<'a> {
    still: &'a Still<'a>,
    asker: Place,
    contacts: Vec<Place>,
    timeouts: u32,
    /// In an iterative lookup: what the asker found out.
    known_dead: Vec<NodeName>,
}

impl Walk<'_> {
    /// What the node at `place` answers.
    fn visit(&mut self, place: Place, question: Question) -> Result<Found, Failure> {
        let view = &self.still.ring.views()[place];
        let mut lookup = Lookup::new(question);
        for dead in &self.known_dead {
            lookup.failed(dead, &Failure::Silent);
        }
        loop {
            let (peer, question) = match lookup.step(view) {
                Step::Here(found) => return Ok(found),
                Step::Stuck(refusal) => return Err(refusal.into()),
                Step::Ask { peer, question } => self.nearest(place, peer, question),
            };
            match self.ask(&peer, question) {
                Ok(found) => return Ok(lookup.answered(view, &peer, found)),
                Err(failure) => lookup.failed(&peer.name, &failure),
            }
        }
    }

    fn ask(&mut self, peer: &Peer, question: Question) -> Result<Found, Failure> {
        let place = self.still.ring.place(peer);
        if self.still.is_dead(place) {
            self.timeouts += 1;
            if self.still.style == Style::Iterative {
                self.known_dead.push(peer.name.clone());
            }
            return Err(Failure::Silent);
        }
        self.contacts.push(place);
        if question.named && self.still.ending == Ending::Believed {
            return Ok(Found { owner: peer.clone(), hops: 0, path: Vec::new() });
        }
        self.visit(place, question)
    }

    /// The nearest of `peer` and those of its successors that precede the target; the owner, if it is among them.
    fn nearest(&self, place: Place, peer: Peer, question: Question) -> (Peer, Question) {
        let Some(nearness) = self.still.nearness.filter(|_| !question.named) else { return (peer, question) };
        let (views, target) = (self.still.ring.views(), question.target);
        let from = match self.still.style {
            Style::Recursive => place,
            Style::Iterative => self.asker,
        };
        let known = views[self.still.ring.place(&peer)].successors();
        if let Some(owner) = known.at_or_after(peer.position, target).first() {
            return (owner.clone(), Question { named: true, ..question });
        }
        let preceding =
            known.as_slice().iter().take_while(|next| between(peer.position, next.position, target));
        let away = |peer: &&Peer| nearness(from, self.still.ring.place(peer));
        let nearest = preceding.chain([&peer]).min_by(|a, b| away(a).total_cmp(&away(b)));
        (nearest.unwrap_or(&peer).clone(), question)
    }
}
