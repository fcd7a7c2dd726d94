//! What clients do to the records of a world: each operation with its attempts, as the node that was asked makes them.

use std::time::Duration;

use chord_kv::Key;
use chord_kv::replication::{
    Afterwards, Attempts, Consistency, Input, Operation, OperationError, Outcome, Proposal,
};
use chord_ring::{Found, Lookup, NodeName, Peer, Position, Question, Step, Token};

use super::data::{DataEvent, DataRequest, Waiter};
use super::host::{Asker, Origin};
use super::{Event, HostId, Time, World};

/// Pause before an operation that came to nothing is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Where its key lies.
    pub position: Position,
    /// Members of the group that have made it durable, by the word of the owner.
    pub copies: usize,
}

/// Names an operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u32);

/// What a client wants done.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The key.
    pub key: Key,
    /// What to do to it.
    pub operation: Operation,
    /// How many copies it is about.
    pub consistency: Consistency,
}

/// An operation of a client.
#[derive(Clone, Debug)]
pub struct Action {
    /// The host that it asked.
    pub host: HostId,
    /// What is to be done.
    pub wish: Wish,
    /// When it began.
    pub began: Time,
    /// When it ended, and how, if it has. The client's own node is gone if the error is [`OperationError::Uncertain`] or
    /// the time was over.
    pub ended: Option<(Time, Result<Outcome, OperationError>)>,
    attempts: Attempts,
    until: Time,
    /// Who was asked last, and how it was known.
    asked: Option<(NodeName, Known)>,
}

/// How it is known who the owner of a key is. Whoever is asked to do something checks that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has said so a moment ago.
    Found,
    /// The node that the client asked has it in its lists.
    Named,
    /// That node has learned of it earlier.
    Learned,
}

/// How often a node asked an owner at once, of whom it had learned earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// And was told how it went.
    pub right: usize,
    /// And was refused, or not answered.
    pub wrong: usize,
}

impl Wish {
    pub(super) fn into_input(
        self,
        position: Position,
        token: Token,
        proposal: Proposal,
        until: Time,
    ) -> Input {
        let Self { key, operation, consistency } = self;
        let until = until.since(Time::ZERO);
        Input::Operate { token, key, position, operation, proposal, consistency, until }
    }
}

impl World {
    /// A client asks the node on a host to do something to a key. `None` if no node runs there.
    pub fn operate(&mut self, host: HostId, wish: Wish) -> Option<ActionId> {
        let patience = self.settings.data.as_ref()?.patience;
        let now = self.time_of(host);
        let me = self.hosts[host.0 as usize].me.position;
        let replicator = self.hosts[host.0 as usize].data.as_ref()?.replicator.as_ref()?;
        let attempts = Attempts::new(&wish.operation, || replicator.clock().next(now.wall_ms, me));
        let id = ActionId(u32::try_from(self.actions.len()).ok()?);
        let (began, until) = (self.now, self.now.after(patience));
        self.note(|world| format!("a client asks {}: {wish:?}", world.name(host)));
        self.actions.push(Action { host, wish, began, ended: None, attempts, until, asked: None });
        self.queue.push(until, Event::Expire(id));
        self.attempt(id);
        Some(id)
    }

    /// The clients' operations, in the order in which they began.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The write that was acknowledged last, if one was since the last time.
    pub fn take_acknowledged(&mut self) -> Option<Acknowledged> {
        self.acknowledged.take()
    }

    /// How often an owner has surpassed another one that claimed its range.
    pub fn surpassed(&self) -> usize {
        self.surpassed
    }

    /// How often owners were asked at once, of whom somebody had learned earlier.
    pub fn guesses(&self) -> Guesses {
        self.guesses
    }

    /// Puts an operation to whom the node that the client asked takes for the owner of its key, or looks for the owner: so
    /// too if that one has just refused.
    pub(super) fn attempt(&mut self, id: ActionId) {
        let Some(action) = self.actions.get(id.0 as usize).filter(|action| action.ended.is_none()) else {
            return;
        };
        let (host, budget) = (action.host, action.until.since(self.now));
        let target = self.position_of(&action.wish.key);
        let may_believe = action.asked.as_ref().is_none_or(|(_, known)| *known == Known::Found);
        if may_believe && let Some((owner, known)) = self.believed_owner(host, target) {
            return self.ask_owner(id, &owner, known);
        }
        let question = Question { target, named: false, path: Vec::new() };
        self.carry(host, question, Origin::Operation(id), budget, None);
    }

    pub(super) fn position_of(&self, key: &Key) -> Position {
        key.position(self.settings.config.ring().size)
    }

    /// Whom a node takes for the owner without asking anybody, itself excepted.
    fn believed_owner(&self, host: HostId, target: Position) -> Option<(Peer, Known)> {
        let host = &self.hosts[host.0 as usize];
        let (view, data) = (host.node.as_ref()?.view(), host.data.as_ref()?);
        let is_suspect = |peer: &NodeName| host.is_suspect(peer, self.now);
        let lookup = Lookup::of(target);
        match lookup.step_round(view, is_suspect) {
            Step::Ask { peer, question, .. } if question.named => Some((peer, Known::Named)),
            Step::Ask { .. } => {
                let learned = lookup.shortcut(view, &data.shortcuts, self.now.since(Time::ZERO));
                learned.filter(|peer| !is_suspect(&peer.name)).map(|peer| (peer, Known::Learned))
            }
            Step::Here(_) | Step::Stuck(_) => None,
        }
    }

