//! The positions of a small ring, as each of its nodes sees them: itself 0, the next position 1, and so on round.
//!
//! Nodes are compared, and remembered, in these terms of their own. So nodes that are in the same situation at different
//! positions are the same, and a ring that is turned by some positions is the same list of them, turned.

use chord_ring::{
    Answer, Config, Failure, Found, NodeName, Peer, Pong, Position, Question, Request, RingName, RingSize,
    RingTag, State,
};

use super::{CheckError, NODES_MAX};

/// Bits of the ring: room for [`NODES_MAX`] positions, and for a lookup to pass all of them.
const BITS: u64 = 8;

/// A ring of so many positions, seen from one of them.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    config: Config,
    /// The peer so many positions on.
    peers: Vec<Peer>,
}

impl Positions {
    /// `origin` is where everybody sees itself. All must lead to the same results: only the order of positions counts.
    pub(super) fn new(config: Config, n_positions: usize, origin: usize) -> Result<Self, CheckError> {
        if !(1..=NODES_MAX).contains(&n_positions) {
            return Err(CheckError::Nodes(n_positions));
        }
        let peer = |steps: usize| {
            let position = (origin + steps) % n_positions;
            Peer { position: Position::from(position as u64), name: name(steps) }
        };
        Ok(Self { config, peers: (0..n_positions).map(peer).collect() })
    }

    /// The settings of every node on the small rings that are checked.
    pub(super) fn config(successors: u8) -> Result<Config, CheckError> {
        let size = RingSize::new(BITS).map_err(|_| CheckError::Successors(successors))?;
        let ring = RingTag { name: RingName::default(), size };
        Config::new(ring).with_successors(successors).map_err(|_| CheckError::Successors(successors))
    }

    /// The settings of every node.
    pub(super) fn settings(&self) -> &Config {
        &self.config
    }

    /// How many positions there are.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The peer `steps` positions on.
    pub(super) fn peer(&self, steps: usize) -> &Peer {
        &self.peers[steps % self.len()]
    }

    /// How many positions on the peer of that name is.
    pub(super) fn steps_to(&self, name: &NodeName) -> usize {
        let found = self.peers.iter().position(|peer| peer.name == *name);
        found.expect("nobody on this ring has heard of other nodes")
    }

    /// How many positions on `position` is. What lies between the last position and the first belongs to the first.
    pub(super) fn steps_to_position(&self, position: Position) -> usize {
        let is_at = |position: Position| self.peers.iter().position(|peer| peer.position == position);
        is_at(position).or_else(|| is_at(Position::ZERO)).expect("every ring has a first position")
    }

    /// What one node says, in the words of the one `by` positions after it.
    pub(super) fn turn_request(&self, request: &Request, by: usize) -> Request {
        match request {
            Request::Ping | Request::GetState | Request::ForgetPredecessor => request.clone(),
            Request::Notify { from } => Request::Notify { from: self.turn(from, by) },
            Request::Leave { from, predecessor, successors } => Request::Leave {
                from: self.turn(from, by),
                predecessor: predecessor.as_ref().map(|peer| self.turn(peer, by)),
                successors: self.turn_all(successors, by),
            },
            Request::FindSuccessor(question) => Request::FindSuccessor(self.turn_question(question, by)),
        }
    }

    /// The same for an answer.
    pub(super) fn turn_answer(&self, answer: &Result<Answer, Failure>, by: usize) -> Result<Answer, Failure> {
        Ok(match answer.clone()? {
            Answer::Done => Answer::Done,
            Answer::Pong(pong) => Answer::Pong(Pong { peer: self.turn(&pong.peer, by), ..pong }),
            Answer::State(state) => Answer::State(State {
                peer: self.turn(&state.peer, by),
                predecessor: state.predecessor.as_ref().map(|peer| self.turn(peer, by)),
                successors: self.turn_all(&state.successors, by),
                ..state
            }),
            Answer::Found(found) => Answer::Found(self.turn_found(&found, by)),
        })
    }

    pub(super) fn turn_question(&self, question: &Question, by: usize) -> Question {
        let target = self.steps_to_position(question.target) + self.len() - by;
        Question {
            target: self.peer(target).position,
            named: question.named,
            path: question.path.iter().map(|name| self.turn_name(name, by)).collect(),
        }
    }

    pub(super) fn turn_found(&self, found: &Found, by: usize) -> Found {
        let path = found.path.iter().map(|name| self.turn_name(name, by)).collect();
        // Of all this the node reads the owner alone.
        Found { owner: self.turn(&found.owner, by), hops: found.hops, path, after: None, took: Vec::new() }
    }

    fn turn_name(&self, name: &NodeName, by: usize) -> NodeName {
        self.peer(self.steps_to(name) + self.len() - by).name.clone()
    }

    fn turn(&self, peer: &Peer, by: usize) -> Peer {
        self.peer(self.steps_to(&peer.name) + self.len() - by).clone()
    }

    fn turn_all(&self, peers: &[Peer], by: usize) -> Vec<Peer> {
        peers.iter().map(|peer| self.turn(peer, by)).collect()
    }
}

fn name(steps: usize) -> NodeName {
    format!("n{steps}:1").parse().expect("a letter and digits are a host name")
}
