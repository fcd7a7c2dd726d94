//! Requests between hosts: sent, answered, refused, lost, given up.

use super::host::{Down, Origin};
use super::network::Role;
use super::{
    Answer, Asker, Call, CallId, Content, DataRequest, Event, Failure, HostId, Incoming, Input, LookupId,
    Loss, NodeName, Parcel, Request, RequestId, State, Time, World,
};
use std::time::Duration;

use chord_ring::{Purpose, budget_onward};
use rand::RngExt;

/// How a call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The peer answered, if only that it will not or cannot.
    ByPeer,
    /// Its host refused the connection, or the wait is over.
    InVain,
}

/// A request that a host is about to put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) asker: Asker,
    /// The client's lookup that it is part of.
    pub(super) errand: Option<LookupId>,
    /// For a lookup, how much time is left for it, by the clock of the host.
    pub(super) budget: Duration,
}

impl World {
    /// Puts a request to a peer.
    pub(super) fn call(&mut self, from: HostId, to: &NodeName, request: Request, call: Outgoing) {
        let Outgoing { asker, errand, budget } = call;
        self.calls += 1;
        let id = CallId(self.calls);
        let (patience, longest) = (self.settings.patience, self.settings.request_patience);
        let is_lookup = matches!(request, Request::FindSuccessor(_));
        let wait = if is_lookup { longest.min(budget) } else { patience };
        let now = self.now;
        let host = &mut self.hosts[from.0 as usize];
        let until = now.after(host.real(wait));
        host.calls.push(Call { id, to: to.clone(), asker, until, is_in_doubt: false, is_doomed: false });
        let doubt_at = now.after(host.real(patience));
        let ring = host.config.ring().clone();
        if doubt_at < until {
            self.queue.push(doubt_at, Event::Doubt(from, id)); // The deadline follows if it is needed.
        } else {
            self.queue.push(until, Event::Deadline(from, id));
        }
        let Some(receiver) = self.host(to) else {
            // Nobody of that name exists: its host refuses.
            return self.answer(from, from, id, Err(Failure::Unreachable));
        };
        let budget = budget_onward(budget);
        self.send(from, receiver, Content::Request { call: id, ring, request, budget, errand });
    }

    /// A peer takes longer for a lookup than it should need itself, so it is asked whether it lives: a slow lookup behind
    /// it is waited for, and a frozen peer is not. Returns whether the host was still waiting.
    pub(super) fn doubt(&mut self, host: HostId, id: CallId) -> bool {
        let open = self.hosts[host.0 as usize].calls.iter_mut().find(|open| open.id == id);
        let Some(call) = open else { return false };
        if !std::mem::replace(&mut call.is_in_doubt, true) {
            self.queue.push(call.until, Event::Deadline(host, id));
        }
        let to = call.to.clone();
        let asker = Asker::Doubt(id, self.now);
        let call = Outgoing { asker, errand: None, budget: self.settings.request_patience };
        self.call(host, &to, Request::Ping, call);
        true
    }

    /// Whether a peer lives that was asked so at `asked_at` because of an open call.
    fn hear_of_life(&mut self, host: HostId, id: CallId, asked_at: Time, answer: Result<Answer, Failure>) {
        match answer {
            Ok(_) | Err(Failure::Refused(_)) => {
                let again = asked_at.after(self.hosts[host.0 as usize].real(self.settings.patience));
                self.queue.push(again.max(self.now), Event::Doubt(host, id));
            }
            Err(failure) => _ = self.hear(host, id, Err(failure), Ended::InVain),
        }
    }

    /// Ends a call of another host's.
    pub(super) fn answer(&mut self, from: HostId, to: HostId, call: CallId, answer: Result<Answer, Failure>) {
        self.send(from, to, Content::Answer { call, answer });
    }

    pub(super) fn send(&mut self, from: HostId, to: HostId, content: Content) {
        self.n_messages += 1;
        let life = self.hosts[from.0 as usize].life;
        let place = |host: HostId| (host, self.hosts[host.0 as usize].place);
        let role = match &content {
            Content::Request { .. } | Content::DataRequest { .. } => Role::Question,
            Content::Answer { .. } | Content::DataAnswer { .. } => Role::Answer,
        };
        let [first, second] = self.network.arrivals(place(from), place(to), role, &mut self.random);
        // A connection delivers once. What goes between nodes may be sent again by whoever had no answer; a client's operation
        // is sent again only by who knows that it is.
        let is_once = matches!(&content, Content::DataRequest { request, .. } if matches!(**request, DataRequest::Operate { .. }));
        if let Some(pause) = second.filter(|_| !is_once) {
            let content = content.clone();
            self.queue.push(self.now.after(pause), Event::Arrive(Parcel { from, to, life, content }));
        }
        match first {
            Some(pause) => {
                self.queue.push(self.now.after(pause), Event::Arrive(Parcel { from, to, life, content }));
            }
            None => self.note(|world| format!("{} to {}: lost", world.name(from), world.name(to))),
        }
    }

