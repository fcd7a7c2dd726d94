//! What is asked of which nodes.

use std::time::Duration;

use chord::NodeName;

use super::door::Door;
use super::draw::Draw;
use super::entry::Entry;
use super::keys::Sizes;
use super::pacing::Pacing;
use super::slots::Slots;

/// What is measured on which nodes.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) door: Door,
    pub(super) nodes: Vec<NodeName>,
    /// For which keys each of the nodes answers, if they are masters of a Redis cluster.
    pub(super) slots: Option<Vec<Slots>>,
    pub(super) connections: u16,
    /// Requests under way on each connection, at most.
    pub(super) pipeline: u16,
    /// Threads that share the connections.
    pub(super) threads: u16,
    pub(super) pacing: Pacing,
    pub(super) keys: u64,
    pub(super) draw: Draw,
    pub(super) sizes: Sizes,
    pub(super) warmup: Duration,
    pub(super) measured: Duration,
    pub(super) entry: Entry,
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    Get,
}

/// What is asked: to write its value under a key, or to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) key: u64,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

impl Workload {
    /// One request at a time on each of some connections, of uniform keys, with values of 64 bytes; nothing is timed.
    pub(super) fn plain(door: Door, nodes: Vec<NodeName>, connections: u16, keys: u64) -> Self {
        Self {
            door,
            nodes,
            slots: None,
            connections,
            pipeline: 1,
            threads: 1,
            pacing: Pacing::Closed,
            keys,
            draw: Draw::Uniform,
            sizes: Sizes::of(64),
            warmup: Duration::ZERO,
            measured: Duration::ZERO,
            entry: Entry::default(),
        }
    }

    /// Whether the node of that connection answers for a key: in a ring, each does for all.
    pub(super) fn answers_for(&self, connection: u16) -> Option<Slots> {
        self.slots.as_ref().and_then(|slots| slots.get(self.node_of(connection))).cloned()
    }

    /// Which of the nodes the connection of that number speaks to.
    pub(super) fn node_of(&self, connection: u16) -> usize {
        assert!(!self.nodes.is_empty(), "there is a node to measure");
        usize::from(connection) % self.nodes.len()
    }
}
