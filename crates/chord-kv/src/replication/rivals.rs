//! Rivals: what an owner does whose copies are refused, since another one claims a part of its range by a later group.
//!
//! Group ids follow clocks, so a node that was taken for dead and does not know it may have the later one. Who is right says
//! the predecessor, which names one successor: if it still names this node, this node surpasses its rival.

use super::tenure::Epoch;
use super::{Peer, Replicator, Version};

impl Replicator {
    /// A member knows a group later than this node's.
    pub(super) fn heard_of_later_group(&mut self, known: Version) {
        if known.writer() == self.me.position && known.can_be_surpassed() {
            // An earlier life of this node made it, by another clock perhaps.
            self.known_group_id = self.known_group_id.max(Some(known));
        } else if known > self.group.group.id && known.is_plausible(self.now.wall_ms) {
            self.rival = self.rival.max(Some(known));
        }
    }

    /// The predecessor still names this node as its successor: who has claimed its range meanwhile had no right to.
    pub(super) fn surpass(&mut self, rival: Option<Version>, predecessor: &Peer, asked: Epoch) {
        let rival = rival.filter(|rival| *rival > self.group.group.id);
        if rival.is_some() && self.tenure.vouched_by() == Some((predecessor.clone(), asked)) {
            self.known_group_id = self.known_group_id.max(rival);
            self.tenure.doubt_records(); // The rival may have written some.
        }
    }
}
