//! What the thread that commits and the one that fills the tree tell each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Handover {
    state: Mutex<State>,
    changed: Condvar,
    merge_after: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody wants a merge, though perhaps nothing is in the log.
    is_wanted: bool,
    /// The lot of the commit that is under way goes into the tree, and the committing thread waits for that.
    has_lot: bool,
    /// Since when something is in the log alone.
    since: Option<Instant>,
    /// The last entry of the log that is in the tree.
    merged: u64,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// Nothing comes any more.
    Closing,
    /// The thread that fills the tree is gone.
    Ended,
}

/// What the tree is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// What is in the log, if anything is.
    Gathered,
    /// The same, and to look whether the file can be written.
    Wanted,
    /// That, and the lot of the commit.
    Lot,
}

impl Handover {
    /// Everything up to that entry of the log is in the tree; `merge_after` says how long what follows may be in the log alone.
    pub(crate) fn new(merged: u64, merge_after: Duration) -> Self {
        let state = Mutex::new(State { merged, ..State::default() });
        Self { state, changed: Condvar::new(), merge_after }
    }

    /// Has the tree filled now.
    pub(crate) fn want(&self) {
        self.lock().is_wanted = true;
        self.changed.notify_all();
    }

    /// Something is in the log alone.
    pub(crate) fn note_logged(&self) {
        let mut state = self.lock();
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.changed.notify_all();
        }
    }

    /// Waits until all entries up to that are in the tree; false if that does not come about any more.
    pub(crate) fn wait_until_merged(&self, entry: u64) -> bool {
        self.wait_while(|state| state.merged < entry && state.stage != Stage::Ended).merged >= entry
    }

    /// Waits until the lot of the commit is in the tree; false if that does not come about any more.
    pub(crate) fn wait_for_lot(&self) -> bool {
        self.lock().has_lot = true;
        self.changed.notify_all();
        !self.wait_while(|state| state.has_lot && state.stage != Stage::Ended).has_lot
    }

    /// Nothing comes any more: what is in the log is to be put into the tree, and that is all.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Closing;
        }
        self.changed.notify_all();
    }

    /// For the thread that fills the tree: waits for work until there is none any more.
    pub(crate) fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            let is_time = state.stage != Stage::Open
                || state.since.is_some_and(|since| since.elapsed() >= self.merge_after);
            if state.has_lot || state.is_wanted || (is_time && state.since.is_some()) {
                let work = match *state {
                    State { has_lot: true, .. } => Work::Lot,
                    State { is_wanted: true, .. } => Work::Wanted,
                    _ => Work::Gathered,
                };
                state.is_wanted = false;
                state.since = None;
                return Some(work);
            }
            if state.stage != Stage::Open {
                return None;
            }
            state = match state.since {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(since) => {
                    let left = self.merge_after.saturating_sub(since.elapsed());
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The work is done: all entries up to that are in the tree.
    pub(crate) fn done(&self, work: Work, entry: u64) {
        let mut state = self.lock();
        state.merged = state.merged.max(entry);
        if work == Work::Lot {
            state.has_lot = false;
        }
        self.changed.notify_all();
    }

    /// The thread that fills the tree ends.
    pub(crate) fn end(&self) {
        self.lock().stage = Stage::Ended;
        self.changed.notify_all();
    }

    fn wait_while(&self, mut waits: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.lock(), |state| waits(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Each change of the state is whole, so a thread that panicked left a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_done_once_and_what_is_left_before_the_end() {
        let handover = Handover::new(3, Duration::MAX);
        assert!(handover.wait_until_merged(3));
        handover.want();
        assert_eq!(handover.next(), Some(Work::Wanted));
        handover.done(Work::Wanted, 5);
        assert!(handover.wait_until_merged(5));
        handover.note_logged();
        handover.close();
        assert_eq!(handover.next(), Some(Work::Gathered));
        assert_eq!(handover.next(), None);
    }

    #[test]
    fn whoever_waits_for_a_lot_is_told_that_nobody_takes_it_any_more() {
        let handover = Handover::new(0, Duration::MAX);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| handover.wait_for_lot());
            assert_eq!(handover.next(), Some(Work::Lot));
            handover.done(Work::Lot, 0);
            assert!(waits.join().unwrap());
            let waits = scope.spawn(|| (handover.wait_for_lot(), handover.wait_until_merged(1)));
            assert_eq!(handover.next(), Some(Work::Lot));
            handover.end();
            assert_eq!(waits.join().unwrap(), (false, false));
        });
    }
}
