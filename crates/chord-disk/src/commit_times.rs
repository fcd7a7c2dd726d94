//! How long commits took, counted within fixed bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds within which commits are counted: from what a fast disk takes for a sync to what a client still waits for.
pub const COMMIT_BOUNDS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Commits within each bound that are above the one before, and those above all of them.
pub type CommitCounts = [u64; COMMIT_BOUNDS.len() + 1];

#[derive(Debug, Default)]
pub(crate) struct CommitTimes {
    counts: [AtomicU64; COMMIT_BOUNDS.len() + 1],
    total_ns: AtomicU64,
}

impl CommitTimes {
    pub(crate) fn note(&self, took: Duration) {
        let place = COMMIT_BOUNDS.partition_point(|bound| *bound < took);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.total_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> CommitCounts {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.total_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bound_is_within_it() {
        let times = CommitTimes::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            times.note(Duration::from_micros(us));
        }
        let mut expected = [0; COMMIT_BOUNDS.len() + 1];
        (expected[0], expected[1], expected[15], expected[16]) = (2, 1, 1, 1);
        assert_eq!(times.counts(), expected);
        assert_eq!(times.total(), Duration::from_micros(20_000_202));
        assert!(COMMIT_BOUNDS.is_sorted());
    }
}
