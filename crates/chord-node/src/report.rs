//! What this node tells of itself.

use chord_kv::replication::Status;
use chord_kv::{Health, Range};
use chord_ring::{Finger, NodeName, View};
use chord_wire::rest::{
    FingerBody, LinkBody, NodeBody, ProcessBody, RangeBody, ReportBody, RingBody, StorageBody,
};

use crate::links::lock;
use crate::metrics::Usage;
use crate::shared::Shared;

/// Those who left in good order that are told, at most: more do not leave before whoever looks has seen it.
const DEPARTED_TOLD_MAX: usize = 16;

impl Shared {
    /// What this node tells of itself.
    pub(crate) fn report(&self) -> ReportBody {
        let Status { copies_missing, operations, copies_at, copies_for, repaired, taken_over, .. } =
            self.records.status();
        let departed =
            lock(&self.departed).those_who_left().take(DEPARTED_TOLD_MAX).map(NodeName::to_string).collect();
        let usage = self.store.usage();
        let trouble = match self.store.health() {
            Health::NotWriting { reason, remedy } => Some(format!("{reason}; {remedy}")),
            _ => None,
        };
        ReportBody {
            ring: self.beliefs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: self.started_at_ms,
            up_ms: self.metrics.up_ms(),
            records: self.own_records(),
            copies_missing,
            copies_at: texts(&copies_at),
            copies_for: texts(&copies_for),
            taken_over,
            departed,
            operations: operations as u64,
            storage: StorageBody {
                is_durable: self.disk.is_some(),
                records: usage.records,
                bytes: usage.bytes,
                trouble,
            },
            links: self.company(),
            violations: self.violations.load(std::sync::atomic::Ordering::Relaxed),
            process: Usage::read().map(ProcessBody::from),
            work: self.metrics.told(&repaired),
        }
    }

    /// What this node believes of the ring.
    pub(crate) fn beliefs(&self) -> RingBody {
        let view = self.view();
        let readiness = self.readiness();
        RingBody {
            node: self.me.name.to_string(),
            position: self.me.position.to_string(),
            ring_name: self.ring.name.to_string(),
            ring_size: self.ring.size.bits(),
            is_member: view.is_member(),
            predecessor: view.predecessor().map(NodeBody::from),
            successors: view.successors().as_slice().iter().map(NodeBody::from).collect(),
            fingers: view.fingers().runs().iter().map(finger).collect(),
            range: self.range_of(&view).map(|range| {
                let is_complete = self.records.status().is_complete;
                RangeBody::new(self.ring.size, range.after, range.up_to, is_complete)
            }),
            is_ready: readiness.is_ok(),
            not_ready_because: readiness.err(),
            sent: self.links.sent(),
        }
    }

    /// From the predecessor to this node; alone, the whole ring.
    fn range_of(&self, view: &View) -> Option<Range> {
        if !view.is_member() {
            return None;
        }
        match view.predecessor() {
            Some(predecessor) => Some(Range { after: predecessor.position, up_to: self.me.position }),
            None => view.is_alone().then(|| Range::whole_from(self.me.position)),
        }
    }

    /// The part of all positions for which this node answers.
    pub(crate) fn share(&self) -> f64 {
        let range = self.range_of(&self.view());
        range.map_or(0.0, |range| RangeBody::new(self.ring.size, range.after, range.up_to, true).share())
    }

    pub(crate) fn own_records(&self) -> u64 {
        let range = self.range_of(&self.view());
        let digest = range.and_then(|range| self.store.digest(&range).ok());
        digest.map_or(0, |digest| digest.records())
    }

    /// Everybody whom this node knows, and how well it reaches them.
    fn company(&self) -> Vec<LinkBody> {
        let known = self.acquaintances.borrow().clone();
        let view = self.view();
        let fingers = view.fingers().runs().iter().map(|finger| &finger.peer.name);
        let further = fingers.filter(|name| !known.contains(name));
        let all = known.iter().chain(further).filter(|name| **name != self.me.name);
        all.map(|name| LinkBody {
            node: name.to_string(),
            round_trip_us: self
                .links
                .round_trip(name)
                .map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            is_suspect: self.links.is_suspect(name),
        })
        .collect()
    }
}

fn texts(names: &[NodeName]) -> Vec<String> {
    names.iter().map(NodeName::to_string).collect()
}

fn finger(Finger { first, last, peer }: &Finger) -> FingerBody {
    let (node, position) = (peer.name.to_string(), peer.position.to_string());
    FingerBody { node, position, first: *first, last: *last }
}
