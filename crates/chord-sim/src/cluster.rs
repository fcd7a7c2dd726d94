//! A ring of real nodes in one thread, driven by hand: what happens, and in which order, is up to the caller.
//!
//! There is no clock. Time passes in maintenance rounds, of one node or of all; a deadline passes at once when a node is
//! asked that cannot answer. Messages arrive with the input that they follow from, the oldest first, or wait to be
//! delivered one by one and in any order.

mod delivery;

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::{
    Answer, Command, CommandError, Config, Event, Failure, Incarnation, Input, Node, NodeName, Peer, Purpose,
    Request, RequestId, Token, Wake, is_ideal,
};

use crate::numbered::{name, peer, peers};
use crate::{Incoming, Loss, Oracle};

/// The incarnations that a node counts through itself, within one life, are fewer than these.
const LIFE: u64 = 1_000;

/// What is on its way between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// One node asks another.
    Request {
        /// What the asker will know the answer by.
        id: RequestId,
        /// The asker.
        from: NodeName,
        /// Whom it asks.
        to: NodeName,
        /// What it asks.
        request: Request,
    },
    /// The asker hears how its request ended: with an answer, or with a wait in vain.
    Answer {
        /// What the asker knows the answer by.
        id: RequestId,
        /// Who was asked.
        from: NodeName,
        /// The asker.
        to: NodeName,
        /// What it will hear.
        answer: Result<Answer, Failure>,
    },
}

impl Message {
    /// Who it comes from.
    pub fn from(&self) -> &NodeName {
        match self {
            Self::Request { from, .. } | Self::Answer { from, .. } => from,
        }
    }

    /// Who it goes to.
    pub fn to(&self) -> &NodeName {
        match self {
            Self::Request { to, .. } | Self::Answer { to, .. } => to,
        }
    }
}

/// A ring of real [`Node`]s in one thread, driven by hand.
///
/// Most nodes are called by their positions, as in [`crate::numbered`]; any name will do.
/// What is done to a node that is not there does nothing.
#[derive(Clone, Debug)]
pub struct Cluster {
    config: Config,
    nodes: BTreeMap<NodeName, Node>,
    frozen: BTreeSet<NodeName>,
    /// Pairs (from, to) between which nothing gets through.
    cut: BTreeSet<(NodeName, NodeName)>,
    in_flight: Vec<Message>,
    is_held: bool,
    n_requests: usize,
    outcomes: BTreeMap<Token, Result<(), CommandError>>,
    events: Vec<(NodeName, Event)>,
    /// The tokens of those that are leaving: each is gone when its farewells are over.
    leaving: BTreeMap<Token, NodeName>,
    /// How many lives a name has begun. An answer to an earlier one reaches nobody.
    lives: BTreeMap<NodeName, u64>,
    /// Those whose join rests until it is tried again.
    resting: BTreeSet<NodeName>,
    tokens: u64,
}