    pub(super) fn learn_shortcut(&mut self, host: HostId, target: Position, found: &Found) {
        let now = self.now.since(Time::ZERO);
        if let Some(data) = &mut self.host_mut(host).data {
            data.shortcuts.learn(target, found, now);
        }
    }

    pub(super) fn forget_shortcut(&mut self, host: HostId, peer: &NodeName) {
        if let Some(data) = &mut self.host_mut(host).data {
            data.shortcuts.forget(peer);
        }
    }

    pub(super) fn ask_owner(&mut self, id: ActionId, owner: &Peer, known: Known) {
        let open = self.actions.get_mut(id.0 as usize).filter(|action| action.ended.is_none());
        let Some(action) = open else { return };
        action.asked = Some((owner.name.clone(), known));
        let (host, until, wish) = (action.host, action.until, action.wish.clone());
        let proposal = action.attempts.begin();
        if self.host(&owner.name) == Some(host) {
            self.calls += 1;
            let token = Token(self.calls);
            if let Some(data) = &mut self.host_mut(host).data {
                data.waiting.push((token, Waiter::Client(id)));
            }
            let position = self.position_of(&wish.key);
            return self.feed_data(host, wish.into_input(position, token, proposal, until));
        }
        let patience = self.settings.patience.saturating_mul(4);
        let deadline = until.min(self.now.after(patience));
        let request = DataRequest::Operate { wish, proposal, until };
        self.call_data(host, owner, request, Asker::Operation(id), deadline);
    }

    pub(super) fn attempt_ended(&mut self, id: ActionId, result: Result<Outcome, OperationError>) {
        let idx = id.0 as usize;
        let Some(action) = self.actions.get(idx).filter(|action| action.ended.is_none()) else { return };
        let host = action.host;
        let now = self.time_of(host);
        let me = self.hosts[host.0 as usize].me.position;
        let replicator = self.hosts[host.0 as usize].data.as_ref().and_then(|data| data.replicator.as_ref());
        let Some(clock) = replicator.map(chord_kv::replication::Replicator::clock) else { return };
        let attempts = &mut self.actions[idx].attempts;
        let afterwards = attempts.answered(&result, |stored| clock.next_over(now.wall_ms, me, stored));
        self.go_on(id, afterwards, result);
    }

    /// An attempt brought no answer.
    pub(super) fn attempt_lost(&mut self, id: ActionId) {
        let Some(action) = self.actions.get_mut(id.0 as usize).filter(|action| action.ended.is_none()) else {
            return;
        };
        let afterwards = action.attempts.failed(true);
        self.go_on(id, afterwards, Err(OperationError::Uncertain));
    }

    fn go_on(&mut self, id: ActionId, afterwards: Afterwards, answered: Result<Outcome, OperationError>) {
        self.note_whether_told(id, matches!(afterwards, Afterwards::Tell | Afterwards::TryAtOnce));
        match afterwards {
            Afterwards::TryAgain | Afterwards::TryAtOnce => self.attempt_later(id),
            Afterwards::Tell => self.end_action(id.0 as usize, answered),
            Afterwards::TellOfDoubt => self.end_action(id.0 as usize, Err(OperationError::Uncertain)),
        }
    }

    /// Whoever was asked has said how it went, or is not believed to be the owner any more.
    fn note_whether_told(&mut self, id: ActionId, is_told: bool) {
        let action = &mut self.actions[id.0 as usize];
        let host = action.host;
        let asked = if is_told { action.asked.take() } else { action.asked.clone() };
        let Some((owner, known)) = asked else { return };
        if known == Known::Learned {
            let count = if is_told { &mut self.guesses.right } else { &mut self.guesses.wrong };
            *count += 1;
        }
        if !is_told {
            self.forget_shortcut(host, &owner);
        }
    }

    pub(super) fn attempt_later(&mut self, id: ActionId) {
        let host = self.actions[id.0 as usize].host;
        self.schedule_data(host, RETRY_PAUSE, DataEvent::Attempt(id));
    }

    /// The client has waited long enough.
    pub(super) fn expire(&mut self, id: ActionId) -> bool {
        let idx = id.0 as usize;
        let Some(action) = self.actions.get(idx).filter(|action| action.ended.is_none()) else {
            return false;
        };
        let error = action.attempts.expired();
        self.end_action(idx, Err(error));
        true
    }

    pub(super) fn end_action(&mut self, idx: usize, result: Result<Outcome, OperationError>) {
        let now = self.now;
        let action = &self.actions[idx];
        let line = match &result {
            Ok(outcome) => format!("{:?}: {outcome:?}", action.wish),
            Err(error) => format!("{:?}: {error}", action.wish),
        };
        self.note(|_| line.clone());
        if let Some(copies) = result.as_ref().ok().map(|outcome| outcome.copies).filter(|copies| *copies > 0)
        {
            let position = self.position_of(&self.actions[idx].wish.key);
            self.acknowledged = Some(Acknowledged { position, copies });
        }
        self.actions[idx].ended = Some((now, result));
    }
}
