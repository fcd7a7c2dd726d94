//! What was applied and is not in the tree yet, be it in the log or not: it is read from here, over what the tree says.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chord_kv::engine::{Slot, Stretch};
use chord_kv::{Record, Sequence};

use crate::quarantine::Raw;

/// How many changes of each kind are laid over the tree at a time when a range is read, so that the lock on them is not held
/// for long: as many as the page may have records, within these bounds, since some may be of records that are gone.
const OVERLAY_CHANGES_MIN: usize = 16;
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

/// All changes that are not in the tree yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Those that no commit has taken yet.
    waiting: Changes,
    /// Damaged records that these take out of the tree; they go to quarantine before.
    waiting_damaged: Vec<Raw>,
    waiting_bytes: u64,
    /// Those in the commit that is under way, or that failed and is tried again.
    committing: Arc<Changes>,
    /// Counted until they are durable, though they may be among those that go into the tree by then.
    committing_bytes: u64,
    /// Those in the log, up to that entry, that nobody puts into the tree yet.
    logged: Changes,
    logged_bytes: u64,
    entry: u64,
    /// Those that are being put into the tree, the oldest first.
    merging: Vec<Arc<Changes>>,
    merging_bytes: u64,
    /// The changes of the commit are among these.
    merges_lot: bool,
    /// The last sequence that was given out.
    sequence: u64,
    /// Of how many sequences those that wait are made.
    batches: u64,
}

/// Changes that go into one commit.
#[derive(Debug)]
pub(crate) struct Lot {
    pub(crate) changes: Arc<Changes>,
    /// What they count, which is at least what they take in the log.
    pub(crate) bytes: u64,
    /// What must be in quarantine before.
    pub(crate) damaged: Vec<Raw>,
    /// What is durable once they are.
    pub(crate) sequence: Sequence,
    pub(crate) batches: u64,
}

/// Changes that go into the tree together, layers of older and newer ones.
#[derive(Debug)]
pub(crate) struct Merge {
    pub(crate) layers: Vec<Arc<Changes>>,
    /// The entry of the log up to which they are all.
    pub(crate) entry: u64,
}

impl Merge {
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.iter().all(|layer| layer.is_empty())
    }
}

impl Pending {
    /// Nothing, over a tree that has all up to that entry of the log.
    pub(crate) fn after(entry: u64) -> Self {
        Self { entry, ..Self::default() }
    }

    /// Takes a change in.
    pub(crate) fn put(&mut self, slot: Slot, change: Change) {
        put_in(&mut self.waiting, &mut self.waiting_bytes, slot, change);
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
        self.layers().rev().find_map(|layer| layer.get(slot))
    }

    /// The oldest first.
    fn layers(&self) -> impl DoubleEndedIterator<Item = &Changes> {
        let merging = self.merging.iter().map(Arc::as_ref);
        merging.chain([&self.logged, &*self.committing, &self.waiting])
    }

