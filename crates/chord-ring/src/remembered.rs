//! Remembered peers: members seen before, kept so that rings that were cut apart find each other again.

use crate::NodeName;

/// How many peers are remembered. Enough to hold every neighbour and finger of a node in a ring of millions;
/// one is probed a round, so a longer list would only be visited more slowly.
pub const REMEMBERED_MAX: usize = 32;

/// The longest pause between two probes of one peer is `2^BACKOFF_MAX` rounds: 4 seconds when all is quiet.
pub const BACKOFF_MAX: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RememberedPeer {
    name: NodeName,
    configured: bool,
    backoff: u8,
    /// Rounds until its turn; below zero, how long it has been waiting for the one probe of a round.
    rounds_left: i8,
}

/// Longest wait that is told apart: each of the others has had its turn by then.
const OVERDUE_MAX: i8 = 32;

const _: () = assert!(OVERDUE_MAX as usize >= REMEMBERED_MAX, "whoever waits longest must stand out");

/// Members seen before, the most recent first: dropped heads and predecessors, and the configured seeds, which
/// are never forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Remembered(Vec<RememberedPeer>);

impl Remembered {
    /// Remembers a peer, to be probed in the next round.
    pub(crate) fn remember(&mut self, name: &NodeName) {
        let configured = self.0.iter().any(|peer| peer.name == *name && peer.configured);
        self.insert(name, configured);
    }

    /// Remembers a seed that the operator named.
    pub(crate) fn configure(&mut self, name: &NodeName) {
        self.insert(name, true);
    }

    fn insert(&mut self, name: &NodeName, configured: bool) {
        self.0.retain(|peer| peer.name != *name);
        if self.0.len() >= REMEMBERED_MAX {
            match self.0.iter().rposition(|peer| !peer.configured) {
                Some(oldest) => drop(self.0.remove(oldest)),
                None => return,
            }
        }
        let fresh = RememberedPeer { name: name.clone(), configured, backoff: 0, rounds_left: -OVERDUE_MAX };
        self.0.insert(0, fresh);
    }

    /// One round passes; names the peer whose turn it is, leaving out those for which `skip` holds: of those that
    /// are due, the one that has waited longest, so that a few that never answer do not keep the others waiting.
    pub(crate) fn turn(&mut self, skip: impl Fn(&NodeName) -> bool) -> Option<NodeName> {
        for peer in &mut self.0 {
            peer.rounds_left = (peer.rounds_left - 1).max(-OVERDUE_MAX);
        }
        let due = self.0.iter().filter(|peer| peer.rounds_left <= 0 && !skip(&peer.name));
        due.min_by_key(|peer| peer.rounds_left).map(|peer| peer.name.clone())
    }

    /// The neighbourhood changes: a cut may have healed. Everybody has a turn soon, still one a round.
    pub(crate) fn hurry(&mut self) {
        for peer in &mut self.0 {
            peer.rounds_left = peer.rounds_left.min(0);
        }
    }

    /// The peer did not answer: its next turn comes later each time.
    pub(crate) fn missed(&mut self, name: &NodeName) {
        if let Some(peer) = self.0.iter_mut().find(|peer| peer.name == *name) {
            peer.backoff = (peer.backoff + 1).min(BACKOFF_MAX);
            peer.rounds_left = 1 << peer.backoff;
        }
    }

    /// The peer is in touch with this ring, or of no use to it: forgets it, unless the operator named it.
    pub(crate) fn settled(&mut self, name: &NodeName) {
        self.0.retain(|peer| peer.configured || peer.name != *name);
        if let Some(peer) = self.0.iter_mut().find(|peer| peer.name == *name) {
            peer.backoff = BACKOFF_MAX;
            peer.rounds_left = 1 << BACKOFF_MAX;
        }
    }

    /// Lets nobody's turn come, and forgets in which order they came: for a checker, which lets any turn come at any time.
    pub(crate) fn stop(&mut self) {
        self.0.sort_by(|one, other| one.name.cmp(&other.name));
        for peer in &mut self.0 {
            (peer.backoff, peer.rounds_left) = (0, 1 << BACKOFF_MAX);
        }
    }

    /// Lets the turn of this peer come in the next round.
    pub(crate) fn hasten(&mut self, name: &NodeName) {
        if let Some(peer) = self.0.iter_mut().find(|peer| peer.name == *name) {
            peer.rounds_left = -OVERDUE_MAX;
        }
    }

    /// The remembered peers, the most recent first.
    pub fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.0.iter().map(|peer| &peer.name)
    }
}
