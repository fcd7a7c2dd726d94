//! A ring in one thread: real [`Node`]s, messages that wait to be delivered in any order, time in rounds.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part, and a test may fail by panic"
)]

pub mod oracle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chord_ring::*;
use proptest::test_runner::{Config as Runner, FileFailurePersistence};

/// What is on its way between two nodes.
#[derive(Clone, Debug)]
pub enum Message {
    Request {
        id: RequestId,
        from: NodeName,
        to: NodeName,
        request: Request,
    },
    /// Also the end of a wait in vain.
    Answer {
        id: RequestId,
        from: NodeName,
        to: NodeName,
        answer: Result<Answer, Failure>,
    },
}

pub struct Cluster {
    pub nodes: BTreeMap<NodeName, Node>,
    /// Crashed: the host refuses connections.
    pub dead: BTreeSet<NodeName>,
    /// Frozen: nothing is refused and nothing is answered.
    pub frozen: BTreeSet<NodeName>,
    /// Pairs (from, to) between which nothing gets through.
    pub cut: BTreeSet<(NodeName, NodeName)>,
    pub done: BTreeMap<u64, Result<(), CommandError>>,
    pub events: Vec<(NodeName, Event)>,
    pub messages: usize,
    /// What was sent and has not arrived, the oldest first.
    pub in_flight: Vec<Message>,
    /// Whether messages wait for [`Cluster::deliver`]. Else all that follows from an input is delivered with it.
    pub by_hand: bool,
    /// The tokens of those that are leaving: each is gone when its farewells are over.
    leaving: BTreeMap<u64, NodeName>,
    /// How many lives a name has begun. An answer to an earlier one reaches nobody.
    lives: BTreeMap<NodeName, u64>,
    retry_join: BTreeSet<NodeName>,
    tokens: u64,
    config: Config,
}

/// How often a property is tried: `quick` times, or `CHORD_RING_SOAK` times as often for a long run:
/// `CHORD_RING_SOAK=100 cargo test --release -p chord-ring`. The seed of a failure is printed, and written beside the
/// test, where the next run begins with it.
pub fn cases(quick: u32) -> Runner {
    let factor = std::env::var("CHORD_RING_SOAK").map_or(1, |factor| factor.parse().unwrap());
    let seeds = FileFailurePersistence::WithSource("seeds");
    Runner { failure_persistence: Some(Box::new(seeds)), ..Runner::with_cases(quick * factor) }
}

pub fn ring_tag(bits: u64) -> RingTag {
    RingTag { name: RingName::default(), size: RingSize::new(bits).unwrap() }
}

/// A peer at a chosen position, named after it.
pub fn peer(position: u64) -> Peer {
    Peer { position: position.into(), name: name(position) }
}

pub fn name(position: u64) -> NodeName {
    format!("node{position}:1").parse().unwrap()
}

/// Entry `entry` of a node's whole finger table, from the successor list where that reaches so far.
pub fn finger(view: &View, entry: u16) -> Option<&Peer> {
    let me = view.me().position;
    let start = view.ring().size.finger_start(me, entry);
    view.successors().at_or_after(me, start).first().or_else(|| view.fingers().entry(entry))
}

/// The position of a peer of a small ring.
pub fn short(peer: &Peer) -> u64 {
    let bytes = peer.position.to_be_bytes();
    u64::from_be_bytes(bytes[24..].try_into().unwrap())
}

pub fn peers(positions: &[u64]) -> Vec<Peer> {
    positions.iter().copied().map(peer).collect()
}

/// A node's own incarnations, within one of these, are those of one life.
const LIFE: u64 = 1_000;

impl Cluster {
    pub fn new(bits: u64, successors: u8) -> Self {
        Self {
            nodes: BTreeMap::new(),
            dead: BTreeSet::new(),
            frozen: BTreeSet::new(),
            cut: BTreeSet::new(),
            done: BTreeMap::new(),
            events: Vec::new(),
            messages: 0,
            in_flight: Vec::new(),
            by_hand: false,
            leaving: BTreeMap::new(),
            lives: BTreeMap::new(),
            retry_join: BTreeSet::new(),
            tokens: 0,
            config: Config::new(ring_tag(bits)).with_successors(successors).unwrap(),
        }
    }

