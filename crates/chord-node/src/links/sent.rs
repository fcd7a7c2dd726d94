//! How many requests this node has sent to its peers, by what they are for.

use std::sync::atomic::{AtomicU64, Ordering};

use chord_kv::replication::PeerRequest;
use chord_ring::Request;
use chord_wire::rest::SentBody;

/// What a request to a peer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The ring itself.
    Ring,
    /// To find an owner: for a client, for a peer that asked, or for a finger.
    Lookup,
    /// To have an owner do what a client wants.
    Operation,
    /// To have a copy kept, or to read one.
    Copy,
    /// To see to it that copies are where they should be, and whatever else is about records.
    Upkeep,
}

/// Counters that only grow. A request counts once, however often it has to be sent until it arrives.
#[derive(Debug, Default)]
pub(super) struct Sent {
    ring: AtomicU64,
    lookups: AtomicU64,
    operations: AtomicU64,
    copies: AtomicU64,
    upkeep: AtomicU64,
}

impl Sent {
    pub(super) fn count(&self, purpose: Purpose) {
        let counter = match purpose {
            Purpose::Ring => &self.ring,
            Purpose::Lookup => &self.lookups,
            Purpose::Operation => &self.operations,
            Purpose::Copy => &self.copies,
            Purpose::Upkeep => &self.upkeep,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn told(&self) -> SentBody {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SentBody {
            ring: read(&self.ring),
            lookups: read(&self.lookups),
            operations: read(&self.operations),
            copies: read(&self.copies),
            upkeep: read(&self.upkeep),
        }
    }
}

impl Purpose {
    pub(super) fn of_ring(request: &Request) -> Self {
        match request {
            Request::FindSuccessor(_) => Self::Lookup,
            Request::Ping
            | Request::GetState
            | Request::Notify { .. }
            | Request::ForgetPredecessor
            | Request::Leave { .. } => Self::Ring,
        }
    }

    pub(super) fn about_records(request: &PeerRequest) -> Self {
        match request {
            PeerRequest::Store { .. } | PeerRequest::Fetch { .. } => Self::Copy,
            PeerRequest::Vouch
            | PeerRequest::Succeed { .. }
            | PeerRequest::Confirm { .. }
            | PeerRequest::Compare { .. }
            | PeerRequest::List { .. }
            | PeerRequest::Pull { .. }
            | PeerRequest::Offer { .. }
            | PeerRequest::Deliver { .. }
            | PeerRequest::Watch { .. }
            | PeerRequest::Notify { .. }
            | PeerRequest::Purge { .. } => Self::Upkeep,
        }
    }
}
