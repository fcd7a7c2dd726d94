//! One node's protocol: every transition of the state machine.
//!
//! The transitions stand together in this folder, one file an operation; the data they change is in the files around it.

mod finger_repair;
mod join;
mod leave;
mod probe;
mod rectify;
mod stabilize;
#[cfg(test)]
mod tests;
mod timeless;

use std::collections::VecDeque;
use std::time::Duration;

use finger_repair::FingerRepair;
use join::Join;
use leave::Farewell;
use probe::Probe;
use rectify::Rectify;
use stabilize::Stabilize;

use crate::defect::breaks;
use crate::{
    Answer, Command, CommandError, Config, Event, Failure, Fingers, Incarnation, Input, NodeName, Output,
    Peer, Phase, Position, Purpose, ROUND_FAST, ROUND_QUIET, ROUNDS_FAST, Refusal, Remembered, Request,
    RequestId, RingTag, SuccessorList, Token, View, Wake,
};

pub use join::JOIN_ATTEMPTS_MAX;

/// Rounds after which the pause between them is at its longest: three doublings from fast to quiet.
const ROUNDS_QUIET: u8 = ROUNDS_FAST + 3;

/// The one operation that may change the successor list (`ring.md` rule 4: at most one is open at a time).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Join(Join),
    Stabilize(Stabilize),
}

/// What is under way: the questions that wait for their answers. All of it ends when the node leaves the ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Open {
    operation: Option<Operation>,
    rectify: Option<Rectify>,
    finger_repair: FingerRepair,
    probe: Option<Probe>,
    farewell: Option<Farewell>,
    /// Who comes after the head, by a farewell in the head's name: asked once the head is found gone.
    heir: Option<Peer>,
    /// A member of another ring that lies before the head, found by a probe while an operation was open: asked next.
    closer: Option<Peer>,
}

/// One node of a ring, as a state machine.
///
/// Feed it with [`Node::handle`], then call [`Node::poll`] until it returns `None`: one input, one full drain.
/// It needs no clock: pauses go out as durations, and deadlines belong to whoever carries the requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    incarnation: Incarnation,
    view: View,
    open: Open,
    remembered: Remembered,
    quiet_rounds: u8,
    repeats_left: u8,
    view_changed: bool,
    outputs: VecDeque<Output>,
}

