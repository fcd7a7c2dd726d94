//! A handle to a running node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use chord_kv::replication::{Consistency, Filter, Operation, Since, Status};
use chord_kv::{Key, Range, Value};
use chord_ring::{Command, CommandError, Found, NodeName, Position, View};

use crate::builder::Builder;
use crate::metrics::{Door, Process, measured};
use crate::operation::{Outcome, Ticket, Wish};
use crate::shared::{Shared, Stage};
use crate::{Departure, JoinEnded, Keys, Measured, Operated, OperationError, Watch, WatchError};

/// A running node. Cloning gives another handle to the same node; the node runs until [`Node::shutdown`], whoever
/// holds handles.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

/// What a get found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Got {
    /// The value; `None` if the key is absent.
    pub value: Option<Value>,
    /// The node that owns the key.
    pub owner: NodeName,
    /// How many times the request was forwarded.
    pub hops: u32,
}

/// Where a put went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The node that owns the key.
    pub owner: NodeName,
    /// How many times the request was forwarded.
    pub hops: u32,
}

impl Node {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Settings for a new node, all with defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What the node is called: `HOST:PORT`.
    pub fn name(&self) -> &NodeName {
        &self.shared.me.name
    }

    /// What the node believes about the ring at this moment.
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// How often a rule that always holds was found broken at this node, and mended. Anything but 0 is a defect of this
    /// program: the log says what the node believed.
    pub fn violations(&self) -> u64 {
        self.shared.violations.load(Ordering::Relaxed)
    }

    /// Waits until the node is a member of a ring.
    ///
    /// # Errors
    /// The node was stopped before, or it is set up so that the ring cannot take it.
    pub async fn ready(&self) -> Result<(), JoinEnded> {
        let mut changes = self.shared.view_changed.subscribe();
        let mut refusals = self.shared.join_refused.subscribe();
        tokio::select! {
            member = changes.wait_for(|()| self.shared.view.load().is_member()) => {
                member.map(|_| ()).map_err(|_| JoinEnded::Stopped)
            }
            refused = refusals.wait_for(Option::is_some) => {
                Err(refused.ok().and_then(|error| error.clone()).map_or(JoinEnded::Stopped, JoinEnded::Refused))
            }
            () = self.shared.reached(Stage::Departing) => Err(JoinEnded::Stopped),
        }
    }

    /// Founds a ring of one.
    ///
    /// # Errors
    /// The node is in a ring, or on its way into one.
    pub async fn create(&self) -> Result<(), CommandError> {
        self.shared.command(Command::Create).await
    }

    /// Joins the ring that `contact` is in.
    ///
    /// # Errors
    /// The node is in a ring, or the contact did not let it in; the node is as it was.
    pub async fn join(&self, contact: NodeName) -> Result<(), CommandError> {
        self.shared.command(Command::Join(contact)).await
    }

    /// Whether this node has every record that it should have, and others have all copies of its own: then another node of
    /// the ring may be stopped without harm.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn readiness(&self) -> Result<(), String> {
        self.shared.readiness()
    }

    /// How well the records are kept that this node owns, as of a moment ago.
    pub fn status(&self) -> Status {
        self.shared.records.status()
    }

    /// The numbers of this node as of now: the metrics of `/metrics`, with the same names.
    pub async fn metrics(&self) -> Vec<Measured> {
        // On a thread that may wait, since it reads as many entries of a folder as there are connections.
        let process = tokio::task::spawn_blocking(Process::read).await.unwrap_or_default();
        measured(&self.shared, &process)
    }

    /// When the node was started, by the clock of its machine.
    pub fn started_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.shared.started_at_ms)
    }

    /// Watches a key, or all that begin with some bytes, wherever in the ring they lie. `since` says what is known already.
    ///
    /// # Errors
    /// Too many watch through this node already, or it is too busy.
    pub fn watch(&self, filter: Filter, since: Since) -> Result<Watch, WatchError> {
        self.shared.watch(filter, since)
    }

    /// Reads a key from its owner.
    ///
    /// # Errors
    /// The owner could not be reached in time, or refused.
    pub async fn get(&self, key: &[u8]) -> Result<Got, OperationError> {
        let outcome = self.have_done(key, Operation::Get, Consistency::Usual).await?;
        let value = outcome.kept.record.and_then(|record| record.value);
        Ok(Got { value, owner: outcome.owner, hops: outcome.hops })
    }

    /// Writes a key at its owner.
    ///
    /// # Errors
    /// The owner could not be reached in time, or refused. The error tells whether the write may have happened.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<Stored, OperationError> {
        let value = Value::new(value, self.shared.limits.value_bytes)?;
        let outcome = self.have_done(key, Operation::put(value), Consistency::Usual).await?;
        Ok(Stored { owner: outcome.owner, hops: outcome.hops })
    }

    /// Removes a key at its owner. One that is not there is removed all the same.
    ///
    /// # Errors
    /// The owner could not be reached in time, or refused. The error tells whether it may have happened.
    pub async fn delete(&self, key: &[u8]) -> Result<Stored, OperationError> {
        let outcome = self.have_done(key, Operation::delete(), Consistency::Usual).await?;
        Ok(Stored { owner: outcome.owner, hops: outcome.hops })
    }

    /// Has anything that can be done to a key done at its owner: increments, conditional writes, lifetimes, and reads and writes
    /// that ask more copies than usual.
    ///
    /// # Errors
    /// The owner could not be reached in time, or refused. The error tells whether a change may have happened.
    pub async fn operate(
        &self,
        key: &[u8],
        operation: Operation,
        consistency: Consistency,
    ) -> Result<Operated, OperationError> {
        let Outcome { owner, hops, kept } = self.have_done(key, operation, consistency).await?;
        Ok(Operated { outcome: kept, owner, hops })
    }

    async fn have_done(
        &self,
        key: &[u8],
        operation: Operation,
        consistency: Consistency,
    ) -> Result<Outcome, OperationError> {
        let wish = Wish { key: Key::new(key)?, operation, consistency };
        self.shared.operate(wish, self.ticket()).await
    }

    /// Finds the owner of a position.
    ///
    /// # Errors
    /// The ring could not lead to it in time.
    pub async fn lookup(&self, target: Position) -> Result<Found, OperationError> {
        self.shared.look_up(self.shared.ring.size.reduce(target), self.ticket()).await
    }

    /// The keys of an arc of the ring, page by page; [`Range::ALL`] is the whole ring. Keys lie where their bytes are hashed.
    pub fn keys(&self, arc: Range) -> Keys {
        Keys::new(self.shared.clone(), arc)
    }

    /// Sees to it that others have what this node has, leaves the ring and stops. May be called again; the report is the same.
    pub async fn shutdown(&self) -> Departure {
        let departure = self.shared.shut_down().await;
        self.stopped().await;
        departure
    }

    /// Waits until the node has stopped, for whatever reason.
    pub async fn stopped(&self) {
        self.shared.reached(Stage::Stopped).await;
    }

    fn ticket(&self) -> Ticket {
        Ticket::new(Door::Library, self.shared.limits.operation)
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::Event;

    use super::Node;
    use crate::owner::Owner;

    #[tokio::test]
    async fn a_broken_rule_is_counted() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        assert_eq!(node.violations(), 0);
        let view = Box::new((*node.view()).clone());
        Owner::log(&node.shared, &Event::Violation { rule: "a rule", view });
        assert_eq!(node.violations(), 1);
        Owner::log(&node.shared, &Event::SuccessorChanged(None));
        assert_eq!(node.violations(), 1, "nothing else counts");
        node.shutdown().await;
    }
}
