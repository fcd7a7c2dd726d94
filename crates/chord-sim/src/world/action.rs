//! What clients do to the records of a world: each operation with its attempts, as the node that was asked makes them.

use std::time::Duration;

use chord_kv::Key;
use chord_kv::replication::{Afterwards, Attempts, Consistency, Input, Operation, OperationError, Outcome};
use chord_ring::{Peer, Position, Question, Token};

use super::data::{DataEvent, DataRequest, Waiter};
use super::host::{Asker, Origin};
use super::{Event, HostId, Time, World};

/// Pause before an operation that came to nothing is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Names an operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u32);

/// An operation of a client.
#[derive(Clone, Debug)]
pub struct Action {
    /// The host that it asked.
    pub host: HostId,
    /// The key.
    pub key: Key,
    /// What is to be done.
    pub operation: Operation,
    /// When it began.
    pub began: Time,
    /// When it ended, and how, if it has. The client's own node is gone if the error is [`OperationError::Uncertain`] or
    /// the time was over.
    pub ended: Option<(Time, Result<Outcome, OperationError>)>,
    attempts: Attempts,
    until: Time,
}

impl World {
    /// A client asks the node on a host to do something to a key. `None` if no node runs there.
    pub fn operate(&mut self, host: HostId, key: Key, operation: Operation) -> Option<ActionId> {
        let patience = self.settings.data.as_ref()?.patience;
        let now = self.time_of(host);
        let replicator = self.hosts[host.0 as usize].data.as_mut()?.replicator.as_mut()?;
        let attempts = Attempts::new(&operation, replicator.propose(now));
        let id = ActionId(u32::try_from(self.actions.len()).ok()?);
        let (began, until) = (self.now, self.now.after(patience));
        self.note(|world| format!("a client asks {}: {operation:?} {key:?}", world.name(host)));
        self.actions.push(Action { host, key, operation, began, ended: None, attempts, until });
        self.queue.push(until, Event::Expire(id));
        self.attempt(id);
        Some(id)
    }

    /// The clients' operations, in the order in which they began.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// Where the key lies of the write that was acknowledged last, if one was since the last time.
    pub fn take_acknowledged(&mut self) -> Option<Position> {
        self.acknowledged.take()
    }

    /// Looks for the owner of the key of an operation.
    pub(super) fn attempt(&mut self, id: ActionId) {
        let Some(action) = self.actions.get(id.0 as usize).filter(|action| action.ended.is_none()) else {
            return;
        };
        let target = self.position_of(&action.key);
        let question = Question { target, named: false, path: Vec::new() };
        let budget = action.until.since(self.now);
        self.carry(action.host, question, Origin::Operation(id), budget, None);
    }

    pub(super) fn position_of(&self, key: &Key) -> Position {
        key.position(self.settings.config.ring().size)
    }

    pub(super) fn owner_found(&mut self, id: ActionId, owner: Option<Peer>) {
        let open = self.actions.get_mut(id.0 as usize).filter(|action| action.ended.is_none());
        let Some(action) = open else { return };
        let Some(owner) = owner else { return self.attempt_later(id) };
        let (host, until) = (action.host, action.until);
        let (key, operation) = (action.key.clone(), action.operation.clone());
        let version = action.attempts.begin();
        if self.host(&owner.name) == Some(host) {
            self.calls += 1;
            let token = Token(self.calls);
            if let Some(data) = &mut self.host_mut(host).data {
                data.waiting.push((token, Waiter::Client(id)));
            }
            let (consistency, until) = (Consistency::Usual, until.since(Time::ZERO));
            let input = Input::Operate { token, key, operation, version, consistency, until };
            return self.feed_data(host, input);
        }
        let patience = self.settings.patience.saturating_mul(4);
        let deadline = until.min(self.now.after(patience));
        let request = DataRequest::Operate { key, operation, version, until };
        self.call_data(host, &owner, request, Asker::Operation(id), deadline);
    }

    pub(super) fn attempt_ended(&mut self, id: ActionId, result: Result<Outcome, OperationError>) {
        let idx = id.0 as usize;
        let Some(action) = self.actions.get(idx).filter(|action| action.ended.is_none()) else { return };
        let host = action.host;
        let now = self.time_of(host);
        let replicator = self.hosts[host.0 as usize].data.as_mut().and_then(|data| data.replicator.as_mut());
        let Some(replicator) = replicator else { return };
        let attempts = &mut self.actions[idx].attempts;
        let afterwards = attempts.answered(result, |stored| replicator.propose_over(now, stored));
        self.go_on(id, afterwards);
    }

    /// An attempt brought no answer.
    pub(super) fn attempt_lost(&mut self, id: ActionId) {
        let Some(action) = self.actions.get_mut(id.0 as usize).filter(|action| action.ended.is_none()) else {
            return;
        };
        let afterwards = action.attempts.lost();
        self.go_on(id, afterwards);
    }

    fn go_on(&mut self, id: ActionId, afterwards: Afterwards) {
        match afterwards {
            Afterwards::TryAgain => self.attempt_later(id),
            Afterwards::Tell(result) => self.end_action(id.0 as usize, *result),
        }
    }

    fn attempt_later(&mut self, id: ActionId) {
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
            Ok(outcome) => format!("{:?} of {:?}: {outcome:?}", action.operation, action.key),
            Err(error) => format!("{:?} of {:?}: {error}", action.operation, action.key),
        };
        self.note(|_| line.clone());
        if result.as_ref().is_ok_and(|outcome| outcome.copies > 0) {
            self.acknowledged = Some(self.position_of(&self.actions[idx].key));
        }
        self.actions[idx].ended = Some((now, result));
    }
}