    /// The ideal ring of these positions.
    pub fn ideal(bits: u64, successors: u8, positions: &[u64]) -> Self {
        let mut cluster = Self::new(bits, successors);
        let mut sorted = positions.to_vec();
        sorted.sort_unstable();
        let n_nodes = sorted.len();
        for idx in 0..n_nodes {
            let list: Vec<u64> = (1..n_nodes).map(|step| sorted[(idx + step) % n_nodes]).collect();
            cluster.place(sorted[idx], &list, Some(sorted[(idx + n_nodes - 1) % n_nodes]));
        }
        cluster
    }

    /// Adds a member in a chosen state: `at:[list]p predecessor` of `ring.md`.
    pub fn place(&mut self, at: u64, list: &[u64], predecessor: Option<u64>) {
        let node =
            Node::member(self.config.clone(), peer(at), Incarnation(0), predecessor.map(peer), &peers(list));
        self.nodes.insert(name(at), node);
    }

    /// Adds a member of any name in a chosen state.
    pub fn place_peer(&mut self, me: &Peer, list: &[Peer], predecessor: Option<Peer>) {
        let node = Node::member(self.config.clone(), me.clone(), Incarnation(0), predecessor, list);
        self.nodes.insert(me.name.clone(), node);
    }

    /// Adds a node that is in no ring.
    pub fn add(&mut self, me: Peer) {
        let life = self.lives.entry(me.name.clone()).or_default();
        *life += 1;
        let incarnation = Incarnation(*life * LIFE);
        self.nodes.insert(me.name.clone(), Node::new(self.config.clone(), me, incarnation));
    }

    fn is_alive(&self, name: &NodeName, id: RequestId) -> bool {
        let life = self.lives.get(name).copied().unwrap_or_default();
        self.nodes.contains_key(name) && id.incarnation.0 / LIFE == life
    }

