//! How long the property tests of this crate and of `chord-sim` run.

use proptest::test_runner::{Config, FileFailurePersistence};

/// How often a property is tried: `quick` times, or `CHORD_RING_SOAK` times as often for a long run:
/// `CHORD_RING_SOAK=100 cargo test --release -p chord-ring -p chord-sim`. The seed of a failure is printed, and written
/// beside the test, where the next run begins with it.
pub fn cases(quick: u32) -> Config {
    let factor = std::env::var("CHORD_RING_SOAK").map_or(1, |factor| factor.parse().unwrap());
    let seeds = FileFailurePersistence::WithSource("seeds");
    Config { failure_persistence: Some(Box::new(seeds)), ..Config::with_cases(quick * factor) }
}
