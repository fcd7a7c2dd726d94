//! The finger table: shortcuts across the ring. Lookups are right without it, and slow.

use crate::{Peer, Position, RingSize};

/// A run of finger entries that all name the same peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finger {
    /// First entry of the run, counted from 0: it starts 2^first after the node.
    pub first: u16,
    /// Last entry of the run.
    pub last: u16,
    /// The first member at or after the start of each of these entries.
    pub peer: Peer,
}

/// The distinct fingers of one node that lie beyond its successor list, nearest first.
///
/// Entry k names the first member at or after `me` + 2^k. Neighbouring entries mostly name the same member,
/// so runs are stored: about log2 of the number of members, whatever the ring size.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Fingers(Vec<Finger>);

impl Fingers {
    /// The table of these runs: for checkers and simulators that start from a chosen state.
    ///
    /// # Panics
    /// The runs are not in order, nearest first.
    pub fn of_runs(runs: Vec<Finger>) -> Self {
        let is_in_order = runs.is_sorted_by(|near, far| near.last < far.first)
            && runs.iter().all(|run| run.first <= run.last);
        assert!(is_in_order, "{runs:?} are no runs of finger entries, nearest first");
        Self(runs)
    }

    /// The table of these runs as another node tells of them: what is not in order, nearest first, is left out.
    pub fn of_told(runs: impl IntoIterator<Item = Finger>) -> Self {
        let mut kept: Vec<Finger> = Vec::new();
        for run in runs {
            let is_further = kept.last().is_none_or(|last| last.last < run.first);
            if is_further && run.first <= run.last {
                kept.push(run);
            }
        }
        Self(kept)
    }

    /// Records that `peer` is the first member at or after the start of entry `first`.
    ///
    /// That one answer proves every further entry that starts at or before `peer`; it also disproves what
    /// is stored for nearer entries and lies beyond `peer`. Returns the first entry that it does not prove.
    pub(crate) fn learn(&mut self, size: RingSize, me: Position, first: u16, peer: Peer) -> u16 {
        let reach = size.distance(me, peer.position);
        let last = reach.bit_length().saturating_sub(1).max(first); // entry k starts 2^k away
        let start = size.distance(me, size.finger_start(me, first));
        let mut run = Finger { first, last, peer };
        self.0.retain_mut(|old| {
            if old.peer == run.peer {
                run.first = run.first.min(old.first);
                return false;
            }
            if old.last > last {
                old.first = old.first.max(last + 1);
                return true;
            }
            old.last < first && size.distance(me, old.peer.position) < start
        });
        let place = self.0.partition_point(|old| old.first < run.first);
        self.0.insert(place, run);
        last + 1
    }

    /// Drops the entries below `first`: the successor list covers them.
    pub(crate) fn forget_below(&mut self, first: u16) {
        self.0.retain_mut(|finger| {
            finger.first = finger.first.max(first);
            finger.first <= finger.last
        });
    }

    /// Drops the entries from `first` on: nobody but the node itself lies there.
    pub(crate) fn forget_from(&mut self, first: u16) {
        self.0.retain_mut(|finger| {
            finger.last = finger.last.min(first.saturating_sub(1));
            finger.first <= finger.last && finger.first < first
        });
    }

    /// Drops a peer that does not answer. Returns whether it was a finger.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&Peer) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|finger| !is_gone(&finger.peer));
        self.0.len() != before
    }

    /// The runs, nearest first.
    pub fn runs(&self) -> &[Finger] {
        &self.0
    }

    /// The peer of entry `entry`, if it is stored.
    pub fn entry(&self, entry: u16) -> Option<&Peer> {
        self.0.iter().find(|run| (run.first..=run.last).contains(&entry)).map(|run| &run.peer)
    }
}
