//! The successor list: the members that follow a node, nearest first.

use crate::{Peer, Position, between, owned};

/// Longest successor list that can be asked for. The papers use 2 to 20; 64 still fits in one small message.
pub const SUCCESSORS_LIMIT: u8 = 64;

/// Successor list length of a node that was given none: r of the papers.
///
/// With half of all nodes failing at once, 8 successors are all gone at one node in 256 (TON 2003,
/// theorem IV.5 asks for a multiple of log N).
pub const SUCCESSORS_DEFAULT: u8 = 8;

/// The members that follow a node on the ring, nearest first; empty when the node is alone.
///
/// Read after the node itself, its entries go once round the ring at most: strictly forward, no repeat,
/// never the node itself. Every constructor cuts at the first entry that would break this.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SuccessorList(Vec<Peer>);

impl SuccessorList {
    /// `head` followed by its own list, cut to `length` entries and before `me`: the only way to grow a list
    /// (TSE 2017, sections III-C and III-D).
    pub(crate) fn copied(me: Position, length: usize, head: Peer, heads_list: &[Peer]) -> Self {
        assert!(head.position != me, "a node at {me} cannot follow itself");
        let mut peers = Vec::with_capacity(length);
        peers.push(head);
        for peer in heads_list {
            let last = peers.last().map_or(me, |last| last.position);
            if peers.len() >= length || !between(last, peer.position, me) {
                break;
            }
            peers.push(peer.clone());
        }
        Self(peers)
    }

    /// Entries that need not be a proper list: for tests of what happens then.
    #[cfg(any(test, feature = "defects"))]
    pub(crate) fn unchecked(peers: Vec<Peer>) -> Self {
        Self(peers)
    }

    /// Removes and returns the first entry: it was found dead, or it left.
    pub(crate) fn drop_head(&mut self) -> Option<Peer> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }

    /// The first successor; `None` when the node is alone.
    pub fn head(&self) -> Option<&Peer> {
        self.0.first()
    }

    /// The last entry.
    pub fn last(&self) -> Option<&Peer> {
        self.0.last()
    }

    /// All entries, nearest first.
    pub fn as_slice(&self) -> &[Peer] {
        &self.0
    }

    /// Which of the entries that peer is, counted from 1.
    pub fn rank(&self, peer: &Peer) -> Option<usize> {
        self.0.iter().position(|entry| entry == peer).map(|idx| idx + 1)
    }

    /// Whether the list has no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries at or after `target`, when `target` lies after `me` and not beyond the list: the first of
    /// them that lives owns it. Empty when the list does not reach `target`.
    pub fn at_or_after(&self, me: Position, target: Position) -> &[Peer] {
        let first = self.0.iter().position(|peer| owned(me, target, peer.position));
        first.map_or(&[], |idx| self.0.get(idx..).unwrap_or(&[]))
    }

    /// Whether the entries, read after `me`, go strictly forward and never past it: the check that every node
    /// can make on its own (TSE 2017, section V).
    pub(crate) fn is_ordered(&self, me: Position) -> bool {
        let mut last = me;
        self.0.iter().all(|peer| {
            let forward = between(last, peer.position, me);
            last = peer.position;
            forward
        })
    }
}
