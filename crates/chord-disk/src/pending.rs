//! What was applied and is not in the file yet: it is read from here, over what the file says.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chord_kv::engine::{Slot, Stretch};
use chord_kv::{Record, Sequence};

use crate::quarantine::Raw;

/// How many changes are laid over the file at a time when a range is read, so that the lock on them is not held for long.
const OVERLAY_CHANGES_MAX: usize = 1024;

/// What a change that removes a record counts in bytes: its slot and a share of the tree.
const GONE_BYTES: usize = 128;

/// What becomes of a slot.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Record),
    Gone,
}

/// Changes by the slot that they are for.
pub(crate) type Changes = BTreeMap<Slot, Change>;

/// All changes that are not in the file yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Those that no commit has taken yet.
    waiting: Changes,
    /// Damaged records that these take out of the file; they go to quarantine before.
    waiting_damaged: Vec<Raw>,
    waiting_bytes: u64,
    /// Those in the commit that is under way, or that failed and is tried again.
    committing: Arc<Changes>,
    committing_bytes: u64,
    /// The last sequence that was given out.
    sequence: u64,
    /// Of how many sequences those that wait are made.
    batches: u64,
}

/// Changes that go into one commit.
#[derive(Debug)]
pub(crate) struct Lot {
    pub(crate) changes: Arc<Changes>,
    /// What must be in quarantine before.
    pub(crate) damaged: Vec<Raw>,
    /// What is durable once they are.
    pub(crate) sequence: Sequence,
    pub(crate) batches: u64,
}

impl Pending {
    /// Takes a change in.
    pub(crate) fn put(&mut self, slot: Slot, change: Change) {
        self.waiting_bytes += bytes(&slot, &change);
        let key = slot.clone();
        if let Some(old) = self.waiting.insert(slot, change) {
            self.waiting_bytes -= bytes(&key, &old);
        }
    }

    /// Takes a damaged record out.
    pub(crate) fn put_damaged(&mut self, slot: Slot, raw: Raw) {
        self.put(slot, Change::Gone);
        self.waiting_bytes += raw.bytes();
        self.waiting_damaged.push(raw);
    }

    /// Ends a batch; everything that was taken in before belongs to its sequence or an earlier one.
    pub(crate) fn end_batch(&mut self) -> Sequence {
        self.sequence += 1;
        self.batches += 1;
        Sequence(self.sequence)
    }

    /// What is to become of a slot, if anything is.
    pub(crate) fn change(&self, slot: &Slot) -> Option<&Change> {
        self.waiting.get(slot).or_else(|| self.committing.get(slot))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.waiting_bytes + self.committing_bytes
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    pub(crate) fn batches(&self) -> u64 {
        self.batches
    }

    /// Takes all that wait, for a commit; nothing may be in one.
    pub(crate) fn begin_commit(&mut self) -> Lot {
        assert!(self.committing.is_empty(), "one commit at a time");
        self.committing = Arc::new(std::mem::take(&mut self.waiting));
        self.committing_bytes = std::mem::take(&mut self.waiting_bytes);
        Lot {
            changes: Arc::clone(&self.committing),
            damaged: std::mem::take(&mut self.waiting_damaged),
            sequence: Sequence(self.sequence),
            batches: std::mem::take(&mut self.batches),
        }
    }

    /// The commit is done: its changes are read from the file from now on.
    pub(crate) fn end_commit(&mut self) -> Arc<Changes> {
        self.committing_bytes = 0;
        std::mem::take(&mut self.committing)
    }

    /// The first changes of a stretch, and the slot up to which they are all; none if they all are.
    pub(crate) fn overlay(&self, stretch: &Stretch) -> (Changes, Option<Slot>) {
        let mut overlay = Changes::new();
        let mut horizon: Option<Slot> = None;
        if is_empty(stretch) {
            return (overlay, horizon);
        }
        for changes in [&*self.committing, &self.waiting] {
            let mut n = 0;
            for (slot, change) in changes.range(stretch.clone()).take(OVERLAY_CHANGES_MAX) {
                overlay.insert(slot.clone(), change.clone());
                n += 1;
                if n == OVERLAY_CHANGES_MAX {
                    let reached = slot.clone();
                    horizon = Some(horizon.map_or(reached.clone(), |other| other.min(reached)));
                }
            }
        }
        if let Some(horizon) = &horizon {
            let mut beyond = overlay.split_off(horizon);
            overlay.extend(beyond.remove(horizon).map(|change| (horizon.clone(), change)));
        }
        (overlay, horizon)
    }
}

/// A stretch between a slot and itself, which a tree does not like to be asked for.
fn is_empty(stretch: &Stretch) -> bool {
    match stretch {
        (Bound::Excluded(begin), Bound::Excluded(end)) => begin >= end,
        (Bound::Included(begin) | Bound::Excluded(begin), Bound::Included(end) | Bound::Excluded(end)) => {
            begin > end
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

fn bytes(slot: &Slot, change: &Change) -> u64 {
    let bytes = match change {
        Change::Put(record) => record.size_bytes(),
        Change::Gone => GONE_BYTES + slot.1.as_bytes().len(),
    };
    bytes as u64
}
