//! Leave: the leaver hands its whole list to its predecessor and its predecessor to its successor.
//!
//! Never the rule of TON 2003, section IV-E-4, by which the predecessor appends only the last entry (`ring.md`, T12).

use super::{Node, Open, Output};
use crate::{CommandError, Peer, Phase, Purpose, Refusal, Request, Token};
#[cfg(feature = "defects")]
use crate::{SuccessorList, defect::breaks};

/// The farewells that are still unanswered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Farewell {
    token: Token,
    open: Vec<Purpose>,
}

impl Node {
    pub(super) fn begin_leave(&mut self, token: Token) {
        let refused = match self.view.phase {
            Phase::Member => None,
            Phase::Idle => Some(CommandError::NotMember),
            Phase::Joining | Phase::Leaving => Some(CommandError::Busy),
        };
        if let Some(error) = refused {
            return self.output(Output::Done(token, Err(error)));
        }
        self.enter(Phase::Leaving);
        // What is still asked would only bring this node back into the ring.
        self.open = Open::default();
        let goodbye = Request::Leave {
            from: self.view.me.clone(),
            predecessor: self.view.predecessor.clone(),
            successors: self.view.successors.as_slice().to_vec(),
        };
        let head = self.view.successors.head().cloned();
        let before = self.view.predecessor.clone().filter(|peer| Some(peer) != head.as_ref());
        let mut open = Vec::new();
        for (purpose, peer) in [(Purpose::LeavePredecessor, before), (Purpose::LeaveSuccessor, head)] {
            if let Some(peer) = peer {
                self.send(purpose, &peer.name, goodbye.clone());
                open.push(purpose);
            }
        }
        self.open.farewell = Some(Farewell { token, open });
        self.end_leave();
    }

    pub(super) fn on_farewell(&mut self, answered: Purpose) {
        if let Some(farewell) = &mut self.open.farewell {
            farewell.open.retain(|purpose| *purpose != answered);
        }
        self.end_leave();
    }

    fn end_leave(&mut self) {
        if let Some(farewell) = self.open.farewell.take_if(|farewell| farewell.open.is_empty()) {
            self.output(Output::Done(farewell.token, Ok(())));
        }
    }

    /// A neighbour goes, or so it says: anybody could. So the neighbour itself is asked, and is dropped when it answers
    /// that it is no member or nobody answers there; then each member that it names is asked before it is adopted.
    pub(super) fn on_leave(
        &mut self,
        leaver: &Peer,
        before: Option<Peer>,
        after: &[Peer],
    ) -> Result<(), Refusal> {
        if !self.view.is_member() {
            return Err(Refusal::NotMember);
        }
        if leaver.name == self.view.me.name {
            return Err(Refusal::Itself);
        }
        if self.view.successors.head() == Some(leaver) {
            #[cfg(feature = "defects")]
            if breaks!(self.view.config, LeavesByLastEntry) {
                let rest = self.view.successors.as_slice().iter().skip(1).chain(after.last());
                self.set_successors(SuccessorList::unchecked(rest.cloned().collect()));
                return Ok(());
            }
            self.open.heir = after.first().filter(|peer| peer.position != self.me()).cloned();
            self.disturb();
            self.begin_stabilize();
        }
        if self.view.predecessor.as_ref() == Some(leaver) {
            match before.filter(|peer| peer.position != self.me()) {
                Some(before) => self.consider(before),
                None => self.begin_check_predecessor(),
            }
        }
        Ok(())
    }
}
