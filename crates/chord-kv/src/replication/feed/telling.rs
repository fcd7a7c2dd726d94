//! Telling one node of what it has not heard yet: which of its interests comes next, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chord_ring::Peer;

/// What one node is to be told, by the numbers of its interests. Each has its turn, so that a busy one keeps no other waiting,
/// and none waits for one of which the node wants to hear later.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) watcher: Peer,
    pub(super) is_under_way: bool,
    /// How often in a row nothing arrived.
    pub(super) failures: u32,
    ids: BTreeSet<u64>,
    /// Those that wait for a moment, and until when.
    held: BTreeMap<u64, Duration>,
    /// Which had its turn last.
    last: Option<u64>,
    /// When it is somebody's turn again.
    turn_at: Duration,
    /// When something may be sent again.
    due_at: Duration,
}

impl Telling {
    pub(super) fn new(watcher: Peer) -> Self {
        Self {
            watcher,
            is_under_way: false,
            failures: 0,
            ids: BTreeSet::new(),
            held: BTreeMap::new(),
            last: None,
            turn_at: Duration::ZERO,
            due_at: Duration::ZERO,
        }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.is_under_way && self.due_at.max(self.turn_at) <= now
    }

    /// There is something to tell of that one.
    pub(super) fn add(&mut self, id: u64) {
        self.ids.insert(id);
        if !self.held.contains_key(&id) {
            self.turn_at = Duration::ZERO;
        }
    }

    /// Nothing is to be told of that one any more.
    pub(super) fn forget(&mut self, id: u64) {
        self.ids.remove(&id);
        self.held.remove(&id);
    }

    /// That one is not told of before then.
    pub(super) fn hold(&mut self, id: u64, until: Duration) {
        self.held.insert(id, until);
    }

    pub(super) fn had_its_turn(&mut self, id: u64) {
        self.last = Some(id);
    }

    /// Those whose turn it is now, in order.
    pub(super) fn turns(&self, now: Duration) -> impl Iterator<Item = u64> + '_ {
        let next = self.last.map_or(0, |last| last.saturating_add(1));
        let is_free = move |id: &u64| self.held.get(id).is_none_or(|until| *until <= now);
        self.ids.range(next..).chain(self.ids.range(..next)).copied().filter(is_free)
    }

    /// What was told has arrived.
    pub(super) fn arrived(&mut self) {
        (self.is_under_way, self.failures) = (false, 0);
    }

    /// What was told did not arrive: not again before then.
    pub(super) fn failed(&mut self, due_at: Duration) {
        (self.is_under_way, self.due_at) = (false, due_at);
        self.failures += 1;
    }

    /// It is nobody's turn now. Returns whether nothing is left to be told.
    pub(super) fn pauses(&mut self, now: Duration) -> bool {
        self.held.retain(|_, until| *until > now);
        self.turn_at = self.held.values().min().copied().unwrap_or_default();
        self.ids.is_empty()
    }
}
