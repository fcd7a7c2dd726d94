//! Metrics: what a node counts of what it does, and how it tells that to those who collect numbers.
//!
//! What there is, is one table (`table.rs`): the text at `/metrics` and the documentation are held to it. Counting is a few
//! additions to atomic numbers, since it is done within each operation; all else is read when somebody asks.

mod count;
mod exposition;
mod gather;
mod measured;
mod operations;
mod process;
mod sink;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use exposition::Format;
pub(crate) use gather::{exposition, measured};
pub use measured::{Measured, Measurement, Series};
pub(crate) use operations::{Arrival, Deed, Door};
pub(crate) use process::{Process, Usage};
pub use table::Kind;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Instant;

use chord_kv::replication::{Operation, OperationError as Unable, Outcome as Kept, Repaired};
use chord_ring::{Event, Found, Wake};
use chord_wire::rest::{LookupsBody, RepairBody, WorkBody};

use crate::OperationError;
use crate::links::Purpose;
use crate::operation::Outcome;
use crate::shared::Shared;
use count::{BOUNDS_US, Counter, Gauge, Hops};
use operations::{Deeds, End, Operations};

/// What is asked of other nodes, and of this one's list: see [`Shared::contradictions`].
pub(crate) const CHECKS: [&str; 4] = ["found", "successor", "predecessor", "list"];

/// Which peers' round trips are told.
const OF_TRIPS: [&str; 3] = ["fastest", "median", "slowest"];

/// How a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Well,
    /// It failed a moment ago.
    Suspect,
}

impl LinkState {
    const ALL: [Self; 2] = [Self::Well, Self::Suspect];
    const WORDS: [&str; 2] = ["well", "suspect"];
}

/// What one node has counted since it started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    began: Began,
    operations: Operations,
    operation_hops: Hops,
    lookups_found: Counter,
    lookups_failed: Counter,
    lookup_hops: Hops,
    rounds: Counter,
    successor_changes: Counter,
    predecessor_changes: Counter,
    dropped: Counter,
    merges: Counter,
    connections: [Gauge; Speech::ALL.len()],
    connections_opened: [Counter; Speech::ALL.len()],
    turned_away: Counter,
    displaced: Counter,
}

/// When counting began, by a clock that nobody sets.
#[derive(Debug)]
struct Began(Instant);

impl Default for Began {
    fn default() -> Self {
        Self(Instant::now())
    }
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Http,
    Redis,
    Frames,
}

impl Speech {
    pub(crate) const ALL: [Self; 3] = [Self::Http, Self::Redis, Self::Frames];
    pub(crate) const WORDS: [&str; 3] = ["http", "redis", "frames"];
}

/// A connection that is open, for as long as this is kept.
pub(crate) struct Present {
    shared: Arc<Shared>,
    spoken: Speech,
}

impl Present {
    pub(crate) fn new(shared: &Arc<Shared>, spoken: Speech) -> Self {
        shared.metrics.connections[spoken as usize].up();
        shared.metrics.connections_opened[spoken as usize].add(1);
        Self { shared: shared.clone(), spoken }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.shared.metrics.connections[self.spoken as usize].down();
    }
}

/// An operation that is under way. If this is dropped before the end, nobody waits for it any more.
pub(crate) struct UnderWay<'a> {
    metrics: &'a Metrics,
    arrival: Arrival,
    deed: Deed,
    has_ended: bool,
}

impl UnderWay<'_> {
    /// It has ended, wherever it was done.
    pub(crate) fn ended(mut self, result: &Result<impl Borrow<Outcome>, OperationError>) {
        self.has_ended = true;
        self.metrics.ended(self.arrival, self.deed, result);
    }

    /// Another node had this one do it as the owner of a key, and it has ended.
    pub(crate) fn ended_for_peer(mut self, result: &Result<Kept, Unable>) {
        self.has_ended = true;
        self.metrics.operations.note(self.arrival, self.deed, End::here(self.deed, result));
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.metrics.operations.note(self.arrival, self.deed, End::Dropped);
        }
    }
}

