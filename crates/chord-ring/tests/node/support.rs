//! One node, without a ring around it: what goes in, what must come out.
#![allow(unreachable_pub, reason = "a test has no public items")]

use std::collections::VecDeque;

use chord_ring::*;
pub use chord_sim::numbered::{name, number, peer, peers};

#[path = "../support/cases.rs"]
mod cases;
pub use cases::cases;

pub fn ring_tag(bits: u64) -> RingTag {
    RingTag { name: RingName::default(), size: RingSize::new(bits).unwrap() }
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
        (view.successors().as_slice().iter().map(number).collect(), view.predecessor().map(number))
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
    Ok(Answer::Found(Found { owner: peer(owner), hops, path, after: None, took: Vec::new() }))
}

/// The question that a node puts first when it looks `target` up, by way of `path`.
pub fn find(target: u64, path: &[u64]) -> Request {
    let path = path.iter().copied().map(name).collect();
    Request::FindSuccessor(Question { target: target.into(), named: false, path })
}
