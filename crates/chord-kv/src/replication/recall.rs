//! Recall: whom the last life of a node knew, who may have records that nobody in the ring has yet.
//!
//! When all nodes of a ring end at once, the first one that is back has some of the copies, and nobody next to it who could
//! have more. It must not take what it has for all there is.

use std::time::Duration;

use chord_ring::{Peer, SUCCESSORS_LIMIT};

/// Nodes that are recalled, at most: as many as a successor list may have, so that they fit an answer like one.
pub const RECALLED_MAX: usize = SUCCESSORS_LIMIT as usize;

/// How long after a node has become a member it still waits for those that it recalls and that are not back: until then its
/// operations end with an error where nobody has everything. A service that is started again takes no longer.
pub const RECALLED_FOR: Duration = Duration::from_secs(10);

/// Those of its last life that a node still asks.
#[derive(Debug, Default)]
pub(super) struct Recall {
    peers: Vec<Peer>,
    member_since: Option<Duration>,
}

impl Recall {
    pub(super) fn add(&mut self, peers: Vec<Peer>) {
        self.peers.extend(peers);
        self.peers.truncate(RECALLED_MAX);
    }

    /// The node has become a member.
    pub(super) fn begin(&mut self, now: Duration) {
        self.member_since = Some(now);
    }

    /// The node has left: it has handed over what it had.
    pub(super) fn end(&mut self) {
        if self.member_since.is_some() {
            *self = Self::default();
        }
    }

    pub(super) fn peers(&self, now: Duration) -> &[Peer] {
        let is_over = self.member_since.is_some_and(|since| now.saturating_sub(since) > RECALLED_FOR);
        if is_over { &[] } else { &self.peers }
    }
}