    pub fn command(&mut self, node: &NodeName, command: Command) -> u64 {
        let token = self.token();
        self.input(node, Input::Command(Token(token), command));
        token
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    pub fn create(&mut self, at: u64) {
        self.add(peer(at));
        let token = self.command(&name(at), Command::Create);
        self.done[&token].as_ref().unwrap();
    }

    /// Starts a join. Returns its token.
    pub fn join(&mut self, at: u64, contact: u64) -> u64 {
        self.dead.remove(&name(at));
        self.add(peer(at));
        self.command(&name(at), Command::Join(name(contact)))
    }

    pub fn fail(&mut self, at: u64) {
        self.remove(&name(at));
    }

    fn remove(&mut self, name: &NodeName) {
        self.dead.insert(name.clone());
        self.nodes.remove(name);
        self.frozen.remove(name);
        self.retry_join.remove(name);
        // What it has asked still arrives, but nobody waits for the answers.
        self.in_flight.retain(|message| !matches!(message, Message::Answer { to, .. } if to == name));
    }

    /// Lets a node leave; it is gone when its farewells are answered.
    pub fn leave(&mut self, at: u64) {
        let token = self.token();
        self.leaving.insert(token, name(at));
        self.input(&name(at), Input::Command(Token(token), Command::Leave));
        assert!(self.by_hand || self.done[&token].is_ok(), "{:?}", self.done[&token]);
    }

    /// Another attempt of a join that rests.
    pub fn retry_join(&mut self, at: u64) {
        if self.retry_join.remove(&name(at)) {
            self.input(&name(at), Input::Wake(Wake::RetryJoin));
        }
    }

    /// One maintenance round of one node, with all that follows from it.
    pub fn maintain(&mut self, at: u64) {
        self.input(&name(at), Input::Wake(Wake::Maintain));
    }

    /// One maintenance round of every node, in the order of their names.
    pub fn round(&mut self) {
        for node in self.nodes.keys().cloned().collect::<Vec<_>>() {
            if self.frozen.contains(&node) {
                continue;
            }
            if self.retry_join.remove(&node) {
                self.input(&node, Input::Wake(Wake::RetryJoin));
            }
            self.input(&node, Input::Wake(Wake::Maintain));
        }
    }

    pub fn rounds(&mut self, n_rounds: usize) {
        for _ in 0..n_rounds {
            self.round();
        }
    }

    pub fn node(&self, at: u64) -> &Node {
        &self.nodes[&name(at)]
    }

    /// Successor list and predecessor of a node, as positions.
    pub fn beliefs(&self, at: u64) -> (Vec<u64>, Option<u64>) {
        let view = self.node(at).view();
        (view.successors().as_slice().iter().map(short).collect(), view.predecessor().map(short))
    }

    pub fn is_ideal(&self) -> bool {
        is_ideal(self.nodes.values().map(Node::view))
    }

    /// From now on nothing gets from `one` to the `other`, nor back.
    pub fn cut_off(&mut self, one: u64, other: u64) {
        self.cut.insert((name(one), name(other)));
        self.cut.insert((name(other), name(one)));
    }

    pub fn phase(&self, at: u64) -> Phase {
        self.node(at).view().phase()
    }

    /// Runs rounds until the ring is ideal; returns how many it took.
    pub fn converge(&mut self, rounds_max: usize) -> usize {
        for round in 0..rounds_max {
            if self.is_ideal() {
                return round;
            }
            self.round();
        }
        assert!(self.is_ideal(), "not ideal after {rounds_max} rounds:\n{}", self.describe());
        rounds_max
    }

    pub fn describe(&self) -> String {
        let line = |node: &Node| {
            let view = node.view();
            format!(
                "{} {:?} {:?} p {:?}",
                view.me(),
                view.phase(),
                view.successors().as_slice(),
                view.predecessor()
            )
        };
        let messages = self.in_flight.iter().map(|message| format!("{message:?}"));
        self.nodes.values().map(line).chain(messages).collect::<Vec<_>>().join("\n")
    }

    /// Feeds one input, and unless messages are delivered by hand, all that follows from it.
    pub fn input(&mut self, node: &NodeName, input: Input) {
        self.inputs(vec![(node.clone(), input)]);
    }

    /// Feeds several inputs at one instant: the messages that follow from them mix.
    pub fn inputs(&mut self, inputs: Vec<(NodeName, Input)>) {
        for (node, input) in inputs {
            self.feed(&node, input);
        }
        if !self.by_hand {
            self.settle();
        }
    }

    fn feed(&mut self, at: &NodeName, input: Input) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.handle(input);
        for output in std::iter::from_fn(|| node.poll()).collect::<Vec<_>>() {
            self.act(at, output);
        }
    }

    /// Carries out one effect.
    fn act(&mut self, node: &NodeName, output: Output) {
        match output {
            Output::Send(id, to, request) => {
                self.in_flight.push(Message::Request { id, from: node.clone(), to, request });
            }
            Output::Done(token, result) => {
                self.done.insert(token.0, result);
                if let Some(leaver) = self.leaving.remove(&token.0) {
                    self.remove(&leaver);
                }
            }
            Output::Wake(Wake::RetryJoin, _) => _ = self.retry_join.insert(node.clone()),
            Output::Event(event) => self.events.push((node.clone(), event)),
            // A reply to somebody outside: `deliver` takes those to other nodes.
            Output::Reply(..) | Output::Wake(Wake::Maintain, _) | Output::ViewChanged => {}
        }
    }

    /// Delivers messages, the oldest first, until none is left but those to the frozen.
    pub fn settle(&mut self) {
        while let Some(oldest) = self.deliverable().first() {
            self.deliver(*oldest);
        }
    }

    /// The places of the messages that can be delivered: a frozen node hears its answers when it thaws.
    pub fn deliverable(&self) -> Vec<usize> {
        let waits =
            |message: &Message| matches!(message, Message::Answer { to, .. } if self.frozen.contains(to));
        (0..self.in_flight.len()).filter(|idx| !waits(&self.in_flight[*idx])).collect()
    }

