//! What the properties need to know of one position, in a few bytes: sets of positions as bits, seen from itself.

use chord_ring::{Answer, Failure, Node, Peer, Phase, Purpose, State, between};

use super::local::Open;
use super::positions::Positions;
use crate::Incoming;

/// A set of positions, one bit each.
pub(super) type Set = u8;

/// What is at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// No process.
    Empty,
    /// A process that is no member yet.
    Joining,
    /// A member.
    Member,
    /// A process that has said farewell and waits for the answers.
    Leaving,
}

/// Most requests that one node can have open: one of each purpose.
const OPEN_MAX: usize = 6;

/// What a position contributes to the state of the ring.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) place: Place,
    /// The successor list, nearest first.
    pub(super) list: Vec<u8>,
    pub(super) predecessor: Option<u8>,
    /// Whom the list, read after the node itself, passes over: stored or on its way to here.
    pub(super) skips: Set,
    /// The same, only what is stored.
    pub(super) stored_skips: Set,
    /// Whom this node will give up when it hears what is on its way to it.
    pub(super) gives_up: Set,
    /// Of each of these sets somebody must live: what is left of the list, and what is on its way to become the list.
    pub(super) links: Vec<Set>,
    /// What is asked or answered.
    pub(super) open: Vec<(Purpose, Open)>,
    /// Whom the node remembers and does not have for a neighbour.
    pub(super) remembered: Set,
    /// Whom the node asks something, or hears from.
    pub(super) asked: Set,
    /// How many requests of a node that is gone are still on their way.
    pub(super) n_late: u8,
    pub(super) broken: Option<&'static str>,
}

impl Facts {
    pub(super) fn new(
        positions: &Positions,
        node: Option<&Node>,
        open: &[(Purpose, Open)],
        answer_of: impl Fn(u32) -> Result<Answer, Failure>,
    ) -> Self {
        assert!(open.len() <= OPEN_MAX, "one request of each purpose, not {}", open.len());
        let mut facts = Self {
            place: Place::Empty,
            list: Vec::new(),
            predecessor: None,
            skips: 0,
            stored_skips: 0,
            gives_up: 0,
            links: Vec::new(),
            open: open.to_vec(),
            remembered: 0,
            asked: 0,
            n_late: 0,
            broken: None,
        };
        let Some(node) = node else { return facts };
        let steps = |peer: &Peer| positions.steps_to(&peer.name);
        let view = node.view();
        facts.place = match view.phase() {
            Phase::Idle => Place::Empty,
            Phase::Joining => Place::Joining,
            Phase::Member => Place::Member,
            Phase::Leaving => Place::Leaving,
        };
        let list = view.successors().as_slice();
        facts.list = list.iter().map(|peer| small(steps(peer))).collect();
        facts.predecessor = view.predecessor().map(|peer| small(steps(peer)));
        facts.remembered = set(node.remembered().names().map(|name| positions.steps_to(name)))
            & !set(list.iter().chain(view.predecessor()).map(steps));
        facts.asked = set(open.iter().map(|(_, open)| match open {
            Open::Asked { to: peer, .. } | Open::Answered { from: peer, .. } => usize::from(*peer),
        }));
        if facts.place == Place::Member {
            facts.stored_skips = skipped(positions, view.me(), list);
            facts.skips = facts.stored_skips;
        }
        if matches!(facts.place, Place::Member | Place::Joining) {
            facts.count_what_is_on_its_way(positions, node, open, answer_of);
        }
        if facts.place == Place::Member {
            let list = set(facts.list.iter().map(|steps| usize::from(*steps)));
            facts.links.push(list & !facts.gives_up);
        }
        facts
    }

    fn count_what_is_on_its_way(
        &mut self,
        positions: &Positions,
        node: &Node,
        open: &[(Purpose, Open)],
        answer_of: impl Fn(u32) -> Result<Answer, Failure>,
    ) {
        let is_alone = self.list.is_empty();
        for (purpose, open) in open {
            let Open::Answered { from, answer } = open else { continue };
            match (purpose, answer_of(*answer)) {
                (_, Ok(Answer::State(state))) if Incoming::may_store(node.view(), *purpose) => {
                    self.skips |= skipped(positions, &state.peer, &state.successors);
                    if is_alone && state.successors.is_empty() {
                        // Who has nobody takes a member that is alone for its head, whoever has come meanwhile.
                        self.skips |= skipped(positions, node.view().me(), std::slice::from_ref(&state.peer));
                    }
                    self.links.extend(link(positions, node, &state));
                }
                (Purpose::Ring, Err(_)) => self.gives_up |= 1 << from,
                _ => {}
            }
        }
    }
}

/// Of whom somebody must live for this node to keep a live successor when it hears `state`, if it stores it.
fn link(positions: &Positions, node: &Node, state: &State) -> Option<Set> {
    let (me, r) = (node.view().me().position, positions.settings().successors());
    let list = state.successors.iter().take_while(|peer| peer.position != me);
    let steps = |peer: &Peer| positions.steps_to(&peer.name);
    let head = state.successors.first().map_or(state.peer.position, |head| head.position);
    let is_before_me = between(state.peer.position, me, head);
    if node.view().phase() == Phase::Joining && !is_before_me {
        return None;
    }
    // Whoever has no list takes that of the member before it as it is; all others put the member before it.
    let is_copied = is_before_me && node.view().successors().is_empty() && !state.successors.is_empty();
    Some(if is_copied {
        set(list.take(r).map(steps))
    } else {
        set(list.take(r - 1).chain([&state.peer]).map(steps))
    })
}

/// Whom `list`, read after `first`, passes over.
fn skipped(positions: &Positions, first: &Peer, list: &[Peer]) -> Set {
    let mut before = first.position;
    let mut skipped = 0;
    for peer in list {
        skipped |=
            set((0..positions.len())
                .filter(|at| between(before, positions.peer(*at).position, peer.position)));
        before = peer.position;
    }
    skipped
}

fn set(steps: impl IntoIterator<Item = usize>) -> Set {
    steps.into_iter().fold(0, |set, steps| set | 1 << steps)
}

fn small(steps: usize) -> u8 {
    u8::try_from(steps).expect("a small ring has few positions")
}
