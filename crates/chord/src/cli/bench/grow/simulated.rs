//! The same ring without processes and network: the lookups as shipped, from node to node in one thread.

use std::fs;

use anyhow::{bail, ensure};
use chord::{RingName, RingSize};
use chord_ring::{Config, RingTag};
use chord_sim::{Crowded, LargeRingNodes};
use serde::Serialize;

use super::figures::{Hops, half_of_log2, real, round};
use crate::cli::exit::Usage;

/// What is looked up in each ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) ring_size: RingSize,
    pub(super) lookups: u64,
    pub(super) seed: u64,
}

/// What one size costs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Simulated {
    pub(super) nodes: usize,
    pub(super) half_of_log2: f64,
    pub(super) hops: Hops,
    /// Of one core, for all decisions on the way of one lookup; null where there is no /proc.
    pub(super) cpu_micros: Option<f64>,
}

impl Plan {
    /// Looks random positions up in a ring of so many nodes, from random nodes.
    pub(super) fn measure(self, n_nodes: usize, is_stopped: &dyn Fn() -> bool) -> anyhow::Result<Simulated> {
        let ring = RingTag { name: RingName::default(), size: self.ring_size };
        let nodes = LargeRingNodes::draw(&ring, n_nodes, self.seed);
        let mut ring =
            nodes.map_err(|crowded: Crowded| Usage::new(crowded.to_string()))?.build(&Config::new(ring));
        let before = cpu_nanos();
        let lookups = ring.look_up(self.lookups, || !is_stopped());
        let cpu = cpu_nanos().zip(before).map(|(after, before)| after.saturating_sub(before));
        let n_lookups = lookups.hops.n_values();
        if n_lookups < self.lookups {
            bail!("stopped before the measurement was done");
        }
        ensure!(lookups.n_wrong == 0, "{} lookups did not end at the owner", lookups.n_wrong);
        Ok(Simulated {
            nodes: n_nodes,
            half_of_log2: round(half_of_log2(n_nodes as u64)),
            hops: Hops::of(&lookups.hops),
            cpu_micros: cpu.map(|nanos| round(real(nanos) / 1e3 / real(n_lookups))),
        })
    }
}

/// How long this thread has run on a core (`/proc/thread-self/schedstat`): the machine may do other things meanwhile.
fn cpu_nanos() -> Option<u64> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_grow_with_half_the_logarithm_and_the_seed_decides_them() {
        let plan = Plan { ring_size: RingSize::DEFAULT, lookups: 2000, seed: 7 };
        let hops = |n_nodes: usize| plan.measure(n_nodes, &|| false).unwrap().hops;
        assert_eq!((hops(1).mean, hops(1).p99), (0.0, 0));
        // All are in each other's lists of successors: whoever is not the owner names it.
        assert!((hops(8).mean - 7.0 / 8.0).abs() < 0.03, "{:?}", hops(8));
        assert!((hops(1024).mean - hops(64).mean - 2.0).abs() < 0.3, "{:?}", hops(1024));
        assert_eq!(hops(64), hops(64));
        assert!(plan.measure(8, &|| true).is_err());
    }
}