    /// Delivers the message at that place.
    pub fn deliver(&mut self, idx: usize) {
        match self.in_flight.remove(idx) {
            Message::Request { id, from, to, request } => {
                let (answer, later) = self.ask(&from, &to, request);
                if self.is_alive(&from, id) {
                    self.in_flight.push(Message::Answer { id, from: to.clone(), to: from, answer });
                }
                for output in later {
                    self.act(&to, output);
                }
            }
            Message::Answer { id, to, answer, .. } => self.feed(&to, Input::Answer(id, answer)),
        }
    }

    /// Puts a request to a peer: its answer, and what else it wants done.
    fn ask(
        &mut self,
        from: &NodeName,
        to: &NodeName,
        request: Request,
    ) -> (Result<Answer, Failure>, Vec<Output>) {
        self.messages += 1;
        if self.frozen.contains(to) || self.cut.contains(&(from.clone(), to.clone())) {
            return (Err(Failure::Silent), Vec::new());
        }
        let Some(node) = self.nodes.get_mut(to) else { return (Err(Failure::Unreachable), Vec::new()) };
        if let Request::FindSuccessor(question) = request {
            return (self.look_up(to, Lookup::new(question)).map(Answer::Found), Vec::new());
        }
        node.handle(Input::Request(Token(0), Some(self.config.ring().clone()), request));
        let mut reply = Err(Failure::Garbled);
        let mut later = Vec::new();
        while let Some(output) = node.poll() {
            match output {
                Output::Reply(_, answer) => reply = answer.map_err(Failure::Refused),
                other => later.push(other),
            }
        }
        (reply, later)
    }

    /// Runs one lookup at one node to its end.
    pub fn look_up(&mut self, at: &NodeName, mut lookup: Lookup) -> Result<Found, Failure> {
        loop {
            let view = self.nodes[at].view().clone();
            match lookup.step(&view) {
                Step::Here(found) => return Ok(found),
                Step::Stuck(refusal) => return Err(Failure::Refused(refusal)),
                Step::Ask { peer, question } => {
                    assert_ne!(peer.name, *at, "a node forwards to itself");
                    // The asker stands in the path without having been asked.
                    let asked = question.path.get(1..).unwrap_or_default();
                    assert!(!asked.contains(&peer.name), "{} is asked twice: {:?}", peer.name, question.path);
                    match self.ask(at, &peer.name, Request::FindSuccessor(question)).0 {
                        Ok(Answer::Found(found)) => return Ok(lookup.answered(&view, &peer, found)),
                        Ok(other) => panic!("{other:?} is no answer to a lookup"),
                        Err(failure) => lookup.failed(&peer.name, &failure),
                    }
                }
            }
        }
    }
}

/// One node driven by hand: each input, then each expected effect in order, then nothing.
pub struct Solo {
    pub node: Node,
    pub incarnation: Incarnation,
    outputs: VecDeque<Output>,
}

impl Solo {
    pub fn new(node: Node) -> Self {
        Self { node, incarnation: Incarnation(0), outputs: VecDeque::new() }
    }

    /// A node in no ring, on a ring of 256 positions.
    pub fn idle(at: u64) -> Self {
        let config = Config::new(ring_tag(8)).with_successors(2).unwrap();
        Self::new(Node::new(config, peer(at), Incarnation(0)))
    }

    /// A member in a chosen state, on a ring of 256 positions.
    pub fn member(at: u64, list: &[u64], predecessor: Option<u64>) -> Self {
        Self::member_of(ring_tag(8), 2, at, list, predecessor)
    }

    pub fn member_of(ring: RingTag, successors: u8, at: u64, list: &[u64], predecessor: Option<u64>) -> Self {
        let config = Config::new(ring).with_successors(successors).unwrap();
        Self::new(Node::member(config, peer(at), Incarnation(0), predecessor.map(peer), &peers(list)))
    }

    /// The list and the predecessor, as positions.
    pub fn beliefs(&self) -> (Vec<u64>, Option<u64>) {
        let view = self.node.view();
        (view.successors().as_slice().iter().map(short).collect(), view.predecessor().map(short))
    }

    pub fn feed(&mut self, input: Input) {
        self.end();
        self.node.handle(input);
        while let Some(output) = self.node.poll() {
            self.outputs.push_back(output);
        }
    }

