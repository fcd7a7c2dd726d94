//! What is counted with: atomic numbers. Nothing here allocates or waits, since it runs within each operation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds of all that is counted by how long it took: from what memory answers to what a client still waits for.
pub(crate) const BOUNDS_US: [u64; 19] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Hops that are counted apart: a lookup in a ring of a million nodes takes ten as a rule, and twenty seldom.
pub(crate) const HOPS_MAX: usize = 20;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// One for each bound, and one for what is above all of them.
    buckets: [Counter; BOUNDS_US.len() + 1],
    total_ns: Counter,
}

impl Times {
    pub(crate) fn note(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Most are below one of the first bounds, so this is quicker than to halve.
        let bucket = BOUNDS_US.iter().position(|bound| ns <= bound * 1000).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket].add(1);
        self.total_ns.add(ns);
    }

    pub(crate) fn read(&self) -> Distribution {
        let total = self.total_ns.read();
        Distribution { counts: self.buckets.iter().map(Counter::read).collect(), total }
    }
}

/// How often things were forwarded.
#[derive(Debug, Default)]
pub(crate) struct Hops([Counter; HOPS_MAX + 2]);

impl Hops {
    pub(crate) fn note(&self, hops: u32) {
        let hops = usize::try_from(hops).unwrap_or(usize::MAX).min(HOPS_MAX + 1);
        self.0[hops].add(1);
    }

    /// The total counts what was forwarded more often as if it were once more than the last that is counted apart.
    pub(crate) fn read(&self) -> Distribution {
        let counts: Vec<u64> = self.0.iter().map(Counter::read).collect();
        let total = counts.iter().zip(0..).map(|(count, hops)| count * hops).sum();
        Distribution { counts, total }
    }
}

/// What was counted by its size: how often within each bound, and all sizes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    pub(crate) counts: Vec<u64>,
    pub(crate) total: u64,
}

impl Distribution {
    /// This and those.
    pub(crate) fn and(mut self, others: &Self) -> Self {
        self.counts.resize(self.counts.len().max(others.counts.len()), 0);
        self.counts.iter_mut().zip(&others.counts).for_each(|(count, more)| *count += more);
        self.total += others.total;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bound_says_is_within_it() {
        let times = Times::default();
        for us in [0, 10, 11, 10_000_000, 10_000_001] {
            times.note(Duration::from_micros(us));
        }
        let Distribution { counts, total } = times.read();
        let mut expected = vec![0; BOUNDS_US.len() + 1];
        (expected[0], expected[1], expected[18], expected[19]) = (2, 1, 1, 1);
        assert_eq!((counts, total), (expected, 20_000_022_000));
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn more_hops_than_are_counted_apart_are_counted_together() {
        let hops = Hops::default();
        for count in [0, 3, 20, 21, u32::MAX] {
            hops.note(count);
        }
        let Distribution { counts, total } = hops.read();
        assert_eq!((counts[0], counts[3], counts[HOPS_MAX], counts[HOPS_MAX + 1]), (1, 1, 1, 2));
        assert_eq!(total, 3 + 20 + 2 * 21);
    }
}
