//! What can be at one position, and what becomes of it: the shipped [`Node`], run once for each state and input.
//!
//! A node is a deterministic state machine, so what it makes of an input is looked up the next time. All that a checker
//! does on top is to carry messages.

use std::rc::Rc;

use chord_ring::{
    Answer, Command, Failure, Found, Incarnation, Input, Node, Output, Peer, Phase, Pong, Purpose, Request,
    RequestId, Token, Wake,
};
use rustc_hash::FxHashMap;

use super::Answers;
use super::facts::Facts;
use super::interner::Interner;
use super::positions::Positions;
use super::shorten::shortened;

/// A request of a node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Open {
    /// On its way to the node `to` positions on.
    Asked { to: u8, request: u32 },
    /// The answer, or that there is none, is on its way back.
    Answered { from: u8, answer: u32 },
}

/// All there is at one position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Local {
    node: Option<Node>,
    /// What the node has asked, by purpose.
    open: Vec<(Purpose, Open)>,
    /// Messages that matter to others, of a node that is gone: to whom, and what.
    late: Vec<(u8, u32)>,
    /// The rule that the node itself found broken.
    broken: Option<&'static str>,
}

/// What can happen to one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    /// The node is asked, by the one so many positions before it.
    Serve { request: u32, by: u8 },
    /// Its request has reached the peer.
    Take { purpose: Purpose, answer: u32 },
    /// It hears the answer.
    Hear { purpose: Purpose },
    /// A round of maintenance.
    Maintain,
    /// A round in which it is the turn of this remembered peer.
    MaintainWithTurn { of: u8 },
    /// A new node that will read the list of this member, to join after it.
    Join { before: u8 },
    /// The node says farewell.
    Leave,
    /// The process ends.
    Fail,
    /// The first late message has arrived.
    DropLate,
}

/// The states that a position can be in, by number, and their transitions.
pub(super) struct Locals {
    positions: Positions,
    /// Whether nodes remember peers.
    memory: bool,
    states: Interner<Local>,
    facts: Vec<Facts>,
    requests: Interner<Request>,
    /// What each request is, by its number.
    kinds: Vec<Kind>,
    answers: Interner<Result<Answer, Failure>>,
    /// What becomes of each state by each act, and the answer given, by [`key`].
    made: FxHashMap<u64, (u32, u32)>,
    n_merges: usize,
    /// What is on its way of an answer.
    answers_as: Answers,
}

/// The number of a position where nothing is.
pub(super) const EMPTY: u32 = 0;

/// What is known by the name of an answer where there is none.
const NO_ANSWER: u32 = u32::MAX;

