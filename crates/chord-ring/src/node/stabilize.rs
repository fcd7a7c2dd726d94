//! Stabilize: ask the successor, then its predecessor if that one is closer, then notify (TSE 2017, section III-D).

use super::{Node, Operation};
use crate::defect::breaks;
use crate::{Answer, Event, Failure, Peer, Purpose, Refusal, Request, State, SuccessorList, between};

/// How often one round stabilizes again because it found a closer head. Where k nodes have joined between two members at
/// one time, k such steps put them in order; more than these wait for the next round.
pub(super) const REPEATS_MAX: u8 = 16;

/// Where a stabilization stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stabilize {
    /// The head was asked for its state, for the second time if it was `asked_again`; if it has left, the `heir` may
    /// come next.
    AskedHead { head: Peer, asked_again: bool, heir: Option<Peer> },
    /// A member that may lie between this node and its head was asked for its state.
    AskedCloser { candidate: Peer },
    /// A node that is said to have this node's position was asked for its state.
    AskedUsurper { other: Peer },
    /// The head was notified. `is_closer` if this stabilization found it before the old one.
    Notified { head: Peer, is_closer: bool },
}

impl Node {
    /// Starts the stabilization of this round, unless the last one still waits for its peer.
    pub(super) fn begin_round_of_stabilize(&mut self) {
        self.repeats_left = REPEATS_MAX;
        self.begin_stabilize();
    }

    /// A newcomer may have come between this node and its head. Only the head's word counts, so it is asked, and now
    /// rather than in the next round.
    pub(super) fn on_asked_by(&mut self, peer: &Peer) {
        if self.view.is_member() && self.view.successors.head().is_some() && self.view.is_closer(peer) {
            self.begin_stabilize();
        }
    }

    /// Stabilizes once, unless that is under way.
    pub(super) fn begin_stabilize(&mut self) {
        if self.open.operation.is_some() {
            return;
        }
        if let Some(closer) = self.open.closer.take().filter(|closer| self.view.is_closer(closer)) {
            return self.ask_closer(closer);
        }
        let heir = self.open.heir.take();
        if let Some(head) = self.view.successors.head().cloned() {
            self.ask_head(head, false, heir);
        } else if let Some(candidate) = heir.or_else(|| self.view.predecessor.clone())
            && !breaks!(self.view.config, StaysStranded)
        {
            self.ask_closer(candidate);
        }
    }

    pub(super) fn on_stabilize_answer(&mut self, stage: Stabilize, answer: Result<Answer, Failure>) {
        match stage {
            Stabilize::AskedHead { head, asked_again, heir } => {
                if self.view.successors.head() != Some(&head) {
                    return self.begin_stabilize(); // What a former head says no longer counts.
                }
                match answer {
                    Ok(Answer::State(its)) if its.peer == head => self.on_head_state(&head, &its),
                    Err(failure)
                        if asked_again || failure.is_final() || breaks!(self.view.config, SuspectsAtOnce) =>
                    {
                        self.on_head_dead(failure, heir);
                    }
                    Ok(_) if asked_again => self.on_head_dead(Failure::Garbled, heir),
                    Ok(_) | Err(_) => self.ask_head(head, true, heir),
                }
            }
            Stabilize::AskedCloser { candidate } => {
                let is_closer = match answer {
                    Ok(Answer::State(its)) if its.peer == candidate => self.try_adopt(&candidate, &its),
                    Err(_) if breaks!(self.view.config, AdoptsUnasked) => {
                        let list = self.view.successors.as_slice().to_vec();
                        self.adopt(&candidate, &list);
                        true
                    }
                    Ok(_) | Err(_) => false,
                };
                self.notify_head(is_closer);
            }
            Stabilize::AskedUsurper { other } => match answer {
                Ok(Answer::State(its)) if its.peer == other => self.resign_to(&other),
                // It is gone, and only the head does not know yet.
                Ok(_) | Err(_) => self.notify_head(false),
            },
            Stabilize::Notified { head, is_closer } => self.on_notify_answer(&head, is_closer, &answer),
        }
    }

    fn on_head_state(&mut self, head: &Peer, state: &State) {
        if !breaks!(self.view.config, NeverRefreshes) {
            self.adopt(head, &state.successors);
        }
        match &state.predecessor {
            Some(other) if self.is_usurped_by(other) => self.ask_usurper(other.clone()),
            Some(closer) if self.view.is_closer(closer) && !breaks!(self.view.config, IgnoresCloser) => {
                self.ask_closer(closer.clone());
            }
            Some(_) | None => self.notify_head(false),
        }
    }

