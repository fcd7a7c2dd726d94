//! Probes of remembered peers: how a ring that was cut in two becomes one again, and how very small rings survive
//! what the proof does not cover (`ring.md`, decision 6).

use super::{Node, Output};
use crate::defect::breaks;
use crate::{Answer, Event, Failure, NodeName, Peer, Purpose, Question, Refusal, Request, State};

/// The one open probe: which remembered peer it is about, and what was asked last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    about: NodeName,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The remembered peer, for its state.
    State,
    /// The remembered peer, who follows this node: in the same ring, the head does.
    Next { asked: Peer },
    /// The member that would follow in another ring, for its state; or, if no way led to that one, the remembered peer
    /// again.
    Other { owner: Peer },
    /// That member was notified.
    Notified,
}

impl Node {
    /// Asks the remembered peer whose turn it is.
    pub(super) fn begin_probe(&mut self) {
        if self.open.probe.is_some() || breaks!(self.view.config, NeverProbes) {
            return;
        }
        let view = &self.view;
        if let Some(about) = self.remembered.turn(|name| view.neighbours(name)) {
            self.ask_probe(&about, &about, Stage::State, Request::GetState);
        }
    }

    pub(super) fn on_probe_answer(&mut self, answer: Result<Answer, Failure>) {
        let Some(Probe { about, stage }) = self.open.probe.take() else { return };
        match (stage, answer) {
            (Stage::State, Ok(Answer::State(state))) => self.on_remembered_state(&about, &state),
            (Stage::Next { .. }, Ok(Answer::Found(found))) => self.on_next(&about, &found.owner),
            (Stage::Next { asked }, Ok(_) | Err(_)) => self.ask_other(&about, asked),
            (Stage::Other { owner }, Ok(Answer::State(state))) if state.peer == owner => {
                self.merge(&state);
                let notify = Request::Notify { from: self.view.me.clone() };
                self.ask_probe(&about, &state.peer.name, Stage::Notified, notify);
            }
            (_, Err(Failure::Refused(refusal))) => self.on_probe_refused(&about, &refusal),
            // Even whoever was notified well may have had no use for it: only when it follows here too are the two in touch.
            (_, Ok(_) | Err(_)) => self.remembered.missed(&about),
        }
    }

    fn on_remembered_state(&mut self, about: &NodeName, state: &State) {
        let foreign = state.ring_size.is_some_and(|size| size != self.view.ring_size());
        if foreign || state.peer.position == self.me() {
            return self.remembered.settled(about);
        }
        if state.peer.name != *about {
            // It is known here by another name than its own, as a configured seed may be: that name is asked next.
            self.remembered.settled(about);
            if !self.view.neighbours(&state.peer.name) {
                self.remembered.remember(&state.peer.name);
            }
            return;
        }
        self.ask_who_follows(&state.peer);
    }

    /// A node that was alone has found a member. Unless it is next to it, it would have to walk back over all that lie
    /// between.
    pub(super) fn look_for_my_place(&mut self, member: &Peer) {
        if self.open.probe.is_none() && self.view.successors.head() == Some(member) {
            self.ask_who_follows(member);
        }
    }

    /// Asks who follows this node, as if that were in the member's ring. Those on the way leave this node itself out.
    fn ask_who_follows(&mut self, member: &Peer) {
        let target = self.view.ring_size().finger_start(self.me(), 0);
        let question = Question { target, named: false, path: vec![self.view.me.name.clone()] };
        let stage = Stage::Next { asked: member.clone() };
        self.ask_probe(&member.name, &member.name, stage, Request::FindSuccessor(question));
    }

    fn on_next(&mut self, about: &NodeName, next: &Peer) {
        if next.name == self.view.me.name || self.view.successors.head() == Some(next) {
            return self.remembered.settled(about);
        }
        self.ask_other(about, next.clone());
    }

    fn ask_other(&mut self, about: &NodeName, owner: Peer) {
        let to = owner.name.clone();
        self.ask_probe(about, &to, Stage::Other { owner }, Request::GetState);
    }

    fn on_probe_refused(&mut self, about: &NodeName, refusal: &Refusal) {
        match refusal {
            Refusal::RingSizeDiffers { .. } | Refusal::ForeignRing { .. } | Refusal::Itself => {
                self.remembered.settled(about);
            }
            Refusal::NotMember | Refusal::PositionTaken { .. } | Refusal::NoRoute | Refusal::HopLimit => {
                self.remembered.missed(about);
            }
        }
    }

    /// Takes a member that has just answered as head, if it lies before the present one.
    fn merge(&mut self, state: &State) -> bool {
        if self.open.operation.is_some() {
            // A node that walks back round another ring is never idle, and its place may lie at the end of the walk.
            if self.view.is_closer(&state.peer) {
                self.open.closer = Some(state.peer.clone());
            }
            return false;
        }
        if !self.try_adopt(&state.peer, state) {
            return false;
        }
        self.output(Output::Event(Event::Merging(state.peer.clone())));
        self.notify_head(true);
        true
    }

    fn ask_probe(&mut self, about: &NodeName, to: &NodeName, stage: Stage, request: Request) {
        self.send(Purpose::Probe, to, request);
        self.open.probe = Some(Probe { about: about.clone(), stage });
    }
}