    pub fn command(&mut self, command: Command) {
        self.feed(Input::Command(Token(7), command));
    }

    pub fn request(&mut self, request: Request) {
        let ring = self.node.view().ring().clone();
        self.feed(Input::Request(Token(9), Some(ring), request));
    }

    pub fn answer(&mut self, purpose: Purpose, answer: Result<Answer, Failure>) {
        self.feed(Input::Answer(RequestId { incarnation: self.incarnation, purpose }, answer));
    }

    pub fn maintain(&mut self) {
        self.feed(Input::Wake(Wake::Maintain));
    }

    pub fn expect(&mut self, expected: &Output) {
        assert_eq!(self.outputs.pop_front().as_ref(), Some(expected), "and then {:?}", self.outputs);
    }

    pub fn expect_send(&mut self, purpose: Purpose, to: u64, request: Request) {
        let id = RequestId { incarnation: self.incarnation, purpose };
        self.expect(&Output::Send(id, name(to), request));
    }

    pub fn expect_reply(&mut self, reply: Result<Answer, Refusal>) {
        self.expect(&Output::Reply(Token(9), reply));
    }

    pub fn expect_done(&mut self, result: Result<(), CommandError>) {
        self.expect(&Output::Done(Token(7), result));
    }

    pub fn expect_event(&mut self, event: Event) {
        self.expect(&Output::Event(event));
    }

    pub fn expect_head(&mut self, head: Option<u64>) {
        self.expect_event(Event::SuccessorChanged(head.map(peer)));
    }

    pub fn expect_predecessor(&mut self, predecessor: Option<u64>) {
        self.expect_event(Event::PredecessorChanged(predecessor.map(peer)));
    }

    pub fn expect_wake(&mut self, wake: Wake, pause: std::time::Duration) {
        self.expect(&Output::Wake(wake, pause));
    }

    pub fn expect_view(&mut self) {
        self.expect(&Output::ViewChanged);
    }

    /// Takes all effects that were not looked at.
    pub fn drain(&mut self) -> Vec<Output> {
        self.outputs.drain(..).collect()
    }

    /// Asserts that no effect is left.
    pub fn end(&mut self) {
        assert!(self.outputs.is_empty(), "left over: {:?}", self.outputs);
    }
}

/// The answer to `GetState` of a member of a ring of 256 positions.
#[expect(clippy::unnecessary_wraps, reason = "as `Input::Answer` takes it")]
pub fn state(at: u64, list: &[u64], predecessor: Option<u64>) -> Result<Answer, Failure> {
    Ok(Answer::State(State {
        peer: peer(at),
        predecessor: predecessor.map(peer),
        successors: peers(list),
        ring_size: Some(RingSize::new(8).unwrap()),
    }))
}

/// The answer to `Ping` of a member of a ring of 256 positions.
#[expect(clippy::unnecessary_wraps, reason = "as `Input::Answer` takes it")]
pub fn pong(at: u64) -> Result<Answer, Failure> {
    Ok(Answer::Pong(Pong { peer: peer(at), member: true, ring: Some(ring_tag(8)) }))
}

/// The answer to `Ping` of a node that leaves a ring of 256 positions.
#[expect(clippy::unnecessary_wraps, reason = "as `Input::Answer` takes it")]
pub fn leaving(at: u64) -> Result<Answer, Failure> {
    Ok(Answer::Pong(Pong { peer: peer(at), member: false, ring: Some(ring_tag(8)) }))
}

/// The answer to `FindSuccessor`, by way of `path`.
#[expect(clippy::unnecessary_wraps, reason = "as `Input::Answer` takes it")]
pub fn found(owner: u64, path: &[u64]) -> Result<Answer, Failure> {
    let path: Vec<NodeName> = path.iter().copied().map(name).collect();
    let hops = u32::try_from(path.len()).unwrap() - 1;
    Ok(Answer::Found(Found { owner: peer(owner), hops, path }))
}

/// The question that a node puts first when it looks `target` up, by way of `path`.
pub fn find(target: u64, path: &[u64]) -> Request {
    let path = path.iter().copied().map(name).collect();
    Request::FindSuccessor(Question { target: target.into(), named: false, path })
}