    fn on_head_dead(&mut self, failure: Failure, heir: Option<Peer>) {
        if breaks!(self.view.config, KeepsDeadHead) {
            return;
        }
        if let Some(dead) = self.drop_head() {
            if !breaks!(self.view.config, ForgetsDropped) {
                self.remembered.remember(&dead.name);
            }
            self.output_dropped(dead, failure);
        }
        if self.view.successors.is_empty() {
            self.remember_fingers();
        }
        match self.open.heir.take().or(heir).filter(|heir| self.view.is_closer(heir)) {
            Some(heir) => self.ask_closer(heir),
            None => {
                if let Some(head) = self.view.successors.head().cloned() {
                    self.ask_head(head, false, None);
                }
            }
        }
    }

    pub(super) fn output_dropped(&mut self, dead: Peer, failure: Failure) {
        self.output(super::Output::Event(Event::Dropped(dead, failure)));
    }

    fn on_notify_answer(&mut self, head: &Peer, is_closer: bool, answer: &Result<Answer, Failure>) {
        if let Err(Failure::Refused(Refusal::PositionTaken { newcomer, .. })) = answer
            && *newcomer == self.view.me.name
        {
            return self.resign_to(head);
        }
        // Where many have joined between two members, each step uncovers the next; and a head that said farewell
        // meanwhile is not kept for a round.
        let is_awaited = self.open.heir.is_some() || self.open.closer.is_some();
        let goes_on = (is_closer && answer.is_ok()) || is_awaited;
        if goes_on && self.repeats_left > 0 {
            self.repeats_left -= 1;
            self.begin_stabilize();
        }
    }

    /// Makes `candidate`, which has just answered with its state, the head, if it lies before the present one now.
    /// Returns whether the head is another one now.
    ///
    /// A candidate that is alone has no list to copy. Who has one keeps it, and lets the other come: else it would forget
    /// the ring for a node that knows nobody.
    pub(super) fn try_adopt(&mut self, candidate: &Peer, state: &State) -> bool {
        if self.view.successors.is_empty() {
            return self.settle_after(candidate, state);
        }
        let closer = self.view.is_closer(candidate);
        let better = closer && !state.successors.is_empty();
        if better {
            self.adopt(candidate, &state.successors);
        } else if closer {
            // It may know nobody who could tell it of this node: the next probe does.
            self.remembered.remember(&candidate.name);
        }
        better
    }

    /// A node that is alone takes a place in the ring of `member`, which has just answered: right after it, with its whole
    /// list, as a joiner does, if its gap holds this node; else before it, to be mended by stabilization.
    pub(super) fn settle_after(&mut self, member: &Peer, state: &State) -> bool {
        let (me, length) = (self.me(), self.view.config.successors());
        match state.successors.split_first() {
            Some((head, rest)) if between(member.position, me, head.position) => {
                self.set_successors(SuccessorList::copied(me, length, head.clone(), rest));
                // All of that list may be dead, but the member has answered.
                let before = self.view.predecessor.as_ref();
                if before.is_none_or(|before| between(before.position, member.position, me)) {
                    self.replace_predecessor(member.clone());
                }
            }
            Some(_) | None => self.adopt(member, &state.successors),
        }
        true
    }

    fn ask_head(&mut self, head: Peer, asked_again: bool, heir: Option<Peer>) {
        self.send(Purpose::Ring, &head.name, Request::GetState);
        self.open.operation = Some(Operation::Stabilize(Stabilize::AskedHead { head, asked_again, heir }));
    }

    fn ask_closer(&mut self, candidate: Peer) {
        self.send(Purpose::Ring, &candidate.name, Request::GetState);
        self.open.operation = Some(Operation::Stabilize(Stabilize::AskedCloser { candidate }));
    }

    fn ask_usurper(&mut self, other: Peer) {
        self.send(Purpose::Ring, &other.name, Request::GetState);
        self.open.operation = Some(Operation::Stabilize(Stabilize::AskedUsurper { other }));
    }

    /// Every stabilization ends so, whatever its outcome.
    pub(super) fn notify_head(&mut self, is_closer: bool) {
        if let Some(head) = self.view.successors.head().cloned()
            && !breaks!(self.view.config, NeverNotifies)
        {
            let last =
                self.view.successors.last().filter(|_| breaks!(self.view.config, NotifiesLast)).cloned();
            let head = last.unwrap_or(head);
            self.send(Purpose::Ring, &head.name, Request::Notify { from: self.view.me.clone() });
            self.open.operation = Some(Operation::Stabilize(Stabilize::Notified { head, is_closer }));
        }
    }
}
