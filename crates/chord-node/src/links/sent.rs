//! How many requests this node has sent to its peers, by what they are for.

use std::sync::atomic::{AtomicU64, Ordering};

use chord_kv::replication::PeerRequest;
use chord_ring::{Failure, Request};
use chord_wire::rest::SentBody;

/// What a request to a peer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
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
    sent: [AtomicU64; Purpose::ALL.len()],
    failed: [AtomicU64; Purpose::ALL.len()],
}

impl Sent {
    pub(super) fn count(&self, purpose: Purpose) {
        self.sent[purpose as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// No answer came, or none that makes sense. A refusal is an answer.
    pub(super) fn ended(&self, purpose: Purpose, failure: &Failure) {
        if !matches!(failure, Failure::Refused(_)) {
            self.failed[purpose as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were sent, and how many of them failed.
    pub(super) fn counted(&self, purpose: Purpose) -> (u64, u64) {
        let read =
            |counters: &[AtomicU64; Purpose::ALL.len()]| counters[purpose as usize].load(Ordering::Relaxed);
        (read(&self.sent), read(&self.failed))
    }

    pub(super) fn told(&self) -> SentBody {
        let [ring, lookups, operations, copies, upkeep] = Purpose::ALL.map(|purpose| self.counted(purpose).0);
        SentBody { ring, lookups, operations, copies, upkeep }
    }
}

impl Purpose {
    pub(crate) const ALL: [Self; 5] = [Self::Ring, Self::Lookup, Self::Operation, Self::Copy, Self::Upkeep];
    pub(crate) const WORDS: [&str; 5] = ["ring", "lookup", "operation", "copy", "upkeep"];

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
