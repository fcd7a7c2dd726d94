//! Status: how well a node's records are kept, as far as it knows.

use std::time::Duration;

use chord_ring::NodeName;

use super::{Neighbours, Replicator, group};
use crate::Record;

/// How long a new member waits to hear from those who may count on it before it takes it that no more do.
const NEWCOMER_WAIT: Duration = Duration::from_secs(5);

/// How well a node's records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, to which a node says yes or no"
)]
pub struct Status {
    /// Whether it may answer for its range, and has everything of it.
    pub is_complete: bool,
    /// Whether every member of its group has everything, and there are as many as there should be and could be.
    pub is_replicated: bool,
    /// Whether all owners that are known to count on this node have confirmed that it has everything.
    pub is_caught_up: bool,
    /// Whether the owners of what was this node's until a moment ago have all that it has of it. After a cut some of that may
    /// be nowhere else.
    pub has_handed_over: bool,
    /// Copies that are missing, at most, over all keys of its range.
    pub copies_missing: u64,
    /// Those of the node's last life that it answers without, as they have not come back.
    pub missed: Vec<NodeName>,
    /// Operations under way.
    pub operations: usize,
    /// The other members of its group, who keep copies of its range.
    pub copies_at: Vec<NodeName>,
    /// The owners that count on it for copies of theirs.
    pub copies_for: Vec<NodeName>,
    /// What it has sent and fetched to have copies where they should be.
    pub repaired: Repaired,
    /// Records of the ranges that were handed over to it since it became a member: it answers for them now, and had copies of
    /// some before. Of what it came in with only what others gave it.
    pub taken_over: u64,
}

/// Records that were on their way so that copies are where they should be: not those that a write makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Sent to those who lacked them.
    pub sent: Traffic,
    /// Fetched, since they were lacking here.
    pub fetched: Traffic,
}

/// So many records, and what they weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Records.
    pub records: u64,
    /// What they weigh.
    pub bytes: u64,
}

impl Traffic {
    /// These went, too.
    pub(super) fn note(&mut self, records: &[Record]) {
        self.records += records.len() as u64;
        self.bytes += records.iter().map(|record| record.size_bytes() as u64).sum::<u64>();
    }
}

impl Status {
    /// Whether nothing is lacking, here or elsewhere, as far as this node knows.
    pub fn is_ready(&self) -> bool {
        let Self { is_complete, is_replicated, is_caught_up, has_handed_over, missed, .. } = self;
        *is_complete && *is_replicated && *is_caught_up && *has_handed_over && missed.is_empty()
    }
}

impl Replicator {
    /// How well its records are kept.
    pub fn status(&self) -> Status {
        let others = usize::from(self.settings.replicas).saturating_sub(1);
        let (successors, now) = (&self.neighbours.successors, self.now.elapsed);
        let wanted = group::choose(&self.me, successors, others, &self.unreliable, now).len();
        let synced = self.group.members.iter().filter(|member| member.is_synced()).count();
        let lacking = wanted.saturating_sub(synced);
        let records = || self.store.digest(&self.group.group.range()).map_or(0, |digest| digest.records());
        Status {
            // A range that the predecessor has not vouched for yet is not missing, but not answered for either.
            is_complete: self.tenure.is_complete() && self.tenure.question().is_none(),
            is_replicated: lacking == 0,
            is_caught_up: self.is_caught_up(),
            has_handed_over: !self.has_to_hand_over(),
            copies_missing: if lacking == 0 { 0 } else { records().saturating_mul(lacking as u64) },
            missed: self.recall.missed(now),
            operations: self.works.len(),
            copies_at: if self.neighbours.is_member {
                self.group.members.iter().map(|member| member.peer.name.clone()).collect()
            } else {
                Vec::new() // Its group is that of a ring in which it was.
            },
            copies_for: self.holdings.owners(now).cloned().collect(),
            repaired: self.repaired,
            taken_over: self.taken_over,
        }
    }

    fn is_caught_up(&self) -> bool {
        let now = self.now.elapsed;
        // A newcomer hears in a moment from each of those before it that may count on it, unless one has enough members on
        // other hosts.
        let is_new = now.saturating_sub(self.member_since) < NEWCOMER_WAIT;
        let before = usize::from(self.settings.replicas).saturating_sub(1).min(self.others());
        let hears_more = is_new && self.holdings.current(now).len() < before;
        self.holdings.are_confirmed(now) && !hears_more
    }

    /// How many other members this node knows next to it.
    fn others(&self) -> usize {
        let Neighbours { predecessor, successors, .. } = &self.neighbours;
        let further = predecessor.iter().filter(|peer| !successors.contains(peer));
        successors.len() + further.count()
    }
}