impl Metrics {
    /// How long the node is up, in milliseconds.
    pub(crate) fn up_ms(&self) -> u64 {
        u64::try_from(self.began.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// An operation has ended at this node itself, where it was forwarded so often before.
    pub(crate) fn ended_here(
        &self,
        arrival: Arrival,
        operation: &Operation,
        hops: u32,
        result: &Result<Kept, Unable>,
    ) {
        let deed = Deed::of(operation);
        self.operations.note(arrival, deed, End::here(deed, result));
        if result.is_ok() {
            self.operation_hops.note(hops);
        }
    }

    /// An operation has ended, wherever it was done.
    fn ended(&self, arrival: Arrival, deed: Deed, result: &Result<impl Borrow<Outcome>, OperationError>) {
        let result = result.as_ref().map(Borrow::borrow);
        self.operations.note(arrival, deed, End::anywhere(deed, result.map(|outcome| &outcome.kept)));
        if let Ok(outcome) = result {
            self.operation_hops.note(outcome.hops);
        }
    }

    /// An operation that is under way, until it is told how that ended.
    pub(crate) fn under_way(&self, arrival: Arrival, deed: Deed) -> UnderWay<'_> {
        UnderWay { metrics: self, arrival, deed, has_ended: false }
    }

    pub(crate) fn looked_up(&self, found: &Result<Found, OperationError>) {
        match found {
            Ok(found) => {
                self.lookups_found.add(1);
                self.lookup_hops.note(found.hops);
            }
            Err(_) => self.lookups_failed.add(1),
        }
    }

    /// A connection found no place.
    pub(crate) fn turns_away(&self) {
        self.turned_away.add(1);
    }

    /// An idle connection ends, since a newcomer wants its place.
    pub(crate) fn makes_room(&self) {
        self.displaced.add(1);
    }

    /// The ring wakes up, perhaps for a round of maintenance.
    pub(crate) fn wakes(&self, wake: Wake) {
        match wake {
            Wake::Maintain => self.rounds.add(1),
            Wake::RetryJoin => {}
        }
    }

    /// Something happened to the ring.
    pub(crate) fn happened(&self, event: &Event) {
        match event {
            Event::SuccessorChanged(_) => self.successor_changes.add(1),
            Event::PredecessorChanged(_) => self.predecessor_changes.add(1),
            Event::Dropped(..) => self.dropped.add(1),
            Event::Merging(_) => self.merges.add(1),
            // Violations are counted where they are told; whoever has lost its position is no member any more.
            _ => {}
        }
    }

    /// What a node tells of what it has done.
    pub(crate) fn told(&self, repaired: &Repaired) -> WorkBody {
        let Repaired { sent, fetched } = repaired;
        let of_clients = |door| door != Door::Peer;
        WorkBody {
            bounds_us: BOUNDS_US.to_vec(),
            reads: self.operations.told(&[Deeds::Reads], of_clients),
            writes: self.operations.told(&[Deeds::Writes], of_clients),
            as_owner: self.operations.told(&Deeds::ALL, |door| door == Door::Peer),
            doors: Some(self.operations.by_door()),
            hops: self.operation_hops.read().counts,
            lookups: LookupsBody { found: self.lookups_found.read(), failed: self.lookups_failed.read() },
            repair: RepairBody {
                sent_records: sent.records,
                sent_bytes: sent.bytes,
                fetched_records: fetched.records,
                fetched_bytes: fetched.bytes,
            },
            rounds: self.rounds.read(),
            successor_changes: self.successor_changes.read(),
            predecessor_changes: self.predecessor_changes.read(),
            dropped: self.dropped.read(),
            connections: self.connections.iter().map(Gauge::read).sum(),
        }
    }
}
