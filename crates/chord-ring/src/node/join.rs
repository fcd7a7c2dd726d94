//! Join: find the member whose gap holds this node's position, and copy its list in one read (TSE 2017, section III-C).

use std::time::Duration;

use super::{Node, Operation, Output};
use crate::defect::breaks;
use crate::{
    Answer, CommandError, Failure, JoinError, NodeName, Peer, Phase, Pong, Purpose, Question, ROUND_QUIET,
    Refusal, Request, State, SuccessorList, Token, Wake, between,
};

/// How often a join looks for its place before it gives up: while the ring drops an earlier life of this node or
/// takes in others next to it, a place shows within a few rounds.
pub const JOIN_ATTEMPTS_MAX: u8 = 25;

/// How many members one attempt reads, going backwards from the owner that the lookup named.
const WALK_MAX: u8 = 16;

/// How many attempts wait for a list of full length: one quiet round, in which the member that serves a shortened one
/// copies the rest of it from its successor. After that a short list is taken: the joiner's own rounds mend it.
const FULL_LIST_ATTEMPTS: u8 = 5;

const _: () = assert!(
    FULL_LIST_ATTEMPTS as u128 * RETRY_PAUSE.as_millis() >= ROUND_QUIET.as_millis()
        && FULL_LIST_ATTEMPTS < JOIN_ATTEMPTS_MAX
);

/// How many attempts a silent peer costs: each has already taken a whole deadline.
const SILENCE_WEIGHT: u8 = 8;

/// Pause between two attempts: one fast round of the neighbours.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A join on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Join {
    token: Token,
    contact: NodeName,
    attempts: u8,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The contact was asked who it is, for the second time if it was `asked_again`: a slow peer is not a dead one.
    Greeting {
        asked_again: bool,
    },
    Locating,
    /// A member was asked for its state, after `steps` others, of which the last had a list of full length or not.
    Reading {
        member: Peer,
        steps: u8,
        after_full: bool,
    },
    Resting,
}

impl Join {
    /// As if this were the first attempt, and its first read.
    pub(super) fn forget_waiting(&mut self) {
        self.attempts = 0;
        if let Stage::Reading { steps, after_full, .. } = &mut self.stage {
            (*steps, *after_full) = (0, false);
        }
    }
}

impl Node {
    pub(super) fn begin_join(&mut self, token: Token, contact: NodeName) {
        let refused = match self.view.phase {
            Phase::Idle if contact == self.view.me.name => Some(JoinError::Itself(contact.clone()).into()),
            Phase::Idle => None,
            Phase::Joining => Some(CommandError::Busy),
            Phase::Member | Phase::Leaving => Some(CommandError::AlreadyMember),
        };
        if let Some(error) = refused {
            return self.output(Output::Done(token, Err(error)));
        }
        self.enter(Phase::Joining);
        self.greet(Join { token, contact, attempts: 0, stage: Stage::Resting }, false);
    }

    pub(super) fn on_retry_join(&mut self) {
        match self.open.operation.take() {
            Some(Operation::Join(join)) if join.stage == Stage::Resting => self.locate(join),
            other => self.open.operation = other,
        }
    }

    fn greet(&mut self, mut join: Join, asked_again: bool) {
        self.send(Purpose::Ring, &join.contact, Request::Ping);
        join.stage = Stage::Greeting { asked_again };
        self.open.operation = Some(Operation::Join(join));
    }

    pub(super) fn on_join_answer(&mut self, join: Join, answer: Result<Answer, Failure>) {
        match (join.stage.clone(), answer) {
            (Stage::Greeting { .. }, Ok(Answer::Pong(pong))) => match self.check_contact(&join, &pong) {
                Ok(()) => self.locate(join),
                Err(error) => self.end_join(&join, Err(error)),
            },
            (Stage::Greeting { asked_again: false }, Err(Failure::Silent)) => self.greet(join, true),
            (Stage::Greeting { .. }, Ok(_)) => self.fail_contact(&join, Failure::Garbled),
            (Stage::Greeting { .. }, Err(failure))
            | (Stage::Locating, Err(failure @ Failure::Unreachable)) => {
                self.fail_contact(&join, failure);
            }
            (Stage::Locating, Ok(Answer::Found(found))) => self.read(join, found.owner, 0, false),
            (Stage::Reading { member, steps, after_full }, Ok(Answer::State(state))) => {
                self.on_member_state(join, &member, &state, steps, after_full);
            }
            (Stage::Locating | Stage::Reading { .. }, Err(Failure::Silent)) => {
                self.rest(join, SILENCE_WEIGHT);
            }
            (Stage::Locating | Stage::Reading { .. }, Ok(_) | Err(_)) => self.rest(join, 1),
            (Stage::Resting, _) => self.open.operation = Some(Operation::Join(join)),
        }
    }

    fn check_contact(&self, join: &Join, pong: &Pong) -> Result<(), JoinError> {
        let contact = join.contact.clone();
        if pong.peer.name == self.view.me.name {
            return Err(JoinError::Itself(contact));
        }
        if let Some(theirs) = &pong.ring {
            match self.view.admit(theirs) {
                Ok(()) => {}
                Err(Refusal::RingSizeDiffers { here: ours, there: theirs }) => {
                    return Err(JoinError::RingSizeDiffers { contact, ours, theirs });
                }
                Err(Refusal::ForeignRing { here: ours, there: theirs }) => {
                    return Err(JoinError::ForeignRing { contact, ours, theirs });
                }
                Err(refusal) => return Err(JoinError::Contact { contact, failure: refusal.into() }),
            }
        }
        if pong.member { Ok(()) } else { Err(JoinError::ContactNotMember(contact)) }
    }

