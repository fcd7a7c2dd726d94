//! Figures that rings of processes and simulated ones have in common.

use chord_sim::paper::Tally;
use serde::Serialize;

pub(super) use crate::cli::bench::process::round;

/// How often questions were forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Hops {
    pub(super) mean: f64,
    pub(super) p1: u64,
    pub(super) p99: u64,
}

impl Hops {
    pub(super) fn of(tally: &Tally) -> Self {
        Self { mean: round(tally.mean()), p1: tally.percentile(1), p99: tally.percentile(99) }
    }
}

/// What the papers say of so many nodes: half the binary digits of the distance to the owner are one (TON 2003, section V).
pub(super) fn half_of_log2(n_nodes: u64) -> f64 {
    real(n_nodes).log2() / 2.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of a measurement are far below 2^52")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}