    /// What all of it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.unsynced_bytes() + self.logged_bytes()
    }

    /// What is not durable.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.waiting_bytes + self.committing_bytes
    }

    /// What is durable and not in the tree.
    pub(crate) fn logged_bytes(&self) -> u64 {
        self.logged_bytes + self.merging_bytes
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    pub(crate) fn batches(&self) -> u64 {
        self.batches
    }

    /// The last entry of the log, whether it is in the tree or not.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers().all(Changes::is_empty)
    }

    /// Takes all that wait, for a commit; nothing may be in one.
    pub(crate) fn begin_commit(&mut self) -> Lot {
        assert!(self.committing.is_empty(), "one commit at a time");
        self.committing = Arc::new(std::mem::take(&mut self.waiting));
        self.committing_bytes = std::mem::take(&mut self.waiting_bytes);
        Lot {
            changes: Arc::clone(&self.committing),
            bytes: self.committing_bytes,
            damaged: std::mem::take(&mut self.waiting_damaged),
            sequence: Sequence(self.sequence),
            batches: std::mem::take(&mut self.batches),
        }
    }

    /// The commit is done: its changes are in that entry of the log. Tells how much is in the log alone.
    pub(crate) fn end_commit(&mut self, lot: Lot, entry: u64) -> u64 {
        drop(lot);
        self.committing_bytes = 0;
        self.entry = entry;
        let changes = Arc::unwrap_or_clone(std::mem::take(&mut self.committing));
        for (slot, change) in changes {
            put_in(&mut self.logged, &mut self.logged_bytes, slot, change);
        }
        self.logged_bytes
    }

    /// That entry of the log could not be written: the next has a higher number.
    pub(crate) fn pass_over(&mut self, entry: u64) {
        self.entry = entry;
    }

    /// Takes all that are in the log, and with them the commit's if it waits for that, to put them into the tree.
    pub(crate) fn begin_merge(&mut self, with_lot: bool) -> Merge {
        assert!(self.merging.is_empty(), "one merge at a time");
        self.merging.push(Arc::new(std::mem::take(&mut self.logged)));
        self.merging_bytes = std::mem::take(&mut self.logged_bytes);
        if with_lot {
            self.merging.push(std::mem::take(&mut self.committing));
            self.merges_lot = true;
        }
        Merge { layers: self.merging.clone(), entry: self.entry }
    }

    /// That is done: they are read from the tree from now on.
    pub(crate) fn end_merge(&mut self) -> Vec<Arc<Changes>> {
        self.merging_bytes = 0;
        if std::mem::take(&mut self.merges_lot) {
            self.committing_bytes = 0;
        }
        std::mem::take(&mut self.merging)
    }

    /// The first changes of a stretch, for a page of so many records, and the slot up to which they are all; none if they all
    /// are.
    pub(crate) fn overlay(&self, stretch: &Stretch, page_records: usize) -> (Changes, Option<Slot>) {
        let changes_max = page_records.clamp(OVERLAY_CHANGES_MIN, OVERLAY_CHANGES_MAX);
        let mut overlay = Changes::new();
        let mut horizon: Option<Slot> = None;
        if is_empty(stretch) {
            return (overlay, horizon);
        }
        for changes in self.layers() {
            let mut n = 0;
            for (slot, change) in changes.range(stretch.clone()).take(changes_max) {
                overlay.insert(slot.clone(), change.clone());
                n += 1;
                if n == changes_max {
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

/// Puts a change in the place of an older one, if there is one, and counts both.
fn put_in(changes: &mut Changes, sum: &mut u64, slot: Slot, change: Change) {
    let key_bytes = slot.1.as_bytes().len();
    *sum += bytes(key_bytes, &change);
    if let Some(old) = changes.insert(slot, change) {
        *sum -= bytes(key_bytes, &old);
    }
}

fn bytes(key_bytes: usize, change: &Change) -> u64 {
    let bytes = match change {
        Change::Put(record) => record.size_bytes(),
        Change::Gone => GONE_BYTES + key_bytes,
    };
    bytes as u64
}

#[cfg(test)]
mod tests {
    use chord_kv::{Key, VALUE_BYTES_LIMIT, Value, Version};
    use chord_ring::Position;

    use super::*;

    fn slot() -> Slot {
        (Position::from(7), Key::new(b"key").unwrap())
    }

    fn put(time_ms: u64) -> Change {
        let value =
            Some(Value::new(&vec![1; 10 * usize::try_from(time_ms).unwrap()], VALUE_BYTES_LIMIT).unwrap());
        let version = Version::new(time_ms, 0, Position::ZERO);
        Change::Put(Record { position: slot().0, key: slot().1, value, version, expires_at_ms: None })
    }

    fn time_ms(pending: &Pending) -> Option<u64> {
        match pending.change(&slot())? {
            Change::Put(record) => Some(record.version.time_ms()),
            Change::Gone => None,
        }
    }

    #[test]
    fn no_more_is_laid_over_the_tree_than_a_page_may_have() {
        let mut pending = Pending::after(0);
        let slot = |n: u64| (Position::from(n), Key::new(b"key").unwrap());
        (0..100).for_each(|n| pending.put(slot(n), Change::Gone));
        let lot = pending.begin_commit();
        pending.end_commit(lot, 1);
        (30..5000).for_each(|n| pending.put(slot(n), Change::Gone));
        for (page_records, expected) in [(1, OVERLAY_CHANGES_MIN), (20, 20), (9000, OVERLAY_CHANGES_MAX)] {
            let (mut begin, mut all) = (Bound::Unbounded, Changes::new());
            loop {
                let (overlay, horizon) = pending.overlay(&(begin, Bound::Unbounded), page_records);
                assert!(overlay.len() <= 2 * expected, "{} for {page_records}", overlay.len());
                assert!(
                    horizon.is_none() || overlay.last_key_value().map(|(slot, _)| slot) == horizon.as_ref()
                );
                all.extend(overlay);
                let Some(horizon) = horizon else { break };
                begin = Bound::Excluded(horizon);
            }
            assert_eq!(all.len(), 5000);
        }
    }

    #[test]
    fn a_change_is_read_and_counted_wherever_it_is_and_the_newest_is_on_top() {
        let mut pending = Pending::after(4);
        let each = |time_ms| bytes(3, &put(time_ms));
        pending.put(slot(), put(1));
        let lot = pending.begin_commit();
        assert_eq!((lot.bytes, pending.bytes(), pending.unsynced_bytes()), (each(1), each(1), each(1)));
        assert_eq!(pending.end_commit(lot, 5), each(1));
        assert_eq!((pending.bytes(), pending.unsynced_bytes(), time_ms(&pending)), (each(1), 0, Some(1)));
        pending.put(slot(), put(2));
        assert_eq!((pending.bytes(), time_ms(&pending)), (each(1) + each(2), Some(2)));
        let lot = pending.begin_commit();
        assert_eq!(pending.end_commit(lot, 6), each(2), "it takes the place of the older one");

        let merge = pending.begin_merge(false);
        assert_eq!((merge.entry, merge.layers.len(), time_ms(&pending)), (6, 1, Some(2)));
        pending.put(slot(), put(3));
        let lot = pending.begin_commit();
        assert_eq!((pending.bytes(), time_ms(&pending)), (each(2) + each(3), Some(3)));
        pending.end_merge();
        assert_eq!((pending.bytes(), time_ms(&pending)), (each(3), Some(3)));

        drop(lot);
        let merge = pending.begin_merge(true);
        assert_eq!(
            (merge.layers.len(), pending.unsynced_bytes()),
            (2, each(3)),
            "not before it is in the tree"
        );
        pending.put(slot(), Change::Gone);
        assert!(matches!(pending.change(&slot()), Some(Change::Gone)));
        pending.end_merge();
        assert_eq!(pending.bytes(), bytes(3, &Change::Gone));
        let lot = pending.begin_commit();
        pending.end_commit(lot, 7);
        pending.begin_merge(false);
        pending.end_merge();
        assert!(pending.is_empty() && pending.bytes() == 0);
    }
}