    fn locate(&mut self, mut join: Join) {
        let question = Question { target: self.me(), named: false, path: Vec::new() };
        self.send(Purpose::Ring, &join.contact, Request::FindSuccessor(question));
        join.stage = Stage::Locating;
        self.open.operation = Some(Operation::Join(join));
    }

    fn read(&mut self, mut join: Join, member: Peer, steps: u8, after_full: bool) {
        if self.is_usurped_by(&member) {
            return self.fail_taken(&join, member);
        }
        // A pointer to an earlier life of this node: the ring must drop it first (`ring.md`, T10).
        if member.position == self.me() || steps >= WALK_MAX {
            return self.rest(join, 1);
        }
        self.send(Purpose::Ring, &member.name, Request::GetState);
        join.stage = Stage::Reading { member, steps, after_full };
        self.open.operation = Some(Operation::Join(join));
    }

    /// The atomic instant of the join: whether the gap after `member` holds this node is decided on the very list
    /// that is copied.
    fn on_member_state(&mut self, join: Join, member: &Peer, state: &State, steps: u8, after_full: bool) {
        let ours = self.view.ring_size();
        if let Some(theirs) = state.ring_size.filter(|theirs| *theirs != ours) {
            let contact = join.contact.clone();
            return self.end_join(&join, Err(JoinError::RingSizeDiffers { contact, ours, theirs }));
        }
        let near = state.successors.iter().chain(&state.predecessor);
        if let Some(other) = near.clone().find(|peer| self.is_usurped_by(peer)) {
            return self.fail_taken(&join, other.clone());
        }
        if near.clone().any(|peer| peer.position == self.me()) && !breaks!(self.view.config, JoinsUnchecked) {
            return self.rest(join, 1);
        }
        let (me, length) = (self.me(), self.view.config.successors());
        let is_full = state.successors.len() >= length;
        let is_founders = state.successors.is_empty() && breaks!(self.view.config, FoundsOnItself);
        let before = state.predecessor.as_ref().filter(|_| !is_founders);
        match (state.successors.split_first(), before) {
            (None, None) => {
                self.become_member(&join, member, SuccessorList::copied(me, length, member.clone(), &[]));
            }
            (Some((head, rest)), _)
                if between(member.position, me, head.position)
                    || breaks!(self.view.config, JoinsUnchecked) && head.position != me =>
            {
                // All entries of a shortened list may die before the joiner can use it (`ring.md`, T14). That it was
                // shortened shows where the member after it has a full one; in a small ring nobody has.
                let may_wait = after_full && join.attempts < FULL_LIST_ATTEMPTS;
                if may_wait && !is_full && !breaks!(self.view.config, TakesShortList) {
                    return self.rest(join, 1);
                }
                let head = if breaks!(self.view.config, JoinsBehindItself) { member } else { head };
                let rest = if breaks!(self.view.config, JoinsWithoutTail) { &[] } else { rest };
                self.become_member(&join, member, SuccessorList::copied(me, length, head.clone(), rest));
            }
            (_, Some(before)) if between(before.position, me, member.position) => {
                self.read(join, before.clone(), steps + 1, is_full);
            }
            (Some(_), _) | (None, Some(_)) => self.rest(join, 1),
        }
    }

    fn become_member(&mut self, join: &Join, before: &Peer, list: SuccessorList) {
        self.remembered.remember(&join.contact);
        self.set_successors(list);
        self.set_predecessor(Some(before.clone()));
        self.enter(Phase::Member);
        self.output(Output::Done(join.token, Ok(())));
        self.begin_stabilize();
    }

    fn rest(&mut self, mut join: Join, weight: u8) {
        join.attempts += weight;
        if join.attempts >= JOIN_ATTEMPTS_MAX {
            let contact = join.contact.clone();
            return self.end_join(&join, Err(JoinError::Unsettled(contact)));
        }
        join.stage = Stage::Resting;
        self.open.operation = Some(Operation::Join(join));
        self.output(Output::Wake(Wake::RetryJoin, self.view.config.pause(RETRY_PAUSE)));
    }

    fn fail_contact(&mut self, join: &Join, failure: Failure) {
        let contact = join.contact.clone();
        let error = match failure {
            Failure::Refused(Refusal::RingSizeDiffers { here: theirs, there: ours }) => {
                JoinError::RingSizeDiffers { contact, ours, theirs }
            }
            Failure::Refused(Refusal::ForeignRing { here: theirs, there: ours }) => {
                JoinError::ForeignRing { contact, ours, theirs }
            }
            Failure::Unreachable | Failure::Silent | Failure::Garbled | Failure::Refused(_) => {
                JoinError::Contact { contact, failure }
            }
        };
        self.end_join(join, Err(error));
    }

    fn fail_taken(&mut self, join: &Join, member: Peer) {
        let joiner = self.view.me.name.clone();
        self.end_join(join, Err(JoinError::PositionTaken { joiner, member }));
    }

    fn end_join(&mut self, join: &Join, result: Result<(), JoinError>) {
        self.enter(Phase::Idle);
        self.output(Output::Done(join.token, result.map_err(CommandError::from)));
    }
}
