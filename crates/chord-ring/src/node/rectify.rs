//! Rectify: who comes before this node (TSE 2017, section III-E), and whether the predecessor still lives.
//!
//! Unlike the paper, a closer candidate is asked before it is believed: a notification may come from anybody.

use super::Node;
use crate::defect::breaks;
use crate::{Answer, Failure, Peer, Pong, Purpose, Refusal, Request, State, between};

/// The one open question about the predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rectify {
    asked: Asked,
    /// A later notifier, kept until this question is answered: the closest of them.
    parked: Option<Peer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// The predecessor, whether it lives, for the second time if it was `asked_again`; who would come `instead`.
    Predecessor { peer: Peer, asked_again: bool, instead: Option<Peer> },
    /// Who would be a better predecessor, for its state.
    Candidate(Peer),
}

impl Asked {
    /// Whether this question will decide about `candidate` too.
    fn is_about(&self, candidate: &Peer) -> bool {
        match self {
            Self::Predecessor { instead, .. } => instead.as_ref() == Some(candidate),
            Self::Candidate(asked) => asked == candidate,
        }
    }
}

impl Node {
    pub(super) fn on_notify(&mut self, from: Peer) -> Result<(), Refusal> {
        if !self.view.is_member() {
            return Err(Refusal::NotMember);
        }
        if from.name == self.view.me.name {
            return Err(Refusal::Itself);
        }
        if self.is_usurped_by(&from) {
            let member = self.view.me.name.clone();
            return Err(Refusal::PositionTaken { newcomer: from.name, member });
        }
        if self.view.predecessor.as_ref() != Some(&from) && !breaks!(self.view.config, StarvesNotifications) {
            self.consider(from);
        }
        Ok(())
    }

    /// A leaving seed node knew no predecessor of its own. Whether it leaves, it says itself: anybody could claim so.
    pub(super) fn on_forget_predecessor(&mut self) -> Result<(), Refusal> {
        if !self.view.is_member() {
            return Err(Refusal::NotMember);
        }
        self.begin_check_predecessor();
        Ok(())
    }

    /// Asks whether the predecessor lives, unless a question about it is open.
    pub(super) fn begin_check_predecessor(&mut self) {
        if self.open.rectify.is_none()
            && !breaks!(self.view.config, NeverDoubtsPredecessor)
            && let Some(peer) = self.view.predecessor.clone()
        {
            self.ask_predecessor(peer, false, None, None);
        }
    }

    /// Takes up a candidate for predecessor, now or after the open question.
    pub(super) fn consider(&mut self, candidate: Peer) {
        if let Some(open) = &mut self.open.rectify {
            let me = self.view.me.position;
            let is_news = !open.asked.is_about(&candidate);
            let is_closest =
                open.parked.as_ref().is_none_or(|parked| between(parked.position, candidate.position, me));
            if is_news && is_closest {
                open.parked = Some(candidate);
            }
            return;
        }
        match self.view.predecessor.clone() {
            Some(old) if old == candidate => {}
            Some(old)
                if breaks!(self.view.config, NeverDoubtsPredecessor)
                    && !between(old.position, candidate.position, self.me()) => {}
            Some(old) if breaks!(self.view.config, KeepsOldPredecessor) => {
                self.ask_predecessor(old, false, Some(candidate), None);
            }
            Some(old) if !between(old.position, candidate.position, self.me()) => {
                self.ask_predecessor(old, false, Some(candidate), None);
            }
            Some(_) | None => self.ask_candidate(candidate, None),
        }
    }

    pub(super) fn on_rectify_answer(&mut self, answer: Result<Answer, Failure>) {
        let Some(Rectify { asked, parked }) = self.open.rectify.take() else { return };
        match asked {
            Asked::Predecessor { peer, asked_again, instead } => {
                let failure = match answer {
                    Ok(Answer::Pong(pong))
                        if pong.member
                            && pong.peer == peer
                            && self.is_of_this_ring(&pong)
                            && !breaks!(self.view.config, TakesLifeForDeath) =>
                    {
                        None
                    }
                    Ok(Answer::Pong(_)) => Some(Failure::Refused(Refusal::NotMember)),
                    Ok(_) => Some(Failure::Garbled),
                    Err(failure) => Some(failure),
                };
                match failure {
                    Some(failure)
                        if !asked_again
                            && !failure.is_final()
                            && !breaks!(self.view.config, SuspectsAtOnce) =>
                    {
                        return self.ask_predecessor(peer, true, instead, parked);
                    }
                    Some(failure) => {
                        self.on_predecessor_dead(peer, failure);
                        if let Some(candidate) = instead {
                            return self.ask_candidate(candidate, parked);
                        }
                    }
                    None => {}
                }
            }
            Asked::Candidate(candidate) => {
                if let Ok(Answer::State(state)) = answer
                    && state.peer == candidate
                {
                    self.on_candidate_state(candidate, &state);
                }
            }
        }
        if let Some(next) = parked {
            self.consider(next);
        }
    }

    fn on_candidate_state(&mut self, candidate: Peer, state: &State) {
        let me = self.me();
        let old = self.view.predecessor.as_ref();
        if !old.is_none_or(|old| between(old.position, candidate.position, me)) {
            return;
        }
        let takes_notifiers = !breaks!(self.view.config, FoundsOnItself);
        // A node that was alone takes its first notifier for successor too: it has answered with its list just now.
        if self.view.successors.is_empty()
            && self.open.operation.is_none()
            && takes_notifiers
            && !breaks!(self.view.config, AdoptsNobodyAlone)
        {
            self.settle_after(&candidate, state);
            if state.successors.iter().any(|peer| peer.position != me) {
                self.look_for_my_place(&candidate);
            }
        }
        self.replace_predecessor(candidate);
    }

    /// Takes another predecessor. In a sound ring the old one hears of the new one from this node. One that has lost all
    /// its neighbours would be forgotten by the last that knows it: the next probe tells.
    pub(super) fn replace_predecessor(&mut self, new: Peer) {
        if let Some(old) = self.view.predecessor.clone().filter(|old| *old != new) {
            self.remembered.remember(&old.name);
        }
        self.set_predecessor(Some(new));
    }

    fn is_of_this_ring(&self, pong: &Pong) -> bool {
        pong.ring.as_ref().is_none_or(|ring| self.view.admit(ring).is_ok())
    }

    fn on_predecessor_dead(&mut self, peer: Peer, failure: Failure) {
        if self.view.predecessor.as_ref() == Some(&peer) {
            if !breaks!(self.view.config, ForgetsDropped) {
                self.remembered.remember(&peer.name);
            }
            self.forget_finger(&peer.name);
            self.set_predecessor(None);
            self.output_dropped(peer, failure);
        }
    }

    fn ask_predecessor(
        &mut self,
        peer: Peer,
        asked_again: bool,
        instead: Option<Peer>,
        parked: Option<Peer>,
    ) {
        self.send(Purpose::Rectify, &peer.name, Request::Ping);
        self.open.rectify =
            Some(Rectify { asked: Asked::Predecessor { peer, asked_again, instead }, parked });
    }

    fn ask_candidate(&mut self, candidate: Peer, parked: Option<Peer>) {
        self.send(Purpose::Rectify, &candidate.name, Request::GetState);
        self.open.rectify = Some(Rectify { asked: Asked::Candidate(candidate), parked });
    }
}