    /// A message has come to a host that does not stand still. Returns whether it mattered to anybody.
    pub(super) fn arrive(&mut self, parcel: Parcel) -> bool {
        let Parcel { from, to, life, content } = parcel;
        // What a process had just sent may end with it. A world without records leaves that to loss.
        let has_ended = self.settings.data.is_some() && self.hosts[from.0 as usize].life != life;
        if has_ended && self.random.random_bool(0.5) {
            self.note(|world| format!("{} to {}: lost with its sender", world.name(from), world.name(to)));
            return true;
        }
        match content {
            Content::Request { call, ring, request, budget, errand } => {
                let Some(node) = &self.hosts[to.0 as usize].node else {
                    self.note(|world| format!("{} to {}: nobody there", world.name(from), world.name(to)));
                    return self.turn_away(from, to, call);
                };
                let admitted = node.view().admit_request(Some(&ring), &request);
                self.note(|world| format!("{} asks {}: {request:?}", world.name(from), world.name(to)));
                if let Err(refusal) = admitted {
                    self.answer(to, from, call, Err(Failure::Refused(refusal)));
                    return true;
                }
                match request {
                    Request::FindSuccessor(question) => {
                        self.carry(to, question, Origin::Peer(from, call), budget, errand);
                    }
                    request => {
                        let wants_state = request == Request::GetState;
                        self.answering = Some((from, call));
                        self.feed(to, Input::Request(super::Token(call.0), Some(ring), request));
                        if wants_state {
                            let asker = self.hosts[from.0 as usize].me.clone();
                            self.feed(to, Input::AskedBy(asker));
                        }
                    }
                }
                true
            }
            Content::Answer { call, answer } => {
                let ended = if answer == Err(Failure::Unreachable) { Ended::InVain } else { Ended::ByPeer };
                self.hear(to, call, answer, ended)
            }
            Content::DataRequest { call, request } => {
                if self.hosts[to.0 as usize].node.is_none() {
                    return self.turn_away(from, to, call);
                }
                self.note(|world| format!("{} asks {}: {request:?}", world.name(from), world.name(to)));
                self.take_data_request(from, to, call, *request);
                true
            }
            Content::DataAnswer { call, answer } => {
                self.note(|world| format!("{} hears of {}: {answer:?}", world.name(to), world.name(from)));
                self.hear_data(to, call, *answer)
            }
        }
    }

    fn turn_away(&mut self, from: HostId, to: HostId, call: CallId) -> bool {
        if let Some(call) = self.hosts[from.0 as usize].calls.iter_mut().find(|open| open.id == call) {
            call.is_doomed = true;
        }
        match self.hosts[to.0 as usize].down {
            Down::Refuses => self.answer(to, from, call, Err(Failure::Unreachable)),
            Down::Silent => {}
        }
        true
    }

    /// The host has waited long enough. Returns whether it was still waiting.
    pub(super) fn give_up(&mut self, host: HostId, call: CallId) -> bool {
        let is_open = self.hosts[host.0 as usize].calls.iter().any(|open| open.id == call);
        is_open && self.hear(host, call, Err(Failure::Silent), Ended::InVain)
    }

    fn hear(&mut self, host: HostId, id: CallId, answer: Result<Answer, Failure>, ended: Ended) -> bool {
        let now = self.now;
        let at = self.host_mut(host);
        let Some(call) = at.take_call(id) else { return false };
        match ended {
            Ended::ByPeer => at.trust(&call.to),
            Ended::InVain => at.suspect(&call.to, now),
        }
        self.note(|world| format!("{} hears of {}: {answer:?}", world.name(host), call.to));
        match call.asker {
            Asker::Node(id) => self.feed(host, Input::Answer(id, answer)),
            Asker::Lookup(carried) => self.hear_of_lookup(host, carried, &call.to, answer, ended),
            Asker::Doubt(open, asked_at) => self.hear_of_life(host, open, asked_at, answer),
            Asker::Data(id) => self.data_failed(host, id, answer.err().unwrap_or(Failure::Garbled)),
            Asker::Operation(action) => self.attempt_lost(action),
            Asker::Tour(id) => self.tour_answered(id, Err(answer.err().unwrap_or(Failure::Silent))),
        }
        true
    }

    /// The lists on their way to somebody who may store them.
    pub(super) fn incoming(&self) -> impl Iterator<Item = Incoming<'_>> {
        self.answers_on_their_way().filter_map(|(host, id, answer)| {
            let to = self.node(host)?.view();
            match answer {
                Ok(Answer::State(state)) if Incoming::may_store(to, id.purpose) => {
                    Some(Incoming { to, state })
                }
                Ok(_) | Err(_) => None,
            }
        })
    }

    /// Who is about to hear that a peer does not answer, and may give it up.
    pub(super) fn losses(&self) -> impl Iterator<Item = Loss<'_>> {
        self.hosts.iter().filter(|host| host.node.is_some()).flat_map(|host| {
            let is_about_the_head =
                |call: &&Call| matches!(call.asker, Asker::Node(RequestId { purpose: Purpose::Ring, .. }));
            host.calls
                .iter()
                .filter(is_about_the_head)
                .filter(|call| call.is_doomed)
                .map(|call| Loss { to: &host.me.name, peer: &call.to })
        })
    }

    fn answers_on_their_way(&self) -> impl Iterator<Item = (HostId, RequestId, &Result<Answer, Failure>)> {
        let asleep = self.hosts.iter().filter_map(|host| host.asleep.as_ref()).flatten();
        self.queue.iter().chain(asleep).filter_map(|event| match event {
            Event::Arrive(Parcel { to, content: Content::Answer { call, answer }, .. }) => {
                let calls = &self.hosts[to.0 as usize].calls;
                match calls.iter().find(|open| open.id == *call)?.asker {
                    Asker::Node(id) => Some((*to, id, answer)),
                    Asker::Lookup(_)
                    | Asker::Doubt(..)
                    | Asker::Data(_)
                    | Asker::Operation(_)
                    | Asker::Tour(_) => None,
                }
            }
            _ => None,
        })
    }

    /// Of the states that are on their way to anybody, each.
    pub fn states_on_their_way(&self) -> impl Iterator<Item = &State> {
        self.answers_on_their_way().filter_map(|(_, _, answer)| match answer {
            Ok(Answer::State(state)) => Some(state),
            Ok(_) | Err(_) => None,
        })
    }
}