impl Cluster {
    /// No nodes yet; all that come will be configured so.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            nodes: BTreeMap::new(),
            frozen: BTreeSet::new(),
            cut: BTreeSet::new(),
            in_flight: Vec::new(),
            is_held: false,
            n_requests: 0,
            outcomes: BTreeMap::new(),
            events: Vec::new(),
            leaving: BTreeMap::new(),
            lives: BTreeMap::new(),
            resting: BTreeSet::new(),
            tokens: 0,
        }
    }

    /// The ideal ring of the nodes at these positions.
    pub fn ideal(config: Config, positions: &[u64]) -> Self {
        let mut cluster = Self::new(config);
        cluster.place_ideal(positions);
        cluster
    }

    /// Adds members at these positions that are an ideal ring among themselves.
    pub fn place_ideal(&mut self, positions: &[u64]) {
        let sorted: BTreeSet<u64> = positions.iter().copied().collect();
        for at in &sorted {
            let after = sorted.range(at..).skip(1).chain(sorted.range(..at)).copied();
            let list: Vec<u64> = after.collect();
            self.place(*at, &list, list.last().copied());
        }
    }

    /// Adds a member in a chosen state, or puts it in that state: `at: list, predecessor`.
    pub fn place(&mut self, at: u64, list: &[u64], predecessor: Option<u64>) {
        self.place_peer(peer(at), &peers(list), predecessor.map(peer));
    }

    /// The same for a member of any name.
    pub fn place_peer(&mut self, me: Peer, list: &[Peer], predecessor: Option<Peer>) {
        let incarnation = self.begin_life(&me.name);
        let name = me.name.clone();
        self.nodes.insert(name, Node::member(self.config.clone(), me, incarnation, predecessor, list));
    }

    /// Adds a node that is in no ring.
    pub fn add(&mut self, me: Peer) {
        let incarnation = self.begin_life(&me.name);
        self.nodes.insert(me.name.clone(), Node::new(self.config.clone(), me, incarnation));
    }

    fn begin_life(&mut self, name: &NodeName) -> Incarnation {
        self.remove(name);
        let life = self.lives.entry(name.clone()).or_default();
        *life += 1;
        Incarnation(*life * LIFE)
    }

    /// A new node founds a ring.
    pub fn create(&mut self, at: u64) -> Token {
        self.add(peer(at));
        self.command(&name(at), Command::Create)
    }

    /// A new node begins to join through `contact`. The join may rest for a while: see [`Cluster::retry_join`].
    pub fn join(&mut self, at: u64, contact: u64) -> Token {
        self.add(peer(at));
        self.command(&name(at), Command::Join(name(contact)))
    }

    /// A node crashes: all that it knew is lost, and its host refuses connections.
    pub fn fail(&mut self, at: u64) {
        self.remove(&name(at));
    }

    /// The same for a node of any name.
    pub fn remove(&mut self, name: &NodeName) {
        self.nodes.remove(name);
        self.frozen.remove(name);
        self.resting.remove(name);
        // What it has asked still arrives, but nobody waits for the answers.
        self.in_flight.retain(|message| !matches!(message, Message::Answer { to, .. } if to == name));
    }

    /// A node leaves its ring in good order; it is gone when its farewells are answered.
    pub fn leave(&mut self, at: u64) -> Token {
        let token = self.token();
        self.leaving.insert(token, name(at));
        self.input(&name(at), Input::Command(token, Command::Leave));
        token
    }

    /// A node freezes: it refuses nothing and answers nothing, until it thaws.
    pub fn freeze(&mut self, name: &NodeName) {
        if self.nodes.contains_key(name) {
            self.frozen.insert(name.clone());
        }
    }

    /// A frozen node goes on where it was.
    pub fn thaw(&mut self, name: &NodeName) {
        self.frozen.remove(name);
        self.settle_unless_held();
    }

    /// From now on nothing gets from `one` to the `other`, nor back.
    pub fn cut_off(&mut self, one: u64, other: u64) {
        self.cut.insert((name(one), name(other)));
        self.cut.insert((name(other), name(one)));
    }

    /// Everything gets through again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Tells a node what an operator would. What became of it is the [`Cluster::outcome`] of the token.
    pub fn command(&mut self, node: &NodeName, command: Command) -> Token {
        let token = self.token();
        self.input(node, Input::Command(token, command));
        token
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// Another attempt of a join that rests.
    pub fn retry_join(&mut self, at: u64) {
        if self.resting.remove(&name(at)) {
            self.input(&name(at), Input::Wake(Wake::RetryJoin));
        }
    }

    /// One maintenance round of one node.
    pub fn maintain(&mut self, at: u64) {
        self.input(&name(at), Input::Wake(Wake::Maintain));
    }

    /// One maintenance round of every node, in the order of their names: of positions that is any order. How soon a ring
    /// is in order depends on it; in the order of the positions themselves, news goes round slowest.
    pub fn round(&mut self) {
        for node in self.nodes.keys().cloned().collect::<Vec<_>>() {
            self.turn(&node);
        }
    }

    /// One node's part of a round: its join is tried again if it rests, and it maintains its neighbourhood. One that is
    /// frozen does nothing.
    pub fn turn(&mut self, node: &NodeName) {
        if self.frozen.contains(node) {
            return;
        }
        if self.resting.remove(node) {
            self.input(node, Input::Wake(Wake::RetryJoin));
        }
        self.input(node, Input::Wake(Wake::Maintain));
    }

    /// So many rounds.
    pub fn rounds(&mut self, n_rounds: usize) {
        for _ in 0..n_rounds {
            self.round();
        }
    }

    /// Runs rounds until the ring is ideal, and says how many it took; none if it is not ideal after `rounds_max`.
    #[must_use = "whether the ring became ideal is what was asked"]
    pub fn rounds_to_ideal(&mut self, rounds_max: usize) -> Option<usize> {
        for n_rounds in 0..rounds_max {
            if self.is_ideal() {
                return Some(n_rounds);
            }
            self.round();
        }
        self.is_ideal().then_some(rounds_max)
    }

    /// Whether all nodes together are the ideal ring.
    pub fn is_ideal(&self) -> bool {
        is_ideal(self.nodes.values().map(Node::view))
    }

    /// What every node of it is configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The node at that position.
    pub fn node(&self, at: u64) -> Option<&Node> {
        self.named(&name(at))
    }

    /// The node of that name.
    pub fn named(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// All nodes, in the order of their names.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.values()
    }

    /// All nodes, to do to them what the cluster does not. Whoever feeds a node drains it.
    pub fn nodes_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Node> {
        self.nodes.values_mut()
    }

    /// The frozen nodes.
    pub fn frozen(&self) -> &BTreeSet<NodeName> {
        &self.frozen
    }

    /// How a command has ended, if it has.
    pub fn outcome(&self, token: Token) -> Option<&Result<(), CommandError>> {
        self.outcomes.get(&token)
    }

    /// All that has been reported by nodes, the oldest first.
    pub fn events(&self) -> &[(NodeName, Event)] {
        &self.events
    }

    /// How many requests have been carried so far.
    pub fn n_requests(&self) -> usize {
        self.n_requests
    }

    /// The ring as it is seen from outside, with what is on its way.
    pub fn oracle(&self) -> Oracle<'_> {
        let answers = self.in_flight.iter().filter_map(|message| match message {
            Message::Answer { id, from, to, answer } => Some((id.purpose, from, self.nodes.get(to)?, answer)),
            Message::Request { .. } => None,
        });
        let incoming = answers.clone().filter_map(|(purpose, _, to, answer)| match answer {
            Ok(Answer::State(state)) if Incoming::may_store(to.view(), purpose) => {
                Some(Incoming { to: to.view(), state })
            }
            Ok(_) | Err(_) => None,
        });
        let losses = answers
            .filter(|(purpose, .., answer)| *purpose == Purpose::Ring && answer.is_err())
            .map(|(_, peer, to, _)| Loss { to: &to.view().me().name, peer });
        Oracle::new(self.nodes.values().map(Node::view))
            .with_asleep(&self.frozen)
            .with_in_flight(incoming, losses)
    }

    /// Everything that there is, for the report of a check that failed.
    pub fn describe(&self) -> String {
        let line = |node: &Node| {
            let view = node.view();
            let (me, phase) = (view.me(), view.phase());
            format!("{me} {phase:?} {:?} p {:?}", view.successors().as_slice(), view.predecessor())
        };
        let messages = self.in_flight.iter().map(|message| format!("{message:?}"));
        self.nodes.values().map(line).chain(messages).collect::<Vec<_>>().join("\n")
    }
}
