//! The same ring without processes and network: the lookups as shipped, from node to node in one thread.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use chord::{RingName, RingSize};
use chord_ring::{Config, RingTag};
use chord_sim::paper::Tally;
use chord_sim::{Crowded, LargeRing, LargeRingNodes};
use serde::Serialize;

use super::figures::{Hops, half_of_log2, real, round};
use crate::cli::exit::Usage;

/// What CPU is measured over at least: the kernel counts it in steps of some milliseconds.
const CPU_NANOS_MIN: u64 = 100_000_000;

/// No lookups are repeated after so long: on a machine that does other things, or whose kernel counts nothing.
const REPEATED_WITHIN: Duration = Duration::from_secs(5);

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
    /// Of as many lookups as were wished.
    pub(super) hops: Hops,
    /// How many lookups CPU was measured over: more than those, where they are over too soon to be measured.
    pub(super) cpu_lookups: u64,
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
        let (before, begun) = (cpu_nanos(), Instant::now());
        let hops = self.look_up(&mut ring, is_stopped)?;
        let mut n_lookups = self.lookups;
        let cpu = loop {
            let used = cpu_nanos().zip(before).map(|(after, before)| after.saturating_sub(before));
            if used.is_none_or(|nanos| nanos >= CPU_NANOS_MIN) || begun.elapsed() >= REPEATED_WITHIN {
                break used;
            }
            self.look_up(&mut ring, is_stopped)?;
            n_lookups += self.lookups;
        };
        Ok(Simulated {
            nodes: n_nodes,
            half_of_log2: round(half_of_log2(n_nodes as u64)),
            hops: Hops::of(&hops),
            cpu_lookups: n_lookups,
            cpu_micros: cpu.map(|nanos| round(real(nanos) / 1e3 / real(n_lookups))),
        })
    }

    /// So many lookups as are wished; how often each was forwarded.
    fn look_up(self, ring: &mut LargeRing, is_stopped: &dyn Fn() -> bool) -> anyhow::Result<Tally> {
        let lookups = ring.look_up(self.lookups, || !is_stopped());
        if lookups.hops.n_values() < self.lookups {
            bail!("stopped before the measurement was done");
        }
        ensure!(lookups.n_wrong == 0, "{} lookups did not end at the owner", lookups.n_wrong);
        Ok(lookups.hops)
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
        let few = Plan { lookups: 10, ..plan }.measure(8, &|| false).unwrap();
        assert!(
            few.cpu_lookups > 1000 || !cfg!(target_os = "linux"),
            "ten are over within microseconds: {few:?}"
        );
        assert!(plan.measure(8, &|| true).is_err());
    }
}
