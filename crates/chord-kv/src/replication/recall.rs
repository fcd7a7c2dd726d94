//! Recall: whom the last life of a node knew, who may have records that nobody in the ring has yet.
//!
//! When all nodes of a ring end at once, the first one that is back has some of the copies, and nobody next to it who could
//! have more. It must not take what it has for all there is.

use std::collections::BTreeSet;
use std::time::Duration;

use chord_ring::{NodeName, Peer, SUCCESSORS_LIMIT};

/// Nodes that are recalled, at most: as many as a successor list may have, so that they fit an answer like one.
pub const RECALLED_MAX: usize = SUCCESSORS_LIMIT as usize;

/// How long after a node has become a member it still waits for those that it recalls and that are not back: until then its
/// operations end with an error where nobody has everything. A service that is started again takes no longer.
pub const RECALLED_FOR: Duration = Duration::from_secs(10);

/// How long after a node has become a member it says of those that it did without that they are missing: whoever starts
/// machines again one by one is done with it by then, and one that never comes back is not held against the node for ever.
pub const MISSED_FOR: Duration = Duration::from_secs(5 * 60);

const _: () =
    assert!(RECALLED_FOR.as_secs() < MISSED_FOR.as_secs(), "only one that is waited for no more is missed");

/// Those of its last life that a node still asks.
#[derive(Debug, Default)]
pub(super) struct Recall {
    peers: Vec<Peer>,
    member_since: Option<Duration>,
    /// Those that have not told what they have, and that the node answers without.
    missed: BTreeSet<NodeName>,
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
        if self.is_over(RECALLED_FOR, now) { &[] } else { &self.peers }
    }

    /// The node answers though these have not told what they have. Names those of its last life that were not missed before.
    pub(super) fn miss(&mut self, unheard: BTreeSet<NodeName>) -> Vec<NodeName> {
        let is_recalled = |name: &NodeName| self.peers.iter().any(|peer| peer.name == *name);
        let new = unheard.into_iter().filter(|name| is_recalled(name) && !self.missed.contains(name));
        let new: Vec<NodeName> = new.collect();
        self.missed.extend(new.iter().cloned());
        new
    }

    /// That node is there.
    pub(super) fn heard(&mut self, name: &NodeName) {
        if !self.missed.is_empty() {
            self.missed.remove(name);
        }
    }

    /// Those of its last life that the node answers without, and that are not back.
    pub(super) fn missed(&self, now: Duration) -> Vec<NodeName> {
        if self.is_over(MISSED_FOR, now) { Vec::new() } else { self.missed.iter().cloned().collect() }
    }

    fn is_over(&self, time: Duration, now: Duration) -> bool {
        self.member_since.is_some_and(|since| now.saturating_sub(since) > time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_last_life_that_a_node_does_without_is_missed_until_it_is_heard_or_for_some_minutes() {
        let peer = |at: u64| Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() };
        let (one, other, stranger) = (peer(1).name, peer(2).name, peer(3).name);
        let mut recall = Recall::default();
        recall.add(vec![peer(1), peer(2)]);
        recall.begin(Duration::from_secs(100));
        let now = |after: Duration| Duration::from_secs(100) + after;
        assert_eq!(recall.missed(now(RECALLED_FOR)), [], "they are waited for");
        let unheard = BTreeSet::from([one.clone(), other.clone(), stranger.clone()]);
        assert_eq!(recall.miss(unheard.clone()), [one.clone(), other.clone()], "a stranger is not missed");
        assert_eq!(recall.miss(unheard), [], "it is said once");
        recall.heard(&one);
        recall.heard(&stranger);
        assert_eq!(recall.missed(now(MISSED_FOR)), [other]);
        assert_eq!(recall.missed(now(MISSED_FOR) + Duration::from_millis(1)), []);
        recall.end();
        assert_eq!(recall.missed(now(MISSED_FOR)), []);
    }
}