impl Node {
    /// A node that is in no ring yet.
    pub fn new(config: Config, me: Peer, incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            view: View::new(config, me),
            open: Open::default(),
            remembered: Remembered::default(),
            quiet_rounds: 0,
            repeats_left: 0,
            view_changed: false,
            outputs: VecDeque::new(),
        }
    }

    /// A member in the middle of its life: for checkers and tests that start from a chosen state.
    /// `successors` are cut where they are no proper list.
    pub fn member(
        config: Config,
        me: Peer,
        incarnation: Incarnation,
        predecessor: Option<Peer>,
        successors: &[Peer],
    ) -> Self {
        Self::of_view(View::member(config, me, predecessor, successors, Fingers::default()), incarnation)
    }

    /// A node that believes `view` and has nothing under way: for checkers and simulators that start from a chosen state.
    pub fn of_view(view: View, incarnation: Incarnation) -> Self {
        let mut node = Self::new(view.config.clone(), view.me.clone(), incarnation);
        node.view = view;
        node
    }

    /// Takes in one thing that happened.
    ///
    /// # Panics
    /// The effects of the previous input were not drained.
    pub fn handle(&mut self, input: Input) {
        assert!(self.outputs.is_empty(), "{} effects were not drained", self.outputs.len());
        match input {
            Input::Command(token, command) => self.on_command(token, command),
            Input::Request(token, ring, request) => {
                let reply = self.on_request(ring.as_ref(), request);
                self.output(Output::Reply(token, reply));
            }
            Input::Answer(id, answer) => self.on_answer(id, answer),
            Input::Wake(Wake::Maintain) => self.on_maintain(),
            Input::Wake(Wake::RetryJoin) => self.on_retry_join(),
            Input::Unreachable(name) => self.forget_finger(&name),
            Input::AskedBy(peer) => self.on_asked_by(&peer),
        }
        self.repair_violations();
        if std::mem::take(&mut self.view_changed) {
            self.output(Output::ViewChanged);
        }
    }

    /// The next effect of the last input, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What this node believes.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The peers it remembers, the most recent first.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    fn on_command(&mut self, token: Token, command: Command) {
        match command {
            Command::Create => {
                let result = self.create();
                self.output(Output::Done(token, result));
            }
            Command::Join(contact) => self.begin_join(token, contact),
            Command::Leave => self.begin_leave(token),
            Command::Remember(name) => {
                if name != self.view.me.name {
                    self.remembered.configure(&name);
                }
                self.output(Output::Done(token, Ok(())));
            }
        }
    }

    fn create(&mut self) -> Result<(), CommandError> {
        match self.view.phase {
            Phase::Idle => {
                self.enter(Phase::Member);
                Ok(())
            }
            Phase::Joining => Err(CommandError::Busy),
            Phase::Member | Phase::Leaving => Err(CommandError::AlreadyMember),
        }
    }

    fn on_request(&mut self, ring: Option<&RingTag>, request: Request) -> Result<Answer, Refusal> {
        self.view.admit_request(ring, &request)?;
        match request {
            Request::Ping => Ok(Answer::Pong(self.view.pong())),
            Request::GetState => self.view.state().map(Answer::State),
            Request::Notify { from } => self.on_notify(from).map(|()| Answer::Done),
            Request::ForgetPredecessor => self.on_forget_predecessor().map(|()| Answer::Done),
            Request::Leave { from, predecessor, successors } => {
                self.on_leave(&from, predecessor, &successors).map(|()| Answer::Done)
            }
            Request::FindSuccessor(_) => Err(Refusal::NoRoute),
        }
    }

    fn on_answer(&mut self, id: RequestId, answer: Result<Answer, Failure>) {
        if id.incarnation != self.incarnation {
            return;
        }
        match id.purpose {
            Purpose::Ring => match self.open.operation.take() {
                Some(Operation::Join(join)) => self.on_join_answer(join, answer),
                Some(Operation::Stabilize(stage)) => self.on_stabilize_answer(stage, answer),
                None => {}
            },
            Purpose::Rectify => self.on_rectify_answer(answer),
            Purpose::Finger => self.on_finger_answer(answer),
            Purpose::Probe => self.on_probe_answer(answer),
            Purpose::LeavePredecessor | Purpose::LeaveSuccessor => self.on_farewell(id.purpose),
        }
    }

    /// One maintenance round. Its parts do not wait for each other: a slow peer delays only the part that asks it.
    fn on_maintain(&mut self) {
        if !self.view.is_member() {
            return;
        }
        self.begin_round_of_stabilize();
        self.begin_check_predecessor();
        self.begin_finger_repair();
        self.begin_probe();
        self.quiet_rounds = (self.quiet_rounds + 1).min(ROUNDS_QUIET);
        self.output(Output::Wake(Wake::Maintain, self.pace()));
    }

    /// The pause until the next round: short while things change, doubling to the quiet pause when they do not.
    fn pace(&self) -> Duration {
        let doublings = u32::from(self.quiet_rounds.saturating_sub(ROUNDS_FAST));
        self.view.config.pause(ROUND_FAST.saturating_mul(1 << doublings).min(ROUND_QUIET))
    }

    /// Something changed in the neighbourhood: the rounds become fast.
    fn disturb(&mut self) {
        let was_slow = self.quiet_rounds > ROUNDS_FAST;
        self.quiet_rounds = 0;
        self.remembered.hurry();
        if was_slow {
            self.output(Output::Wake(Wake::Maintain, self.view.config.pause(ROUND_FAST)));
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.view.phase = phase;
        self.view_changed = true;
        if phase == Phase::Member {
            self.quiet_rounds = 0;
            self.output(Output::Wake(Wake::Maintain, self.view.config.pause(ROUND_FAST)));
        }
    }

    /// Ends this life in the ring: whatever is still asked belongs to the past.
    fn resign(&mut self) {
        self.incarnation = Incarnation(self.incarnation.0 + 1);
        self.open = Open::default();
        self.view = View::new(self.view.config.clone(), self.view.me.clone());
        self.view_changed = true;
    }

    fn resign_to(&mut self, member: &Peer) {
        self.resign();
        self.output(Output::Event(Event::PositionTaken(member.clone())));
    }

    /// Whether `peer` is another node at this node's own position.
    fn is_usurped_by(&self, peer: &Peer) -> bool {
        peer.position == self.me() && peer.name != self.view.me.name
    }

    /// Takes `head`, which has just answered with `heads_list`, as first successor.
    fn adopt(&mut self, head: &Peer, heads_list: &[Peer]) {
        let length = self.view.config.successors();
        let length = length + usize::from(breaks!(self.view.config, CutsListLong))
            - usize::from(breaks!(self.view.config, CutsListShort));
        let list = SuccessorList::copied(self.me(), length, head.clone(), heads_list);
        self.set_successors(list);
    }

    fn set_successors(&mut self, list: SuccessorList) {
        if list == self.view.successors {
            return;
        }
        let head_changed = list.head() != self.view.successors.head();
        self.view.successors = list;
        let covered = self.view.first_far_finger();
        self.view.fingers.forget_below(covered);
        self.open.closer = self.open.closer.take().filter(|closer| self.view.is_closer(closer));
        if head_changed {
            self.output(Output::Event(Event::SuccessorChanged(self.view.successors.head().cloned())));
        }
        self.view_changed = true;
        self.disturb();
    }

    fn set_predecessor(&mut self, predecessor: Option<Peer>) {
        if predecessor == self.view.predecessor {
            return;
        }
        self.view.predecessor.clone_from(&predecessor);
        self.output(Output::Event(Event::PredecessorChanged(predecessor)));
        self.view_changed = true;
        self.disturb();
    }

    /// Removes the head from the list: it is dead, or it left.
    fn drop_head(&mut self) -> Option<Peer> {
        let mut list = self.view.successors.clone();
        let dropped = list.drop_head()?;
        if breaks!(self.view.config, DropsTwoHeads) {
            list.drop_head();
        }
        self.set_successors(list);
        self.forget_finger(&dropped.name);
        Some(dropped)
    }

    fn forget_finger(&mut self, name: &NodeName) {
        self.view_changed |= self.view.fingers.forget(|peer| peer.name == *name);
    }

    /// The whole list is gone: somebody among the fingers may still know the ring.
    fn remember_fingers(&mut self) {
        for run in self.view.fingers.runs() {
            self.remembered.remember(&run.peer.name);
        }
    }

    /// The rules that hold always, checked after every input. A violation is a defect of this program: it is
    /// reported, and only what is broken is let go of. For a node that lets go of all takes the whole circle for its own.
    fn repair_violations(&mut self) {
        let (me, length) = (self.me(), self.view.config.successors());
        let list = self.view.successors.as_slice();
        if !self.view.successors.is_ordered(me) {
            let sound = match list.split_first() {
                Some((head, rest)) if head.position != me => {
                    SuccessorList::copied(me, length, head.clone(), rest)
                }
                Some(_) | None => SuccessorList::default(),
            };
            self.repair_list("the successor list is out of order", sound);
        } else if let Some((head, rest)) = list.split_first().filter(|_| list.len() > length) {
            let sound = SuccessorList::copied(me, length, head.clone(), rest);
            self.repair_list("the successor list is too long", sound);
        }
        if let Some(peer) = self.view.predecessor.clone().filter(|peer| peer.position == me) {
            self.report_violation("the predecessor is the node itself");
            self.set_predecessor(None);
            self.let_go(&peer);
        }
    }

    fn repair_list(&mut self, rule: &'static str, sound: SuccessorList) {
        self.report_violation(rule);
        let list = self.view.successors.clone();
        for peer in list.as_slice().iter().filter(|peer| !sound.as_slice().contains(peer)) {
            self.let_go(peer);
        }
        self.set_successors(sound);
    }

    fn report_violation(&mut self, rule: &'static str) {
        let view = Box::new(self.view.clone());
        self.output(Output::Event(Event::Violation { rule, view }));
    }

    fn let_go(&mut self, peer: &Peer) {
        if peer.name != self.view.me.name {
            self.remembered.remember(&peer.name);
        }
    }

    fn me(&self) -> Position {
        self.view.me.position
    }

    fn send(&mut self, purpose: Purpose, to: &NodeName, request: Request) {
        let id = RequestId { incarnation: self.incarnation, purpose };
        self.output(Output::Send(id, to.clone(), request));
    }

    fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}
