//! Lookups: begun by clients, carried from host to host, as [`chord_ring::Lookup`] decides.

use std::time::Duration;

use chord_ring::{
    Answer, Failure, Found, Input, LOOKUP_RETRY_PAUSE, Lookup, NodeName, Position, Question, Request, Step,
    begins_anew,
};

use super::action::Known;
use super::host::{Asker, Carried, Origin};
use super::requests::{Ended, Outgoing};
use super::{Event, HostId, LookupId, Time, World};

/// How a client's lookup ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody said that it is the owner.
    Found(Found),
    /// No way led to the owner, or the time was over: then silence.
    Failed(Failure),
    /// The node that was asked is gone.
    Abandoned,
}

/// A client's lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Where it began.
    pub host: HostId,
    /// The position whose owner is sought.
    pub target: Position,
    /// When it began.
    pub began: Time,
    /// When it ended, and how, if it has.
    pub ended: Option<(Time, Outcome)>,
    /// How many requests on its behalf, anywhere, brought no answer.
    pub timeouts: u32,
}

impl World {
    /// Begins a lookup at the node on a host. `None` if no node runs there.
    pub fn look_up(&mut self, host: HostId, target: Position) -> Option<LookupId> {
        self.node(host)?;
        let id = LookupId(u32::try_from(self.errands.len()).ok()?);
        let began = self.now;
        self.errands.push(Errand { host, target, began, ended: None, timeouts: 0 });
        let question = Question { target, named: false, path: Vec::new() };
        self.note(|world| format!("a client asks {} for the owner of {target}", world.name(host)));
        self.carry(host, question, Origin::Client(id), self.settings.lookup_patience, Some(id));
        Some(id)
    }

    /// The clients' lookups, in the order in which they began.
    pub fn errands(&self) -> &[Errand] {
        &self.errands
    }

    /// A client's lookup that has ended since the last time.
    pub fn next_ended(&mut self) -> Option<LookupId> {
        self.ended.pop_front()
    }

    /// A host takes a lookup up, for which it has so much time by its own clock.
    pub(super) fn carry(
        &mut self,
        host: HostId,
        question: Question,
        origin: Origin,
        budget: Duration,
        errand: Option<LookupId>,
    ) {
        self.carried += 1;
        let lookup = Lookup::new(question.clone());
        let id = self.carried;
        let budget = budget.min(self.settings.lookup_patience);
        let until = self.now.after(self.hosts[host.0 as usize].real(budget));
        self.host_mut(host).carried.push(Carried {
            id,
            question,
            lookup,
            asked: None,
            origin,
            until,
            errand,
        });
        self.advance(host, id);
    }

    /// Takes a lookup one step on.
    fn advance(&mut self, host: HostId, id: u64) {
        let now = self.now;
        let Some((step, carried, left)) = self.hosts[host.0 as usize].step(id, now) else { return };
        match step {
            Step::Here(found) => self.end(host, id, Ok(found)),
            Step::Stuck(refusal) => {
                if !begins_anew(&refusal, &carried.question.path, left) {
                    return self.end(host, id, Err(Failure::Refused(refusal)));
                }
                let host_now = &self.hosts[host.0 as usize];
                let (life, pause) = (host_now.life, host_now.real(LOOKUP_RETRY_PAUSE));
                self.queue.push(now.after(pause), Event::Resume { host, life, carried: id });
            }
            Step::Ask { .. } if left.is_zero() => self.end(host, id, Err(Failure::Silent)),
            Step::Ask { peer, question, .. } => {
                let errand = carried.errand;
                carried.asked = Some(peer.clone());
                let call = Outgoing { asker: Asker::Lookup(id), errand, budget: left };
                self.call(host, &peer.name, Request::FindSuccessor(question), call);
            }
        }
    }

    /// A lookup that got stuck begins anew. Returns whether it still waits for that.
    pub(super) fn resume(&mut self, host: HostId, id: u64) -> bool {
        let (_, Some(carried)) = self.hosts[host.0 as usize].node_and_carried(id) else { return false };
        carried.lookup = Lookup::new(carried.question.clone());
        self.advance(host, id);
        true
    }

    pub(super) fn hear_of_lookup(
        &mut self,
        host: HostId,
        id: u64,
        peer: &NodeName,
        answer: Result<Answer, Failure>,
        ended: Ended,
    ) {
        let (Some(node), Some(carried)) = self.hosts[host.0 as usize].node_and_carried(id) else { return };
        let failure = match answer {
            Ok(Answer::Found(found)) => {
                let Some(asked) = &carried.asked else { return };
                let target = carried.lookup.target();
                let whole = carried.lookup.answered(node.view(), asked, found.clone());
                self.learn_shortcut(host, target, &found);
                return self.end(host, id, Ok(whole));
            }
            Ok(_) => Failure::Garbled,
            Err(failure) => failure,
        };
        carried.lookup.failed(peer, &failure);
        let errand = carried.errand;
        if !matches!(failure, Failure::Refused(_)) {
            self.forget_shortcut(host, peer);
        }
        if ended == Ended::InVain
            && let Some(errand) = errand.and_then(|id| self.errands.get_mut(id.0 as usize))
        {
            errand.timeouts += 1;
        }
        if failure == Failure::Unreachable {
            self.feed(host, Input::Unreachable(peer.clone()));
        }
        self.advance(host, id);
    }

    fn end(&mut self, host: HostId, id: u64, result: Result<Found, Failure>) {
        let all = &mut self.host_mut(host).carried;
        let Some(place) = all.iter().position(|carried| carried.id == id) else { return };
        let carried = all.swap_remove(place);
        match carried.origin {
            Origin::Peer(asker, call) => {
                self.answer(host, asker, call, result.map(Answer::Found));
            }
            Origin::Client(lookup) => {
                self.note(|world| format!("{} answers its client: {result:?}", world.name(host)));
                self.end_errand(lookup, result.map_or_else(Outcome::Failed, Outcome::Found));
            }
            Origin::Data(id) => self.data_owner_found(host, id, result.ok().map(|found| found.owner)),
            Origin::Operation(action) => match result {
                Ok(found) => self.ask_owner(action, &found.owner, Known::Found),
                Err(_) => self.attempt_later(action),
            },
            Origin::Tour(tour) => self.tour_found(tour, result.ok().map(|found| found.owner)),
        }
    }

    /// The host that carried a lookup is gone.
    pub(super) fn abandon(&mut self, carried: &Carried) {
        if let Origin::Client(lookup) = carried.origin {
            self.end_errand(lookup, Outcome::Abandoned);
        }
    }

    fn end_errand(&mut self, id: LookupId, outcome: Outcome) {
        let now = self.now;
        if let Some(errand) = self.errands.get_mut(id.0 as usize) {
            errand.ended = Some((now, outcome));
            self.ended.push_back(id);
        }
    }
}