impl Locals {
    pub(super) fn new(positions: Positions, memory: bool, answers_as: Answers) -> Self {
        let mut locals = Self {
            positions,
            memory,
            states: Interner::new(),
            facts: Vec::new(),
            requests: Interner::new(),
            kinds: Vec::new(),
            answers: Interner::new(),
            made: FxHashMap::default(),
            n_merges: 0,
            answers_as,
        };
        let empty = locals.number(Local::default());
        assert_eq!(empty, EMPTY, "what comes first has the first number");
        locals
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// How many states of one position were met.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// How often the shipped code was run.
    pub(super) fn n_runs(&self) -> usize {
        self.made.len()
    }

    /// In how many states a node took a member of another ring for its head, because a peer that it remembers led it there.
    pub(super) fn n_merges(&self) -> usize {
        self.n_merges
    }

    pub(super) fn facts(&self, local: u32) -> &Facts {
        &self.facts[local as usize]
    }

    /// The node of this state.
    pub(super) fn node(&self, local: u32) -> Option<&Node> {
        self.states.value(local).node.as_ref()
    }

    /// The number of a request in a node's own words.
    pub(super) fn request_number(&mut self, request: Request) -> u32 {
        let kind = Kind::of(&request);
        let number = self.requests.number(request);
        if number as usize == self.kinds.len() {
            self.kinds.push(kind);
        }
        number
    }

    /// What a request is.
    pub(super) fn kind(&self, request: u32) -> Kind {
        self.kinds[request as usize]
    }

    /// Whether the node's question for that purpose is on its way to the one `steps` positions on, for its state.
    pub(super) fn asks(&self, local: u32, purpose: Purpose, steps: usize) -> bool {
        self.facts(local).open.iter().any(|(open, what)| {
            *open == purpose
                && matches!(what, Open::Asked { to, request }
                    if usize::from(*to) == steps && self.kind(*request) == Kind::State)
        })
    }

    pub(super) fn request(&self, number: u32) -> &Request {
        self.requests.value(number)
    }

    pub(super) fn answer(&self, number: u32) -> &Result<Answer, Failure> {
        self.answers.value(number)
    }

    /// The first of the late messages.
    pub(super) fn late(&self, local: u32) -> Option<(u8, u32)> {
        self.states.value(local).late.first().copied()
    }

    /// A member in a chosen state, given by the steps to its neighbours.
    pub(super) fn member(&mut self, predecessor: Option<usize>, list: &[usize]) -> u32 {
        let peers: Vec<Peer> = list.iter().map(|steps| self.positions.peer(*steps).clone()).collect();
        let predecessor = predecessor.map(|steps| self.positions.peer(steps).clone());
        let me = self.positions.peer(0).clone();
        let node = Node::member(self.positions.settings().clone(), me, Incarnation(0), predecessor, &peers);
        self.number(Local { node: Some(node.timeless()), ..Local::default() })
    }

    /// The founder of a ring.
    pub(super) fn founder(&mut self) -> u32 {
        let mut local = Local { node: Some(self.idle()), ..Local::default() };
        self.feed(&mut local, Input::Command(Token(0), Command::Create));
        self.number(local)
    }

    /// The same, but it remembers these peers.
    pub(super) fn remembering(&mut self, local: u32, peers: &[usize]) -> u32 {
        let mut local = Local::clone(self.states.value(local));
        for steps in peers {
            let name = self.positions.peer(*steps).name.clone();
            self.feed(&mut local, Input::Command(Token(0), Command::Remember(name)));
        }
        self.number(local)
    }

    /// What the node makes of a request of the one `by` positions before it, and its answer in the asker's words.
    pub(super) fn serve(&mut self, local: u32, request: u32, by: usize) -> (u32, u32) {
        let by = u8::try_from(by).expect("a small ring has few positions");
        self.make(local, Act::Serve { request, by })
    }

    /// The answer, in the words of the asker, to a request that reaches nobody.
    pub(super) fn nobody_there(&mut self) -> u32 {
        self.answers.number(Err(Failure::Unreachable))
    }

    /// The answer to a lookup.
    pub(super) fn found(&mut self, found: Result<Found, Failure>) -> u32 {
        self.answers.number(found.map(Answer::Found))
    }

    pub(super) fn take(&mut self, local: u32, purpose: Purpose, answer: u32) -> u32 {
        self.make(local, Act::Take { purpose, answer }).0
    }

    pub(super) fn hear(&mut self, local: u32, purpose: Purpose) -> u32 {
        self.make(local, Act::Hear { purpose }).0
    }

    pub(super) fn maintain(&mut self, local: u32) -> u32 {
        self.make(local, Act::Maintain).0
    }

    pub(super) fn maintain_with_turn(&mut self, local: u32, of: u8) -> u32 {
        self.make(local, Act::MaintainWithTurn { of }).0
    }

    /// A new process that is about to read the list of the member `before` positions on.
    pub(super) fn join(&mut self, local: u32, before: usize) -> u32 {
        let before = u8::try_from(before).expect("a small ring has few positions");
        self.make(local, Act::Join { before }).0
    }

    pub(super) fn leave(&mut self, local: u32) -> u32 {
        self.make(local, Act::Leave).0
    }

    pub(super) fn fail(&mut self, local: u32) -> u32 {
        self.make(local, Act::Fail).0
    }

    pub(super) fn drop_late(&mut self, local: u32) -> u32 {
        self.make(local, Act::DropLate).0
    }

    fn make(&mut self, local: u32, act: Act) -> (u32, u32) {
        let key = key(local, act);
        if let Some(made) = self.made.get(&key) {
            return *made;
        }
        let made = self.run(local, act);
        self.made.insert(key, made);
        made
    }

    fn run(&mut self, local: u32, act: Act) -> (u32, u32) {
        let mut local = Local::clone(self.states.value(local));
        let mut answer = NO_ANSWER;
        match act {
            Act::Serve { request, by } => answer = self.run_serve(&mut local, request, by.into()),
            Act::Take { purpose, answer } => {
                Self::run_take(&mut local, purpose, answer);
                if self.answers_as == Answers::Shortened {
                    self.shorten(&mut local);
                }
            }
            Act::Hear { purpose } => self.run_hear(&mut local, purpose),
            Act::Maintain => _ = self.feed(&mut local, Input::Wake(Wake::Maintain)),
            Act::MaintainWithTurn { of } => {
                let name = self.positions.peer(of.into()).name.clone();
                local.node = local.node.map(|node| node.with_turn_of(&name));
                self.feed(&mut local, Input::Wake(Wake::Maintain));
            }
            Act::Join { before } => self.run_join(&mut local, before.into()),
            Act::Leave => {
                self.hang_up(&mut local);
                self.feed(&mut local, Input::Command(Token(0), Command::Leave));
            }
            Act::Fail => {
                self.hang_up(&mut local);
                local.node = None;
            }
            Act::DropLate => _ = local.late.remove(0),
        }
        (self.number(local), answer)
    }

    fn run_serve(&mut self, local: &mut Local, request: u32, by: usize) -> u32 {
        let request = self.positions.turn_request(self.requests.value(request), by);
        let ring = self.positions.settings().ring().clone();
        let reply = self.feed(local, Input::Request(Token(0), Some(ring), request));
        let reply = reply.expect("a node answers every request at once");
        let back = self.positions.len() - by;
        self.answers.number(self.positions.turn_answer(&reply, back))
    }

    fn run_take(local: &mut Local, purpose: Purpose, answer: u32) {
        let open = local.open.iter_mut().find(|(open, _)| *open == purpose);
        let (_, open) = open.expect("what is taken was asked");
        let Open::Asked { to: from, .. } = *open else { panic!("what was answered is not asked any more") };
        *open = Open::Answered { from, answer };
    }

    /// Leaves out of the answer that this node will hear whatever it will not use.
    fn shorten(&mut self, local: &mut Local) {
        let answered = local
            .open
            .iter()
            .position(|(purpose, open)| *purpose == Purpose::Ring && matches!(open, Open::Answered { .. }));
        let (Some(idx), Some(node)) = (answered, local.node.clone()) else { return };
        let (_, Open::Answered { from, answer }) = local.open[idx] else { return };
        if node.view().phase() == Phase::Joining {
            let mut after = local.clone();
            self.run_hear(&mut after, Purpose::Ring);
            if after.node.is_none() {
                *local = after;
                return;
            }
        }
        let answer = shortened(&node, Result::clone(self.answers.value(answer)));
        local.open[idx].1 = Open::Answered { from, answer: self.answers.number(answer) };
    }

    /// The state here that is that state of `others` with shortened answers.
    #[cfg(test)]
    pub(super) fn shortened_from(&mut self, others: &Self, local: u32) -> u32 {
        let mut local = Local::clone(others.states.value(local));
        for (_, open) in &mut local.open {
            *open = match *open {
                Open::Asked { to, request } => {
                    let request = others.requests.value(request).as_ref().clone();
                    Open::Asked { to, request: self.request_number(request) }
                }
                Open::Answered { from, answer } => {
                    let answer = Result::clone(others.answers.value(answer));
                    Open::Answered { from, answer: self.answers.number(answer) }
                }
            };
        }
        for (_, request) in &mut local.late {
            *request = self.request_number(others.requests.value(*request).as_ref().clone());
        }
        self.shorten(&mut local);
        self.number(local)
    }

    fn run_hear(&mut self, local: &mut Local, purpose: Purpose) {
        let open = local.open.iter().position(|(open, _)| *open == purpose);
        let (_, open) = local.open.remove(open.expect("what is heard was asked"));
        let Open::Answered { answer, .. } = open else { panic!("what is heard was answered") };
        let answer = Result::clone(self.answers.value(answer));
        self.feed(local, Input::Answer(id(purpose), answer));
        if local.node.as_ref().is_some_and(|node| node.view().phase() == Phase::Joining) {
            // It rests or reads another list next. Nobody knows of it yet, so it may as well be another newcomer that does.
            self.hang_up(local);
            local.node = None;
        }
    }

    /// A join up to the read that decides it. What the contact and the lookup say is a hint, so every hint is tried.
    fn run_join(&mut self, local: &mut Local, before: usize) {
        let member = self.positions.peer(before).clone();
        local.node = Some(self.idle());
        self.feed(local, Input::Command(Token(0), Command::Join(member.name.clone())));
        let ring = Some(self.positions.settings().ring().clone());
        let pong = Pong { peer: member.clone(), member: true, ring };
        let found =
            Found { hops: 1, path: vec![member.name.clone()], owner: member, after: None, took: Vec::new() };
        for answer in [Answer::Pong(pong), Answer::Found(found)] {
            local.open.clear();
            self.feed(local, Input::Answer(id(Purpose::Ring), Ok(answer)));
        }
    }

    /// Feeds the node one input, and does what it wants done. Its reply, if it was asked something.
    fn feed(&mut self, local: &mut Local, input: Input) -> Option<Result<Answer, Failure>> {
        let mut node = local.node.take()?;
        node.handle(input);
        let mut reply = None;
        let mut is_over = false;
        while let Some(output) = node.poll() {
            match output {
                Output::Send(id, to, request) if id.purpose != Purpose::Finger => {
                    let to = self.positions.steps_to(&to);
                    let to = u8::try_from(to).expect("a small ring has few positions");
                    let request = self.request_number(request);
                    local.open.push((id.purpose, Open::Asked { to, request }));
                }
                Output::Reply(_, answer) => reply = Some(answer.map_err(Failure::Refused)),
                Output::Done(..) => is_over = matches!(node.view().phase(), Phase::Leaving | Phase::Idle),
                Output::Event(chord_ring::Event::Violation { rule, .. }) => local.broken = Some(rule),
                Output::Event(chord_ring::Event::Merging(_)) => self.n_merges += 1,
                Output::Send(..) | Output::Wake(..) | Output::ViewChanged | Output::Event(_) => {}
            }
        }
        local.open.sort_unstable();
        if !is_over {
            let node = node.timeless();
            local.node = Some(if self.memory { node } else { node.without_memory() });
        }
        reply
    }

    /// The process ends, or ends its life in the ring: nobody waits for answers, and what it has told others arrives late.
    fn hang_up(&mut self, local: &mut Local) {
        for (_, open) in local.open.drain(..) {
            if let Open::Asked { to, request } = open
                && self.kind(request) == Kind::News
            {
                local.late.push((to, request));
            }
        }
        local.late.sort_unstable();
        local.late.dedup();
    }

    fn idle(&self) -> Node {
        Node::new(self.positions.settings().clone(), self.positions.peer(0).clone(), Incarnation(0))
    }

    fn number(&mut self, local: Local) -> u32 {
        let number = self.states.number(local);
        if number as usize == self.facts.len() {
            let local = Rc::clone(self.states.value(number));
            let answer_of = |answer: u32| Result::clone(self.answers.value(answer));
            let mut facts = Facts::new(&self.positions, local.node.as_ref(), &local.open, answer_of);
            facts.n_late = u8::try_from(local.late.len()).expect("few messages are late");
            facts.broken = local.broken;
            self.facts.push(facts);
        }
        number
    }
}

/// A number for each state and act. Hashing two words is most of what a look-up costs.
fn key(local: u32, act: Act) -> u64 {
    let (kind, value) = match act {
        Act::Serve { request, by } => (u32::from(by), request),
        Act::Take { purpose, answer } => (8 + purpose as u32, answer),
        Act::Hear { purpose } => (14 + purpose as u32, 0),
        Act::MaintainWithTurn { of } => (20, of.into()),
        Act::Join { before } => (21, before.into()),
        Act::Maintain => (22, 0),
        Act::Leave => (23, 0),
        Act::Fail => (24, 0),
        Act::DropLate => (25, 0),
    };
    assert!(value < 1 << VALUE_BITS, "{value} requests or answers are too many");
    u64::from(local) << 32 | u64::from(kind << VALUE_BITS | value)
}

/// Bits for the number of a request or an answer; five more tell acts apart.
const VALUE_BITS: u32 = 27;

/// A request of a node's own. It has one life in a process, and each process is told apart by what is open to it.
fn id(purpose: Purpose) -> RequestId {
    RequestId { incarnation: Incarnation(0), purpose }
}

/// What a request is, as far as it matters to whoever carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only asks whether the peer lives.
    Ping,
    /// Asks for the peer's state.
    State,
    /// Tells the peer something.
    News,
    /// Goes on from peer to peer.
    Lookup,
}

impl Kind {
    fn of(request: &Request) -> Self {
        match request {
            Request::Ping => Self::Ping,
            Request::GetState => Self::State,
            Request::Notify { .. } | Request::ForgetPredecessor | Request::Leave { .. } => Self::News,
            Request::FindSuccessor(_) => Self::Lookup,
        }
    }
}
