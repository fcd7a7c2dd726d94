//! Whether reads have been slow of late: then they are better done while nobody waits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A read that takes so long has waited for the disk, or for a core: one of what is in memory takes a few microseconds.
const SLOW_READ: Duration = Duration::from_micros(50);

/// After a slow read so many are taken for slow: enough that a file that is cold is not taken for quick between two of them, and
/// few enough that reading twice costs little where it was chance.
const SLOW_READS: u32 = 64;

/// How many reads are still taken for slow.
#[derive(Debug, Default)]
pub(crate) struct Slowness(AtomicU32);

impl Slowness {
    /// A read has taken so long.
    pub(crate) fn note(&self, took: Duration) {
        if took >= SLOW_READ {
            self.0.store(SLOW_READS, Ordering::Relaxed);
        }
    }

    /// Whether the next read is taken for slow.
    pub(crate) fn expects_slow_read(&self) -> bool {
        let fewer = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_slow_read_some_are_taken_for_slow_until_they_have_been_quick() {
        let slowness = Slowness::default();
        assert!(!slowness.expects_slow_read());
        slowness.note(SLOW_READ);
        for _ in 0..SLOW_READS {
            assert!(slowness.expects_slow_read());
            slowness.note(SLOW_READ / 2);
        }
        assert!(!slowness.expects_slow_read());
    }
}
